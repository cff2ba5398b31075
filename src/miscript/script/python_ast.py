"""Python syntax trees written as Python text.

`expression("A if (T := B).__class__ is int else C", A=…, B=…)` parses the text once and puts the given trees where
the capital names stand.  A text for `T` becomes a plain name.  In `statements`, a capital name that is a statement of
its own takes a list of statements.  Every node that is made stands where `Trees.place` says.
"""

from __future__ import annotations

import ast
from collections.abc import Sequence
from functools import lru_cache
from textwrap import dedent
from typing import TypeAlias, TypeVar

from .source import Span

CONSTANTS = {"FAILED", "NO_RESULT"}
"""Capital names that stand for themselves."""

Part: TypeAlias = "ast.expr | str | int | list[ast.stmt] | None"
Node = TypeVar("Node", bound=ast.expr | ast.stmt | ast.arg)

LOAD = ast.Load()
SHARED = (ast.expr_context, ast.operator, ast.unaryop, ast.cmpop, ast.boolop)
"""Nodes without a place of their own; one object serves all trees."""
PLACED = (ast.expr, ast.stmt, ast.excepthandler, ast.arg, ast.keyword)


@lru_cache(maxsize=1024)
def _parsed_expression(text: str) -> ast.expr:
    return ast.parse(text.strip(), mode="eval").body


@lru_cache(maxsize=1024)
def _parsed_statements(text: str) -> list[ast.stmt]:
    wrapped = "async def f():\n" + "\n".join("    " + line for line in dedent(text).strip().splitlines())
    function = ast.parse(wrapped).body[0]
    assert isinstance(function, ast.AsyncFunctionDef)
    return function.body


Place: TypeAlias = tuple[int, int, int, int]


def place_of(span: Span) -> Place:
    """Where `span` stands for Python, which counts columns in UTF-8 bytes from 0."""
    start, end = span.column - 1, span.end_column - 1
    first, last = span.file.line(span.line), span.file.line(span.end_line)
    if not first.isascii():
        start = len(first[:start].encode("utf-8", "surrogateescape"))
    if not last.isascii():
        end = len(last[:end].encode("utf-8", "surrogateescape"))
    return span.line, start, span.end_line, end


class Trees:
    """Makes trees; `place` is where the next ones stand in the script."""

    def __init__(self) -> None:
        self.place: Place = (1, 0, 1, 0)

    def expression(self, text: str, **parts: Part) -> ast.expr:
        """An expression; every capital name must be among `parts`."""
        return self._expression(_parsed_expression(text), parts)

    def statements(self, text: str, **parts: Part) -> list[ast.stmt]:
        """Statements, also `await`, `break` and `return`."""
        return self._body(_parsed_statements(text), parts)

    def constant(self, value: bool | int | str | None) -> ast.expr:
        return self.placed(ast.Constant(value))

    def name(self, text: str) -> ast.expr:
        return self.placed(ast.Name(text, LOAD))

    def placed(self, node: Node) -> Node:
        """Give a node that was made by hand its place."""
        node.lineno, node.col_offset, node.end_lineno, node.end_col_offset = self.place
        return node

    def _expression(self, node: ast.expr, parts: dict[str, Part]) -> ast.expr:
        copied = self._copy(node, parts)
        assert isinstance(copied, ast.expr)
        return copied

    def _copy(self, node: ast.AST, parts: dict[str, Part]) -> ast.AST:
        if isinstance(node, ast.Name):
            if node.id in parts:
                return self._part(node, parts[node.id])
            assert not node.id.isupper() or node.id in CONSTANTS, f"nothing was given for {node.id}"
        kind = node.__class__
        copied = kind()
        for field in kind._fields:
            value = getattr(node, field)
            if value.__class__ is list:
                value = self._list(value, parts)
            elif isinstance(value, ast.AST) and not isinstance(value, SHARED):
                value = self._copy(value, parts)
            setattr(copied, field, value)
        if isinstance(copied, PLACED):
            copied.lineno, copied.col_offset, copied.end_lineno, copied.end_col_offset = self.place
        return copied

    def _part(self, node: ast.Name, part: Part) -> ast.AST:
        if isinstance(part, ast.expr):
            return part
        if isinstance(part, str):
            return self.placed(ast.Name(part, node.ctx))
        assert part is None or isinstance(part, int)
        return self.placed(ast.Constant(part))

    def _list(self, nodes: list[ast.AST], parts: dict[str, Part]) -> list[ast.AST]:
        if nodes and isinstance(nodes[0], ast.stmt):
            return [*self._body(nodes, parts)]
        return [self._copy(node, parts) if isinstance(node, ast.AST) else node for node in nodes]

    def _body(self, body: Sequence[ast.AST], parts: dict[str, Part]) -> list[ast.stmt]:
        copied: list[ast.stmt] = []
        for statement in body:
            if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Name):
                part = parts.get(statement.value.id)
                if isinstance(part, list):
                    copied.extend(part)
                    continue
            node = self._copy(statement, parts)
            assert isinstance(node, ast.stmt)
            copied.append(node)
        return copied

    def function(
        self, name: str, parameters: Sequence[str], body: list[ast.stmt], *, waits: bool
    ) -> ast.FunctionDef | ast.AsyncFunctionDef:
        """A function definition."""
        arguments = ast.arguments([], [self.placed(ast.arg(p)) for p in parameters], None, [], [], None, [])
        kind = ast.AsyncFunctionDef if waits else ast.FunctionDef
        made = self.placed(kind(name, arguments, body, [], None, None))
        if "type_params" in kind._fields:
            made.__dict__["type_params"] = []  # Python 3.12 and newer want it
        return made
