"""Traced MI commands straight to frames: what `v3.encode(mi_packet(event))` gives, without the steps between.

Tracing happens inside `mi()`, so it must cost next to nothing.  All packets of one destination differ in few places
of the part before the payload, so this is a form that is filled in with one `pack`.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from ..trace import Address, TraceEvent
from ..values import encode as bytes_of_text
from .chunks import HEADER_SIZE, ChunkType, Vendor, write_number
from .errors import HepError
from .mi_packet import endpoints
from .packet import Family, IpProtocol, ProtocolType
from .payload import DEFAULT_DELIMITER, write_payload
from .v3 import MAGIC, MAX_FRAME

_CORRELATION = struct.Struct(">HHH")
_MICROSECONDS: Final = 1_000_000


class MiFrames:
    """Writes the frames of one destination.

    `capture_id` is a number of 32 bits; `homer5` chooses between the payload with `delimiter` and the JSON one.
    """

    def __init__(self, *, capture_id: int = 1, homer5: bool = True, delimiter: str = DEFAULT_DELIMITER) -> None:
        self._homer5 = homer5
        self._delimiter = delimiter
        self._forms = {family: _Form(family, capture_id) for family in Family}

    def frame(self, event: TraceEvent) -> bytes:
        """The frame of `event`.  Raises `HepError` if it does not fit into 65535 bytes."""
        payload = self._payload(event.fields)
        correlation = bytes_of_text(event.correlation)
        family, source, source_port, destination, destination_port = _packed(event.source, event.destination)
        form = self._forms[family]
        total = form.size + len(payload) + HEADER_SIZE + len(correlation)
        if total > MAX_FRAME:
            raise HepError(f"a packet of {total} bytes, expected at most {MAX_FRAME}")
        seconds, microseconds = divmod(round(event.time * _MICROSECONDS), _MICROSECONDS)
        head = form.fill(
            total, source_port, destination_port, seconds, microseconds, source, destination, HEADER_SIZE + len(payload)
        )
        tail = _CORRELATION.pack(Vendor.GENERIC, ChunkType.CORRELATION_ID, HEADER_SIZE + len(correlation))
        return b"".join((head, payload, tail, correlation))

    def _payload(self, fields: Sequence[tuple[str, str]]) -> bytes:
        if self._homer5:
            return bytes_of_text(self._delimiter.join([value for _, value in fields]))
        return write_payload(fields, homer5=False)


class _Form:
    """Everything before the payload, for one family of addresses; the constants between the fields are chunk headers
    and chunks that never change."""

    def __init__(self, family: Family, capture_id: int) -> None:
        kind = ChunkType
        v4 = family is Family.IPV4
        address = 4 if v4 else 16
        before_source_port = (
            write_number(kind.IP_FAMILY, family)
            + write_number(kind.IP_PROTOCOL, IpProtocol.TCP)
            + _header(kind.SOURCE_PORT, 2)
        )
        before_source = (
            write_number(kind.PROTOCOL_TYPE, ProtocolType.MI)
            + write_number(kind.CAPTURE_ID, capture_id)
            + _header(kind.SOURCE_IPV4 if v4 else kind.SOURCE_IPV6, address)
        )
        layout = f">4sH{len(before_source_port)}sH6sH6sI6sI{len(before_source)}s{address}s6s{address}s4sH"
        self._pack = struct.Struct(layout).pack
        self.size = struct.calcsize(layout)
        self._before_source_port = before_source_port
        self._before_destination_port = _header(kind.DESTINATION_PORT, 2)
        self._before_seconds = _header(kind.TIME_SECONDS, 4)
        self._before_microseconds = _header(kind.TIME_MICROSECONDS, 4)
        self._before_source = before_source
        self._before_destination = _header(kind.DESTINATION_IPV4 if v4 else kind.DESTINATION_IPV6, address)
        self._payload = struct.pack(">HH", Vendor.GENERIC, kind.PAYLOAD)

    def fill(
        self,
        total: int,
        source_port: int,
        destination_port: int,
        seconds: int,
        microseconds: int,
        source: bytes,
        destination: bytes,
        payload_length: int,
    ) -> bytes:
        return self._pack(
            MAGIC,
            total,
            self._before_source_port,
            source_port,
            self._before_destination_port,
            destination_port,
            self._before_seconds,
            seconds,
            self._before_microseconds,
            microseconds,
            self._before_source,
            source,
            self._before_destination,
            destination,
            self._payload,
            payload_length,
        )


def _header(kind: ChunkType, size: int) -> bytes:
    return struct.pack(">HHH", Vendor.GENERIC, kind, HEADER_SIZE + size)


@lru_cache(maxsize=1024)
def _packed(source: Address, destination: Address) -> tuple[Family, bytes, int, bytes, int]:
    (source_ip, source_port), (destination_ip, destination_port) = endpoints(source, destination)
    family = Family.IPV4 if source_ip.version == 4 else Family.IPV6
    return family, source_ip.packed, source_port, destination_ip.packed, destination_port
