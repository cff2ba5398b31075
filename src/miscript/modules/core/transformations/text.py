"""`{s.…}`: cutting, searching, padding, and turning into numbers.  Positions count bytes."""

from __future__ import annotations

import calendar
import re

from ....late_pattern import late_pattern
from ....values import NumberWithText, Value, byte_length, decode, encode, plain_text
from .table import MAX_LENGTH, text_transformation, value_transformation

_NUMBER = late_pattern(r"([+-]?)([0-9]*)")
_DATE = late_pattern(
    r"[A-Za-z]+,\s*(\d{1,2})\s+([A-Za-z]{3})[a-z]*\s+(\d{1,4})\s+(\d{1,2}):(\d{1,2}):(\d{1,2})\s*GMT", re.ASCII
)
_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_BLANKS = " \t\r\n"


@value_transformation("s", "len")
def s_len(value: Value) -> Value:
    """Length in bytes."""
    return None if value is None else byte_length(plain_text(value))


@value_transformation("s", "int")
def s_int(value: Value) -> Value:
    """The number that the text begins with, 0 when it begins with none; still prints as the text."""
    if not isinstance(value, str):
        return value
    found = _NUMBER.match(value)
    sign, digits = found.groups() if found else ("", "")
    # 10**32 is a multiple of 2**32: the digits before the last 32 do not count in 32 bits
    number = int(digits[-32:] or "0")
    return NumberWithText(-number if sign == "-" else number, value)


def _cut(text: str, start: int, end: int) -> str:
    return text[start:end] if text.isascii() else decode(encode(text)[start:end])


@text_transformation("s", "substr", kinds=("integer", "integer"))
def s_substr(text: str, offset: int, length: int) -> Value:
    """`length` bytes from `offset` (negative: from the end); a length of 0 or less is counted from the end."""
    size = byte_length(text)
    start = offset + size if offset < 0 else offset
    if not 0 <= start < size:
        return None
    end = start + length if length > 0 else size + length
    return _cut(text, start, end) if end >= start else None


@text_transformation("s", "select", kinds=("integer", "char"))
def s_select(text: str, index: int, separator: str) -> Value:
    """One of the fields that a character separates; a negative index counts from the last one."""
    if not separator:
        return None
    data = encode(text)
    fields = data.split(encode(separator)[:1])
    if not -len(fields) <= index < len(fields):
        return None
    return decode(fields[index])


def _search_start(size: int, start: int) -> int:
    """A start of 0 or more; negative ones count from the end, again and again."""
    return start % size if start < 0 and size else start


@text_transformation("s", "index", kinds=("word", "integer"), minimum=1)
def s_index(text: str, needle: str, start: int = 0) -> Value:
    """Where `needle` is found first, looking from `start` on."""
    data, wanted = encode(text), encode(needle)
    found = data.find(wanted, _search_start(len(data), start)) if wanted else -1
    return found if found >= 0 else None


@text_transformation("s", "rindex", kinds=("word", "integer"), minimum=1)
def s_rindex(text: str, needle: str, start: int | None = None) -> Value:
    """Where `needle` is found last, not behind `start`."""
    data, wanted = encode(text), encode(needle)
    last = len(data) if start is None else _search_start(len(data), start)
    found = data.rfind(wanted, 0, last + len(wanted)) if wanted else -1
    return found if found >= 0 else None


def _padding(text: str, pattern: str, width: int) -> tuple[bytes, int] | None:
    """Enough of `pattern` and how many bytes of it are missing; None when that cannot be filled."""
    if len(pattern) >= 2 and pattern[0] == pattern[-1] == "'":
        pattern = pattern[1:-1]
    filler = encode(pattern)
    missing = max(0, width - byte_length(text))
    if not filler or width > MAX_LENGTH:
        return None
    return filler * (missing // len(filler) + 1), missing


@text_transformation("s", "fill.left", kinds=("string", "integer"), keeps=True)
def s_fill_left(text: str, pattern: str, width: int) -> Value:
    """Put copies of `pattern` before the text until it is `width` bytes long; the last copy is whole."""
    found = _padding(text, pattern, width)
    if found is None:
        return None
    filler, missing = found
    return decode(filler[len(filler) - missing :]) + text if missing else text


@text_transformation("s", "fill.right", kinds=("string", "integer"), keeps=True)
def s_fill_right(text: str, pattern: str, width: int) -> Value:
    """Put copies of `pattern` behind the text until it is `width` bytes long; the first copy is whole."""
    found = _padding(text, pattern, width)
    if found is None:
        return None
    filler, missing = found
    return decode(encode(text) + filler[:missing]) if missing else text


@text_transformation("s", "width", kinds=("integer",))
def s_width(text: str, width: int) -> Value:
    """Cut the text, or fill it with blanks at its end, so that it is `width` bytes long."""
    if not 0 < width <= MAX_LENGTH:
        return None
    return text.ljust(width)[:width] if text.isascii() else decode(encode(text).ljust(width)[:width])


@value_transformation("s", "trim")
def s_trim(value: Value) -> Value:
    """Without blanks, tabs and line ends on both sides."""
    return value if value is None or value.__class__ is int else plain_text(value).strip(_BLANKS)


@value_transformation("s", "triml")
def s_triml(value: Value) -> Value:
    """Without blanks, tabs and line ends at the start."""
    return value if value is None or value.__class__ is int else plain_text(value).lstrip(_BLANKS)


@value_transformation("s", "trimr")
def s_trimr(value: Value) -> Value:
    """Without blanks, tabs and line ends at the end."""
    return value if value is None or value.__class__ is int else plain_text(value).rstrip(_BLANKS)


@text_transformation("s", "reverse")
def s_reverse(text: str) -> Value:
    """The bytes from the last to the first."""
    return text[::-1] if text.isascii() else decode(encode(text)[::-1])


@text_transformation("s", "tolower")
def s_tolower(text: str) -> Value:
    """ASCII letters in lower case."""
    return text.lower() if text.isascii() else decode(encode(text).lower())


@text_transformation("s", "toupper")
def s_toupper(text: str) -> Value:
    """ASCII letters in upper case."""
    return text.upper() if text.isascii() else decode(encode(text).upper())


@text_transformation("s", "date2unix")
def s_date2unix(text: str) -> Value:
    """Seconds since 1970 of a date as in a Date header field (RFC 3261 20.17), as text."""
    found = _DATE.match(text)
    if found is None or (month := _MONTHS.get(found[2].lower())) is None:
        return None
    day, year, hour, minute, second = (int(found[n]) for n in (1, 3, 4, 5, 6))
    if not (1 <= day <= 31 and year >= 1 and hour <= 23 and minute <= 59 and second <= 61):
        return None
    return str(calendar.timegm((year, month, day, hour, minute, second)))
