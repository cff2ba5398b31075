"""A partition: the sets of one table, the states of their destinations, and what is told of both.

A reload makes new sets beside those in force and puts them in their place at once; states that change meanwhile are
carried over.  States that changed are written back to the table from time to time (`persistent_state`).

Source: OpenSIPS manual, module dispatcher; observed events and reports of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Collection, Sequence
from typing import Final

from ...blacklist_service import blacklist_service
from ...database import Database, DatabaseError, Where
from ...errors import MiscriptError
from ...freeswitch_figures import FreeswitchFigures
from ...freeswitch_service import FreeswitchError, Heartbeat
from ...services import Services
from ...sip.sockets import Target
from ...status_report import StatusReport
from ...values import Value
from .destinations import Destination, DestinationSet, State
from .loading import Columns, Loaded, Loader
from .settings import DEFAULT, Avps, Settings, avps_of

log = logging.getLogger("miscript.dispatcher")

EVENT: Final = "E_DISPATCHER_STATUS"
GROUP: Final = "dispatcher"
SWITCHES_KEPT: Final = 200
"""Reports of states that are kept, apart from those of loading."""

Key = tuple[int, str]


class Partition:
    """One partition.  `threshold` failures in a row take a destination out of service."""

    def __init__(
        self,
        services: Services,
        settings: Settings,
        database: Database,
        loader: Loader,
        threshold: int,
        figures: FreeswitchFigures | None = None,
    ) -> None:
        self.name = settings.name
        self.settings = settings
        self.avps: Avps = avps_of(settings)
        self.database = database
        self._services = services
        self._loader = loader
        self._threshold = threshold
        self._figures = figures
        self._loaded = Loaded()
        self._reloading = asyncio.Lock()
        self._changes: dict[Key, State] | None = None
        self._unsaved: dict[Key, State] = {}
        report: StatusReport | None = services.find("status_report")
        self._report = report
        if report is not None:
            report.register(GROUP, f"{self.name};events", status=1, details="", reports=SWITCHES_KEPT).reports.clear()
            report.register(GROUP, self.name, status=-2, details="no data loaded").reports.clear()

    # -- what there is ------------------------------------------------------------------------------------------------

    def set(self, set_id: int) -> DestinationSet | None:
        """The destinations of a set."""
        return self._loaded.sets.get(set_id)

    @property
    def sets(self) -> list[DestinationSet]:
        """All sets, the one that came last in the table first."""
        return list(reversed(self._loaded.sets.values()))

    def at_address(self, address: str) -> Sequence[Destination]:
        """The destinations at an address, those of later sets first."""
        return self._loaded.addresses.get(address, ())

    def push_attributes(self, text: str, address: str, port: int, set_id: int | None) -> None:
        """Note a text with the destinations at an address and port (0 is any), of one set or of all (None, -1)."""
        for destination in self.at_address(address):
            if set_id in (None, -1, destination.set_id) and destination.is_at(address, port):
                destination.script_attributes = text

    # -- loading ------------------------------------------------------------------------------------------------------

    async def load(self, *, inherit: bool = True) -> None:
        """Read the table again.  Raises DatabaseError, and everything stays as it is.

        `inherit`: destinations that were there keep their states.
        """
        async with self._reloading:
            there = bool(self._loaded.sets)
            self._status(2 if there else -1, "reload in progress" if there else "loading", "starting DB data loading")
            self._changes = {}
            try:
                loaded = await self._loader.load(
                    self.database,
                    self.settings.table_name,
                    with_state=self.settings.persistent_state,
                    inherit=self._inherited if inherit else lambda destination: None,
                )
                self._listen_to_servers(loaded)
            except DatabaseError:
                self._status(
                    1 if there else -2,
                    "data available" if there else "no data loaded",
                    "DB data loading failed, discarding",
                )
                raise
            finally:
                changes, self._changes = self._changes, None
            before = self._loaded
            self._put_in_force(loaded, changes if inherit else {})
            if not inherit:
                self._unsaved.clear()
            self._status(1, "data available", "DB data loading successfully completed")
            self._tell(self.name, f"{loaded.taken} destinations loaded ({loaded.discarded} discarded)")
            self._fill_blacklists()
            await before.let_go()

    def _fill_blacklists(self) -> None:
        """The blacklists of this partition hold where its destinations are now."""
        for name, set_ids in self.settings.blacklists:
            blacklist_service(self._services).replace(name, GROUP, self.places(set_ids))

    def _listen_to_servers(self, loaded: Loaded) -> None:
        """Raises DatabaseError for a FreeSWITCH server that cannot be had."""
        if self._figures is None:
            return
        try:
            self._figures.replace(
                one.event_socket for within in loaded.sets.values() for one in within.destinations if one.event_socket
            )
        except FreeswitchError as error:
            raise DatabaseError(f"a weight in table '{self.settings.table_name}': {error}") from error

    def refresh_weights(self, most: int) -> None:
        """Weigh destinations by what their FreeSWITCH servers told last; `most` is the weight of an idle one."""
        if self._figures is None:
            return
        for within in self._loaded.sets.values():
            for one in within.destinations:
                told = self._figures.of(one.event_socket) if one.event_socket else None
                if told is not None:
                    weight = freeswitch_weight(told, most)
                    if weight != one.weight:
                        one.weight = weight
                        within.changed()

    def places(self, set_ids: Collection[int]) -> list[Target]:
        """Where the destinations of some sets are, each place once."""
        found = (one for set_id in sorted(set_ids) for one in self._destinations_of(set_id))
        return [Target(*place) for place in dict.fromkeys(place for one in found for place in one.places)]

    def _destinations_of(self, set_id: int) -> Sequence[Destination]:
        within = self.set(set_id)
        return () if within is None else within.destinations

    def _inherited(self, destination: Destination) -> None:
        within = self._loaded.sets.get(destination.set_id)
        before = None if within is None else within.find(destination.text)
        if before is not None:
            destination.state, destination.failures = before.state, before.failures

    def _put_in_force(self, loaded: Loaded, changes: dict[Key, State]) -> None:
        for (set_id, text), state in changes.items():
            within = loaded.sets.get(set_id)
            destination = None if within is None else within.find(text)
            if within is not None and destination is not None:
                destination.state = state
                within.changed()
        self._loaded = loaded

    # -- states -------------------------------------------------------------------------------------------------------

    def set_state(self, set_id: int, text: str, state: State, reason: str) -> bool:
        """Give a destination another state; False when there is none of that URI in the set.

        For `PROBING` this speaks against it once; when that has happened often enough, it is out of service.
        """
        within = self.set(set_id)
        destination = None if within is None else within.find(text)
        if destination is None:
            return False
        if state is State.PROBING:
            self.failed(destination, reason)
        else:
            self._switch(destination, state, reason)
        return True

    def now(self, destination: Destination) -> Destination | None:
        """The destination that stands in its place now: a reload makes new ones."""
        within = self.set(destination.set_id)
        return None if within is None else within.find(destination.text)

    def failed(self, destination: Destination, reason: str) -> None:
        """Something speaks against a destination."""
        if destination.state is State.PROBING:
            return
        destination.failures += 1
        if destination.failures >= self._threshold:
            self._switch(destination, State.PROBING, reason)

    def answered(self, destination: Destination, reason: str) -> None:
        """A destination is there; one that is being probed is in service again."""
        destination.failures = 0
        if destination.state is State.PROBING:
            self._switch(destination, State.ACTIVE, reason)

    def _switch(self, destination: Destination, state: State, reason: str) -> None:
        destination.failures = 0
        before, destination.state = destination.state, state
        if before is state:
            return
        key = (destination.set_id, destination.text)
        within = self.set(destination.set_id)
        if within is not None:
            within.changed()
        if self._changes is not None:
            self._changes[key] = state
        if self.settings.persistent_state:
            self._unsaved[key] = state
        if State.ACTIVE in (before, state):
            self._tell_switch(destination, "active" if state is State.ACTIVE else "inactive", reason)

    def _tell_switch(self, destination: Destination, status: str, reason: str) -> None:
        self._tell(
            f"{self.name};events",
            f"DESTINATION <{destination.text}>, set {destination.set_id} switched to [{status}] due to {reason}\n",
        )
        attributes: list[tuple[str, Value]] = [
            ("partition", self.name),
            ("group", destination.set_id),
            ("address", destination.text),
            ("status", status),
            ("reason", reason),
        ]
        self._services.events.raise_event(EVENT, attributes)

    async def save(self, columns: Columns) -> None:
        """Write states that changed to the table.  Raises DatabaseError; what could not be written is kept."""
        unsaved, self._unsaved = self._unsaved, {}
        try:
            while unsaved:
                (set_id, text), state = next(iter(unsaved.items()))
                await self.database.update(
                    self.settings.table_name,
                    {columns.state: int(state)},
                    [Where(columns.set_id, set_id), Where(columns.destination, text)],
                )
                del unsaved[set_id, text]
        finally:
            self._unsaved = unsaved | self._unsaved

    async def close(self) -> None:
        """The host stops."""
        if self._figures is not None:
            self._figures.replace(())
        await self.database.close()

    # -- telling ------------------------------------------------------------------------------------------------------

    def _status(self, status: int, details: str, text: str) -> None:
        if self._report is not None:
            self._report.set_status(GROUP, self.name, status, details, text)

    def _tell(self, identifier: str, text: str) -> None:
        if self._report is not None:
            self._report.report(GROUP, identifier, text)


def freeswitch_weight(told: Heartbeat, most: int) -> int:
    """The weight of a FreeSWITCH server: `most` when it is idle, 0 when it is full."""
    free = 1 - told.sessions / told.max_sessions if told.max_sessions > 0 else 0.0
    return min(most, max(0, round(most * told.idle_cpu / 100 * free)))


class UnknownPartition(MiscriptError):
    """There is no partition of that name."""


class Partitions(dict[str, Partition]):
    """All partitions by name, in the order of the script, the default one last."""

    def named(self, name: str | None) -> Partition:
        """A partition; without a name, or with an empty one, the default one.  Raises UnknownPartition."""
        wanted = (name or "").strip() or DEFAULT
        found = self.get(wanted)
        if found is None:
            raise UnknownPartition(f"there is no partition '{wanted}', only {', '.join(map(repr, self))}")
        return found
