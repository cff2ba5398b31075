"""Module alias_db: other names of users, looked up in a table each time.

Source: OpenSIPS manual, module alias_db; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ..database import DatabaseError, Where, database_at, url_or_default
from ..errors import ConfigurationError
from ..exports import BoundText, BoundVariable, Module, bound_function, parameter
from ..read_arguments import read_once, refused
from ..script.operations import text_argument
from ..script.runtime import Run
from ..script.signatures import Argument
from ..sip.branch import Branch
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..table_cells import text_cell

__all__ = ["AliasDb"]

log = logging.getLogger("miscript.alias_db")

MAX_BRANCHES: Final = 64
"""Most names that one alias stands for."""


@dataclass(frozen=True, slots=True)
class Flags:
    """How to look: d: by the user alone; r: from the user to the alias."""

    without_domain: bool = False
    reverse: bool = False

    @classmethod
    def parse(cls, text: str) -> Flags:
        """Read letters.  Raises ValueError for one that is unknown."""
        unknown = set(text) - set("dr")
        if unknown:
            raise ValueError(f"unknown flag '{min(unknown)}', expected d or r")
        return cls("d" in text, "r" in text)


class AliasDb(Module):
    """Finds users by other names that they have."""

    name = "alias_db"

    db_url = parameter("", "Database with the tables; the global db_default_url without it.")
    user_column = parameter("username", "Column: the user.")
    domain_column = parameter("domain", "Column: the user's domain.")
    alias_user_column = parameter("alias_username", "Column: the other name.")
    alias_domain_column = parameter("alias_domain", "Column: the domain of the other name.")
    domain_prefix = parameter("", "Taken off the front of domains before they are looked up.")
    append_branches = parameter(0, "1: all users that an alias stands for are called, by branches.")

    def init(self) -> None:
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        self._database = database_at(self.services.find, url)

    async def stop(self) -> None:
        await self._database.close()

    @bound_function(routes="request failure")
    def alias_db_lookup(self, table_name: BoundText, flags: BoundText | None = None) -> Callable[[Run], Awaitable[int]]:
        """Put the user that the Request-URI is an alias of in its place; -1 when it is none.

        With `append_branches` more users become branches.  Flags: d by the user alone, r from the user to the alias.
        """
        flags_of = _flags(flags)

        async def look(run: Run) -> int:
            message = run.message
            if not isinstance(message, Message):
                return -1
            found = await self._find(text_argument(table_name.get(run)), message.uri or "", flags_of(run))
            if not found:
                return -1
            message.uri = found[0]
            message.branches.extend(Branch(uri) for uri in found[1:])
            return 1

        return look

    @bound_function(routes="request failure reply branch local startup")
    def alias_db_find(
        self,
        table_name: BoundText,
        input_uri: BoundText,
        output_var: BoundVariable,
        flags: BoundText | None = None,
    ) -> Callable[[Run], Awaitable[int]]:
        """Set a variable to the URI of the user that a URI is an alias of; -1 when it is none.

        With `append_branches` the variable is set for each user, so that an AVP has them all.
        """
        flags_of = _flags(flags)

        async def look(run: Run) -> int:
            uri = text_argument(input_uri.get(run))
            found = await self._find(text_argument(table_name.get(run)), uri, flags_of(run))
            variable = output_var.variable
            if not found or variable is None:
                return -1
            return 1 if all(variable.set(run, one) for one in found) else -1

        return look

    async def _find(self, table: str, text: str, flags: Flags) -> Sequence[str]:
        """The URIs that a URI leads to; empty, with a line in the log where something is wrong, when none."""
        try:
            uri = SipUri.parse(text)
        except SipSyntaxError as error:
            log.error("'%s' cannot be looked up: %s", text, error)
            return ()
        if uri.user is None or not uri.host:
            return ()
        own, alias = (self.user_column, self.domain_column), (self.alias_user_column, self.alias_domain_column)
        asked, wanted = (own, alias) if flags.reverse else (alias, own)
        where = [Where(asked[0], uri.user)]
        if not flags.without_domain:
            where.append(Where(asked[1], uri.host.removeprefix(self.domain_prefix)))
        try:
            limit = MAX_BRANCHES if self.append_branches else 1
            rows = (await self._database.select(table, wanted, where, limit=limit)).rows
        except DatabaseError as error:
            log.error("'%s' cannot be looked up: %s", text, error)
            return ()
        return [found for user, domain in rows if (found := _uri(text_cell(user), text_cell(domain))) is not None]


def _uri(user: str, domain: str) -> str | None:
    """The URI of a user; None, with a line in the log, when the row makes none."""
    text = f"sip:{user}@{domain}"
    try:
        SipUri.parse(text)
    except SipSyntaxError as error:
        log.error("the table has a user that is none: %s", error)
        return None
    return text


def _flags(argument: Argument | None) -> Callable[[Run], Flags]:
    """The flags of a call.  Raises ConfigurationError for wrong ones that are written out."""
    return read_once(argument, Flags.parse, refused)
