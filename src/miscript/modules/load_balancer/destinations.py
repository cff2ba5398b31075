"""Destinations with their resources: what each can take, what it has, and which one has most room.

Nothing here waits or sends.

Source: OpenSIPS manual, module load_balancer; observed choices of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from fractions import Fraction
from typing import Final, TypeAlias

from ...freeswitch_figures import SCHEME
from ...freeswitch_service import Heartbeat

log = logging.getLogger("miscript.load_balancer")

Place: TypeAlias = tuple[str, str, int]
"""Transport, address, port."""

Room: TypeAlias = int | Fraction

MAX_RESOURCES: Final = 64
"""Resources of one destination or one call."""

MAX_CAPACITY: Final = 2**31 - 1
ALL_GROUPS: Final = -1


class ProbeMode(IntEnum):
    """When a destination is asked whether it is there, as the column `probe_mode` has it."""

    NEVER = 0
    DISABLED = 1
    ALWAYS = 2


@dataclass(slots=True, eq=False)
class Destination:
    """A row of the table with its status.

    `capacities` are resource → how many calls; `event_sockets` are resource → the URL of the FreeSWITCH server that
    tells its capacity.  `enables_itself`: it may be probed back into service; a command that disables it takes that
    away.
    """

    id: int
    group: int
    uri: str
    capacities: dict[str, int]
    places: tuple[Place, ...] = ()
    probe_mode: ProbeMode = ProbeMode.NEVER
    attributes: str = ""
    description: str = ""
    enabled: bool = True
    enables_itself: bool = True
    event_sockets: dict[str, str] = field(default_factory=dict)

    def is_at(self, address: str, port: int) -> bool:
        """Whether it is at this address; port 0 stands for any."""
        return any(address == own and port in (0, its_port) for _, own, its_port in self.places)

    def in_group(self, group: int) -> bool:
        return group in (ALL_GROUPS, self.group)


@dataclass(slots=True)
class Loads:
    """How many calls use which resource of which destination: they stay when the table is read again."""

    _counts: Counter[tuple[int, str]] = field(default_factory=Counter)

    def of(self, id: int, resource: str) -> int:
        return self._counts[id, resource]

    def add(self, id: int, resources: Iterable[str]) -> None:
        """One more call."""
        for resource in resources:
            self._counts[id, resource] += 1

    def remove(self, id: int, resources: Iterable[str]) -> None:
        """One call less."""
        for resource in resources:
            self._counts[id, resource] -= 1
            if self._counts[id, resource] <= 0:
                del self._counts[id, resource]


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the flags of a selection ask for.

    `exceeding` (n): also destinations without room; `relative` (r): by the share that is free, not by its amount;
    `by_chance` (s): any of the best, not the first of them.
    """

    exceeding: bool = False
    relative: bool = False
    by_chance: bool = False

    @classmethod
    def parse(cls, text: str) -> Wishes:
        """Read flags; letters that are none mean nothing, as on the server, which is said in the log."""
        letters = set(text.replace(" ", ""))
        if letters - set("nrs"):
            log.warning("the flags '%s' have more than the letters n, r and s", text)
        return cls("n" in letters, "r" in letters, "s" in letters)


def parse_resources(text: str) -> tuple[str, ...]:
    """The names in `pstn;vm`, each once.  Raises ValueError when there is none."""
    parts = [part.strip() for part in text.removesuffix(";").split(";")]
    if not all(parts) or len(parts) > MAX_RESOURCES:
        raise ValueError(f"'{text}' names no resources, expected up to {MAX_RESOURCES} names with ';' between")
    return tuple(dict.fromkeys(parts))


@dataclass(frozen=True, slots=True)
class Capacities:
    """Resource → how many calls; `event_sockets`: resource → who tells it."""

    numbers: dict[str, int]
    event_sockets: dict[str, str]


def parse_capacities(text: str, freeswitch: int | None = None) -> Capacities:
    """Read `pstn=3;vm=5`.  Raises ValueError.

    `freeswitch` is what resources have at first that FreeSWITCH servers tell (`vm=fs://:password@host`); None when no
    server is to be asked.
    """
    numbers: dict[str, int] = {}
    event_sockets: dict[str, str] = {}
    for part in filter(None, (part.strip() for part in text.split(";"))):
        name, sign, value = (each.strip() for each in part.partition("="))
        if name and freeswitch is not None and value.startswith(SCHEME):
            numbers[name], event_sockets[name] = freeswitch, value
            continue
        if not name or not sign or not (value.isascii() and value.isdecimal()) or int(value) > MAX_CAPACITY:
            raise ValueError(f"'{name}' is no resource with its number, expected name=number")
        numbers[name] = int(value)
        event_sockets.pop(name, None)
    if not 0 < len(numbers) <= MAX_RESOURCES:
        raise ValueError(f"'{text}' names no resources, expected up to {MAX_RESOURCES} times name=number")
    return Capacities(numbers, event_sockets)


def told_capacity(told: Heartbeat, load: int) -> int:
    """How many calls a FreeSWITCH server can take that has `load` of ours: what is free of its sessions, and of ours.

    The busier its processor, the less.
    """
    return max(0, round(told.idle_cpu / 100 * (told.max_sessions - (told.sessions - load))))


# -- choosing -------------------------------------------------------------------------------------------------------


def candidates(
    destinations: Iterable[Destination], group: int, resources: Collection[str], tried: Collection[int]
) -> list[Destination]:
    """Those of a group in service that have all resources, without those that were tried."""
    return [
        one
        for one in destinations
        if one.group == group and one.enabled and one.id not in tried and all(r in one.capacities for r in resources)
    ]


def room(one: Destination, resources: Iterable[str], loads: Loads, relative: bool) -> Room:
    """How much a destination can still take of the resource that it has least of: calls, or a share of them."""
    return min(_left(one.capacities[resource], loads.of(one.id, resource), relative) for resource in resources)


def _left(capacity: int, load: int, relative: bool) -> Room:
    if not relative:
        return capacity - load
    return Fraction(capacity - load, capacity) if capacity else Fraction(-load)


def most_room(
    among: Sequence[Destination], resources: Collection[str], loads: Loads, wishes: Wishes, pick: Callable[[int], int]
) -> Destination | None:
    """The one with most room, of several the first or, where that is wished, any; None when there is no room.

    `pick(n)` is a number from 0 to n - 1.
    """
    rooms = [room(one, resources, loads, wishes.relative) for one in among]
    best = max(rooms, default=0)
    if not rooms or (best <= 0 and not wishes.exceeding):
        return None
    equal = [one for one, its in zip(among, rooms, strict=True) if its == best]
    return equal[pick(len(equal))] if wishes.by_chance else equal[0]
