"""Values as JSON text, byte for byte as OpenSIPS writes them.

In goes what JSON can hold: `None`, `bool`, `int`, `float`, `str`, `list` or `tuple`, `dict` with texts as keys.
Out comes the compact form (no blanks) or the pretty form (`pretty_printing`).  `TypeError` says that a value is
nothing that JSON has, `ValueError` that it is nested deeper than `MAX_DEPTH` or holds half a character.

The rules of the server, observed in its answers:

- escaped are `"`, the backslash, `\\b \\f \\n \\r \\t` and other bytes below 0x20 (`\\u001f`); everything else is
  raw, a script's bytes that are not UTF-8 included;
- whole numbers have no fraction; others have six digits, with an exponent above 1e9 and below 1e-6;
- pretty: tabs, one member of an object per line, arrays on one line, and an object inside an array is indented by
  the depth of both.
"""

from __future__ import annotations

import math
import sys

import orjson

from ..late_pattern import late_pattern
from ..values import encode

MAX_DEPTH = 200
"""Levels of arrays and objects that are read or written."""

_ESCAPES = {code: f"\\u{code:04x}" for code in range(0x20)} | {
    ord('"'): '\\"',
    ord("\\"): "\\\\",
    ord("\b"): "\\b",
    ord("\f"): "\\f",
    ord("\n"): "\\n",
    ord("\r"): "\\r",
    ord("\t"): "\\t",
}
POINT, MINUS, PLUS = b".-+"
_FRACTION = late_pattern(rb"\.[0-9]+(?:e[+-]?[0-9]+)?[,\]}]")
_EXPONENT = late_pattern(rb"e[+-][0-9]+[,\]}]")
ONLY_JSON = orjson.OPT_PASSTHROUGH_DATACLASS | orjson.OPT_PASSTHROUGH_DATETIME


class NumberAsWritten(float):
    """A number that is written again exactly as it was read: a request's id such as `1e2`."""

    __slots__ = ("text",)
    text: str

    def __new__(cls, text: str) -> NumberAsWritten:
        self = super().__new__(cls, text)
        self.text = text
        return self


def compact(value: object) -> bytes:
    """`value` without any blanks."""
    if value.__class__ is not float:
        try:
            data = orjson.dumps(value, None, ONLY_JSON)
        except TypeError:  # bytes that are not UTF-8, integers above 64 bits, or indeed no JSON
            return encode(_text(value, pretty=False))
        if not _may_hold_floats(data):
            return data
    return encode(_text(value, pretty=False))


def _may_hold_floats(data: bytes) -> bool:
    """Whether orjson may have written a float, in its own way; a text that merely looks like one does no harm.

    Looking for one byte first is much quicker than the patterns.
    """
    if POINT in data and _FRACTION.search(data) is not None:
        return True
    return (MINUS in data or PLUS in data) and _EXPONENT.search(data) is not None


def pretty(value: object) -> bytes:
    """`value` in the form of `pretty_printing`."""
    return encode(_text(value, pretty=True))


def dumps_text(value: object, pretty: bool = False) -> str:
    """`value` as a script's text: what `mi()` puts into its return variable."""
    if pretty:
        return _text(value, pretty=True)
    if value.__class__ is not float:  # what `compact` does, without the way through bytes for what is no UTF-8
        try:
            data = orjson.dumps(value, None, ONLY_JSON)
        except TypeError:
            return _text(value, pretty=False)
        # As `_may_hold_floats` looks for them, written out: `mi()` comes here with each result.
        if not (46 in data or 45 in data or 43 in data) or not _may_hold_floats(data):
            return data.decode()
    return _text(value, pretty=False)


def float_text(number: float) -> str:
    """`number` as the server prints it; what is no number is `null`."""
    if isinstance(number, NumberAsWritten):
        return number.text
    if not math.isfinite(number):
        return "null"
    size = abs(number)
    if size < 1e60 and abs(number - round(number)) <= sys.float_info.epsilon:
        return str(round(number))
    return f"{number:e}" if size < 1e-6 or size > 1e9 else f"{number:f}"


def _text(value: object, *, pretty: bool) -> str:
    pieces: list[str] = []
    _write(value, 0, pieces, pretty)
    return "".join(pieces)


def _write(value: object, depth: int, pieces: list[str], pretty: bool) -> None:
    """Append the text of `value`, which stands `depth` levels deep.  Recursion ends at `MAX_DEPTH`."""
    match value:
        case str():
            pieces.append(_quoted(value))
        case None:
            pieces.append("null")
        case bool():
            pieces.append("true" if value else "false")
        case int():
            pieces.append(int.__repr__(value))
        case float():
            pieces.append(float_text(value))
        case dict() | list() | tuple():
            if depth >= MAX_DEPTH:
                raise ValueError(f"a value nested deeper than {MAX_DEPTH} levels cannot be written as JSON")
            if isinstance(value, dict):
                _write_object(value, depth, pieces, pretty)
            else:
                _write_array(value, depth, pieces, pretty)
        case _:
            raise TypeError(f"'{type(value).__name__}' cannot be written as JSON")


def _write_object(members: dict[object, object], depth: int, pieces: list[str], pretty: bool) -> None:
    before_member = "\n" + "\t" * (depth + 1) if pretty else ""
    colon = ":\t" if pretty else ":"
    separator = "{"
    for key, value in members.items():
        if not isinstance(key, str):
            raise TypeError(f"a key of a JSON object must be a text, not '{type(key).__name__}'")
        pieces += (separator, before_member, _quoted(key), colon)
        _write(value, depth + 1, pieces, pretty)
        separator = ","
    if not members:
        pieces.append("{")
    pieces.append("\n" + "\t" * depth + "}" if pretty else "}")


def _write_array(items: list[object] | tuple[object, ...], depth: int, pieces: list[str], pretty: bool) -> None:
    comma = ", " if pretty else ","
    pieces.append("[")
    for index, item in enumerate(items):
        if index:
            pieces.append(comma)
        _write(item, depth + 1, pieces, pretty)
    pieces.append("]")


def _quoted(text: str) -> str:
    return '"' + text.translate(_ESCAPES) + '"'
