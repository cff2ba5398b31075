"""Packets as a capture file that Wireshark, tshark and sngrep open (libpcap's classic format, microseconds).

HEP carries a message without its network headers, so they are made up: IPv4 or IPv6, then TCP for what came by
TCP and UDP for all else, with right lengths and checksums.  TCP segments of one direction count on from each
other, so that readers put them together; there is no handshake.

Source: draft-ietf-opsawg-pcap (file format), RFC 791, RFC 8200, RFC 768, RFC 9293; LINKTYPE_RAW is 101.
"""

from __future__ import annotations

import struct
from collections import OrderedDict
from typing import Final, TypeAlias

from .packet import IpProtocol, Packet

LINKTYPE_RAW: Final = 101
SNAPSHOT_LENGTH: Final = 0x40000
FILE_HEADER: Final = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, SNAPSHOT_LENGTH, LINKTYPE_RAW)
"""The first bytes of the file."""

MAX_PAYLOAD: Final = 0xFFFF - 40
"""What an IPv4 packet has room for behind IPv4's and TCP's headers; longer payloads (unpacked ones) are cut."""

MAX_FLOWS: Final = 4096

_RECORD = struct.Struct("<IIII")
_IPV4 = struct.Struct(">BBHHHBBH4s4s")
_IPV6 = struct.Struct(">IHBB16s16s")
_UDP = struct.Struct(">HHHH")
_TCP = struct.Struct(">HHIIBBHHH")
_TTL: Final = 64
_PUSH_ACK: Final = 0x18
_WINDOW: Final = 0xFFFF

_Flow: TypeAlias = tuple[bytes, int, bytes, int]


class PcapRecords:
    """Turns packets into a capture file's records; remembers up to 4096 TCP directions, the newest."""

    def __init__(self) -> None:
        self._next: OrderedDict[_Flow, int] = OrderedDict()

    def record(self, packet: Packet, time: tuple[int, int] | None = None) -> bytes:
        """The record of `packet`, to be written after `FILE_HEADER` and earlier records.

        `time` (seconds, microseconds) stands in for the packet's own; version 1 has none.  A packet without a
        payload becomes an empty datagram or segment.
        """
        seconds, microseconds = time or packet.time
        payload = (packet.payload or b"")[:MAX_PAYLOAD]
        segment = self._tcp(packet, payload) if packet.protocol == IpProtocol.TCP else _udp(packet, payload)
        data = _ip(packet, segment)
        carry, microseconds = divmod(microseconds, 1_000_000)
        return _RECORD.pack((seconds + carry) & 0xFFFFFFFF, microseconds, len(data), len(data)) + data

    def _tcp(self, packet: Packet, payload: bytes) -> bytes:
        here, there = (packet.source.packed, packet.source_port), (packet.destination.packed, packet.destination_port)
        sequence = self._next.pop((*here, *there), 1)
        acknowledged = self._next.get((*there, *here), 1)
        self._next[(*here, *there)] = (sequence + len(payload)) & 0xFFFFFFFF
        if len(self._next) > MAX_FLOWS:
            self._next.popitem(last=False)
        ports = packet.source_port, packet.destination_port
        header = (*ports, sequence, acknowledged, _TCP.size // 4 << 4, _PUSH_ACK, _WINDOW)
        checksum = _checksum(_pseudo_header(packet, _TCP.size + len(payload)) + _TCP.pack(*header, 0, 0) + payload)
        return _TCP.pack(*header, checksum, 0) + payload


def _udp(packet: Packet, payload: bytes) -> bytes:
    header = packet.source_port, packet.destination_port, _UDP.size + len(payload)
    checksum = _checksum(_pseudo_header(packet, header[2]) + _UDP.pack(*header, 0) + payload)
    return _UDP.pack(*header, checksum or 0xFFFF) + payload  # 0 would mean "not computed" (RFC 768)


def _ip(packet: Packet, segment: bytes) -> bytes:
    source, destination, protocol = packet.source.packed, packet.destination.packed, _transport(packet)
    if packet.source.version == 6:
        return _IPV6.pack(6 << 28, len(segment), protocol, _TTL, source, destination) + segment
    total = _IPV4.size + len(segment)
    unsummed = _IPV4.pack(0x45, 0, total, 0, 0, _TTL, protocol, 0, source, destination)
    summed = _IPV4.pack(0x45, 0, total, 0, 0, _TTL, protocol, _checksum(unsummed), source, destination)
    return summed + segment


def _transport(packet: Packet) -> int:
    return IpProtocol.TCP if packet.protocol == IpProtocol.TCP else IpProtocol.UDP


def _pseudo_header(packet: Packet, length: int) -> bytes:
    """What a transport's checksum covers of the IP header (RFC 9293 section 3.1, RFC 8200 section 8.1)."""
    addresses = packet.source.packed + packet.destination.packed
    form = ">BBH" if packet.source.version == 4 else ">I3xB"
    numbers = (0, _transport(packet), length) if packet.source.version == 4 else (length, _transport(packet))
    return addresses + struct.pack(form, *numbers)


def _checksum(data: bytes) -> int:
    """The Internet checksum (RFC 1071)."""
    padded = data + b"\0" * (len(data) % 2)
    total: int = sum(struct.unpack(f">{len(padded) // 2}H", padded))
    while total > 0xFFFF:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF
