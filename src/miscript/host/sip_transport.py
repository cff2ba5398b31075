"""Sockets of SIP: thin shells of asyncio around datagrams and streams.

A shell hands each message with its `Received` to one function and sends bytes; what a message means is decided
elsewhere (`sip_element`).  Every number here that a peer can make grow has a limit: connections, bytes of a message
that has begun and the time it may take, bytes that wait to be sent.
"""

from __future__ import annotations

import asyncio
import logging
import socket as system_sockets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final, Protocol, TypeAlias, cast

from ..errors import ConfigurationError
from ..services import Clock
from ..sip.framing import PING, PONG, StreamError, StreamFramer
from ..sip.locating import Lookup
from ..sip.received import Received
from ..sip.sockets import ListeningSocket, Target, ip_address
from .dns import DnsLookup

log = logging.getLogger("miscript.sip")

Receive: TypeAlias = Callable[[bytes, Received], None]
Broken: TypeAlias = Callable[[bytes, Received], None]

MAX_WAITING_BYTES: Final = 1024 * 1024
"""Bytes that may wait for a peer that does not read; then its connection is given up."""

MAX_PEERS: Final = 4096
"""Peers of a datagram socket whose `Received` is kept for their next packet."""

RECEIVE_BUFFER: Final = 4 * 1024 * 1024
"""What the system is asked to keep of datagrams while we are busy."""


@dataclass(frozen=True, slots=True)
class StreamLimits:
    """Connections at a time, and seconds: for connecting, without any message, for one message that has begun."""

    connections: int = 2048
    connect: float = 5.0
    idle: float = 120.0
    message: float = 4.0


class DatagramSocket(Protocol):
    """A socket that is open."""

    def send(self, data: bytes, target: Target) -> bool:
        """Send one datagram; False when that is refused at once."""

    def close(self) -> None: ...


class StreamSockets(Protocol):
    """All connections of a host."""

    async def listen(self, socket: ListeningSocket, backlog: int) -> None:
        """Take connections at `socket`.  Raises OSError."""

    async def connect(self, target: Target, socket: ListeningSocket) -> bool:
        """See to it that there is a connection to `target`."""

    def send(self, data: bytes, target: Target, number: int = 0) -> bool:
        """Send over connection `number`, or over the one to `target`; False when neither is there."""

    def ends(self, target: Target, number: int = 0) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """Both ends, ours first, of the connection that `send` takes; None when there is none, as for datagrams."""

    def sweep(self) -> None:
        """End connections that are of no use; called every second."""

    async def shut(self) -> None:
        """End everything."""


class Network(Protocol):
    """What sockets are made of: the system's (`SystemNetwork`), or nothing but memory (`miscript.testing`)."""

    async def address(self, socket: ListeningSocket) -> ListeningSocket:
        """The socket with an address in place of a name.  Raises ConfigurationError."""

    async def datagrams(self, socket: ListeningSocket, receive: Receive) -> DatagramSocket:
        """Open a UDP socket.  Raises OSError."""

    def streams(self, clock: Clock, receive: Receive, broken: Broken, limits: StreamLimits) -> StreamSockets:
        """All connections of a host."""

    async def resolve(self, host: str) -> Sequence[str]:
        """The addresses of a name; empty when it has none."""

    def lookup(self, timeout: float) -> Lookup:
        """Who knows NAPTR, SRV and addresses; an answer takes at most `timeout` seconds."""


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

    def __init__(self, streams: Streams, socket: ListeningSocket) -> None:
        self.socket = socket
        self.number = 0
        self.peer = ("", 0)
        self.local = ("", 0)
        self.last_message = 0.0
        self.began: float | None = None
        self._streams = streams
        self._framer = StreamFramer()
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer, local = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self.peer, self.local = (peer[0], peer[1]), (local[0], local[1])
        self._streams.opened(self)

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

    def _take(self, framed: object) -> None:
        self.last_message = self._streams.clock.monotonic()
        self.began = None
        if framed is PING:
            self.send(PONG)
        elif isinstance(framed, bytes):
            self._streams.receive(framed, self._received())

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
        """Send what is waiting, then end the connection."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """End the connection at once."""
        if self._transport is not None:
            self._transport.abort()


class Streams:
    """All TCP connections of a host, and the sockets that take new ones."""

    def __init__(self, clock: Clock, receive: Receive, broken: Broken, limits: StreamLimits) -> None:
        self.clock = clock
        self.receive = receive
        self.broken = broken
        self.limits = limits
        self.refused = 0
        self._servers: list[asyncio.Server] = []
        self._numbers = 0
        self._by_number: dict[int, Connection] = {}
        self._by_peer: dict[tuple[str, int], Connection] = {}
        self._connecting: dict[tuple[str, int], asyncio.Task[Connection | None]] = {}

    def __len__(self) -> int:
        return len(self._by_number)

    async def listen(self, socket: ListeningSocket, backlog: int) -> None:
        """Take connections at `socket`.  Raises OSError."""
        loop = asyncio.get_running_loop()
        self._servers.append(
            await loop.create_server(
                lambda: Connection(self, socket), socket.address, socket.port, reuse_address=True, backlog=backlog
            )
        )

    async def connect(self, target: Target, socket: ListeningSocket) -> bool:
        """See to it that there is a connection to `target`; many who ask at a time share one attempt."""
        peer = (target.address, target.port)
        if peer in self._by_peer:
            return True
        attempt = self._connecting.get(peer)
        if attempt is None:
            attempt = asyncio.ensure_future(self._open(target, socket))
            self._connecting[peer] = attempt
            attempt.add_done_callback(lambda done: self._connecting.pop(peer, None))
        return await asyncio.shield(attempt) is not None

    async def _open(self, target: Target, socket: ListeningSocket) -> Connection | None:
        if len(self) >= self.limits.connections:
            log.warning("there are %d connections; none is opened to %s", len(self), target)
            return None
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(self.limits.connect):
                _, connection = await loop.create_connection(
                    lambda: Connection(self, socket), target.address, target.port, local_addr=_from_socket(socket)
                )
        except (OSError, TimeoutError) as error:
            log.info("no connection to %s: %s", target, error or "it takes too long")
            return None
        return connection

    def opened(self, connection: Connection) -> None:
        if len(self) >= self.limits.connections:
            self.refused += 1
            connection.abort()
            return
        self._numbers += 1
        connection.number = self._numbers
        connection.last_message = self.clock.monotonic()
        self._by_number[connection.number] = connection
        self._by_peer[connection.peer] = connection

    def lost(self, connection: Connection) -> None:
        self._by_number.pop(connection.number, None)
        if self._by_peer.get(connection.peer) is connection:
            del self._by_peer[connection.peer]

    def send(self, data: bytes, target: Target, number: int = 0) -> bool:
        """Send over connection `number`, or over the one to `target`; False when neither is there."""
        connection = self._connection(target, number)
        return connection is not None and connection.send(data)

    def ends(self, target: Target, number: int = 0) -> tuple[tuple[str, int], tuple[str, int]] | None:
        """Both ends, ours first, of the connection that `send` takes; None when there is none, as for datagrams."""
        connection = self._connection(target, number) if target.reliable else None
        return None if connection is None else (connection.local, connection.peer)

    def _connection(self, target: Target, number: int) -> Connection | None:
        return self._by_number.get(number) or self._by_peer.get((target.address, target.port))

    def sweep(self) -> None:
        """End connections that are idle or whose message takes too long; to be called every second."""
        now = self.clock.monotonic()
        for connection in list(self._by_number.values()):
            if connection.began is not None and now - connection.began > self.limits.message:
                log.info("%s:%d sends a message too slowly", *connection.peer)
                connection.abort()
            elif now - connection.last_message > self.limits.idle:
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
        if protocol not in (None, "tcp"):
            return ()
        now = self.clock.monotonic()
        return [
            {
                "ID": connection.number,
                "Type": "tcp",
                "State": "CONN_OK",
                "Remote": f"{connection.peer[0]}:{connection.peer[1]}",
                "Local": f"{connection.local[0]}:{connection.local[1]}",
                "Lifetime": f"{int(self.limits.idle - (now - connection.last_message))}s",
            }
            for connection in self._by_number.values()
        ]

    def close(self, host: str, port: int) -> bool:
        """Close the connection with a peer; False when there is none."""
        connection = self._by_peer.get((host, port))
        if connection is not None:
            connection.close()
        return connection is not None


class SystemNetwork:
    """The network of this machine."""

    async def address(self, socket: ListeningSocket) -> ListeningSocket:
        """The socket with an address; one for all addresses tells others the machine's main one."""
        address = ip_address(socket.address)
        if address is None:
            addresses = await self.resolve(socket.address)
            if not addresses:
                raise ConfigurationError(f"socket '{socket}': '{socket.address}' has no address")
            address = addresses[0]
        if address in ("0.0.0.0", "::") and socket.advertised_address is None:
            return socket._replace(address=address, advertised_address=_main_address(":" in address))
        return socket._replace(address=address)

    async def datagrams(self, socket: ListeningSocket, receive: Receive) -> DatagramSocket:
        """Bind a UDP socket."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(
            lambda: Datagrams(socket, receive), sock=_bound(socket.address, socket.port)
        )
        return protocol

    def streams(self, clock: Clock, receive: Receive, broken: Broken, limits: StreamLimits) -> StreamSockets:
        """Connections of TCP."""
        return Streams(clock, receive, broken, limits)

    async def resolve(self, host: str) -> Sequence[str]:
        """What the system's resolver says, IPv4 first."""
        loop = asyncio.get_running_loop()
        try:
            found = await loop.getaddrinfo(host, None, type=system_sockets.SOCK_DGRAM)
        except (OSError, UnicodeError):
            return []
        addresses = dict.fromkeys(str(entry[4][0]).partition("%")[0] for entry in found)
        return sorted(addresses, key=lambda address: ":" in address)

    def lookup(self, timeout: float) -> Lookup:
        """The name servers of this machine."""
        return DnsLookup(self.resolve, timeout=timeout)


def _from_socket(socket: ListeningSocket) -> tuple[str, int] | None:
    """The local end of a new connection: the socket's address, unless it has all of them."""
    return None if socket.address in ("0.0.0.0", "::") else (socket.address, 0)


def _bound(address: str, port: int) -> system_sockets.socket:
    family = system_sockets.AF_INET6 if ":" in address else system_sockets.AF_INET
    sock = system_sockets.socket(family, system_sockets.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(system_sockets.SOL_SOCKET, system_sockets.SO_RCVBUF, RECEIVE_BUFFER)
        if family == system_sockets.AF_INET6:
            sock.setsockopt(system_sockets.IPPROTO_IPV6, system_sockets.IPV6_V6ONLY, 1)
        sock.bind((address, port))
    except BaseException:
        sock.close()
        raise
    return sock


def _main_address(ipv6: bool) -> str:
    """The address that packets to the Internet are sent from; nothing is sent to find out."""
    family, far, near = (
        (system_sockets.AF_INET6, "2001:db8::1", "::1") if ipv6 else (system_sockets.AF_INET, "192.0.2.1", "127.0.0.1")
    )
    try:
        with system_sockets.socket(family, system_sockets.SOCK_DGRAM) as sock:
            sock.connect((far, 9))
            return str(sock.getsockname()[0])
    except OSError:
        return near
