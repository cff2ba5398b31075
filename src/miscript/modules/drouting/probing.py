"""Probing: gateways are asked whether they are there, as their mode and state ask for it.

Source: OpenSIPS manual, module drouting, "Probing and Disabling destinations"; observed reasons of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import partial
from typing import Final

from ...probing import Heard, Probe, Prober
from ...sip.sockets import ListeningSocket
from .gateways import Gateway, State
from .partitions import Partition

OK: Final = 200
NOT_ANSWERED: Final = "negative probing reply"


@dataclass(frozen=True, slots=True)
class Probing:
    """How gateways are asked; `socket` is for those that have none of their own."""

    prober: Prober
    probe: Probe
    socket: ListeningSocket | None

    def turn(self, partitions: Iterable[Partition]) -> None:
        """Ask all that are to be asked."""
        for partition in partitions:
            for one in () if partition.data is None else partition.data.gateways.values():
                if one.to_be_probed:
                    self._ask(partition, one)

    def _ask(self, partition: Partition, one: Gateway) -> None:
        uri = f"{one.uri.scheme}:{one.address}"
        heard = partial(_heard, partition, one)
        self.prober.ask((partition.name, one.id), uri, self.probe, heard, one.socket or self.socket)


def _heard(partition: Partition, one: Gateway, heard: Heard) -> None:
    """A probe came back.  A gateway that a reload replaced meanwhile is looked for anew."""
    now = None if partition.data is None else partition.data.gateways.get(one.id)
    if now is None or now.uri != one.uri or not now.to_be_probed:
        return
    if heard.is_there:
        partition.set_gateway(now, State.ACTIVE, f"{heard.status} {'OK ' if heard.status == OK else ''}probing reply")
    else:
        partition.set_gateway(now, State.INACTIVE, NOT_ANSWERED)
