"""A table that follows what a module holds in memory: who is registered, which calls go on.

The module says what has changed (`changed`); a row is made when it is written, so that ten changes of one thing are
one row.  Nothing here waits for the database but `flush`, which is for timers, MI commands and the host's end, and
`run`, which writes as soon as something has changed.  What cannot be written waits, is counted, and is tried again; a
row that the database refuses while it takes others is logged and left out until it changes again.

```python
mirror = TableMirror(database, "location", "contact_id", row, clock)
mirror.changed(contact.id, aor)          # row(contact.id, aor) gives its columns, None when it is gone
await mirror.flush()
```
"""

from __future__ import annotations

import asyncio
import itertools
import logging
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from typing import Final, Generic, TypeAlias, TypeVar

from .database import Cell, Database, DatabaseError, Tables, Where, checked_name
from .services import Clock
from .table_cells import Turns

log = logging.getLogger("miscript.database")

T = TypeVar("T")
Row: TypeAlias = Mapping[str, Cell]
Work: TypeAlias = "tuple[int, Row | None]"
"""A key with its row, None for one that is to go."""

BATCH: Final = 200
"""Rows of one transaction."""

PORTION: Final = 25
"""Rows that are handed over at a time, so that others have their turn."""

CHUNK: Final = 500
"""Rows that are read at a time."""

SINGLE_FAILURES: Final = 3
"""After so many rows that fail one by one, with none that is taken, the database is held to be away."""

FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
"""Seconds until `run` tries again: they double from one failure to the next."""

CLOSING_SECONDS: Final = 4.0
"""Seconds that the rows which are left may take when the host ends."""


class TableMirror(Generic[T]):
    """Keeps the rows of one table; `key_column` holds a number that tells them apart.

    `row(key, hint)` gives the columns of a row, all of them each time, or None when it is to go; `hint` is what
    `changed` was told with the key.
    """

    def __init__(
        self,
        database: Database,
        table: str,
        key_column: str,
        row: Callable[[int, T], Row | None],
        clock: Clock,
    ) -> None:
        self.database = database
        self.table = table
        self.failures = 0
        self.refused = 0
        self._key_column = key_column
        self._row = row
        self._clock = clock
        self._pending: dict[int, T] = {}
        self._undone: dict[int, T] = {}  # of the batch that is being written
        self._stored: set[int] = set()  # keys that may have a row
        self._asks_sql = not database.url.startswith("text:")
        self._writing = asyncio.Lock()
        self._more = asyncio.Event()
        self._failed_before = 0

    def __len__(self) -> int:
        """How many rows wait to be written."""
        return len(self._pending) + len(self._undone)

    def changed(self, key: int, hint: T) -> None:
        """A row is new, another one, or to go; it is written later."""
        self._pending[key] = hint
        self._more.set()

    def is_pending(self, key: int) -> bool:
        """Whether a row is not in the table as it is in memory."""
        return key in self._pending or key in self._undone

    def found(self, key: int) -> None:
        """The table has a row with this key, which somebody has read."""
        self._stored.add(key)

    # -- reading ------------------------------------------------------------------------------------------------------

    async def rows(self, columns: Sequence[str]) -> AsyncIterator[tuple[Cell, ...]]:
        """All rows, the key in front of `columns`; others have their turn between them.  Raises DatabaseError."""
        turns = Turns()
        async for portion in self.database.rows(self.table, (self._key_column, *columns), chunk=CHUNK):
            for row in portion:
                yield row
                await turns.next()

    # -- writing ------------------------------------------------------------------------------------------------------

    async def flush(self) -> None:
        """Write what has changed until now.  Raises DatabaseError when that fails: then it waits for the next time."""
        async with self._writing:
            left = len(self._pending)
            while left > 0 and self._pending:
                batch = dict(itertools.islice(self._pending.items(), min(BATCH, left)))
                left -= len(batch)
                for key in batch:
                    del self._pending[key]
                self._undone = dict(batch)
                try:
                    await self._write(batch, self._undone)
                except BaseException as error:
                    for key, hint in self._undone.items():
                        self._pending.setdefault(key, hint)  # what has changed since is newer
                    self._undone = {}
                    if isinstance(error, DatabaseError):
                        self._tell_failure(error)
                    raise
            self._tell_success()

    async def _write(self, batch: Mapping[int, T], undone: dict[int, T]) -> None:
        """Write some rows; those that are done leave `undone`."""
        work: list[Work] = []
        for key, hint in batch.items():
            row = self._row(key, hint)
            if row is not None or key in self._stored:
                work.append((key, row))
        if not work:
            undone.clear()
            return
        new = [row for key, row in work if row is not None and key not in self._stored]
        known = [(key, row) for key, row in work if key in self._stored]
        self._stored.update(key for key, _ in work)  # whatever becomes of it, they may be there from now on
        try:
            async with self.database.transaction() as tables:
                if known:
                    await self._remove(tables, [key for key, _ in known])
                rows = [row for _, row in known if row is not None] + new
                for begin in range(0, len(rows), PORTION):
                    await tables.insert(self.table, *rows[begin : begin + PORTION])
        except DatabaseError:
            await self._write_singly(work, undone)
        else:
            undone.clear()
            self._stored.difference_update(key for key, row in work if row is None)

    async def _remove(self, tables: Tables, keys: Sequence[int]) -> None:
        """Remove rows, in one statement where the database knows SQL."""
        if self._asks_sql:
            table, column = checked_name(self.table), checked_name(self._key_column)
            numbers = ", ".join(str(key) for key in keys)
            await tables.query(f"DELETE FROM {table} WHERE {column} IN ({numbers})")
            return
        for key in keys:
            await tables.delete(self.table, [Where(self._key_column, key)])

    async def _put(self, tables: Tables, key: int, row: Row | None) -> None:
        if row is None:
            await tables.delete(self.table, [Where(self._key_column, key)])
        else:
            await tables.replace(self.table, row, [self._key_column])

    async def _write_singly(self, work: Sequence[Work], undone: dict[int, T]) -> None:
        """One row after the other, so that one which the database does not take holds up no other."""
        refused: list[tuple[int, DatabaseError]] = []
        taken = 0
        for key, row in work:
            try:
                await self._put(self.database, key, row)
            except DatabaseError as error:
                refused.append((key, error))
                if not taken and len(refused) >= SINGLE_FAILURES:
                    raise
                continue
            taken += 1
            undone.pop(key, None)
            if row is None:
                self._stored.discard(key)
        if not refused:
            undone.clear()
            return
        if not taken:
            raise refused[0][1]
        for key, reason in refused:
            self.refused += 1
            log.error("the table '%s' does not take the row %d, which is left out: %s", self.table, key, reason)
        undone.clear()

    def _tell_failure(self, error: DatabaseError) -> None:
        self.failures += 1
        self._failed_before += 1
        if self._failed_before & (self._failed_before - 1) == 0:  # said at 1, 2, 4, 8 …
            log.error(
                "the table '%s' cannot be written for the %d. time, %d rows wait: %s",
                self.table,
                self._failed_before,
                len(self),
                error,
            )

    def _tell_success(self) -> None:
        if self._failed_before:
            log.warning("the table '%s' is written again", self.table)
            self._failed_before = 0

    async def rewrite(self, hints: Iterable[tuple[int, T]], where: Sequence[Where] = ()) -> None:
        """Empty the table, or its rows that meet `where`, and write the rows of these keys.  Raises DatabaseError.

        When the database goes away in the middle, the rest is written later.
        """
        async with self._writing:
            await self.database.delete(self.table, where)
            if not where:
                self._stored.clear()
        failure: DatabaseError | None = None
        turns, left = Turns(), iter(hints)
        while batch := dict(itertools.islice(left, BATCH)):
            self._pending.update(batch)
            if failure is None:
                try:
                    await self.flush()
                except DatabaseError as error:
                    failure = error
            await turns.next()
        if failure is not None:
            raise failure

    # -- life ---------------------------------------------------------------------------------------------------------

    async def flush_if_it_can(self) -> None:
        """For timers: what fails has been logged, and is tried again at the next turn."""
        try:
            await self.flush()
        except DatabaseError:
            pass

    async def run(self) -> None:
        """Write as soon as something has changed, until cancelled."""
        pause = FIRST_PAUSE
        while True:
            await self._more.wait()
            self._more.clear()
            try:
                await self.flush()
                pause = FIRST_PAUSE
            except DatabaseError:
                await self._clock.sleep(pause)
                pause = min(2 * pause, LONGEST_PAUSE)
                self._more.set()

    async def close(self) -> None:
        """Write what is left, as far as that goes."""
        try:
            async with asyncio.timeout(CLOSING_SECONDS):
                await self.flush()
        except (TimeoutError, DatabaseError) as error:
            reason = str(error) or "the database is too slow"
            log.error("%d rows of the table '%s' are lost: %s", len(self), self.table, reason)
