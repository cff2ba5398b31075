"""`{ip.…}`: addresses as text and as bytes in network order.

`{ip.resolve}` and its variants ask a name server, so they have to be waited for: they are in `RESOLVERS`, apart
from the table of plain transformations.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable
from functools import lru_cache
from typing import TypeAlias

from ....values import Value, decode, encode, plain_text
from .table import text_transformation

RESOLVE_TIMEOUT = 5.0
"""Seconds after which a name counts as unknown."""

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_LONGEST = 64
_CACHED = 256
_PRIVATE = tuple(
    ipaddress.IPv4Network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "127.0.0.0/8", "100.64.0.0/10")
)


@lru_cache(_CACHED)
def _parse(text: str) -> Address | None:
    if len(text) > _LONGEST or "%" in text:
        return None
    try:
        if text.startswith("[") and text.endswith("]"):
            return ipaddress.IPv6Address(text[1:-1])
        return ipaddress.ip_address(text)
    except ValueError:
        return None


@lru_cache(_CACHED)
def _parse_network(text: str) -> Network | None:
    address, slash, length = text.partition("/")
    base = _parse(address)
    if base is None or not slash or not (length.isascii() and length.isdecimal() and len(length) <= 3):
        return None
    try:
        return ipaddress.ip_network((base, int(length)), strict=False)
    except ValueError:
        return None


@text_transformation("ip", "isip")
def ip_isip(text: str) -> Value:
    """1 for an IPv4 or IPv6 address (with brackets or without), else 0."""
    return None if not text else int(_parse(text) is not None)


@text_transformation("ip", "isip4")
def ip_isip4(text: str) -> Value:
    """1 for an IPv4 address, else 0."""
    return None if not text else int(isinstance(_parse(text), ipaddress.IPv4Address))


@text_transformation("ip", "isip6")
def ip_isip6(text: str) -> Value:
    """1 for an IPv6 address (with brackets or without), else 0."""
    return None if not text else int(isinstance(_parse(text), ipaddress.IPv6Address))


@text_transformation("ip", "pton")
def ip_pton(text: str) -> Value:
    """The 4 or 16 bytes of an address."""
    address = _parse(text)
    return None if address is None else decode(address.packed)


@text_transformation("ip", "ntop")
def ip_ntop(text: str) -> Value:
    """The address that 4 or 16 bytes are; IPv6 in upper case with all of its eight groups."""
    data = encode(text)
    if len(data) == 4:
        return str(ipaddress.IPv4Address(data))
    if len(data) != 16:
        return None
    return ":".join(f"{data[n] << 8 | data[n + 1]:X}" for n in range(0, 16, 2))


@text_transformation("ip", "family")
def ip_family(text: str) -> Value:
    """`INET` for 4 bytes, `INET6` for 16."""
    return {4: "INET", 16: "INET6"}.get(len(encode(text)))


@text_transformation("ip", "matches", kinds=("string",))
def ip_matches(text: str, network: str) -> Value:
    """1 for an address inside of a network `address/length`, else 0; NULL for one of the other family."""
    address, wanted = _parse(text), _parse_network(network)
    if address is None or wanted is None or address.version != wanted.version:
        return None
    return int(address in wanted)


@text_transformation("ip", "isprivate")
def ip_isprivate(text: str) -> Value:
    """1 for an IPv4 address that the Internet does not route (RFC 1918, RFC 6598, loopback), else 0."""
    if not text:
        return None
    address = _parse(text)
    return int(isinstance(address, ipaddress.IPv4Address) and any(address in network for network in _PRIVATE))


# -- names -----------------------------------------------------------------------------------------------------------


async def _resolve(value: Value, family: int) -> Value:
    if value is None:
        return None
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(RESOLVE_TIMEOUT):
            found = await loop.getaddrinfo(plain_text(value), None, family=family, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError, ValueError, TimeoutError):
        return None
    return str(found[0][4][0]) if found else None


async def ip_resolve(value: Value) -> Value:
    """An address of a host name, IPv4 or IPv6; an address gives itself."""
    return await _resolve(value, socket.AF_UNSPEC)


async def ip_resolve4(value: Value) -> Value:
    """An IPv4 address of a host name."""
    return await _resolve(value, socket.AF_INET)


async def ip_resolve6(value: Value) -> Value:
    """An IPv6 address of a host name."""
    return await _resolve(value, socket.AF_INET6)


RESOLVERS: dict[tuple[str, str], Callable[[Value], Awaitable[Value]]] = {
    ("ip", "resolve"): ip_resolve,
    ("ip", "resolve4"): ip_resolve4,
    ("ip", "resolve6"): ip_resolve6,
}
"""Transformations that have to be waited for, by class and name."""
