"""Functions of the script: addresses asked for in a partition, and rules for calls and registrations.

Source: OpenSIPS manual, module permissions, "Exported Functions"; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Final, TypeAlias

from ...errors import ConfigurationError
from ...exports import BoundNumber, BoundText, BoundVariable, Variable, bound_function
from ...read_arguments import read_once, refused
from ...script.operations import number_argument, text_argument
from ...script.runtime import Run
from ...script.signatures import Argument
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from .addresses import ANY_GROUP, Query, packed_address, transport_named
from .partitions import DEFAULT, Partition
from .rule_files import RuleFileError, RuleFiles
from .rules import Rules

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.permissions")

Pairs: TypeAlias = Callable[[Message], tuple[str, Sequence[str]] | None]
"""From a request: who, and what is wanted; None when it cannot be read."""

NO_SUCH_GROUP: Final = -2
ANYWHERE: Final = "request failure branch local startup timer event"


class PermissionFunctions(Base):
    """What scripts call."""

    partitions: dict[str, Partition]
    files: RuleFiles
    default_rules: Rules
    check_all_branches: int

    # -- addresses ----------------------------------------------------------------------------------------------------

    @bound_function(routes=ANYWHERE)
    def check_address(
        self,
        group_id: BoundNumber,
        ip: BoundText,
        port: BoundNumber,
        proto: BoundText,
        context_info: BoundVariable | None = None,
        pattern: BoundText | None = None,
        partition: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Whether an address is in the table: 1, -1 when it is not, -2 when the group has no entries.

        Group 0 is any group, port 0 any port, `proto` "any" any transport.  `pattern` is a text that the pattern of
        the entry must match; `context_info` is set to that of the entry.
        """
        transport_of = read_once(proto, transport_named, refused)
        partition_of = read_once(partition, self._partition, refused, missing=DEFAULT)

        def check(run: Run) -> int:
            group, number = number_argument(group_id.get(run)), number_argument(port.get(run))
            text = text_argument(ip.get(run))
            try:
                address = packed_address(text)
            except ValueError as error:
                log.error("check_address: %s", error)
                return -1
            query = Query(address, number, transport_of(run), _text_in(run, pattern))
            return _look(run, partition_of(run), group, query, context_info)

        return check

    @bound_function(routes="request failure branch local")
    def check_source_address(
        self,
        group_id: BoundNumber,
        context_info: BoundVariable | None = None,
        pattern: BoundText | None = None,
        partition: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """The same for where the message came from: its address, its port and its transport."""
        partition_of = read_once(partition, self._partition, refused, missing=DEFAULT)

        def check(run: Run) -> int:
            group = number_argument(group_id.get(run))
            source = _source(run, _text_in(run, pattern))
            return -1 if source is None else _look(run, partition_of(run), group, source, context_info)

        return check

    @bound_function(routes="request failure branch local")
    def get_source_group(self, var: BoundVariable, partition: BoundText | None = None) -> Callable[[Run], int]:
        """Set a variable to the lowest group that has the address, port and transport the message came from."""
        partition_of = read_once(partition, self._partition, refused, missing=DEFAULT)

        def find(run: Run) -> int:
            source = _source(run, None)
            entry = None if source is None else partition_of(run).book.find(ANY_GROUP, source)
            return 1 if entry is not None and _set(run, var, entry.group) else -1

        return find

    def _partition(self, name: str) -> Partition:
        found = self.partitions.get(name)
        if found is None:
            raise ValueError(f"partition '{name}' is not defined; db_url or a parameter 'partition' defines it")
        return found

    # -- rules --------------------------------------------------------------------------------------------------------

    @bound_function(routes="request failure local")
    def allow_routing(self, basename: BoundText | None = None) -> Callable[[Run], int | Awaitable[int]]:
        """Whether From may call the Request-URIs of all branches, by the files of a name or by the default ones."""
        if basename is None:
            return lambda run: _permit(run, self.default_rules, self._routing)
        return self._by_rules(basename, lambda run: self._routing)

    @bound_function(routes="request failure local")
    def allow_register(self, basename: BoundText) -> Callable[[Run], int | Awaitable[int]]:
        """Whether To may register all the contacts of the request, by the files of a name."""
        return self._by_rules(basename, lambda run: _registration)

    @bound_function(routes=ANYWHERE)
    def allow_uri(self, basename: BoundText, uri: BoundText) -> Callable[[Run], int | Awaitable[int]]:
        """Whether From may have a URI, which is compared as it is written, by the files of a name."""

        def pairs(run: Run) -> Pairs:
            wanted = text_argument(uri.get(run))
            return lambda message: _with_uri(message.from_, [wanted])

        return self._by_rules(basename, pairs)

    def _by_rules(self, basename: Argument, pairs: Callable[[Run], Pairs]) -> Callable[[Run], int | Awaitable[int]]:
        """Check with the files of a name: read now when it is written out, else when it first comes up."""
        if basename.is_constant:
            try:
                rules = self.files.load(text_argument(basename.constant))
            except RuleFileError as error:
                raise ConfigurationError(str(error)) from error
            return lambda run: _permit(run, rules, pairs(run))

        def check(run: Run) -> int | Awaitable[int]:
            name = text_argument(basename.get(run))
            found = self.files.known(name)
            return self._after_reading(run, name, pairs(run)) if found is None else _permit(run, found, pairs(run))

        return check

    async def _after_reading(self, run: Run, name: str, pairs: Pairs) -> int:
        try:
            return _permit(run, await self.files.load_in_thread(name), pairs)
        except RuleFileError as error:
            log.error("%s; nothing is allowed", error)
            return -1

    def _routing(self, message: Message) -> tuple[str, Sequence[str]] | None:
        branches = message.branches if self.check_all_branches else ()
        uris = [message.uri or "", *(branch.uri or message.original_uri or "" for branch in branches)]
        return _with_uri(message.from_, [_request_uri(SipUri.parse(uri)) for uri in uris])


def _registration(message: Message) -> tuple[str, Sequence[str]] | None:
    contacts = [value for value in message.headers("Contact") if value.strip() != "*"]
    found = [one.sip_uri() for value in contacts for one in NameAddr.parse_many(value)]
    return _with_uri(message.to, [f"sip:{uri.host}" if uri.user is None else _request_uri(uri) for uri in found])


def _request_uri(uri: SipUri) -> str:
    """A URI as rules see it: without port, parameters and the like, always `sip:` and with an `@`."""
    return f"sip:{uri.user or ''}@{uri.host}"


def _with_uri(address: NameAddr | None, wanted: Iterable[str]) -> tuple[str, Sequence[str]] | None:
    return None if address is None else (address.uri, list(wanted))


def _permit(run: Run, rules: Rules, pairs: Pairs) -> int:
    message = run.message
    if not isinstance(message, Message):
        return -1
    try:
        found = pairs(message)
    except SipSyntaxError as error:
        log.error("an address of the request cannot be read, nothing is allowed: %s", error)
        return -1
    return 1 if found is not None and rules.permit(*found) else -1


def _source(run: Run, pattern: str | None) -> Query | None:
    """Where the message came from, as a query."""
    message = run.message
    if not isinstance(message, Message):
        return None
    host, port = message.source
    return Query(packed_address(host), port, message.received.transport, pattern)


def _look(run: Run, partition: Partition, group: int, query: Query, info: Argument | None) -> int:
    book = partition.book
    if group != ANY_GROUP and group not in book.groups:
        return NO_SUCH_GROUP
    entry = book.find(group, query)
    if entry is None:
        return -1
    return 1 if info is None or _set(run, info, entry.info) else -1


def _set(run: Run, argument: Argument, value: str | int) -> bool:
    variable: Variable | None = argument.variable
    return variable is not None and variable.set(run, value)


def _text_in(run: Run, argument: Argument | None) -> str | None:
    return None if argument is None else text_argument(argument.get(run))
