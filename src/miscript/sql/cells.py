"""Values of scripts ⇄ values of columns.

A script has texts, numbers and NULL; a server insists on the type that a column has.  Times are seconds since the
epoch in scripts; a column without a time zone holds local time, as OpenSIPS reads and writes it.
"""

from __future__ import annotations

import datetime
import decimal
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

import sqlalchemy as sa

from ..database import Cell, DatabaseError

Stored: TypeAlias = Any
"""What a driver gives and takes; each has types of its own."""

_PLAIN: Final = frozenset({str, int, float, bytes, type(None)})
_TIME_FORMAT: Final = "%Y-%m-%d %H:%M:%S"


def plain_row(row: Sequence[Stored]) -> tuple[Cell, ...]:
    """A row of a driver as one of scripts."""
    return tuple([cell if cell.__class__ in _PLAIN else plain(cell) for cell in row])


def plain(value: Stored) -> Cell:
    """A value of a driver as one of scripts."""
    match value:
        case bool():
            return int(value)
        case str() | int() | float() | bytes() | None:
            return value
        case decimal.Decimal():
            return float(value)
        case datetime.datetime():
            return int(value.timestamp())
        case datetime.date():
            return int(datetime.datetime.combine(value, datetime.time()).timestamp())
        case datetime.timedelta():
            return int(value.total_seconds())
        case memoryview() | bytearray():
            return bytes(value)
        case _:
            return str(value)


def stored(value: Cell, column: sa.Column[Any]) -> Stored:
    """`value` in the type of a column.  Raises DatabaseError when it has none there."""
    if value is None:
        return None
    kind: type = type(column.type)
    convert = _conversion(kind)
    if convert is None:
        return value
    try:
        fit = convert(value)
        return fit.astimezone() if getattr(column.type, "timezone", False) else fit
    except (ValueError, TypeError, OverflowError, OSError, decimal.InvalidOperation):
        raise DatabaseError(f"column '{column.name}' holds {_kind(column)}, found {value!r}") from None


@cache
def _conversion(kind: type) -> Callable[[Any], Stored] | None:
    """What makes values fit into columns of a type; None for types that take what they are given."""
    return next((convert for base, convert in _CONVERSIONS if issubclass(kind, base)), None)


def _kind(column: sa.Column[Any]) -> str:
    return type(column.type).__name__.lower()


def _text(value: Any) -> str:
    if value.__class__ is str:  # nearly always
        return value
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)


def _bytes(value: Any) -> bytes:
    return value if isinstance(value, bytes) else str(value).encode("utf-8", "surrogateescape")


def _integer(value: Any) -> int:
    if value.__class__ is int:  # nearly always
        return value
    if isinstance(value, float) and not value.is_integer():
        raise ValueError
    return int(value)


def _moment(value: Any) -> datetime.datetime:
    if isinstance(value, str) and not value.lstrip("-").isdigit():
        return datetime.datetime.fromisoformat(value)
    return datetime.datetime.fromtimestamp(int(value))  # noqa: DTZ006  # such columns hold local time


class TimeText(sa.types.TypeDecorator[Any]):
    """A time in SQLite, which has no type for it: a text there, or a number that someone else has put in."""

    impl = sa.String
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> Stored:
        return value.strftime(_TIME_FORMAT) if isinstance(value, datetime.datetime) else value

    def process_result_value(self, value: Any, dialect: Any) -> Cell:
        if isinstance(value, str):
            try:
                return int(_moment(value).timestamp())
            except ValueError:
                return value
        return plain(value)


_CONVERSIONS: Final[tuple[tuple[type[Any], Callable[[Any], Stored]], ...]] = (
    (sa.Boolean, lambda value: bool(_integer(value))),
    (sa.Integer, _integer),
    (sa.Float, float),
    (sa.Numeric, lambda value: decimal.Decimal(str(value))),
    (sa.DateTime, _moment),
    (TimeText, _moment),
    (sa.Date, lambda value: _moment(value).date()),
    (sa.LargeBinary, _bytes),
    (sa.String, _text),
    (sa.Uuid, _text),
)
"""The first kind that a column's type is of decides.  Others (JSON, arrays …) take what they are given."""
