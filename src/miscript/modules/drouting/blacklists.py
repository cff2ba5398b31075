"""Blacklists of gateways: `define_blacklist` names one and the types of the gateways whose addresses it holds.

Source: OpenSIPS manual, module drouting, "define_blacklist"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...sip.sockets import Target
from .partitions import DEFAULT
from .routing_data import RoutingData

_DEFINITION = re.compile(r"\s*(?:([^:=]+):)?\s*([^:=\s]+)\s*=\s*(-?\d+(?:\s*,\s*-?\d+)*)\s*", re.ASCII)


@dataclass(frozen=True, slots=True)
class GatewayBlacklist:
    """One list: the gateways of some types of a partition."""

    partition: str
    name: str
    types: frozenset[int]

    @classmethod
    def parse(cls, text: str) -> GatewayBlacklist:
        """Read `[PARTITION:]NAME=TYPE,TYPE`.  Raises ValueError."""
        found = _DEFINITION.fullmatch(text)
        if found is None:
            raise ValueError(f"'{text}' is no blacklist, expected [PARTITION:]NAME=TYPE,TYPE")
        types = frozenset(int(number) for number in found[3].split(","))
        return cls((found[1] or DEFAULT).strip(), found[2], types)

    def targets(self, data: RoutingData) -> list[Target]:
        """The addresses of its gateways, each once."""
        wanted = (gateway for gateway in data.gateways.values() if gateway.type in self.types)
        return list(dict.fromkeys(target for gateway in wanted for target in gateway.targets))
