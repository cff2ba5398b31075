"""Values of a table's row as the module wants them.

What cannot be there at all (NULL where the table does not allow it) raises `LoadError` and ends the load; what is only
wrong in this row raises `BadRow`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import TypeVar

from ...database import Cell
from ...errors import MiscriptError
from ...values import decode

E = TypeVar("E", bound=IntEnum)

INT_LIMIT = 2**31


class LoadError(MiscriptError):
    """A table that cannot be loaded; says which, and what was found in it."""


class BadRow(ValueError):
    """A row that is left out; says why."""


def text_of_cell(cell: Cell) -> str:
    """A text; NULL is the empty one."""
    if isinstance(cell, str):
        return cell
    if cell is None:
        return ""
    return decode(cell) if isinstance(cell, bytes) else str(cell)


def required(cell: Cell, column: str, table: str, row: Cell, *, empty: bool = False) -> str:
    """A text that must be there.  Raises `LoadError` for NULL, `BadRow` when it is empty and may not be."""
    if cell is None:
        raise LoadError(f"the table '{table}' has NULL in the column '{column}' of row {text_of_cell(row)}")
    text = text_of_cell(cell)
    if not text and not empty:
        raise BadRow(f"the column '{column}' is empty")
    return text


def integer(cell: Cell, column: str, table: str, row: Cell) -> int:
    """A number of 32 bits.  Raises `LoadError` for NULL, `BadRow` for what is none."""
    if type(cell) is int:
        number = cell
    elif cell is None:
        raise LoadError(f"the table '{table}' has NULL in the column '{column}' of row {text_of_cell(row)}")
    else:
        try:
            number = int(text_of_cell(cell))
        except ValueError:
            raise BadRow(f"the column '{column}' is '{text_of_cell(cell)}', expected a number") from None
    if not -INT_LIMIT <= number < INT_LIMIT:
        raise BadRow(f"the column '{column}' is {number}, expected a number of 32 bits")
    return number


def flag_of(kinds: type[E], number: int, column: str) -> E:
    """The member of `kinds` with this number.  Raises `BadRow`."""
    try:
        return kinds(number)
    except ValueError:
        expected = ", ".join(str(int(kind)) for kind in kinds)
        raise BadRow(f"the column '{column}' is {number}, expected one of {expected}") from None
