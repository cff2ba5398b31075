"""A pool of connections to one SQL database, and the work on its tables.

Every call has a deadline: when it passes, the caller gets its DatabaseError at once, and the connection, of which
nobody knows what it still does, is thrown away behind it.  A connection that the server has closed is noticed before
it is used again, so that a server which was away needs nobody to reconnect.  A statement of its own is committed by
itself; `transaction` says BEGIN and COMMIT.

Source: miscript.database (what the methods mean).
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError, NoSuchTableError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from ..database import Cell, DatabaseError, Tables, Where
from ..errors import reason
from .cells import plain_row
from .tables import PORTION, Shapes, SqlTables

log = logging.getLogger("miscript.database")

T = TypeVar("T")

CLOSING_SECONDS: Final = 3.0


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
    interrupt: Callable[[AsyncConnection], Coroutine[Any, Any, object] | None] = lambda connection: None
    streamed: int = PORTION
    """Rows between two turns of other work, when they come one by one."""


class Deadline:
    """Runs what must end in time, in a task of its own, so that what does not end can be left behind."""

    def __init__(self, seconds: float, name: str) -> None:
        self.seconds = seconds
        self._name = name
        self._left_behind: set[asyncio.Future[Any]] = set()

    async def bound(self, work: Awaitable[T], leaving: Callable[[asyncio.Future[Any]], None] = lambda task: None) -> T:
        """The result of `work`; DatabaseError once its time is over.  `leaving` gets what is left behind then."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task}, timeout=self.seconds)
        except asyncio.CancelledError:
            leaving(task)
            self._leave(task)
            raise
        if not done:
            leaving(task)
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
        """Wait a moment for what was left behind, and for what that leaves behind itself."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CLOSING_SECONDS):
                while self._left_behind:
                    await asyncio.wait(self._left_behind)


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
        await self._deadline.all_ended()  # what comes back to a pool behind its end is closed by nobody
        try:
            await self.on(self.engine.dispose())
        except DatabaseError as error:
            log.warning("the connections do not end well: %s", error)
        await self._deadline.all_ended()

    def _failures(self) -> tuple[type[Exception], ...]:
        """What says that the database refused or is away; uvloop's word for a closed connection is RuntimeError."""
        return (SQLAlchemyError, OSError, EOFError, ValueError, OverflowError, RuntimeError, *self._manners.failures)

    def _error(self, error: Exception) -> DatabaseError:
        if isinstance(error, NoSuchTableError):
            name = str(error).strip("`")
            return DatabaseError(f"{self.url} has no table '{name}': `miscript db create` makes the tables")
        return DatabaseError(f"{self.url}: {_said(getattr(error, 'orig', None) or error)}")

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
            return await self._deadline.bound(attempts, lambda task: self.interrupt(*held[-1:]))
        finally:
            taken = time.monotonic() - started
            if self._manners.slow and taken > self._manners.slow:
                log.warning("%s: a query took %.3f seconds", self.url, taken)

    def interrupt(self, *held: AsyncConnection) -> None:
        """Tell a connection to end what it is at, where its own end would not."""
        for connection in held:
            ending = self._manners.interrupt(connection)
            if ending is not None:
                self._deadline.behind(ending)

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
            await self.undo(connection)
            raise
        return result

    async def undo(self, connection: AsyncConnection) -> None:
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
        held = await self._hold()
        try:
            yield _Transaction(self._shapes, held)
            await held.do(held.connection.exec_driver_sql("COMMIT"))
        except BaseException:
            self._deadline.behind(held.give_up())
            raise
        await self.on(held.connection.close())

    async def _hold(self) -> _Held:
        """A connection on which a transaction has begun."""
        held = _Held(self, await self.on(self.engine.connect()))
        try:
            await held.do(held.connection.exec_driver_sql(self._manners.begin))
        except BaseException:
            self._deadline.behind(held.give_up())
            raise
        return held

    async def on(self, work: Awaitable[T], leaving: Callable[[asyncio.Future[Any]], None] = lambda task: None) -> T:
        """What `work` gives, within the deadline and with the errors of this database."""
        try:
            return await self._deadline.bound(work, leaving)
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
        held = _Held(self, await self.on(self.engine.connect()))
        connection, at_once = held.connection, self._manners.streamed
        try:
            await held.do(connection.exec_driver_sql("BEGIN"))
            statement = await held.do(self.selection(connection, table, columns, where, order))
            result = await held.do(connection.stream(statement, execution_options={"max_row_buffer": at_once}))
            while portion := await held.do(_chunk(result, chunk, at_once)):
                yield portion
            await held.do(connection.exec_driver_sql("COMMIT"))
        except BaseException:  # also when nobody wants the rest, for which nobody waits
            self._deadline.behind(held.throw_away())
            raise
        await self.on(connection.close())


def _said(error: BaseException) -> str:
    """The first line of what a driver says; MySQL's says a number first."""
    if isinstance(error, OSError) and error.errno is not None:
        return reason(error)
    said = error.args[1] if len(error.args) > 1 and isinstance(error.args[0], int) else error
    lines = str(said).strip().splitlines()
    cause = error.__cause__
    why = f": {reason(cause)}" if isinstance(cause, OSError) and cause.errno is not None else ""
    return (lines[0] if lines else type(error).__name__) + why


async def _chunk(result: Any, size: int, at_once: int) -> list[tuple[Cell, ...]]:
    rows: list[tuple[Cell, ...]] = []
    while len(rows) < size:
        portion = await result.fetchmany(min(at_once, size - len(rows)))
        if not portion:
            break
        rows.extend([plain_row(row) for row in portion])
        await asyncio.sleep(0)
    return rows


class _Held:
    """One connection for several pieces of work, one after the other; `left` is the piece that took too long."""

    def __init__(self, database: SqlDatabase, connection: AsyncConnection) -> None:
        self._database = database
        self.connection = connection
        self._left: asyncio.Future[Any] | None = None

    async def do(self, work: Awaitable[T]) -> T:
        return await self._database.on(work, self._leave)

    def _leave(self, task: asyncio.Future[Any]) -> None:
        self._left = task
        self._database.interrupt(self.connection)

    async def give_up(self) -> None:
        """Undo what was done; a connection that is still at something goes with it."""
        if self._left is not None:
            await self.throw_away()
        else:
            await self._database.undo(self.connection)
            await self.connection.close()

    async def throw_away(self) -> None:
        """End the connection, once nothing works on it any more."""
        if self._left is not None:
            await asyncio.wait({self._left}, timeout=CLOSING_SECONDS)
        else:
            self._database.interrupt(self.connection)
            await asyncio.sleep(0)
        if not self.connection.invalidated:
            await self.connection.invalidate()
        await self.connection.close()


class _Transaction(SqlTables):
    """Work on one connection, between BEGIN and COMMIT."""

    def __init__(self, shapes: Shapes, held: _Held) -> None:
        super().__init__(shapes)
        self._held = held

    async def _run(
        self,
        work: Callable[[AsyncConnection], Awaitable[T]],
        *,
        reads: bool = False,
        whole: bool = False,
    ) -> T:
        return await self._held.do(work(self._held.connection))

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
