"""Probes: requests that ask gateways whether they are there, and what their answers change.

Source: OpenSIPS manual, module drouting, "Probing and Disabling destinations"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass, field
from typing import Final

from ...services import Services
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...transaction_service import transaction_service
from .gateways import Gateway, State
from .partitions import Partition

log = logging.getLogger("miscript.drouting")

AT_ONCE: Final = 100
"""Probes under way at a time."""

GOOD: Final = 200


def parse_codes(text: str) -> frozenset[int]:
    """The parameter `probing_reply_codes`: statuses, commas between them.  Raises ValueError."""
    codes = []
    for part in (part.strip() for part in text.split(",")):
        if not (part.isascii() and part.isdecimal() and len(part) == 3 and 100 <= int(part) <= 699):
            raise ValueError(f"'{part}' is no status of a reply, expected 100 to 699 with commas between them")
        codes.append(int(part))
    return frozenset(codes)


@dataclass(slots=True)
class Prober:
    """Sends the probes.  A gateway whose last probe is still out is not probed again."""

    services: Services
    method: str
    sender: str
    socket: ListeningSocket | None
    codes: frozenset[int]
    _under_way: set[tuple[str, str]] = field(default_factory=set)
    _room: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(AT_ONCE))

    def probe(self, partition: Partition) -> None:
        """Probe all gateways of a partition whose mode and state ask for it."""
        data = partition.data
        for gateway in list(data.gateways.values()) if data is not None else ():
            key = (partition.name, gateway.id)
            if gateway.to_be_probed and key not in self._under_way:
                self._under_way.add(key)
                self.services.tasks.spawn(self._probe(partition, gateway, key), f"the probe of gateway {gateway.id}")

    async def _probe(self, partition: Partition, gateway: Gateway, key: tuple[str, str]) -> None:
        try:
            async with self._room:
                status = await self._ask(gateway)
        finally:
            self._under_way.discard(key)
        self.answered(partition, gateway, status)

    async def _ask(self, gateway: Gateway) -> int:
        """The status that a probe comes back with; 408 and the like are our own."""
        tm = transaction_service(self.services)
        if tm is None:
            raise LookupError("tm is not loaded")
        uri = f"{gateway.uri.scheme}:{gateway.address}"
        try:
            reply = await tm.request(
                self.method, uri, from_=f"<{self.sender}>", to=f"<{uri}>", socket=gateway.socket or self.socket
            )
        except SipSyntaxError as error:
            log.error("gateway '%s' cannot be probed: %s", gateway.id, error)
            return 0
        return reply.status

    def answered(self, partition: Partition, gateway: Gateway, status: int) -> None:
        """A probe came back.  A gateway that a reload replaced meanwhile is looked for anew."""
        current = partition.data.gateways.get(gateway.id) if partition.data is not None else None
        if current is None or current.uri != gateway.uri or not current.to_be_probed:
            return
        if status == GOOD or status in self.codes:
            partition.set_gateway(current, State.ACTIVE, f"{status} {'OK ' if status == GOOD else ''}probing reply")
        else:
            partition.set_gateway(current, State.INACTIVE, "negative probing reply")
