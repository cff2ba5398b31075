"""Which of our sockets a request is sent from: the one that is wanted, the one by the route, the one it came to."""

from __future__ import annotations

import logging
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from miscript.host.sending_sockets import SendingSockets
from miscript.host.sip_network import SystemNetwork
from miscript.sip import Message
from miscript.sip.sockets import ListeningSocket, Target
from miscript.testing import MemoryNetwork, RunningScript
from sipp_calls import free_port, proxy

INSIDE = ListeningSocket("udp", "10.0.0.9", 5060)
OUTSIDE = ListeningSocket("udp", "192.0.2.9", 5060)
BESIDE = ListeningSocket("udp", "192.0.2.9", 5080)
SIX = ListeningSocket("udp", "2001:db8::9", 5060)
STREAM = ListeningSocket("tcp", "192.0.2.9", 5060)
BOB = Target("udp", "192.0.2.1", 5060)
CAROL = Target("udp", "10.0.0.1", 5060)


@pytest.fixture
def sending() -> SendingSockets:
    network = MemoryNetwork()
    network.sources = {"192.0.2.1": "192.0.2.9", "10.0.0.1": "10.0.0.9", "203.0.113.1": "203.0.113.9"}
    made = SendingSockets(network)
    made.sockets = (INSIDE, OUTSIDE, BESIDE, SIX, STREAM)
    return made


def test_without_mhomed_it_is_the_one_that_the_message_came_to_or_the_first(sending: SendingSockets):
    assert sending.choose(BOB) == INSIDE
    assert sending.choose(BOB, came_to=OUTSIDE) == OUTSIDE
    assert sending.choose(BOB, forced=BESIDE, came_to=OUTSIDE) == BESIDE
    assert sending.choose(BOB, forced=STREAM, came_to=SIX) == INSIDE
    assert sending.choose(Target("udp", "2001:db8::1", 5060), came_to=INSIDE) == SIX
    assert sending.choose(Target("tls", "192.0.2.1", 5061), came_to=INSIDE) is None


def test_mhomed_chooses_by_the_route_to_the_destination(sending: SendingSockets):
    sending.by_route = True
    assert sending.choose(BOB) == OUTSIDE
    assert sending.choose(BOB, came_to=INSIDE) == OUTSIDE
    assert sending.choose(CAROL, came_to=OUTSIDE) == INSIDE
    assert sending.choose(BOB, forced=INSIDE) == INSIDE
    assert sending.choose(Target("tcp", "192.0.2.1", 5060), came_to=INSIDE) == STREAM


def test_of_several_ports_at_an_address_the_one_that_the_message_came_to_counts(sending: SendingSockets):
    sending.by_route = True
    assert sending.choose(BOB, came_to=BESIDE) == BESIDE


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("203.0.113.1", "203.0.113.1 is reached from 203.0.113.9, where there is no socket"),
        ("198.51.100.1", "there is no route to 198.51.100.1"),
    ],
)
def test_where_no_socket_is_the_usual_one_sends_and_it_is_told_once(
    sending: SendingSockets, caplog: pytest.LogCaptureFixture, address: str, says: str
):
    sending.by_route = True
    with caplog.at_level(logging.WARNING):
        assert [sending.choose(Target("udp", address, 5060), came_to=OUTSIDE) for _ in range(3)] == [OUTSIDE] * 3
    assert [record.getMessage() for record in caplog.records] == [f"mhomed: {says}"]


def test_a_socket_for_all_addresses_sends_everywhere(sending: SendingSockets, caplog: pytest.LogCaptureFixture):
    sending.by_route, sending.sockets = True, (ListeningSocket("udp", "0.0.0.0", 5060, "192.0.2.9"),)
    with caplog.at_level(logging.WARNING):
        assert sending.choose(BOB) == sending.sockets[0]
    assert not caplog.records


def test_the_system_knows_where_it_sends_from():
    network = SystemNetwork()
    assert network.source(Target("udp", "127.0.0.1", 5060)) == "127.0.0.1"
    assert network.source(Target("udp", "255.255.255.255", 5060)) is None  # nobody may send there


SCRIPT = """
log_level=1
{mhomed}
socket=udp:{inside}
socket=udp:{outside}
{loads}
route {{ record_route(); t_relay(); }}
"""
LOADS = "\n".join(f'loadmodule "{name}.so"' for name in ("proto_udp", "sl", "signaling", "tm", "rr"))


def invite(uri: str, address: str) -> str:
    return (
        f"INVITE {uri} SIP/2.0\r\nVia: SIP/2.0/UDP {address};branch=z9hG4bKone\r\nMax-Forwards: 70\r\n"
        "From: <sip:alice@a.test>;tag=a\r\nTo: <sip:bob@b.test>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n"
        "Content-Length: 0\r\n\r\n"
    )


@pytest.mark.parametrize(
    ("mhomed", "via", "routes"),
    [
        ("mhomed=yes", "192.0.2.9", ["<sip:192.0.2.9:5060;r2=on;lr;ftag=a>", "<sip:10.0.0.9:5060;r2=on;lr;ftag=a>"]),
        ("mhomed=no", "10.0.0.9", ["<sip:10.0.0.9:5060;lr;ftag=a>"]),
    ],
)
def test_a_call_from_one_network_to_another_records_both_sockets(mhomed: str, via: str, routes: list[str]):
    network = MemoryNetwork()
    network.sources["192.0.2.1"] = "192.0.2.9"
    text = SCRIPT.format(mhomed=mhomed, inside="10.0.0.9:5060", outside="192.0.2.9:5060", loads=LOADS)
    with RunningScript(text, network=network) as script:
        alice, bob = network.peer("udp:10.0.0.1:5060"), network.peer("udp:192.0.2.1:5060")
        alice.send(invite("sip:bob@192.0.2.1", "10.0.0.1"), "10.0.0.9", 5060)
        script.settle()
        (request,) = bob.take()
        assert request.first_via is not None
        assert (request.first_via.host, request.headers("Record-Route")) == (via, routes)


@pytest.fixture
def phones() -> Iterator[list[socket.socket]]:
    made = [socket.socket(socket.AF_INET, socket.SOCK_DGRAM) for _ in range(2)]
    for each in made:
        each.bind(("127.0.0.1", 0))
        each.settimeout(10)
    yield made
    for each in made:
        each.close()


@pytest.mark.e2e
def test_packets_leave_by_the_socket_at_the_address_of_the_route(tmp_path: Path, phones: list[socket.socket]):
    """From any address of the loopback, others of it are reached from 127.0.0.1."""
    (alice, bob), port, other = phones, free_port(), free_port()
    inside, outside = f"127.0.0.9:{other}", f"127.0.0.1:{port}"
    text = SCRIPT.format(mhomed="mhomed=1", inside=inside, outside=outside, loads=LOADS)
    with proxy(text, tmp_path, port) as running:
        target = f"sip:bob@127.0.0.1:{bob.getsockname()[1]}"
        own = f"127.0.0.1:{alice.getsockname()[1]}"
        alice.sendto(invite(target, own).encode(), ("127.0.0.9", other))
        data, source = bob.recvfrom(65535)
        message = Message.parse(data)
        assert source == ("127.0.0.1", port)
        assert message.headers("Record-Route") == [
            f"<sip:{outside};r2=on;lr;ftag=a>",
            f"<sip:{inside};r2=on;lr;ftag=a>",
        ]
    assert "Traceback" not in running.log
