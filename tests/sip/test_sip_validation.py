"""What RFC 3261 asks of a message, and the codes for what is missing or wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Message, SipSyntaxError
from miscript.sip.received import Received
from miscript.sip.sockets import parse_socket
from miscript.sip.validation import first_finding

REQUEST = """\
INVITE sip:bob@example.com SIP/2.0
Via: SIP/2.0/UDP a.example;branch=z9hG4bK1
From: <sip:alice@example.com>;tag=1
To: <sip:bob@example.com>
Call-ID: 1
CSeq: 1 INVITE
Max-Forwards: 70
Contact: <sip:alice@10.0.0.1>
Content-Length: {length}
{more}
{body}"""
SDP = "v=0\r\no=a 1 1 IN IP4 1.1.1.1\r\nc=IN IP4 1.1.1.1\r\nm=audio 1 RTP/AVP 0\r\n"


def request(old="", new="", *, body="", more="", length=None):
    text = REQUEST.replace(old, new) if old else REQUEST
    text = text.format(length=len(body) if length is None else length, more=more, body="@")
    head = text.replace("\n", "\r\n").removesuffix("@")
    return Message.parse(head.encode() + body.encode())


def code(message, flags="srhftc"):
    finding = first_finding(message, flags)
    return 1 if finding is None else finding.code


def test_a_good_request_has_no_finding():
    assert code(request()) == 1
    assert code(request(body=SDP, more="Content-Type: application/sdp\n")) == 1


@pytest.mark.parametrize(
    ("old", "new", "flags", "expected"),
    [
        ("Call-ID:", "X:", "", -3),
        ("CSeq:", "X:", "", -7),
        ("From:", "X:", "", -8),
        ("To:", "X:", "", -9),
        ("Via:", "X:", "", -10),
        ("INVITE sip:", "INVITE zzz:", "r", -11),
        ("INVITE sip:", "INVITE zzz:", "", 1),
        ("bob@example.com SIP", "bob@exa_mple.com SIP", "r", -12),
        ("bob@example.com SIP", "bob@exa!mple.com SIP", "r", -12),
        ("bob@example.com SIP", "b<>b@example.com SIP", "r", -27),
        ("Max-Forwards: 70\n", "", "", -13),
        ("Max-Forwards: 70\n", "", "m", 1),
        ("Max-Forwards: 70", "Max-Forwards: x", "h", -2),
        ("1 INVITE", "x INVITE", "h", -2),
        ("Contact: <sip:alice@10.0.0.1>\n", "", "c", -14),
        ("Contact: <sip:alice@10.0.0.1>\n", "", "", 1),
        ("Contact: <", "Path: <", "", -15),
        ("To: <sip:", "To: <zzz:", "t", -22),
        ("To: <sip:bob@example.com", "To: <sip:bob@[::1]", "t", 1),
        ("To: <sip:bob@example.com", "To: <sip:bob@a_b", "t", -23),
        ("To: <sip:bob@", "To: <sip:b<b@", "t", -22),
        ("From: <sip:", "From: <", "f", -24),
        ("alice@example.com", "alice@a_b", "f", -25),
        ("alice@example.com", 'a"b@example.com', "f", -28),
        ("<sip:alice@10.0.0.1>", "<zzz", "h", -2),
        ("<sip:alice@10.0.0.1>", "<zzz:a>", "c", -26),
        ("<sip:alice@10.0.0.1>", "*", "c", -30),
        ("<sip:alice@10.0.0.1>", "*", "h", 1),
    ],
)
def test_each_thing_that_is_wrong_has_its_code(old, new, flags, expected):
    assert code(request(old, new), flags) == expected


def test_lengths_types_and_descriptions_are_looked_at():
    assert code(request(body="x", length=5)) == -5
    assert code(request(body="x", length=0)) == -5
    assert code(request("Content-Length: {length}\n", "")) == 1
    assert code(request(body="x")) == -21
    bad = request(body="v=1\r\n", more="Content-Type: application/sdp\n")
    assert (code(bad), code(bad, "")) == (-6, 1)


@pytest.mark.parametrize(("expires", "expected"), [("0", 1), ("10", -30)])
def test_a_register_may_remove_all_contacts(expires, expected):
    text = REQUEST.replace("INVITE", "REGISTER").replace("<sip:alice@10.0.0.1>", f"*\nExpires: {expires}")
    message = Message.parse(text.format(length=0, more="", body="").replace("\n", "\r\n").encode())
    assert code(message, "c") == expected


@pytest.mark.parametrize(
    ("status", "field", "expected"),
    [(405, "Allow", -16), (423, "Min-Expires", -17), (407, "Proxy-Authenticate", -18), (420, "Unsupported", -19),
     (401, "WWW-Authenticate", -20)],
)  # fmt: skip
def test_replies_need_what_makes_them_useful(status, field, expected):
    head = (
        f"SIP/2.0 {status} x\r\nVia: SIP/2.0/UDP a\r\nFrom: <sip:a@b>\r\nTo: <sip:a@b>\r\nCall-ID: 1\r\n"
        "CSeq: 1 INVITE\r\nContent-Length: 0\r\n"
    )
    assert code(Message.parse(f"{head}\r\n".encode())) == expected
    assert code(Message.parse(f"{head}{field}: 1\r\n\r\n".encode())) == 1


def test_a_stream_needs_a_content_length():
    message = request("Content-Length: {length}\n", "")
    assert code(message) == 1
    message.received = Received(("10.0.0.1", 5060), ("10.0.0.2", 5060), parse_socket("tcp:10.0.0.2:5060"))
    assert code(message) == -4


some_lines = st.lists(st.sampled_from(REQUEST.splitlines()) | st.text(max_size=20), max_size=12)


@given(some_lines, st.text("srhftcm", max_size=7))
def test_any_message_has_a_finding_or_none(lines, flags):
    text = "\r\n".join(["REGISTER sip:a SIP/2.0", *lines, "", ""])
    try:
        message = Message.parse(text.encode("utf-8", "surrogatepass"))
    except SipSyntaxError:
        return
    assert code(message, flags) == 1 or code(message, flags) < 0
