"""What the operators and conditions of a script do with any values: the slow path of compiled code.

The compiler writes arithmetic and comparisons of plain integers inline; everything else ends here.  Failure of an
expression is the object `FAILED`; a condition is True, False or None, where None means "error" (`if` takes it as
false, `!` keeps it, `and`/`or` stop at it).  Source: docs/language.md.
"""

from __future__ import annotations

import ipaddress
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from re import Pattern
from typing import Any, Final, TypeAlias

from ..values import NumberWithText, TextWithNumber, Value, decode, encode, plain_text, text_of, wrap
from .posix_regex import PatternError, compile_pattern, compile_search

log = logging.getLogger("miscript.script")

MAX_TEXT: Final = 16 * 1024 * 1024
"""Bytes of one text: a loop that doubles a text must not take the host's memory."""


class Failed:
    """The type of `FAILED`, the result of an expression that cannot be computed."""

    def __repr__(self) -> str:
        return "FAILED"


FAILED: Final = Failed()
Result: TypeAlias = Value | Failed
Truth: TypeAlias = bool | None


class BadArgument(Exception):
    """A variable does not hold what the function it is given to wants; the call fails with -1."""


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


def _number(value: Value) -> int | None:
    """The number of a value that has one."""
    if isinstance(value, int):
        return int(value)
    return value.number if isinstance(value, TextWithNumber) else None


def _refuse(operator: str, left: Result, right: Result) -> Failed:
    log.error("'%s' cannot take %s and %s", operator, _kind(left), _kind(right))
    return FAILED


def operate(operator: str, left: Result, right: Result, from_variable: bool) -> Result:
    """`left operator right`.  `from_variable`: the right side is a variable, so its number also has a text."""
    if isinstance(left, Failed) or isinstance(right, Failed):
        return FAILED
    if isinstance(left, int):
        number = 0 if right is None else _number(right)
        return _refuse(operator, left, right) if number is None else _numbers(operator, int(left), number)
    if left is None:
        if operator != "+":
            return _refuse(operator, left, right)
        if right is None:
            return ""
    elif right is None:
        return left if operator == "+" else _refuse(operator, left, right)
    if isinstance(right, int):
        if not from_variable:
            return _refuse(operator, left, right)
        right = plain_text(right)
    return _texts(operator, left or "", right)


def bracketed_sum(left: Result, right: Result) -> Result:
    """`[left + right]` in a condition, `right` being no variable.

    A text and a number give the text, without an error; an assignment of the same sum fails.
    """
    if isinstance(left, str) and isinstance(right, int | Failed):
        return left
    return operate("+", left, right, from_variable=False)


def invert(value: Result) -> Result:
    """`~ value`."""
    if isinstance(value, Failed):
        return value
    number = _number(value)
    return _refuse("~", value, value) if number is None else ~number


def compound(operator: str, right: Result, left: Result) -> Result:
    """`left op= right`: integer with integer, or text with text for `+=`; everything else fails."""
    if isinstance(left, int) and isinstance(right, int | TextWithNumber):
        return _numbers(operator, int(left), right.number if isinstance(right, TextWithNumber) else int(right))
    if isinstance(left, str) and isinstance(right, str) and operator == "+":
        return _texts("+", left, right)
    return FAILED if isinstance(right, Failed) else _refuse(f"{operator}=", left, right)


def stored(value: Result) -> Value:
    """A value as a variable keeps it: a plain int, str or None."""
    if value.__class__ is int or value.__class__ is str or value is None:
        return value
    return int(value) if isinstance(value, int) else str(value) if isinstance(value, str) else None


def with_text(value: Value) -> Value:
    """The number of a variable together with its text, for variables that read texts (`$json(x) := $var(n)`)."""
    if isinstance(value, TextWithNumber):
        return str(value)
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
    if isinstance(left, int | TextWithNumber) and isinstance(right, int | TextWithNumber):
        return _ORDER[operator](_number(left), _number(right))
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
        return (value is pattern) is wanted
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


def truth_operand(truth: Truth) -> int:
    """A condition inside a calculation: an error counts as -1 there."""
    return -1 if truth is None else int(truth)


def expression_truth(value: Result) -> bool:
    """`[ expression ]` as a condition: false, not an error, when it fails."""
    return not isinstance(value, Failed) and bool(value)


# -- arguments of functions, cases of a switch ------------------------------------------------------------------


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
    return compile_pattern(pattern, True, lines=True)


def case_of(value: Value, numbers: Mapping[int, int], texts: Mapping[str, int], default: int) -> int:
    """The number of the case that `switch` jumps to; NULL matches none."""
    if value is None:
        return default
    text = plain_text(value)
    found = texts.get(text.lower() if text.isascii() else decode(encode(text).lower()), default)
    number = _number(value)
    return found if number is None else min(found, numbers.get(number, default))
