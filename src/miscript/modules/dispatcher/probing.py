"""Probing: destinations are asked, with OPTIONS or another method, whether they are there.

Those out of service for probing are asked until they answer; with `ds_probing_mode` 1, or 1 in the column `probe_mode`,
those in service as well.  Inactive ones are left alone.

Source: OpenSIPS manual, module dispatcher (`ds_ping_*`, `ds_probing_*`, `options_reply_codes`); observed probes of
OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from ...probing import Heard, Probe, Prober
from ...sip.sockets import ListeningSocket
from .destinations import Destination, State
from .partition import Partition

ANSWERED: Final = "200 OK probing reply"
NOT_ANSWERED: Final = "negative probing reply"
"""The reasons that are told of a state."""


@dataclass(frozen=True, slots=True)
class Probing:
    """Who is asked, and how.  `sets` are the only ones, None for all; `everybody` means those in service too.

    `socket` is for destinations that have none of their own.
    """

    prober: Prober
    everybody: bool
    sets: frozenset[int] | None
    socket: ListeningSocket | None
    max_forwards: int | None

    def turn(self, partitions: Iterable[Partition]) -> None:
        """Ask everybody who is to be asked."""
        for partition in partitions:
            probe = Probe(partition.settings.ping_method, partition.settings.ping_from, self.max_forwards)
            for one in (one for within in partition.sets for one in within.destinations if self._wanted(one)):
                key = (partition.name, one.set_id, one.text)
                self.prober.ask(key, one.text, probe, partial(self._heard, partition, one), one.socket or self.socket)

    def _wanted(self, one: Destination) -> bool:
        if self.sets is not None and one.set_id not in self.sets:
            return False
        return one.state is State.PROBING or (one.active and (self.everybody or one.always_probed))

    def _heard(self, partition: Partition, one: Destination, heard: Heard) -> None:
        now = partition.now(one)
        if now is None or not self._wanted(now):
            return
        if heard.is_there:
            partition.answered(now, ANSWERED)
        else:
            partition.failed(now, NOT_ANSWERED)
