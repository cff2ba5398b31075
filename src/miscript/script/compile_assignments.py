"""Assignments → Python statements, which put a value into a variable and set `$rc`.

Arithmetic has two forms where it can (`compile_expressions`): the code looks at the variables once and takes the quick
one when all hold integers.
"""

from __future__ import annotations

import ast

from . import nodes as n
from .compile_calls import CallCompiler


class AssignmentCompiler(CallCompiler):
    """Compiles the assignments of one route."""

    def assign(self, node: n.Assignment) -> list[ast.stmt]:
        if sets_rc(node.value):
            body = self._assign(node, self.assigned_value(node), can_fail=True)
            return self.guarded(body, self.statements("run.rc = run.failed(error)"))
        if node.operator not in ("=", ":="):
            return self._assign_compound(node)
        fast = self.fast(node.value) if isinstance(node.value, n.Binary | n.Unary) else None
        general = self._assign(node, self.general(node.value), self.can_fail(node.value))
        if fast is None:
            return general
        return self._either(node, fast.guards, self.wrapped(fast), general)

    def _assign_compound(self, node: n.Assignment) -> list[ast.stmt]:
        binary = n.Binary(node.operator[:-1], node.target, node.value, span=node.span)
        fast = self.fast(binary)
        general = self._assign(node, self.assigned_value(node), can_fail=True)
        return general if fast is None else self._either(node, fast.guards, self.wrapped(fast), general)

    def _either(
        self, node: n.Assignment, guards: tuple[ast.expr, ...], fast: ast.expr, general: list[ast.stmt]
    ) -> list[ast.stmt]:
        if not guards:
            return self._assign(node, fast, can_fail=False)
        return self.statements(
            "if TEST:\n    FAST\nelse:\n    GENERAL",
            TEST=self.all_of(guards),
            FAST=self._assign(node, fast, can_fail=False),
            GENERAL=general,
        )

    def _assign(self, node: n.Assignment, value: ast.expr, can_fail: bool) -> list[ast.stmt]:
        """Put `value` into the target and set `$rc`."""
        if can_fail:
            t = self.temporary()
            return self.statements(
                "if (T := VALUE) is FAILED:\n    run.rc = -1\nelse:\n    STORE",
                T=t,
                VALUE=value,
                STORE=self._store(node, self.name(t)),
            )
        return self._store(node, value)

    def _store(self, node: n.Assignment, value: ast.expr) -> list[ast.stmt]:
        target, operator = node.target, ":=" if node.operator == ":=" else "="
        inner = target.inner.constant if target.inner is not None else None
        value = self.kept(node, value)
        if target.name == "var" and inner is not None:
            return self.statements("v[SLOT] = VALUE\nrun.rc = 1", SLOT=self.binding.slot(inner), VALUE=value)
        if target.name == "avp" and inner is not None and target.index is None:
            return self._store_avp(inner, operator, value, may_be_null=not _never_null(node.value))
        setter = self.pool.put("set", self.binding.access(target).set)
        return self.statements(
            "run.rc = 1 if SET(run, VALUE, OPERATOR) else -1", SET=setter, VALUE=value, OPERATOR=self.constant(operator)
        )

    def _store_avp(self, avp: str, operator: str, value: ast.expr, may_be_null: bool) -> list[ast.stmt]:
        if operator == ":=":
            if isinstance(value, ast.Constant) and value.value is None:
                return self.statements("avps.pop(NAME, None)\nrun.rc = 1", NAME=self.constant(avp))
            if not may_be_null:
                return self.statements("avps[NAME] = [VALUE]\nrun.rc = 1", NAME=self.constant(avp), VALUE=value)
        elif not may_be_null:
            return self.statements(
                """
                if (L := avps.get(NAME)) is None:
                    avps[NAME] = [VALUE]
                else:
                    L.append(VALUE)
                run.rc = 1
                """,
                L=self.temporary(),
                NAME=self.constant(avp),
                VALUE=value,
            )
        return self.statements(
            "run.rc = 1 if avp_assign(avps, NAME, None, OPERATOR, VALUE) else -1",
            NAME=self.constant(avp),
            OPERATOR=self.constant(operator),
            VALUE=value,
        )

    def guarded(self, body: list[ast.stmt], failed: list[ast.stmt]) -> list[ast.stmt]:
        """`body`, and `failed` in place of an exception that it raises."""
        return self.statements("try:\n    BODY\nexcept Exception as error:\n    FAILING", BODY=body, FAILING=failed)


def sets_rc(node: n.Condition) -> bool:
    """Whether a call or an assignment stands in `node`."""
    match node:
        case n.Call() | n.RouteCall() | n.Assignment():
            return True
        case n.Not() | n.Unary():
            return sets_rc(node.operand)
        case n.Logic() | n.Comparison() | n.Binary():
            return sets_rc(node.left) or sets_rc(node.right)
        case n.Bracketed():
            return sets_rc(node.expression)
    return False


def _never_null(node: n.Expression) -> bool:
    return isinstance(node, n.Integer | n.String | n.Binary | n.Unary | n.Call | n.RouteCall | n.Comparison)
