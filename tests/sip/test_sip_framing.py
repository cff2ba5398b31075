"""Messages out of a stream: whole, byte by byte, with keep-alives between them, and what cannot be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Limits
from miscript.sip.framing import PING, StreamError, StreamFramer


def message(body=b"", name=b"Content-Length"):
    head = b"MESSAGE sip:a@b SIP/2.0\r\nVia: SIP/2.0/TCP x\r\n%s: %d\r\n\r\n" % (name, len(body))
    return head + body


def feed_all(framer, pieces):
    found = []
    for piece in pieces:
        found += framer.feed(piece)
    return found


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize("body", [b"", b"hello", b"\r\n\r\n", b"SIP/2.0 200 OK\r\n\r\n"])
def test_messages_come_out_whole_however_the_stream_is_cut(size, body):
    stream = message(body) + message(b"second", b"l") + message()
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    framer = StreamFramer()
    assert feed_all(framer, pieces) == [message(body), message(b"second", b"l"), message()]
    assert framer.unfinished == 0


def test_pings_are_told_and_single_line_ends_are_skipped():
    framer = StreamFramer()
    assert framer.feed(b"\r\n\r\n") == [PING]
    assert framer.feed(b"\r\n") == []
    assert framer.unfinished == 0, "a keep-alive is no message that has begun"
    assert framer.feed(message() + b"\r\n\r\n") == [message(), PING]
    assert framer.feed(b"\n" + message()) == [message()]


def test_bare_line_feeds_are_read_too():
    text = b"OPTIONS sip:a@b SIP/2.0\nContent-Length: 2\n\nok"
    assert StreamFramer().feed(text + message()) == [text, message()]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\n\r\n", "no Content-Length"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: -1\r\n\r\n", "'-1'"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 1\r\nl: 2\r\n\r\n", "'2'"),
        (b"OPTIONS sip:a@b SIP/2.0\r\nContent-Length: 999\r\n\r\n", "at most 300"),
    ],
)
def test_a_message_whose_end_cannot_be_known_is_an_error_with_its_head(text, reason):
    framer = StreamFramer(Limits(message=300))
    assert framer.feed(message() + text) == [message()], "what came before it is given"
    with pytest.raises(StreamError, match=reason) as caught:
        framer.feed(b"")
    assert caught.value.head == text


def test_header_fields_without_an_end_are_refused_before_they_fill_the_memory():
    framer = StreamFramer(Limits(message=300))
    framer.feed(b"OPTIONS sip:a@b SIP/2.0\r\n")
    with pytest.raises(StreamError, match="longer than 300"):
        feed_all(framer, [b"X: y\r\n" * 20] * 10)


@given(st.lists(st.binary(max_size=80), max_size=20))
def test_any_stream_gives_messages_or_the_documented_error(pieces):
    framer = StreamFramer(Limits(message=200))
    try:
        feed_all(framer, pieces)
    except StreamError:
        pass


@given(st.lists(st.binary(max_size=60), max_size=6), st.integers(1, 40))
def test_any_bodies_survive_any_cutting(bodies, size):
    stream = b"".join(map(message, bodies))
    pieces = [stream[at : at + size] for at in range(0, len(stream), size)]
    assert feed_all(StreamFramer(), pieces) == [message(body) for body in bodies]
