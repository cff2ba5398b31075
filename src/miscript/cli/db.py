"""`miscript db`: the tables that modules keep in databases."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import TYPE_CHECKING, Final, Literal

import click

from ..database import DatabaseError, masked
from ..errors import ConfigurationError

if TYPE_CHECKING:
    from ..sql.schema import Store

SECONDS: Final = 3600.0
"""How long one change may take: a new column of a long table needs its time."""

Work = Literal["create", "migrate"]


@click.group("db")
def command() -> None:
    """Make the tables of modules, and bring older ones up to date.

    URL is what a module's db_url says: sqlite:///PATH, postgres://USER:PASSWORD@HOST/DATABASE,
    mysql://USER:PASSWORD@HOST/DATABASE or text:///FOLDER.
    """


@command.command("create")
@click.argument("url")
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@click.option("--version-table", default="version", show_default=True, help="The script's db_version_table.")
def create(url: str, modules: tuple[str, ...], version_table: str) -> None:
    """Make the tables of MODULEs, of all when none is named.  A table that is there stays as it is."""
    _work("create", url, modules, version_table)


@command.command("migrate")
@click.argument("url")
@click.argument("modules", nargs=-1, metavar="[MODULE]...")
@click.option("--version-table", default="version", show_default=True, help="The script's db_version_table.")
def migrate(url: str, modules: tuple[str, ...], version_table: str) -> None:
    """Add the columns that older tables lack, and say their new version."""
    _work("migrate", url, modules, version_table)


def _work(work: Work, url: str, modules: tuple[str, ...], version_table: str) -> None:
    try:
        asyncio.run(_worked(work, url, modules, version_table))
    except (DatabaseError, ConfigurationError) as error:
        click.echo(f"error: {error}", err=True)
        if isinstance(error, ConfigurationError) and error.help:
            click.echo(f"help: {error.help}", err=True)
        sys.exit(1)


async def _worked(work: Work, url: str, modules: tuple[str, ...], version_table: str) -> None:
    store = _store(url, version_table)
    from ..sql.schema import create_tables, definitions_of, migrate_tables

    done = create_tables if work == "create" else migrate_tables
    try:
        async for line in done(store, definitions_of(modules), version_table):
            click.echo(line)
    finally:
        await store.database.close()


def _store(url: str, version_table: str) -> Store:
    from ..sql.driver import KINDS, Habits, SqlDriver

    scheme = url.partition(":")[0]
    if scheme == "text":
        from .db_text_tables import TextStore

        return TextStore(url, os.getcwd(), version_table)
    if scheme not in KINDS:
        raise ConfigurationError(f"'{masked(url)}' is no database URL: expected text:, {':, '.join(KINDS)}: first")
    database = SqlDriver(scheme, Habits(seconds=SECONDS, reads=1), version_table).open(url)
    from ..sql.schema import SqlStore

    return SqlStore(database)
