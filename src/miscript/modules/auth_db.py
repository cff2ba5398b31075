"""Module auth_db: digest credentials checked against the passwords of a table, and who may use which credentials.

A table is asked with the user and, with `use_domain`, the domain: that of the user in the credentials, or else their
realm.  The versions of tables that are written out are checked before the host runs, those of others when they are
first used.

Source: OpenSIPS manual, module auth_db; RFC 8760; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ..database import Cell, DatabaseError, Result, Where, check_version, checked_name, database_at, url_or_default
from ..digest_service import DigestService, Verdict, digest_service
from ..errors import ConfigurationError
from ..exports import BoundText, BoundVariable, Module, bound_function, parameter
from ..script.operations import text_argument
from ..script.runtime import Run
from ..script.signatures import Argument
from ..services import Services
from ..sip.digest_response import Algorithm, Credentials, plain_ha1
from ..sip.message import Message
from ..sip.name_addr import NameAddr
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..table_cells import text_cell
from ..values import Value
from ..variable_spec import VariableSpec

__all__ = ["AuthDb"]

log = logging.getLogger("miscript.auth_db")

SUBSCRIBER_VERSION: Final = 8
URI_VERSION: Final = 2
UNCHALLENGED: Final = ("ACK", "CANCEL")
HASH_LENGTHS: Final = {"MD5": 32, "SHA-256": 64, "SHA-512-256": 64}

BAD_URI: Final = -1
NO_CREDENTIALS: Final = -2
NO_AUTH_ID: Final = -4
NO_URI: Final = -5
URI_NOT_ASKED: Final = -4
AUTH_ID_NOT_ASKED: Final = -8
NOT_AUTHORIZED: Final = -9

_HEX = re.compile(r"[0-9a-fA-F]+")
_COLUMN = re.compile(r"\s*(?:(?P<avp>\$avp\([^()\s$]+\))\s*=\s*)?(?P<column>[A-Za-z0-9_]+)\s*")


@dataclass(frozen=True, slots=True)
class Loaded:
    """A column that is put into an AVP when credentials are good."""

    column: str
    avp: VariableSpec


class AuthDb(Module):
    """Digest authentication by a table."""

    name = "auth_db"
    needs = ("auth",)

    db_url = parameter("", "Database with the tables; the global db_default_url without it.")
    user_column = parameter("username", "Column of subscribers: the user.")
    domain_column = parameter("domain", "Column of subscribers: the user's domain.")
    password_column = parameter("ha1", "Column of subscribers: the MD5 HA1, or the password with calculate_ha1.")
    hash_column_sha256 = parameter("ha1_sha256", "Column of subscribers: the HA1 of SHA-256.")
    hash_column_sha512t256 = parameter("ha1_sha512t256", "Column of subscribers: the HA1 of SHA-512-256.")
    uri_user_column = parameter("username", "Column of URIs: the user of the credentials.")
    uri_domain_column = parameter("domain", "Column of URIs: the domain of the credentials.")
    uri_uriuser_column = parameter("uri_user", "Column of URIs: the user in the URI.")
    calculate_ha1 = parameter(0, "1: password_column holds passwords in the clear; 0: HA1s.")
    use_domain = parameter(1, "0: users are looked up without their domains.")
    load_credentials = parameter("", "`$avp(name)=column;column`: columns for AVPs when credentials are good.")
    skip_version_check = parameter(0, "1: the versions of tables are not looked at.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._expected: dict[str, int] = {}
        self._checked: set[str] = set()

    # -- life ---------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        auth = digest_service(self.services)
        if auth is None:
            raise ConfigurationError("auth_db needs module auth")
        self._auth: DigestService = auth
        self._loaded = [_loaded(part) for part in self.load_credentials.split(";") if part.strip()]
        self._database = database_at(self.services.find, url)

    async def prepare(self) -> None:
        """Check the tables that the script names.  Raises ConfigurationError."""
        for table, version in self._expected.items():
            try:
                await self._check(table, version)
            except DatabaseError as error:
                raise ConfigurationError(f"module 'auth_db': {error}") from error

    async def stop(self) -> None:
        await self._database.close()

    async def _check(self, table: str, version: int) -> None:
        """See to it once that a table has the columns that we know.  Raises DatabaseError."""
        if not self.skip_version_check and table not in self._checked:
            await check_version(self._database, table, version)
            self._checked.add(checked_name(table))

    def _named(self, table: Argument, version: int) -> Callable[[Run], str]:
        """The table that an argument names; one that is written out is checked before the host runs."""
        if table.is_constant:
            name = text_argument(table.constant)
            self._expected[name] = version
            return lambda run: name
        return lambda run: text_argument(table.get(run))

    async def _select(
        self, table: str, version: int, columns: Sequence[str], where: Sequence[Where], limit: int | None = 1
    ) -> Result:
        """Rows of a table that has been checked.  Raises DatabaseError."""
        await self._check(table, version)
        return await self._database.select(table, columns, where, limit=limit)

    # -- credentials --------------------------------------------------------------------------------------------------

    @bound_function(routes="request")
    def www_authorize(self, realm: BoundText, table: BoundText) -> Callable[[Run], Awaitable[int]]:
        """Check Authorization against the passwords of a table.

        1: right, -1: no such user, -2: wrong password, -3: the nonce is too old or used, -4: no credentials for this
        realm, -5: the table cannot be asked.  An empty realm is the domain of To in a REGISTER, else that of From.
        """
        return self._authorize(realm, table, proxy=False)

    @bound_function(routes="request")
    def proxy_authorize(self, realm: BoundText, table: BoundText) -> Callable[[Run], Awaitable[int]]:
        """The same with Proxy-Authorization; an empty realm is the domain of From."""
        return self._authorize(realm, table, proxy=True)

    def _authorize(self, realm: Argument, table: Argument, *, proxy: bool) -> Callable[[Run], Awaitable[int]]:
        table_of = self._named(table, SUBSCRIBER_VERSION)

        async def check(run: Run) -> int:
            name, message = self._auth.realm(run, text_argument(realm.get(run)), proxy=proxy), run.message
            if name is None or not isinstance(message, Message):
                log.error("credentials cannot be checked: there is no realm")
                return Verdict.ERROR
            given = self._auth.credentials(run, name, proxy=proxy)
            if given is None or message.method in UNCHALLENGED:
                return self._auth.check(run, name, lambda credentials: None, proxy=proxy)
            try:
                row = await self._subscriber(table_of(run), given)
            except DatabaseError as error:
                log.error("credentials cannot be checked: %s", error)
                return Verdict.ERROR
            if row is None:
                return self._auth.check(run, name, lambda credentials: None, proxy=proxy)
            ha1 = self._ha1(given, text_cell(row[self._secret_column(given.algorithm)]))
            if ha1 is None:
                return Verdict.ERROR
            verdict = self._auth.check(run, name, lambda credentials: ha1, proxy=proxy)
            if verdict is Verdict.AUTHORIZED:
                self._keep(run, row)
            return verdict

        return check

    def _secret_column(self, algorithm: Algorithm) -> str:
        if self.calculate_ha1:
            return self.password_column
        match algorithm.value.removesuffix("-sess"):
            case "SHA-256":
                return self.hash_column_sha256
            case "SHA-512-256":
                return self.hash_column_sha512t256
            case _:
                return self.password_column

    def _ha1(self, given: Credentials, secret: str) -> str | None:
        """The HA1 that a table has for credentials; None, with a line in the log, for what is none."""
        if self.calculate_ha1:
            if not secret:
                log.error("'%s' has no password, nobody is let in", given.user)
                return None
            return plain_ha1(given.algorithm, given.user, given.realm, secret)
        algorithm = given.algorithm.value.removesuffix("-sess")
        if len(secret) != HASH_LENGTHS[algorithm] or _HEX.fullmatch(secret) is None:
            log.error("the %s hash of '%s' is none: %d characters, expected %d hexadecimal digits",
                      algorithm, given.user, len(secret), HASH_LENGTHS[algorithm])  # fmt: skip
            return None
        return secret

    async def _subscriber(self, table: str, given: Credentials) -> Mapping[str, Cell] | None:
        """Column → value of the user that credentials name; None when there is none.  Raises DatabaseError."""
        columns = list(dict.fromkeys([self._secret_column(given.algorithm), *(one.column for one in self._loaded)]))
        user, domain = _account(given)
        where = self._where(self.user_column, user, self.domain_column, domain)
        rows = (await self._select(table, SUBSCRIBER_VERSION, columns, where)).rows
        return dict(zip(columns, rows[0], strict=True)) if rows else None

    def _where(self, user_column: str, user: str, domain_column: str, domain: str) -> list[Where]:
        """The user, and the domain where it counts."""
        return [Where(user_column, user), *([Where(domain_column, domain)] if self.use_domain else [])]

    def _keep(self, run: Run, row: Mapping[str, Cell]) -> None:
        """Put columns into the AVPs that `load_credentials` names; NULL leaves them as they are."""
        for one in self._loaded:
            value = row[one.column]
            if value is not None:
                one.avp.set(run, _value(value))

    # -- URIs ---------------------------------------------------------------------------------------------------------

    @bound_function(routes="request failure local")
    def db_does_uri_exist(self, uri: BoundText, table: BoundText) -> Callable[[Run], Awaitable[int]]:
        """Whether a URI is that of a subscriber: 1, -5 when it is not, -1 no URI, -4 the table cannot be asked."""
        table_of = self._named(table, SUBSCRIBER_VERSION)

        async def look(run: Run) -> int:
            found = _parsed(text_argument(uri.get(run)))
            if found is None:
                return BAD_URI
            if found.user is None:
                return NO_URI
            where = self._where(self.user_column, found.user, self.domain_column, found.host)
            try:
                rows = (await self._select(table_of(run), SUBSCRIBER_VERSION, [self.user_column], where)).rows
            except DatabaseError as error:
                log.error("db_does_uri_exist: %s", error)
                return URI_NOT_ASKED
            return 1 if rows else NO_URI

        return look

    @bound_function(routes="request failure local")
    def db_get_auth_id(
        self, table: BoundText, uri: BoundText, auth: BoundVariable, realm: BoundVariable
    ) -> Callable[[Run], Awaitable[int]]:
        """Set variables to user and realm of the credentials that belong to a URI.

        1, -4 when there are none, -1 for what is no URI, -8 when the table cannot be asked.
        """
        table_of = self._named(table, URI_VERSION)

        async def look(run: Run) -> int:
            found = _parsed(text_argument(uri.get(run)))
            if found is None:
                return BAD_URI
            if found.user is None:
                return NO_AUTH_ID
            where = self._where(self.uri_uriuser_column, found.user, self.uri_domain_column, found.host)
            columns = [self.uri_user_column, self.uri_domain_column]
            try:
                rows = (await self._select(table_of(run), URI_VERSION, columns, where, 2)).rows
            except DatabaseError as error:
                log.error("db_get_auth_id: %s", error)
                return AUTH_ID_NOT_ASKED
            if not rows:
                return NO_AUTH_ID
            if len(rows) > 1:
                log.warning("db_get_auth_id: '%s' has more than one row, the first is taken", found)
            told = [_set(run, variable, cell) for variable, cell in zip((auth, realm), rows[0], strict=True)]
            return 1 if all(told) else AUTH_ID_NOT_ASKED

        return look

    @bound_function(routes="request")
    def db_is_to_authorized(self, table: BoundText) -> Callable[[Run], Awaitable[int]]:
        """Whether the credentials that were found good may be used for the user in To.

        1, -9 when they may not, -2 without such credentials, -1 for what is no URI, -8 when the table cannot be
        asked.
        """
        return self._may_use(table, lambda message: message.to)

    @bound_function(routes="request")
    def db_is_from_authorized(self, table: BoundText) -> Callable[[Run], Awaitable[int]]:
        """The same for the user in From."""
        return self._may_use(table, lambda message: message.from_)

    def _may_use(
        self, table: Argument, address_of: Callable[[Message], NameAddr | None]
    ) -> Callable[[Run], Awaitable[int]]:
        table_of = self._named(table, URI_VERSION)

        async def look(run: Run) -> int:
            credentials = self._auth.authorized(run)
            if credentials is None or not isinstance(run.message, Message):
                log.error("no credentials have been found good: www_authorize or proxy_authorize comes first")
                return NO_CREDENTIALS
            wanted = _user_of(run.message, address_of)
            if wanted is None:
                return BAD_URI
            user, domain = _account(credentials)
            where = self._where(self.uri_user_column, user, self.uri_domain_column, domain)
            where.append(Where(self.uri_uriuser_column, wanted))
            try:
                rows = (await self._select(table_of(run), URI_VERSION, [self.uri_uriuser_column], where)).rows
            except DatabaseError as error:
                log.error("whether '%s' may be used: %s", credentials.user, error)
                return AUTH_ID_NOT_ASKED
            return 1 if rows else NOT_AUTHORIZED

        return look


def _account(given: Credentials) -> tuple[str, str]:
    """User and domain of credentials: the domain behind the user's `@`, or else the realm."""
    user, at, domain = given.user.partition("@")
    return user, domain if at else given.realm


def _user_of(message: Message, address_of: Callable[[Message], NameAddr | None]) -> str | None:
    try:
        address = address_of(message)
        return None if address is None else address.sip_uri().user
    except SipSyntaxError as error:
        log.error("an address of the request cannot be read: %s", error)
        return None


def _parsed(text: str) -> SipUri | None:
    try:
        return SipUri.parse(text)
    except SipSyntaxError as error:
        log.error("'%s' is no URI: %s", text, error)
        return None


def _value(cell: Cell) -> Value:
    """A cell as an AVP keeps it: whole numbers as numbers, everything else as a text."""
    return cell if isinstance(cell, int) else text_cell(cell)


def _set(run: Run, argument: Argument, cell: Cell) -> bool:
    return argument.variable is not None and argument.variable.set(run, text_cell(cell))


def _loaded(text: str) -> Loaded:
    """A part of `load_credentials`.  Raises ConfigurationError."""
    found = _COLUMN.fullmatch(text)
    if found is None:
        raise ConfigurationError(
            f"load_credentials: expected '$avp(name)=column' or 'column', found '{text}'", parameter="load_credentials"
        )
    return Loaded(found["column"], VariableSpec.parse_avp(found["avp"] or f"$avp({found['column']})"))
