"""A checked script → Python functions, one `async def` for each route.

Made as Python syntax trees that carry the script's own positions, so that a traceback quotes the line of
`opensips.cfg`, debuggers and coverage see script lines, and there is no text to escape.  What is constant is bound
here, once: slots of `$var`, functions of modules, regular expressions, MI commands.

A compiled route looks like this (`miscript show python FILE` prints the real ones):

```python
async def route_inc(run, p):
    v = run.vars; avps = run.avps; frames = run.frames
    if len(frames) >= run.max_depth: return too_deep(run)
    frames.append((route_info, p))
    ...
    frames.pop(); run.returned = ()
    return run.rc or 1
```
"""

from __future__ import annotations

import ast
from typing import assert_never

from ..values import TextWithNumber, text_of, wrap
from . import avps, operations, runtime
from . import nodes as n
from .binding import Binding
from .compile_assignments import AssignmentCompiler, sets_rc
from .compile_calls import python_name
from .compile_variables import Pool
from .evaluator import Evaluator
from .program import Program
from .python_ast import LOAD, place_of
from .runtime import RouteInfo, Script, Symbols

PAUSE_MASK = 511
"""A loop offers the event loop to others every 512 turns."""

PYTHON_BUILTINS = {"len": len, "range": range, "bool": bool, "int": int, "str": str, "Exception": Exception}
RUNTIME_NAMES = {
    key: getattr(module, key)
    for module, keys in (
        (
            runtime,
            "NO_RESULT assertion_failed call_named loop_limit parameter_at pause pending_of "
            "resume_route return_code too_deep walk",
        ),
        (
            operations,
            "FAILED bracketed_sum case_of compare compound divide expression_truth in_network invert matches "
            "matches_dynamic modulo number_argument operate pattern_argument stored text_argument "
            "truth_number truth_operand with_text",
        ),
        (avps, "AvpWalk avp_assign avp_at avp_text"),
    )
    for key in keys.split()
}
"""All that compiled code may use besides the objects that were bound for it."""


def compile_program(program: Program, symbols: Symbols, *, budget: bool = False) -> Script:
    """Compile every route of `program`.

    `symbols` are the host's `$var` numbers.  With `budget`, loops and route calls count steps (`Run.step`).
    """
    script = Script(program.name, symbols)
    pool = Pool()
    pool.objects.update(PYTHON_BUILTINS, **RUNTIME_NAMES, text_of=text_of, wrap=wrap)
    pool.objects["__builtins__"] = {}
    binding = Binding(program.catalog, symbols)
    for route in program.routes:
        compiled = RouteCompiler(program, binding, pool, budget).route(route)
        module = ast.Module([compiled], [])
        script.trees[route.kind, route.name] = module
        exec(compile(module, route.span.file.name, "exec"), pool.objects)
        script.routes[route.kind, route.name] = pool.objects[compiled.name]  # type: ignore[assignment]
        if route.interval is not None:
            script.timers[route.name] = route.interval
    script.evaluate = Evaluator(binding)
    return script


class RouteCompiler(AssignmentCompiler):
    """Compiles the statements of one route."""

    def __init__(self, program: Program, binding: Binding, pool: Pool, budget: bool) -> None:
        super().__init__(program, binding, pool)
        self.budget = budget
        self.asserts = bool(program.parameters.get("enable_asserts", 0))
        limit = program.parameters.get("max_while_loops", 10000)
        self.max_while_loops = limit if isinstance(limit, int) else 10000

    def route(self, node: n.Route) -> ast.AsyncFunctionDef:
        self.place = place_of(node.head)
        body = self.list_(node.body)
        used = {x.id for s in body for x in ast.walk(s) if isinstance(x, ast.Name)}
        head = self.statements(
            """
            frames = run.frames
            if len(frames) >= run.max_depth:
                return too_deep(run)
            frames.append((INFO, p))
            """,
            INFO=self.pool.put("info", RouteInfo(node.kind, node.name)),
        )
        if self.budget:
            head += self.statements("run.step()")
        head += [s for key, text in _LOCALS.items() if key in used for s in self.statements(text)]
        end = self.statements("frames.pop(); run.returned = ()\nreturn run.rc or 1")
        made = self.function(python_name(node.kind, node.name), ["run", "p"], [*head, *body, *end], waits=True)
        assert isinstance(made, ast.AsyncFunctionDef)
        return made

    # -- statements -----------------------------------------------------------------------------------------

    def list_(self, node: n.Block) -> list[ast.stmt]:
        """The statements of a route, a branch, a case or a loop; what the last one leaves is the value of the list."""
        last = _last(node)
        return [] if last is None else self.block(node, last)

    def block(self, node: n.Block, last: n.Statement) -> list[ast.stmt]:
        return [s for statement in node.statements for s in self.statement(statement, last)]

    def branch(self, node: n.Block, empty: int) -> list[ast.stmt]:
        """The block of an if; `empty` is `$rc` after a block without statements."""
        return self.list_(node) or self.statements("run.rc = EMPTY", EMPTY=empty)

    def statement(self, node: n.Statement, last: n.Statement) -> list[ast.stmt]:
        outer, self.place = self.place, place_of(node.span)
        made = self.block(node, last) if isinstance(node, n.Block) else self._statement(node, node is last)
        self.place = outer
        return made

    def _statement(self, node: n.Statement, last: bool) -> list[ast.stmt]:
        match node:
            case n.Block():
                raise AssertionError("blocks are opened by 'statement'")
            case n.Empty():
                return []
            case n.Assignment():
                return self.assign(node)
            case n.Call() | n.RouteCall():
                return self.call_statement(node, last)
            case n.If():
                return self.if_(node, last)
            case n.While():
                return self.while_(node)
            case n.For():
                return self.for_(node)
            case n.Switch():
                return self.switch(node)
            case n.Break():
                return self.statements("run.rc = NO_RESULT\nbreak")
            case n.Return():
                return self.return_(node)
            case n.Exit():
                return self.statements("run.stop()")
            case n.Drop():
                return self.statements("run.drop()")
            case n.Assert():
                return self.assertion(node)
            case n.Async():
                return self.async_(node)
            case n.Launch():
                return self.launch(node)
            case _:
                assert_never(node)

    def call_statement(self, node: n.Call | n.RouteCall, last: bool) -> list[ast.stmt]:
        if isinstance(node, n.RouteCall):
            if isinstance(self.route_name(node.name), str):
                return self.statements("run.rc = CALL", CALL=self.route_call(node))
            text = "run.rc = run.called(CALL)" if last else "run.called(CALL)"
            return self.statements(text, CALL=self.route_call(node))
        return self.statements(
            """
            try:
                r = CALL
            except Exception as error:
                r = run.failed(error)
            if not r:
                run.stop()
            run.rc = r
            """,
            CALL=self.call(node),
        )

    # -- flow -----------------------------------------------------------------------------------------------

    def tested(self, node: n.Condition) -> tuple[list[ast.stmt], ast.expr]:
        """A condition: what comes before it, and its code."""
        if not sets_rc(node):
            return [], self.condition(node)
        c = self.temporary()
        before = self.guarded(
            self.statements("C = CONDITION", C=c, CONDITION=self.condition(node)),
            self.statements("C = None\nrun.rc = run.failed(error)", C=c),
        )
        return before, self.name(c)

    def if_(self, node: n.If, last: bool) -> list[ast.stmt]:
        """An `if` of which no branch runs shows its condition in `$rc`, but counts as 1 at the end of a list."""
        before, test = self.tested(node.condition)
        untaken = self.statements("run.rc = 1" if last else "run.rc = 0")
        if self.can_err(node.condition) and not last:
            result = self.temporary()
            test = self.expression("(C := TEST)", C=result, TEST=test)
            untaken = self.statements("run.rc = 0 if C is not None else -1", C=result)
        otherwise = untaken if node.otherwise is None else self.list_(node.otherwise) or untaken
        return before + self.statements(
            "if TEST:\n    THEN\nelse:\n    OTHERWISE",
            TEST=test,
            THEN=self.branch(node.then, 1),
            OTHERWISE=otherwise,
        )

    def while_(self, node: n.While) -> list[ast.stmt]:
        """A loop ends with 1, or with what its last turn left when `max_while_loops` ends it."""
        before, test = self.tested(node.condition)
        body = self.list_(node.body)
        if self.max_while_loops <= 0:
            return self.statements("loop_limit(run, LIMIT)\nrun.rc = NO_RESULT", LIMIT=self.max_while_loops)
        if not body:  # the server leaves a loop that has nothing to do
            return before + self.statements("TEST\nrun.rc = 1", TEST=test)
        turn = self.temporary()
        return self.statements(
            """
            for TURN in range(LIMIT):
                BEFORE
                if not TEST:
                    run.rc = 1
                    break
                BODY
                STEP
                if TURN & MASK == MASK:
                    await pause(run)
            else:
                loop_limit(run, LIMIT)
            """,
            TURN=turn,
            LIMIT=self.max_while_loops,
            BEFORE=before,
            TEST=test,
            BODY=body,
            STEP=self._step(),
            MASK=PAUSE_MASK,
        )

    def _step(self) -> list[ast.stmt]:
        return self.statements("run.step()") if self.budget else []

    def for_(self, node: n.For) -> list[ast.stmt]:
        item, turn = self.temporary(), self.temporary()
        body = self.list_(node.body)
        if not body:  # the server does not even set the iterator
            return self.statements("run.rc = 1")
        return self.statements(
            """
            TURN = 0
            for ITEM in SEQUENCE:
                TURN += 1
                ASSIGN
                BODY
                STEP
                if TURN & MASK == MASK:
                    await pause(run)
            if not TURN:
                run.rc = 1
            """,
            TURN=turn,
            ITEM=item,
            SEQUENCE=self._sequence(node.sequence),
            ASSIGN=self._iterator(node, item),
            BODY=body,
            STEP=self._step(),
            MASK=PAUSE_MASK,
        )

    def _sequence(self, node: n.Variable) -> ast.expr:
        inner = node.inner.constant if node.inner is not None else None
        if node.name == "avp" and inner is not None and node.index == "*" and not node.transformations:
            return self.expression("AvpWalk(avps, NAME)", NAME=self.constant(inner))
        return self.expression("walk(run, ACCESS)", ACCESS=self.pool.put("variable", self.binding.access(node)))

    def _iterator(self, loop: n.For, item: str) -> list[ast.stmt]:
        node = loop.iterator
        inner = node.inner.constant if node.inner is not None else None
        value: ast.expr = self.name(item)
        if node.name.startswith("json"):  # which parses the text that a number has
            value = self.expression("with_text(ITEM)", ITEM=item)
        elif loop.sequence.name != "avp":
            value = self.expression("stored(ITEM)", ITEM=item)
        if node.name == "var" and inner is not None:
            return self.statements("v[SLOT] = VALUE", SLOT=self.binding.slot(inner), VALUE=value)
        operator = "=" if node.name == "avp" else ":="
        setter = self.pool.put("set", self.binding.access(node).set)
        return self.statements(
            "if not SET(run, VALUE, OPERATOR):\n    run.rc = NO_RESULT\n    break",
            SET=setter,
            VALUE=value,
            OPERATOR=self.constant(operator),
        )

    def switch(self, node: n.Switch) -> list[ast.stmt]:
        numbers: dict[int, int] = {}
        texts: dict[str, int] = {}
        default = len(node.cases)
        for number, case in enumerate(node.cases):
            match case.value:
                case n.Integer():
                    numbers.setdefault(case.value.value, number)
                case n.String():
                    texts.setdefault(_folded(case.value.value), number)
                case None:
                    default = number
        chosen = self.temporary()
        body: list[ast.stmt] = []
        for number, case in enumerate(node.cases):
            inner = self.list_(case.body)
            if inner:
                body += self.statements("if CHOSEN <= NUMBER:\n    BODY", CHOSEN=chosen, NUMBER=number, BODY=inner)
        return self.statements(
            "CHOSEN = case_of(SUBJECT, NUMBERS, TEXTS, DEFAULT)\nrun.rc = 1\nwhile True:\n    BODY\n    break",
            CHOSEN=chosen,
            SUBJECT=self.variable(node.subject),
            NUMBERS=self.pool.put("numbers", numbers),
            TEXTS=self.pool.put("texts", texts),
            DEFAULT=default,
            BODY=body,
        )

    def return_(self, node: n.Return) -> list[ast.stmt]:
        given = self.placed(ast.Tuple([self._returned(v) for v in node.values], LOAD))
        before: list[ast.stmt] = []
        match node.code:
            case None:
                code = self.constant(1)
            case n.Integer(value=0):
                return self.statements("run.stop()")
            case n.Integer():
                code = self.constant(node.code.value)
            case n.Variable():
                code = self.name(self.temporary())
                before = self.statements(
                    "if not (CODE := return_code(VALUE)):\n    run.stop()",
                    CODE=code.id if isinstance(code, ast.Name) else "",
                    VALUE=self.variable(node.code),
                )
        return before + self.statements("run.returned = VALUES\nframes.pop()\nreturn CODE", VALUES=given, CODE=code)

    def _returned(self, node: n.Expression | None) -> ast.expr:
        """A further value of `return(code, …)`; a number that is written out is a text as well."""
        match node:
            case None:
                return self.constant(None)
            case n.Integer():
                return self.name(self.pool.put("text", TextWithNumber(node.value)))
            case _:
                return self.value(node)

    def assertion(self, node: n.Assert) -> list[ast.stmt]:
        if not self.asserts:
            return self.statements("run.rc = NO_RESULT")
        before, test = self.tested(node.condition)
        text = self.constant("") if node.text is None else self.constant(node.text.value)
        return before + self.statements(
            "if not TEST:\n    assertion_failed(run, TEXT)\nrun.rc = 1", TEST=test, TEXT=text
        )

    # -- async and launch -----------------------------------------------------------------------------------

    def pending(self, node: n.Call, t: str) -> list[ast.stmt]:
        """Start the operation; `t` holds its `Pending` afterwards."""
        resolved = self.program.call(node)
        implementation = resolved.function.implementation
        assert implementation is not None, "the checker refuses to run what is not available"
        call = self.started(node, resolved, implementation)
        return self.guarded(
            self.statements("T = pending_of(CALL)", T=t, CALL=call), self.statements("T = run.undelivered(error)", T=t)
        )

    def resume(self, node: n.String | n.Variable) -> ast.expr:
        target = self.route_name(node)
        return self.name(target) if isinstance(target, str) else self.expression("resume_route(run, T)", T=target)

    def async_(self, node: n.Async) -> list[ast.stmt]:
        t = self.temporary()
        timeout = (
            self.constant(None)
            if node.timeout is None
            else self.expression("number_argument(A)", A=self.value(node.timeout))
        )
        return self.pending(node.call, t) + self.statements(
            "run.rc = run.suspend(T, RESUME, TIMEOUT)", T=t, RESUME=self.resume(node.resume), TIMEOUT=timeout
        )

    def launch(self, node: n.Launch) -> list[ast.stmt]:
        t = self.temporary()
        match node.text:
            case None | n.String(value=""):
                text = self.constant(None)
            case n.String():
                text = self.template(self.program.template(node.text))
            case n.Variable():
                text = self.variable(node.text)
        return self.pending(node.call, t) + self.statements(
            "run.rc = run.launch(T, RESUME, TEXT)",
            T=t,
            RESUME=self.constant(None) if node.resume is None else self.resume(node.resume),
            TEXT=text,
        )


_LOCALS = {"v": "v = run.vars", "avps": "avps = run.avps"}


def _last(node: n.Block) -> n.Statement | None:
    """The last statement of a block that does something."""
    for statement in reversed(node.statements):
        if isinstance(statement, n.Block):
            inner = _last(statement)
            if inner is not None:
                return inner
        elif not isinstance(statement, n.Empty):
            return statement
    return None


def _folded(text: str) -> str:
    from ..values import decode, encode

    return text.lower() if text.isascii() else decode(encode(text).lower())
