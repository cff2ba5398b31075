"""The table `dispatcher`: rows become destinations, destinations become sets.

A table that is not as it should be (its version, a missing column, NULL where a value must be, a weight that is no
number) is refused as a whole.  A destination that nothing can be sent to (no URI, a name without an address, one that
is there twice) is left out and counted, with a line in the log that names it.  Other work has its turn every few rows.

Source: OpenSIPS manual, module dispatcher; the table of OpenSIPS 4.1 (version 9).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...database import Cell, Database, DatabaseError, check_version
from ...freeswitch_figures import SCHEME
from ...sip.sockets import ListeningSocket, Target, ip_address
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...table_cells import Turns, number_cell, text_cell
from ...values import INT_MAX, INT_MIN
from .destinations import Destination, DestinationSet, Place, State, by_priority

log = logging.getLogger("miscript.dispatcher")

TABLE_VERSION: Final = 9
CHUNK: Final = 500
"""Rows that the database is asked for at a time."""

NAMES_AT_A_TIME: Final = 32
"""Host names looked up at the same time."""

MAX_WEIGHT: Final = 65535


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are called."""

    set_id: str
    destination: str
    socket: str
    state: str
    probe_mode: str
    weight: str
    priority: str
    attributes: str
    description: str

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which a row has them."""
        return (
            self.set_id,
            self.destination,
            self.socket,
            self.state,
            self.probe_mode,
            self.weight,
            self.priority,
            self.attributes,
            self.description,
        )


@dataclass(slots=True)
class Loaded:
    """What a table had: sets in the order in which they came, and how many destinations were taken and left out.

    `addresses` finds destinations by their address, those of later sets first.
    """

    sets: dict[int, DestinationSet] = field(default_factory=dict)
    addresses: dict[str, list[Destination]] = field(default_factory=dict)
    taken: int = 0
    discarded: int = 0

    async def let_go(self) -> None:
        """Nobody needs it any more; so many objects are not let go of at once."""
        turns = Turns()
        while self.addresses:
            self.addresses.popitem()
            await turns.next()
        while self.sets:
            self.sets.popitem()  # whoever still looks at it keeps it whole
            await turns.next()


Resolve = Callable[[SipUri], Awaitable[Sequence[Target]]]
SocketNamed = Callable[[str], ListeningSocket | None]
Inherit = Callable[[Destination], None]


@dataclass(frozen=True, slots=True)
class Loader:
    """Reads tables.

    `freeswitch_weight` is the highest weight of destinations whose weights FreeSWITCH servers tell, and theirs until
    they have told one; None when weights are numbers only.
    """

    columns: Columns
    resolve: Resolve
    socket_named: SocketNamed
    freeswitch_weight: int | None = None

    async def load(self, database: Database, table: str, *, with_state: bool, inherit: Inherit) -> Loaded:
        """Read a table whole; `inherit` gives each destination what it takes over.

        `with_state`: the column `state` counts.  Raises DatabaseError.
        """
        await check_version(database, table, TABLE_VERSION)
        found, turns = Loaded(), Turns()
        rows: dict[int, list[Destination]] = {}
        known: set[tuple[int, str, ListeningSocket | None]] = set()
        names: list[tuple[Destination, SipUri]] = []
        number = 0
        async for chunk in database.rows(table, self.columns.names, order="id", chunk=CHUNK):
            for row in chunk:
                await turns.next()
                number += 1
                made = self._destination(f"table '{table}', row {number}", row, with_state)
                if made is None:
                    found.discarded += 1
                    continue
                destination, uri = made
                key = (destination.set_id, destination.text, destination.socket)
                if key in known:
                    log.error("%s is there twice, the second is left out", _named(destination))
                    found.discarded += 1
                    continue
                known.add(key)
                rows.setdefault(destination.set_id, []).append(destination)
                if ip_address(uri.maddr or uri.host) is None:
                    names.append((destination, uri))
                else:
                    destination.places = _places(await self.resolve(uri))
        await self._look_up(names)
        await self._assemble(found, rows, inherit, turns)
        while known:  # so many objects are not let go of at once
            known.pop()
            await turns.next()
        return found

    def _destination(self, where: str, row: Sequence[Cell], with_state: bool) -> tuple[Destination, SipUri] | None:
        """A row as a destination, and its URI; None, with a line in the log, when nothing can be sent to it.

        Raises DatabaseError for a row that should not be there.
        """
        columns = self.columns
        set_id = number_cell(where, columns.set_id, row[0], INT_MIN, INT_MAX)
        text = text_cell(row[1])
        if not text:
            raise DatabaseError(f"{where}: '{columns.destination}' is empty, expected the URI of a destination")
        where = f"{where} ('{text}' of set {set_id})"
        state = number_cell(where, columns.state, row[3], INT_MIN, INT_MAX)
        probe_mode = number_cell(where, columns.probe_mode, row[4], INT_MIN, INT_MAX)
        weight, event_socket = self._weight(where, row[5])
        priority = number_cell(where, columns.priority, row[6], INT_MIN, INT_MAX)
        try:
            uri = SipUri.parse(text)
        except SipSyntaxError as error:
            log.error("%s: no SIP URI, the destination is left out: %s", where, error)
            return None
        if not uri.host or uri.scheme.lower() not in ("sip", "sips"):
            log.error("%s: nothing can be sent to such a URI, the destination is left out", where)
            return None
        destination = Destination(
            set_id,
            text,
            socket=self._socket(where, text_cell(row[2])),
            weight=weight,
            priority=priority,
            attributes=text_cell(row[7]),
            description=text_cell(row[8]),
            always_probed=probe_mode == 1,
            event_socket=event_socket,
            state=_state(where, state) if with_state else State.ACTIVE,
        )
        return destination, uri

    def _weight(self, where: str, cell: Cell) -> tuple[int, str]:
        """The weight of a row, or that of the beginning and the URL of the FreeSWITCH server that tells it."""
        text = text_cell(cell)
        if self.freeswitch_weight is not None and text.startswith(SCHEME):
            return self.freeswitch_weight, text
        return number_cell(where, self.columns.weight, cell, 0, MAX_WEIGHT), ""

    def _socket(self, where: str, text: str) -> ListeningSocket | None:
        if not text:
            return None
        found = self.socket_named(text)
        if found is None:
            log.error("%s: we do not listen at '%s', any socket will be used", where, text)
        return found

    async def _look_up(self, names: Sequence[tuple[Destination, SipUri]]) -> None:
        """Find the addresses of those that have names; one without any has no places."""
        for at in range(0, len(names), NAMES_AT_A_TIME):
            portion = names[at : at + NAMES_AT_A_TIME]
            results = await asyncio.gather(*(self.resolve(uri) for _, uri in portion), return_exceptions=True)
            for (destination, _), targets in zip(portion, results, strict=True):
                if isinstance(targets, BaseException):
                    log.error("%s: its name cannot be looked up: %s", _named(destination), targets)
                else:
                    destination.places = _places(targets)

    async def _assemble(
        self, found: Loaded, rows: dict[int, list[Destination]], inherit: Inherit, turns: Turns
    ) -> None:
        for set_id in list(rows):
            made = DestinationSet(set_id)
            for one in by_priority(rows.pop(set_id)):
                await turns.next()
                if not one.places:
                    log.error("%s has no address, it is left out", _named(one))
                    found.discarded += 1
                    continue
                inherit(one)
                made.append(one)
            if made.destinations:
                found.sets[set_id] = made
                self._limit_weights(made)
                found.taken += len(made.destinations)
        for made in reversed(found.sets.values()):
            for one in made.destinations:
                await turns.next()
                for address in {address for _, address, _ in one.places}:
                    found.addresses.setdefault(address, []).append(one)

    def _limit_weights(self, made: DestinationSet) -> None:
        """Among destinations whose weights FreeSWITCH tells, none has a higher one than those can have."""
        most = self.freeswitch_weight
        if most is not None and any(one.event_socket for one in made.destinations):
            for one in made.destinations:
                one.weight = min(one.weight, most)


def _places(targets: Sequence[Target]) -> tuple[Place, ...]:
    return tuple(dict.fromkeys((target.transport, target.address, target.port) for target in targets))


def _named(destination: Destination) -> str:
    return f"destination '{destination.text}' of set {destination.set_id}"


def _state(where: str, number: int) -> State:
    try:
        return State(number)
    except ValueError:
        log.error("%s: there is no state %d, it is taken for active", where, number)
        return State.ACTIVE
