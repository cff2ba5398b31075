"""The file of one db_text table: its text ⇄ columns and rows.  Pure; nothing is opened here.

The first line defines the columns, `name(type)` or `name(type,null)` or `name(type,auto)`, with blanks between them.
Every other line is a row, its fields separated by `:`.  A field with nothing in it is NULL.  In texts `\\n`, `\\r`,
`\\t`, `\\\\`, `\\:` and `\\0` stand for what would end the field or the line.

Source: OpenSIPS manual, module db_text, "Internal format of a db_text table"; observed reading of OpenSIPS 4.1.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final, TypeAlias

from ...database import Cell, DatabaseError

Row: TypeAlias = tuple[Cell, ...]

MOST_COLUMNS: Final = 1000


class Type(Enum):
    """What a column holds, by the first letter of its type's name."""

    TEXT = "s"
    INTEGER = "i"
    LONG = "l"
    DOUBLE = "d"
    TIME = "t"
    BLOB = "b"


@dataclass(frozen=True, slots=True)
class Column:
    """A column as the first line defines it; `word` is its type as it was written."""

    name: str
    type: Type
    null: bool = False
    auto: bool = False
    word: str = ""

    def definition(self) -> str:
        mark = ",null" if self.null else ",auto" if self.auto else ""
        return f"{self.name}({self.word or DEFAULT_WORDS[self.type]}{mark})"


DEFAULT_WORDS: Final = {
    Type.TEXT: "string",
    Type.INTEGER: "int",
    Type.LONG: "long",
    Type.DOUBLE: "double",
    Type.TIME: "time",
    Type.BLOB: "blob",
}

_DEFINITION = re.compile(
    r" *(?P<name>[^\s(]+) *\( *(?P<word>[A-Za-z]+)[^,()\n]*(?:, *(?P<mark>[A-Za-z])[^()\n]*)?\) *", re.ASCII
)
_FIELD = re.compile(r"((?:[^:\\]|\\.)*)(:|$)", re.DOTALL)
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)
_INTEGER = re.compile(r"-?[0-9]+")
_DOUBLE = re.compile(r"-?[0-9]+(?:\.[0-9]*)?")

_MEANS: Final = {"n": "\n", "r": "\r", "t": "\t", "\\": "\\", ":": ":", "0": "\0"}
_WRITTEN: Final = str.maketrans({meaning: f"\\{letter}" for letter, meaning in _MEANS.items()})


# -- reading ------------------------------------------------------------------------------------------------------


def read_columns(line: str) -> tuple[Column, ...]:
    """The columns that the first line of a file defines.  Raises DatabaseError."""
    columns: list[Column] = []
    position = 0
    while position < len(line):
        matched = _DEFINITION.match(line, position)
        if matched is None:
            raise DatabaseError(
                f"line 1, column {len(columns) + 1}: expected name(type) or name(type,null), "
                f"found '{line[position : position + 40]}'"
            )
        columns.append(_column(matched))
        position = matched.end()
        if len(columns) > MOST_COLUMNS:
            raise DatabaseError(f"line 1: more than {MOST_COLUMNS} columns")
    if not columns:
        raise DatabaseError("line 1: expected the columns of the table, found nothing")
    if sum(column.auto for column in columns) > 1:
        raise DatabaseError("line 1: one column may be 'auto', found more")
    return tuple(columns)


def _column(matched: re.Match[str]) -> Column:
    name, word = matched["name"], matched["word"]
    try:
        kind = Type(word[0].lower())
    except ValueError:
        raise DatabaseError(
            f"line 1: column '{name}' has the type '{word}'; expected int, long, double, string, blob or time"
        ) from None
    mark = (matched["mark"] or "").lower()
    if mark not in ("", "n", "a") or (mark == "a" and kind not in (Type.INTEGER, Type.LONG)):
        raise DatabaseError(f"line 1: column '{name}' may be 'null', or 'auto' when it is an integer")
    return Column(name, kind, mark == "n", mark == "a", word)


def read_rows(columns: Sequence[Column], lines: Sequence[str], first: int = 2) -> Iterator[Row]:
    """The rows that `lines` hold; `first` is the number of the first line.  Raises DatabaseError naming the line."""
    readers = [(_READERS[column.type], column) for column in columns]
    for number, line in enumerate(lines, first):
        if not line:
            continue
        fields = _split(line)
        if len(fields) == len(columns) + 1 and not fields[-1]:
            fields.pop()  # the server takes a `:` behind the last field
        if len(fields) != len(columns):
            raise DatabaseError(f"line {number}: found {len(fields)} fields, expected {len(columns)}")
        try:
            yield tuple([read(field, column) for field, (read, column) in zip(fields, readers, strict=True)])
        except ValueError as error:
            raise DatabaseError(f"line {number}: {error}") from None


def _split(line: str) -> list[str]:
    if "\\" not in line:
        return line.split(":")
    fields: list[str] = []
    position = 0
    while True:
        matched = _FIELD.match(line, position)
        if matched is None:  # a single backslash ends the line
            return [*fields, line[position:]]
        fields.append(matched[1])
        position = matched.end()
        if not matched[2]:
            return fields


def _nothing(column: Column) -> Cell:
    if column.null or column.auto:
        return None
    raise ValueError(f"column '{column.name}' is empty, which means NULL, and takes no NULL")


def _read_integer(field: str, column: Column) -> Cell:
    if not field:
        return _nothing(column)
    if _INTEGER.fullmatch(field) is None:
        raise ValueError(f"column '{column.name}': expected an integer, found '{field}'")
    return int(field)


def _read_double(field: str, column: Column) -> Cell:
    if not field:
        return _nothing(column)
    if _DOUBLE.fullmatch(field) is None:
        raise ValueError(f"column '{column.name}': expected a number, found '{field}'")
    return float(field)


def _read_text(field: str, column: Column) -> Cell:
    if not field:
        return _nothing(column)
    if "\\" not in field:
        return field

    def meaning(matched: re.Match[str]) -> str:
        try:
            return _MEANS[matched[1]]
        except KeyError:
            raise ValueError(f"column '{column.name}': '{matched[0]}' means nothing") from None

    if field.endswith("\\") and (len(field) - len(field.rstrip("\\"))) % 2:
        raise ValueError(f"column '{column.name}': a '\\' ends the line")
    return _ESCAPE.sub(meaning, field)


_READERS: Final[dict[Type, Callable[[str, Column], Cell]]] = {
    Type.TEXT: _read_text,
    Type.BLOB: _read_text,
    Type.INTEGER: _read_integer,
    Type.LONG: _read_integer,
    Type.TIME: _read_integer,
    Type.DOUBLE: _read_double,
}


# -- writing ------------------------------------------------------------------------------------------------------


def first_line(columns: Sequence[Column]) -> str:
    """The line that defines `columns`, with its end."""
    return " ".join(column.definition() for column in columns) + "\n"


def written(row: Row) -> str:
    """The line of `row`, with its end."""
    return ":".join([_written_cell(cell) for cell in row]) + "\n"


def _written_cell(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, str):
        return cell.translate(_WRITTEN)
    if isinstance(cell, float):
        whole, _, decimals = f"{cell:.10f}".rstrip("0").partition(".")
        return f"{whole}.{decimals:0<2}"
    return str(cell)


def fitting(value: Cell, column: Column) -> Cell:
    """`value` as the column keeps it.  Raises DatabaseError when it cannot."""
    if value is None:
        if column.null or column.auto:
            return None
        raise DatabaseError(f"column '{column.name}' takes no NULL")
    try:
        fit = comparable(value, column)
    except ValueError as error:
        raise DatabaseError(str(error)) from None
    if fit == "" and not column.null:
        raise DatabaseError(
            f"column '{column.name}': a text file cannot tell an empty text from NULL, which it refuses"
        )
    return fit


def comparable(value: str | int | float | bytes, column: Column) -> str | int | float:
    """`value` in the type of the column.  Raises ValueError when it has none there."""
    match column.type:
        case Type.TEXT | Type.BLOB:
            return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
        case Type.DOUBLE:
            number = _number(value, column, float)
            if not math.isfinite(number):
                raise ValueError(f"column '{column.name}': expected a number, found {value!r}")
            return number
        case Type.INTEGER | Type.LONG | Type.TIME:
            return int(_number(value, column, int))


def _number(value: Cell, column: Column, kind: Callable[[str | int | float], float]) -> float:
    try:
        if isinstance(value, int | float | str):
            return kind(value)
    except (ValueError, OverflowError):
        pass
    raise ValueError(f"column '{column.name}': expected a number, found {value!r}")
