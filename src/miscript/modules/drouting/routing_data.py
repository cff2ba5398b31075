"""What a partition routes by: gateways, carriers and rules as they were loaded together.

A reload builds a new one beside the one in force and puts it in its place at once; nobody ever sees one half.

Source: OpenSIPS manual, module drouting, "Routing Rule Processing".
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from .destinations import ID_CHARACTERS, BadList, Listed, parse_destinations
from .gateways import Carrier, Gateway
from .rules import FREED_AT_ONCE, Rule, RuleTable
from .sorting import AS_LISTED, BY_WEIGHT, Sorter, by_weight, usable_order

log = logging.getLogger("miscript.drouting")

MAX_KNOWN_LISTS: Final = 4096
"""Lists of gateways that are kept as they were read."""


@dataclass(frozen=True, slots=True)
class Hop:
    """One gateway to try, and the carrier that it is tried for."""

    gateway: Gateway
    carrier: Carrier | None = None


@dataclass(slots=True, eq=False)
class RoutingData:
    """One loaded state of a partition; gateways and carriers are sorted by their ids."""

    rules: RuleTable = field(default_factory=RuleTable)
    gateways: dict[str, Gateway] = field(default_factory=dict)
    carriers: dict[str, Carrier] = field(default_factory=dict)
    id_characters: str = ID_CHARACTERS
    loaded_at: float = 0.0
    checksum: str = ""
    _lists: dict[str, tuple[Listed, ...]] = field(default_factory=dict)
    _by_address: dict[str, list[Gateway]] = field(default_factory=dict)
    _first_carrier: dict[str, Carrier] = field(default_factory=dict)

    def close(self) -> None:
        """All is loaded: sort it, and make what lookups need."""
        self.gateways = dict(sorted(self.gateways.items()))
        self.carriers = dict(sorted(self.carriers.items()))
        for gateway in self.gateways.values():
            for address in dict.fromkeys(target.address for target in gateway.targets):
                self._by_address.setdefault(address, []).append(gateway)
        for carrier in self.carriers.values():
            for listed in carrier.listed:
                self._first_carrier.setdefault(listed.id, carrier)
        self.rules.close()

    # -- finding ------------------------------------------------------------------------------------------------

    def at(self, address: str) -> Sequence[Gateway]:
        """The gateways that have this address, by id."""
        return self._by_address.get(address, ())

    def carrier_of(self, gateway: Gateway) -> Carrier | None:
        """The first carrier, by id, that has this gateway."""
        return self._first_carrier.get(gateway.id)

    def destinations(self, text: str) -> tuple[Listed, ...]:
        """A list of gateways and carriers.  Raises `BadList`."""
        found = self._lists.get(text)
        if found is None:
            found = parse_destinations(text, self.id_characters)
            if len(self._lists) >= MAX_KNOWN_LISTS:
                self._lists = {}
            self._lists[text] = found
        return found

    def knows(self, listed: Listed) -> bool:
        return listed.id in (self.carriers if listed.is_carrier else self.gateways)

    # -- gateways to try ----------------------------------------------------------------------------------------

    def hops_of_rule(self, rule: Rule, allowed: frozenset[tuple[str, bool]] | None, orders: Orders) -> list[Hop]:
        """What a rule leads to now, in the order to be tried; `allowed` are the ids of a white list, None for all."""
        try:
            listed = [one for one in self.destinations(rule.gwlist) if self.knows(one)]
        except BadList as error:  # cannot be: it has been read when it was loaded
            log.error("rule %d: %s", rule.id, error)
            return []
        if allowed is not None:
            listed = [one for one in listed if (one.id, one.is_carrier) in allowed]
        hops: list[Hop] = []
        for one in orders.ordered(listed, rule.sorting, f"rule {rule.id}"):
            if one.is_carrier:
                hops += self.hops_of_carrier(self.carriers[one.id], orders)
            elif self.gateways[one.id].usable:
                hops.append(Hop(self.gateways[one.id]))
        return hops

    def hops_of_carrier(self, carrier: Carrier, orders: Orders) -> list[Hop]:
        """The gateways of a carrier that can be used now, in the order to be tried."""
        if carrier.off:
            return []
        ordered = orders.ordered(carrier.listed, carrier.sorting, f"carrier {carrier.id}")
        found = [self.gateways[one.id] for one in ordered if one.id in self.gateways]
        hops = [Hop(gateway, carrier) for gateway in found if gateway.usable]
        return hops[:1] if carrier.only_first else hops

    def dismantle(self) -> Iterator[None]:
        """Let go of everything, with a pause after each small step."""
        yield from self.rules.dismantle()
        tables: tuple[dict[str, Any], ...] = (self._by_address, self._first_carrier, self.gateways, self.carriers)
        for table in tables:
            while table:
                for _ in range(min(FREED_AT_ONCE, len(table))):
                    table.popitem()
                yield


@dataclass(frozen=True, slots=True)
class Orders:
    """How lists are put in order: `find` gives the sorter of an algorithm that is not built in, or None."""

    partition: str
    find: Callable[[str], Sorter | None]

    def ordered(self, listed: Sequence[Listed], algorithm: str, what: str) -> Sequence[Listed]:
        """The entries in the order to be tried."""
        if algorithm == AS_LISTED or len(listed) < 2:
            return listed
        if algorithm == BY_WEIGHT:
            return [listed[place] for place in by_weight([one.weight for one in listed])]
        sorter = self.find(algorithm)
        if sorter is None:
            log.warning("%s: nobody sorts by '%s' here, the order of the table is kept", what, algorithm)
            return listed
        ids = [f"{'#' if one.is_carrier else ''}{one.id}" for one in listed]
        return [listed[place] for place in usable_order(sorter(self.partition, what, ids), len(listed))]
