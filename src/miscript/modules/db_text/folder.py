"""A folder of tables: its files, read when a table is first asked for, and written when that is wanted.

Files are written beside the old one and put in its place at once, so that a reader never meets half a table.  Long
tables are read and written in portions, and other work has its turn between two of them.

Source: miscript.database (what the methods mean); OpenSIPS manual, module db_text.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

from ...database import Cell, DatabaseError, Tables, Where, checked_name
from .table_file import Column, Row, first_line, fitting, read_columns, read_rows, written
from .tables import PORTION, Table, TextTables

FILE_SECONDS: Final = 10.0
"""How long a file system may take to read or write one file."""

PIECE: Final = 4096
"""Bytes of a file that are read without others having their turn, and what is left of a line."""

MOST_BYTES: Final = 1 << 30
"""A longer file is refused."""


class Folder(TextTables):
    """A database: a folder with a file for each table.  `fresh` reads a table again when its file has changed."""

    def __init__(self, url: str, path: Path, *, version_table: str = "version", fresh: bool = False) -> None:
        self.url = url
        self.path = path
        self._version_table = version_table
        self._fresh = fresh
        self._tables: dict[str, Table] = {}
        self._reading = asyncio.Lock()
        self._writing = asyncio.Lock()

    async def version(self, table: str) -> int | None:
        found = await self.select(self._version_table, ["table_version"], [Where("table_name", table)])
        numbers = [row[0] for row in found.rows]
        if len(numbers) > 1:
            raise DatabaseError(f"the table '{self._version_table}' of {self.url} says {len(numbers)} times '{table}'")
        return int(str(numbers[0])) if numbers and numbers[0] is not None else None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Tables]:
        async with self._writing:
            work = _Transaction(self)
            yield work
            work.commit()

    async def close(self) -> None:
        await self.write()

    async def _table(self, name: str) -> Table:
        found = self._tables.get(checked_name(name).lower())
        if found is not None and not (self._fresh and self._is_older(found)):
            return found
        async with self._reading:
            found = self._tables.get(name.lower())
            if found is None or (self._fresh and self._is_older(found)):
                found = self._tables[name.lower()] = await self._read(name)
            return found

    def _is_older(self, table: Table) -> bool:
        try:
            return (self.path / table.name).stat().st_mtime_ns > table.read_at
        except OSError:
            return False  # what is in memory is all there is

    @asynccontextmanager
    async def _changing(self, name: str) -> AsyncIterator[Table]:
        async with self._writing:
            yield await self._table(name)

    # -- files ----------------------------------------------------------------------------------------------------

    async def _read(self, name: str) -> Table:
        path = self.path / name
        try:
            content, read_at = await asyncio.wait_for(asyncio.to_thread(_content, path), FILE_SECONDS)
        except FileNotFoundError:
            raise DatabaseError(f"{self.url} has no table '{name}': there is no file '{path}'") from None
        except (OSError, TimeoutError) as error:
            raise DatabaseError(f"the table '{name}' of {self.url} cannot be read: {_reason(error)}") from error
        try:
            return await _table_of(name, content, read_at)
        except DatabaseError as error:
            raise DatabaseError(f"'{path}', {error}") from None

    async def reload(self, name: str | None = None) -> bool:
        """Read the tables again that are in memory, or the one called `name`; False when that one is not there.

        Raises DatabaseError when a file cannot be read; its old table stays.
        """
        if name is not None and name.lower() not in self._tables:
            return False
        failed: list[str] = []
        async with self._writing, self._reading:
            for key in [name.lower()] if name is not None else list(self._tables):
                try:
                    self._tables[key] = await self._read(self._tables[key].name)
                except DatabaseError as error:
                    failed.append(str(error))
        if failed:
            raise DatabaseError("; ".join(failed))
        return True

    async def write(self) -> None:
        """Write the tables that have changed.  Raises DatabaseError when a file cannot be written."""
        async with self._writing:
            for table in list(self._tables.values()):
                if table.changed:
                    await self._write(table)

    async def _write(self, table: Table) -> None:
        text: list[str] = [first_line(table.columns)]
        for begin in range(0, len(table.rows), PORTION):
            text.extend([written(row) for row in table.rows[begin : begin + PORTION]])
            await asyncio.sleep(0)
        try:
            table.read_at = await asyncio.wait_for(asyncio.to_thread(_put, self.path / table.name, text), FILE_SECONDS)
        except (OSError, TimeoutError) as error:
            raise DatabaseError(f"'{self.path / table.name}' cannot be written: {_reason(error)}") from error
        table.changed = False

    async def columns(self, name: str) -> tuple[Column, ...] | None:
        """The columns of a table; None when there is no file for it."""
        if not (self.path / checked_name(name)).exists():
            return None
        return (await self._table(name)).columns

    async def create(self, name: str, columns: Iterable[Column]) -> None:
        """Make a table without rows, and the folder when it is not there.  Raises DatabaseError."""
        checked_name(name)
        async with self._writing:
            try:
                self.path.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise DatabaseError(f"'{self.path}' cannot be made: {_reason(error)}") from error
            self._tables[name.lower()] = Table(name, tuple(columns))
            await self._write(self._tables[name.lower()])

    async def add_columns(self, name: str, added: Mapping[Column, Cell]) -> None:
        """Put columns behind those of a table; its rows have these values in them."""
        async with self._changing(name) as table:
            values = tuple(fitting(value, column) for column, value in added.items())
            table.columns += tuple(added)
            table.rows = [row + values for row in table.rows]
            table.changed = True


class _Transaction(TextTables):
    """Work on copies, which take the places of the tables at once."""

    def __init__(self, folder: Folder) -> None:
        self._folder = folder
        self._copies: dict[str, Table] = {}

    async def _table(self, name: str) -> Table:
        return self._copies.get(name.lower()) or await self._folder._table(name)

    @asynccontextmanager
    async def _changing(self, name: str) -> AsyncIterator[Table]:
        if name.lower() not in self._copies:
            self._copies[name.lower()] = (await self._folder._table(name)).copy()
        yield self._copies[name.lower()]

    def commit(self) -> None:
        self._folder._tables.update(self._copies)


async def _table_of(name: str, content: bytes, read_at: int) -> Table:
    head, _, body = content.partition(b"\n")
    table = Table(name, read_columns(head.decode("utf-8", "surrogateescape")), read_at=read_at)
    numbered = next((place for place, column in enumerate(table.columns) if column.auto), None)
    number = 2
    for piece in _pieces(body):
        lines = piece.decode("utf-8", "surrogateescape").split("\n")
        rows = list(read_rows(table.columns, lines, number))
        number += len(lines)
        if numbered is not None:
            rows = [_with_number(table, row, numbered) for row in rows]
        table.rows.extend(rows)
        await asyncio.sleep(0)
    return table


def _pieces(body: bytes) -> Iterator[bytes]:
    """Whole lines, without the end of the last one, some thousand bytes at a time."""
    begin = 0
    while begin < len(body):
        end = body.find(b"\n", begin + PIECE)
        end = len(body) if end < 0 else end
        yield body[begin:end]
        begin = end + 1


def _with_number(table: Table, row: Row, place: int) -> Row:
    """`row`, with the next number where it has none in the column that is numbered."""
    number = table.numbered(row[place])
    return row if row[place] is not None else (*row[:place], number, *row[place + 1 :])


def _content(path: Path) -> tuple[bytes, int]:
    """What is in a file and when it was changed.  Runs in a thread."""
    with path.open("rb") as file:
        status = os.fstat(file.fileno())
        if status.st_size > MOST_BYTES:
            raise OSError(f"it is longer than {MOST_BYTES} bytes")
        return file.read(MOST_BYTES), status.st_mtime_ns


def _put(path: Path, text: list[str]) -> int:
    """Put a new file in the place of `path`; when it was changed.  Runs in a thread."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines(line.encode("utf-8", "surrogateescape") for line in text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), _mode(path))
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
    return path.stat().st_mtime_ns


def _mode(path: Path) -> int:
    try:
        return path.stat().st_mode & 0o777
    except OSError:
        return 0o640


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return f"the file system takes longer than {FILE_SECONDS:g} seconds"
    return getattr(error, "strerror", None) or str(error)
