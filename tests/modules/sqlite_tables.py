"""A database of SQLite with the tables of modules, and rows in them."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from pathlib import Path

import sqlalchemy as sa

from miscript.sql.definitions import DEFINITIONS, version_table


@dataclass
class SqliteTables:
    """The tables of `modules` in the file `path`, as `miscript db create` makes them."""

    path: Path
    modules: tuple[str, ...]

    def __post_init__(self) -> None:
        engine = sa.create_engine(f"sqlite:///{self.path}")
        versions = version_table()
        versions.create(engine)
        with engine.begin() as connection:
            for one in DEFINITIONS:
                if one.module in self.modules:
                    one.table.create(connection)
                    connection.execute(versions.insert().values(table_name=one.name, table_version=one.version))
        engine.dispose()

    @property
    def url(self) -> str:
        return f"sqlite://{self.path}"

    def do(self, sql: str, *values: object) -> None:
        """Run one statement."""
        with sqlite3.connect(self.path) as connection:
            connection.execute(sql, values)
        connection.close()

    def add(self, table: str, **values: object) -> SqliteTables:
        """One more row."""
        names, marks = ", ".join(values), ", ".join("?" * len(values))
        self.do(f"INSERT INTO {table} ({names}) VALUES ({marks})", *values.values())
        return self

    def modparams(self, module: str) -> str:
        """What a script says to use it."""
        return f'modparam("{module}", "db_url", "{self.url}")\n'
