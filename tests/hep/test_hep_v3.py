"""HEP version 3 and its chunks."""

import gzip
import re
import zlib
from ipaddress import IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hep_samples import packet, packets
from miscript.hep import v3
from miscript.hep.chunks import SIZES, Chunk, ChunkType, Vendor, read_chunk, write_chunk, write_number
from miscript.hep.codec import decode, encode
from miscript.hep.errors import HepError

FRAME = encode(packet())
PAYLOAD_AT = 93


def reframed(body: bytes) -> bytes:
    return b"HEP3" + (len(body) + 6).to_bytes(2, "big") + body


def with_chunk(*chunks: bytes, without: int | None = None) -> bytes:
    """The sample frame with chunks added at its end, and perhaps one left out."""
    body, offset = b"", 6
    while offset < len(FRAME):
        chunk, after = read_chunk(FRAME, offset, len(FRAME))
        body += b"" if chunk.type == without else FRAME[offset:after]
        offset = after
    return reframed(body + b"".join(chunks))


@given(packets())
def test_what_is_encoded_is_decoded_to_the_same_packet(sample):
    assert decode(encode(sample)) == sample


@given(st.binary(max_size=400) | st.binary(max_size=200).map(reframed))
def test_any_bytes_give_a_packet_or_a_hep_error(data):
    try:
        decode(data)
    except HepError as error:
        assert error.offset is None or 0 <= error.offset <= len(data)


@given(packets(), st.data())
def test_a_damaged_packet_gives_a_packet_or_a_hep_error(sample, data):
    frame = bytearray(encode(sample))
    for _ in range(data.draw(st.integers(1, 4))):
        frame[data.draw(st.integers(4, len(frame) - 1))] = data.draw(st.integers(0, 255))
    try:
        decode(bytes(frame))
    except HepError:
        pass


@given(st.integers(0, len(FRAME) - 1))
def test_a_packet_that_is_cut_is_refused(size):
    with pytest.raises(HepError):
        decode(FRAME[:size])


def test_an_mi_packet_has_the_sizes_that_receivers_know():
    assert FRAME[:6] == b"HEP3" + (139 + len(b"uptime:script")).to_bytes(2, "big")
    assert FRAME[PAYLOAD_AT : PAYLOAD_AT + 6] == bytes.fromhex("0000000f0013")
    assert len(encode(packet(source=IPv6Address("::1"), destination=IPv6Address("::1")))) == 163 + 13


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (b"", "found b'', expected b'HEP3' or a version byte of 1 or 2 (at byte 0)"),
        (b"GET / HTTP/1.1", "found b'GET ', expected b'HEP3' or a version byte of 1 or 2 (at byte 0)"),
        (b"HEP3\x00", "5 bytes, expected a header of 6 (at byte 0)"),
        (b"HEP3\x00\x05", "the total length is 5, expected at least 6 (at byte 4)"),
        (FRAME + b"!", "the total length is 152, but the datagram has 153 bytes (at byte 4)"),
        (reframed(FRAME[6:] + b"\0\0\0"), "3 bytes left, expected a chunk's header of 6 (at byte 152)"),
        (
            reframed(bytes.fromhex("000000010005")),
            "chunk 0x01 'ip_family' has the length 5, expected at least 6 (at byte 6)",
        ),
        (
            reframed(bytes.fromhex("0003000100ff")),
            "chunk 0x01 of vendor 3 has the length 255, only 6 bytes are left (at byte 6)",
        ),
        (
            reframed(bytes.fromhex("00000007000701")),
            "chunk 0x07 'source_port' holds 1 bytes, expected 2 (at byte 6)",
        ),
        (with_chunk(write_number(ChunkType.CAPTURE_ID, 7)), "chunk 0x0c 'capture_id' is there twice (at byte 152)"),
        (with_chunk(without=ChunkType.PROTOCOL_TYPE), "chunk 0x0b 'protocol_type' is missing"),
        (with_chunk(without=ChunkType.DESTINATION_IPV4), "chunk 0x04 'destination_ipv4' is missing"),
        (
            with_chunk(write_number(ChunkType.IP_FAMILY, 1), without=ChunkType.IP_FAMILY),
            "the address family is 1, expected 2 (IPv4) or 10 (IPv6)",
        ),
        (
            with_chunk(write_number(ChunkType.IP_FAMILY, 10), without=ChunkType.IP_FAMILY),
            "chunk 0x05 'source_ipv6' is missing",
        ),
        (
            with_chunk(write_chunk(ChunkType.COMPRESSED_PAYLOAD, zlib.compress(b"x"))),
            "a plain and a compressed payload in one packet, expected one of them",
        ),
    ],
)
def test_a_malformed_packet_is_refused_with_what_and_where(frame, message):
    with pytest.raises(HepError) as refused:
        decode(frame)

    assert str(refused.value) == message


def test_chunks_may_come_in_any_order():
    chunks, offset = [], 6
    while offset < len(FRAME):
        _, after = read_chunk(FRAME, offset, len(FRAME))
        chunks.append(FRAME[offset:after])
        offset = after

    assert decode(reframed(b"".join(reversed(chunks)))) == packet()


def test_chunks_that_we_do_not_know_are_kept():
    extra = (Chunk(Vendor.ASTERISK, 0x0F, b"a"), Chunk(0, 0x7777, b""), Chunk(0, ChunkType.NODE_NAME, b"edge-1"))
    sample = packet(extra_chunks=extra)

    decoded = decode(encode(sample))

    assert decoded.extra_chunks == extra
    assert decoded.extra(ChunkType.NODE_NAME) == b"edge-1"
    assert decoded.extra(0x0F, Vendor.ASTERISK) == b"a"
    assert decoded.extra(ChunkType.NODE_NAME, Vendor.HOMER) is None


def test_an_empty_payload_is_not_the_same_as_none():
    assert decode(encode(packet(payload=b""))).payload == b""
    assert decode(encode(packet(payload=None))).payload is None


def test_a_correlation_id_may_hold_any_bytes():
    frame = with_chunk(write_chunk(ChunkType.CORRELATION_ID, b"\xff\xc3\xa9"), without=ChunkType.CORRELATION_ID)

    assert decode(frame).correlation_id == "\udcffé"
    assert encode(decode(frame)) == frame


def test_a_compressed_payload_is_zlib_in_a_chunk_of_its_own():
    message = b"INVITE sip:bob@example.com SIP/2.0\r\n" * 20
    frame = encode(packet(payload=message, compressed=True))
    chunk, _ = read_chunk(frame, PAYLOAD_AT, len(frame))

    assert chunk.type == ChunkType.COMPRESSED_PAYLOAD
    assert zlib.decompress(chunk.data) == message
    assert decode(frame).payload == message
    assert decode(frame).compressed


def compressed(data: bytes) -> bytes:
    return with_chunk(write_chunk(ChunkType.COMPRESSED_PAYLOAD, data), without=ChunkType.PAYLOAD)


def test_a_payload_compressed_with_gzip_is_read_too():
    assert decode(compressed(gzip.compress(b"hello"))).payload == b"hello"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"plain text", "cannot be read"),
        (b"", "ends too early"),
        (zlib.compress(b"hello")[:-1], "ends too early"),
        (zlib.compress(b"hello") + b"x", "1 bytes after the compressed payload"),
        (zlib.compress(bytes(v3.MAX_UNPACKED + 1)), "more than 1048576 bytes"),
    ],
)
def test_a_compressed_payload_that_is_damaged_or_a_bomb_is_refused(data, message):
    with pytest.raises(HepError, match=message):
        decode(compressed(data))


def test_a_compressed_payload_may_unpack_to_the_limit():
    assert decode(compressed(zlib.compress(bytes(v3.MAX_UNPACKED)))).payload == bytes(v3.MAX_UNPACKED)


def test_the_largest_packet_fits_and_one_byte_more_does_not():
    room = v3.MAX_FRAME - len(encode(packet(payload=b"")))

    assert len(encode(packet(payload=bytes(room)))) == v3.MAX_FRAME
    with pytest.raises(HepError, match="a packet of 65536 bytes, expected at most 65535"):
        encode(packet(payload=bytes(room + 1)))
    with pytest.raises(HepError, match="holds 70000 bytes, expected at most 65529"):
        encode(packet(payload=bytes(70_000)))


def test_an_extra_chunk_of_the_wrong_size_is_not_written():
    with pytest.raises(HepError, match="'vlan' holds 1 bytes, expected 2"):
        encode(packet(extra_chunks=(Chunk(0, ChunkType.VLAN, b"1"),)))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"source": IPv6Address("::1")}, "addresses of two families: ::1 and 192.0.2.2"),
        ({"source_port": 65536}, "source_port 65536, expected 0 to 65535"),
        ({"destination_port": -1}, "destination_port -1, expected 0 to 65535"),
        ({"protocol": 256}, "protocol 256, expected 0 to 255"),
        ({"protocol_type": 256}, "protocol_type 256, expected 0 to 255"),
        ({"capture_id": 1 << 32}, "capture_id 4294967296, expected 0 to 4294967295"),
        ({"time": (1 << 32, 0)}, "time 4294967296, expected 0 to 4294967295"),
        ({"time": (0, -1)}, "time -1, expected 0 to 4294967295"),
        ({"version": 4}, "version 4, expected 1, 2 or 3"),
        (
            {"extra_chunks": (Chunk(0, ChunkType.PAYLOAD, b""),)},
            "extra chunk 0/0x0f (0 bytes) stands for a field of the packet",
        ),
    ],
)
def test_a_packet_that_no_frame_can_hold_is_not_made(changes, message):
    with pytest.raises(ValueError, match="^" + re.escape(message) + "$"):
        packet(**changes)


def test_every_fixed_size_belongs_to_a_named_type():
    assert all(kind in iter(ChunkType) for kind in SIZES)
