"""Chunks: the numbered fields a HEP version 3 packet is made of.

A chunk is vendor (16 bits), type (16 bits), length (16 bits, its own six bytes included) and data; integers are
big endian.  The tables name the types of vendor 0 and give the size of those whose size is fixed; reading and
writing stand in pairs.  Unknown types and vendors are kept as they are, never refused.

Source: "The Hypercorrelating HEP3 protocol", revision 37, generic chunk types (https://github.com/sipcapture/HEP).
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from types import MappingProxyType
from typing import Final

from .errors import HepError

HEADER_SIZE: Final = 6
MAX_DATA: Final = 0xFFFF - HEADER_SIZE

_HEADER = struct.Struct(">HHH")


class Vendor(IntEnum):
    """Who defines a chunk's type."""

    GENERIC = 0
    FREESWITCH = 1
    KAMAILIO = 2
    OPENSIPS = 3
    ASTERISK = 4
    HOMER = 5
    SIPXECS = 6
    YETI = 7
    GENESYS = 8


class ChunkType(IntEnum):
    """The types of `Vendor.GENERIC`."""

    IP_FAMILY = 0x01
    IP_PROTOCOL = 0x02
    SOURCE_IPV4 = 0x03
    DESTINATION_IPV4 = 0x04
    SOURCE_IPV6 = 0x05
    DESTINATION_IPV6 = 0x06
    SOURCE_PORT = 0x07
    DESTINATION_PORT = 0x08
    TIME_SECONDS = 0x09
    TIME_MICROSECONDS = 0x0A
    PROTOCOL_TYPE = 0x0B
    CAPTURE_ID = 0x0C
    KEEP_ALIVE = 0x0D
    AUTHENTICATION_KEY = 0x0E
    PAYLOAD = 0x0F
    COMPRESSED_PAYLOAD = 0x10
    CORRELATION_ID = 0x11
    VLAN = 0x12
    NODE_NAME = 0x13
    SOURCE_MAC = 0x14
    DESTINATION_MAC = 0x15
    ETHERNET_TYPE = 0x16
    TCP_FLAGS = 0x17
    TYPE_OF_SERVICE = 0x18
    MOS = 0x20
    R_FACTOR = 0x21
    GEO_LOCATION = 0x22
    JITTER = 0x23
    TRANSACTION_TYPE = 0x24
    JSON_KEYS = 0x25
    TAG_VALUES = 0x26
    TAG_TYPES = 0x27
    EVENT_TYPE = 0x28
    GROUP_ID = 0x29
    # Not in the specification: OpenSIPS writes a JSON object of related correlation ids under this number.
    EXTRA_CORRELATION = 0x65


SIZES: Final[Mapping[int, int]] = MappingProxyType(
    {
        ChunkType.IP_FAMILY: 1,
        ChunkType.IP_PROTOCOL: 1,
        ChunkType.SOURCE_IPV4: 4,
        ChunkType.DESTINATION_IPV4: 4,
        ChunkType.SOURCE_IPV6: 16,
        ChunkType.DESTINATION_IPV6: 16,
        ChunkType.SOURCE_PORT: 2,
        ChunkType.DESTINATION_PORT: 2,
        ChunkType.TIME_SECONDS: 4,
        ChunkType.TIME_MICROSECONDS: 4,
        ChunkType.PROTOCOL_TYPE: 1,
        ChunkType.CAPTURE_ID: 4,
        ChunkType.KEEP_ALIVE: 2,
        ChunkType.VLAN: 2,
        ChunkType.SOURCE_MAC: 8,
        ChunkType.DESTINATION_MAC: 8,
        ChunkType.ETHERNET_TYPE: 2,
        ChunkType.TCP_FLAGS: 1,
        ChunkType.TYPE_OF_SERVICE: 1,
        ChunkType.MOS: 2,
        ChunkType.R_FACTOR: 2,
        ChunkType.JITTER: 4,
        ChunkType.EVENT_TYPE: 2,
    }
)
"""Bytes of data of each generic type whose size is fixed; all other types hold octets of any number."""


@dataclass(frozen=True, slots=True)
class Chunk:
    """One chunk: `vendor` and `type` are 16-bit numbers, `data` is what follows the chunk's header."""

    vendor: int
    type: int
    data: bytes

    def __str__(self) -> str:
        return f"chunk {self.vendor}/0x{self.type:02x} ({len(self.data)} bytes)"


def read_chunk(data: bytes, offset: int, end: int) -> tuple[Chunk, int]:
    """The chunk at `offset` of `data`, and the offset behind it; nothing at or after `end` belongs to it.

    Raises `HepError` if the chunk is not whole, or has not the size of its type.
    """
    if offset + HEADER_SIZE > end:
        raise HepError(f"{end - offset} bytes left, expected a chunk's header of {HEADER_SIZE}", offset)
    vendor, kind, length = _HEADER.unpack_from(data, offset)
    if length < HEADER_SIZE:
        raise HepError(f"{_name(vendor, kind)} has the length {length}, expected at least {HEADER_SIZE}", offset)
    after = offset + length
    if after > end:
        raise HepError(f"{_name(vendor, kind)} has the length {length}, only {end - offset} bytes are left", offset)
    if vendor == Vendor.GENERIC:
        _check_size(kind, length - HEADER_SIZE, offset)
    return Chunk(vendor, kind, bytes(data[offset + HEADER_SIZE : after])), after


def write_chunk(kind: int, data: bytes, vendor: int = Vendor.GENERIC) -> bytes:
    """The bytes of one chunk.  Raises `HepError` if `data` does not fit, or has not the size of its type."""
    if len(data) > MAX_DATA:
        raise HepError(f"{_name(vendor, kind)} holds {len(data)} bytes, expected at most {MAX_DATA}")
    if vendor == Vendor.GENERIC:
        _check_size(kind, len(data), None)
    return _HEADER.pack(vendor, kind, HEADER_SIZE + len(data)) + data


def read_number(chunk: Chunk) -> int:
    """The unsigned number in a chunk of a fixed size."""
    return int.from_bytes(chunk.data, "big")


def write_number(kind: ChunkType, number: int) -> bytes:
    """The bytes of a chunk that holds an unsigned number of its type's size."""
    size = SIZES[kind]
    return _HEADER.pack(Vendor.GENERIC, kind, HEADER_SIZE + size) + number.to_bytes(size, "big")


def _check_size(kind: int, size: int, offset: int | None) -> None:
    expected = SIZES.get(kind, size)
    if size != expected:
        raise HepError(f"{_name(Vendor.GENERIC, kind)} holds {size} bytes, expected {expected}", offset)


def _name(vendor: int, kind: int) -> str:
    if vendor != Vendor.GENERIC:
        return f"chunk 0x{kind:02x} of vendor {vendor}"
    try:
        return f"chunk 0x{kind:02x} '{ChunkType(kind).name.lower()}'"
    except ValueError:
        return f"chunk 0x{kind:02x}"
