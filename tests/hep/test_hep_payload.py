"""The payload of MI packets, and packets from trace events."""

import json
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.hep.codec import decode, encode
from miscript.hep.mi_packet import mi_packet
from miscript.hep.payload import (
    homer5_payload,
    json_payload,
    read_homer5_request,
    read_json_payload,
    write_payload,
)
from miscript.trace import NOWHERE, TraceEvent
from miscript.values import decode as text_of

REQUEST = (("command", "log_level"), ("backend", "script"), ("parameters", "3"))
texts = st.binary(max_size=60).map(text_of)


def test_the_homer5_form_is_the_values_with_a_delimiter_between():
    assert write_payload(REQUEST) == b"log_level:script:3"
    assert write_payload(REQUEST, delimiter="") == b"log_levelscript3"
    assert write_payload((("reply", '{"a":1}'),)) == b'{"a":1}'


def test_the_json_form_is_indented_with_tabs():
    assert write_payload(REQUEST, homer5=False) == (
        b'{\n\t"command":\t"log_level",\n\t"backend":\t"script",\n\t"parameters":\t"3"\n}'
    )
    assert write_payload((("reply", "OK"),), homer5=False) == b'{\n\t"reply":\t"OK"\n}'


def test_an_empty_reply_has_a_payload_too():
    assert write_payload((("reply", ""),)) == b""
    assert write_payload((("reply", ""),), homer5=False) == b'{\n\t"reply":\t""\n}'


def test_json_escapes_what_it_must_and_nothing_else():
    written = json_payload((("reply", 'a\0\x01\x1f\x7f\b\f\n\r\t"\\/é€😀\udcff'),))

    assert written == (
        b'{\n\t"reply":\t"a\\u0000\\u0001\\u001f\x7f\\b\\f\\n\\r\\t\\"\\\\/' + "é€😀".encode() + b'\xff"\n}'
    )


@given(texts, texts, texts)
def test_a_json_payload_is_read_back_whatever_its_texts(command, backend, parameters):
    fields = (("command", command), ("backend", backend), ("parameters", parameters))

    assert read_json_payload(json_payload(fields)) == fields


@given(st.text(max_size=60).filter(lambda t: t.isascii()))
def test_a_json_payload_is_json(text):
    assert json.loads(json_payload((("reply", text),))) == {"reply": text}


@given(st.binary(max_size=200) | st.binary(max_size=40).map(lambda b: b'{"reply":' + b + b"}"))
def test_any_payload_can_be_read_or_is_none(payload):
    read_json_payload(payload)
    read_homer5_request(payload)


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"uptime:script",
        b"[]",
        b'{"key":"k","value":"v"}',
        b'{"reply":1}',
        b'{"reply":["x"]}',
        b'{"reply":"x","reply":"y"}',
        b'{"reply":{"reply":"x"}}',
        b"{" * 50_000,
        b'{"reply":' + b"[" * 50_000,
    ],
)
def test_what_is_not_a_payload_of_ours_is_none(payload):
    assert read_json_payload(payload) is None


@pytest.mark.parametrize(
    ("payload", "fields"),
    [
        (b"uptime:script", ("uptime", "script")),
        (b"dialog:list:json:0,10", ("dialog:list", "json", "0,10")),
        (b"cache_fetch:script:local,a:b:c", ("cache_fetch", "script", "local,a:b:c")),
        (b"x:fifo:fifo:script", ("x", "fifo", "fifo:script")),
        (b"x:fifo:a\nb\xff", ("x", "fifo", "a\nb\udcff")),
    ],
)
def test_a_homer5_request_is_taken_apart(payload, fields):
    assert read_homer5_request(payload) == tuple(zip(("command", "backend", "parameters"), fields, strict=False))


@pytest.mark.parametrize(
    "payload", [b"", b"OK", b":script", b"script:3", b"uptime:scripts", b'{"New global log level":3}']
)
def test_what_names_no_backend_is_no_homer5_request(payload):
    assert read_homer5_request(payload) is None


def test_a_homer5_request_with_another_delimiter():
    assert read_homer5_request(b"a.b::fifo::1", "::") == (
        ("command", "a.b"),
        ("backend", "fifo"),
        ("parameters", "1"),
    )


def event(**changes):
    fields = {
        "correlation": "MICORR",
        "fields": REQUEST,
        "source": ("192.0.2.1", 5060),
        "destination": ("192.0.2.2", 5061),
        "time": 1_795_493_971.000_001,
    }
    return TraceEvent(**(fields | changes))


def test_an_event_becomes_a_packet_of_the_type_mi_over_tcp():
    made = mi_packet(event(), capture_id=70_000)

    assert (made.protocol_type, made.protocol, made.capture_id, made.version) == (87, 6, 70_000, 3)
    assert (made.source, made.source_port) == (ip_address("192.0.2.1"), 5060)
    assert (made.destination, made.destination_port) == (ip_address("192.0.2.2"), 5061)
    assert made.time == (1_795_493_971, 1)
    assert made.payload == homer5_payload(REQUEST)
    assert made.correlation_id == "MICORR"


def test_a_time_just_below_a_second_does_not_get_a_million_microseconds():
    assert mi_packet(event(time=99.999_999_9)).time == (100, 0)


def test_an_address_that_is_no_ip_address_is_written_as_nowhere():
    made = mi_packet(event(source=("/run/client.sock", 7), destination=NOWHERE))

    assert (str(made.source), made.source_port) == ("127.0.0.1", 0)
    assert (str(made.destination), made.destination_port) == ("127.0.0.1", 0)


def test_addresses_of_two_families_are_both_written_as_ipv6():
    made = mi_packet(event(source=("2001:db8::1", 5060)))

    assert str(made.source) == "2001:db8::1"
    assert made.destination == ip_address("::ffff:192.0.2.2")
    assert decode(encode(made)) == made
