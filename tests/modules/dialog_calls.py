"""A script that follows dialogs on a network in memory, and the two parties of its calls."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

from miscript.sip import Message
from miscript.testing import ManualClock, MemoryNetwork, RunningScript
from miscript.values import encode

HOST = ("10.0.0.1", 5060)
ALICE, BOB = "10.0.0.2", "10.0.0.3"

SCRIPT = """
log_level=-3
xlog_level=3
mpath="/"
socket=udp:10.0.0.1:5060
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "sipmsgops.so"
loadmodule "dialog.so"
modparam("dialog", "profiles_with_value", "caller")
modparam("dialog", "profiles_no_value", "inbound")
{parameters}
route {{
    if (has_totag()) {{
        loose_route();
        route(sequential);
        t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{ t_relay(); exit; }}
    if (is_method("INVITE")) {{
        create_dialog({flags});
        route(initial);
        record_route();
        $du = "sip:10.0.0.3:5060";
        t_on_reply("reply");
        t_on_failure("failure");
        t_relay();
    }}
}}
route[initial] {{ {initial} return; }}
route[sequential] {{ {sequential} return; }}
onreply_route[reply] {{ $var(unused) = 1; {reply} }}
failure_route[failure] {{ $var(unused) = 1; {failure} }}
local_route {{ $var(unused) = 1; {local} }}
{more}
"""

PARTS = ("parameters", "flags", "initial", "sequential", "reply", "failure", "local", "more")


@dataclass
class Party:
    """One end of a call: sends requests and replies, keeps what comes."""

    script: RunningScript
    address: str
    user: str
    tag: str

    def __post_init__(self) -> None:
        self.peer = self.script.network.peer(f"udp:{self.address}:5060")

    @property
    def contact(self) -> str:
        return f"sip:{self.user}@{self.address}"

    def send(self, lines: list[str], body: str = "") -> None:
        """Send a message and let everything happen."""
        if body:
            lines = [*lines, "Content-Type: application/sdp"]
        text = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", body])

        async def sending() -> None:
            self.peer.send(encode(text), *HOST)

        self.script.wait(sending())
        self.script.settle()

    def take(self) -> list[Message]:
        return self.peer.take()

    def only(self, method: str) -> Message:
        """The one request with this method that has come since the last look, perhaps several times."""
        (found,) = {str(m.first_via): m for m in self.take() if m.method == method}.values()
        return found

    def statuses(self) -> list[int | None]:
        """The replies that have come since the last look."""
        return [message.status for message in self.take() if message.status is not None]

    def reply(self, request: Message, status: int, *headers: str, tag: str | None = None, body: str = "") -> None:
        to = request.header("To") or ""
        self.send(
            [
                f"SIP/2.0 {status} Whatever",
                *(f"Via: {via}" for via in request.headers("Via")),
                *(f"Record-Route: {route}" for route in request.headers("Record-Route")),
                f"From: {request.header('From')}",
                f"To: {to}" + ("" if "tag=" in to else f";tag={tag or self.tag}"),
                f"Call-ID: {request.call_id}",
                f"CSeq: {request.header('CSeq')}",
                f"Contact: <{self.contact}>",
                *headers,
            ],
            body,
        )


@dataclass
class Call:
    """A call from alice to bob."""

    script: RunningScript
    alice: Party
    bob: Party
    call_id: str = "call-1"
    cseq: dict[str, int] = field(default_factory=lambda: {"alice": 0, "bob": 100})
    route: str = ""
    text: str = ""

    def restart(self, down: float = 0.0, text: str = "") -> None:
        """End the host and start it again so many seconds later, perhaps with another script."""
        self.script.close()
        self.go_on(RunningScript(text or self.text, network=self.script.network, clock=_later(self.script, down)))

    def go_on(self, script: RunningScript) -> None:
        """Let another script serve the call."""
        self.script = self.alice.script = self.bob.script = script

    def request(
        self,
        method: str,
        *headers: str,
        by: str = "alice",
        uri: str | None = None,
        route: bool = True,
        cseq: int | None = None,
        body: str = "",
    ) -> None:
        """Send a request, an initial one as long as there is no answer."""
        sender, receiver = (self.alice, self.bob) if by == "alice" else (self.bob, self.alice)
        if cseq is None and method not in ("ACK", "CANCEL"):
            self.cseq[by] += 1
        number = self.cseq[by] if cseq is None else cseq
        begins = not self.route
        to_tag = "" if begins else f";tag={receiver.tag}"
        sender.send(
            [
                f"{method} {uri or ('sip:bob@b.test' if begins else receiver.contact)} SIP/2.0",
                f"Via: SIP/2.0/UDP {sender.address}:5060;branch=z9hG4bK{self.call_id}-{by}-{number}"
                + ("" if method == "CANCEL" else f"-{method}").replace("-INVITE", ""),
                "Max-Forwards: 70",
                f"From: <sip:{sender.user}@{sender.user[0]}.test>;tag={sender.tag}",
                f"To: <sip:{receiver.user}@{receiver.user[0]}.test>{to_tag}",
                f"Call-ID: {self.call_id}",
                f"CSeq: {number} {method}",
                f"Contact: <{sender.contact}>",
                *([f"Route: {self.route}"] if self.route and route else []),
                *headers,
            ],
            body,
        )

    def ring(self, *headers: str, body: str = "") -> Message:
        """Let alice call and bob ring; gives the INVITE as bob has it."""
        self.request("INVITE", *headers, body=body)
        invite = self.bob.only("INVITE")
        self.bob.reply(invite, 180)
        return invite

    def answer(self, invite: Message, *headers: str, ack: bool = True, body: str = "") -> None:
        """Let bob answer and alice acknowledge."""
        self.bob.reply(invite, 200, *headers, body=body)
        ok = [message for message in self.alice.take() if message.status == 200][-1]
        self.route = ", ".join(reversed(ok.headers("Record-Route")))
        if ack:
            self.request("ACK")
            self.bob.only("ACK")

    def established(self, *, body: str = "") -> Message:
        """Let them talk to each other."""
        invite = self.ring(body=body)
        self.answer(invite, body=body)
        return invite

    @property
    def listed(self) -> dict[str, Any]:
        """What `dlg_list_ctx` tells of the call."""
        told = cast(dict[str, Any], self.script.mi("dlg_list_ctx", callid=self.call_id))
        return cast(dict[str, Any], told["Dialog"])

    @property
    def state(self) -> int:
        return cast(int, self.listed["state"])

    def statistic(self, name: str) -> int:
        told = cast(dict[str, int], self.script.mi("get_statistics", [name]))
        return told[f"dialog:{name}"]


def call(**parts: str) -> Call:
    """A call through a script; `parts` are what stands in its routes."""
    text = SCRIPT.format(**{**dict.fromkeys(PARTS, ""), **parts})
    script = RunningScript(text, network=MemoryNetwork())
    return Call(script, Party(script, ALICE, "alice", "al"), Party(script, BOB, "bob", "bo"), text=text)


def begin(calls: list[Call], **parts: str) -> Call:
    """The same, in a list of calls that are closed later."""
    calls.append(call(**parts))
    return calls[-1]


def _later(script: RunningScript, seconds: float) -> ManualClock:
    return ManualClock(script.clock.time() + seconds)
