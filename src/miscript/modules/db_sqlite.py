"""Module db_sqlite: tables in a file of SQLite, the database that needs no server.

`sqlite:///var/lib/opensips/opensips.db` is that file; it is made when it is not there.  The driver is offered as
`database:sqlite` (miscript.database).

Source: OpenSIPS manual, module db_sqlite.
"""

from __future__ import annotations

import re
from typing import Final

from ..database import version_table
from ..errors import ConfigurationError
from ..exports import Module, parameter
from ..sql.driver import Habits, SqlDriver

SECONDS: Final = 10.0
"""How long a query may take, waiting for others included."""

_PRAGMA = re.compile(r"[A-Za-z_.]+(?: *= *[A-Za-z0-9_+-]+)?")


class DbSqlite(Module):
    """Tables in a file of SQLite."""

    name = "db_sqlite"
    early = True

    alloc_limit = parameter(10, "Accepted; the rows of a result need no guess.")
    busy_timeout = parameter(500, "Milliseconds to wait for another one who writes to the file.")
    load_extension: list[str] = parameter(
        [], "A library of functions for SQL: PATH[;ENTRY POINT].", kinds="string", repeatable=True
    )
    exec_pragma: list[str] = parameter(
        [], "A setting of each connection, NAME=VALUE: journal_mode=wal.", kinds="string", repeatable=True
    )

    def init(self) -> None:
        for pragma in self.exec_pragma:
            if _PRAGMA.fullmatch(pragma) is None:
                raise ConfigurationError(f"expected NAME=VALUE, found '{pragma}'", parameter="exec_pragma")
        habits = Habits(
            seconds=max(SECONDS, self.busy_timeout / 1000 + 1),
            reads=1,
            busy_milliseconds=self.busy_timeout,
            pragmas=tuple(self.exec_pragma),
            extensions=tuple(self.load_extension),
        )
        self.driver = SqlDriver("sqlite", habits, version_table(self.services.parameters))
        self.driver.check()
        self.services.provide("database:sqlite", self.driver)

    async def stop(self) -> None:
        await self.driver.end()
