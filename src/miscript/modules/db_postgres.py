"""Module db_postgres: tables in a PostgreSQL server.

`postgres://user:password@host:port/database`; with `?sslmode=verify-full&sslrootcert=FILE` the connection is
encrypted and the server's certificate checked.  The driver is offered as `database:postgres` (miscript.database).

Source: OpenSIPS manual, module db_postgres.
"""

from __future__ import annotations

from typing import Final

from ..database import version_table
from ..errors import ConfigurationError
from ..exports import Module, parameter
from ..sql.driver import Habits, SqlDriver

DEFAULT_TIMEOUT: Final = 5
DEFAULT_QUERIES: Final = 2


class DbPostgres(Module):
    """Tables in a PostgreSQL server."""

    name = "db_postgres"
    early = True

    exec_query_threshold = parameter(0, "Microseconds from which a query is worth a warning; 0: none is.")
    max_db_queries = parameter(DEFAULT_QUERIES, "How often a read is tried when its connection breaks.")
    timeout = parameter(DEFAULT_TIMEOUT, "Seconds that connecting and a query may take.")
    use_tls = parameter(0, "1: encrypt when the server can; a URL asks for more with sslmode.")

    def init(self) -> None:
        if self.use_tls not in (0, 1):
            raise ConfigurationError("use_tls must be 0 or 1", parameter="use_tls")
        if self.timeout <= 0:
            raise ConfigurationError(
                "timeout must be positive: every query ends within its time here", parameter="timeout"
            )
        habits = Habits(
            seconds=self.timeout,
            reads=self.max_db_queries if self.max_db_queries > 0 else DEFAULT_QUERIES,
            slow=self.exec_query_threshold / 1e6,
            sslmode="prefer" if self.use_tls else "disable",
        )
        self.driver = SqlDriver("postgres", habits, version_table(self.services.parameters))
        self.driver.check()
        self.services.provide("database:postgres", self.driver)

    async def stop(self) -> None:
        await self.driver.end()
