"""Where a message came from: what the transport knows about it."""

from __future__ import annotations

from typing import Final, NamedTuple

from .sockets import ListeningSocket, Target


class Received(NamedTuple):
    """`source` and `destination` are address and port; `socket` is the one of ours that it came to.

    `connection` is the number of the connection that it came over, 0 for datagrams.
    """

    source: tuple[str, int]
    destination: tuple[str, int]
    socket: ListeningSocket | None = None
    connection: int = 0

    @property
    def transport(self) -> str:
        """Its transport in lower case."""
        return "udp" if self.socket is None else self.socket.transport

    def back(self, port: int | None = None) -> Target:
        """Where it came from, as somewhere to send to."""
        return Target(self.transport, self.source[0], self.source[1] if port is None else port)


NOT_RECEIVED: Final = Received(("0.0.0.0", 0), ("0.0.0.0", 0))
"""For messages that nobody received, such as the one of the startup route."""
