"""The statements that work on tables: what is chosen, set, put in, and what comes back.

Columns and their types are read from the server once, when a table is first used, and again when a column is missing.

Source: miscript.database (what the methods mean).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError, NoSuchTableError
from sqlalchemy.ext.asyncio import AsyncConnection

from ..database import Cell, DatabaseError, Result, Where, checked_name
from .cells import TimeText, plain_row, stored
from .postgres_query import query_with_values

T = TypeVar("T")

PORTION: Final = 250
"""Rows between two turns of other work."""

ATTEMPTS: Final = 5
"""How often a row is put in the place of one that others work on at the same time."""

_DEADLOCK: Final = frozenset({1213, "40P01"})
"""What MariaDB and PostgreSQL call it."""

_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    ">": lambda column, value: column > value,
    "<=": lambda column, value: column <= value,
    ">=": lambda column, value: column >= value,
    "LIKE": lambda column, value: column.like(value),
    "NOT LIKE": lambda column, value: column.not_like(value),
}


class Shapes:
    """The columns of tables and their types, read from the server once."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._known: dict[str, sa.Table] = {}

    async def of(self, connection: AsyncConnection, name: str, columns: Sequence[str] = ()) -> sa.Table:
        """The table `name`, looked at again when it lacks one of `columns`.  Raises DatabaseError."""
        for column in (name, *columns):
            checked_name(column)
        table = self._known.get(name)
        if table is None or any(column not in table.c for column in columns):
            table = self._known[name] = await connection.run_sync(_look_at, name)
        for column in columns:
            if column not in table.c:
                raise DatabaseError(f"the table '{name}' of {self._url} has no column '{column}'")
        return table

    def forget(self) -> None:
        self._known.clear()


def _look_at(connection: sa.Connection, name: str) -> sa.Table:
    columns = sa.inspect(connection).get_columns(name)
    if not columns:
        raise NoSuchTableError(name)
    return sa.Table(name, sa.MetaData(), *[sa.Column(c["name"], _type(connection, c["type"])) for c in columns])


def _type(connection: sa.Connection, kind: Any) -> Any:
    if connection.dialect.name == "sqlite" and isinstance(kind, sa.DateTime | sa.Date):
        return TimeText()
    if isinstance(kind, sa.Enum):
        return sa.String()  # what is no value of it is for the server to refuse
    return kind


class SqlTables:
    """The methods of `miscript.database.Tables`; who derives says on which connection they run."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes

    async def _run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        reads: bool = False,
        whole: bool = False,
    ) -> T:
        """Do `work`.  One that only `reads` may be tried again; `whole`: it is a transaction."""
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
        async def work(connection: AsyncConnection) -> Result:
            statement = await self.selection(connection, table, columns, where, order)
            if limit is not None:
                statement = statement.limit(max(limit, 0))
            return await _result(await connection.execute(statement))

        return await self._run(work, reads=True)

    async def selection(
        self, connection: AsyncConnection, table: str, columns: Sequence[str], where: Sequence[Where], order: str
    ) -> sa.Select[Any]:
        name, _, direction = order.partition(" ")
        if direction.upper() not in ("", "ASC", "DESC"):
            raise DatabaseError(f"'{order}' is no order: expected a column, with DESC behind it or not")
        needed = [*columns, *(condition.column for condition in where), *([name] if name else [])]
        shape = await self._shapes.of(connection, table, needed)
        statement = sa.select(*[shape.c[column] for column in columns] or shape.c).where(*_conditions(shape, where))
        if name:
            statement = statement.order_by(shape.c[name].desc() if direction.upper() == "DESC" else shape.c[name])
        return statement

    async def insert(self, table: str, *rows: Mapping[str, Cell]) -> None:
        if not rows:
            return
        names = list(rows[0])
        for number, row in enumerate(rows, 1):
            if row.keys() != rows[0].keys():
                raise DatabaseError(f"row {number} has other columns than the first")

        async def work(connection: AsyncConnection) -> None:
            shape = await self._shapes.of(connection, table, names)
            for begin in range(0, len(rows), PORTION):
                portion = rows[begin : begin + PORTION]
                ready = [{n: stored(row[n], shape.c[n]) for n in names} for row in portion]
                await connection.execute(shape.insert().inline(), ready if len(ready) > 1 else ready[0])

        await self._run(work, whole=len(rows) > 1)

    async def update(self, table: str, values: Mapping[str, Cell], where: Sequence[Where] = ()) -> int:
        if not values:
            raise DatabaseError(f"no columns of '{table}' to set")

        async def work(connection: AsyncConnection) -> int:
            shape = await self._shapes.of(connection, table, [*values, *(w.column for w in where)])
            return (await connection.execute(_updating(shape, values, where))).rowcount

        return await self._run(work)

    async def delete(self, table: str, where: Sequence[Where] = ()) -> int:
        async def work(connection: AsyncConnection) -> int:
            shape = await self._shapes.of(connection, table, [w.column for w in where])
            return (await connection.execute(shape.delete().where(*_conditions(shape, where)))).rowcount

        return await self._run(work)

    async def replace(self, table: str, values: Mapping[str, Cell], keys: Sequence[str]) -> None:
        missing = [key for key in keys if key not in values]
        if missing:
            raise DatabaseError(f"'{missing[0]}' is a key of the row but has no value")

        async def work(connection: AsyncConnection) -> None:
            shape = await self._shapes.of(connection, table, list(values))
            names = list(keys) or await connection.run_sync(_unique_keys, table, list(values))
            where = [Where(name, values[name]) for name in names]
            if not where or not (await connection.execute(_updating(shape, values, where))).rowcount:
                ready = {name: stored(value, shape.c[name]) for name, value in values.items()}
                await connection.execute(shape.insert().inline(), ready)

        for left in range(ATTEMPTS - 1, -1, -1):
            try:
                await self._run(work, whole=True)
                break
            except DatabaseError as error:
                if not left or not _clashed(error.__cause__):
                    raise

    async def query(self, sql: str, values: Mapping[str, Cell] | None = None) -> Result:
        async def work(connection: AsyncConnection) -> Result:
            if values and connection.dialect.name == "postgresql":
                return await query_with_values(connection, sql, values)
            if values is not None:
                return await _result(await connection.execute(sa.text(sql), dict(values)))
            # as it stands: a `:` or `%` in it means nothing
            options = {"no_parameters": True}
            return await _result(await connection.exec_driver_sql(sql, execution_options=options))

        return await self._run(work)


def _conditions(shape: sa.Table, where: Sequence[Where]) -> list[Any]:
    return [_condition(shape.c[condition.column], condition) for condition in where]


def _condition(column: sa.Column[Any], where: Where) -> Any:
    if where.operator not in _OPERATORS:
        raise DatabaseError(f"'{where.operator}' is no operator: expected {', '.join(_OPERATORS)}")
    if where.value is None:
        return {"=": column.is_(None), "!=": column.is_not(None)}.get(where.operator, sa.false())
    return _OPERATORS[where.operator](column, stored(where.value, column))


def _updating(shape: sa.Table, values: Mapping[str, Cell], where: Sequence[Where]) -> sa.Update:
    ready = {name: stored(value, shape.c[name]) for name, value in values.items()}
    return shape.update().values(ready).where(*_conditions(shape, where))


def _unique_keys(connection: sa.Connection, table: str, names: Sequence[str]) -> list[str]:
    """The columns of a unique key that are all among `names`; none when the table has no such key."""
    inspector = sa.inspect(connection)
    found: list[Sequence[str | None]] = [inspector.get_pk_constraint(table).get("constrained_columns") or []]
    found += [index["column_names"] for index in inspector.get_indexes(table) if index["unique"]]
    found += [constraint["column_names"] for constraint in inspector.get_unique_constraints(table)]
    return next(([str(n) for n in key] for key in found if key and set(key) <= set(names)), [])


def _clashed(error: BaseException | None) -> bool:
    """Whether someone else has put in the row meanwhile, or the server has chosen between the two."""
    if isinstance(error, IntegrityError):
        return True
    said = getattr(error, "orig", None)
    return _DEADLOCK & {*getattr(said, "args", ())[:1], getattr(said, "sqlstate", "")} != set()


async def _result(result: sa.CursorResult[Any]) -> Result:
    if not result.returns_rows:
        return Result((), [], max(result.rowcount, 0))
    rows: list[tuple[Cell, ...]] = []
    while portion := result.fetchmany(PORTION):
        rows.extend([plain_row(row) for row in portion])
        if len(portion) == PORTION:
            await asyncio.sleep(0)
    return Result(tuple(result.keys()), rows)
