"""Requests in the byte stream of a FIFO."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.mi.framing import PATIENCE, Dropped, FifoReader, Framed
from miscript.mi.jsonrpc import PARSE_ERROR, Failure, Request

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**40), 2**40) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
NAMES = st.text(st.characters(blacklist_characters="./\\:", blacklist_categories=["Cs"]), max_size=20)
BLANKS = st.text(st.sampled_from(" \t\r\n"), max_size=3)


def text_of(number, name="r", **more):
    return f":{name}:" + json.dumps({"jsonrpc": "2.0", "method": "m", "id": number} | more)


def cut(data, places):
    """`data` in pieces, cut at `places`."""
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in pairwise(edges)]


def read(reader, *pieces, now=0.0):
    return [event for piece in pieces for event in reader.feed(piece.encode(), now)]


def is_parse_error(event):
    return isinstance(event, Framed) and isinstance(event.message, Failure) and event.message.error.code == PARSE_ERROR


@given(
    st.lists(st.tuples(NAMES, BLANKS, BLANKS, st.dictionaries(st.text(), JSON, max_size=3)), max_size=5),
    st.lists(st.integers(0, 10_000), max_size=8),
)
def test_requests_are_the_same_however_the_bytes_arrive(requests, places):
    stream = "".join(
        f"{before}:{name}:{behind}{json.dumps({'jsonrpc': '2.0', 'method': 'm', 'id': 1, 'x': extra})}"
        for name, before, behind, extra in requests
    ).encode()
    whole = FifoReader().feed(stream, 0.0)
    reader = FifoReader()
    assert [event for piece in cut(stream, places) for event in reader.feed(piece, 0.0)] == whole
    assert [event.name for event in whole] == [name for name, *_ in requests]
    assert all(isinstance(event.message, Request) for event in whole)


@given(st.lists(st.binary(max_size=60) | st.sampled_from([b":r:", b"{", b"}", b'"', b"\\", b":"]), max_size=12))
def test_any_bytes_give_requests_or_are_dropped_and_nothing_is_kept_for_ever(pieces):
    reader = FifoReader(max_request=50, name_limit=10)
    for number, piece in enumerate(pieces):
        assert all(isinstance(event, Framed | Dropped) for event in reader.feed(piece, float(number)))
    reader.expire(float(len(pieces)) + PATIENCE)
    assert reader.deadline is None
    assert read(reader, text_of(1)) == [Framed("r", Request("m", None, 1))]


def test_an_unfinished_request_is_broken_after_its_patience():
    reader = FifoReader()
    assert read(reader, ':r:{"jsonrpc":', now=1.0) == []
    assert reader.deadline == 1.0 + PATIENCE
    assert reader.expire(1.0 + PATIENCE / 2) == []
    (broken,) = reader.expire(1.0 + PATIENCE)
    assert is_parse_error(broken)
    assert broken.name == "r"
    assert reader.deadline is None


def test_every_piece_renews_the_patience():
    reader = FifoReader()
    text = text_of(1)
    for number, character in enumerate(text[:-1]):
        assert read(reader, character, now=float(number)) == []
    assert read(reader, text[-1], now=1000.0) == [Framed("r", Request("m", None, 1))]


@pytest.mark.parametrize("value", ["nonsense", "42", "{]", "{'a': 1}", '{"a": }', ")", '"text"', "[1,]"])
def test_what_is_no_request_is_answered_on_its_name(value):
    reader = FifoReader()
    events = read(reader, f":r:{value}") + reader.expire(PATIENCE)
    (answered,) = [event for event in events if isinstance(event, Framed)]
    assert answered.name == "r"
    assert isinstance(answered.message, Failure)


def test_a_name_without_anything_behind_it_is_answered_too():
    reader = FifoReader()
    assert read(reader, ":r:  ") == []
    assert is_parse_error(reader.expire(PATIENCE)[0])


def test_a_colon_alone_is_dropped():
    reader = FifoReader()
    assert read(reader, ":r") == []
    assert isinstance(reader.expire(PATIENCE)[0], Dropped)


@pytest.mark.parametrize("name", ["a.b", "../r", "/tmp/r", "a\\b", "n" * 11])
def test_a_refused_name_drops_the_rest_of_what_was_read(name):
    reader = FifoReader(name_limit=10)
    (event,) = read(reader, text_of(1, name) + text_of(2))
    assert isinstance(event, Dropped)
    assert read(reader, text_of(3))[0].message.id == 3


def test_behind_broken_json_the_rest_of_what_was_read_is_dropped():
    """It may be the inside of a text of the broken request: a value must never become a command."""
    reader = FifoReader()
    broken, dropped = read(reader, ":r:{'a': '}" + text_of(1) + "'}")
    assert is_parse_error(broken)
    assert isinstance(dropped, Dropped)


def test_a_request_inside_a_text_is_no_request():
    (event,) = read(FifoReader(), text_of(1, x="}" + text_of(2)))
    assert event.message.id == 1


def test_a_request_above_the_limit_is_answered_once_and_passed_over_to_its_end():
    reader = FifoReader(max_request=100)
    pieces = cut(text_of(1, x='{"' + ":z:" * 200).encode(), range(0, 700, 30))
    events = [event for piece in pieces for event in reader.feed(piece, 0.0)]
    assert [event.message.error.data for event in events] == ["the request is larger than 100 bytes"]
    assert read(reader, text_of(2))[0].message.id == 2


def test_a_request_above_the_limit_that_never_ends_is_not_answered_twice():
    reader = FifoReader(max_request=10)
    assert len(read(reader, ':r:{"aaaaaaaaaaaaaaaaaaaaaa')) == 1
    assert reader.expire(PATIENCE) == []
    assert read(reader, text_of(2)[:0] + ":r:{}")[0].name == "r"


def test_brackets_and_quotes_behind_backslashes_do_not_end_a_text():
    text = ':r:{"jsonrpc":"2.0","method":"m","id":"\\"}]\\\\"}'
    assert read(FifoReader(), *text)[0].message.id == '"}]\\'


def test_a_long_stream_of_requests_takes_time_in_proportion():
    """Thousands of requests in one read are not copied thousands of times."""
    stream = text_of(1).encode() * 20_000
    assert len(FifoReader().feed(stream, 0.0)) == 20_000
