"""Probing: destinations are asked, with OPTIONS or another method, whether they are there.

Those out of service for probing are asked until they answer; with `ds_probing_mode` 1, or 1 in the column `probe_mode`,
those in service as well.  Inactive ones are left alone.

Source: OpenSIPS manual, module dispatcher (`ds_ping_*`, `ds_probing_*`, `options_reply_codes`); observed probes of
OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Final

from ...services import Tasks
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...transaction_service import TransactionService
from .destinations import Destination, State
from .partition import Partition

log = logging.getLogger("miscript.dispatcher")

AT_A_TIME: Final = 5000
"""Probes that may wait for their answers; more wait for the next turn."""

OF_ONE: Final = 8
"""Probes of one destination that may wait for their answers: their timeout can be longer than the interval."""

ANSWERED: Final = "200 OK probing reply"
NOT_ANSWERED: Final = "negative probing reply"
"""The reasons that are told of a state."""


@dataclass(frozen=True, slots=True)
class Probe:
    """How destinations are asked.  `sets` are the only ones asked, None for all; `accepted` the statuses that tell
    that one is there; `all_of_them` also those in service."""

    accepted: frozenset[int]
    all_of_them: bool
    sets: frozenset[int] | None
    socket: ListeningSocket | None
    max_forwards: int | None

    def wanted(self, one: Destination) -> bool:
        """Whether a destination is asked."""
        if self.sets is not None and one.set_id not in self.sets:
            return False
        return one.state is State.PROBING or (one.active and (self.all_of_them or one.always_probed))


@dataclass(slots=True)
class Prober:
    """Asks the destinations of partitions, all of them at once, whenever `turn` is called."""

    tm: TransactionService
    tasks: Tasks
    probe: Probe
    partitions: Callable[[], Iterator[Partition]]
    _waiting: Counter[tuple[str, int, str]] = field(default_factory=Counter)

    def turn(self) -> None:
        """Ask everybody who is to be asked."""
        left = AT_A_TIME - self._waiting.total()
        for partition in self.partitions():
            for one in (one for within in partition.sets for one in within.destinations):
                key = (partition.name, one.set_id, one.text)
                if not self.probe.wanted(one) or self._waiting[key] >= OF_ONE:
                    continue
                if left <= 0:
                    log.warning("%d probes wait for their answers; no more are sent in this turn", AT_A_TIME)
                    return
                left -= 1
                self._waiting[key] += 1
                self.tasks.spawn(self._ask(partition, one, key), f"probe of {one.text}")

    async def _ask(self, partition: Partition, one: Destination, key: tuple[str, int, str]) -> None:
        settings, probe = partition.settings, self.probe
        headers = "" if probe.max_forwards is None else f"Max-Forwards: {probe.max_forwards}\r\n"
        try:
            reply = await self.tm.request(
                settings.ping_method,
                one.text,
                from_=f"<{settings.ping_from}>",
                to=f"<{one.text}>",
                headers=headers,
                socket=one.socket or probe.socket,
            )
        except SipSyntaxError as error:
            log.error("'%s' cannot be asked whether it is there: %s", one.text, error)
            return
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]
        now = partition.now(one)
        if now is None or not probe.wanted(now):
            return
        if reply.status in probe.accepted:
            partition.answered(now, ANSWERED)
        else:
            partition.failed(now, NOT_ANSWERED)
