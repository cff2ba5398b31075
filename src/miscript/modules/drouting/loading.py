"""Reading a partition's tables into a new `RoutingData`, a slice at a time.

`Loader.load` gives what it read and counted, or raises `DatabaseError` (the database is away, a table has not the
expected version) or `LoadError` (NULL where there must be a value, an id twice): then there is no new state at all.  A
row that is wrong by itself (no URI, no list of gateways, no time recurrence) is left out, logged, and counted as
discarded.  After each half millisecond of work everybody else has a turn.

Source: OpenSIPS manual, module drouting, "Exported Parameters" and "Exported Status/Report Identifiers".
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...database import Cell, Database, Tables, check_version
from ...sip.sockets import ListeningSocket, Target
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...time_recurrence import TimeRecurrenceError, parse_time_recurrence
from ...values import encode
from .cells import BadRow, LoadError, flag_of, integer, required, text_of_cell
from .destinations import BadList, bad_id, plain_lists
from .gateways import OFF, ONLY_FIRST, Carrier, Gateway, Probe, State, numeric_target, parse_address, parse_prefix
from .routing_data import RoutingData
from .rules import BadRule, Manner, RuleTable, parse_groups
from .seen_ids import SeenIds
from .sorting import AS_LISTED

log = logging.getLogger("miscript.drouting")

SLICE_SECONDS: Final = 0.0005
"""How long a reload works before everybody else has a turn."""

CHUNK: Final = 500
"""Rows that are asked for at a time."""

SHOWN_MISTAKES: Final = 50
"""Wrong rows that one load logs; it tells how many more there were."""

GATEWAYS_VERSION: Final = 6
CARRIERS_VERSION: Final = 3
RULES_VERSION: Final = 4
GROUPS_VERSION: Final = 2

_GATEWAY = ("id", "gwid", "type", "address", "strip", "pri_prefix", "attrs", "probe_mode", "socket", "state")
_CARRIER = ("id", "carrierid", "gwlist", "flags", "sort_alg", "attrs", "state")
_RULE = ("ruleid", "groupid", "prefix", "timerec", "priority", "routeid", "gwlist", "sort_alg", "attrs")


@dataclass(frozen=True, slots=True)
class TableNames:
    """The tables of a partition; `rule_tables` is the query that names the tables of rules, "" for `rules` itself."""

    gateways: str = "dr_gateways"
    carriers: str = "dr_carriers"
    rules: str = "dr_rules"
    groups: str = "dr_groups"
    rule_tables: str = ""


@dataclass(frozen=True, slots=True)
class Options:
    """What the module's parameters say about loading.

    `socket_of` gives our socket of a name or None, `resolve` where a URI leads; `has_route` whether the script has a
    route.
    """

    socket_of: Callable[[str], ListeningSocket | None]
    resolve: Callable[[SipUri], Awaitable[Sequence[Target]]]
    has_route: Callable[[str], bool]
    with_state: bool = True
    force_dns: bool = True
    socket_filter: str = "all"
    prefix_characters: str = ""
    id_characters: str = "_-."
    checksum: bool = False


@dataclass(slots=True)
class Counted:
    """How many rows of a table were taken, and how many not."""

    loaded: int = 0
    discarded: int = 0


@dataclass(slots=True)
class Pace:
    """Keeps a long piece of work from holding up others: `await rest()` whenever `due`."""

    since: float = field(default_factory=time.perf_counter)

    @property
    def due(self) -> bool:
        return time.perf_counter() - self.since > SLICE_SECONDS

    async def rest(self) -> None:
        await asyncio.sleep(0)
        self.since = time.perf_counter()

    async def through(self, steps: Iterator[None]) -> None:
        """All steps of a piece of work that pauses by itself."""
        for _ in steps:
            if self.due:
                await self.rest()


async def check_tables(database: Database, names: TableNames) -> None:
    """Raise DatabaseError unless all tables have the versions that this module knows."""
    wanted = [
        (names.gateways, GATEWAYS_VERSION),
        (names.carriers, CARRIERS_VERSION),
        (names.groups, GROUPS_VERSION),
    ]
    for table, version in [*wanted, *((table, RULES_VERSION) for table in await rule_tables(database, names))]:
        await check_version(database, table, version)


async def rule_tables(tables: Tables, names: TableNames) -> Sequence[str]:
    """The tables of rules: one, or those that the query of `rule_tables_query` names."""
    if not names.rule_tables:
        return (names.rules,)
    found = await tables.query(names.rule_tables)
    return [str(row[0]) for row in found.rows if row and row[0] is not None]


class Loader:
    """One load of one partition."""

    def __init__(self, database: Database, names: TableNames, options: Options) -> None:
        self.database = database
        self.names = names
        self.options = options
        self.data = RoutingData(RuleTable(options.prefix_characters), id_characters=options.id_characters)
        self.gateways = Counted()
        self.carriers = Counted()
        self.rules = Counted()
        self._pace = Pace()
        self._mistakes = 0
        self._is_plain_list = plain_lists(options.id_characters).fullmatch
        self._checked_lists: set[str] = set()
        self._checked_routes: set[str] = {""}
        self._resolved: dict[tuple[str, str | None, str | None], Sequence[Target]] = {}
        self._hash = hashlib.md5(usedforsecurity=False) if options.checksum else None

    async def load(self) -> RoutingData:
        """Read all tables.  Raises DatabaseError and `LoadError`."""
        await check_tables(self.database, self.names)
        await self._load_gateways()
        await self._load_carriers()
        for table in await rule_tables(self.database, self.names):
            await self._load_rules(table)
        self.data.close()
        if self._hash is not None:
            self.data.checksum = self._hash.hexdigest()
        if self._mistakes > SHOWN_MISTAKES:
            log.error("%d more rows are wrong and have been left out", self._mistakes - SHOWN_MISTAKES)
        return self.data

    @property
    def summary(self) -> str:
        """What was loaded, in the words of the report."""
        kinds = (("gateways", self.gateways), ("carriers", self.carriers), ("rules", self.rules))
        return ", ".join(f"{counted.loaded} {kind} loaded ({counted.discarded} discarded)" for kind, counted in kinds)

    async def abandon(self) -> None:
        """Give back the memory of a load that failed."""
        await Pace().through(self.data.dismantle())

    def _discard(self, counted: Counted, what: str, error: Exception) -> None:
        counted.discarded += 1
        self._mistakes += 1
        if self._mistakes <= SHOWN_MISTAKES:
            log.error("%s is left out: %s", what, error)

    def _hashed(self, row: Sequence[Cell]) -> None:
        if self._hash is not None:
            self._hash.update(encode(repr(row)))

    # -- gateways -----------------------------------------------------------------------------------------------

    async def _load_gateways(self) -> None:
        table = self.names.gateways
        columns = _GATEWAY if self.options.with_state else _GATEWAY[:-1]
        async for rows in self.database.rows(table, columns, chunk=CHUNK):
            for row in rows:
                self._hashed(row)
                try:
                    gateway = await self._gateway(table, row)
                except (BadRow, SipSyntaxError) as error:
                    self._discard(self.gateways, f"the gateway with id {text_of_cell(row[0])} of '{table}'", error)
                else:
                    if gateway is not None:
                        self.data.gateways[gateway.id] = gateway
                        self.gateways.loaded += 1
                if self._pace.due:
                    await self._pace.rest()

    async def _gateway(self, table: str, row: Sequence[Cell]) -> Gateway | None:
        """The gateway of a row; None when this host is not to have it.  Raises LoadError, BadRow, SipSyntaxError."""
        number = row[0]
        id = required(row[1], "gwid", table, number)
        address = required(row[3], "address", table, number)
        complaint = bad_id(id, self.options.id_characters)
        if complaint is not None:
            raise BadRow(complaint)
        if id in self.data.gateways:
            raise LoadError(
                f"the table '{table}' has the gateway '{id}' twice, the second time with id {text_of_cell(number)}"
            )
        uri, shown = parse_address(address)
        socket, wanted = self._socket(id, text_of_cell(row[8]))
        if not wanted:
            self.gateways.discarded += 1
            return None
        gateway = Gateway(
            id,
            integer(row[2], "type", table, number),
            uri,
            shown,
            max(0, integer(row[4], "strip", table, number)),
            parse_prefix(text_of_cell(row[5])),
            text_of_cell(row[6]),
            flag_of(Probe, integer(row[7], "probe_mode", table, number), "probe_mode"),
            socket,
        )
        if self.options.with_state:
            gateway.state = gateway.stored = flag_of(State, integer(row[9], "state", table, number), "state")
        gateway.targets = await self._targets(gateway)
        return gateway

    def _socket(self, id: str, text: str) -> tuple[ListeningSocket | None, bool]:
        """Our socket for a gateway, and whether this host is to have the gateway at all."""
        match self.options.socket_filter:
            case "ignore":
                return None, True
            case "matched-only":
                found = self.options.socket_of(text) if text else None
                return found, found is not None
        found = self.options.socket_of(text) if text else None
        if text and found is None:
            log.error("gateway '%s': we do not listen on '%s', its socket is not used", id, text)
        return found, True

    async def _targets(self, gateway: Gateway) -> tuple[Target, ...]:
        numeric = numeric_target(gateway.uri)
        if numeric is not None:
            return (numeric,)
        if not self.options.force_dns:
            return ()
        uri = gateway.uri
        key = (uri.host.lower(), uri.port_text, uri.params)
        if key not in self._resolved:
            self._resolved[key] = await self.options.resolve(uri)
        if not self._resolved[key]:
            raise BadRow(f"'{uri.host}' has no address")
        return tuple(self._resolved[key])

    # -- carriers -----------------------------------------------------------------------------------------------

    async def _load_carriers(self) -> None:
        table = self.names.carriers
        columns = _CARRIER if self.options.with_state else _CARRIER[:-1]
        async for rows in self.database.rows(table, columns, chunk=CHUNK):
            for row in rows:
                self._hashed(row)
                try:
                    carrier = self._carrier(table, row)
                except (BadRow, BadList) as error:
                    self._discard(self.carriers, f"the carrier with id {text_of_cell(row[0])} of '{table}'", error)
                else:
                    self.data.carriers[carrier.id] = carrier
                    self.carriers.loaded += 1
                if self._pace.due:
                    await self._pace.rest()

    def _carrier(self, table: str, row: Sequence[Cell]) -> Carrier:
        number = row[0]
        id = required(row[1], "carrierid", table, number)
        gwlist = required(row[2], "gwlist", table, number, empty=True)
        complaint = bad_id(id, self.options.id_characters)
        if complaint is not None:
            raise BadRow(complaint)
        if id in self.data.carriers:
            raise LoadError(
                f"the table '{table}' has the carrier '{id}' twice, the second time with id {text_of_cell(number)}"
            )
        listed = self.data.destinations(gwlist)
        inner = next((one for one in listed if one.is_carrier), None)
        if inner is not None:
            raise BadRow(f"its gwlist names the carrier '{inner.id}', expected gateways only")
        self._warn_of_unknown(gwlist, id)
        flags = integer(row[3], "flags", table, number)
        off = bool(flags & OFF)
        if self.options.with_state:
            off = off or integer(row[6], "state", table, number) != 0
        return Carrier(
            id,
            tuple(one for one in listed if self.data.knows(one)),
            _algorithm(row[4]),
            bool(flags & ONLY_FIRST),
            text_of_cell(row[5]),
            off,
            off,
        )

    def _warn_of_unknown(self, gwlist: str, owner: int | str) -> None:
        """Say of the first lists which of their entries nobody knows; `owner` is the rule or the carrier."""
        if len(self._checked_lists) >= CHUNK or gwlist in self._checked_lists:
            return
        where = f"rule {owner}" if isinstance(owner, int) else f"carrier '{owner}'"
        self._checked_lists.add(gwlist)
        for one in self.data.destinations(gwlist):
            if not self.data.knows(one):
                kind = "carrier" if one.is_carrier else "gateway"
                log.warning("%s: there is no %s '%s', it is left out", where, kind, one.id)

    # -- rules --------------------------------------------------------------------------------------------------

    async def _load_rules(self, table: str) -> None:
        seen, pace = SeenIds(), self._pace
        async for rows in self.database.rows(table, _RULE, chunk=CHUNK):
            for row in rows:
                self._hashed(row)
                try:
                    self._rule(table, row, seen)
                except (BadRow, BadRule, BadList, TimeRecurrenceError) as error:
                    self._discard(self.rules, f"the rule {text_of_cell(row[0])} of '{table}'", error)
                else:
                    self.rules.loaded += 1
                if pace.due:
                    await pace.rest()
        await pace.through(seen.dismantle())

    def _rule(self, table: str, row: Sequence[Cell], seen: SeenIds) -> None:
        id = integer(row[0], "ruleid", table, row[0])
        groups = required(row[1], "groupid", table, id)
        if not seen.add(id):
            raise LoadError(f"the table '{table}' has the rule {id} twice")
        timerec, route, gwlist = text_of_cell(row[3]), text_of_cell(row[5]), text_of_cell(row[6])
        priority = integer(row[4], "priority", table, id)
        if timerec:
            parse_time_recurrence(timerec)
        if not self._is_plain_list(gwlist):
            self.data.destinations(gwlist)
        self._warn_of_unknown(gwlist, id)
        if route not in self._checked_routes and len(self._checked_routes) < CHUNK:
            self._checked_routes.add(route)
            if not self.options.has_route(route):
                log.warning("rule %d: the script has no route '%s', nothing is run", id, route)
        manner = Manner(_algorithm(row[7]), route, timerec)
        attributes = text_of_cell(row[8])
        self.data.rules.add(
            id, parse_groups(groups), text_of_cell(row[2]).strip(), priority, gwlist, attributes, manner
        )


def _algorithm(cell: Cell) -> str:
    """The column `sort_alg`: its first letter; NULL and nothing keep the order of the table."""
    return text_of_cell(cell)[:1].upper() or AS_LISTED
