"""Scripts that trace, phones that talk through them, and files that tell what was traced."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from miscript.sip import Message
from miscript.testing import MemoryNetwork, MemoryPeer, RunningScript
from sip_phones import PROXY, acknowledge, answer, phone, request, send

MODULES = "tm sl signaling rr maxfwd sipmsgops dialog tracer mi_script"
ALICE, BOB = "10.0.0.1", "10.0.0.2"
NAMES = {PROXY[0]: "proxy", ALICE: "alice", BOB: "bob"}

SCRIPT = """
log_level=-3
socket=udp:10.0.0.9:5060
{loads}
modparam("tracer", "trace_id", "[tid]uri=file:{file}")
{parameters}
route {{
    if (has_totag()) {{ loose_route(); {sequential} t_relay(); exit; }}
    if (is_method("CANCEL")) {{ {cancel} t_relay(); exit; }}
    {initial}
    if (is_method("OPTIONS")) {{ sl_send_reply(200, "fine"); exit; }}
    record_route();
    t_on_reply("reply");
    t_on_failure("failure");
    t_on_branch("branch");
    t_relay();
}}
branch_route[branch] {{ $var(unused) = 1; {branch} }}
onreply_route[reply] {{ $var(unused) = 1; {reply} }}
failure_route[failure] {{ $var(unused) = 1; {failure} }}
local_route {{ $var(unused) = 1; {local} }}
"""
PARTS = ("parameters", "sequential", "cancel", "initial", "branch", "reply", "failure", "local")

_HEAD = re.compile(rb"^(in|out) (\w+) (\S+ \S+) (\S+) -> (\S+)\n", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """One traced message as a trace file has it."""

    direction: str
    transport: str
    source: str
    destination: str
    data: bytes

    def __str__(self) -> str:
        """Who sent what to whom: `alice > proxy INVITE`, `proxy > alice 200 INVITE`."""
        message = Message.parse(self.data)
        cseq = message.cseq
        what = message.method or f"{message.status} {cseq[1] if cseq else ''}"
        return f"{_name(self.source)} > {_name(self.destination)} {what}"


def _name(place: str) -> str:
    return NAMES.get(place.rpartition(":")[0], place)


def lines_of(path: Path) -> list[Line]:
    """What a trace file holds."""
    parts = _HEAD.split(path.read_bytes())[1:]
    found = []
    for at in range(0, len(parts), 6):
        direction, transport, _, source, destination = (part.decode() for part in parts[at : at + 5])
        found.append(Line(direction, transport, source, destination, parts[at + 5].removesuffix(b"\n\n")))
    return found


class TracedCall:
    """Alice calls bob through a script that traces to a file."""

    def __init__(self, folder: Path, *, modules: str = MODULES, **parts: str) -> None:
        self.file = folder / "trace"
        loads = "".join(f'loadmodule "{name}.so"\n' for name in modules.split())
        text = SCRIPT.format(loads=loads, file=self.file, **{**dict.fromkeys(PARTS, ""), **parts})
        self.script = RunningScript(text, network=MemoryNetwork())
        self.alice, self.bob = phone(self.script, ALICE), phone(self.script, BOB)

    @property
    def traced(self) -> list[str]:
        """What has been traced."""
        return [str(line) for line in lines_of(self.file)]

    def send(self, peer: MemoryPeer, message: str | bytes) -> None:
        send(self.script, peer, message)

    def invite(self, call_id: str = "one") -> Message:
        """Alice calls; the INVITE as bob has it."""
        self.sent = request(call_id=call_id, branch=f"z9hG4bK{call_id}")
        self.send(self.alice, self.sent)
        return self.bob.take()[-1]

    def answer(self, invite: Message, status: int) -> None:
        """Bob answers, with the routes of the request."""
        answer(self.script, self.bob, invite, status, headers=[f"Contact: <sip:bob@{BOB}>\r\n"])

    def acknowledge_failure(self) -> None:
        acknowledge(self.script, self.alice, self.sent, self.alice.take()[-1])

    def in_dialog(self, method: str, by: str = "alice", cseq: int = 2) -> None:
        """A request of the call that has been answered; the other end answers a BYE."""
        route = self.script_route
        if by == "alice":
            text = request(method, f"sip:bob@{BOB}", branch=f"z9hG4bK{method}{cseq}", to_tag="b", more=route, cseq=cseq)
            self.send(self.alice, text)
            return
        self.send(
            self.bob,
            f"{method} sip:alice@{ALICE} SIP/2.0\nVia: SIP/2.0/UDP {BOB}:5060;branch=z9hG4bKb{method}\n{route}"
            f"From: <sip:bob@example.com>;tag=b\nTo: <sip:alice@10.0.0.1>;tag=a\nCall-ID: one\n"
            f"CSeq: {cseq} {method}\nContent-Length: 0\n\n",
        )

    def establish(self) -> None:
        """Bob picks up and alice acknowledges."""
        self.answer(self.invite(), 200)
        ok = [message for message in self.alice.take() if message.status == 200][-1]
        self.script_route = "".join(f"Route: {value}\n" for value in reversed(ok.headers("Record-Route")))
        self.in_dialog("ACK", cseq=1)

    def close(self) -> None:
        self.script.close()
