"""Capture files."""

import shutil
import struct
import subprocess
from ipaddress import IPv6Address

import pytest
from hypothesis import given

from hep_samples import packet, packets
from miscript.hep.pcap import FILE_HEADER, MAX_FLOWS, MAX_PAYLOAD, PcapRecords

V6 = {"source": IPv6Address("2001:db8::1"), "destination": IPv6Address("2001:db8::2")}


def sum16(data: bytes) -> int:
    """The one's complement sum that is 0xffff over a right header (RFC 1071)."""
    data += b"\0" * (len(data) % 2)
    total = sum(int.from_bytes(data[i : i + 2], "big") for i in range(0, len(data), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def ip_packet(record: bytes) -> bytes:
    return record[16:]


def transport(data: bytes) -> tuple[int, bytes, bytes]:
    """Protocol number, addresses and segment of an IP packet."""
    if data[0] >> 4 == 4:
        return data[9], data[12:20], data[20:]
    return data[6], data[8:40], data[40:]


def test_the_file_header_is_that_of_the_classic_format_with_raw_ip():
    assert FILE_HEADER.hex() == "d4c3b2a10200040000000000000000000000040065000000"


def test_a_udp_datagram_over_ipv4():
    record = PcapRecords().record(packet(protocol=17, payload=b"hello"))

    assert record[:16] == struct.pack("<IIII", 1_795_493_971, 423_168, 33, 33)
    ip_header = bytes.fromhex("45000021 00000000 4011f6c8 c0000201 c0000202")
    assert ip_packet(record) == ip_header + bytes.fromhex("13c413c5 000d1075") + b"hello"


@given(packets())
def test_lengths_and_checksums_are_right(sample):
    record = PcapRecords().record(sample)
    data = ip_packet(record)
    protocol, addresses, segment = transport(data)
    header = 20 if protocol == 6 else 8

    assert struct.unpack_from("<II", record, 8) == (len(data), len(data))
    assert protocol == (6 if sample.protocol == 6 else 17)
    assert struct.unpack_from(">HH", segment) == (sample.source_port, sample.destination_port)
    assert segment[header:] == (sample.payload or b"")
    assert sum16(addresses + struct.pack(">II", protocol, len(segment)) + segment) == 0xFFFF
    if data[0] >> 4 == 4:
        assert sum16(data[:20]) == 0xFFFF
        assert int.from_bytes(data[2:4], "big") == len(data)
    else:
        assert int.from_bytes(data[4:6], "big") == len(segment)


def numbers(record: bytes) -> tuple[int, int]:
    """Sequence and acknowledgement number of a TCP segment."""
    return struct.unpack_from(">II", transport(ip_packet(record))[2], 4)


def test_tcp_segments_of_one_direction_count_on_and_acknowledge_the_other():
    records = PcapRecords()
    there = packet(payload=b"12345")
    back = packet(
        source=there.destination, destination=there.source, source_port=5061, destination_port=5060, payload=b"123"
    )

    assert [numbers(records.record(p)) for p in (there, there, back, there)] == [(1, 1), (6, 1), (1, 11), (11, 4)]


def test_only_so_many_tcp_directions_are_remembered():
    records = PcapRecords()
    first = packet(source_port=0, payload=b"12345")
    for port in range(MAX_FLOWS + 1):
        records.record(packet(source_port=port, payload=b"12345"))

    assert numbers(records.record(first)) == (1, 1)
    assert numbers(records.record(packet(source_port=MAX_FLOWS, payload=b""))) == (6, 1)


@pytest.mark.parametrize("addresses", [{}, V6])
@pytest.mark.parametrize("protocol", [6, 17])
def test_a_payload_too_long_for_an_ip_packet_is_cut(addresses, protocol):
    data = ip_packet(PcapRecords().record(packet(payload=bytes(100_000), protocol=protocol, **addresses)))

    assert transport(data)[2][20 if protocol == 6 else 8 :] == bytes(MAX_PAYLOAD)


def test_a_time_can_be_given_for_packets_without_one():
    record = PcapRecords().record(packet(version=1, time=(0, 0)), time=(5, 1_000_001))

    assert record[:8] == struct.pack("<II", 6, 1)


@pytest.mark.e2e
@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_tshark_reads_what_we_write(tmp_path):
    records, path = PcapRecords(), tmp_path / "out.pcap"
    options = b"OPTIONS sip:a@example.com SIP/2.0\r\nCall-ID: c1\r\nContent-Length: 0\r\n\r\n"
    samples = [
        packet(),
        packet(),
        packet(protocol=17, payload=options, protocol_type=1, **V6),
    ]
    path.write_bytes(FILE_HEADER + b"".join(map(records.record, samples)))

    fields = ["frame.protocols", "tcp.checksum.status", "udp.checksum.status", "tcp.analysis.flags", "sip.Call-ID"]
    command = ["tshark", "-r", path, "-o", "tcp.check_checksum:TRUE", "-o", "udp.check_checksum:TRUE", "-T", "fields"]
    command += [word for field in fields for word in ("-e", field)]
    shown = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout

    rows = [line.split("\t") for line in shown.splitlines()]
    assert [row[0].startswith("raw:ip") for row in rows] == [True] * 3
    assert [row[1] or row[2] for row in rows] == ["1", "1", "1"]
    assert [row[3] for row in rows] == ["", "", ""]
    assert rows[2][4] == "c1"
