"""The destinations in force, their loads, and the calls that use them.

A call's *session* says what it wants, where it is, and where it has been; it lives with the dialog, and so does all
that the call counts for: when the dialog ends, its loads are gone.

Source: OpenSIPS manual, module load_balancer; observed behaviour of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...blacklist_service import blacklist_service
from ...database import Database, DatabaseError
from ...freeswitch_figures import FreeswitchFigures
from ...freeswitch_service import FreeswitchError
from ...services import Services
from ...sip.dialogs import Dialog, DialogState
from ...sip.sockets import Target
from .destinations import Destination, Loads, Wishes, candidates, most_room, told_capacity
from .loading import Resolve, load

EVENT: Final = "E_LOAD_BALANCER_STATUS"
KEY: Final = "load_balancer"
"""Our name, in the data of a dialog too."""

FOUND, INTERNAL, NO_ROOM, NO_DESTINATION, NO_RESOURCE = 1, -1, -2, -3, -4


@dataclass(slots=True)
class Session:
    """What a call wants, the destinations it has tried, and the one that it is at now."""

    group: int
    resources: tuple[str, ...]
    wishes: Wishes
    tried: list[int] = field(default_factory=list)
    current: int | None = None


@dataclass(slots=True)
class Call:
    """What a dialog keeps: its session, and what else it was counted for (`lb_count_call`)."""

    session: Session | None = None
    counted: list[tuple[int, tuple[str, ...]]] = field(default_factory=list)

    @property
    def used(self) -> list[tuple[int, tuple[str, ...]]]:
        """Destinations with the resources that the call has there, once for each time it counts."""
        session = self.session
        if session is None or session.current is None:
            return self.counted
        return [(session.current, session.resources), *self.counted]


class Balancer:
    """One table of destinations and all calls that are on them."""

    def __init__(
        self,
        services: Services,
        database: Database,
        table: str,
        resolve: Resolve,
        *,
        figures: FreeswitchFigures | None = None,
        first_capacity: int = 0,
        blacklists: Sequence[tuple[str, frozenset[int]]] = (),
        pick: Callable[[int], int] = secrets.randbelow,
    ) -> None:
        self.loads = Loads()
        self.database = database
        self._services = services
        self._table = table
        self._resolve = resolve
        self._figures = figures
        self._first_capacity = first_capacity
        self._blacklists = blacklists
        self._pick = pick
        self._destinations: dict[int, Destination] = {}
        self._resources: set[str] = set()
        self._reloading = asyncio.Lock()

    def __iter__(self) -> Iterator[Destination]:
        return iter(self._destinations.values())

    def find(self, id: int) -> Destination | None:
        """The destination with this id."""
        return self._destinations.get(id)

    def knows(self, resources: Iterable[str]) -> bool:
        """Whether each of these resources is that of some destination."""
        return all(resource in self._resources for resource in resources)

    async def reload(self) -> None:
        """Read the table; status and loads stay.  Raises DatabaseError, and everything stays as it was."""
        async with self._reloading:
            first = None if self._figures is None else self._first_capacity
            found = await load(self.database, self._table, self._resolve, first)
            self._listen_to_servers(found.values())
            for one in found.values():
                before = self._destinations.get(one.id)
                if before is not None:
                    one.enabled, one.enables_itself = before.enabled, before.enables_itself
            self._destinations = found
            self._resources = {resource for one in found.values() for resource in one.capacities}
            self._fill_blacklists()
            self.refresh_capacities()

    def _listen_to_servers(self, destinations: Iterable[Destination]) -> None:
        """Raises DatabaseError for a FreeSWITCH server that cannot be had."""
        if self._figures is not None:
            try:
                self._figures.replace(url for one in destinations for url in one.event_sockets.values())
            except FreeswitchError as error:
                raise DatabaseError(f"a resource in table '{self._table}': {error}") from error

    def refresh_capacities(self) -> None:
        """Give resources the capacities that their FreeSWITCH servers told last."""
        if self._figures is None:
            return
        for one in self:
            for resource, url in one.event_sockets.items():
                told = self._figures.of(url)
                if told is not None:
                    one.capacities[resource] = told_capacity(told, self.loads.of(one.id, resource))

    def _fill_blacklists(self) -> None:
        """The blacklists hold where the destinations of their groups are now."""
        for name, groups in self._blacklists:
            places = dict.fromkeys(place for one in self if one.group in groups for place in one.places)
            blacklist_service(self._services).replace(name, KEY, [Target(*place) for place in places])

    async def close(self) -> None:
        """The host stops."""
        if self._figures is not None:
            self._figures.replace(())
        await self.database.close()

    # -- status -------------------------------------------------------------------------------------------------------

    def set_enabled(self, one: Destination, enabled: bool) -> None:
        """Take a destination in or out of service; whoever listens is told when that is new."""
        if one.enabled is not enabled:
            one.enabled = enabled
            status = "enabled" if enabled else "disabled"
            self._services.events.raise_event(EVENT, [("group", one.group), ("uri", one.uri), ("status", status)])

    # -- calls --------------------------------------------------------------------------------------------------------

    def call(self, dialog: Dialog) -> Call:
        """What a dialog keeps."""
        found = dialog.data.setdefault(KEY, Call())
        assert isinstance(found, Call)
        return found

    def begin(self, call: Call, session: Session) -> tuple[int, Destination | None]:
        """Start a session, in place of one that there was; the return code, and the destination."""
        if not self.knows(session.resources):
            return NO_RESOURCE, None
        self.end(call)
        call.session = session
        code, found = self.go_on(call)
        if found is None:
            call.session = None
        return code, found

    def go_on(self, call: Call) -> tuple[int, Destination | None]:
        """The next destination of a session; the return code, and the destination."""
        session = call.session
        if session is None:
            return INTERNAL, None
        self._leave(session)
        among = candidates(self, session.group, session.resources, session.tried)
        if not among:
            return NO_DESTINATION, None
        found = most_room(among, session.resources, self.loads, session.wishes, self._pick)
        if found is None:
            return NO_ROOM, None
        self.loads.add(found.id, session.resources)
        session.current = found.id
        session.tried.append(found.id)
        return FOUND, found

    def end(self, call: Call) -> None:
        """End a session, where there is one."""
        if call.session is not None:
            self._leave(call.session)
            call.session = None

    def _leave(self, session: Session) -> None:
        if session.current is not None:
            self.loads.remove(session.current, session.resources)
            session.current = None

    def count(self, call: Call, one: Destination, resources: tuple[str, ...]) -> None:
        """Count a call for a destination that was not chosen here."""
        own = tuple(resource for resource in resources if resource in one.capacities)
        self.loads.add(one.id, own)
        call.counted.append((one.id, own))

    def uncount(self, call: Call, one: Destination, resources: tuple[str, ...]) -> None:
        """Undo that, for each resource as far as it was counted."""
        for resource in resources:
            for number, (id, counted) in enumerate(call.counted):
                if id == one.id and resource in counted:
                    call.counted[number] = (id, tuple(each for each in counted if each != resource))
                    self.loads.remove(id, (resource,))
                    break
        call.counted[:] = [entry for entry in call.counted if entry[1]]

    def follow(self, dialog: Dialog, before: DialogState) -> None:
        """A dialog is in another state; with its end its loads are gone."""
        call = dialog.data.get(KEY)
        if dialog.state is DialogState.DELETED and isinstance(call, Call):
            self.end(call)
            for id, resources in call.counted:
                self.loads.remove(id, resources)
            call.counted.clear()
