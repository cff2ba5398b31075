"""What SIP asks of a network: sockets, connections and names.

The host gets its network from whoever makes it: that of the system (`sip_network`), or one of nothing but memory
(`miscript.testing`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeAlias

from ..services import Clock
from ..sip.locating import Lookup
from ..sip.received import Received
from ..sip.sockets import ListeningSocket, Target
from ..tls_service import Noted, Tls
from .stream_limits import StreamLimits

Receive: TypeAlias = Callable[[bytes, Received], None]
Broken: TypeAlias = Callable[[bytes, Received], None]


class DatagramSocket(Protocol):
    """A socket that is open."""

    def send(self, data: bytes, target: Target) -> bool:
        """Send one datagram; False when that is refused at once."""

    def close(self) -> None: ...


class StreamSockets(Protocol):
    """All connections of a host."""

    async def listen(self, socket: ListeningSocket, backlog: int) -> None:
        """Take connections at `socket`.  Raises OSError."""

    async def connect(self, target: Target, socket: ListeningSocket, noted: Noted = ()) -> bool:
        """See to it that there is a connection to `target`; `noted` AVPs may choose its TLS domain."""

    def send(self, data: bytes, target: Target, number: int = 0) -> bool:
        """Send over connection `number`, or over the one to `target`; False when neither is there."""

    def present(self, target: Target) -> bool:
        """Whether there is a connection to `target`."""

    def alias(self, number: int, port: int) -> bool:
        """Let connection `number` be the one to `port` of its peer, too (RFC 5923).

        False when it is gone, or when there is another connection to that place: nobody takes over what is not his.
        """

    def keep(self, number: int, seconds: float) -> None:
        """Do not end connection `number` for being silent within these seconds."""

    def peer(self, number: int) -> tuple[str, int] | None:
        """Address and port of the peer of connection `number`; None when it is gone."""

    def ends(self, target: Target, number: int = 0) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """Both ends, ours first, of the connection that `send` takes; None when there is none, as for datagrams."""

    def sweep(self) -> None:
        """End connections that are of no use; called every second."""

    async def shut(self) -> None:
        """End everything."""


class Network(Protocol):
    """What sockets are made of: the system's (`SystemNetwork`), or nothing but memory (`miscript.testing`)."""

    async def addressed(self, socket: ListeningSocket) -> Sequence[ListeningSocket]:
        """The socket with an address in place of a name; one for each address of a network interface.

        Raises ConfigurationError.
        """

    async def datagrams(self, socket: ListeningSocket, receive: Receive) -> DatagramSocket:
        """Open a UDP socket.  Raises OSError."""

    def streams(
        self, clock: Clock, receive: Receive, broken: Broken, limits: StreamLimits, tls: Tls | None = None
    ) -> StreamSockets:
        """All connections of a host; without `tls` it has none of TLS."""

    def source(self, target: Target) -> str | None:
        """The address that is sent from to a place where nothing else is wanted; None without a route to it."""

    async def resolve(self, host: str) -> Sequence[str]:
        """The addresses of a name; empty when it has none."""

    def lookup(self, timeout: float) -> Lookup:
        """Who knows NAPTR, SRV and addresses; an answer takes at most `timeout` seconds."""
