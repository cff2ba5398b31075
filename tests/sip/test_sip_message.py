"""A message keeps its bytes, is read on demand, and shows its edits only when it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Limits, Message, SipSyntaxError, dummy_message
from miscript.sip.headers import plain_lines, scan_headers

INVITE = (
    b"INVITE sip:bob@example.com SIP/2.0\r\n"
    b"v: SIP/2.0/UDP a;branch=z9hG4bK1\r\n"
    b"Via: SIP/2.0/UDP b;branch=z9hG4bK2, SIP/2.0/UDP c\r\n"
    b'f: "A" <sip:a@h>;tag=7\r\n'
    b"To: <sip:b@h>\r\n"
    b"Subject: one\r\n\t two  \r\n"
    b"i:  x@y\r\n"
    b"CSeq: 10 INVITE\r\n"
    b"this line is wrong\r\n"
    b"l: 4\r\n"
    b"\r\n"
    b"bodyand more"
)


def test_the_message_of_the_startup_route() -> None:
    message = dummy_message()
    assert len(message) == 175
    assert message.is_request
    assert (message.method, message.uri, message.status) == ("DUMMY", "sip:user@dummy.com", None)
    assert [field.name for field in message.fields] == ["Via", "To", "From", "Call-ID", "CSeq"]
    assert (message.call_id, message.cseq, message.body) == ("dummy-1", (1, "DUMMY"), b"")
    assert message.from_ is not None and message.from_.tag == "1"
    assert message.to is not None and message.to.uri == "sip:to@dummy.com"


def test_header_fields_are_found_by_long_and_compact_names() -> None:
    message = Message.parse(INVITE)
    assert message.headers("Via") == ["SIP/2.0/UDP a;branch=z9hG4bK1", "SIP/2.0/UDP b;branch=z9hG4bK2, SIP/2.0/UDP c"]
    assert message.header("V", -1) == message.header("via", 1)
    assert message.header("via", 2) is None and message.header("via", -3) is None
    assert message.header("FROM") == '"A" <sip:a@h>;tag=7'
    assert message.call_id == "x@y"
    assert [via.host for via in message.vias] == ["a", "b", "c"]
    assert message.cseq == (10, "INVITE")


def test_a_folded_field_is_one_line() -> None:
    assert Message.parse(INVITE).header("Subject") == "one two"


def test_the_body_ends_where_content_length_says() -> None:
    message = Message.parse(INVITE)
    assert message.body == b"body"
    assert not message.is_truncated
    assert Message.parse(INVITE.replace(b"l: 4", b"l: 40")).is_truncated
    assert Message.parse(INVITE.replace(b"l: 4", b"l: x")).body == b"bodyand more"


def test_a_response_has_a_status() -> None:
    message = Message.parse(b"SIP/2.0 180 Ringing now\r\nCSeq: 1 INVITE\r\n\r\n")
    assert (message.status, message.reason, message.method, message.uri) == (180, "Ringing now", None, None)
    assert not message.is_request
    with pytest.raises(ValueError):
        message.uri = "sip:a@b"


def test_edits_show_only_when_the_message_is_written() -> None:
    message = dummy_message()
    message.append_hf("X-Test: 1\r\n")
    message.append_hf("First: 1", before=message.fields[0])
    assert message.remove_hf("From") == 1
    assert message.remove_hf("Nope") == 0
    assert message.header("X-Test") is None and message.header("From") is not None
    written = Message.parse(message.to_bytes())
    assert [field.name for field in written.fields] == ["First", "Via", "To", "Call-ID", "CSeq", "X-Test"]
    assert len(message) == 175


def test_a_message_without_edits_is_written_as_it_came() -> None:
    message = Message.parse(INVITE)
    assert message.to_bytes() is INVITE
    assert not message.is_edited


def test_a_new_request_uri_is_seen_at_once() -> None:
    message = dummy_message()
    message.uri = "sip:x@y"
    assert (message.uri, message.original_uri) == ("sip:x@y", "sip:user@dummy.com")
    assert message.to_bytes().startswith(b"DUMMY sip:x@y SIP/2.0\r\nVia:")
    message.uri = None
    assert message.to_bytes() == dummy_message().data
    with pytest.raises(SipSyntaxError):
        message.uri = "sip:a@b SIP/2.0\r\nX: 1"


@pytest.mark.parametrize("text", ["", "no colon", "X: 1\r\n\r\nbody", "X: 1\r\n folded\r\nno", "X: 1\rY: 2", " X: 1"])
def test_appended_text_must_be_header_fields(text: str) -> None:
    message = dummy_message()
    with pytest.raises(SipSyntaxError):
        message.append_hf(text)
    assert not message.is_edited


def test_several_fields_can_be_appended_at_once() -> None:
    message = dummy_message()
    message.append_hf("A: 1\r\n  more\nB: 2\r\n")
    written = Message.parse(message.to_bytes())
    assert (written.header("A"), written.header("B")) == ("1 more", "2")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n\r\n",
        b"INVITE sip:a@b SIP/2.0",
        b"INVITE sip:a@b SIP/2.0\r\nTo: x\r\n",
        b"INVITE  sip:a@b SIP/2.0\r\n\r\n",
        b"INVITE sip:a@b\r\n\r\n",
        b"SIP/2.0 99 x\r\n\r\n",
        b"SIP/2.0 200 O\rK\r\n\r\n",
    ],
)
def test_what_is_no_message_is_refused(data: bytes) -> None:
    with pytest.raises(SipSyntaxError):
        Message.parse(data)


def test_a_message_may_have_no_header_fields_and_bare_newlines() -> None:
    assert Message.parse(b"\r\n\r\nINVITE sip:a@b SIP/2.0\r\n\r\nbody").body == b"body"
    assert Message.parse(b"INVITE sip:a@b SIP/2.0\nTo: x\n\nbody").header("To") == "x"


def test_sizes_and_counts_have_limits() -> None:
    Message.parse(INVITE, Limits(message=len(INVITE), header_lines=11))
    for limits in (Limits(message=len(INVITE) - 1), Limits(header_lines=10), Limits(start_line=20)):
        with pytest.raises(SipSyntaxError):
            Message.parse(INVITE, limits)


lines = st.lists(
    st.sampled_from(
        [
            b"INVITE sip:a@b SIP/2.0",
            b"SIP/2.0 200 OK",
            b"To: x",
            b"To",
            b" fold",
            b"l: 3",
            b"",
            b"\r",
            b":",
            b"\xff: \xfe",
        ]
    ),
    max_size=9,
).map(b"\r\n".join)


pieces = st.lists(
    st.sampled_from(
        [
            b"To",
            b"v",
            b":",
            b" ",
            b"\t",
            b"x",
            b"\r\n",
            b"\n",
            b"\r",
            b"\x0b",
            b"\x1f",
            b"\xc3\xa4",
            b"a: b\r\n",
            b"Via:c ; d",
        ]
    ),
    max_size=12,
).map(b"".join)


@given(pieces, pieces)
def test_header_fields_are_the_same_whether_searched_at_once_or_one_by_one(front: bytes, data: bytes) -> None:
    data = front + data
    for section in (data, data + b"a: b\r\n", data + b"\r\n\r\n", b"x: y\r\n" * 3 + data + b"\r\n"):
        lines = plain_lines(b"__" + section + b"_", 2, len(section) + 2)
        if lines is not None:
            found = list(scan_headers(section, 0, len(section)))
            assert [line[:2] for line in lines] == [(field.key, field.value) for field in found]
            assert [len(line) + 2 for _, _, line in lines] == [field.end - field.start for field in found]


@given(lines | st.binary(max_size=60))
def test_any_bytes_are_a_message_or_a_syntax_error(data: bytes) -> None:
    try:
        message = Message.parse(data)
    except SipSyntaxError as error:
        assert 0 <= error.position <= max(len(data), 65536)
        return
    assert message.to_bytes() == data
    for field in message.fields:
        assert data[field.start : field.end].startswith(field.name.encode("utf-8", "surrogateescape"))
    message.append_hf("X-New: 1")
    before = message.headers("X-New")
    assert Message.parse(message.to_bytes()).headers("X-New") == [*before, "1"]
    assert Message.parse(message.to_bytes()).body[:3] == message.body[:3]
