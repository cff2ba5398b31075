"""Sockets of SIP: thin shells of asyncio around datagrams and streams.

A shell hands each message with its `Received` to one function and sends bytes; what a message means is decided
elsewhere (`sip_element`).  Every number here that a peer can make grow has a limit: connections, bytes of a message
that has begun and the time it may take, bytes that wait to be sent.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias, cast

from ..services import Clock
from ..sip.framing import PING, PONG, StreamError, StreamFramer
from ..sip.received import Received
from ..sip.sockets import ListeningSocket, Target
from ..tls_service import Noted, Tls, TlsDomain, TlsSession
from .network import Broken, Receive
from .stream_limits import StreamLimits

log = logging.getLogger("miscript.sip")

MAX_WAITING_BYTES: Final = 1024 * 1024
"""Bytes that may wait for a peer that does not read; then its connection is given up."""

CLOSING_SECONDS: Final = 5.0
"""What a peer has to take of what waits for it, once its connection is to end."""

MAX_PEERS: Final = 4096
"""Peers of a datagram socket whose `Received` is kept for their next packet."""

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""What the system is asked to keep of datagrams while we are busy."""

MAX_ALIASES: Final = 12
"""Ports that one connection may stand for beside its own."""


class Datagrams(asyncio.DatagramProtocol):
    """One UDP socket."""

    def __init__(self, socket: ListeningSocket, receive: Receive) -> None:
        self.socket = socket
        self._receive = receive
        self._destination = (socket.address, socket.port)
        self._peers: dict[tuple[str, int], Received] = {}
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        received = self._peers.get(addr)
        if received is None:
            if len(self._peers) >= MAX_PEERS:
                self._peers.clear()
            received = self._peers[addr] = Received((addr[0], addr[1]), self._destination, self.socket)
        self._receive(data, received)

    def error_received(self, exc: Exception) -> None:
        """An ICMP message about something sent before; retransmissions and timers deal with it."""
        log.debug("%s: %s", self.socket, exc)

    def send(self, data: bytes, target: Target) -> bool:
        """Send one datagram; False when the system refuses at once."""
        if self._transport is None or self._transport.is_closing():
            return False
        try:
            self._transport.sendto(data, (target.address, target.port))
        except (OSError, ValueError) as error:
            log.warning("%s: nothing can be sent to %s: %s", self.socket, target, error)
            return False
        return True

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class Connection(asyncio.Protocol):
    """One connection, whoever opened it."""

    domain: TlsDomain | None = None
    """What it was opened with, when it is of TLS."""

    session: TlsSession | None = None
    is_ours = False
    """Whether `domain` was our choice, not the peer's."""

    def __init__(self, streams: Streams, socket: ListeningSocket) -> None:
        self.socket = socket
        self.number = 0
        self.peer = ("", 0)
        self.local = ("", 0)
        self.last_message = 0.0
        self.kept_until = 0.0
        self.aliases: set[Target] = set()
        self.began: float | None = None
        self._closing_since: float | None = None
        self._pieces = 0
        self._streams = streams
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.peer, self.local = (peer[0], peer[1]), (local[0], local[1])
        self._streams.limits.keepalive.ask(transport.get_extra_info("socket"))
        self._streams.opened(self)
        self._settled()

    def _settled(self) -> None:
        """It can be used."""
        self._streams.settled(self)

    async def usable(self) -> bool:
        """Wait until it can be used; False when that fails."""
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._streams.lost(self)

    def data_received(self, data: bytes) -> None:
        try:
            while found := self._framer.feed(data):
                data = b""
                for framed in found:
                    self._take(framed)
        except StreamError as error:
            log.info("%s:%d: %s", *self.peer, error)
            self._streams.broken(error.head, self._received())
            self.close()
            return
        if not self._framer.unfinished:
            self.began = None
        elif self.began is None:
            self.began = self._streams.clock.monotonic()
        self._count_pieces()

    def _count_pieces(self) -> None:
        """A message in very many pieces costs more than it is worth, where the script says so."""
        limit = self._most_pieces
        self._pieces = 0 if self.began is None else self._pieces + 1
        if limit and self._pieces >= limit:
            log.info("%s:%d sends a message in more than %d pieces", *self.peer, limit)
            self.abort()

    @property
    def _most_pieces(self) -> int:
        return self._streams.limits.tcp.pieces

    def _take(self, framed: object) -> None:
        self.last_message = self._streams.clock.monotonic()
        self.began = None
        if framed is PING:
            self._pong()
        elif isinstance(framed, bytes):
            self._streams.receive(framed, self._received())

    def _pong(self) -> None:
        if self._answers_pings:
            self.send(PONG)

    @property
    def _answers_pings(self) -> bool:
        return self._streams.limits.tcp.answers_pings

    def _received(self) -> Received:
        return Received(self.peer, self.local, self.socket, self.number)

    def send(self, data: bytes) -> bool:
        """Hand bytes to the system; False when the connection is gone or the peer reads too slowly."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > MAX_WAITING_BYTES:
            log.warning("%s:%d does not read; its connection is given up", *self.peer)
            transport.abort()
            return False
        transport.write(data)
        self.last_message = self._streams.clock.monotonic()
        return True

    def close(self) -> None:
        """Send what is waiting, then end the connection; a peer that takes nothing of it does not keep it."""
        if self._transport is not None:
            self._transport.close()
            self._closing_since = self._closing_since or self._streams.clock.monotonic()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    @property
    def target(self) -> Target:
        """Where its peer is; what goes over TLS never goes over TCP, though the place be the same."""
        return Target(self.socket.transport, *self.peer)

    def overdue(self, now: float) -> str | None:
        """Why it has to end at once, None when it may go on."""
        if self.began is not None and now - self.began > self._streams.limits.message:
            return "sends a message too slowly"
        if self._closing_since is not None and now - self._closing_since > CLOSING_SECONDS:
            return "does not take what is left for it"
        return None

    def listed(self, now: float) -> dict[str, object]:
        """The connection as MI shows it."""
        left = max(self._streams.limits.idle - (now - self.last_message), self.kept_until - now)
        return {
            "ID": self.number,
            "Type": self.socket.transport,
            "State": 0,
            "Remote": f"{self.peer[0]}:{self.peer[1]}",
            "Local": f"{self.local[0]}:{self.local[1]}",
            "Lifetime": time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(self._streams.clock.time() + left)),
            "Alias port": self.peer[1],
        }


ConnectionMaker: TypeAlias = "Callable[[Streams, ListeningSocket, TlsDomain | None], Connection]"


class Streams:
    """All connections of a host, TCP and TLS, and the sockets that take new ones; what `StreamSockets` promises."""

    def __init__(
        self,
        clock: Clock,
        receive: Receive,
        broken: Broken,
        limits: StreamLimits,
        connection: ConnectionMaker,
        tls: Tls | None = None,
    ) -> None:
        self.clock = clock
        self.receive = receive
        self.broken = broken
        self.limits = limits
        self._made = connection
        self._tls = tls
        self.refused = 0
        self._servers: list[asyncio.Server] = []
        self._numbers = 0
        self._by_number: dict[int, Connection] = {}
        self._by_peer: dict[Target, Connection] = {}
        self._connecting: dict[tuple[Target, TlsDomain | None], asyncio.Task[Connection | None]] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    async def listen(self, socket: ListeningSocket, backlog: int) -> None:
        """Take connections at `socket`.  Raises OSError."""
        loop = asyncio.get_running_loop()
        self._servers.append(
            await loop.create_server(
                lambda: self._made(self, socket, None),
                socket.address,
                socket.port,
                reuse_address=True,
                backlog=backlog,
            )
        )

    async def connect(self, target: Target, socket: ListeningSocket, noted: Noted = ()) -> bool:
        """See to it that there is a connection to `target`; many who ask at a time share one attempt."""
        connection = self._by_peer.get(target)
        same_domain = self._tls is not None and self._tls.behaviour.same_domain
        if connection is not None and not (same_domain and connection.is_ours):
            return True
        domain = None
        if target.transport == "tls":
            domain = None if self._tls is None else self._tls.domains.for_client(target[1:], noted)
            if domain is None:
                log.warning("no client domain of TLS matches %s; no connection is opened", target)
                return False
        if connection is not None and connection.domain is domain:
            return True
        attempt = self._connecting.get((target, domain))
        if attempt is None:
            attempt = asyncio.ensure_future(self._open(target, socket, domain))
            self._connecting[target, domain] = attempt
            attempt.add_done_callback(lambda done: self._connecting.pop((target, domain), None))
        return await asyncio.shield(attempt) is not None

    async def _open(self, target: Target, socket: ListeningSocket, domain: TlsDomain | None) -> Connection | None:
        if len(self) >= self.limits.connections:
            log.warning("there are %d connections; none is opened to %s", len(self), target)
            return None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.connect):
                _, connection = await loop.create_connection(
                    lambda: self._made(self, socket, domain),
                    target.address,
                    target.port,
                    local_addr=_from_socket(socket),
                )
        except (OSError, TimeoutError) as error:
            log.info("no connection to %s: %s", target, error or "it takes too long")
            return None
        return connection if await connection.usable() else None

    def opened(self, connection: Connection) -> None:
        if len(self) >= self.limits.connections:
            self.refused += 1
            connection.abort()
            return
        self._numbers += 1
        connection.number = self._numbers
        connection.last_message = self.clock.monotonic()
        self._by_number[connection.number] = connection

    def settled(self, connection: Connection) -> None:
        if connection.number:
            self._by_peer[connection.target] = connection

    def lost(self, connection: Connection) -> None:
        self._by_number.pop(connection.number, None)
        for target in (connection.target, *connection.aliases):
            if self._by_peer.get(target) is connection:
                del self._by_peer[target]

    def present(self, target: Target) -> bool:
        return target in self._by_peer

    def alias(self, number: int, port: int) -> bool:
        connection = self._by_number.get(number)
        if connection is None:
            return False
        target = connection.target._replace(port=port)
        there = self._by_peer.get(target)
        if there is None and len(connection.aliases) < MAX_ALIASES:
            self._by_peer[target] = connection
            connection.aliases.add(target)
            return True
        if there is not connection:
            log.warning("%s:%d wants to stand for port %d, which it may not", *connection.peer, port)
        return there is connection

    def keep(self, number: int, seconds: float) -> None:
        connection = self._by_number.get(number)
        if connection is not None:
            connection.kept_until = self.clock.monotonic() + seconds

    def peer(self, number: int) -> tuple[str, int] | None:
        connection = self._by_number.get(number)
        return None if connection is None else connection.peer

    def session(self, number: int) -> TlsSession | None:
        """The TLS session of connection `number`; None when it is gone or has none."""
        connection = self._by_number.get(number)
        return None if connection is None else connection.session

    def send(self, data: bytes, target: Target, number: int = 0) -> bool:
        """Send over connection `number`, or over the one to `target`; False when neither is there."""
        connection = self._connection(target, number)
        return connection is not None and connection.send(data)

    def ends(self, target: Target, number: int = 0) -> tuple[tuple[str, int], tuple[str, int]] | None:
        connection = self._connection(target, number) if target.reliable else None
        return None if connection is None else (connection.local, connection.peer)

    def _connection(self, target: Target, number: int) -> Connection | None:
        return self._by_number.get(number) or self._by_peer.get(target)

    def sweep(self) -> None:
        """End connections that are idle or whose message takes too long; to be called every second."""
        now = self.clock.monotonic()
        for connection in list(self._by_number.values()):
            problem = connection.overdue(now)
            if problem is not None:
                log.info("%s:%d %s", *connection.peer, problem)
                connection.abort()
            elif now - connection.last_message > self.limits.idle and now > connection.kept_until:
                connection.close()

    async def shut(self) -> None:
        """End everything."""
        for attempt in list(self._connecting.values()):
            attempt.cancel()
        for server in self._servers:
            server.close()
        for connection in list(self._by_number.values()):
            connection.close()
        self._servers.clear()

    # -- what `tcp:list` and `tcp:close` ask ------------------------------------------------------------------

    def listed(self, protocol: str | None) -> Sequence[dict[str, object]]:
        """The connections as MI shows them."""
        now = self.clock.monotonic()
        return [
            connection.listed(now)
            for connection in self._by_number.values()
            if protocol in (None, connection.socket.transport)
        ]

    def close(self, host: str, port: int, protocol: str | None = None) -> bool:
        """Close the connections with a peer, of one or of all protocols; False when there is none."""
        found = [
            connection
            for connection in self._by_number.values()
            if connection.peer == (host, port) and protocol in (None, connection.socket.transport)
        ]
        for connection in found:
            connection.close()
        return bool(found)

    def close_number(self, number: int) -> bool:
        """Close connection `number`; False when there is none."""
        connection = self._by_number.get(number)
        if connection is not None:
            connection.close()
        return connection is not None


def _from_socket(socket: ListeningSocket) -> tuple[str, int] | None:
    """The local end of a new connection: the socket's address, unless it has all of them."""
    return None if socket.address in ("0.0.0.0", "::") else (socket.address, 0)
