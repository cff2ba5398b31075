"""What a running script is made of.

A `Script` is compiled and ready; a `Run` is one execution of it: its message, its variables, its return code.
Compiled routes are `async def route(run, parameters) -> int`.  What operators do is in `operations`, lists of values
in `avps`.
"""

from __future__ import annotations

import ast
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import FrameType
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..values import Value, plain_text, text_of
from .operations import BadArgument

if TYPE_CHECKING:
    from .signatures import VariableAccess

log = logging.getLogger("miscript.script")

MAX_ROUTE_DEPTH: Final = 100
"""Nested route calls, the outermost counted; the server's own limit."""

MAX_EVAL_DEPTH: Final = 10
"""How deep `{s.eval}` may refer to itself (the server has no limit and dies)."""

MAX_EVALUATIONS: Final = 1000
"""Texts that one `{s.eval}` may evaluate altogether: a text can hold many that hold many."""


NO_RESULT: Final = -5
"""The value of a call of a route that does not exist, and of a `break`."""


class Stop(BaseException):
    """Ends the whole script; never leaves the host.  Raised by `exit`, `drop`, `return(0)` and `async()`."""


class BudgetExceeded(Stop):
    """The run took more steps or time than `--limit` allows."""


@dataclass(frozen=True, slots=True)
class RouteInfo:
    """What `$route` tells of a route."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind}[{self.name}]" if self.name else self.kind


CompiledText: TypeAlias = "Callable[[Run], str]"
CompiledRoute: TypeAlias = "Callable[[Run, Parameters], Coroutine[Any, Any, int]]"


Parameters: TypeAlias = tuple[Value, ...]
"""What `$param(1)` … read."""


class EventParameters(tuple[Value, ...]):
    """Attributes of an event, by position and by name."""

    names: Mapping[str, Value]

    @classmethod
    def of(cls, attributes: Sequence[tuple[str, Value]]) -> EventParameters:
        self = cls(value for _, value in attributes)
        self.names = {name: value for name, value in reversed(attributes) if name}  # the first of a name counts
        return self


def parameter_at(parameters: Parameters, index: Value) -> Value:
    """`$param(n)`, counted from 1, or `$param(name)` of an event."""
    if isinstance(index, int):
        return parameters[index - 1] if 0 < index <= len(parameters) else None
    return parameters.names.get(index or "") if isinstance(parameters, EventParameters) else None


class VariableSpace:
    """The variables of one worker: they persist from run to run, and one run at a time holds the space.

    `slots` are the `$var`s by the number that the compiler gave each name.  `data` is for modules whose variables
    live as long (`$json`).  The log levels are the worker's own once a script has assigned them.
    """

    __slots__ = ("data", "log_level", "slots", "xlog_level")

    def __init__(self, slots: list[Value] | None = None) -> None:
        self.slots: list[Value] = slots if slots is not None else []
        self.data: dict[str, Any] = {}
        self.xlog_level: int | None = None
        self.log_level: int | None = None


class Symbols:
    """The numbers of all `$var` names; shared by the scripts of a host, so that a reload keeps the values."""

    def __init__(self) -> None:
        self.numbers: dict[str, int] = {}

    def slot(self, name: str) -> int:
        return self.numbers.setdefault(name, len(self.numbers))

    def space(self, start: Mapping[str, Value] = {}) -> VariableSpace:
        """A new space in which the variables of `start` are set."""
        space = VariableSpace([None] * len(self.numbers))
        for name, value in start.items():
            number = self.slot(name)
            space.slots.extend([None] * (number + 1 - len(space.slots)))
            space.slots[number] = value
        return space

    def fit(self, space: VariableSpace) -> VariableSpace:
        """Make room in `space` for names that came after it."""
        missing = len(self.numbers) - len(space.slots)
        if missing > 0:
            space.slots.extend([None] * missing)
        return space


@dataclass(slots=True)
class ErrorInfo:
    """What `$err.*` tell."""

    error_class: int = 0
    level: int = 0
    info: str = ""
    rcode: int = 0
    rreason: str = ""


@dataclass(slots=True)
class Pending:
    """An operation inside `async()` or `launch()`.

    `finish(run, result)` writes what it has to the variables of the run that resumes and gives the return code;
    `timed_out(run)` does the same when the deadline passed.
    """

    operation: Awaitable[Any]
    finish: Callable[[Run, Any], int]
    timed_out: Callable[[Run], int] = field(default=lambda run: -1)


@dataclass(frozen=True, slots=True)
class Continuation:
    """Where `async()` goes on."""

    pending: Pending
    resume: CompiledRoute | None
    timeout: float | None


@dataclass(frozen=True, slots=True)
class Launched:
    """What `launch()` hands to the host."""

    pending: Pending
    resume: CompiledRoute | None
    text: str | None


class Script:
    """A compiled script, ready to be run: its routes and the limits it sets."""

    def __init__(self, name: str, symbols: Symbols) -> None:
        self.name = name
        self.symbols = symbols
        self.routes: dict[tuple[str, str], CompiledRoute] = {}
        self.timers: dict[str, int] = {}
        self.trees: dict[tuple[str, str], ast.Module] = {}
        self.evaluate: Callable[[Run, str], str | None] = lambda run, text: None
        self.launch: Callable[[Run, Launched], None] = lambda run, job: None
        self.pause: Callable[[], Awaitable[None]] | None = None
        self.message_of: Callable[[Run, str], Any | None] = lambda run, context: run.message
        """The "request" or the "reply" that a run has to do with; None when there is none."""

    def python(self) -> str:
        """The Python code of all routes, for people."""
        return "\n\n\n".join(ast.unparse(module) for module in self.trees.values())

    def named(self, kind: str) -> dict[str, CompiledRoute]:
        """All routes of one kind, by name, in the order of the source."""
        return {name: code for (k, name), code in self.routes.items() if k == kind}


class Run:
    """One execution of a script."""

    __slots__ = (
        "avps",
        "budget",
        "continuation",
        "data",
        "deadline",
        "dropped",
        "error",
        "eval_depth",
        "evaluations",
        "flags",
        "frames",
        "kind",
        "max_depth",
        "message",
        "pool",
        "rc",
        "returned",
        "script",
        "space",
        "steps",
        "vars",
    )

    def __init__(self, script: Script, space: VariableSpace, kind: str, message: Any = None) -> None:
        self.script = script
        self.space = space
        self.vars = space.slots
        self.kind = kind
        self.message = message
        self.avps: dict[str, list[Value]] = {}
        self.rc = 1
        self.frames: list[tuple[RouteInfo, Parameters]] = []
        self.returned: tuple[Value, ...] = ()
        self.continuation: Continuation | None = None
        self.dropped = False
        self.flags: set[str] = set()
        self.error = ErrorInfo()
        self.eval_depth = 0
        self.evaluations = 0
        self.pool: Any = None
        self.steps: int | None = None
        self.deadline: float | None = None
        self.budget = ""
        self.max_depth = MAX_ROUTE_DEPTH
        self.data: dict[str, Any] = {}

    @property
    def parameters(self) -> Parameters:
        """The parameters of the innermost route."""
        return self.frames[-1][1] if self.frames else ()

    @property
    def route(self) -> RouteInfo:
        """The innermost route."""
        return self.frames[-1][0]

    def stop(self) -> int:
        """End the script; the type says `int` because it stands where a return code is tested."""
        raise Stop

    def drop(self) -> None:
        self.dropped = True
        raise Stop

    def called(self, code: int | None) -> int:
        """A call or an assignment inside an expression: `$rc` shows its code from here on, 0 ends the script.

        None, a route that does not exist, counts as -5 and leaves `$rc` as it is.
        """
        if code is None:
            return NO_RESULT
        if not code:
            raise Stop
        self.rc = code
        return code

    def step(self) -> None:
        """One turn of a loop or one route call of a script that runs with a budget."""
        if self.steps is not None:
            self.steps -= 1
            if self.steps < 0:
                raise BudgetExceeded(self.budget)
        if self.deadline is not None and time.monotonic() > self.deadline:
            raise BudgetExceeded(self.budget)

    def failed(self, error: Exception) -> int:
        """A function of a module broke: said once with its traceback, for the script it is a failed call."""
        if isinstance(error, BadArgument):
            log.error("%s: %s", self.route, error)
        else:
            log.error("a function failed in %s", self.route, exc_info=error)
        return -1

    def undelivered(self, error: Exception) -> Pending | None:
        """The function inside `async()` or `launch()` broke before it started: the resume route runs with -1.

        None when it could not be called with these arguments: the statement fails, and the script goes on.
        """
        code = self.failed(error)
        if isinstance(error, BadArgument):
            return None

        async def nothing() -> int:
            return code

        return pending_of(nothing())

    def evaluate(self, value: Value) -> Value:
        """`{s.eval}`: the text with its own variables filled in; NULL when it refers to itself too deep."""
        if value is None:
            return None
        if self.eval_depth == 0:
            self.evaluations = 0
        self.evaluations += 1
        if self.eval_depth >= MAX_EVAL_DEPTH or self.evaluations > MAX_EVALUATIONS:
            log.error("{s.eval} nests deeper than %d or evaluates more than %d texts", MAX_EVAL_DEPTH, MAX_EVALUATIONS)
            return None
        self.eval_depth += 1
        try:
            return self.script.evaluate(self, plain_text(value))
        finally:
            self.eval_depth -= 1

    def suspend(self, pending: Pending | None, resume: CompiledRoute | None, timeout: float | None) -> int:
        """Leave the route until `pending` is done; -1 when there is nothing to wait for."""
        if pending is None:
            return -1
        self.continuation = Continuation(pending, resume, timeout)
        raise Stop

    def launch(self, pending: Pending | None, resume: CompiledRoute | None, text: str | None) -> int:
        """Hand `pending` to the host; -1 when there is nothing to wait for."""
        if pending is None:
            return -1
        self.script.launch(self, Launched(pending, resume, text))
        return 1


def place_in_script(frames: Iterable[tuple[FrameType, int]]) -> str:
    """Where a script stands, as " (file:line)"; empty outside of scripts.

    `frames` are those of Python with their lines, the innermost first.
    """
    for frame, line in frames:
        if "__name__" not in frame.f_globals:  # the code of a script is of no module
            return f" ({frame.f_code.co_filename}:{line})"
    return ""


# -- what compiled code calls -----------------------------------------------------------------------------------


def too_deep(run: Run) -> int:
    """A call that would nest too deep fails like a function: the caller goes on with -1.  Said once in a run."""
    if "too deep" not in run.data:
        run.data["too deep"] = True
        log.error("routes nest deeper than %d in %s", run.max_depth, run.route)
    return -1


def _route_named(run: Run, name: Value) -> CompiledRoute | None:
    """The route of a name known only now; the main route has none that could be said here."""
    return run.script.routes.get(("route", plain_text(name))) if name is not None and name != "" else None


async def call_named(run: Run, name: Value, parameters: Parameters) -> int | None:
    """`route($var(x))`: None when there is no such route."""
    code = _route_named(run, name)
    if code is None:
        log.error("there is no route '%s'", text_of(name))
        return None
    return await code(run, parameters)


def resume_route(run: Run, name: Value) -> CompiledRoute | None:
    """The route that `async()` or `launch()` names at run time."""
    code = _route_named(run, name)
    if code is None:
        log.error("there is no route '%s' to resume with", text_of(name))
    return code


def pending_of(result: Any) -> Pending:
    """What an asynchronous function returned, as `Pending`: many just return an awaitable of their code."""
    if isinstance(result, Pending):
        return result
    return Pending(result, lambda run, code: code if isinstance(code, int) else code(run))


def return_code(value: Value) -> int:
    """`return($var(x))`: a number is itself, a text is 1, NULL is -1."""
    if isinstance(value, int):
        return int(value)
    return -1 if value is None else 1


def assertion_failed(run: Run, text: str) -> int:
    """`assert` that does not hold: logged, the error route runs, the script ends."""
    log.critical("assertion failed in %s%s", run.route, f": {text}" if text else "")
    run.error = ErrorInfo(4, 1, "assertion failed", 500, "server error")
    raise AssertionStop


class AssertionStop(Stop):
    """A failed `assert`: the host runs the error route."""


async def pause(run: Run) -> None:
    """Let others have the loop; called by loops every few hundred turns."""
    if run.script.pause is not None:
        await run.script.pause()


def loop_limit(run: Run, limit: int) -> None:
    log.error("a while loop in %s reached max_while_loops (%d)", run.route, limit)


def walk(run: Run, access: VariableAccess) -> Sequence[Value]:
    """The values of any other list that `for` walks through."""
    return access.values(run)
