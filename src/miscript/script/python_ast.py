"""Python syntax trees written as Python text.

`expression("A if (T := B).__class__ is int else C", A=…, B=…)` parses the text once and puts the given trees where
the capital names stand.  A text for `T` becomes a plain name.  In `statements`, a capital name that is a statement of
its own takes a list of statements.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence
from functools import lru_cache
from textwrap import dedent
from typing import TypeAlias

from .source import Span

CONSTANTS = {"FAILED", "MAX_ROUTE_DEPTH"}
"""Capital names that stand for themselves."""

Part: TypeAlias = "ast.expr | str | int | None | Sequence[ast.stmt]"


@lru_cache(maxsize=1024)
def _parsed_expression(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


@lru_cache(maxsize=1024)
def _parsed_statements(text: str) -> list[ast.stmt]:
    wrapped = "async def f():\n" + "\n".join("    " + line for line in dedent(text).strip().splitlines())
    function = ast.parse(wrapped).body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    return function.body


def expression(text: str, **parts: Part) -> ast.expr:
    """An expression; every capital name must be among `parts`."""
    return _copy(_parsed_expression(text), parts)


def statements(text: str, **parts: Part) -> list[ast.stmt]:
    """Statements, also `await`, `break` and `return`."""
    return _copy_body(_parsed_statements(text), parts)


def constant(value: bool | int | str | None) -> ast.expr:
    return ast.Constant(value)


def name(text: str) -> ast.expr:
    return ast.Name(text, ast.Load())


def _copy(node: ast.expr, parts: dict[str, Part]) -> ast.expr:
    copied = _copy_node(node, parts)
    assert isinstance(copied, ast.expr)
    return copied


def _copy_node(node: ast.AST, parts: dict[str, Part]) -> ast.AST:
    if isinstance(node, ast.Name) and node.id in parts:
        part = parts[node.id]
        if isinstance(part, str):
            return ast.Name(part, node.ctx)
        if isinstance(part, ast.expr):
            return part
        assert part is None or isinstance(part, int)
        return ast.Constant(part)
    if isinstance(node, ast.Name):
        assert not node.id.isupper() or node.id in CONSTANTS, f"nothing was given for {node.id}"
    fields = {}
    for field, value in ast.iter_fields(node):
        if isinstance(value, ast.AST):
            fields[field] = _copy_node(value, parts)
        elif isinstance(value, list):
            if value and isinstance(value[0], ast.stmt):
                fields[field] = _copy_body(value, parts)  # type: ignore[assignment]  # a list of statements
            else:
                fields[field] = [_copy_node(v, parts) if isinstance(v, ast.AST) else v for v in value]  # type: ignore[assignment]
        else:
            fields[field] = value
    return type(node)(**fields)


def _copy_body(body: Iterable[ast.stmt], parts: dict[str, Part]) -> list[ast.stmt]:
    copied: list[ast.stmt] = []
    for statement in body:
        if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name):
            part = parts.get(statement.value.id)
            if isinstance(part, Sequence) and not isinstance(part, str):
                copied.extend(part)
                continue
        node = _copy_node(statement, parts)
        assert isinstance(node, ast.stmt)
        copied.append(node)
    return copied


def locate(nodes: Iterable[ast.AST], span: Span) -> None:
    """Give every node that has no place yet the place of `span`; Python counts columns in UTF-8 bytes from 0."""
    line = span.file.line(span.line)
    start, end = span.column - 1, span.end_column - 1
    if not line.isascii():
        start = len(line[:start].encode("utf-8", "surrogateescape"))
    if span.end_line != span.line or not line.isascii():
        last = span.file.line(span.end_line)
        end = len(last[:end].encode("utf-8", "surrogateescape"))
    place = (span.line, start, span.end_line, end)
    for node in nodes:
        _locate(node, place)


def _locate(node: ast.AST, place: tuple[int, int, int, int]) -> None:
    if isinstance(node, ast.expr | ast.stmt | ast.excepthandler):
        if hasattr(node, "lineno"):
            return
        node.lineno, node.col_offset, node.end_lineno, node.end_col_offset = place
    for child in ast.iter_child_nodes(node):
        _locate(child, place)
