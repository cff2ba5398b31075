"""Traced messages in the table `sip_trace` of a database.

Rows wait in memory, bounded, and are inserted many at a time by one task: neither a call nor another trace waits for
the database.  What is not there any more when there is no room is counted.

Source: OpenSIPS manual, module tracer; database schema, table `sip_trace`, version 5.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Final

from ...database import Cell, Database, DatabaseError, check_version
from ...errors import ConfigurationError
from ...services import Counter, Services
from .destinations import Quiet, Trouble
from .options import Kind
from .records import Record

TABLE_VERSION: Final = 5
MAX_WAITING: Final = 10_000
"""Rows that wait for the database."""

BATCH: Final = 100
LINGER_SECONDS: Final = 2.0

COLUMNS: Final = {
    "date": "time_stamp",
    "callid": "callid",
    "trace_attrs": "trace_attrs",
    "msg": "msg",
    "method": "method",
    "status": "status",
    "fromproto": "from_proto",
    "fromip": "from_ip",
    "fromport": "from_port",
    "toproto": "to_proto",
    "toip": "to_ip",
    "toport": "to_port",
    "fromtag": "fromtag",
    "direction": "direction",
}
"""What the parameters `…_column` are called → the columns when they do not say else."""


class TraceTable(Quiet):
    """One table; `columns` are as `COLUMNS`."""

    kind = Kind.DATABASE

    def __init__(
        self, database: Database, table: str, columns: Mapping[str, str], services: Services, lost: Counter
    ) -> None:
        self.uri = database.url
        self._database = database
        self._table = table
        self._columns = columns
        self._services = services
        self._lost = lost
        self._trouble = Trouble(f"the table '{table}' of {database.url}", lost)
        self._waiting: deque[dict[str, Cell]] = deque()
        self._is_writing = False
        self._portion: asyncio.Future[None] | None = None

    async def prepare(self) -> None:
        try:
            await check_version(self._database, self._table, TABLE_VERSION)
        except DatabaseError as error:
            raise ConfigurationError(str(error), parameter="trace_id") from error

    def write(self, record: Record, attributes: str, correlation: str | None) -> None:
        if len(self._waiting) >= MAX_WAITING:
            self._waiting.popleft()
            self._lost.add()
        self._waiting.append(self._row(record, attributes))
        if not self._is_writing:
            self._is_writing = True
            self._services.tasks.spawn(self._write_all(), f"traced messages for the table '{self._table}'")

    def _row(self, record: Record, attributes: str) -> dict[str, Cell]:
        cells: dict[str, Cell] = {
            "date": int(record.time),
            "callid": _text(record.call_id),
            "trace_attrs": _text(attributes),
            "msg": record.data.decode("utf-8", "replace").replace("\0", "�"),
            "method": _text(record.method),
            "status": record.status,
            "fromproto": record.transports[0],
            "fromip": record.source[0],
            "fromport": record.source[1],
            "toproto": record.transports[1],
            "toip": record.destination[0],
            "toport": record.destination[1],
            "fromtag": _text(record.from_tag),
            "direction": record.direction,
        }
        return {self._columns[name]: cell for name, cell in cells.items()}

    async def _write_all(self) -> None:
        try:
            while self._waiting:
                rows = [self._waiting.popleft() for _ in range(min(BATCH, len(self._waiting)))]
                self._portion = asyncio.ensure_future(self._insert(rows))
                await asyncio.shield(self._portion)  # when the host stops, `stop` waits for this one
        finally:
            self._is_writing = False

    async def _insert(self, rows: Sequence[Mapping[str, Cell]]) -> None:
        try:
            await self._database.insert(self._table, *rows)
        except DatabaseError as error:
            self._trouble.happened(error, len(rows))
        else:
            self._trouble.over()

    async def stop(self) -> None:
        """Write what waits, as far as two seconds allow."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LINGER_SECONDS):
                if self._portion is not None:
                    await self._portion
                await self._write_all()
        self._lost.add(len(self._waiting))
        self._waiting.clear()
        await self._database.close()


def _text(text: str) -> str:
    """Text that every database takes: bytes that are no UTF-8, and NUL, become U+FFFD."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace").replace("\0", "�")
