"""What a database offers to the modules that keep tables in one.

A database module (`db_sqlite`, `db_postgres`, `db_mysql`, `db_text`) provides its driver under the scheme that URLs
begin with: `database:sqlite` (`services.provide`).  A module opens its `db_url` with `database_at` and works with
tables through `Database`; values are always bound, never pasted into SQL.  Modules that name one URL share one pool.

Source: OpenSIPS manual, "Database Interface" (`db_url`, the `version` table, `db_default_url`).
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol, TypeAlias

from .errors import ConfigurationError, MiscriptError
from .late_pattern import late_pattern

Cell: TypeAlias = str | int | float | bytes | None
"""A value in a table.  Times are seconds since the epoch, decimals are floats."""


class DatabaseError(MiscriptError):
    """The database refused, is away, or took too long; nothing half done is left."""


@dataclass(frozen=True, slots=True)
class Where:
    """`column operator value`; the operators are =, !=, <, >, <=, >=.  None compares as IS NULL or IS NOT NULL.

    Databases with SQL also know LIKE and NOT LIKE.
    """

    column: str
    value: Cell
    operator: str = "="


@dataclass(frozen=True, slots=True)
class Result:
    """What a query returned: rows in the order of the database; `changed` rows when it was no SELECT."""

    columns: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]
    changed: int = 0


class Tables(Protocol):
    """Work on tables.  Every method raises DatabaseError, within the database's own deadline.

    Tables and columns are names that a script's parameters gave: one that is not letters, digits and `_` raises
    DatabaseError before anything is sent.
    """

    async def select(
        self,
        table: str,
        columns: Sequence[str] = (),
        where: Sequence[Where] = (),
        *,
        order: str = "",
        limit: int | None = None,
    ) -> Result:
        """Rows that meet all of `where`; no `columns` means all, `order` names a column and may end with ` DESC`."""

    def rows(
        self,
        table: str,
        columns: Sequence[str],
        where: Sequence[Where] = (),
        *,
        order: str = "",
        chunk: int = 2000,
    ) -> AsyncIterator[Sequence[tuple[Cell, ...]]]:
        """As `select`, in chunks: a table of a million rows neither fills the memory nor holds up the loop."""

    async def insert(self, table: str, *rows: Mapping[str, Cell]) -> None:
        """New rows; all of them have the columns of the first."""

    async def update(self, table: str, values: Mapping[str, Cell], where: Sequence[Where] = ()) -> int:
        """Set columns of the rows that meet `where`; how many there were."""

    async def delete(self, table: str, where: Sequence[Where] = ()) -> int:
        """Remove the rows that meet `where`; how many there were."""

    async def replace(self, table: str, values: Mapping[str, Cell], keys: Sequence[str]) -> None:
        """One row: updated where a row has the same `keys`, inserted where none has."""

    async def query(self, sql: str, values: Mapping[str, Cell] | None = None) -> Result:
        """SQL as it stands; `:name` takes the value of that name."""


class Database(Tables, Protocol):
    """A pool of connections to one URL."""

    @property
    def url(self) -> str:
        """The URL as the script wrote it, its password masked: fit for messages."""

    async def version(self, table: str) -> int | None:
        """What the `version` table says of `table`; None when it says nothing of it."""

    def transaction(self) -> AbstractAsyncContextManager[Tables]:
        """Work that happens whole or, when the `async with` is left by an exception, not at all."""

    async def close(self) -> None:
        """Let go of one `open`; the pool ends with the last."""


class DatabaseDriver(Protocol):
    """What a database module provides."""

    def open(self, url: str) -> Database:
        """The pool for `url`, which connects when it is first used.  Raises ConfigurationError for a bad URL."""


SCHEMES: Final = ("mysql", "postgres", "sqlite", "text")
"""What the URLs of databases begin with; the module of each is named after it."""

_NAME = late_pattern(r"[A-Za-z0-9_]+")


def checked_name(name: str) -> str:
    """`name`, when it can be that of a table or column; raises DatabaseError for anything else."""
    if _NAME.fullmatch(name) is None:
        raise DatabaseError(f"'{name}' is no name of a table or column: expected letters, digits and '_'")
    return name


def masked(url: str) -> str:
    """`url` without its password, for messages."""
    scheme, separator, rest = url.partition("://")
    authority, at, place = rest.rpartition("@")
    user, colon, _ = authority.partition(":")
    return f"{scheme}{separator}{user}:***@{place}" if at and colon else url


def url_or_default(url: str, parameters: Mapping[str, int | str]) -> str:
    """A module's `db_url`, or the global `db_default_url` when it sets none; "" when there is neither.

    `parameters` is `services.parameters`.
    """
    return url or str(parameters.get("db_default_url", ""))


def version_table(parameters: Mapping[str, int | str]) -> str:
    """The table that tells the versions of the others: the global `db_version_table`.  Raises ConfigurationError."""
    name = str(parameters.get("db_version_table", "version"))
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError(f"db_version_table: '{name}' is no name of a table")
    return name


def database_at(find: Callable[[str], Any | None], url: str, parameter: str = "db_url") -> Database:
    """Open `url`, which `parameter` of a module gave, with the driver of its scheme; `find` is `services.find`.

    Raises ConfigurationError when the URL is none or no loaded module has a driver for it.
    """
    scheme, colon, _ = url.partition(":")
    if not colon or not scheme.isidentifier():
        raise ConfigurationError(
            f"'{masked(url)}' is no database URL: expected scheme://user:password@host/database",
            parameter=parameter,
            value=url,
        )
    driver: DatabaseDriver | None = find(f"database:{scheme}")
    if driver is None:
        known = scheme in SCHEMES
        raise ConfigurationError(
            f"no module is loaded for '{scheme}:' databases{f'; load db_{scheme}' if known else ''}",
            parameter=parameter,
            value=url,
            help=f'add  loadmodule "db_{scheme}.so"' if known else f"there are {', '.join(SCHEMES)}",
        )
    try:
        return driver.open(url)
    except ConfigurationError as error:
        error.parameter, error.value = error.parameter or parameter, error.value or url
        raise


async def check_version(database: Database, table: str, expected: int) -> None:
    """Raise DatabaseError unless the `version` table says that `table` has the columns of version `expected`."""
    found = await database.version(table)
    if found is None:
        raise DatabaseError(
            f"the table 'version' of {database.url} says nothing of '{table}'; expected version {expected}: "
            "`miscript db create` makes the tables"
        )
    if found != expected:
        raise DatabaseError(
            f"the table '{table}' of {database.url} has version {found}, expected {expected}: "
            "`miscript db migrate` brings it up to date"
        )
