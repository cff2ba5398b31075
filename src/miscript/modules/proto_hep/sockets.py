"""Which address packets leave from: the script's `socket=hep_udp:…` and `socket=hep_tcp:…` lines."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from dataclasses import dataclass

from ...hep.hep_id import Transport


@dataclass(frozen=True, slots=True)
class LocalSocket:
    """A socket line: `host` is "" for all addresses."""

    transport: Transport
    host: str
    port: int

    def bind(self, here: socket.socket, *, port: bool) -> str | None:
        """Bind `here` to this address (and with `port` to its port); what went wrong, None if nothing did."""
        if not self.host and not port:
            return None
        try:
            here.bind((self.host or _ANY[here.family], self.port if port else 0))
        except (OSError, OverflowError) as error:
            return str(error)
        return None


_ANY = {socket.AF_INET: "0.0.0.0", socket.AF_INET6: "::"}
_KINDS: dict[str, Transport] = {"hep_udp": "udp", "hep_tcp": "tcp", "hep_tls": "tls"}


def hep_sockets(lines: Iterable[str], default_port: int) -> dict[Transport, LocalSocket]:
    """The first HEP socket of each kind among the values of `socket`; what follows the address is not looked at."""
    found: dict[Transport, LocalSocket] = {}
    for line in lines:
        words = line.split()
        kind, _, address = words[0].partition(":") if words else ("", "", "")
        transport = _KINDS.get(kind.lower())
        if transport is not None:
            found.setdefault(transport, LocalSocket(transport, *_host_and_port(address, default_port)))
    return found


def _host_and_port(address: str, default_port: int) -> tuple[str, int]:
    if address.startswith("["):
        host, _, rest = address[1:].partition("]")
        port = rest.removeprefix(":")
    else:
        host, _, port = address.partition(":")
    number = int(port) if port.isascii() and port.isdigit() and len(port) <= 5 else default_port
    return "" if host == "*" else host, number
