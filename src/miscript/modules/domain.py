"""Module domain: which domains are ours, by a table.

A domain is ours when a row names it, whatever the case of letters, or when a row names one that it is below and
accepts its subdomains.  `myself` and `is_myself()` know these domains too.  With `db_mode` 1 the table is read at the
start and by `domain:reload`; with 0 each question is one to the database, and the copy for `myself` is read again from
time to time.

Source: OpenSIPS manual, module domain; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ..database import Cell, Database, DatabaseError, Where, check_version, database_at, url_or_default
from ..errors import ConfigurationError, MIError
from ..exports import Module, Variable, mi_command, parameter, script_function
from ..script.runtime import Run
from ..services import Services
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..sip_service import sip_service
from ..table_cells import Turns, number_cell, reading, text_cell
from ..values import INT_MAX

__all__ = ["DomainModule"]

log = logging.getLogger("miscript.domain")

OK: Final = "OK"
TABLE_VERSION: Final = 4
CHUNK: Final = 500
COPY_SECONDS: Final = 60
"""How often the copy for `myself` is read again when there is no cache."""

MAX_LABELS: Final = 32
"""Labels of a domain, counted from its end, that are looked at."""


@dataclass(frozen=True, slots=True)
class Domain:
    """A row: the domain as it is written there, its attributes, whether domains below it are ours too."""

    name: str
    attributes: str | None
    with_subdomains: bool


@dataclass(slots=True)
class Domains:
    """A table of domains, by their names in lower case."""

    by_name: dict[str, Domain] = field(default_factory=dict)

    def find(self, name: str) -> Domain | None:
        """The row that makes `name` ours: its own, or that of the nearest domain above it that has subdomains."""
        wanted = name.lower()
        own = self.by_name.get(wanted)
        if own is not None:
            return own
        rows = (self.by_name.get(above) for above in names_above(wanted))
        return next((row for row in rows if row is not None and row.with_subdomains), None)


def names_above(name: str) -> Iterator[str]:
    """The domains that `name` is below, the nearest first."""
    labels = name.split(".")
    for start in range(max(1, len(labels) - MAX_LABELS), len(labels)):
        yield ".".join(labels[start:])


@dataclass(slots=True)
class DomainTable:
    """The table in its database."""

    database: Database
    table: str
    columns: tuple[str, str, str]
    """Domain, attributes, accept_subdomain."""

    async def check(self) -> None:
        """Raises DatabaseError when the table has another version."""
        await check_version(self.database, self.table, TABLE_VERSION)

    async def load(self) -> Domains:
        """Read it whole; others have their turn every few rows.  Raises DatabaseError."""
        await self.check()
        found, turns, number = Domains(), Turns(), 0
        async with reading(self.database.rows(self.table, self.columns, chunk=CHUNK)) as chunks:
            async for rows in chunks:
                for row in rows:
                    await turns.next()
                    number += 1
                    one = self._domain(f"table '{self.table}', row {number}", row)
                    found.by_name[one.name.lower()] = one
        return found

    async def ask(self, name: str) -> Domain | None:
        """The row that makes `name` ours, asked for now.  Raises DatabaseError."""
        wanted = name.lower()
        own = await self._row(wanted)
        if own is not None:
            return own
        for above in names_above(wanted):
            row = await self._row(above)
            if row is not None and row.with_subdomains:
                return row
        return None

    async def _row(self, name: str) -> Domain | None:
        if not name:
            return None
        found = await self.database.select(self.table, self.columns, [Where(self.columns[0], name)], limit=1)
        return self._domain(f"table '{self.table}', '{name}'", found.rows[0]) if found.rows else None

    def _domain(self, where: str, row: Sequence[Cell]) -> Domain:
        name, attributes, subdomains = row
        if not text_cell(name):
            raise DatabaseError(f"{where}: '{self.columns[0]}' is empty, expected a domain")
        accepts = 0 if subdomains is None else number_cell(where, self.columns[2], subdomains, 0, INT_MAX)
        return Domain(text_cell(name), None if attributes is None else text_cell(attributes), accepts > 0)


class DomainModule(Module):
    """Tells which domains are ours."""

    name = "domain"

    db_url = parameter("", "Database with the table; the global db_default_url without it.")
    db_mode = parameter(0, "1: the table is read at the start and by domain:reload; 0: each question asks it.")
    domain_table = parameter("domain", "The table.")
    domain_col = parameter("domain", "Column: the domain.")
    attrs_col = parameter("attrs", "Column: a text that functions give to the script.")
    accept_subdomain_col = parameter("accept_subdomain", "Column: above 0, the domains below are ours too.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._domains = Domains()

    # -- life ---------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        if self.db_mode not in (0, 1):
            raise ConfigurationError(f"db_mode is {self.db_mode}, expected 0 or 1", parameter="db_mode")
        columns = (self.domain_col, self.attrs_col, self.accept_subdomain_col)
        self._table = DomainTable(database_at(self.services.find, url), self.domain_table, columns)
        sip_service(self.services).add_local_domains(lambda host: self._domains.find(host) is not None)

    async def prepare(self) -> None:
        """Load the table.  Raises ConfigurationError."""
        try:
            self._domains = await self._table.load()
        except DatabaseError as error:
            raise ConfigurationError(f"module 'domain': {error}") from error

    async def start(self) -> None:
        if not self.db_mode:
            self.services.tasks.every(COPY_SECONDS, self._read_again, "the domains that are ours")

    async def stop(self) -> None:
        await self._table.database.close()

    async def _read_again(self) -> None:
        try:
            await self._reload()
        except DatabaseError as error:
            log.error("%s; myself stays as it is", error)

    async def _reload(self) -> None:
        """Read the table and put it in force.  Raises DatabaseError, and then the old one stays."""
        new = await self._table.load()
        old, self._domains = self._domains.by_name, new
        turns = Turns()
        while old:  # so many objects are not let go of at once
            old.popitem()
            await turns.next()

    # -- functions ----------------------------------------------------------------------------------------------------

    @script_function(routes="request failure branch local")
    def is_from_local(self, run: Run, attrs_var: Variable | None = None) -> int | Awaitable[int]:
        """Whether the host in From is a domain of ours; a variable is set to what the table says about it."""
        message = run.message
        try:
            address = message.from_ if isinstance(message, Message) else None
            host = "" if address is None else address.sip_uri().host
        except SipSyntaxError as error:
            log.error("is_from_local: From cannot be read: %s", error)
            return -1
        return self._is_local(run, host, attrs_var)

    @script_function(routes="request failure branch local")
    def is_uri_host_local(self, run: Run, attrs_var: Variable | None = None) -> int | Awaitable[int]:
        """The same of the host in the Request-URI, in a branch route that of the branch."""
        message = run.message
        try:
            host = SipUri.parse(message.uri or "").host if isinstance(message, Message) else ""
        except SipSyntaxError as error:
            log.error("is_uri_host_local: the Request-URI cannot be read: %s", error)
            return -1
        return self._is_local(run, host, attrs_var)

    @script_function(routes="request failure branch local")
    def is_domain_local(self, run: Run, domain: str, attrs_var: Variable | None = None) -> int | Awaitable[int]:
        """The same of any domain."""
        return self._is_local(run, domain, attrs_var)

    def _is_local(self, run: Run, host: str, attributes: Variable | None) -> int | Awaitable[int]:
        if not host:
            return -1
        if self.db_mode:
            return _told(run, self._domains.find(host), attributes)
        return self._ask(run, host, attributes)

    async def _ask(self, run: Run, host: str, attributes: Variable | None) -> int:
        try:
            return _told(run, await self._table.ask(host), attributes)
        except DatabaseError as error:
            log.error("'%s' is taken for a domain of others: %s", host, error)
            return -1

    # -- MI -----------------------------------------------------------------------------------------------------------

    @mi_command("reload", "")
    async def mi_reload(self) -> str:
        """reads the table again"""
        self._cached()
        try:
            await self._reload()
        except DatabaseError as error:
            log.error("domain:reload: %s; what was loaded before stays in force", error)
            raise MIError(500, "Domain table reload failed", str(error)) from error
        return OK

    @mi_command("dump", "", read_only=True)
    def mi_dump(self) -> dict[str, object]:
        """lists the domains of the cache"""
        self._cached()
        return {"Domains": [_shown(one) for one in self._domains.by_name.values()]}

    def _cached(self) -> None:
        if not self.db_mode:
            raise MIError(500, "DB is disabled (db_mode=0)")


def _told(run: Run, found: Domain | None, attributes: Variable | None) -> int:
    if found is None:
        return -1
    if attributes is not None and found.attributes is not None and not attributes.set(run, found.attributes):
        log.error("the attributes of '%s' cannot be written into the variable", found.name)
    return 1


def _shown(one: Domain) -> dict[str, object]:
    shown: dict[str, object] = {"name": one.name}
    return shown if one.attributes is None else shown | {"attributes": one.attributes}
