"""What a running script is made of, and the few names that compiled code may use (`NAMES`).

A `Run` is one execution: its message, its variables, its return code.  Compiled routes are
`async def route(run, parameters) -> int`; the arithmetic and comparison functions here are the slow path of what
the compiler writes inline for plain integers.

Failure of an expression is the object `FAILED`; a condition is True, False or None, where None means "error"
(`if` takes it as false, `!` keeps it, `and`/`or` stop at it).  Source: docs/language.md.
"""

from __future__ import annotations

import ast
import ipaddress
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from re import Pattern
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from ..values import NumberWithText, Value, decode, encode, plain_text, text_of, wrap
from .posix_regex import PatternError, compile_pattern, compile_search

if TYPE_CHECKING:
    from .signatures import VariableAccess

log = logging.getLogger("miscript.script")

MAX_ROUTE_DEPTH: Final = 100
"""Nested route calls, the outermost counted; the server's own limit."""

MAX_EVAL_DEPTH: Final = 10
"""How deep `{s.eval}` may refer to itself (the server has no limit and dies)."""

MAX_TEXT: Final = 16 * 1024 * 1024
"""Bytes of one text: a loop that doubles a text must not take the host's memory."""

MAX_AVP_VALUES: Final = 1_000_000
"""Values of one AVP: `for ($avp(x) in $(avp(x)[*]))` never ends by itself."""


class Failed:
    """The type of `FAILED`, the result of an expression that cannot be computed."""

    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = Failed()
Result: TypeAlias = Value | Failed
Truth: TypeAlias = bool | None


class Stop(BaseException):
    """Ends the whole script; never leaves the host.  Raised by `exit`, `drop`, `return(0)` and `async()`."""


class BadArgument(Exception):
    """A variable does not hold what the function it is given to wants; the call fails with -1."""


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
        self.names = {name: value for name, value in attributes if name}
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
    resume: CompiledRoute
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
        "flags",
        "frames",
        "kind",
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
        self.pool: Any = None
        self.steps: int | None = None
        self.deadline: float | None = None
        self.budget = ""
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

    def undelivered(self, error: Exception) -> Pending:
        """The function inside `async()` or `launch()` broke before it started: the resume route runs with -1."""
        code = self.failed(error)

        async def nothing() -> int:
            return code

        return pending_of(nothing())

    def evaluate(self, value: Value) -> Value:
        """`{s.eval}`: the text with its own variables filled in; NULL when it refers to itself too deep."""
        if value is None:
            return None
        if self.eval_depth >= MAX_EVAL_DEPTH:
            log.error("{s.eval} refers to itself more than %d times", MAX_EVAL_DEPTH)
            return None
        self.eval_depth += 1
        try:
            return self.script.evaluate(self, plain_text(value))
        finally:
            self.eval_depth -= 1

    def suspend(self, pending: Pending, resume: CompiledRoute, timeout: float | None) -> None:
        self.continuation = Continuation(pending, resume, timeout)
        raise Stop

    def launch(self, pending: Pending, resume: CompiledRoute | None, text: str | None) -> None:
        self.script.launch(self, Launched(pending, resume, text))


# -- routes ---------------------------------------------------------------------------------------------


def too_deep(run: Run) -> int:
    """A call that would nest too deep fails like a function: the caller goes on with -1."""
    log.error("routes nest deeper than %d in %s", MAX_ROUTE_DEPTH, run.route)
    return -1


async def call_named(run: Run, name: Value, parameters: Parameters) -> int | None:
    """`route($var(x))`: None when there is no such route."""
    code = run.script.routes.get(("route", "" if name is None else plain_text(name)))
    if code is None:
        log.error("there is no route '%s'", text_of(name))
        return None
    return await code(run, parameters)


def resume_route(run: Run, name: Value) -> CompiledRoute | None:
    """The route that `async()` or `launch()` names at run time."""
    code = run.script.routes.get(("route", "" if name is None else plain_text(name)))
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


def text_argument(value: Value) -> str:
    """A variable where a function wants a text."""
    if value is None:
        raise BadArgument("a text is wanted, the variable is NULL")
    return plain_text(value)


def number_argument(value: Value) -> int:
    """A variable where a function wants a number."""
    if not isinstance(value, int):
        raise BadArgument(f"a number is wanted, the variable is {_kind(value)}")
    return int(value)


def pattern_argument(value: Value) -> Pattern[bytes]:
    """A variable where a function wants a regular expression."""
    try:
        return _pattern_for(text_argument(value))
    except PatternError as error:
        raise BadArgument(f"bad regular expression: {error}") from error


@lru_cache(maxsize=256)
def _pattern_for(pattern: str) -> Pattern[bytes]:
    return compile_pattern(pattern, True)


def case_of(value: Value, numbers: Mapping[int, int], texts: Mapping[str, int], default: int) -> int:
    """The number of the case that `switch` jumps to; NULL matches none."""
    if value is None:
        return default
    text = plain_text(value)
    found = texts.get(text.lower() if text.isascii() else decode(encode(text).lower()), default)
    return min(found, numbers.get(value, default)) if isinstance(value, int) else found


# -- expressions ----------------------------------------------------------------------------------------


def _numbers(operator: str, left: int, right: int) -> int:
    match operator:
        case "+":
            return wrap(left + right)
        case "-":
            return wrap(left - right)
        case "*":
            return wrap(left * right)
        case "/":
            return divide(left, right)
        case "%":
            return modulo(left, right)
        case "&":
            return left & right
        case "|":
            return left | right
        case "^":
            return left ^ right
        case "<<":
            return wrap(left << (right & 31))
        case _:
            return left >> (right & 31)


def divide(left: int, right: int) -> int:
    """Division towards zero; by zero it is 0, with a line in the log."""
    if right == 0:
        log.error("division by zero")
        return 0
    quotient = abs(left) // abs(right)
    return wrap(quotient if (left < 0) == (right < 0) else -quotient)


def modulo(left: int, right: int) -> int:
    """The remainder has the sign of the dividend; by zero it is 0, with a line in the log."""
    if right == 0:
        log.error("modulo by zero")
        return 0
    remainder = abs(left) % abs(right)
    return -remainder if left < 0 else remainder


def _texts(operator: str, left: str, right: str) -> Result:
    if operator == "+":
        if len(left) + len(right) > MAX_TEXT:
            log.error("a text of more than %d bytes", MAX_TEXT)
            return FAILED
        return left + right
    a, b = encode(left), encode(right)
    if operator not in "&|^" or len(a) != len(b):
        return _refuse(operator, left, right)
    mixed = {"&": int.__and__, "|": int.__or__, "^": int.__xor__}[operator]
    return bytes(mixed(x, y) for x, y in zip(a, b, strict=True)).decode("utf-8", "surrogateescape")


def _kind(value: Result) -> str:
    return "NULL" if value is None else "integer" if isinstance(value, int) else "text"


def _refuse(operator: str, left: Result, right: Result) -> Failed:
    log.error("'%s' cannot take %s and %s", operator, _kind(left), _kind(right))
    return FAILED


def operate(operator: str, left: Result, right: Result, from_variable: bool) -> Result:
    """`left operator right`.  `from_variable`: the right side is a variable, so its number also has a text."""
    if isinstance(left, Failed) or isinstance(right, Failed):
        return FAILED
    if isinstance(left, int):
        if right is None:
            return _numbers(operator, int(left), 0)
        return _numbers(operator, int(left), int(right)) if isinstance(right, int) else _refuse(operator, left, right)
    if left is None:
        if operator != "+":
            return _refuse(operator, left, right)
        if right is None:
            return ""
    elif right is None:
        return left if operator == "+" else _refuse(operator, left, right)
    if isinstance(right, int):
        if not (from_variable and operator == "+"):
            return _refuse(operator, left, right)
        right = plain_text(right)
    return _texts(operator, left or "", right)


def bracketed_sum(left: Result, right: Result) -> Result:
    """`[left + right]` in a condition, `right` being no variable.

    A text and a number give the text, without an error; an assignment of the same sum fails.
    """
    if isinstance(left, str) and isinstance(right, int):
        return left
    return operate("+", left, right, from_variable=False)


def invert(value: Result) -> Result:
    """`~ value`."""
    if isinstance(value, int):
        return ~int(value)
    return value if isinstance(value, Failed) else _refuse("~", value, value)


def compound(operator: str, left: Result, right: Result) -> Result:
    """`x op= e`: integer with integer, or text with text for `+=`; everything else fails."""
    if isinstance(left, int) and isinstance(right, int):
        return _numbers(operator, int(left), int(right))
    if isinstance(left, str) and isinstance(right, str) and operator == "+":
        return _texts("+", left, right)
    return FAILED if isinstance(right, Failed) else _refuse(f"{operator}=", left, right)


def stored(value: Result) -> Value:
    """A value as a variable keeps it: a plain int, str or None."""
    if value.__class__ is int or value.__class__ is str or value is None:
        return value
    return int(value) if isinstance(value, int) else None


def with_text(value: Value) -> Value:
    """The number of a variable together with its text, for `$json(x) := $var(n)`, which reads texts."""
    return NumberWithText(value, str(value)) if value.__class__ is int else value


# -- conditions -----------------------------------------------------------------------------------------

_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
}


def _folded(value: int | str) -> bytes | str:
    text = plain_text(value)
    return text.lower() if text.isascii() else encode(text).lower()


def compare(operator: str, left: Result, right: Result, constant_number: bool = False) -> Truth:
    """`left operator right` for the six orders.  `constant_number`: the right side is written as a number."""
    if isinstance(left, Failed) or isinstance(right, Failed):
        return None
    if isinstance(left, int) and isinstance(right, int):
        return _ORDER[operator](int(left), int(right))
    if left is None or right is None:
        return operator == ("==" if left is right else "!=")
    if constant_number:
        log.error("a text is compared with a number; use {s.int}")
        return None
    a, b = _folded(left), _folded(right)
    if a.__class__ is not b.__class__:
        a, b = (x if isinstance(x, bytes) else encode(x) for x in (a, b))
    return _ORDER[operator](a, b)


def matches(value: Result, search: Callable[[str], bool], wanted: bool) -> Truth:
    """`value =~ pattern` (`wanted`) or `!~` with a pattern known when the script was compiled."""
    if isinstance(value, Failed):
        return None
    if value is None:
        return not wanted
    return search(plain_text(value)) is wanted


@lru_cache(maxsize=512)
def _search_for(pattern: str) -> Callable[[str], bool]:
    return compile_search(pattern)


def matches_dynamic(value: Result, pattern: Result, wanted: bool) -> Truth:
    """`=~` and `!~` with a pattern that is known only now; a broken one is an error."""
    if isinstance(value, Failed) or isinstance(pattern, Failed):
        return None
    if value is None or pattern is None:
        return value is not pattern and not wanted
    try:
        search = _search_for(plain_text(pattern))
    except PatternError as error:
        log.error("bad regular expression '%s': %s", text_of(pattern), error)
        return None
    return search(plain_text(value)) is wanted


Net: TypeAlias = "ipaddress.IPv4Network | ipaddress.IPv6Network"


def in_network(value: Result, network: Net, wanted: bool) -> Truth:
    """`value == 10.0.0.0/8`; a text that is no address is an error."""
    if isinstance(value, Failed) or value is None:
        return None if value is not None else not wanted
    try:
        address = ipaddress.ip_address(plain_text(value).strip("[]"))
    except ValueError:
        log.error("'%s' is not an address", text_of(value))
        return None
    return (address in network) is wanted if address.version == network.version else not wanted


def truth_number(truth: Truth) -> Result:
    """A condition used as an operand: 1, 0, or a failure."""
    return FAILED if truth is None else int(truth)


def expression_truth(value: Result) -> Truth:
    """`[ expression ]` as a condition."""
    return None if isinstance(value, Failed) else bool(value)


# -- AVPs -----------------------------------------------------------------------------------------------
# Values are kept oldest first: pushing is an append, the newest is the last.


def avp_text(values: Sequence[Value] | None) -> str | None:
    """`$(avp(x)[*])`: all values, the newest first."""
    if not values:
        return None
    return ", ".join(text_of(v) for v in reversed(values))


def avp_at(values: Sequence[Value] | None, index: Value) -> Value:
    """`$(avp(x)[i])`: 0 is the newest, -1 the oldest."""
    if not values or not isinstance(index, int):
        return None
    position = -1 - index
    return values[position] if -len(values) <= position < len(values) else None


def avp_assign(
    avps: dict[str, list[Value]],
    name: str,
    index: int | Literal["*", "append"] | None,
    operator: str,
    value: Value,
) -> bool:
    """Everything that `$avp(x) = …` can mean, with its index; False when there is no value of that index."""
    values = avps.get(name)
    if operator == ":=" or index == "*":
        if value is None:
            avps.pop(name, None)
        else:
            avps[name] = [value]
        return True
    if isinstance(index, int):
        position = -1 - index
        if not values or not -len(values) <= position < len(values):
            return False
        if value is None:
            del values[position]
        else:
            values[position] = value
        return True
    if value is None:
        if values:
            values.pop()
        return True
    if values is None:
        avps[name] = [value]
    elif len(values) >= MAX_AVP_VALUES:
        log.error("$avp(%s) has %d values; no more are taken", name, len(values))
        return False
    elif index == "append":
        values.insert(0, value)
    else:
        values.append(value)
    return True


class AvpWalk:
    """`for ($x in $(avp(y)[*]))`: by index, while the list may change."""

    __slots__ = ("avps", "index", "name")

    def __init__(self, avps: dict[str, list[Value]], name: str) -> None:
        self.avps = avps
        self.name = name
        self.index = 0

    def __iter__(self) -> AvpWalk:
        return self

    def __next__(self) -> Value:
        values = self.avps.get(self.name)
        if not values or self.index >= len(values):
            raise StopIteration
        self.index += 1
        return values[-self.index]


def walk(run: Run, access: VariableAccess) -> Sequence[Value]:
    """The values of any other list that `for` walks through."""
    return access.values(run)
