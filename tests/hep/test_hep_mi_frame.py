"""The short way from a traced event to a frame gives the same bytes as the long one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.hep.codec import decode, encode
from miscript.hep.errors import HepError
from miscript.hep.mi_frame import MiFrames
from miscript.hep.mi_packet import mi_packet
from miscript.trace import TraceEvent
from miscript.values import decode as text

texts = st.binary(max_size=200).map(text)
ports = st.integers(0, 0xFFFF)
addresses = st.tuples(st.ip_addresses().map(str) | st.just("/run/mi.sock"), ports)
events = st.builds(
    TraceEvent,
    correlation=texts,
    fields=st.lists(st.tuples(st.sampled_from(["command", "backend", "parameters", "reply"]), texts), max_size=3).map(
        tuple
    ),
    source=addresses,
    destination=addresses,
    time=st.floats(0, 4_000_000_000),
)


@given(events, st.integers(0, 0xFFFFFFFF), st.booleans(), texts)
def test_a_frame_is_the_encoded_packet(event, capture_id, homer5, delimiter):
    about = {"capture_id": capture_id, "homer5": homer5, "delimiter": delimiter}
    frame = MiFrames(**about).frame(event)
    assert frame == encode(mi_packet(event, **about))
    assert encode(decode(frame)) == frame


@given(events, texts, st.floats(0, 4_000_000_000), st.integers(0, 0xFFFFFFFF), st.booleans(), texts)
def test_both_frames_of_an_exchange_are_those_of_its_halves(event, reply, ended, capture_id, homer5, delimiter):
    frames = MiFrames(capture_id=capture_id, homer5=homer5, delimiter=delimiter)
    write = frames.pairs(event.fields, event.source, event.destination)
    answer = event._replace(fields=(("reply", reply),), time=ended)
    assert write(event.correlation, event.time, reply, ended) == (frames.frame(event), frames.frame(answer))


@pytest.mark.parametrize("size", [65535 - 139, 65535 - 138])
def test_a_frame_holds_65535_bytes_and_no_more(size):
    event = TraceEvent("c" * 34, (("command", "x" * size),), ("127.0.0.1", 1), ("127.0.0.1", 2), 1.0)
    if size == 65535 - 139:
        assert len(MiFrames().frame(event)) == 65535
    else:
        with pytest.raises(HepError, match="65536 bytes"):
            MiFrames().frame(event)
