"""A pool of connections to one SQL database, and the work on its tables.

Every call has a deadline: when it passes, the caller gets its DatabaseError at once, and the connection, of which
nobody knows what it still does, is thrown away behind it.  A connection that the server has closed is noticed before
it is used again, so that a server which was away needs nobody to reconnect.  A statement of its own is committed by
itself; `transaction` says BEGIN and COMMIT.

Source: miscript.database (what the methods mean).
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, IntegrityError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..database import Cell, DatabaseError, Result, Tables, Where, checked_name
from .cells import TimeText, plain_row, stored

log = logging.getLogger("miscript.database")

T = TypeVar("T")

PORTION: Final = 250
"""Rows between two turns of other work."""

CLOSING_SECONDS: Final = 3.0

_OPERATORS: Final[dict[str, Callable[[Any, Any], Any]]] = {
    "=": lambda column, value: column == value,
    "!=": lambda column, value: column != value,
    "<": lambda column, value: column < value,
    ">": lambda column, value: column > value,
    "<=": lambda column, value: column <= value,
    ">=": lambda column, value: column >= value,
}


@dataclass(frozen=True, slots=True)
class Manners:
    """How a pool behaves: seconds that a call may take, how often a read is tried, what begins a transaction.

    `slow` is the time in seconds from which a call is worth a warning; 0: none is.  `failures` are what the driver
    raises beside SQLAlchemy's own.  `interrupt` ends what a connection is at, where closing it does not.
    """

    seconds: float = 5.0
    reads: int = 2
    begin: str = "BEGIN"
    slow: float = 0.0
    failures: tuple[type[Exception], ...] = ()
    interrupt: Callable[[AsyncConnection], None] = lambda connection: None
    streamed: int = PORTION
    """Rows between two turns of other work, when they come one by one."""


class Deadline:
    """Runs what must end in time, in a task of its own, so that what does not end can be left behind."""

    def __init__(self, seconds: float, name: str) -> None:
        self.seconds = seconds
        self._name = name
        self._left_behind: set[asyncio.Future[Any]] = set()

    async def bound(self, work: Awaitable[T], leaving: Callable[[], None] = lambda: None) -> T:
        """The result of `work`; DatabaseError once its time is over.  `leaving` is called when it is left behind."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.seconds)
        except asyncio.CancelledError:
            leaving()
            self._leave(task)
            raise
        if not done:
            leaving()
            self._leave(task)
            raise DatabaseError(f"{self._name} has not answered within {self.seconds:g} seconds")
        return task.result()

    def behind(self, work: Awaitable[object]) -> None:
        """Let `work` end by itself; its failure is nobody's."""
        self._left_behind.add(task := asyncio.ensure_future(work))
        task.add_done_callback(self._ended)

    def _leave(self, task: asyncio.Future[Any]) -> None:
        task.cancel()
        self._left_behind.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Future[Any]) -> None:
        self._left_behind.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.debug("%s: %s", self._name, error)

    async def all_ended(self) -> None:
        if self._left_behind:
            await asyncio.wait(self._left_behind, timeout=CLOSING_SECONDS)


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
            statement = await self._selection(connection, table, columns, where, order)
            if limit is not None:
                statement = statement.limit(max(limit, 0))
            return await _result(await connection.execute(statement))

        return await self._run(work, reads=True)

    async def _selection(
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

        try:
            await self._run(work, whole=True)
        except DatabaseError as error:
            if not isinstance(error.__cause__, IntegrityError):
                raise
            await self._run(work, whole=True)  # someone else has inserted the row meanwhile: now it is updated

    async def query(self, sql: str, values: Mapping[str, Cell] | None = None) -> Result:
        async def work(connection: AsyncConnection) -> Result:
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


def _reason(error: BaseException) -> str:
    """The first line of what a driver says; MySQL's says a number first."""
    said = error.args[1] if len(error.args) > 1 and isinstance(error.args[0], int) else error
    lines = str(said).strip().splitlines()
    return lines[0] if lines else type(error).__name__


async def _result(result: sa.CursorResult[Any]) -> Result:
    if not result.returns_rows:
        return Result((), [], max(result.rowcount, 0))
    rows: list[tuple[Cell, ...]] = []
    while portion := result.fetchmany(PORTION):
        rows.extend([plain_row(row) for row in portion])
        if len(portion) == PORTION:
            await asyncio.sleep(0)
    return Result(tuple(result.keys()), rows)


class SqlDatabase(SqlTables):
    """A pool of connections to one URL; `url` is fit for messages."""

    def __init__(
        self,
        url: str,
        engine: AsyncEngine,
        manners: Manners,
        *,
        version_table: str = "version",
        ended: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(Shapes(url))
        self.users = 0
        self._ended = ended
        self.url = url
        self.engine = engine
        self._manners = manners
        self._version_table = version_table
        self._deadline = Deadline(manners.seconds, url)

    async def version(self, table: str) -> int | None:
        found = await self.select(self._version_table, ["table_version"], [Where("table_name", table)])
        if len(found.rows) > 1:
            raise DatabaseError(
                f"the table '{self._version_table}' of {self.url} says {len(found.rows)} times '{table}'"
            )
        return int(found.rows[0][0] or 0) if found.rows else None

    async def close(self) -> None:
        self.users -= 1
        if self.users <= 0:
            await self.end()

    async def end(self) -> None:
        """End all connections, whoever uses them; what they are at is given a moment."""
        self._ended()
        try:
            await self._on(self.engine.dispose())
        except DatabaseError as error:
            log.warning("the connections do not end well: %s", error)
        await self._deadline.all_ended()

    def _failures(self) -> tuple[type[Exception], ...]:
        return (SQLAlchemyError, OSError, ValueError, OverflowError, *self._manners.failures)

    def _error(self, error: Exception) -> DatabaseError:
        if isinstance(error, NoSuchTableError):
            name = str(error).strip("`")
            return DatabaseError(f"{self.url} has no table '{name}': `miscript db create` makes the tables")
        reason = _reason(getattr(error, "orig", None) or error)
        return DatabaseError(f"{self.url}: {reason}")

    async def _run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        reads: bool = False,
        whole: bool = False,
    ) -> T:
        started = time.monotonic()
        held: list[AsyncConnection] = []
        attempts = self._attempts(work, self._manners.reads if reads else 1, whole, held)
        try:
            return await self._deadline.bound(attempts, lambda: self._interrupt(held))
        finally:
            taken = time.monotonic() - started
            if self._manners.slow and taken > self._manners.slow:
                log.warning("%s: a query took %.3f seconds", self.url, taken)

    def _interrupt(self, held: Sequence[AsyncConnection]) -> None:
        for connection in held[-1:]:
            self._manners.interrupt(connection)

    async def _attempts(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        attempts: int,
        whole: bool,
        held: list[AsyncConnection],
    ) -> T:
        while True:
            attempts -= 1
            try:
                async with self.engine.connect() as connection:
                    held.append(connection)
                    return await (self._as_transaction(connection, work) if whole else work(connection))
            except self._failures() as error:
                lost = isinstance(error, DBAPIError) and error.connection_invalidated
                if not lost or attempts <= 0:
                    raise self._error(error) from error

    async def _as_transaction(self, connection: AsyncConnection, work: Callable[[AsyncConnection], Awaitable[T]]) -> T:
        await connection.exec_driver_sql(self._manners.begin)
        try:
            result = await work(connection)
            await connection.exec_driver_sql("COMMIT")
        except BaseException:
            await self._undo(connection)
            raise
        return result

    async def _undo(self, connection: AsyncConnection) -> None:
        """Roll back; where that cannot be said, the end of the connection says it."""
        try:
            if not connection.invalidated:
                await connection.exec_driver_sql("ROLLBACK")
        except self._failures():
            await connection.invalidate()

    async def define(self, work: Callable[[sa.Connection], T]) -> T:
        """Look at tables, or make and change them, in one transaction where the server knows such."""

        async def whole(connection: AsyncConnection) -> T:
            return await connection.run_sync(work)

        self._shapes.forget()
        return await self._run(whole, whole=True)

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        connection = await self._on(self.engine.connect())
        work = _Transaction(self, connection)
        try:
            await self._on(connection.exec_driver_sql(self._manners.begin))
            yield work
            await self._on(connection.exec_driver_sql("COMMIT"))
        except BaseException:
            self._deadline.behind(self._give_up(work))
            raise
        await self._on(connection.close())

    async def _give_up(self, work: _Transaction) -> None:
        connection = work.connection
        if work.broken:
            await connection.invalidate()
        else:
            await self._undo(connection)
        await connection.close()

    async def _on(self, work: Awaitable[T], *held: AsyncConnection) -> T:
        """What `work` gives, within the deadline and with the errors of this database."""
        try:
            return await self._deadline.bound(work, lambda: self._interrupt(held))
        except self._failures() as error:
            raise self._error(error) from error

    async def rows(
        self,
        table: str,
        columns: Sequence[str],
        where: Sequence[Where] = (),
        *,
        order: str = "",
        chunk: int = 2000,
    ) -> AsyncIterator[Sequence[tuple[Cell, ...]]]:
        connection = await self._on(self.engine.connect())
        whole = False
        try:
            await self._on(connection.exec_driver_sql(self._manners.begin.partition(" ")[0]))
            statement = await self._on(self._selection(connection, table, columns, where, order))
            result = await self._on(
                connection.stream(statement, execution_options={"max_row_buffer": self._manners.streamed}), connection
            )
            while portion := await self._on(_chunk(result, chunk, self._manners.streamed), connection):
                yield portion
            await self._on(connection.exec_driver_sql("COMMIT"))
            whole = True
        finally:
            if whole:
                await self._on(connection.close())
            else:  # what is left of the rows is not waited for
                self._deadline.behind(self._throw_away(connection))

    async def _throw_away(self, connection: AsyncConnection) -> None:
        self._manners.interrupt(connection)
        await connection.invalidate()
        await connection.close()


async def _chunk(result: Any, size: int, at_once: int) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    while len(rows) < size:
        portion = await result.fetchmany(min(at_once, size - len(rows)))
        if not portion:
            break
        rows.extend([plain_row(row) for row in portion])
        await asyncio.sleep(0)
    return rows


class _Transaction(SqlTables):
    """Work on one connection, one piece after the other; `broken` once a piece of it has not come to its end."""

    def __init__(self, database: SqlDatabase, connection: AsyncConnection) -> None:
        super().__init__(database._shapes)
        self._database = database
        self.connection = connection
        self.broken = False

    async def _run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        reads: bool = False,
        whole: bool = False,
    ) -> T:
        try:
            return await self._database._on(work(self.connection), self.connection)
        except (DatabaseError, asyncio.CancelledError) as error:
            self.broken = self.broken or error.__cause__ is None
            raise

    async def rows(
        self,
        table: str,
        columns: Sequence[str],
        where: Sequence[Where] = (),
        *,
        order: str = "",
        chunk: int = 2000,
    ) -> AsyncIterator[Sequence[tuple[Cell, ...]]]:
        found = await self.select(table, columns, where, order=order)
        for begin in range(0, len(found.rows), chunk):
            yield found.rows[begin : begin + chunk]
            await asyncio.sleep(0)
