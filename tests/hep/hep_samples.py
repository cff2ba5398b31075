"""Packets for the tests of HEP: what was recorded from OpenSIPS 4.1, and what hypothesis makes up."""

import json
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address
from pathlib import Path

from hypothesis import strategies as st

from miscript.hep.chunks import SIZES, Chunk
from miscript.hep.packet import OWN_CHUNKS, Packet
from miscript.values import decode

FOLDER = Path(__file__).parent.parent / "conformance" / "hep"


@dataclass(frozen=True)
class Recording:
    """One recorded datagram or TCP stream with the description that an independent decoder gave of it."""

    name: str
    data: bytes
    about: dict

    def __str__(self):
        return self.name


def recordings(pattern: str) -> list[Recording]:
    paths = sorted(FOLDER.glob(pattern + ".bin"))
    assert paths, f"no recording is named {pattern}"
    return [Recording(p.stem, p.read_bytes(), json.loads(p.with_suffix(".json").read_text())) for p in paths]


DATAGRAMS = [r for r in recordings("*") if not r.name.endswith(".stream")]
V3 = [r for r in DATAGRAMS if r.about["packet"]["version"] == 3]
V1_V2 = [r for r in DATAGRAMS if r.about["packet"]["version"] < 3]
STREAMS = recordings("*.stream")


def packet(**changes) -> Packet:
    """A packet like those of `mi()`, with some fields of your own."""
    fields = {
        "source": IPv4Address("192.0.2.1"),
        "destination": IPv4Address("192.0.2.2"),
        "source_port": 5060,
        "destination_port": 5061,
        "protocol": 6,
        "time": (1_795_493_971, 423_168),
        "protocol_type": 0x57,
        "payload": b"uptime:script",
        "correlation_id": "MICORRrlAAAEoQBWvg2ooAAAAAAECFoHM=",
    }
    return Packet(**(fields | changes))


_addresses = st.one_of(
    st.tuples(st.ip_addresses(v=4), st.ip_addresses(v=4)), st.tuples(st.ip_addresses(v=6), st.ip_addresses(v=6))
)
_ports = st.integers(0, 0xFFFF)
_bytes = st.binary(max_size=200)
_long = st.integers(0, 0xFFFFFFFF)


@st.composite
def extra_chunks(draw):
    vendor = draw(st.sampled_from([0, 0, 1, 3, 0xFFFF]))
    kind = draw(st.integers(0, 0xFFFF) | st.sampled_from(sorted(SIZES)))
    if vendor or kind not in OWN_CHUNKS | SIZES.keys():
        return Chunk(vendor, kind, draw(_bytes))
    kind = draw(st.sampled_from(sorted(SIZES.keys() - OWN_CHUNKS)))
    return Chunk(0, kind, draw(st.binary(min_size=SIZES[kind], max_size=SIZES[kind])))


@st.composite
def packets(draw, version=3):
    source, destination = draw(_addresses)
    fields = {
        "source": source,
        "destination": destination,
        "source_port": draw(_ports),
        "destination_port": draw(_ports),
        "protocol": draw(st.integers(0, 255)),
        "protocol_type": 1,
        "time": (0, 0),
        "capture_id": 0,
        "payload": draw(_bytes),
        "version": version,
    }
    if version == 2:
        fields |= {"time": (draw(_long), draw(st.integers(0, 999_999))), "capture_id": draw(_ports)}
    if version == 3:
        fields |= {
            "time": (draw(_long), draw(_long)),
            "capture_id": draw(_long),
            "protocol_type": draw(st.integers(0, 255)),
            "payload": draw(st.none() | _bytes),
            "correlation_id": draw(st.none() | _bytes.map(decode)),
            "extra_chunks": tuple(draw(st.lists(extra_chunks(), max_size=4))),
        }
        fields["compressed"] = fields["payload"] is not None and draw(st.booleans())
    return Packet(**fields)


def loopback(version: int) -> IPv4Address | IPv6Address:
    return IPv4Address("127.0.0.1") if version == 4 else IPv6Address("::1")
