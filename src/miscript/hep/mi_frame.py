"""Traced MI commands straight to frames: what `v3.encode(mi_packet(event))` gives, without the steps between.

Tracing happens inside `mi()`, so it must cost next to nothing.  Of the part before the payload only length, time and
payload length change from one packet of an address to the next; what stands between them is kept for each pair of
addresses.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Final, NamedTuple

from ..trace import Address, Fields, TraceEvent
from ..values import encode as bytes_of_text
from .chunks import HEADER_SIZE, ChunkType, Vendor, write_chunk, write_number
from .errors import HepError
from .mi_packet import endpoints
from .packet import Family, IpProtocol, ProtocolType
from .payload import DEFAULT_DELIMITER, write_payload
from .v3 import MAGIC, MAX_FRAME

ADDRESSES: Final = 1024
"""Pairs of addresses that are remembered."""

_HEADER: Final = struct.Struct(">HHH").pack
_BEFORE_MICROSECONDS: Final = _HEADER(Vendor.GENERIC, ChunkType.TIME_MICROSECONDS, HEADER_SIZE + 4)
_GENERIC, _CORRELATION_ID = int(Vendor.GENERIC), int(ChunkType.CORRELATION_ID)  # enumerations are slow to look up
_MICROSECONDS: Final = 1_000_000


class _Form(NamedTuple):
    """The part before the payload for one pair of addresses."""

    pack: Callable[..., bytes]
    size: int
    before_seconds: bytes
    after_time: bytes


class MiFrames:
    """Writes the frames of one destination.

    `capture_id` is a number of 32 bits; `homer5` chooses between the payload with `delimiter` and the JSON one.
    """

    def __init__(self, *, capture_id: int = 1, homer5: bool = True, delimiter: str = DEFAULT_DELIMITER) -> None:
        self._homer5 = homer5
        self._join = delimiter.join
        self._form = lru_cache(ADDRESSES)(lambda source, destination: _form(source, destination, capture_id))

    def frame(self, event: TraceEvent) -> bytes:
        """The frame of `event`.  Raises `HepError` if it does not fit into 65535 bytes."""
        text, fields, source, destination, time = event
        payload = self._payload(fields)
        pack, size, before_seconds, after_time = self._form(source, destination)
        correlation = bytes_of_text(text)
        total = size + len(payload) + HEADER_SIZE + len(correlation)
        if total > MAX_FRAME:
            raise HepError(f"a packet of {total} bytes, expected at most {MAX_FRAME}")
        seconds, microseconds = divmod(round(time * _MICROSECONDS), _MICROSECONDS)
        length = HEADER_SIZE + len(payload)
        head = pack(MAGIC, total, before_seconds, seconds, _BEFORE_MICROSECONDS, microseconds, after_time, length)
        tail = _HEADER(_GENERIC, _CORRELATION_ID, HEADER_SIZE + len(correlation))
        return b"".join((head, payload, tail, correlation))

    def pairs(
        self, fields: Fields, source: Address, destination: Address
    ) -> Callable[[str, float, str, float], tuple[bytes, bytes]]:
        """What writes both frames of exchanges with one and the same request.

        It takes the correlation id, the time of the request, text and time of the reply, and raises HepError as
        `frame` does.
        """
        pack, size, before_seconds, after_time = self._form(source, destination)
        request = self._payload(fields)
        reply_payload = None if self._homer5 else self._payload
        length = HEADER_SIZE + len(request)

        def write(correlation: str, began: float, reply: str, ended: float) -> tuple[bytes, bytes]:
            name = bytes_of_text(correlation)
            count = HEADER_SIZE + len(name)
            tail = _HEADER(_GENERIC, _CORRELATION_ID, count) + name
            payload = bytes_of_text(reply) if reply_payload is None else reply_payload((("reply", reply),))
            count += size
            if count + max(len(request), len(payload)) > MAX_FRAME:
                raise HepError(f"a packet of over {MAX_FRAME} bytes")
            began_at, ended_at = round(began * _MICROSECONDS), round(ended * _MICROSECONDS)
            return (
                pack(
                    MAGIC, count + len(request), before_seconds, began_at // _MICROSECONDS, _BEFORE_MICROSECONDS,
                    began_at % _MICROSECONDS, after_time, length,
                ) + request + tail,
                pack(
                    MAGIC, count + len(payload), before_seconds, ended_at // _MICROSECONDS, _BEFORE_MICROSECONDS,
                    ended_at % _MICROSECONDS, after_time, HEADER_SIZE + len(payload),
                ) + payload + tail,
            )  # fmt: skip

        return write

    def _payload(self, fields: Fields) -> bytes:
        if self._homer5:
            return bytes_of_text(self._join([value for _, value in fields]))
        return write_payload(fields, homer5=False)


def _form(source: Address, destination: Address, capture_id: int) -> _Form:
    kind = ChunkType
    (here, here_port), (there, there_port) = endpoints(source, destination)
    v4 = here.version == 4
    before_seconds = b"".join(
        (
            write_number(kind.IP_FAMILY, Family.IPV4 if v4 else Family.IPV6),
            write_number(kind.IP_PROTOCOL, IpProtocol.TCP),
            write_number(kind.SOURCE_PORT, here_port),
            write_number(kind.DESTINATION_PORT, there_port),
            _HEADER(Vendor.GENERIC, kind.TIME_SECONDS, HEADER_SIZE + 4),
        )
    )
    after_time = b"".join(
        (
            write_number(kind.PROTOCOL_TYPE, ProtocolType.MI),
            write_number(kind.CAPTURE_ID, capture_id),
            write_chunk(kind.SOURCE_IPV4 if v4 else kind.SOURCE_IPV6, here.packed),
            write_chunk(kind.DESTINATION_IPV4 if v4 else kind.DESTINATION_IPV6, there.packed),
            struct.pack(">HH", Vendor.GENERIC, kind.PAYLOAD),
        )
    )
    layout = struct.Struct(f">4sH{len(before_seconds)}sI6sI{len(after_time)}sH")
    return _Form(layout.pack, layout.size, before_seconds, after_time)
