"""Expressions and conditions of a script → Python expressions.

Every expression has two forms.  The *fast* form is plain Python arithmetic, right when all variables in it hold
integers; it wraps to 32 bits only where the result can leave them.  The *general* form calls `runtime.operate` and
`runtime.compare`, which know all the rules.  The code tests the variables once and takes one of the two.
"""

from __future__ import annotations

import ast
import ipaddress
from dataclasses import dataclass

from ..values import INT_MAX, INT_MIN
from . import nodes as n
from .compile_variables import VariableCompiler
from .posix_regex import compile_search
from .python_ast import place_of

WIDE = 1 << 62
"""Python integers up to here are cheap; beyond, an intermediate result is wrapped."""

Bounds = tuple[int, int]
FULL: Bounds = (INT_MIN, INT_MAX)


@dataclass(frozen=True, slots=True)
class Fast:
    """The fast form: what must hold (`guards`, each true when a variable is an integer), the code, its bounds."""

    guards: tuple[ast.expr, ...]
    code: ast.expr
    bounds: Bounds


class ExpressionCompiler(VariableCompiler):
    """Compiles the expressions and conditions of one route; calls are left to the class below this one."""

    def code(self, node: n.Call | n.RouteCall) -> ast.expr:
        """The return code of a call inside an expression."""
        raise AssertionError("expressions are compiled by CallCompiler")

    # -- values ---------------------------------------------------------------------------------------------

    def value(self, node: n.Expression, general: ast.expr | None = None) -> ast.expr:
        """The value of an expression, or FAILED; `general` is the code for it where it is not the usual one."""
        fast = self.fast(node) if isinstance(node, n.Binary | n.Unary) else None
        general = general or self.general(node)
        if fast is not None and fast.guards:
            general = self.expression(
                "(FAST if GUARD else GENERAL)", FAST=self.wrapped(fast), GUARD=self.all_of(fast.guards), GENERAL=general
            )
        elif fast is not None:
            general = self.wrapped(fast)
        return general

    def general(self, node: n.Expression) -> ast.expr:
        match node:
            case n.Integer():
                return self.constant(node.value)
            case n.String():
                return self.constant(node.value)
            case n.Null():
                return self.constant(None)
            case n.Variable():
                return self.variable(node)
            case n.Unary():
                return self.expression("invert(VALUE)", VALUE=self.operand(node.operand))
            case n.Binary():
                return self.expression(
                    "operate(OPERATOR, LEFT, RIGHT, FROM_VARIABLE)",
                    OPERATOR=self.constant(node.operator),
                    LEFT=self.operand(node.left),
                    RIGHT=self.operand(node.right),
                    FROM_VARIABLE=self.constant(isinstance(node.right, n.Variable)),
                )
            case n.Comparison() | n.Not() | n.Logic():
                return self.expression("truth_number(TRUTH)", TRUTH=self.condition(node))
            case n.Call() | n.RouteCall():
                return self.code(node)
            case n.Network():
                return self.constant(node.text)

    def operand(self, node: n.Expression) -> ast.expr:
        """The general form of one side of an operator."""
        if isinstance(node, n.Comparison | n.Not | n.Logic):
            return self.expression("truth_operand(TRUTH)", TRUTH=self.condition(node))
        return self.general(node)

    def can_fail(self, node: n.Expression) -> bool:
        """Whether the general form of `node` can be FAILED."""
        return not isinstance(node, n.Integer | n.String | n.Null | n.Variable | n.Call | n.RouteCall | n.Network)

    def is_plain(self, node: n.Expression) -> bool:
        """Whether the value is a plain int, str or None, as variables keep it."""
        if isinstance(node, n.Variable):
            return node.name in ("var", "avp", "param", "rc", "retcode") and not node.transformations
        return True

    # -- the fast form --------------------------------------------------------------------------------------

    def fast(self, node: n.Expression) -> Fast | None:
        """Plain arithmetic for `node`, or None when there is none."""
        match node:
            case n.Integer():
                return Fast((), self.constant(node.value), (node.value, node.value))
            case n.Variable() if self.is_plain(node) and self._plain_inline(node):
                t = self.temporary()
                guard = self.expression("(T := VALUE).__class__ is int", T=t, VALUE=self.variable(node))
                return Fast((guard,), self.name(t), FULL)
            case n.Unary():
                inner = self.fast(node.operand)
                return inner and Fast(inner.guards, self.expression("~A", A=self.wrapped(inner)), FULL)
            case n.Binary():
                left, right = self.fast(node.left), self.fast(node.right)
                return self._operation(node.operator, left, right) if left and right else None
        return None

    def _plain_inline(self, node: n.Variable) -> bool:
        inner = node.inner.constant if node.inner is not None else None
        return (
            node.name in ("rc", "retcode")
            or (inner is not None and node.name == "var")
            or (inner is not None and node.name == "param" and inner.isdecimal())
            or (inner is not None and node.name == "avp" and node.index is None)
        )

    def _operation(self, operator: str, left: Fast, right: Fast) -> Fast | None:
        guards = left.guards + right.guards
        (a, b), (c, d) = left.bounds, right.bounds
        match operator:
            case "+":
                return self._ring("A + B", guards, left, right, (a + c, b + d))
            case "-":
                return self._ring("A - B", guards, left, right, (a - d, b - c))
            case "*":
                edges = (a * c, a * d, b * c, b * d)
                return self._ring("A * B", guards, left, right, (min(edges), max(edges)))
            case "&" | "|" | "^":
                return Fast(
                    guards, self.expression(f"A {operator} B", A=self.wrapped(left), B=self.wrapped(right)), FULL
                )
            case "/" | "%":
                return self._division(operator, guards, left, right)
            case "<<" | ">>" if isinstance(right.code, ast.Constant) and c == d:
                places = c & 31
                if operator == ">>":
                    return Fast(guards, self.expression("A >> B", A=self.wrapped(left), B=places), FULL)
                return Fast(guards, self.expression("A << B", A=self.wrapped(left), B=places), (-WIDE, WIDE))
        return None

    def _ring(self, text: str, guards: tuple[ast.expr, ...], left: Fast, right: Fast, bounds: Bounds) -> Fast:
        """An operation whose result modulo 2**32 needs only its operands modulo 2**32."""
        if not (bounds[0] > -WIDE and bounds[1] < WIDE):
            left, right, bounds = (
                Fast((), self.wrapped(left), FULL),
                Fast((), self.wrapped(right), FULL),
                (-WIDE, WIDE),
            )
        return Fast(guards, self.expression(text, A=left.code, B=right.code), bounds)

    def _division(self, operator: str, guards: tuple[ast.expr, ...], left: Fast, right: Fast) -> Fast:
        divisor = right.bounds[0]
        dividend, t = self.wrapped(left), self.temporary()
        if right.bounds == (divisor, divisor) and divisor > 0:
            text = {
                "/": "(T // B if (T := A) >= 0 else -(-T // B))",
                "%": "(T % B if (T := A) >= 0 else -(-T % B))",
            }[operator]
            return Fast(guards, self.expression(text, T=t, A=dividend, B=divisor), FULL)
        function = {"/": "divide", "%": "modulo"}[operator]
        return Fast(guards, self.expression("F(A, B)", F=function, A=dividend, B=self.wrapped(right)), FULL)

    def wrapped(self, fast: Fast) -> ast.expr:
        """The code of the fast form as a 32-bit integer."""
        if fast.bounds[0] >= INT_MIN and fast.bounds[1] <= INT_MAX:
            return fast.code
        return self.expression(
            f"(T if {INT_MIN} <= (T := CODE) <= {INT_MAX} else wrap(T))", T=self.temporary(), CODE=fast.code
        )

    # -- conditions -----------------------------------------------------------------------------------------

    def condition(self, node: n.Condition) -> ast.expr:
        """True, False or None (error)."""
        outer, self.place = self.place, place_of(node.span)
        code = self._condition(node)
        self.place = outer
        return code

    def _condition(self, node: n.Condition) -> ast.expr:
        match node:
            case n.Comparison():
                return self._comparison(node)
            case n.Not():
                inner = self.condition(node.operand)
                if not self.can_err(node.operand):
                    return self.expression("not A", A=inner)
                return self.expression("(None if (T := A) is None else not T)", T=self.temporary(), A=inner)
            case n.Logic(operator="and"):
                return self.expression("A and B", A=self.condition(node.left), B=self.condition(node.right))
            case n.Logic():
                left, right = self.condition(node.left), self.condition(node.right)
                if not self.can_err(node.left):
                    return self.expression("A or B", A=left, B=right)
                return self.expression("(T if (T := A) or T is None else B)", T=self.temporary(), A=left, B=right)
            case n.Bracketed():
                return self._bracketed(node.expression)
            case n.Assignment():
                return self.assignment(node)
            case n.Call() | n.RouteCall():
                return self.expression("CODE > 0", CODE=self.code(node))
            case n.Integer():
                return self.constant(node.value != 0)
            case n.Variable():
                return self.expression("bool(A)", A=self.variable(node))
            case _:
                return self.expression("expression_truth(A)", A=self.value(node))

    def _bracketed(self, node: n.Expression) -> ast.expr:
        """`[node]`: a variable is true unless it is NULL, a calculation that fails is false and no error."""
        match node:
            case n.Variable():
                return self.expression("A is not None", A=self.variable(node))
            case n.Comparison() | n.Not() | n.Logic() | n.Call() | n.RouteCall():
                return self.condition(node)
            case _:
                return self.expression("expression_truth(A)", A=self._bracketed_value(node))

    def _bracketed_value(self, node: n.Expression) -> ast.expr:
        """The value of `[node]`: a text plus a number that is written out or calculated is the text alone."""
        if not isinstance(node, n.Binary) or node.operator != "+" or isinstance(node.right, n.Variable):
            return self.value(node)
        general = self.expression("bracketed_sum(A, B)", A=self.operand(node.left), B=self.operand(node.right))
        return self.value(node, general)

    def can_err(self, node: n.Condition) -> bool:
        """Whether a condition can be None, the error."""
        match node:
            case n.Variable() | n.Call() | n.RouteCall() | n.Integer() | n.Assignment():
                return False
            case n.Comparison():
                return not isinstance(node.right, n.Null)
            case n.Not():
                return self.can_err(node.operand)
            case n.Bracketed():
                inner = node.expression
                return isinstance(inner, n.Comparison | n.Not | n.Logic) and self.can_err(inner)
            case n.Logic():
                return self.can_err(node.left) or self.can_err(node.right)
        return True

    def _comparison(self, node: n.Comparison) -> ast.expr:
        match node.operator, node.right:
            case ("=~" | "!~") as operator, right:
                return self._match(node.left, right, operator == "=~")
            case ("==" | "!=") as operator, n.Null():
                text = "A is None" if operator == "==" else "A is not None"
                return self.expression(text, A=self.value(node.left))
            case ("==" | "!=") as operator, n.Network() as right:
                network = ipaddress.ip_network(right.text, strict=False)
                return self.expression(
                    "in_network(A, NET, WANTED)",
                    A=self.value(node.left),
                    NET=self.pool.put("net", network),
                    WANTED=self.constant(operator == "=="),
                )
        return self._order(node)

    def _order(self, node: n.Comparison) -> ast.expr:
        general = self.expression(
            "compare(OPERATOR, A, B, CONSTANT)",
            OPERATOR=self.constant(node.operator),
            A=self.general(node.left),
            B=self.general(node.right),
            CONSTANT=self.constant(isinstance(node.right, n.Integer)),
        )
        left, right = self.fast(node.left), self.fast(node.right)
        if left is None or right is None or not (left.guards or right.guards):
            return general
        plain = self.expression(f"A {node.operator} B", A=self.wrapped(left), B=self.wrapped(right))
        return self.expression(
            "(FAST if GUARD else GENERAL)", FAST=plain, GUARD=self.all_of(left.guards + right.guards), GENERAL=general
        )

    def _match(self, left: n.Expression, right: n.Expression, wanted: bool) -> ast.expr:
        if not isinstance(right, n.String):
            return self.expression(
                "matches_dynamic(A, B, WANTED)",
                A=self.value(left),
                B=self.value(right),
                WANTED=self.constant(wanted),
            )
        search = self.pool.put("search", compile_search(right.value))
        return self.expression(
            f"({'' if wanted else 'not '}SEARCH(T) if (T := A).__class__ is str else matches(T, SEARCH, WANTED))",
            T=self.temporary(),
            A=self.value(left),
            SEARCH=search,
            WANTED=self.constant(wanted),
        )

    # -- assignments inside conditions ----------------------------------------------------------------------

    def assignment(self, node: n.Assignment) -> ast.expr:
        """An assignment as a condition: true when it succeeded."""
        access = self.binding.access(node.target)
        value = self.assigned_value(node)
        setter = self.pool.put("set", access.set)
        t = self.temporary()
        return self.expression(
            "run.called(1 if (T := VALUE) is not FAILED and SET(run, KEPT, OPERATOR) else -1) > 0",
            T=t,
            VALUE=value,
            SET=setter,
            KEPT=self.kept(node, self.name(t)),
            OPERATOR=self.constant(":=" if node.operator == ":=" else "="),
        )

    def kept(self, node: n.Assignment, value: ast.expr) -> ast.expr:
        """`value` as its variable keeps it; where a variable wants a text, the number of another one has it."""
        if isinstance(node.value, n.Variable) and node.operator in self._reads_texts(node.target):
            return self.expression("with_text(VALUE)", VALUE=value)
        return value if self.is_plain(node.value) else self.expression("stored(VALUE)", VALUE=value)

    def _reads_texts(self, target: n.Variable) -> tuple[str, ...]:
        """The operators with which `target` takes a text."""
        signature = self.program.catalog.variable(target.name)
        return () if signature is None else signature.reads_texts

    def assigned_value(self, node: n.Assignment) -> ast.expr:
        """What is assigned, for `x += e` the sum."""
        value = self.value(node.value)
        if node.operator in ("=", ":="):
            return value
        return self.expression(  # the right side first: a route called there may change the left one
            "compound(OPERATOR, RIGHT, LEFT)",
            OPERATOR=self.constant(node.operator[:-1]),
            RIGHT=value,
            LEFT=self.variable(node.target),
        )
