"""Packets to bytes and back, in all versions of HEP: `encode`, and `decode`, which finds the version itself."""

from __future__ import annotations

from . import v1_v2, v3
from .errors import HepError
from .packet import Packet


def encode(packet: Packet) -> bytes:
    """The datagram or TCP frame of `packet`, in the version that it names.

    Raises `HepError` if it does not fit.
    """
    return v3.encode(packet) if packet.version == 3 else v1_v2.encode(packet)


def decode(datagram: bytes) -> Packet:
    """The packet in `datagram`.  Raises `HepError`, and nothing else, for bytes that are not exactly one packet."""
    if datagram[:1] in (b"\x01", b"\x02"):
        return v1_v2.decode(datagram)
    if datagram.startswith(v3.MAGIC):
        return v3.decode(datagram)
    raise HepError(f"found {datagram[:4]!r}, expected {v3.MAGIC!r} or a version byte of 1 or 2", 0)
