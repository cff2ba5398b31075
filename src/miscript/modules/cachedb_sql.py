"""Module cachedb_sql: a cache in a table, which several hosts may share.

`sql:1st-mysql://user:password@host/opensips` is what scripts call `sql:1st-mysql`; the first of all is `sql` as well.
The engines are offered as `cachedb:sql` and `cachedb:sql:1st-mysql` (miscript.cachedb).  A key whose time is over is
not there, also before its row is removed; sums are made by the database, so that hosts which count under one key
count together.

Source: OpenSIPS manual, module cachedb_sql.
"""

from __future__ import annotations

import logging
import re
from dataclasses import dataclass
from typing import Final

from ..cachedb import CacheError, NotANumber
from ..database import Cell, Database, DatabaseError, Tables, Where, check_version, checked_name, database_at, masked
from ..errors import ConfigurationError
from ..exports import Module, parameter
from ..services import Clock, Services

__all__ = ["CachedbSql"]

log = logging.getLogger("miscript.cachedb_sql")

TABLE_VERSION: Final = 2

_URL: Final = re.compile(r"sql:(?P<group>[^/@]*?-?(?P<scheme>[a-z]+)):(?P<place>/.*)", re.DOTALL)
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True, slots=True)
class Columns:
    """The table of a cache and its columns."""

    table: str = "cachedb"
    key: str = "keyname"
    value: str = "value"
    counter: str = "counter"
    expires: str = "expires"


class SqlCache:
    """A `miscript.cachedb.CacheEngine` in a table.

    A number stands in the column for counters as well, where the database adds to it.
    """

    def __init__(self, database: Database, columns: Columns, clock: Clock) -> None:
        self._database = database
        self._columns = columns
        self._clock = clock

    async def store(self, key: str, value: str, expires: int) -> None:
        c = self._columns
        number = int(value) if _INTEGER.fullmatch(value) else 0
        row: dict[str, Cell] = {c.key: key, c.value: value, c.counter: number, c.expires: self._end(expires)}
        try:
            await self._database.replace(c.table, row, [c.key])
        except DatabaseError as error:
            raise CacheError(str(error)) from error

    async def fetch(self, key: str) -> str | None:
        found = await self._found(key)
        if found is None:
            return None
        value, number = found
        return value or (str(number) if number else value)  # OpenSIPS leaves the value empty where it counts

    async def remove(self, key: str) -> None:
        try:
            await self._database.delete(self._columns.table, [Where(self._columns.key, key)])
        except DatabaseError as error:
            raise CacheError(str(error)) from error

    async def add(self, key: str, amount: int, expires: int) -> int:
        for left in (2, 1, 0):
            try:
                async with self._database.transaction() as work:
                    return await self._added(work, key, amount, self._end(expires))
            except DatabaseError as error:
                if not left:  # another host may have begun to count at the same time
                    raise CacheError(str(error)) from error
        raise AssertionError("the last try returns or raises")

    async def counter(self, key: str) -> int | None:
        found = await self._found(key)
        if found is None:
            return None
        return _number(key, *found)

    async def clean(self) -> int:
        """Remove the rows whose time is over; how many there were.  Raises DatabaseError."""
        c = self._columns
        return await self._database.delete(c.table, [Where(c.expires, 0, "!="), Where(c.expires, self._now(), "<")])

    def _now(self) -> int:
        return int(self._clock.time())

    def _end(self, expires: int) -> int:
        return self._now() + expires if expires > 0 else 0

    async def _found(self, key: str) -> tuple[str, int] | None:
        try:
            return await self._row(self._database, key)
        except DatabaseError as error:
            raise CacheError(str(error)) from error

    async def _row(self, tables: Tables, key: str) -> tuple[str, int] | None:
        """The value and the number under `key`; None when there is none, or its time is over."""
        c = self._columns
        found = await tables.select(c.table, [c.value, c.counter, c.expires], [Where(c.key, key)], limit=1)
        for value, number, expires in found.rows:
            if not expires or int(str(expires)) > self._now():
                text = value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value or "")
                return text, int(str(number or 0))
        return None

    async def _added(self, work: Tables, key: str, amount: int, end: int) -> int:
        """Add within a transaction; the row is locked for others before it is read, by setting what is there."""
        c = self._columns
        where = [Where(c.key, key)]
        there = await work.update(c.table, {c.key: key}, where)
        found = await self._row(work, key) if there else None
        total = amount if found is None else _number(key, *found) + amount
        row: dict[str, Cell] = {c.value: str(total), c.counter: total, c.expires: end}
        if there:
            await work.update(c.table, row, where)
        else:
            await work.insert(c.table, {c.key: key, **row})
        return total


def _number(key: str, value: str, number: int) -> int:
    if value and _INTEGER.fullmatch(value) is None:
        raise NotANumber(f"what is stored under '{key}' is no number")
    return int(value) if value else number


class CachedbSql(Module):
    """A cache in a table of a database."""

    name = "cachedb_sql"

    cachedb_url: list[str] = parameter(
        [], "A database: sql:[NAME]-mysql://USER:PASSWORD@HOST/DATABASE.", kinds="string", repeatable=True
    )
    db_table = parameter("cachedb", "The table.")
    key_column = parameter("keyname", "The column of keys.")
    value_column = parameter("value", "The column of values.")
    counter_column = parameter("counter", "The column of numbers.")
    expires_column = parameter("expires", "The column that says when an entry ends.")
    cache_clean_period = parameter(60, "Seconds from one removal of expired entries to the next.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._databases: list[Database] = []
        self._caches: list[SqlCache] = []

    def init(self) -> None:
        if self.cache_clean_period <= 0:
            raise ConfigurationError("cache_clean_period must be positive", parameter="cache_clean_period")
        if not self.cachedb_url:
            raise ConfigurationError("expected a cachedb_url, there is none", parameter="cachedb_url")
        columns = Columns(*self._names("db_table", "key_column", "value_column", "counter_column", "expires_column"))
        for url in self.cachedb_url:
            found = _URL.fullmatch(url)
            if found is None:
                raise ConfigurationError(
                    f"expected sql:[NAME]-DATABASE URL, found '{masked(url)}'", parameter="cachedb_url"
                )
            database = database_at(self.services.find, f"{found['scheme']}:{found['place']}", "cachedb_url")
            cache = SqlCache(database, columns, self.services.clock)
            if not self._caches:
                self.services.provide("cachedb:sql", cache)
            self.services.provide(f"cachedb:sql:{found['group']}", cache)
            self._databases.append(database)
            self._caches.append(cache)

    def _names(self, *parameters: str) -> list[str]:
        for name in parameters:
            try:
                checked_name(getattr(self, name))
            except DatabaseError as error:
                raise ConfigurationError(str(error), parameter=name) from None
        return [str(getattr(self, name)) for name in parameters]

    async def prepare(self) -> None:
        for database in self._databases:
            try:
                await check_version(database, self.db_table, TABLE_VERSION)
            except DatabaseError as error:
                raise ConfigurationError(str(error), parameter="cachedb_url") from error

    async def start(self) -> None:
        self.services.tasks.every(self.cache_clean_period, self._clean, "cachedb_sql: remove what is expired")

    async def _clean(self) -> None:
        for cache in self._caches:
            try:
                await cache.clean()
            except DatabaseError as error:
                log.error("expired entries are not removed: %s", error)

    async def stop(self) -> None:
        for database in self._databases:
            await database.close()
