"""Expressions and conditions of a script → Python expressions.

Every expression has two forms.  The *fast* form is plain Python arithmetic, right when all variables in it hold
integers; it wraps to 32 bits only where the result can leave them.  The *general* form calls `runtime.operate` and
`runtime.compare`, which know all the rules.  The code tests the variables once and takes one of the two.
"""

from __future__ import annotations

import ast
import ipaddress
from collections.abc import Callable
from dataclasses import dataclass
from itertools import count
from typing import cast

from ..values import INT_MAX, INT_MIN, Value
from . import nodes as n
from .binding import Binding
from .posix_regex import compile_search
from .program import Program, ResolvedCall
from .python_ast import LOAD, Trees, place_of
from .runtime import Run
from .signatures import Argument, Implementation, Kind, Parameter
from .source import Span

WIDE = 1 << 62
"""Python integers up to here are cheap; beyond, an intermediate result is wrapped."""

Bounds = tuple[int, int]
FULL: Bounds = (INT_MIN, INT_MAX)


class Pool:
    """The objects that compiled code refers to by name."""

    def __init__(self) -> None:
        self.objects: dict[str, object] = {}
        self._names: dict[int, str] = {}

    def put(self, kind: str, thing: object) -> str:
        """A name for `thing`; the same object gets the same name."""
        found = self._names.get(id(thing))
        if found is None:
            found = f"{kind}_{len(self._names) + 1}"
            self._names[id(thing)] = found
            self.objects[found] = thing
        return found


@dataclass(frozen=True, slots=True)
class Fast:
    """The fast form: what must hold (`guards`, each true when a variable is an integer), the code, its bounds."""

    guards: tuple[ast.expr, ...]
    code: ast.expr
    bounds: Bounds


class ExpressionCompiler(Trees):
    """Compiles the expressions of one route."""

    def __init__(self, program: Program, binding: Binding, pool: Pool) -> None:
        super().__init__()
        self.program = program
        self.binding = binding
        self.pool = pool
        self.rc: ast.expr = self.expression("run.rc")
        self.waits = False
        self._temporaries = count(1)

    def temporary(self) -> str:
        return f"t{next(self._temporaries)}"

    # -- variables ------------------------------------------------------------------------------------------

    def variable(self, node: n.Variable) -> ast.expr:
        """The value of a variable."""
        code = self._plain_variable(node)
        for step in node.transformations:
            code = self._transformed(step, code)
        return code

    def _plain_variable(self, node: n.Variable) -> ast.expr:
        signature = self.program.catalog.variable(node.name)
        if signature is not None and signature.module == "core":
            inline = self._inline(node)
            if inline is not None:
                return inline
        getter = self.binding.plain_access(node).get
        return self.expression("GET(run)", GET=self.pool.put("get", getter))

    def _inline(self, node: n.Variable) -> ast.expr | None:
        inner = node.inner.constant if node.inner is not None else None
        match node.name:
            case "var" if inner is not None:
                return self.expression("v[SLOT]", SLOT=self.binding.slot(inner))
            case "avp" if inner is not None:
                return self._inline_avp(inner, node.index)
            case "rc" | "retcode":
                return self.rc
            case "param" if inner is not None and inner.isdecimal() and node.index is None and int(inner) > 0:
                number = int(inner)
                if number == 1:
                    return self.expression("(p[0] if p else None)")
                return self.expression("(p[INDEX] if len(p) >= COUNT else None)", INDEX=number - 1, COUNT=number)
            case "cfg_line":
                return self.constant(node.span.line)
            case "cfg_file":
                return self.constant(node.span.file.name)
        return None

    def _inline_avp(self, avp: str, index: n.Index | None) -> ast.expr | None:
        if index is None:
            return self.expression(
                "(L[-1] if (L := avps.get(NAME)) else None)", L=self.temporary(), NAME=self.constant(avp)
            )
        if isinstance(index, int):
            return self.expression("avp_at(avps.get(NAME), INDEX)", NAME=self.constant(avp), INDEX=index)
        return self.expression("avp_text(avps.get(NAME))", NAME=self.constant(avp)) if index == "*" else None

    def _transformed(self, step: n.Transformation, value: ast.expr) -> ast.expr:
        prepared = None
        if (step.class_name, step.name) == ("s", "eval"):
            return self.expression("run.evaluate(VALUE)", VALUE=value)
        prepared = self.binding.prepared(step)
        if prepared is not None:
            return self.expression("TR(VALUE)", TR=self.pool.put("tr", prepared), VALUE=value)
        function = self.binding.transformation(step).function
        call = self.expression("TR(VALUE)", TR=self.pool.put("tr", function), VALUE=value)
        assert isinstance(call, ast.Call)
        kinds = self.binding.transformation(step).kinds
        for number, template in enumerate(step.arguments):
            text = template.constant
            if text is None:
                call.args.append(self.template_value(template))
            else:
                from .binding import constant_argument

                kind = kinds[number] if number < len(kinds) else "string"
                call.args.append(self.constant(constant_argument(text, kind)))
        return call

    # -- texts ----------------------------------------------------------------------------------------------

    def template(self, template: n.Template) -> ast.expr:
        """A text with its variables filled in."""
        text = template.constant
        if text is not None:
            return self.constant(text)
        values: list[ast.expr] = []
        for piece in template.pieces:
            if isinstance(piece, str):
                values.append(self.constant(piece))
            else:
                values.append(self.placed(ast.FormattedValue(self.text(self.variable(piece)), -1, None)))
        if len(values) == 1 and isinstance(values[0], ast.FormattedValue):
            return values[0].value
        return self.placed(ast.JoinedStr(values))

    def text(self, value: ast.expr) -> ast.expr:
        """What is printed for a value."""
        return self.expression("(T if (T := VALUE).__class__ is str else text_of(T))", T=self.temporary(), VALUE=value)

    def template_value(self, template: n.Template) -> ast.expr:
        """A template as a value: a variable alone keeps its kind."""
        if len(template.pieces) == 1 and isinstance(template.pieces[0], n.Variable):
            return self.variable(template.pieces[0])
        return self.template(template)

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
                return self.expression("invert(VALUE)", VALUE=self.general(node.operand))
            case n.Binary():
                return self.expression(
                    "operate(OPERATOR, LEFT, RIGHT, FROM_VARIABLE)",
                    OPERATOR=self.constant(node.operator),
                    LEFT=self.general(node.left),
                    RIGHT=self.general(node.right),
                    FROM_VARIABLE=self.constant(isinstance(node.right, n.Variable)),
                )
            case n.Comparison() | n.Not() | n.Logic():
                return self.expression("truth_number(TRUTH)", TRUTH=self.condition(node))
            case n.Call() | n.RouteCall():
                return self.code(node)
            case n.Network():
                return self.constant(node.text)

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
                return self.expression("expression_truth(A)", A=self._bracketed(node.expression))
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
        """The value of `[node]`: a text plus a number that is written out or calculated is the text alone."""
        if not isinstance(node, n.Binary) or node.operator != "+" or isinstance(node.right, n.Variable):
            return self.value(node)
        general = self.expression("bracketed_sum(A, B)", A=self.general(node.left), B=self.general(node.right))
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
        return self.expression(
            "(T := VALUE) is not FAILED and SET(run, stored(T), OPERATOR)",
            T=self.temporary(),
            VALUE=value,
            SET=setter,
            OPERATOR=self.constant(":=" if node.operator == ":=" else "="),
        )

    def assigned_value(self, node: n.Assignment) -> ast.expr:
        """What is assigned, for `x += e` the sum."""
        value = self.value(node.value)
        if node.operator in ("=", ":="):
            return value
        return self.expression(
            "compound(OPERATOR, LEFT, RIGHT)",
            OPERATOR=self.constant(node.operator[:-1]),
            LEFT=self.variable(node.target),
            RIGHT=value,
        )

    # -- calls ----------------------------------------------------------------------------------------------

    def code(self, node: n.Call | n.RouteCall) -> ast.expr:
        """The return code of a call inside an expression; a code of 0 ends the script."""
        call = self.call(node) if isinstance(node, n.Call) else self.route_call(node)
        return self.expression("((rc := CALL) or run.stop())", CALL=call)

    def call(self, node: n.Call) -> ast.expr:
        """A call of a module's function, awaited where it can wait."""
        resolved = self.program.call(node)
        implementation = resolved.function.implementation
        assert implementation is not None, "the checker refuses to run what is not available"
        outer, self.place = self.place, place_of(node.span)
        call = self.started(node, resolved, implementation)
        self.place = outer
        if not implementation.waits:
            return call
        return self.expression("(T if (T := CALL).__class__ is int else await T)", T=self.temporary(), CALL=call)

    def started(self, node: n.Call, resolved: ResolvedCall, implementation: Implementation) -> ast.expr:
        """The call itself, not awaited."""
        if implementation.bind is not None:
            arguments = [self.argument(given, parameter) for given, parameter in _pairs(node, resolved)]
            bound = implementation.bind(*arguments)
            return self.expression("CALL(run)", CALL=self.pool.put(f"call_{node.name}", bound))
        call = self.expression("CALL(run)", CALL=self.pool.put(f"call_{node.name}", implementation.call))
        assert isinstance(call, ast.Call)
        for given, parameter in _pairs(node, resolved):
            if given is None:
                call.args.append(self._left_out(resolved, parameter))
            else:
                call.args.append(self.passed(given, parameter))
        while call.args and isinstance(call.args[-1], _LeftOut):
            call.args.pop()
        return call

    def _left_out(self, resolved: ResolvedCall, parameter: Parameter) -> ast.expr:
        return self.placed(_LeftOut(self._default(resolved, parameter)))

    def _default(self, resolved: ResolvedCall, parameter: Parameter) -> Value:
        import inspect

        implementation = resolved.function.implementation
        assert implementation is not None and implementation.call is not None
        own = inspect.signature(implementation.call).parameters.get(parameter.name)
        default = own.default if own is not None else None  # a stub has no parameters of its own
        return default if isinstance(default, int | str) else None

    def passed(self, given: n.Expression, parameter: Parameter) -> ast.expr:
        """An argument as the function gets it."""
        match parameter.kind, given:
            case Kind.VARIABLE, n.Variable():
                return self.name(self.pool.put("variable", self.binding.access(given)))
            case Kind.STRING, n.String():
                return self.constant(given.value) if parameter.literal else self.template(self.program.template(given))
            case Kind.STRING, _:
                return self.expression(
                    "(T if (T := A).__class__ is str else text_argument(T))",
                    T=self.temporary(),
                    A=self.value(given),
                )
            case Kind.INTEGER, n.Integer():
                return self.constant(given.value)
            case Kind.INTEGER, _:
                return self.expression(
                    "(T if (T := A).__class__ is int else number_argument(T))",
                    T=self.temporary(),
                    A=self.value(given),
                )
            case Kind.REGEX, n.String():
                from .posix_regex import compile_pattern

                return self.name(self.pool.put("pattern", compile_pattern(given.value, True)))
            case _:
                return self.expression("pattern_argument(A)", A=self.value(given))

    def argument(self, given: n.Expression | None, parameter: Parameter) -> Argument | None:
        """An argument as a function with a `bind` step sees it."""
        match given:
            case None:
                return None
            case n.Integer() | n.Null():
                value = given.value if isinstance(given, n.Integer) else None
                return Argument(lambda run: value, True, value)
            case n.String():
                template = self.program.template(given)
                text = given.value if parameter.literal else template.constant
                if text is not None:
                    return Argument(lambda run: text, True, text)
                return Argument(self._as_function(self.template(template), given.span))
            case n.Variable():
                access = self.binding.access(given)
                if parameter.kind is Kind.VARIABLE:
                    return Argument(access.get, variable=access)
                return Argument(self._as_function(self.variable(given), given.span))
            case _:
                return Argument(self._as_function(self.value(given), given.span))

    def all_of(self, guards: tuple[ast.expr, ...]) -> ast.expr:
        return guards[0] if len(guards) == 1 else self.placed(ast.BoolOp(ast.And(), list(guards)))

    def _as_function(self, code: ast.expr, span: Span) -> Callable[[Run], Value]:
        """`code` as a function of the run, compiled now: the texts of `xlog` and `mi()` are filled in by it."""
        used = {node.id for node in ast.walk(code) if isinstance(node, ast.Name)}
        outer, self.place = self.place, place_of(span)
        body = [s for key, text in TEXT_LOCALS.items() if key in used for s in self.statements(text)]
        function = self.function("text", ["run"], [*body, *self.statements("return CODE", CODE=code)], waits=False)
        self.place = outer
        space: dict[str, object] = {}
        exec(compile(ast.Module([function], []), span.file.name, "exec"), self.pool.objects, space)
        return cast(Callable[[Run], Value], space["text"])

    # -- route calls ----------------------------------------------------------------------------------------

    def route_call(self, node: n.RouteCall) -> ast.expr:
        """A call of a route, awaited; routes never return 0."""
        given = self.placed(
            ast.Tuple([self.constant(None) if a is None else self.value(a) for a in node.arguments], LOAD)
        )
        target = self.route_name(node.name)
        if isinstance(target, str):
            return self.expression("await ROUTE(run, GIVEN)", ROUTE=target, GIVEN=given)
        return self.expression(
            "(-1 if (T := await call_named(run, TARGET, GIVEN)) is None else T)",
            T=self.temporary(),
            TARGET=target,
            GIVEN=given,
        )

    def route_name(self, node: n.String | n.Variable) -> str | ast.expr:
        """The Python name of a route known now, or the code that gives its name."""
        if isinstance(node, n.Variable):
            return self.variable(node)
        template = self.program.template(node)
        text = template.constant
        return self.template_value(template) if text is None else python_name("route", text)


TEXT_LOCALS = {"v": "v = run.vars", "avps": "avps = run.avps", "p": "p = run.parameters"}


class _LeftOut(ast.Constant):
    """The default of an argument that the script left out."""


def _pairs(node: n.Call, resolved: ResolvedCall) -> list[tuple[n.Expression | None, Parameter]]:
    given = list(node.arguments) + [None] * (len(resolved.form) - len(node.arguments))
    return list(zip(given, resolved.form, strict=True))


def python_name(kind: str, route: str) -> str:
    """A Python identifier for a route; different names never meet."""
    plain = "".join(c if c.isascii() and c.isalnum() else f"_{ord(c):x}_" for c in route)
    return f"{kind}_{plain}" if route else kind
