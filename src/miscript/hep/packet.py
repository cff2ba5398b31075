"""`Packet`: what one HEP packet says, whatever the version of its frame.

A packet is a message that was seen on the network (or an MI command that was run) with where it came from, where
it went and when.  `codec.encode` and `codec.decode` turn packets into bytes and back.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from ipaddress import IPv4Address, IPv6Address
from typing import Final, TypeAlias

from .chunks import Chunk, ChunkType, Vendor

IpAddress: TypeAlias = IPv4Address | IPv6Address


class Family(IntEnum):
    """Address families by the numbers of Linux, which HEP uses on every system."""

    IPV4 = 2
    IPV6 = 10


class IpProtocol(IntEnum):
    """IP protocol numbers of the transports of SIP (IANA, "Protocol Numbers")."""

    TCP = 6
    UDP = 17
    SCTP = 132


class ProtocolType(IntEnum):
    """What a payload is.  Those from `MI` on are OpenSIPS' own numbers; HEP itself defines many more."""

    SIP = 0x01
    RTCP_JSON = 0x05
    MI = 0x57
    REST = 0x58
    NET = 0x59
    CONTROL = 0x60
    XLOG = 0x64


OWN_CHUNKS: Final = frozenset(range(ChunkType.IP_FAMILY, ChunkType.CAPTURE_ID + 1)) | {
    ChunkType.PAYLOAD,
    ChunkType.COMPRESSED_PAYLOAD,
    ChunkType.CORRELATION_ID,
}
"""The generic chunk types that are fields of `Packet`, and so cannot stand among its extra chunks."""

_LIMITS: Final = (
    ("protocol", 0xFF),
    ("source_port", 0xFFFF),
    ("destination_port", 0xFFFF),
    ("protocol_type", 0xFF),
    ("capture_id", 0xFFFFFFFF),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Packet:
    """One HEP packet.  Raises `ValueError` for a number out of range and for addresses of different families.

    `source` and `destination` are the addresses of the traced message, not those of the HEP sender; `protocol` is
    the IP protocol it came by (`IpProtocol`).
    `time` is when it was traced: seconds since the epoch, and microseconds; (0, 0) in version 1, which has none.
    `protocol_type` says what the payload is (`ProtocolType`); versions 1 and 2 do not tell, it is SIP then.
    `capture_id` is the number of the capturing agent; 0 in version 1.
    `payload` is the message, never compressed here; None when the packet has no payload chunk.
    `correlation_id` is the same for packets that belong together, None without one (versions 1 and 2).
    `extra_chunks` are the chunks of version 3 that no other field stands for, in their order.
    `compressed` asks for, or tells of, a zlib compressed payload chunk (version 3).
    `version` is the version of the frame: 1, 2 or 3.
    """

    source: IpAddress
    destination: IpAddress
    source_port: int
    destination_port: int
    protocol: int
    time: tuple[int, int]
    protocol_type: int
    capture_id: int = 1
    payload: bytes | None = None
    correlation_id: str | None = None
    extra_chunks: tuple[Chunk, ...] = ()
    compressed: bool = False
    version: int = 3

    def __post_init__(self) -> None:
        if self.source.version != self.destination.version:
            raise ValueError(f"addresses of two families: {self.source} and {self.destination}")
        if self.version not in (1, 2, 3):
            raise ValueError(f"version {self.version}, expected 1, 2 or 3")
        for name, limit in _LIMITS:
            _check_range(name, getattr(self, name), limit)
        for number in self.time:
            _check_range("time", number, 0xFFFFFFFF)
        for chunk in self.extra_chunks:
            if chunk.vendor == Vendor.GENERIC and chunk.type in OWN_CHUNKS:
                raise ValueError(f"extra {chunk} stands for a field of the packet")

    @property
    def family(self) -> Family:
        """The family of both addresses."""
        return Family.IPV4 if self.source.version == 4 else Family.IPV6

    def extra(self, kind: int, vendor: int = Vendor.GENERIC) -> bytes | None:
        """The data of the first extra chunk of a type, for example `ChunkType.NODE_NAME`; None without one."""
        return next((c.data for c in self.extra_chunks if c.type == kind and c.vendor == vendor), None)


def _check_range(name: str, number: int, limit: int) -> None:
    if not 0 <= number <= limit:
        raise ValueError(f"{name} {number}, expected 0 to {limit}")
