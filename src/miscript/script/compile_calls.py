"""Calls of functions and routes, and their arguments → Python expressions."""

from __future__ import annotations

import ast
from collections.abc import Callable
from typing import cast

from ..errors import ConfigurationError
from ..values import Value
from . import nodes as n
from .binding import CannotBind
from .compile_expressions import ExpressionCompiler
from .program import ResolvedCall
from .python_ast import LOAD, place_of
from .runtime import Run
from .signatures import Argument, Implementation, Kind, Parameter, VariableInText
from .source import Span


class CallCompiler(ExpressionCompiler):
    """Compiles the calls of one route."""

    # -- calls ----------------------------------------------------------------------------------------------

    def code(self, node: n.Call | n.RouteCall) -> ast.expr:
        """The return code of a call inside an expression; a code of 0 ends the script."""
        call = self.call(node) if isinstance(node, n.Call) else self.route_call(node)
        return self.expression("run.called(CALL)", CALL=call)

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
            try:
                bound = implementation.bind(*arguments)
            except ConfigurationError as error:
                raise CannotBind(f"{node.name}(): {error}", node.span) from error
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

                return self.name(self.pool.put("pattern", compile_pattern(given.value, True, lines=True)))
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
                alone = None
                if len(template.pieces) == 1:
                    alone = self._as_function(self.template_value(template), given.span)
                pieces = tuple(
                    piece if isinstance(piece, str) else VariableInText(self.binding.access(piece), piece.text)
                    for piece in template.pieces
                )
                return Argument(self._as_function(self.template(template), given.span), alone=alone, pieces=pieces)
            case n.Variable():
                access = self.binding.access(given)
                if parameter.kind is Kind.VARIABLE:
                    return Argument(access.get, variable=access)
                return Argument(self._as_function(self.variable(given), given.span))
            case _:
                return Argument(self._as_function(self.value(given), given.span))

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
        """A call of a route, awaited; routes never return 0, and one that does not exist gives None."""
        given = self.placed(
            ast.Tuple([self.constant(None) if a is None else self.value(a) for a in node.arguments], LOAD)
        )
        target = self.route_name(node.name)
        if isinstance(target, str):
            return self.expression("await ROUTE(run, GIVEN)", ROUTE=target, GIVEN=given)
        return self.expression("await call_named(run, TARGET, GIVEN)", TARGET=target, GIVEN=given)

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
