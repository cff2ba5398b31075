"""The network of this machine: what a host's sockets are made of outside of tests."""

from __future__ import annotations

import asyncio
import socket as system_sockets
from collections.abc import Sequence

from ..errors import ConfigurationError
from ..services import Clock
from ..sip.locating import Lookup
from ..sip.sockets import ListeningSocket, Target, ip_address
from ..tls_service import Tls, TlsDomain
from .dns import DnsLookup
from .interfaces import interface_addresses
from .network import Broken, DatagramSocket, Receive, StreamSockets
from .sip_transport import RECEIVE_BUFFER, Connection, Datagrams, Streams
from .stream_limits import StreamLimits
from .tls_transport import TlsConnection


class SystemNetwork:
    """The network of this machine."""

    async def addressed(self, socket: ListeningSocket) -> Sequence[ListeningSocket]:
        """The socket with an address; one for all addresses tells others the machine's main one."""
        address = ip_address(socket.address)
        if address in ("0.0.0.0", "::") and socket.advertised_address is None:
            return [socket._replace(address=address, advertised_address=_main_address(":" in address))]
        if address is not None:
            return [socket._replace(address=address)]
        addresses = interface_addresses(socket.address) or [*await self.resolve(socket.address)][:1]
        if not addresses:
            raise ConfigurationError(
                f"socket '{socket}': '{socket.address}' is no network interface with an address, and no host name"
            )
        return [socket._replace(address=address) for address in addresses]

    async def datagrams(self, socket: ListeningSocket, receive: Receive) -> DatagramSocket:
        """Bind a UDP socket."""
        loop = asyncio.get_running_loop()
        _, protocol = await loop.create_datagram_endpoint(
            lambda: Datagrams(socket, receive), sock=_bound(socket.address, socket.port)
        )
        return protocol

    def streams(
        self, clock: Clock, receive: Receive, broken: Broken, limits: StreamLimits, tls: Tls | None = None
    ) -> StreamSockets:
        """Connections of TCP and TLS."""

        def connection(streams: Streams, socket: ListeningSocket, domain: TlsDomain | None) -> Connection:
            if socket.transport != "tls":
                return Connection(streams, socket)
            assert tls is not None, "a socket of TLS is not opened without it"
            return TlsConnection(streams, socket, tls, domain)

        return Streams(clock, receive, broken, limits, connection, tls)

    def source(self, target: Target) -> str | None:
        """What the system's routes say; nothing is sent to find out."""
        return _source_address(target.address, target.port)

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
    far, near = ("2001:db8::1", "::1") if ipv6 else ("192.0.2.1", "127.0.0.1")
    return _source_address(far, 9) or near


def _source_address(address: str, port: int) -> str | None:
    """The address that packets to a place are sent from; None without a route to it."""
    family = system_sockets.AF_INET6 if ":" in address else system_sockets.AF_INET
    try:
        with system_sockets.socket(family, system_sockets.SOCK_DGRAM) as sock:
            sock.connect((address, port))
            return str(sock.getsockname()[0]).partition("%")[0]
    except OSError:
        return None
