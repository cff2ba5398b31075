"""The modules sipmsgops and textops: questions about messages, header fields added and removed."""

from __future__ import annotations

import pytest

from miscript.modules.sipmsgops import SipMsgOps
from miscript.modules.textops import TextOps
from miscript.script.posix_regex import compile_pattern
from miscript.sip.message import Message, dummy_message
from module_services import module_services, new_run

INVITE = Message.parse(
    b"INVITE sip:+4930123@example.com SIP/2.0\r\n"
    b"v: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\n"
    b"f: <sip:alice@example.com>;tag=1\r\n"
    b"To: <sip:bob@example.com>;tag=2\r\n"
    b"Call-ID: 1\r\n"
    b"CSeq: 7 INVITE\r\n"
    b"Supported: timer, 100rel\r\n"
    b"Privacy: id; header\r\n"
    b"X-Billing-Account: 4\r\n"
    b"x-billing-rate: 5\r\n"
    b"Content-Type: application/sdp;charset=utf-8\r\n"
    b"Content-Length: 5\r\n"
    b"\r\n"
    b"v=0\r\n"
)
RINGING = Message.parse(b"SIP/2.0 180 Ringing\r\nTo: <sip:b@c>\r\nCSeq: 7 INVITE\r\n\r\n")


@pytest.fixture
def ops() -> SipMsgOps:
    return SipMsgOps(module_services())


def fresh() -> Message:
    return Message.parse(INVITE.data)


def test_the_dummy_message_answers_as_in_the_server(ops: SipMsgOps) -> None:
    run = new_run(dummy_message())
    assert (ops.is_method(run, "INVITE"), ops.is_method(run, "DUMMY"), ops.has_totag(run)) == (-1, 1, -1)
    assert (ops.is_present_hf(run, "From"), ops.is_present_hf(run, "Subject"), ops.has_body(run)) == (1, -1, -1)
    assert (ops.append_hf(run, "X-Test: 1\r\n"), ops.remove_hf(run, "From"), ops.remove_hf(run, "Nope")) == (1, 1, -1)


def test_methods_are_compared_without_case_and_replies_by_their_cseq(ops: SipMsgOps) -> None:
    assert ops.is_method(new_run(INVITE), "ack|invite") == 1
    assert ops.is_method(new_run(RINGING), "INVITE") == 1
    assert ops.is_method(new_run(RINGING), "BYE") == -1


def test_headers_are_found_by_both_of_their_names(ops: SipMsgOps) -> None:
    run = new_run(INVITE)
    assert [ops.is_present_hf(run, name) for name in ("Via", "v", "from", "t", "Subject")] == [1, 1, 1, 1, -1]


def test_tags_bodies_options_and_privacy_are_found(ops: SipMsgOps) -> None:
    run = new_run(INVITE)
    assert ops.has_totag(run) == 1
    assert ops.has_totag(new_run(RINGING)) == -1
    assert [ops.has_body(run, mime) for mime in (None, "application/SDP", "text/plain")] == [1, 1, -1]
    assert [ops.list_hdr_has_option(run, "k", option) for option in ("100rel", "rel")] == [1, -1]
    assert [ops.is_privacy(run, kind) for kind in ("id", "HEADER", "session")] == [1, 1, -1]


@pytest.mark.parametrize(
    ("uri", "code"),
    [("sip:+4930123@a", 1), ("sip:4930123@a", -1), ("sip:+0123@a", -1), ("sip:+1234567890123456@a", -1), ("no", -1)],
)
def test_telephone_numbers_are_recognised(ops: SipMsgOps, uri: str, code: int) -> None:
    assert ops.is_uri_user_e164(new_run(), uri) == code


def test_fields_are_added_where_they_are_wanted(ops: SipMsgOps) -> None:
    message = fresh()
    run = new_run(message)
    assert ops.append_hf(run, "X-Last: 1\r\n") == 1
    assert ops.append_hf(run, "X-After-To: 1\r\n", "To") == 1
    assert ops.insert_hf(run, "X-First: 1\r\n") == 1
    assert ops.insert_hf(run, "X-Before-To: 1\r\n", "t") == 1
    assert ops.append_urihf(run, "X-Uri: ", "\r\n") == 1
    lines = message.to_bytes().split(b"\r\n\r\n")[0].split(b"\r\n")
    assert lines[1] == b"X-First: 1"
    assert lines[lines.index(b"To: <sip:bob@example.com>;tag=2") - 1] == b"X-Before-To: 1"
    assert lines[lines.index(b"To: <sip:bob@example.com>;tag=2") + 1] == b"X-After-To: 1"
    assert lines[-2:] == [b"X-Last: 1", b"X-Uri: sip:+4930123@example.com"]


def test_text_that_would_end_the_headers_is_refused(ops: SipMsgOps) -> None:
    message = fresh()
    assert ops.append_hf(new_run(message), "X-A: 1\r\n\r\nbody") == -1
    assert not message.is_edited


def test_fields_are_removed_by_pattern(ops: SipMsgOps) -> None:
    message = fresh()
    run = new_run(message)
    assert ops.remove_hf_glob(run, "X-Billing*") == 1
    assert ops.remove_hf_re(run, compile_pattern("^priv", True)) == 1
    assert ops.remove_hf_glob(run, "X-None*") == -1
    assert ops.remove_hf_glob(run, "*" * 1000) == -1
    written = message.to_bytes().lower()
    assert b"x-billing" not in written and b"privacy" not in written and b"supported" in written


def test_without_a_message_everything_fails(ops: SipMsgOps) -> None:
    run = new_run()
    codes = (
        ops.is_method(run, "INVITE"),
        ops.has_totag(run),
        ops.is_present_hf(run, "To"),
        ops.has_body(run),
        ops.is_privacy(run, "id"),
        ops.list_hdr_has_option(run, "Supported", "x"),
        ops.append_hf(run, "A: b"),
        ops.insert_hf(run, "A: b"),
        ops.append_urihf(run, "A: ", ""),
        ops.remove_hf(run, "To"),
        ops.remove_hf_glob(run, "*"),
    )
    assert set(codes) == {-1}


def test_patterns_are_looked_for_in_the_message_and_in_its_body() -> None:
    ops, run = TextOps(module_services()), new_run(INVITE)
    alice, version = compile_pattern("ALICE", True), compile_pattern("v=0", True)
    assert (ops.search(run, alice), ops.search_body(run, alice)) == (1, -1)
    assert (ops.search(run, version), ops.search_body(run, version)) == (1, 1)
    assert ops.search(new_run(), alice) == -1
