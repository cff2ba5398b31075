"""Which of our sockets a message is sent from.

The one that the script or a recorded route wants comes first, then, with the global parameter `mhomed`, one at the
address from which the system itself would send to that place, then the one that the message came to, then the first.
All of that among the sockets of the right transport and family of addresses.

Source: OpenSIPS manual, "Core Parameters" (`mhomed`); RFC 3261 section 18.1.1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from ..sip.sockets import ListeningSocket, Target
from .network import Network

log = logging.getLogger("miscript.sip")

MOST_TOLD: Final = 64
"""Addresses without a socket that are told of."""

ALL_ADDRESSES: Final = ("0.0.0.0", "::")


class SendingSockets:
    """Chooses among `sockets`; `by_route` is `mhomed`."""

    def __init__(self, network: Network) -> None:
        self.sockets: Sequence[ListeningSocket] = ()
        self.by_route = False
        self._network = network
        self._told: set[str] = set()

    def choose(
        self, target: Target, forced: ListeningSocket | None = None, came_to: ListeningSocket | None = None
    ) -> ListeningSocket | None:
        """The socket to send to a place from; None when there is none of its transport and family of addresses."""
        if forced is not None and _fits(forced, target):
            return forced
        if came_to is not None and not self.by_route and _fits(came_to, target):
            return came_to
        known = self.sockets if came_to is None else (came_to, *self.sockets)
        usual = [socket for socket in known if _fits(socket, target)]
        if self.by_route and usual:
            return self._routed(target, usual)
        return usual[0] if usual else None

    def _routed(self, target: Target, usual: Sequence[ListeningSocket]) -> ListeningSocket:
        """The one at the address that the system would send from; the first one when there is none."""
        address = self._network.source(target)
        for socket in usual:
            if socket.address == address:
                return socket
        if address is None:
            self._tell(target.address, f"there is no route to {target.address}")
        elif not any(socket.address in ALL_ADDRESSES for socket in usual):
            self._tell(address, f"{target.address} is reached from {address}, where there is no socket")
        return usual[0]

    def _tell(self, about: str, text: str) -> None:
        """Once is enough."""
        if about not in self._told and len(self._told) < MOST_TOLD:
            self._told.add(about)
            log.warning("mhomed: %s", text)


def _fits(socket: ListeningSocket, target: Target) -> bool:
    return socket.transport == target.transport and socket.is_ipv6 == (":" in target.address)
