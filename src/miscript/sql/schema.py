"""Making tables, and bringing older ones up to date.

Both may be run again: what is there stays, and work that was broken off is brought to its end.  No column is removed
or changed: a table whose columns hold something else than they do today is left alone, with a word why.

Source: OpenSIPS manual, "Database deployment" (the `version` table); `definitions` for the tables.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from enum import Enum
from typing import Any, Protocol

import sqlalchemy as sa

from ..database import Database, DatabaseError, Where
from ..errors import ConfigurationError
from ..script.suggest import near
from .database import SqlDatabase
from .definitions import DEFINITIONS, Definition, version_table


class Family(Enum):
    """What a column holds, as far as a module can tell the difference."""

    TEXT = "texts"
    NUMBER = "numbers"
    TIME = "times"
    OTHER = "something else"


class Store(Protocol):
    """Where tables are made."""

    @property
    def database(self) -> Database: ...

    async def columns(self, table: str) -> Mapping[str, Family] | None:
        """What the columns of a table hold; None when there is no such table."""

    async def create(self, table: sa.Table) -> None:
        """Make a table, without rows."""

    async def add(self, table: str, columns: Sequence[sa.Column[Any]]) -> None:
        """Put columns behind those of a table; its rows have their defaults in them."""


def family(kind: Any) -> Family:
    """What a column of this type holds."""
    match kind:
        case sa.String() | sa.LargeBinary():
            return Family.TEXT
        case sa.Integer() | sa.Float() | sa.Numeric() | sa.Boolean():
            return Family.NUMBER
        case sa.DateTime():
            return Family.TIME
        case _:
            return Family.OTHER


def definitions_of(modules: Sequence[str]) -> list[Definition]:
    """The tables of these modules; of all when there are none.  Raises ConfigurationError for a module without."""
    known = {definition.module for definition in DEFINITIONS}
    for module in modules:
        if module not in known:
            raise ConfigurationError(
                f"no tables are known of a module '{module}'; there are those of {', '.join(sorted(known))}",
                help=near(module, known),
            )
    return [definition for definition in DEFINITIONS if not modules or definition.module in modules]


async def create_tables(
    store: Store, definitions: Sequence[Definition], versions: str = "version"
) -> AsyncIterator[str]:
    """Make the tables that are not there; says of each what was done.  Raises DatabaseError."""
    if await store.columns(versions) is None:
        await store.create(version_table(versions))
        yield f"{versions}: created"
    for definition in definitions:
        found = await store.columns(definition.name)
        if found is None:
            await store.create(definition.table)
            await _say_version(store, definition, versions)
            yield f"{definition.name}: created, version {definition.version}"
        else:
            yield f"{definition.name}: {await _known(store, definition, found, versions)}"


async def _known(store: Store, definition: Definition, found: Mapping[str, Family], versions: str) -> str:
    version = await store.database.version(definition.name)
    if version is not None:
        return f"is there, version {version}"
    if _missing(definition, found) or _different(definition, found):
        return f"is there without a version, and is not what version {definition.version} is; left alone"
    await _say_version(store, definition, versions)
    return f"is there; it had no version and is version {definition.version}"


async def migrate_tables(
    store: Store, definitions: Sequence[Definition], versions: str = "version"
) -> AsyncIterator[str]:
    """Add the columns that older tables lack; says of each table what was done.  Raises DatabaseError."""
    if await store.columns(versions) is None:
        raise DatabaseError(f"{store.database.url} has no table '{versions}': `miscript db create` makes the tables")
    for definition in definitions:
        found = await store.columns(definition.name)
        if found is not None:
            yield f"{definition.name}: {await _migrated(store, definition, found, versions)}"


async def _migrated(store: Store, definition: Definition, found: Mapping[str, Family], versions: str) -> str:
    version = await store.database.version(definition.name)
    if version == definition.version:
        return f"is version {version} already"
    if version is None or version > definition.version:
        known = "without a version" if version is None else f"version {version}"
        return f"{known}, known is {definition.version}; left alone"
    different = _different(definition, found)
    if different:
        return f"version {version}, but its column {different}; left alone"
    missing = _missing(definition, found)
    needed = [column.name for column in missing if not column.nullable and column.server_default is None]
    if needed:
        return f"version {version} has no column '{needed[0]}', for which there is no default; left alone"
    if missing:
        await store.add(definition.name, missing)
    await _say_version(store, definition, versions)
    added = ", ".join(column.name for column in missing) or "no columns"
    return f"version {version} is now {definition.version}; added {added}"


def _missing(definition: Definition, found: Mapping[str, Family]) -> list[sa.Column[Any]]:
    there = {name.lower() for name in found}
    return [column for column in definition.table.columns if column.name.lower() not in there]


def _different(definition: Definition, found: Mapping[str, Family]) -> str:
    """The first column that holds something else than it should, and what; "" when there is none."""
    families = {name.lower(): family for name, family in found.items()}
    for column in definition.table.columns:
        holds = families.get(column.name.lower())
        if holds is not None and holds is not family(column.type):
            return f"'{column.name}' holds {holds.value}, expected {family(column.type).value}"
    return ""


async def _say_version(store: Store, definition: Definition, versions: str) -> None:
    async with store.database.transaction() as work:
        await work.delete(versions, [Where("table_name", definition.name)])
        await work.insert(versions, {"table_name": definition.name, "table_version": definition.version})


class SqlStore:
    """Tables in a SQL database."""

    def __init__(self, database: SqlDatabase) -> None:
        self.database: SqlDatabase = database

    async def columns(self, table: str) -> Mapping[str, Family] | None:
        def look(connection: sa.Connection) -> Mapping[str, Family] | None:
            inspector = sa.inspect(connection)
            if not inspector.has_table(table):
                return None
            return {str(c["name"]): family(c["type"]) for c in inspector.get_columns(table)}

        return await self.database.define(look)

    async def create(self, table: sa.Table) -> None:
        await self.database.define(table.create)

    async def add(self, table: str, columns: Sequence[sa.Column[Any]]) -> None:
        def change(connection: sa.Connection) -> None:
            name = connection.dialect.identifier_preparer.quote(table)
            for column in columns:
                words = sa.schema.CreateColumn(column).compile(dialect=connection.dialect)
                connection.exec_driver_sql(f"ALTER TABLE {name} ADD COLUMN {words}")

        await self.database.define(change)
