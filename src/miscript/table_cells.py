"""Reading the tables of modules: cells as texts and numbers, and turns for others while a long table is read."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, TypeVar

from .database import Cell, DatabaseError

T = TypeVar("T")

SLICE_SECONDS: Final = 0.001
"""How long a table is worked on before others have their turn."""


@asynccontextmanager
async def reading(rows: AsyncIterator[T]) -> AsyncIterator[AsyncIterator[T]]:
    """Rows whose connection is given back at the end of the `async with`, also when a bad one ended the reading."""
    try:
        yield rows
    finally:
        if isinstance(rows, AsyncGenerator):
            await rows.aclose()


class Turns:
    """Lets others have their turn after each slice of work."""

    def __init__(self) -> None:
        self._end = time.perf_counter() + SLICE_SECONDS

    async def next(self) -> None:
        """A piece of work is done."""
        if time.perf_counter() > self._end:
            await asyncio.sleep(0)
            self._end = time.perf_counter() + SLICE_SECONDS


def text_cell(cell: Cell) -> str:
    """A cell as a text of the script, "" for NULL."""
    return "" if cell is None else cell.decode("utf-8", "surrogateescape") if isinstance(cell, bytes) else str(cell)


def number_cell(where: str, column: str, cell: Cell, least: int, most: int) -> int:
    """A cell as a number.  Raises DatabaseError for one that is none, or too small or too large.

    `where` names the row in its message.
    """
    if cell is None:
        raise DatabaseError(f"{where}: '{column}' is NULL, expected a number")
    try:
        number = int(cell)
    except (ValueError, OverflowError):  # a float may be infinite
        raise DatabaseError(f"{where}: '{column}' is '{text_cell(cell)}', expected a number") from None
    if not least <= number <= most:
        raise DatabaseError(f"{where}: '{column}' is {number}, expected {least} to {most}")
    return number
