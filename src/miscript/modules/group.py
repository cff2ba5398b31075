"""Module group: which groups a user is in, by rows of a table or by regular expressions.

Strict membership is asked in the table each time; the expressions are read before the host runs.

Not here: membership by AAA servers.

Source: OpenSIPS manual, module group; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ..database import DatabaseError, Where, check_version, database_at, url_or_default
from ..digest_service import digest_service
from ..errors import ConfigurationError
from ..exports import Module, WritableAvp, parameter, script_function
from ..script.posix_regex import PatternError, compile_search
from ..script.runtime import Run
from ..services import Services
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..table_cells import Turns, number_cell, reading, text_cell
from ..values import INT_MAX, INT_MIN

__all__ = ["Group"]

log = logging.getLogger("miscript.group")

TABLE_VERSION: Final = 3
EXPRESSIONS_VERSION: Final = 2
MAX_EXPRESSIONS: Final = 10_000
"""Most rows of expressions: all of them are tried for a user."""

WRONG: Final = -1
NOT_ASKED: Final = -5
NOT_A_MEMBER: Final = -6


@dataclass(frozen=True, slots=True)
class Account:
    """Who is asked about; `domain` is the host of a URI or the realm of credentials."""

    user: str
    domain: str

    @property
    def uri(self) -> str:
        """What expressions are matched with."""
        return f"sip:{self.user}@{self.domain}"


@dataclass(frozen=True, slots=True)
class Expression:
    """A row of expressions: who it matches, and the group."""

    matches: Callable[[str], bool]
    group: int


class Group(Module):
    """Tells which groups users are in."""

    name = "group"

    aaa_url = parameter("", "Not available, must be empty.")
    db_url = parameter("", "Database with the tables; the global db_default_url without it.")
    table = parameter("grp", "The table of users and groups.")
    user_column = parameter("username", "Column: the user.")
    domain_column = parameter("domain", "Column: the user's domain.")
    group_column = parameter("grp", "Column: the group.")
    use_domain = parameter(1, "0: users are looked up without their domains.")
    re_table = parameter("", "The table of expressions; there are none without it.")
    re_exp_column = parameter("reg_exp", "Column of expressions: the regular expression.")
    re_gid_column = parameter("group_id", "Column of expressions: the number of the group.")
    multiple_gid = parameter(1, "0: the first group that matches, not all of them.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._expressions: list[Expression] = []

    # -- life ---------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        if self.aaa_url:
            raise ConfigurationError("AAA servers are not available, aaa_url must be empty", parameter="aaa_url")
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        self._database = database_at(self.services.find, url)

    async def prepare(self) -> None:
        """Check the table and read the expressions.  Raises ConfigurationError."""
        try:
            await check_version(self._database, self.table, TABLE_VERSION)
            if self.re_table:
                self._expressions = await self._read_expressions()
        except DatabaseError as error:
            raise ConfigurationError(f"module 'group': {error}") from error

    async def stop(self) -> None:
        await self._database.close()

    async def _read_expressions(self) -> list[Expression]:
        """The rows of expressions, the last one first, as they are tried.  Raises DatabaseError."""
        await check_version(self._database, self.re_table, EXPRESSIONS_VERSION)
        found: list[Expression] = []
        turns = Turns()
        async with reading(self._database.rows(self.re_table, [self.re_exp_column, self.re_gid_column])) as chunks:
            async for rows in chunks:
                for pattern, group in rows:
                    await turns.next()
                    where = f"table '{self.re_table}', row {len(found) + 1}"
                    if len(found) == MAX_EXPRESSIONS:
                        raise DatabaseError(f"table '{self.re_table}' has more than {MAX_EXPRESSIONS} rows")
                    try:
                        matches = compile_search(text_cell(pattern))
                    except PatternError as error:
                        raise DatabaseError(
                            f"{where}: bad regular expression '{text_cell(pattern)}': {error}"
                        ) from None
                    found.append(Expression(matches, number_cell(where, self.re_gid_column, group, INT_MIN, INT_MAX)))
        return found[::-1]

    # -- functions ----------------------------------------------------------------------------------------------------

    @script_function(routes="request failure branch local")
    async def db_is_user_in(self, run: Run, uri: str, group: str) -> int:
        """Whether a user is in a group: 1, -6 when not, -1 for what is no user, -5 when the table cannot be asked.

        `uri` is "Request-URI", "To", "From", "Credentials" (those that were found good), or a URI.
        """
        account = self._account(run, uri)
        if account is None:
            return WRONG
        where = [Where(self.user_column, account.user), Where(self.group_column, group)]
        if self.use_domain:
            where.append(Where(self.domain_column, account.domain))
        try:
            rows = (await self._database.select(self.table, [self.group_column], where, limit=1)).rows
        except DatabaseError as error:
            log.error("db_is_user_in: %s", error)
            return NOT_ASKED
        return 1 if rows else NOT_A_MEMBER

    @script_function(routes="request failure branch local")
    def db_get_user_group(self, run: Run, uri: str, output_avp: WritableAvp) -> int:
        """Add the numbers of the groups whose expressions match a user to an AVP; -1 when none does.

        The last row of the table is tried first, and without `multiple_gid` it is the first match that counts.
        """
        account = self._account(run, uri)
        if account is None:
            return WRONG
        found = [one.group for one in self._expressions if one.matches(account.uri)]
        for group in found if self.multiple_gid else found[:1]:
            output_avp.set(run, group)
        return 1 if found else WRONG

    def _account(self, run: Run, what: str) -> Account | None:
        """Who a function asks about; None, with a line in the log, when there is nobody."""
        message = run.message
        if not isinstance(message, Message):
            return None
        match what.lower():
            case "credentials":
                return self._authorized(run)
            case "request-uri":
                text = message.uri or ""
            case "to" | "from" as name:
                text = _address(message, name)
            case _:
                text = what
        try:
            uri = SipUri.parse(text)
        except SipSyntaxError as error:
            log.error("'%s' is no user: %s", what, error)
            return None
        return None if uri.user is None else Account(uri.user, uri.host)

    def _authorized(self, run: Run) -> Account | None:
        auth = digest_service(self.services)
        credentials = None if auth is None else auth.authorized(run)
        if credentials is None:
            log.error("no credentials have been found good")
            return None
        user, at, domain = credentials.user.partition("@")
        return Account(user, domain if at else credentials.realm)


def _address(message: Message, name: str) -> str:
    """The URI in To or From; "" where it cannot be read."""
    try:
        address = message.to if name == "to" else message.from_
    except SipSyntaxError:
        return ""
    return "" if address is None else address.uri
