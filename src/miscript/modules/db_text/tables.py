"""Tables in memory, and the work on them; where they come from is in `folder`.

Long tables are searched in portions, and other work has its turn between two of them.

Source: miscript.database (what the methods mean); OpenSIPS manual, module db_text.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Final, TypeAlias

from ...database import Cell, DatabaseError, Result, Where, checked_name
from .table_file import Column, Row, Type, comparable, fitting

log = logging.getLogger("miscript.db_text")

PORTION: Final = 500
"""Rows between two turns of other work."""

Matches: TypeAlias = Callable[[Row], bool]


@dataclass(slots=True)
class Table:
    """A table in memory.  `rows` only grows at its end; whatever else changes puts a new list in its place."""

    name: str
    columns: tuple[Column, ...]
    rows: list[Row] = field(default_factory=list)
    changed: bool = False
    read_at: int = 0
    last_number: int = 0

    def place(self, name: str) -> int:
        """Where the column `name` is; upper and lower case are the same.  Raises DatabaseError."""
        folded = checked_name(name).lower()
        for place, column in enumerate(self.columns):
            if column.name.lower() == folded:
                return place
        raise DatabaseError(f"table '{self.name}' has no column '{name}'")

    def take(self, values: Mapping[str, Cell]) -> Row:
        """The row that `values` make.  Raises DatabaseError."""
        row: list[Cell] = [None] * len(self.columns)
        for name, value in values.items():
            row[self.place(name)] = value
        for place, column in enumerate(self.columns):
            row[place] = fitting(row[place], column)
            if column.auto:
                row[place] = self.numbered(row[place])
        return tuple(row)

    def numbered(self, value: Cell) -> Cell:
        if value is None:
            self.last_number += 1
            return self.last_number
        if isinstance(value, int):
            self.last_number = max(self.last_number, value)
        return value

    def copy(self) -> Table:
        return replace(self, rows=list(self.rows))


# -- which rows ---------------------------------------------------------------------------------------------------


def matching(table: Table, where: Sequence[Where]) -> Matches:
    """Whether a row meets all of `where`.  Texts compare without case, as the server compares them."""
    tests = [_test(table, condition) for condition in where]
    if not tests:
        return lambda row: True
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def _test(table: Table, where: Where) -> Matches:
    place = table.place(where.column)
    column = table.columns[place]
    if where.operator not in _COMPARES:
        raise DatabaseError(f"'{where.operator}' is no operator: expected {', '.join(_COMPARES)}")
    if where.value is None:
        return _null_test(where.operator, place)
    try:
        wanted = comparable(where.value, column)
    except ValueError as error:
        raise DatabaseError(str(error)) from None
    compare = _COMPARES[where.operator]
    if isinstance(wanted, str):
        text = folded(wanted)
        return lambda row: (cell := row[place]) is not None and compare(folded(str(cell)), text)
    return lambda row: (cell := row[place]) is not None and compare(cell, wanted)


_COMPARES: Final[dict[str, Callable[[object, object], bool]]] = {
    "=": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
    "<": lambda a, b: a < b,  # type: ignore[operator]  # both are texts or both are numbers: `comparable` sees to it
    ">": lambda a, b: a > b,  # type: ignore[operator]  # as above
    "<=": lambda a, b: a <= b,  # type: ignore[operator]  # as above
    ">=": lambda a, b: a >= b,  # type: ignore[operator]  # as above
}


def _null_test(operator: str, place: int) -> Matches:
    match operator:
        case "=":
            return lambda row: row[place] is None
        case "!=":
            return lambda row: row[place] is not None
        case _:
            return lambda row: False


def folded(text: str) -> str:
    """`text` with the letters of ASCII in lower case."""
    if text.isascii():
        return text.lower()
    return text.encode("utf-8", "surrogateescape").lower().decode("utf-8", "surrogateescape")


def _order_key(table: Table, order: str) -> tuple[Callable[[Row], tuple[int, int | float | str]], bool]:
    name, _, direction = order.partition(" ")
    if direction.upper() not in ("", "ASC", "DESC"):
        raise DatabaseError(f"'{order}' is no order: expected a column, with DESC behind it or not")
    place = table.place(name)
    text = table.columns[place].type in (Type.TEXT, Type.BLOB)

    def key(row: Row) -> tuple[int, int | float | str]:
        cell = row[place]
        if cell is None or isinstance(cell, bytes):
            return (0, "" if text else 0)
        return (1, folded(str(cell)) if text else cell)

    return key, direction.upper() == "DESC"


async def _found(table: Table, matches: Matches) -> list[tuple[int, Row]]:
    """The rows that match, with their places; those that come while others have their turn are not looked at."""
    rows, end = table.rows, len(table.rows)
    found: list[tuple[int, Row]] = []
    for begin in range(0, end, PORTION):
        if begin:
            await asyncio.sleep(0)
        portion = rows[begin : min(begin + PORTION, end)]
        found.extend([(place, row) for place, row in enumerate(portion, begin) if matches(row)])
    return found


# -- the work -----------------------------------------------------------------------------------------------------


class TextTables:
    """The methods of `miscript.database.Tables`; who derives says which table is read and which one changed."""

    async def _table(self, name: str) -> Table:
        raise NotImplementedError

    def _changing(self, name: str) -> AbstractAsyncContextManager[Table]:
        raise NotImplementedError

    async def select(
        self,
        table: str,
        columns: Sequence[str] = (),
        where: Sequence[Where] = (),
        *,
        order: str = "",
        limit: int | None = None,
    ) -> Result:
        found = await self._table(table)
        places = [found.place(name) for name in columns] or list(range(len(found.columns)))
        names = tuple(columns) or tuple(column.name for column in found.columns)
        rows = [row for _, row in await _found(found, matching(found, where))]
        if order:
            key, descending = _order_key(found, order)
            rows.sort(key=key, reverse=descending)
        if limit is not None:
            rows = rows[: max(limit, 0)]
        return Result(names, [picked async for portion in _picked(rows, places) for picked in portion])

    async def rows(
        self,
        table: str,
        columns: Sequence[str],
        where: Sequence[Where] = (),
        *,
        order: str = "",
        chunk: int = 2000,
    ) -> AsyncIterator[Sequence[Row]]:
        found = await self.select(table, columns, where, order=order)
        for begin in range(0, len(found.rows), chunk):
            yield found.rows[begin : begin + chunk]
            await asyncio.sleep(0)

    async def insert(self, table: str, *rows: Mapping[str, Cell]) -> None:
        async with self._changing(table) as found:
            first, last_number = set(rows[0]) if rows else set(), found.last_number
            try:
                taken = []
                for number, row in enumerate(rows):
                    if set(row) != first:
                        raise DatabaseError(f"row {number + 1} has other columns than the first")
                    taken.append(found.take(row))
            except DatabaseError:
                found.last_number = last_number
                raise
            found.rows.extend(taken)
            found.changed = found.changed or bool(taken)

    async def update(self, table: str, values: Mapping[str, Cell], where: Sequence[Where] = ()) -> int:
        async with self._changing(table) as found:
            return await _update(found, values, where)

    async def delete(self, table: str, where: Sequence[Where] = ()) -> int:
        async with self._changing(table) as found:
            gone = {place for place, _ in await _found(found, matching(found, where))}
            if gone:
                found.rows = [row for place, row in enumerate(found.rows) if place not in gone]
                found.changed = True
            return len(gone)

    async def replace(self, table: str, values: Mapping[str, Cell], keys: Sequence[str]) -> None:
        async with self._changing(table) as found:
            missing = [key for key in keys if key not in values]
            if missing:
                raise DatabaseError(f"'{missing[0]}' is a key of the row but has no value")
            names = keys or [column.name for column in found.columns if column.auto and column.name in values]
            where = [Where(name, values[name]) for name in names]
            if not where or not await _update(found, values, where):
                found.rows.append(found.take(values))
                found.changed = True

    async def query(self, sql: str, values: Mapping[str, Cell] | None = None) -> Result:
        raise DatabaseError("db_text knows no SQL: tables in text files are reached by select, insert, update, delete")


async def _picked(rows: Sequence[Row], places: Sequence[int]) -> AsyncIterator[list[Row]]:
    for begin in range(0, len(rows), PORTION):
        if begin:
            await asyncio.sleep(0)
        yield [tuple([row[place] for place in places]) for row in rows[begin : begin + PORTION]]


async def _update(table: Table, values: Mapping[str, Cell], where: Sequence[Where]) -> int:
    if not values:
        raise DatabaseError(f"no columns of '{table.name}' to set")
    new = {place: fitting(value, table.columns[place]) for place, value in _by_place(table, values)}
    found = await _found(table, matching(table, where))
    for place, row in found:
        table.rows[place] = tuple([new.get(i, cell) for i, cell in enumerate(row)])
    table.changed = table.changed or bool(found)
    return len(found)


def _by_place(table: Table, values: Mapping[str, Cell]) -> Iterator[tuple[int, Cell]]:
    for name, value in values.items():
        yield table.place(name), value
