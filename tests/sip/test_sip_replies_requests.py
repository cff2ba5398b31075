"""Replies built from requests, requests passed on, ACK and CANCEL of the same hop, sockets by name."""

import pytest

from miscript.sip import Message, SipSyntaxError
from miscript.sip.branch import Branch
from miscript.sip.received import Received
from miscript.sip.replies import make_reply, marked_via, next_target, passed_back, reply_target
from miscript.sip.requests import make_ack, make_cancel, make_request, passed_on, via_line
from miscript.sip.sockets import ListeningSocket, Target, parse_socket, split_host
from miscript.sip.wishes import ViaWishes

UDP = ListeningSocket("udp", "10.0.0.9", 5060)
TCP = ListeningSocket("tcp", "10.0.0.9", 5060)


def invite(via="SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKa", more="", source=("10.0.0.1", 5062), socket=UDP):
    text = (
        f"INVITE sip:bob@example.com SIP/2.0\r\nVia: {via}\r\nVia: SIP/2.0/UDP 10.0.0.7;branch=z9hG4bKold\r\n"
        "Record-Route: <sip:10.0.0.7;lr>\r\nRoute: <sip:10.0.0.8;lr>\r\nf: <sip:alice@example.com>;tag=1\r\n"
        f"To: <sip:bob@example.com>\r\nCall-ID: a@b\r\nCSeq: 3 INVITE\r\nTimestamp: 5\r\n{more}\r\n"
    )
    message = Message.parse(text.encode())
    message.received = Received(source, ("10.0.0.9", 5060), socket)
    return message


def names(data):
    return [field.name for field in Message.parse(data).fields]


def test_a_reply_has_what_ties_it_to_its_request():
    reply = make_reply(invite(), 180, "Ringing", to_tag="x", headers=["Contact: <sip:us>\r\n"], server="miscript")
    message = Message.parse(reply)
    assert names(reply) == [
        "Via", "Via", "Record-Route", "f", "To", "Call-ID", "CSeq", "Contact", "Server", "Content-Length",
    ]  # fmt: skip
    assert message.to.tag == "x"
    assert message.header("Via", 1) == "SIP/2.0/UDP 10.0.0.7;branch=z9hG4bKold"


def test_a_100_has_no_tag_and_a_negative_reply_no_route():
    trying = Message.parse(make_reply(invite(), 100, "Trying", to_tag="x"))
    assert trying.to.tag is None
    assert trying.header("Timestamp") == "5"
    assert Message.parse(make_reply(invite(), 404, "No", to_tag="x")).header("Record-Route") is None


@pytest.mark.parametrize(
    ("via", "source", "marked", "port"),
    [
        ("SIP/2.0/UDP 10.0.0.1:5062;branch=b", ("10.0.0.1", 7), "SIP/2.0/UDP 10.0.0.1:5062;branch=b", 5062),
        ("SIP/2.0/UDP host;branch=b", ("10.0.0.1", 7), "SIP/2.0/UDP host;branch=b;received=10.0.0.1", 5060),
        (
            "SIP/2.0/UDP 10.0.0.2;rport;branch=b",
            ("10.0.0.1", 7),
            "SIP/2.0/UDP 10.0.0.2;rport=7;branch=b;received=10.0.0.1",
            7,
        ),
        ("SIP/2.0/UDP [2001:db8::1]:9;branch=b", ("2001:db8::1", 7), "SIP/2.0/UDP [2001:db8::1]:9;branch=b", 9),
    ],
)
def test_the_receiver_marks_the_via_and_answers_to_the_port_that_it_names(via, source, marked, port):
    message = invite(via, source=source)
    assert str(marked_via(message)[0]) == marked
    assert reply_target(message) == Target("udp", source[0], port)


def test_a_script_can_answer_to_the_port_that_a_request_came_from():
    message = invite()
    message.received = Received(("10.0.0.1", 40000), ("10.0.0.9", 5060), UDP)
    message.via_wishes = ViaWishes(rport=True)
    assert reply_target(message) == Target("udp", "10.0.0.1", 40000)
    assert marked_via(message)[0].rport == "40000"


def test_a_request_passed_on_has_our_via_on_top_and_the_path_of_its_branch():
    branch = Branch("sip:bob@10.1.1.1", path="<sip:10.2.2.2;lr>")
    sent = Message.parse(passed_on(invite(source=("10.0.0.5", 1)), branch, via_line(UDP, "z9hG4bKnew"), UDP))
    assert sent.uri == "sip:bob@10.1.1.1"
    assert sent.headers("Via")[:2] == [
        "SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKnew",
        "SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bKa;received=10.0.0.5",
    ]
    assert sent.headers("Route") == ["<sip:10.2.2.2;lr>", "<sip:10.0.0.8;lr>"]


def test_several_vias_in_one_field_keep_their_order():
    message = invite(
        "SIP/2.0/UDP 10.0.0.1;branch=z9hG4bKa, SIP/2.0/UDP 10.0.0.6;branch=z9hG4bKb", source=("1.1.1.1", 2)
    )
    sent = Message.parse(passed_on(message, Branch(), via_line(UDP, "z9hG4bKnew"), UDP))
    assert [via.branch for via in sent.vias] == ["z9hG4bKnew", "z9hG4bKa", "z9hG4bKb", "z9hG4bKold"]
    assert sent.vias[1].received == "1.1.1.1"


def test_a_request_gets_the_length_that_a_stream_needs():
    sent = Message.parse(passed_on(invite(socket=TCP), Branch(), via_line(TCP, "z9hG4bKn"), TCP, reliable=True))
    assert sent.content_length == 0


@pytest.mark.parametrize("second", ["\r\nVia: ", ", "])
def test_a_reply_loses_its_first_via_and_goes_where_the_second_says(second):
    text = (
        f"SIP/2.0 200 OK\r\nVia: SIP/2.0/UDP us;branch=z9hG4bKn{second}"
        "SIP/2.0/TCP host:9;branch=z9hG4bKa;received=10.0.0.5;rport=77\r\nCSeq: 1 BYE\r\n\r\n"
    )
    reply = Message.parse(text.encode())
    assert next_target(reply) == Target("tcp", "10.0.0.5", 77)
    assert [via.host for via in Message.parse(passed_back(reply)).vias] == ["host"]


@pytest.mark.parametrize("via", ["SIP/2.0/UDP us;branch=1", "SIP/2.0/UDP us;branch=1, SIP/2.0/UDP name.example"])
def test_a_reply_that_names_nobody_to_pass_it_to_goes_nowhere(via):
    assert next_target(Message.parse(f"SIP/2.0 200 OK\r\nVia: {via}\r\n\r\n".encode())) is None


def test_ack_and_cancel_share_the_first_via_route_and_number_of_their_invite():
    sent = passed_on(invite(), Branch("sip:bob@10.1.1.1"), via_line(UDP, "z9hG4bKnew"), UDP)
    busy = Message.parse(make_reply(Message.parse(sent), 486, "Busy", to_tag="theirs"))
    ack, cancel = Message.parse(make_ack(sent, busy)), Message.parse(make_cancel(sent, ["Reason: SIP\r\n"]))
    for made, method in ((ack, "ACK"), (cancel, "CANCEL")):
        assert made.method == method
        assert made.uri == "sip:bob@10.1.1.1"
        assert [via.branch for via in made.vias] == ["z9hG4bKnew"]
        assert made.cseq == (3, method)
        assert made.headers("Route") == ["<sip:10.0.0.8;lr>"]
    assert ack.to.tag == "theirs"
    assert cancel.to.tag is None
    assert cancel.header("Reason") == "SIP"


def test_a_new_request_cannot_be_broken_by_its_parts():
    parts = {"via": "SIP/2.0/UDP h;branch=z9hG4bK1", "from_": "<sip:a@b>;tag=1", "to": "<sip:c@d>", "call_id": "x"}
    made = Message.parse(make_request("MESSAGE", "sip:c@d", **parts, headers="X: 1\r\n", body=b"hi"))
    assert (made.method, made.body, made.cseq, made.header("Max-Forwards")) == ("MESSAGE", b"hi", (1, "MESSAGE"), "70")
    for wrong in ({"from_": "<sip:a@b>\r\nX: y"}, {"call_id": "a\nb"}):
        with pytest.raises(SipSyntaxError):
            make_request("MESSAGE", "sip:c@d", **{**parts, **wrong})
    for method, uri in (("A B", "sip:c@d"), ("OPTIONS", "sip:c@d SIP/2.0\r\nX:"), ("", "sip:c@d")):
        with pytest.raises(SipSyntaxError):
            make_request(method, uri, **parts)


def test_sockets_are_read_as_scripts_write_them():
    assert parse_socket("udp:127.0.0.1:5070") == ListeningSocket("udp", "127.0.0.1", 5070)
    assert parse_socket("TCP:*") == ListeningSocket("tcp", "0.0.0.0", 5060)
    told = parse_socket("udp:[::1]:5060", [("as", "proxy.example:5080"), ("tag", "in")])
    assert (told.address, told.host, told.told_port, told.tag) == ("::1", "proxy.example", 5080, "in")
    assert str(told) == "udp:[::1]:5060"
    assert split_host("[::1]:70") == ("::1", 70)
    assert split_host("::1") == ("::1", None)
    for wrong in ("127.0.0.1", "udp:", "xx:1.1.1.1", "udp:1.1.1.1:99999"):
        with pytest.raises(ValueError, match=r"'"):
            parse_socket(wrong)


@pytest.mark.parametrize(
    ("reason", "wanted"),
    [
        ("x\r\nX-Forged: 1", "x X-Forged: 1"),
        ("a\nb\rc\0d", "a b c d"),
        ("\r\n\r\nbody", " body"),
        ("Grüße\t!", "Grüße\t!"),
    ],
)
def test_a_reason_with_line_ends_becomes_no_header_field(reason, wanted):
    """Scripts may take it from what the network sends."""
    reply = Message.parse(make_reply(invite(), 404, reason, headers=("X: 1\r\n",)))
    assert (reply.status, reply.reason, reply.header("X-Forged"), reply.header("X")) == (404, wanted, None, "1")
