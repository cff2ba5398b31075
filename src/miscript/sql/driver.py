"""Which SQL databases are open: one pool for each URL, whoever opens it, until the last of them lets go.

SQLAlchemy and the driver of a server are imported when the first URL of its kind is opened.

Source: miscript.database (`DatabaseDriver`); OpenSIPS manual, modules db_sqlite, db_postgres and db_mysql.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ..database import masked
from ..errors import ConfigurationError
from .urls import ServerUrl, file_of, server_url, ssl_context

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

    from .database import SqlDatabase

log = logging.getLogger("miscript.database")

Ending: TypeAlias = Coroutine[Any, Any, object]

CONNECTIONS: Final = 10
"""Connections that a pool may have to a server at a time."""


@dataclass(frozen=True, slots=True)
class Habits:
    """What a module's parameters say of its connections."""

    seconds: float = 5.0
    reads: int = 2
    slow: float = 0.0
    on_connection: Callable[[str, bool], None] | None = None
    """Called with a URL when its server is reached after it was not, and when it is lost."""
    sslmode: str = "disable"
    busy_milliseconds: int = 500
    pragmas: Sequence[str] = ()
    extensions: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of database: the extra of this package that it needs, and what is imported then.

    `streamed` rows come without others having their turn: MySQL's driver takes some 30 microseconds for one.
    """

    extra: str
    dialect: str
    library: str
    failures: tuple[str, ...]
    streamed: int = 250


KINDS: Final[Mapping[str, Kind]] = {
    "sqlite": Kind("sqlite", "sqlite+aiosqlite", "aiosqlite", ()),
    "postgres": Kind("postgres", "postgresql+asyncpg", "asyncpg", ("PostgresError", "InterfaceError")),
    "mysql": Kind("mysql", "mysql+aiomysql", "aiomysql", ("Error",), streamed=50),
}


@dataclass(slots=True)
class SqlDriver:
    """Opens the databases of one kind: "sqlite", "postgres" or "mysql"."""

    kind: str
    habits: Habits = field(default_factory=Habits)
    version_table: str = "version"
    open_now: dict[str, SqlDatabase] = field(default_factory=dict)

    def open(self, url: str) -> SqlDatabase:
        """The pool for `url`, which connects when it is first used.  Raises ConfigurationError for a bad URL."""
        if url not in self.open_now:
            self.open_now[url] = self._new(url)
        database = self.open_now[url]
        database.users += 1
        return database

    def check(self) -> None:
        """Raise ConfigurationError when the libraries for this kind are not installed."""
        kind = KINDS[self.kind]
        for library in ("sqlalchemy", kind.library):
            try:
                importlib.import_module(library)
            except ImportError as error:
                raise ConfigurationError(
                    f"'{self.kind}:' databases need '{library}', which is not installed",
                    help=f"pip install 'miscript[{kind.extra}]'",
                ) from error

    async def end(self) -> None:
        """End all pools."""
        for database in list(self.open_now.values()):
            await database.end()

    def _new(self, url: str) -> SqlDatabase:
        place = _existing_file(url) if self.kind == "sqlite" else server_url(url)
        self.check()
        from sqlalchemy.ext.asyncio import create_async_engine

        from .database import Manners, SqlDatabase

        kind = KINDS[self.kind]
        library = importlib.import_module(kind.library)
        engine = create_async_engine(
            _engine_url(kind, place),
            isolation_level="AUTOCOMMIT",
            pool_size=CONNECTIONS,
            max_overflow=0,
            pool_timeout=self.habits.seconds,
            pool_pre_ping=self.kind != "sqlite",
            connect_args=_connect_arguments(self.kind, place, self.habits),
        )
        if self.kind == "sqlite":
            _prepare_files(engine, self.habits)
        if self.habits.on_connection is not None:
            _report(engine, url, self.habits.on_connection)
        manners = Manners(
            seconds=self.habits.seconds,
            reads=self.habits.reads,
            begin="BEGIN IMMEDIATE" if self.kind == "sqlite" else "BEGIN",
            slow=self.habits.slow,
            streamed=kind.streamed,
            failures=tuple(getattr(library, name) for name in kind.failures),
            interrupt=_interrupt(self.kind, engine, self.habits.seconds),
        )
        return SqlDatabase(
            masked(url),
            engine,
            manners,
            version_table=self.version_table,
            ended=lambda: self._forget(url),
        )

    def _forget(self, url: str) -> None:
        self.open_now.pop(url, None)


def _existing_file(url: str) -> str:
    """The file that `url` names, or that is to be made.  Raises ConfigurationError when there is no folder for it."""
    path = Path(file_of(url))
    if path.is_dir() or not path.parent.is_dir():
        raise ConfigurationError(f"'{url}': '{path}' can be no file: expected one in a folder that exists")
    return str(path)


def _engine_url(kind: Kind, place: ServerUrl | str) -> Any:
    from sqlalchemy import URL

    if isinstance(place, str):
        return URL.create(kind.dialect, database=place)
    return URL.create(
        kind.dialect,
        username=place.user or None,
        password=place.password,
        host=None if place.socket else place.host,
        port=place.port,
        database=place.database,
    )


def _connect_arguments(kind: str, place: ServerUrl | str, habits: Habits) -> dict[str, Any]:
    if isinstance(place, str):
        return {"timeout": max(habits.busy_milliseconds, 0) / 1000}
    context = ssl_context(place.parameters)
    if kind == "mysql":
        arguments: dict[str, Any] = {"ssl": context, "connect_timeout": habits.seconds, "charset": "utf8mb4"}
        return arguments | ({"unix_socket": place.socket} if place.socket else {})
    mode = place.parameters.get("sslmode", habits.sslmode)
    arguments = {"ssl": context or ("prefer" if mode == "prefer" else False), "timeout": habits.seconds}
    return arguments | ({"host": place.socket} if place.socket else {})


def _prepare_files(engine: Any, habits: Habits) -> None:
    """What every connection to a file is told first."""
    from sqlalchemy import event

    def connected(connection: Any, record: object) -> None:
        cursor = connection.cursor()
        if not any(pragma.partition("=")[0].strip().lower() == "journal_mode" for pragma in habits.pragmas):
            _read_beside_writing(cursor)
        for pragma in habits.pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        for extension in habits.extensions:
            _load_extension(connection, cursor, extension)
        cursor.close()

    event.listen(engine.sync_engine, "connect", connected)


def _read_beside_writing(cursor: Any) -> None:
    """Keep a log of changes beside the file: without, nobody writes while someone reads a long table."""
    try:
        cursor.execute("PRAGMA journal_mode=wal")
    except sqlite3.OperationalError as error:  # someone is at work in the file, or it cannot be changed
        log.debug("the file of a database stays without a log of changes: %s", error)


def _load_extension(connection: Any, cursor: Any, extension: str) -> None:
    path, _, entry = extension.partition(";")
    call = "load_extension(?, ?)" if entry else "load_extension(?)"
    try:
        connection.run_async(lambda raw: raw.enable_load_extension(True))
    except AttributeError:
        raise OSError(f"'{path}' cannot be loaded: this Python's SQLite takes no extensions") from None
    cursor.execute(f"SELECT {call}", tuple(filter(None, (path, entry))))
    connection.run_async(lambda raw: raw.enable_load_extension(False))


def _interrupt(kind: str, engine: AsyncEngine, seconds: float) -> Callable[[AsyncConnection], Ending | None]:
    """What ends the work of a connection where its own end would not.

    A file's thread would go on and hold the file, and MariaDB lets a query go on whose client is gone; asyncpg sees
    to its own.
    """

    async def end_thread(raw: Any) -> None:
        await raw.interrupt()
        await raw.rollback()  # a cursor that someone still holds would keep the transaction open

    async def end_query(number: int) -> None:
        async with asyncio.timeout(seconds), engine.connect() as connection:
            await connection.exec_driver_sql(f"KILL {number}")

    def interrupt(connection: AsyncConnection) -> Ending | None:
        inner = connection.sync_connection
        if kind == "postgres" or inner is None or inner.closed or inner.invalidated:
            return None
        raw: Any = inner.connection.driver_connection
        return end_thread(raw) if kind == "sqlite" else end_query(int(raw.thread_id()))

    return interrupt


def _report(engine: Any, url: str, on_connection: Callable[[str, bool], None]) -> None:
    from sqlalchemy import event

    state = {"connected": False}

    def connected(connection: object, record: object) -> None:
        if not state["connected"]:
            state["connected"] = True
            on_connection(url, True)

    def failed(context: Any) -> None:
        if context.is_disconnect and state["connected"]:
            state["connected"] = False
            on_connection(url, False)

    event.listen(engine.sync_engine, "connect", connected)
    event.listen(engine.sync_engine, "handle_error", failed)
