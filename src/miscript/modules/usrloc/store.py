"""The database of the location service: which mode writes what, reading at the start, writing behind the calls.

Memory is what counts: `lookup()` and its like ask no database.  Contacts are read once, before the startup route;
changes are written at once (write-through) or with each turn of `timer_interval` (write-back), and no reply waits for
them.  Contacts of `save()` with `memory-only` are never written.

Source: OpenSIPS manual, module usrloc (`working_mode_preset`, `restart_persistency`, `sql_write_mode`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Final

from ...database import Cell, Database, DatabaseError, Where, check_version
from ...errors import ConfigurationError
from ...services import Clock
from ...sip.location import Contact, LocationTable, Record
from ...table_mirror import TableMirror
from .rows import TABLE_VERSION, RowFormat

log = logging.getLogger("miscript.usrloc")

MEMORY_ONLY: Final = 1
"""The flag of contacts that no database gets."""

SHOWN_MISTAKES: Final = 20
"""Wrong rows that one start logs; it tells how many more there were."""


class WriteMode(Enum):
    """When the database is written, by the values of `sql_write_mode`."""

    NONE = "none"
    THROUGH = "write-through"
    BACK = "write-back"


@dataclass(frozen=True, slots=True)
class WorkingMode:
    """Whether contacts are read from a database at the start, and when they are written."""

    loads: bool = False
    writes: WriteMode = WriteMode.NONE

    @property
    def has_database(self) -> bool:
        return self.loads or self.writes is not WriteMode.NONE


PRESETS: Final = {
    "single-instance-no-db": WorkingMode(),
    "single-instance-sql-write-through": WorkingMode(True, WriteMode.THROUGH),
    "single-instance-sql-write-back": WorkingMode(True, WriteMode.BACK),
}
"""What `working_mode_preset` chooses from."""

NOT_HERE: Final = {
    "working_mode_preset": (
        "sql-only", "federation-cachedb-cluster", "full-sharing-cluster", "full-sharing-cachedb-cluster"
    ),
    "cluster_mode": ("federation-cachedb", "full-sharing", "full-sharing-cachedb", "sql-only"),
    "restart_persistency": ("sync-from-cluster",),
}  # fmt: skip
"""Values that the server knows beside ours."""


def preset(text: str) -> WorkingMode:
    """The mode of a `working_mode_preset`.  Raises ConfigurationError."""
    _known("working_mode_preset", text, tuple(PRESETS))
    return PRESETS[text]


def chosen(cluster_mode: str, restart_persistency: str, sql_write_mode: str) -> WorkingMode:
    """The mode that the single parameters choose.  Raises ConfigurationError."""
    _known("cluster_mode", cluster_mode, ("none",))
    _known("restart_persistency", restart_persistency, ("none", "load-from-sql"))
    _known("sql_write_mode", sql_write_mode, tuple(mode.value for mode in WriteMode))
    if restart_persistency == "none":
        if sql_write_mode != "none":
            raise ConfigurationError(
                f"sql_write_mode '{sql_write_mode}' needs restart_persistency 'load-from-sql'",
                parameter="sql_write_mode",
            )
        return WorkingMode()
    return WorkingMode(True, WriteMode.BACK if sql_write_mode == "none" else WriteMode(sql_write_mode))


def _known(name: str, value: str, ours: tuple[str, ...]) -> None:
    if value in ours:
        return
    words = ", ".join(f"'{one}'" for one in ours)
    if value in NOT_HERE.get(name, ()):
        raise ConfigurationError(
            f"{name}: '{value}' shares contacts with other hosts, which is not available; there is {words}",
            parameter=name,
        )
    raise ConfigurationError(f"{name} is '{value}', expected {words}", parameter=name)


class LocationStore:
    """Reads and writes the tables of one database."""

    def __init__(self, database: Database, format: RowFormat, clock: Clock) -> None:
        self.database = database
        self._format = format
        self._clock = clock
        self._mirrors: dict[str, TableMirror[str]] = {}

    def mirror(self, table: LocationTable) -> TableMirror[str]:
        """The rows of a table."""
        found = self._mirrors.get(table.name)
        if found is None:
            row = partial(self._row, table)
            found = TableMirror(self.database, table.name, self._format.key_column, row, self._clock)
            self._mirrors[table.name] = found
        return found

    def _row(self, table: LocationTable, id: int, aor: str) -> dict[str, Cell] | None:
        record = table.record(aor)
        contact = None if record is None else next((c for c in record.contacts if c.id == id), None)
        return None if record is None or contact is None else self._format.row(record, contact)

    @property
    def waiting(self) -> int:
        """How many rows wait to be written."""
        return sum(len(mirror) for mirror in self._mirrors.values())

    @property
    def failures(self) -> int:
        """How often the database could not be written."""
        return sum(mirror.failures for mirror in self._mirrors.values())

    # -- changes --------------------------------------------------------------------------------------------------

    def changed(self, table: LocationTable, aor: str, contact: Contact) -> None:
        """A contact is new, another one, or gone."""
        if not contact.flags & MEMORY_ONLY:
            self.mirror(table).changed(contact.id, aor)

    def keys_changed(self, table: LocationTable, record: Record) -> None:
        """The texts that are kept with an AOR are others."""
        for contact in record.contacts:
            self.changed(table, record.aor, contact)

    # -- reading --------------------------------------------------------------------------------------------------

    async def load(self, table: LocationTable, now: float) -> None:
        """Fill a table; rows whose time is over go.  Raises DatabaseError, also when the table is another one."""
        await check_version(self.database, table.name, TABLE_VERSION)
        mirror, wrong = self.mirror(table), 0
        async for cells in mirror.rows(self._format.read_columns()):
            try:
                aor, contact, keys = self._format.contact(cells)
            except DatabaseError as error:
                wrong += 1
                if wrong <= SHOWN_MISTAKES:
                    log.error("the table '%s': %s; the row is left out", table.name, error)
                continue
            mirror.found(contact.id)
            if contact.is_valid(now):
                record = table.restore(aor, contact)
                if keys:
                    record.keys.update(keys)
            else:
                mirror.changed(contact.id, aor)
        if wrong > SHOWN_MISTAKES:
            log.error("the table '%s': %d more rows are left out", table.name, wrong - SHOWN_MISTAKES)

    # -- writing --------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write all that has changed.  Raises DatabaseError."""
        for mirror in list(self._mirrors.values()):
            await mirror.flush()

    async def flush_if_it_can(self) -> None:
        """For timers."""
        for mirror in list(self._mirrors.values()):
            await mirror.flush_if_it_can()

    async def rewrite(self, table: LocationTable, aor: str | None) -> None:
        """Write a table, or one AOR of it, anew: what else stands there goes.  Raises DatabaseError."""
        mirror = self.mirror(table)
        record = None if aor is None else table.record(aor)
        records = table if aor is None else [] if record is None else [record]
        hints = ((c.id, r.aor) for r in records for c in r.contacts if not c.flags & MEMORY_ONLY)
        where = [] if aor is None else [Where(name, value) for name, value in self._format.where(aor).items()]
        await mirror.rewrite(hints, where)

    async def close(self) -> None:
        """Write what is left, and end."""
        for mirror in self._mirrors.values():
            await mirror.close()
        await self.database.close()
