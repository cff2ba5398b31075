"""MI commands about TCP connections of SIP.

TCP is off, and both commands answer null whatever they are asked, as long as the script has no `socket` for it and
no module offers `tcp connections`.

Source: OpenSIPS manual, "Management Interface", "Core MI functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import Final, Protocol

from ...errors import MIError
from ...exports import mi_command
from ...mi.parameters import Raw, text_or_none
from .part import CorePart

PROTOCOLS: Final = frozenset("udp tcp tls sctp ws wss ipsec bin bins hep_udp hep_tcp hep_tls smpp msrp msrps".split())
"""Names that are protocols; those without connections are fine to ask for."""


STREAMS: Final = ("tcp", "tls", "ws", "wss", "bin", "bins", "hep_tcp", "hep_tls", "smpp", "msrp", "msrps")
"""Those that run over TCP; a `socket` of one of them switches TCP on."""


class TcpConnections(Protocol):
    """What the module with the TCP sockets offers as `tcp connections`."""

    def listed(self, protocol: str | None) -> Sequence[dict[str, object]]:
        """The connections of one or of all protocols, each with `ID`, `Type`, `State`, `Remote`, `Local` and
        `Lifetime`."""

    def close(self, host: str, port: int) -> bool:
        """Close the connection with a peer; False when there is none."""


class NoConnections:
    """TCP is on, and nobody is connected."""

    def listed(self, protocol: str | None) -> Sequence[dict[str, object]]:
        return ()

    def close(self, host: str, port: int) -> bool:
        return False


class CoreTcp(CorePart):
    """The group `tcp` of the Management Interface."""

    def _tcp(self) -> TcpConnections | None:
        """The connections; None while TCP is off."""
        connections: TcpConnections | None = self.services.find("tcp connections")
        if connections is None and any(socket.startswith(_STREAM_SOCKETS) for socket in self.services.sockets):
            return NoConnections()
        return connections

    @mi_command("list", "", "proto", aliases=["list_tcp_conns"], module="tcp", read_only=True)
    def mi_tcp_list(self, proto: Raw = None) -> object:
        """list all ongoing TCP based connections, optionally filtered by proto"""
        connections = self._tcp()
        if connections is None:
            return None
        name = text_or_none(proto)
        if name is not None and name.lower() not in PROTOCOLS:
            raise MIError(400, "Bad protocol")
        return {"Connections": list(connections.listed(name and name.lower()))}

    @mi_command("close", "ipport", module="tcp")
    def mi_tcp_close(self, ipport: str) -> object:
        """closes the connection with the peer `address:port`"""
        connections = self._tcp()
        if connections is None:
            return None
        host, port = _peer(ipport)
        return "OK" if connections.close(host, port) else None


_STREAM_SOCKETS = tuple(f"{protocol}:" for protocol in STREAMS)


def _peer(text: str) -> tuple[str, int]:
    """`address:port`, an IPv6 address in brackets.  Raises MIError (400)."""
    host, colon, port = text.rpartition(":")
    try:
        if not colon or not port.isascii() or not port.isdecimal() or not 0 < int(port) < 65536:
            raise ValueError(f"'{text}' has no port")
        return str(ipaddress.ip_address(host.removeprefix("[").removesuffix("]"))), int(port)
    except ValueError as error:
        raise MIError(400, "Bad tcp connection") from error
