"""HEP versions 1 and 2."""

import struct
from ipaddress import IPv6Address

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from hep_samples import packet, packets
from miscript.hep.codec import decode, encode
from miscript.hep.errors import HepError

SIP = b"OPTIONS sip:a@example.com SIP/2.0\r\n\r\n"
V1 = encode(packet(version=1, payload=SIP))
V2 = encode(packet(version=2, payload=SIP, capture_id=234))


@given(packets(version=1) | packets(version=2))
def test_what_is_encoded_is_decoded_to_the_same_packet(sample):
    assume(not sample.payload.endswith(bytes(8)))

    assert decode(encode(sample)) == sample


@given(st.sampled_from([b"\x01", b"\x02"]), st.sampled_from([b"\x10\x02", b"\x28\x0a", b""]), st.binary(max_size=90))
def test_any_bytes_give_a_packet_or_a_hep_error(version, start, rest):
    try:
        decode(version + start + rest)
    except HepError:
        pass


def test_the_header_of_version_1_is_16_bytes_with_ipv4():
    assert V1[:16].hex(" ", 4) == "01100206 13c413c5 c0000201 c0000202"
    assert V1[16:] == SIP


def test_the_header_length_of_version_2_does_not_count_the_time():
    assert V2[:2] == b"\x02\x10"
    assert V2[16:28] == struct.pack("<IIHH", 1_795_493_971, 423_168, 234, 0)
    assert V2[28:] == SIP


def test_ipv6_has_a_header_of_40_bytes():
    sample = packet(version=1, source=IPv6Address("::1"), destination=IPv6Address("2001:db8::2"), payload=b"")

    assert encode(sample)[:4] == bytes.fromhex("01280a06")
    assert len(encode(sample)) == 40


def test_a_capture_id_of_more_than_16_bits_loses_the_upper_ones():
    assert decode(encode(packet(version=2, capture_id=70_000))).capture_id == 70_000 - 65_536


def test_the_zero_bytes_that_opensips_adds_are_taken_off_once():
    assert decode(V1 + bytes(8)).payload == SIP
    assert decode(V1 + bytes(16)).payload == SIP + bytes(8)
    assert decode(V1 + bytes(7)).payload == SIP + bytes(7)


def test_times_of_a_big_endian_sender_are_read():
    frame = V2[:16] + struct.pack(">IIHH", 1_795_493_971, 423_168, 234, 0) + V2[28:]

    assert decode(frame).time == (1_795_493_971, 423_168)
    assert decode(frame).capture_id == 234


def test_a_time_that_makes_sense_in_both_orders_is_little_endian():
    assert decode(encode(packet(version=2, payload=SIP, time=(1_795_493_971, 0)))).time == (1_795_493_971, 0)


@pytest.mark.parametrize(
    ("datagram", "message"),
    [
        (b"\x01", "1 bytes, expected a header of at least 8 (at byte 0)"),
        (V1[:15], "15 bytes, expected a header of 16 (at byte 0)"),
        (V2[:27], "27 bytes, expected a header of 28 (at byte 0)"),
        (b"\x01\x10\x03" + V1[3:], "the address family is 3, expected 2 (IPv4) or 10 (IPv6) (at byte 2)"),
        (b"\x01\x28\x02" + V1[3:], "the header length is 40, expected 16 (at byte 1)"),
        (
            b"\x03\x10\x02" + V1[3:],
            "found b'\\x03\\x10\\x02\\x06', expected b'HEP3' or a version byte of 1 or 2 (at byte 0)",
        ),
    ],
)
def test_a_malformed_packet_is_refused_with_what_and_where(datagram, message):
    with pytest.raises(HepError) as refused:
        decode(datagram)

    assert str(refused.value) == message
