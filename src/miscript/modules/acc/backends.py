"""Where records go: the log, the event interface, a database.

Rows are written beside the calls, one after the other: a slow database holds up nobody, and what is too much for it is
counted and lost.

Source: OpenSIPS manual, module acc.
"""

from __future__ import annotations

import asyncio
import logging
import logging.handlers
import os
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import ClassVar, Final, Protocol

from ...database import Cell, Database, DatabaseError
from ...log_lines import OneLine
from ...services import Events
from .accounts import BackEnd, Fields
from .records import Columns, Kind, Record

log = logging.getLogger("miscript.acc")

MAX_ROWS: Final = 10_000
"""Rows that wait for the database."""

CLOSING_SECONDS: Final = 5.0
"""Seconds that the rows which are left may take when the host ends."""

SYSLOG_SOCKET: Final = "/dev/log"

FACILITIES: Final = {f"LOG_{name.upper()}": n for name, n in logging.handlers.SysLogHandler.facility_names.items()}


class SystemLog(logging.handlers.SysLogHandler):
    """The system's log; it knows notices, for which Python's logging has no name."""

    priority_map: ClassVar[dict[str, str]] = {
        **logging.handlers.SysLogHandler.priority_map,
        **dict.fromkeys(("NOTICE", "Level 25"), "notice"),
        **dict.fromkeys(("ALERT", "Level 55"), "alert"),
    }


class Writer(Protocol):
    """One back end."""

    def write(self, record: Record, table: str = "") -> None:
        """Take a record; returns at once.  `table` is the one that the script named, "" for none."""


@dataclass(slots=True)
class LogWriter:
    """Lines of the log of miscript; `level` is one of Python's.

    With a `facility` of syslog they go to the system's log as well.
    """

    extra: Fields
    legs: Fields
    level: int
    facility: int | None = None
    _handler: logging.Handler | None = None

    def write(self, record: Record, table: str = "") -> None:
        log.log(self.level, "%s", record.line(self.extra.of(BackEnd.LOG), self.legs.of(BackEnd.LOG)))

    def start(self) -> None:
        if self.facility is None or not os.path.exists(SYSLOG_SOCKET):
            return
        self._handler = SystemLog(SYSLOG_SOCKET, self.facility)
        self._handler.setFormatter(OneLine())
        self._handler.addFilter(lambda record: record.getMessage().startswith("ACC: "))
        log.addHandler(self._handler)

    def stop(self) -> None:
        if self._handler is not None:
            log.removeHandler(self._handler)
            self._handler.close()
            self._handler = None


@dataclass(slots=True)
class EventWriter:
    """Events, one for each leg."""

    extra: Fields
    legs: Fields
    bus: Events

    def write(self, record: Record, table: str = "") -> None:
        for attributes in record.events(self.extra.of(BackEnd.EVENT), self.legs.of(BackEnd.EVENT)):
            self.bus.raise_event(record.event, attributes)


@dataclass(slots=True)
class DatabaseWriter:
    """Rows of tables, one for each leg."""

    extra: Fields
    legs: Fields
    database: Database
    columns: Columns
    table: str
    missed_table: str
    _rows: deque[tuple[str, dict[str, Cell]]] = field(default_factory=deque)
    _more: asyncio.Event = field(default_factory=asyncio.Event)
    _written: asyncio.Future[None] | None = None
    _lost: int = 0

    def write(self, record: Record, table: str = "") -> None:
        name = table or (self.missed_table if record.kind is Kind.MISSED else self.table)
        for row in self._of(record):
            if len(self._rows) < MAX_ROWS:
                self._rows.append((name, row))
                continue
            self._lost += 1
            if self._lost & (self._lost - 1) == 0:  # said at 1, 2, 4, 8 …
                log.error("the database does not keep up: %d records are lost so far", self._lost)
        self._more.set()

    async def write_now(self, record: Record, table: str) -> None:
        """Write a record and wait for it.  Raises DatabaseError."""
        await self.database.insert(table, *self._of(record))

    def _of(self, record: Record) -> Iterator[dict[str, Cell]]:
        return record.rows(self.columns, self.extra.of(BackEnd.DATABASE), self.legs.of(BackEnd.DATABASE))

    async def run(self) -> None:
        """Write what comes, until the task is cancelled."""
        while True:
            await self._more.wait()
            self._more.clear()
            await self._write_rows()

    async def _write_rows(self) -> None:
        while self._rows:
            self._written = asyncio.ensure_future(self._insert(*self._rows.popleft()))
            await asyncio.shield(self._written)  # `run` may be cancelled, what it has begun is not

    async def _insert(self, table: str, row: dict[str, Cell]) -> None:
        try:
            await self.database.insert(table, row)
        except DatabaseError as error:
            log.error("a record cannot be written to '%s': %s", table, error)

    async def stop(self) -> None:
        """Write the rows that are left, as far as that goes, and close."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                if self._written is not None:
                    await self._written
                await self._write_rows()
        except TimeoutError:
            log.error("%d records are lost, the database is too slow", len(self._rows))
        await self.database.close()
