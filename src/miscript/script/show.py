"""The tree of a script as text, for people who want to see what the parser made of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass

from .nodes import Node, Script, Template
from .source import Span


def tree_text(script: Script) -> str:
    """One line a node: its place, its kind and its plain fields, children indented."""
    return "\n".join(line for item in script.items for line in _lines(item, "", 0))


def _lines(node: object, label: str, depth: int) -> Iterator[str]:
    indent = "  " * depth + (f"{label}: " if label else "")
    if isinstance(node, tuple):
        for item in node:
            yield from _lines(item, label, depth)
    elif isinstance(node, Template):
        yield from _lines(node.pieces, label, depth)
    elif isinstance(node, Node) and is_dataclass(node):
        plain, children = [], []
        for field in fields(node):
            value = getattr(node, field.name)
            if isinstance(value, Node | Template) or (isinstance(value, tuple) and value):
                children.append((field.name, value))
            elif not isinstance(value, Span) and value not in (None, ()):
                plain.append(f"{field.name}={value!r}")
        place = f"{node.span.line}:{node.span.column}"
        yield f"{indent}{type(node).__name__}({', '.join(plain)})  @{place}"
        for name, child in children:
            yield from _lines(child, name, depth + 1)
    else:
        yield f"{indent}{node!r}"
