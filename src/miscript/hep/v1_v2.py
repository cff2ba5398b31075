"""HEP versions 1 and 2: a fixed header in front of the message.  UDP only, SIP only.

Version 1: version, header length (16 for IPv4, 40 for IPv6), family, IP protocol (one byte each), source and
destination port (16 bits, big endian), source and destination address, payload.  Version 2 puts twelve bytes
between addresses and payload: seconds (32 bits), microseconds (32), capture id (16), two bytes of padding, all in
the *sender's* byte order; the header length does not count them.  We write little endian, as OpenSIPS on any
common machine does, and read both.

OpenSIPS sends more zero bytes than there are payload: 8 with IPv4, 32 with IPv6.  They are taken off on reading
and never written.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from .errors import HepError
from .packet import Family, IpAddress, Packet, ProtocolType

_FIXED = struct.Struct(">BBBBHH")
_LITTLE_TIME = struct.Struct("<IIHxx")
_BIG_TIME = struct.Struct(">IIHxx")
_SECOND: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class _Layout:
    """Sizes in bytes that depend on the address family."""

    address: type[IPv4Address] | type[IPv6Address]
    address_size: int
    surplus: int

    @property
    def header_size(self) -> int:
        return _FIXED.size + 2 * self.address_size


_LAYOUTS: Final = {
    Family.IPV4: _Layout(IPv4Address, 4, 8),
    Family.IPV6: _Layout(IPv6Address, 16, 32),
}


def encode(packet: Packet) -> bytes:
    """The datagram of `packet`, whose version is 1 or 2; version 2 has room for 16 bits of its capture id.

    Type, correlation id and extra chunks have no place in these versions and are left out.
    """
    fixed = _FIXED.pack(
        packet.version,
        _LAYOUTS[packet.family].header_size,
        packet.family,
        packet.protocol,
        packet.source_port,
        packet.destination_port,
    )
    time = b"" if packet.version == 1 else _LITTLE_TIME.pack(*packet.time, packet.capture_id & 0xFFFF)
    return b"".join((fixed, packet.source.packed, packet.destination.packed, time, packet.payload or b""))


def decode(datagram: bytes) -> Packet:
    """The packet in a datagram that begins with 1 or 2.  Raises `HepError` for anything else."""
    if len(datagram) < _FIXED.size:
        raise HepError(f"{len(datagram)} bytes, expected a header of at least {_FIXED.size}", 0)
    version, header_size, family, protocol, source_port, destination_port = _FIXED.unpack_from(datagram)
    if version not in (1, 2):
        raise HepError(f"version {version}, expected 1 or 2", 0)
    layout = _layout(family)
    if header_size != layout.header_size:
        raise HepError(f"the header length is {header_size}, expected {layout.header_size}", 1)
    start = header_size + (_LITTLE_TIME.size if version == 2 else 0)
    if len(datagram) < start:
        raise HepError(f"{len(datagram)} bytes, expected a header of {start}", 0)
    source, destination = _addresses(datagram, layout)
    seconds, microseconds, capture_id = _read_time(datagram, header_size) if version == 2 else (0, 0, 0)
    return Packet(
        source=source,
        destination=destination,
        source_port=source_port,
        destination_port=destination_port,
        protocol=protocol,
        time=(seconds, microseconds),
        protocol_type=ProtocolType.SIP,
        capture_id=capture_id,
        payload=bytes(datagram[start:]).removesuffix(bytes(layout.surplus)),
        version=version,
    )


def _layout(family: int) -> _Layout:
    try:
        return _LAYOUTS[Family(family)]
    except ValueError:
        raise HepError(f"the address family is {family}, expected 2 (IPv4) or 10 (IPv6)", 2) from None


def _addresses(datagram: bytes, layout: _Layout) -> tuple[IpAddress, IpAddress]:
    middle = _FIXED.size + layout.address_size
    return (
        layout.address(datagram[_FIXED.size : middle]),
        layout.address(datagram[middle : layout.header_size]),
    )


def _read_time(datagram: bytes, offset: int) -> tuple[int, int, int]:
    """Seconds, microseconds and capture id.

    The byte order is not told, but microseconds stay below a million in the right one only (about one value in
    4000 does in both; it is taken as little endian, which nearly all senders are).
    """
    little: tuple[int, int, int] = _LITTLE_TIME.unpack_from(datagram, offset)
    big: tuple[int, int, int] = _BIG_TIME.unpack_from(datagram, offset)
    return big if little[1] >= _SECOND > big[1] else little
