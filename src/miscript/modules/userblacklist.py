"""Module userblacklist: numbers that a user, or everybody, must not call.

`check_user_blacklist()` looks for the rows of a user in the database each time; `check_blacklist()` looks into a table
for all, which is in memory.  The longest prefix of the number decides, an empty one stands for every number; of two
rows with one prefix the later counts.  A reload that fails leaves the tables of before in force.

Source: OpenSIPS manual, module userblacklist; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..database import Cell, Database, DatabaseError, Where, check_version, database_at, url_or_default
from ..errors import ConfigurationError, MIError
from ..exports import BoundText, Module, bound_function, mi_command, parameter, script_function
from ..script.runtime import Run
from ..services import Services
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..table_cells import Turns, text_cell
from ..values import text_of

log = logging.getLogger("miscript.userblacklist")

TABLE_VERSION: Final = 2
MAX_ROWS: Final = 100_000
"""Rows of one user that are looked at."""

ALLOWED, FORBIDDEN = 1, -1


@dataclass(slots=True)
class Prefixes:
    """What the longest prefix of a number says: True for one that is allowed in spite of a shorter one."""

    known: dict[str, bool] = field(default_factory=dict)
    longest: int = 0

    def add(self, prefix: str, white: bool) -> None:
        self.known[prefix] = white
        self.longest = max(self.longest, len(prefix))

    def add_rows(self, rows: Iterable[Sequence[Cell]]) -> None:
        """Rows of prefix and whitelist."""
        for prefix, white in rows:
            self.add(text_cell(prefix), text_cell(white) not in ("", "0"))

    def allows(self, number: str) -> bool:
        """Whether a number may be called; one without any prefix here may."""
        for length in range(min(len(number), self.longest), -1, -1):
            white = self.known.get(number[:length])
            if white is not None:
                return white
        return True


class UserBlacklist(Module):
    """Numbers that a user, or everybody, must not call."""

    name = "userblacklist"

    db_url = parameter("", "The database; without it the global db_default_url.")
    db_table = parameter("userblacklist", "Table of users, for calls that name none.")
    use_domain = parameter(1, "1: rows must also have the domain of the user.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.tables: dict[str, Prefixes | None] = {}
        """The tables for all, by name; None until one is loaded."""
        self._database: Database | None = None

    def init(self) -> None:
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        self._database = database_at(self.services.find, url)

    @property
    def database(self) -> Database:
        assert self._database is not None, "init() opens it"
        return self._database

    async def prepare(self) -> None:
        """Load the tables that the script names.  Raises ConfigurationError."""
        try:
            await check_version(self.database, self.db_table, TABLE_VERSION)
            await self._load(list(self.tables))
        except DatabaseError as error:
            raise ConfigurationError(f"module 'userblacklist': {error}") from error

    async def stop(self) -> None:
        if self._database is not None:
            await self._database.close()

    async def _load(self, names: Sequence[str]) -> None:
        """Read tables for all, and put them in force when each of them could be read.  Raises DatabaseError."""
        loaded: dict[str, Prefixes | None] = {}
        turns = Turns()
        for name in names:
            version = await self.database.version(name)
            if version not in (None, TABLE_VERSION):
                raise DatabaseError(f"the table '{name}' has version {version}, expected {TABLE_VERSION}")
            table = Prefixes()
            async for chunk in self.database.rows(name, ("prefix", "whitelist")):
                table.add_rows(chunk)
                await turns.next()
            loaded[name] = table
        self.tables.update(loaded)

    # -- functions ----------------------------------------------------------------------------------------------------

    @script_function(routes="request failure")
    async def check_user_blacklist(
        self, run: Run, user: str, domain: str, number: str | None = None, table: str | None = None
    ) -> int:
        """Whether a user may call a number, the user part of the R-URI when none is given: 1 or -1.

        -1 also when the database does not tell.
        """
        called = _called(run) if number is None else number
        if called is None:
            log.error("check_user_blacklist: the message has no R-URI with a number")
            return FORBIDDEN
        where = [Where("username", user), *([Where("domain", domain)] if self.use_domain else [])]
        try:
            found = await self.database.select(table or self.db_table, ("prefix", "whitelist"), where, limit=MAX_ROWS)
        except DatabaseError as error:
            log.error("check_user_blacklist: %s", error)
            return FORBIDDEN
        prefixes = Prefixes()
        prefixes.add_rows(found.rows)
        return ALLOWED if prefixes.allows(called) else FORBIDDEN

    @bound_function(routes="request failure")
    def check_blacklist(self, table: BoundText) -> Callable[[Run], int | Awaitable[int]]:
        """Whether a table for all allows the user part of the R-URI: 1 or -1.

        Tables that are written out are loaded at the start; one whose name comes from a variable with its first call.
        """
        if table.is_constant:
            self.tables.setdefault(text_of(table.constant), None)

        def check(run: Run) -> int | Awaitable[int]:
            return self._check(run, text_of(table.get(run)))

        return check

    async def _check(self, run: Run, name: str) -> int:
        called = _called(run)
        if called is None:
            log.error("check_blacklist: the message has no R-URI with a number")
            return FORBIDDEN
        table = self.tables.get(name)
        if table is None:
            try:
                await self._load([name])
            except DatabaseError as error:
                log.error("check_blacklist: %s", error)
                return FORBIDDEN
            table = self.tables[name]
        return ALLOWED if table is None or table.allows(called) else FORBIDDEN

    # -- commands -----------------------------------------------------------------------------------------------------

    @mi_command("reload", "", aliases=["reload_blacklist"])
    async def mi_reload(self) -> str:
        """reads the tables for all again"""
        try:
            await self._load(list(self.tables))
        except DatabaseError as error:
            log.error("userblacklist:reload: %s; what was loaded before stays in force", error)
            raise MIError(500, "cannot reload blacklist", str(error)) from error
        return "OK"


def _called(run: Run) -> str | None:
    """The user part of the R-URI."""
    uri = None if run.message is None else run.message.uri
    try:
        return None if uri is None else SipUri.parse(uri).user
    except SipSyntaxError:
        return None
