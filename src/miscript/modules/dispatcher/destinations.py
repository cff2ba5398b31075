"""Sets of destinations: what the table says of each, its state, and who is in service.

A `Destination` is a row of the table with what becomes of it while the host runs; a `DestinationSet` has those of one
set id, the highest priority first.  Nothing here waits or sends.

Source: OpenSIPS manual, module dispatcher; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from itertools import accumulate
from typing import TypeAlias

from ...sip.sockets import ListeningSocket

Place: TypeAlias = tuple[str, str, int]
"""Transport, address, port."""


class State(IntEnum):
    """Whether a destination is in service, as the column `state` has it."""

    ACTIVE = 0
    INACTIVE = 1
    PROBING = 2
    """Out of service until it answers a probe."""

    @property
    def shown(self) -> str:
        """The state as MI shows it."""
        return self.name.capitalize()


STATE_LETTERS = {
    "a": State.ACTIVE,
    "1": State.ACTIVE,
    "i": State.INACTIVE,
    "0": State.INACTIVE,
    "p": State.PROBING,
    "2": State.PROBING,
}
"""What scripts and MI call the states; the first letter counts, in any case."""


def state_named(text: str) -> State | None:
    """The state that a text begins with, None when it names none."""
    return STATE_LETTERS.get(text[:1].lower())


@dataclass(slots=True, eq=False)
class Destination:
    """One destination of a set, `number` being its place in it.

    `text` is its URI, `places` where that leads to.  `always_probed` is the column `probe_mode`; `event_socket` the URL
    of the FreeSWITCH server that tells its weight.
    `used` counts its turns of the round robin, `failures` what speaks against it in a row, `first_hits` how often it
    was chosen.
    """

    set_id: int
    text: str
    places: tuple[Place, ...] = ()
    socket: ListeningSocket | None = None
    weight: int = 1
    priority: int = 0
    attributes: str = ""
    description: str = ""
    always_probed: bool = False
    event_socket: str = ""
    state: State = State.ACTIVE
    script_attributes: str = ""
    number: int = 0
    used: int = 0
    failures: int = 0
    first_hits: int = 0

    @property
    def active(self) -> bool:
        return self.state is State.ACTIVE

    def is_at(self, address: str, port: int) -> bool:
        """Whether it is at this address; port 0 stands for any."""
        return any(address == own and port in (0, its_port) for _, own, its_port in self.places)


@dataclass(frozen=True, slots=True)
class InService:
    """The destinations of a set that selection is among, and how their weights add up.

    `all` has those out of service too; the sums grow from one to the next, so that a number finds its destination.
    `spare` is the last of the set where it is kept for the end.
    """

    all: Sequence[Destination]
    active: Sequence[Destination]
    all_weights: Sequence[int]
    active_weights: Sequence[int]
    spare: Destination | None = None


@dataclass(slots=True)
class DestinationSet:
    """The destinations of one set id, the highest priority first, numbered from 0.

    `last` is the number of the one chosen last, where the round robin goes on.
    """

    id: int
    destinations: list[Destination] = field(default_factory=list)
    last: int = 0
    _by_text: dict[str, Destination] = field(default_factory=dict)
    _in_service: dict[bool, InService] = field(default_factory=dict)

    def append(self, destination: Destination) -> None:
        """Add one whose priority is not higher than those that are there."""
        destination.number = len(self.destinations)
        self.destinations.append(destination)
        self._by_text.setdefault(destination.text.lower(), destination)

    def find(self, text: str) -> Destination | None:
        """The destination whose URI is written so, in upper or lower case."""
        return self._by_text.get(text.lower())

    def changed(self) -> None:
        """A state has changed."""
        self._in_service.clear()

    def in_service(self, keep_last: bool) -> InService:
        """Who can be chosen.  `keep_last`: the last of the set is left out as long as there are others."""
        found = self._in_service.get(keep_last)
        if found is None:
            found = self._in_service[keep_last] = self._listed(keep_last)
        return found

    def _listed(self, keep_last: bool) -> InService:
        everybody = self.destinations
        spare = None
        if keep_last and any(one.active for one in everybody[:-1]):
            everybody, spare = everybody[:-1], everybody[-1]
        active = [one for one in everybody if one.active]
        return InService(everybody, active, _sums(everybody), _sums(active), spare)


def _sums(destinations: Iterable[Destination]) -> list[int]:
    return list(accumulate(one.weight for one in destinations))


def by_priority(destinations: Iterable[Destination]) -> Iterator[Destination]:
    """The highest priority first, and those of the same in the order that they have."""
    groups: dict[int, list[Destination]] = {}
    for one in destinations:
        groups.setdefault(one.priority, []).append(one)
    return (one for priority in sorted(groups, reverse=True) for one in groups[priority])


def set_of(id: int, destinations: Iterable[Destination]) -> DestinationSet:
    """A set of destinations that come in any order."""
    found = DestinationSet(id)
    for one in by_priority(destinations):
        found.append(one)
    return found
