"""A proxy that answers challenges inside calls, with real sockets, a database, and a restart between two requests."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from kept_tables import make_tables
from miscript.sip import Message
from miscript.sip.digest_response import Algorithm, Credentials, plain_ha1
from miscript.sip.replies import make_reply
from miscript.values import encode
from sipp_calls import free_port, proxy

pytestmark = pytest.mark.e2e

SOON = 10.0
"""Seconds after which a phone gives up waiting."""

SCRIPT = """
log_level=1
xlog_level=3
socket=udp:127.0.0.1:{port}
loadmodule "proto_udp.so"
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "sipmsgops.so"
loadmodule "uac_auth.so"
loadmodule "uac.so"
modparam("uac_auth", "credential", "carol:office:secret")
{dialog}
route {{
    if (has_totag()) {{
        if (is_method("ACK") && t_check_trans()) {{ t_relay(); exit; }}
        loose_route();
        t_on_failure("challenged");
        t_relay();
        exit;
    }}
    {create}
    record_route();
    t_on_failure("challenged");
    $ru = "sip:bob@127.0.0.1:{callee}";
    t_relay();
}}
failure_route[challenged] {{
    if (t_check_status("401|407") && uac_auth()) t_relay();
}}
"""
DIALOG = """
loadmodule "db_sqlite.so"
loadmodule "dialog.so"
modparam("dialog", "db_url", "{url}")
modparam("dialog", "db_mode", 1)
"""


@dataclass
class Phone:
    """One end of the call, on a socket of UDP."""

    socket: socket.socket
    user: str
    server: tuple[str, int]
    cseq: int = 0
    route: str = ""
    branches: int = 0
    seen: set[bytes] = field(default_factory=set)

    @property
    def port(self) -> int:
        return int(self.socket.getsockname()[1])

    def send(self, method: str, peer: Phone, *headers: str, cseq: int | None = None) -> None:
        """Send a request, an initial one as long as there is no answer."""
        if cseq is None and method != "ACK":
            self.cseq += 1
        self.branches += 1
        to = f"<sip:{peer.user}@{peer.user}.test>" + (f";tag={peer.user}" if self.route else "")
        lines = [
            f"{method} sip:{peer.user}@127.0.0.1:{peer.port} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.user}{self.branches}",
            "Max-Forwards: 70",
            f"From: <sip:{self.user}@{self.user}.test>;tag={self.user}",
            f"To: {to}",
            "Call-ID: a-call",
            f"CSeq: {self.cseq if cseq is None else cseq} {method}",
            f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>",
            *([f"Route: {self.route}"] if self.route else []),
            *headers,
            "Content-Length: 0",
        ]
        self.socket.sendto(encode("\r\n".join([*lines, "", ""])), self.server)

    def next(self) -> Message:
        """The next message that has not come before."""
        while True:
            data = self.socket.recv(65535)
            if data not in self.seen:
                self.seen.add(data)
                return Message.parse(data)

    def request(self, method: str) -> Message:
        """The next request, which has this method."""
        found = self.next()
        assert found.method == method, found.to_bytes()
        return found

    def reply(self, request: Message, status: int, *headers: str) -> None:
        contact = f"Contact: <sip:{self.user}@127.0.0.1:{self.port}>"
        fields = [f"{text}\r\n" for text in (contact, *headers)]
        if request.method == "INVITE" and status < 300:
            fields += [f"Record-Route: {route}\r\n" for route in request.headers("Record-Route")]
        self.socket.sendto(make_reply(request, status, "Whatever", to_tag=self.user, headers=fields), self.server)

    def outcome(self, status: int) -> Message:
        """The next reply that is none of the network's own 100s."""
        while (found := self.next()).status == 100:
            pass
        assert found.status == status, found.to_bytes()
        return found

    def challenge(self, method: str) -> tuple[str | None, Message]:
        """Ask for a password; gives the number of the first request, and the one that has the answer."""
        first = self.request(method)
        self.reply(first, 401, 'WWW-Authenticate: Digest realm="office", nonce="n1"')
        if method == "INVITE":
            assert self.request("ACK").header("CSeq") == f"{(first.header('CSeq') or '').split()[0]} ACK"
        again = self.request(method)
        credentials = Credentials.parse(again.header("Authorization") or "")
        assert credentials.proves(plain_ha1(Algorithm.MD5, "carol", "office", "secret"), method)
        return first.header("CSeq"), again


@contextmanager
def phones(server: int) -> Iterator[tuple[Phone, Phone]]:
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as two,
    ):
        for each in (one, two):
            each.bind(("127.0.0.1", 0))
            each.settimeout(SOON)
        yield Phone(one, "alice", ("127.0.0.1", server)), Phone(two, "bob", ("127.0.0.1", server))


def exchange(sender: Phone, receiver: Phone, method: str, *headers: str) -> Message:
    """Send a request in the dialog and have it answered; gives it as it came."""
    sender.send(method, receiver, *headers)
    request = receiver.request(method)
    receiver.reply(request, 200)
    assert sender.outcome(200).header("CSeq") == f"{sender.cseq} {method}"
    return request


def challenged(sender: Phone, receiver: Phone, method: str) -> tuple[str | None, str | None]:
    """The same with a challenge; gives the numbers of both requests."""
    sender.send(method, receiver)
    first, again = receiver.challenge(method)
    receiver.reply(again, 200)
    assert sender.outcome(200).header("CSeq") == f"{sender.cseq} {method}"
    return first, again.header("CSeq")


def begun(alice: Phone, bob: Phone) -> None:
    """Alice calls bob, who asks for a password, rings reliably and answers; the ACK is still to come."""
    alice.send("INVITE", bob)
    _, invite = bob.challenge("INVITE")
    assert invite.header("CSeq") == "2 INVITE"
    bob.reply(invite, 183, "Require: 100rel", "RSeq: 7")
    ringing = alice.outcome(183)
    assert ringing.header("CSeq") == "1 INVITE"
    alice.route = bob.route = ringing.header("Record-Route") or ""
    prack = exchange(alice, bob, "PRACK", "RAck: 7 1 INVITE")
    assert (prack.header("CSeq"), prack.header("RAck")) == ("3 PRACK", "7 2 INVITE")
    bob.reply(invite, 200)
    assert alice.outcome(200).header("CSeq") == "1 INVITE"


def test_a_call_with_challenges_on_both_sides_goes_on_after_a_restart(tmp_path: Path):
    url = f"sqlite://{tmp_path}/calls.sqlite"
    make_tables(url, "dialog")
    port = free_port()
    with phones(port) as (alice, bob):
        script = SCRIPT.format(port=port, callee=bob.port, dialog=DIALOG.format(url=url), create="create_dialog();")
        with proxy(script, tmp_path, port) as running:
            begun(alice, bob)
        assert "Traceback" not in running.log
        with proxy(script, tmp_path, port) as running:
            alice.send("ACK", bob, cseq=1)
            assert bob.request("ACK").header("CSeq") == "2 ACK"
            assert challenged(alice, bob, "INVITE") == ("4 INVITE", "5 INVITE")
            alice.send("ACK", bob)
            assert bob.request("ACK").header("CSeq") == "5 ACK"
            assert challenged(bob, alice, "INVITE") == ("1 INVITE", "2 INVITE")
        assert "Traceback" not in running.log
        with proxy(script, tmp_path, port) as running:
            bob.send("ACK", alice)
            assert alice.request("ACK").header("CSeq") == "2 ACK"
            assert exchange(bob, alice, "INFO").header("CSeq") == "3 INFO"
            assert exchange(alice, bob, "INFO").header("CSeq") == "6 INFO"
            assert challenged(bob, alice, "BYE") == ("4 BYE", "5 BYE")
        assert "Traceback" not in running.log


def test_record_route_is_enough_for_a_call_whose_invite_and_bye_are_challenged(tmp_path: Path):
    port = free_port()
    with phones(port) as (alice, bob):
        with proxy(SCRIPT.format(port=port, callee=bob.port, dialog="", create=""), tmp_path, port) as running:
            begun(alice, bob)
            assert ";aci=1>" in alice.route
            alice.send("ACK", bob, cseq=1)
            assert bob.request("ACK").header("CSeq") == "2 ACK"
            assert exchange(bob, alice, "INFO").header("CSeq") == "1 INFO"
            assert challenged(alice, bob, "BYE") == ("4 BYE", "5 BYE")
        assert "Traceback" not in running.log
