"""Messages of the event socket, cut out of a stream."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.esl import EslError, Message, MessageReader

NAMES = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=20).filter(
    lambda name: name.lower() != "content-length"
)
VALUES = st.text(st.characters(exclude_characters="\r\n", exclude_categories=["Cs"]), max_size=30).map(str.strip)


@st.composite
def messages(draw):
    headers = draw(st.lists(st.tuples(NAMES, VALUES), min_size=1, max_size=5))
    body = draw(st.none() | st.binary(max_size=60))
    if body is not None:
        headers.append(("Content-Length", str(len(body))))
    return Message(tuple(headers), body or b"")


def on_wire(message):
    return "".join(f"{name}: {value}\n" for name, value in message.headers).encode() + b"\n" + message.body


def messages_of(reader):
    return list(iter(reader.next_message, None))


@given(st.lists(messages(), max_size=4), st.data())
def test_messages_come_out_whatever_the_portions(sent, data):
    stream, reader, found = b"".join(map(on_wire, sent)), MessageReader(), []
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=8)))
    for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True):
        reader.receive(stream[start:end])
        found += messages_of(reader)
    assert [(m.headers, m.body) for m in found] == [(m.headers, m.body) for m in sent]


@given(st.lists(st.binary(max_size=40) | st.sampled_from([b"\n\n", b"Content-Length: 3\n", b"A: b\n"]), max_size=10))
def test_any_bytes_are_messages_or_the_documented_error(pieces):
    reader = MessageReader(max_head=64, max_body=16)
    for piece in pieces:
        reader.receive(piece)
        try:
            messages_of(reader)
        except EslError as first:
            with pytest.raises(EslError, match=re.escape(str(first))):
                reader.next_message()
            return


def test_line_ends_with_carriage_returns_are_taken():
    reader = MessageReader()
    reader.receive(b"Content-Type: api/response\r\nContent-Length: 2\r\n\r\nok\r\nA: b\r\n\r\n")
    assert [(m.content_type, m.body) for m in messages_of(reader)] == [("api/response", b"ok"), ("", b"")]


def test_headers_are_found_in_any_case():
    message = Message((("content-TYPE", "Command/Reply"),))
    assert message.content_type == "command/reply"
    assert message.header("Content-Length") is None


@pytest.mark.parametrize(
    ("data", "complaint"),
    [
        (b"no header\n\n", "expected 'Name: value', found 'no header'"),
        (b"A: b\nContent-Length: -1\n\n", "expected a number in Content-Length, found '-1'"),
        (b"A: b\nContent-Length: 17\n\n", "a body of 17 bytes, expected at most 16"),
        (b"Content-Length: 99999999999999999999\n\n", "expected a number in Content-Length"),
        (b"A: " + b"b" * 100, "headers of more than 64 bytes"),
        (b"A: " + b"b" * 100 + b"\n\n", "headers of 103 bytes, expected at most 64"),
    ],
)
def test_what_cannot_be_a_message_ends_the_stream(data, complaint):
    reader = MessageReader(max_head=64, max_body=16)
    reader.receive(data)
    for _ in range(2):
        with pytest.raises(EslError, match=complaint):
            reader.next_message()
        reader.receive(b"Content-Type: auth/request\n\n")
