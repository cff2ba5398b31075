"""Module db_mysql: tables in a MySQL or MariaDB server.

`mysql://user:password@host:port/database`, or `mysql://user:password@unix(/run/mysqld/mysqld.sock)/database`; with
`?sslmode=verify-full&sslrootcert=FILE` the connection is encrypted and the server's certificate checked.  The driver
is offered as `database:mysql` (miscript.database).

Source: OpenSIPS manual, module db_mysql.
"""

from __future__ import annotations

from typing import Final

from ..database import masked, version_table
from ..errors import ConfigurationError
from ..exports import Module, parameter
from ..sql.driver import Habits, SqlDriver

DEFAULT_QUERIES: Final = 2
WAITS: Final = 3
"""The server's library takes `timeout_interval` so many times before it gives up."""


class DbMysql(Module):
    """Tables in a MySQL or MariaDB server."""

    name = "db_mysql"
    early = True
    events = ("E_MYSQL_CONNECTION",)

    timeout_interval = parameter(2, "A third of the seconds that connecting and a query may take.")
    exec_query_threshold = parameter(0, "Microseconds from which a query is worth a warning; 0: none is.")
    max_db_retries = parameter(3, "Accepted; a connection that is broken is made anew when it is asked for.")
    max_db_queries = parameter(DEFAULT_QUERIES, "How often a read is tried when its connection breaks.")
    ps_max_col_size = parameter(1024, "Accepted; a value may have any length and is never cut.")
    use_tls = parameter(0, "Accepted; a URL asks for TLS with sslmode.")

    def init(self) -> None:
        if self.use_tls not in (0, 1):
            raise ConfigurationError("use_tls must be 0 or 1", parameter="use_tls")
        if self.timeout_interval <= 0:
            raise ConfigurationError("timeout_interval must be positive", parameter="timeout_interval")
        habits = Habits(
            seconds=WAITS * self.timeout_interval,
            reads=self.max_db_queries if self.max_db_queries > 0 else DEFAULT_QUERIES,
            slow=self.exec_query_threshold / 1e6,
            on_connection=self._connection,
        )
        self.driver = SqlDriver("mysql", habits, version_table(self.services.parameters))
        self.driver.check()
        self.services.provide("database:mysql", self.driver)

    def _connection(self, url: str, connected: bool) -> None:
        status = "connected" if connected else "disconnected"
        self.services.events.raise_event("E_MYSQL_CONNECTION", [("url", masked(url)), ("status", status)])

    async def stop(self) -> None:
        await self.driver.end()
