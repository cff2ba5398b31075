"""From a traced message, or a traced text of a script, to the HEP packet that tells of it.

A SIP message is the payload as it is, or a JSON object with the one member `payload`; texts of scripts have several
parts.  Related ids stand in a chunk of their own, which only the JSON form has; a "control" packet has nothing else.

Source: packets of OpenSIPS 4.1; OpenSIPS manual, modules proto_hep and tracer.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ..trace import MessageEvent
from .chunks import Chunk, ChunkType, Vendor
from .mi_packet import endpoints
from .packet import IpProtocol, Packet, ProtocolType
from .payload import DEFAULT_DELIMITER, json_payload, write_payload

PROTOCOL_TYPES: Final = {
    "sip": ProtocolType.SIP,
    "xlog": ProtocolType.XLOG,
    "rest": ProtocolType.REST,
    "control": ProtocolType.CONTROL,
}
"""Kind of event → protocol type of its packet."""

_IP_PROTOCOLS: Final = {"udp": IpProtocol.UDP, "sctp": IpProtocol.SCTP}
"""Transports that do not run over TCP."""


@dataclass(frozen=True, slots=True)
class MessageForm:
    """How the packets of one destination are written.

    `capture_id` is a number of 32 bits; `homer5` chooses between the payload with `delimiter` and the JSON one;
    `compressed` is for SIP messages in version 3.  Versions 1 and 2 have room for SIP messages only.
    """

    version: int = 3
    capture_id: int = 1
    homer5: bool = True
    delimiter: str = DEFAULT_DELIMITER
    compressed: bool = False


def message_packet(event: MessageEvent, form: MessageForm) -> Packet:
    """The packet of `event`; its addresses are those of `mi_packet.endpoints`."""
    (source, source_port), (destination, destination_port) = endpoints(event.source, event.destination)
    kind = PROTOCOL_TYPES[event.kind]
    related: tuple[Chunk, ...] = ()
    if event.related and (not form.homer5 or kind is ProtocolType.CONTROL):
        related = (Chunk(Vendor.GENERIC, ChunkType.EXTRA_CORRELATION, json_payload(event.related)),)
    return Packet(
        source=source,
        destination=destination,
        source_port=source_port,
        destination_port=destination_port,
        protocol=_IP_PROTOCOLS.get(event.transport, IpProtocol.TCP),
        time=divmod(round(event.time * 1_000_000), 1_000_000),
        protocol_type=kind,
        capture_id=form.capture_id,
        payload=None if not event.fields else _payload(event, form),
        correlation_id=event.correlation or None,
        extra_chunks=related,
        compressed=form.compressed and kind is ProtocolType.SIP,
        version=form.version,
    )


def _payload(event: MessageEvent, form: MessageForm) -> bytes:
    return write_payload(event.fields, homer5=form.homer5, delimiter=form.delimiter)
