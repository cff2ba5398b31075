"""Our own sockets as a script names them, and where a message goes: values, nothing that is open.

They are made for, or looked up by, every message: named tuples are made and hashed without a call into Python.

Source: OpenSIPS manual, "Core Parameters" (`socket`, `alias`, `advertised_address`); RFC 3261 section 19.1.2 for the
ports that are not written.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

DEFAULT_PORTS: Final = {"udp": 5060, "tcp": 5060, "tls": 5061, "sctp": 5060, "ws": 80, "wss": 443}
"""Transport → the port that a URI without one means."""

RELIABLE: Final = frozenset({"tcp", "tls", "sctp", "ws", "wss"})
"""Transports that lose nothing."""

Options = Sequence[tuple[str, str | int | None]]


class Target(NamedTuple):
    """Where a message is sent: a transport in lower case, an IP address without brackets, a port."""

    transport: str
    address: str
    port: int

    @property
    def reliable(self) -> bool:
        """Whether its transport loses nothing."""
        return self.transport in RELIABLE

    @property
    def host(self) -> str:
        """The address as a URI has it."""
        return bracketed(self.address)

    def __str__(self) -> str:
        return f"{self.transport}:{self.host}:{self.port}"


class ListeningSocket(NamedTuple):
    """One `socket=` line; the `advertised` host and port are what others are told, where they differ."""

    transport: str
    address: str
    port: int
    advertised_address: str | None = None
    advertised_port: int | None = None
    tag: str | None = None
    anycast: bool = False

    @property
    def host(self) -> str:
        """The host to write into Via, Record-Route and the like."""
        return bracketed(self.advertised_address or self.address)

    @property
    def told_port(self) -> int:
        """The port to write beside `host`."""
        return self.advertised_port or self.port

    @property
    def is_ipv6(self) -> bool:
        return ":" in self.address

    def __str__(self) -> str:
        return f"{self.transport}:{bracketed(self.address)}:{self.port}"


def bracketed(address: str) -> str:
    """An IPv6 address in brackets, everything else as it is."""
    return f"[{address}]" if ":" in address and not address.startswith("[") else address


def parse_socket(line: str, options: Options = (), ports: Mapping[str, int] = DEFAULT_PORTS) -> ListeningSocket:
    """The value of a `socket=` line, `protocol:host[:port]`, with what stands behind it; `ports` where none is written.

    `*` and `any` are kept as `0.0.0.0`.  Raises ValueError: no protocol, no port where its protocol has none.
    """
    transport, host, port = split_socket(line, ports)
    advertised, advertised_port, tag, anycast = None, None, None, False
    for name, value in options:
        match name:
            case "as" if isinstance(value, str):
                advertised, advertised_port = split_host(value)
            case "tag":
                tag = str(value)
            case "anycast":
                anycast = True
    return ListeningSocket(
        transport, "0.0.0.0" if host in ("*", "any") else host, port, advertised, advertised_port, tag, anycast
    )


def split_socket(text: str, ports: Mapping[str, int] = DEFAULT_PORTS) -> tuple[str, str, int]:
    """Transport, host without brackets, port of `protocol:host[:port]`.  Raises ValueError."""
    transport, colon, rest = text.partition(":")
    if not colon or not rest:
        raise ValueError(f"'{text}' is no socket, expected protocol:host:port")
    transport = transport.lower()
    host, port = split_host(rest)
    port = port or ports.get(transport)
    if port is None:
        raise ValueError(f"'{text}' has no port")
    return transport, host, port


def split_host(text: str) -> tuple[str, int | None]:
    """Host without brackets and port of `host[:port]`; IPv6 addresses with a port have brackets.

    Raises ValueError when the port is none.
    """
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") > 1:
        host, port = text, ""
    else:
        host, _, port = text.partition(":")
    if not port:
        return host, None
    if not (port.isascii() and port.isdecimal() and 0 < int(port) < 65536):
        raise ValueError(f"'{port}' is no port")
    return host, int(port)


@lru_cache(maxsize=4096)
def ip_address(host: str) -> str | None:
    """The address that `host` is, without brackets and in its shortest form; None when it is a name."""
    try:
        return str(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        return None


def is_for_many(address: str) -> bool:
    """Whether an IP address is not that of one host: broadcast, multicast, unspecified."""
    found = ipaddress.ip_address(address)
    return found.is_multicast or found.is_unspecified or address == "255.255.255.255"
