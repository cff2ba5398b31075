"""HEP version 3: `HEP3`, the total length (16 bits), then chunks.

`encode` writes the chunks in the order in which OpenSIPS does, so that its packets and ours are the same bytes:
family, protocol, ports, time, type, capture id, addresses, payload, extra chunks, correlation id.  `decode` takes
them in any order, each once.  A compressed payload is zlib (RFC 1950) on writing; gzip (RFC 1952) is read as well.
"""

from __future__ import annotations

import zlib
from ipaddress import IPv4Address, IPv6Address
from typing import Final

from ..values import decode as text_of_bytes
from ..values import encode as bytes_of_text
from .chunks import Chunk, ChunkType, Vendor, read_chunk, read_number, write_chunk, write_number
from .errors import HepError
from .packet import OWN_CHUNKS, Family, IpAddress, Packet

MAGIC: Final = b"HEP3"
FRAME_HEADER_SIZE: Final = 6
MAX_FRAME: Final = 0xFFFF
MAX_UNPACKED: Final = 1 << 20
"""A compressed payload that grows beyond this is refused: 64 KiB of zlib can hold 64 MiB of zeros."""

_EITHER_FORMAT: Final = zlib.MAX_WBITS | 32  # zlib or gzip, told by its header


def encode(packet: Packet) -> bytes:
    """The frame of `packet`.  Raises `HepError` if it does not fit into 65535 bytes."""
    kind = ChunkType
    v4 = packet.family is Family.IPV4
    parts = [
        b"",  # the frame's header, written when the length is known
        write_number(kind.IP_FAMILY, packet.family),
        write_number(kind.IP_PROTOCOL, packet.protocol),
        write_number(kind.SOURCE_PORT, packet.source_port),
        write_number(kind.DESTINATION_PORT, packet.destination_port),
        write_number(kind.TIME_SECONDS, packet.time[0]),
        write_number(kind.TIME_MICROSECONDS, packet.time[1]),
        write_number(kind.PROTOCOL_TYPE, packet.protocol_type),
        write_number(kind.CAPTURE_ID, packet.capture_id),
        write_chunk(kind.SOURCE_IPV4 if v4 else kind.SOURCE_IPV6, packet.source.packed),
        write_chunk(kind.DESTINATION_IPV4 if v4 else kind.DESTINATION_IPV6, packet.destination.packed),
    ]
    if packet.payload is not None:
        parts.append(_write_payload(packet.payload, packet.compressed))
    parts += (write_chunk(chunk.type, chunk.data, chunk.vendor) for chunk in packet.extra_chunks)
    if packet.correlation_id is not None:
        parts.append(write_chunk(kind.CORRELATION_ID, bytes_of_text(packet.correlation_id)))
    total = FRAME_HEADER_SIZE + sum(map(len, parts))
    if total > MAX_FRAME:
        raise HepError(f"a packet of {total} bytes, expected at most {MAX_FRAME}")
    parts[0] = MAGIC + total.to_bytes(2, "big")
    return b"".join(parts)


def decode(frame: bytes) -> Packet:
    """The packet in `frame`, which holds exactly one.  Raises `HepError` for anything else."""
    fields, extra = _sort(_read_chunks(frame))
    source, destination = _addresses(fields)
    compressed = ChunkType.COMPRESSED_PAYLOAD in fields
    correlation = fields.get(ChunkType.CORRELATION_ID)
    return Packet(
        source=source,
        destination=destination,
        source_port=_number(fields, ChunkType.SOURCE_PORT),
        destination_port=_number(fields, ChunkType.DESTINATION_PORT),
        protocol=_number(fields, ChunkType.IP_PROTOCOL),
        time=(_number(fields, ChunkType.TIME_SECONDS), _number(fields, ChunkType.TIME_MICROSECONDS)),
        protocol_type=_number(fields, ChunkType.PROTOCOL_TYPE),
        capture_id=_number(fields, ChunkType.CAPTURE_ID),
        payload=_read_payload(fields),
        correlation_id=None if correlation is None else text_of_bytes(correlation.data),
        extra_chunks=tuple(extra),
        compressed=compressed,
    )


def frame_length(header: bytes) -> int:
    """The total length that a frame's first six bytes tell.  Raises `HepError` if they start no frame."""
    if not header.startswith(MAGIC):
        raise HepError(f"found {header[:4]!r}, expected {MAGIC!r}", 0)
    if len(header) < FRAME_HEADER_SIZE:
        raise HepError(f"{len(header)} bytes, expected a header of {FRAME_HEADER_SIZE}", 0)
    total = int.from_bytes(header[4:6], "big")
    if total < FRAME_HEADER_SIZE:
        raise HepError(f"the total length is {total}, expected at least {FRAME_HEADER_SIZE}", 4)
    return total


def _read_chunks(frame: bytes) -> list[tuple[int, Chunk]]:
    total = frame_length(frame)
    if total != len(frame):
        raise HepError(f"the total length is {total}, but the datagram has {len(frame)} bytes", 4)
    chunks, offset = [], FRAME_HEADER_SIZE
    while offset < total:
        chunk, after = read_chunk(frame, offset, total)
        chunks.append((offset, chunk))
        offset = after
    return chunks


def _sort(chunks: list[tuple[int, Chunk]]) -> tuple[dict[int, Chunk], list[Chunk]]:
    """The chunks that are fields of a packet by their type, and the others."""
    fields: dict[int, Chunk] = {}
    extra: list[Chunk] = []
    for offset, chunk in chunks:
        if chunk.vendor != Vendor.GENERIC or chunk.type not in OWN_CHUNKS:
            extra.append(chunk)
        elif chunk.type in fields:
            raise HepError(f"chunk {_named(chunk.type)} is there twice", offset)
        else:
            fields[chunk.type] = chunk
    return fields, extra


def _addresses(fields: dict[int, Chunk]) -> tuple[IpAddress, IpAddress]:
    family = _number(fields, ChunkType.IP_FAMILY)
    if family == Family.IPV4:
        return (
            IPv4Address(_field(fields, ChunkType.SOURCE_IPV4).data),
            IPv4Address(_field(fields, ChunkType.DESTINATION_IPV4).data),
        )
    if family == Family.IPV6:
        return (
            IPv6Address(_field(fields, ChunkType.SOURCE_IPV6).data),
            IPv6Address(_field(fields, ChunkType.DESTINATION_IPV6).data),
        )
    raise HepError(f"the address family is {family}, expected 2 (IPv4) or 10 (IPv6)")


def _field(fields: dict[int, Chunk], kind: ChunkType) -> Chunk:
    if kind not in fields:
        raise HepError(f"chunk {_named(kind)} is missing")
    return fields[kind]


def _number(fields: dict[int, Chunk], kind: ChunkType) -> int:
    return read_number(_field(fields, kind))


def _named(kind: int) -> str:
    return f"0x{kind:02x} '{ChunkType(kind).name.lower()}'"


def _write_payload(payload: bytes, compressed: bool) -> bytes:
    if compressed:
        return write_chunk(ChunkType.COMPRESSED_PAYLOAD, zlib.compress(payload))
    return write_chunk(ChunkType.PAYLOAD, payload)


def _read_payload(fields: dict[int, Chunk]) -> bytes | None:
    plain, packed = fields.get(ChunkType.PAYLOAD), fields.get(ChunkType.COMPRESSED_PAYLOAD)
    if packed is None:
        return None if plain is None else plain.data
    if plain is not None:
        raise HepError("a plain and a compressed payload in one packet, expected one of them")
    return _unpack(packed.data)


def _unpack(data: bytes) -> bytes:
    unpacker = zlib.decompressobj(_EITHER_FORMAT)
    try:
        payload = unpacker.decompress(data, MAX_UNPACKED + 1)
    except zlib.error as error:
        raise HepError(f"the compressed payload cannot be read: {error}") from None
    if len(payload) > MAX_UNPACKED:
        raise HepError(f"the compressed payload holds more than {MAX_UNPACKED} bytes")
    if not unpacker.eof:
        raise HepError("the compressed payload ends too early")
    if unpacker.unused_data:
        raise HepError(f"{len(unpacker.unused_data)} bytes after the compressed payload")
    return payload
