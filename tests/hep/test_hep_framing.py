"""HEP frames on a TCP connection."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hep_samples import packet, packets
from miscript.hep.codec import encode
from miscript.hep.errors import HepError
from miscript.hep.framing import FrameReader

FRAMES = [encode(packet(payload=text)) for text in (b"uptime:script", b"", b"version:script" * 30)]
STREAM = b"".join(FRAMES)


def frames_of(reader: FrameReader) -> list[bytes]:
    return list(iter(reader.next_frame, None))


@given(st.lists(packets().map(encode), max_size=4), st.data())
def test_frames_come_out_whatever_the_portions(frames, data):
    stream, reader, found = b"".join(frames), FrameReader(), []
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.receive(stream[start:end])
        found += frames_of(reader)

    assert found == frames
    assert reader.pending == 0


def test_byte_by_byte():
    reader, found = FrameReader(), []
    for number in STREAM:
        reader.receive(bytes([number]))
        found += frames_of(reader)

    assert found == FRAMES


def test_trailing_bytes_wait_for_the_rest_of_their_frame():
    reader = FrameReader()
    reader.receive(STREAM + FRAMES[0][:20])

    assert frames_of(reader) == FRAMES
    assert reader.pending == 20
    reader.receive(FRAMES[0][20:])
    assert frames_of(reader) == [FRAMES[0]]


@given(st.binary(max_size=300))
def test_any_bytes_give_frames_or_a_hep_error(data):
    reader = FrameReader()
    reader.receive(data)
    try:
        assert b"".join(frames_of(reader)) + data[len(data) - reader.pending :] == data
    except HepError:
        assert reader.pending == 0


def test_frames_before_the_mistake_are_given_and_then_the_stream_is_over():
    reader = FrameReader()
    reader.receive(FRAMES[0] + b"HEP2....")

    assert reader.next_frame() == FRAMES[0]
    for _ in range(2):
        with pytest.raises(HepError, match=r"found b'HEP2', expected b'HEP3' \(at byte 152\)"):
            reader.next_frame()
        reader.receive(STREAM)
    assert reader.pending == 0


def test_a_wrong_first_byte_is_noticed_at_once():
    reader = FrameReader()
    reader.receive(b"G")

    with pytest.raises(HepError, match="found b'G'"):
        reader.next_frame()


def test_a_frame_above_the_limit_is_refused_by_its_header():
    reader = FrameReader(limit=500)
    reader.receive(FRAMES[0] + FRAMES[2][:6])

    assert reader.next_frame() == FRAMES[0]
    with pytest.raises(HepError, match=r"a frame of 559 bytes, expected at most 500 \(at byte 156\)"):
        reader.next_frame()


def test_a_frame_of_the_limit_is_accepted():
    reader = FrameReader(limit=len(FRAMES[0]))
    reader.receive(FRAMES[0])

    assert reader.next_frame() == FRAMES[0]


def test_a_length_below_the_header_is_refused():
    reader = FrameReader()
    reader.receive(b"HEP3\0\x05")

    with pytest.raises(HepError, match=r"the total length is 5, expected at least 6 \(at byte 4\)"):
        reader.next_frame()
