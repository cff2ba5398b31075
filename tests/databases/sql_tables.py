"""Databases of every kind for one test, and a table in them with a column of each type."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from miscript.database import Cell
from miscript.sql.driver import Habits, SqlDriver
from miscript.sql.schema import SqlStore, create_tables, definitions_of

KINDS = ("sqlite", "postgres", "mysql")


def table(name="things"):
    return sa.Table(
        name,
        sa.MetaData(),
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("name", sa.String(64), unique=True),
        sa.Column("n", sa.Integer),
        sa.Column("q", sa.Float),
        sa.Column("price", sa.Numeric(10, 2)),
        sa.Column("at", sa.DateTime),
        sa.Column("raw", sa.LargeBinary),
        sa.Column("ok", sa.Boolean),
    )


def url_of(kind, tmp_path, request):
    if kind == "sqlite":
        return f"sqlite://{tmp_path}/test.db"
    return request.getfixturevalue({"postgres": "postgres", "mysql": "mariadb"}[kind]).url


async def with_table(url, name="things", **habits):
    """An open database with an empty table; `close` it in the end."""
    db = SqlDriver(url.partition(":")[0], Habits(**({"seconds": 10} | habits))).open(url)
    await db.query(f"DROP TABLE IF EXISTS {name}")
    await SqlStore(db).create(table(name))
    return db


async def fill(url: str, modules: Sequence[str], rows: Mapping[str, Sequence[Mapping[str, Cell]]]) -> None:
    """New tables of these modules, with rows in them."""
    database = SqlDriver(url.partition(":")[0], Habits()).open(url)
    definitions = definitions_of(modules)
    for name in (*(definition.name for definition in definitions), "version"):
        await database.query(f"DROP TABLE IF EXISTS {name}")
    async for _ in create_tables(SqlStore(database), definitions):
        pass
    for table_name, its_rows in rows.items():
        for row in its_rows:
            await database.insert(table_name, row)
    await database.close()
