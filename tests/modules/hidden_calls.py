"""A script that hides the ends of calls, on a network in memory, and the two parties that must not see each other."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from dialog_calls import Party
from miscript.sip import Message
from miscript.testing import ManualClock, MemoryNetwork, RunningScript

ALICE, BOB = "10.0.0.2", "10.0.0.3"
ALICE_CONTACT = '"Al" <sip:alice@192.168.7.7:5070;ob;x=y>;expires=99;hp=1'
BOB_CONTACT = "<sip:bob@192.168.8.8:5080;bp=1>;hc=2"
CALLER_ROUTES = ("<sip:10.0.0.2:5060;lr;k=1>", "<sip:10.0.0.22;lr;k=2>")
CALLEE_ROUTES = ("<sip:10.0.0.33;lr;d=2>", "<sip:10.0.0.3:5060;lr;d=1>")

SCRIPT = """
log_level=-3
xlog_level=3
mpath="/"
socket=udp:10.0.0.1:5060
socket=udp:10.0.0.9:5060 tag inside
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "sipmsgops.so"
{dialog}
loadmodule "topology_hiding.so"
{parameters}
route {{
    if (has_totag()) {{
        if (is_method("ACK") && t_check_trans()) {{ t_relay(); exit; }}
        if (!topology_hiding_match({mode})) {{
            xlog("no match\\n");
            if (!is_method("ACK")) sl_send_reply(404, "Not here");
            exit;
        }}
        xlog("in: $rm $ru $ci $TH_decoded_contact $TH_decoded_routes_count {seen}\\n");
        t_relay();
        exit;
    }}
    if (is_method("CANCEL")) {{ t_relay(); exit; }}
    {begin}
    topology_hiding({arguments});
    xlog("begun: $rc $TH_callee_callid\\n");
    $du = "sip:10.0.0.3:5060";
    t_relay();
}}
"""


@dataclass
class HiddenParties:
    """Alice behind two routers calls Bob behind two others."""

    script: RunningScript
    alice: Party
    bob: Party
    call_id: str = "one@192.168.7.7"
    to_bob: str = ""
    to_alice: str = ""
    bobs_call_id: str = ""
    cseq: int = 0
    replies: list[Message] = field(default_factory=list)
    text: str = ""

    def restart(self) -> None:
        """End the host and start it again."""
        self.script.close()
        script = RunningScript(self.text, network=self.script.network, clock=ManualClock(self.script.clock.time()))
        self.script = self.alice.script = self.bob.script = script

    def invite(self, *more: str, routes: bool = True) -> Message:
        """Send the first INVITE and give what Bob gets."""
        self.cseq += 1
        lines = [
            "INVITE sip:bob@b.test SIP/2.0",
            f"Via: SIP/2.0/UDP {ALICE}:5060;branch=z9hG4bKone;rport",
            "Via: SIP/2.0/UDP 192.168.7.7:5070;branch=z9hG4bKzero",
            *([f"Record-Route: {', '.join(CALLER_ROUTES)}"] if routes else []),
            "From: <sip:alice@a.test>;tag=al",
            "To: <sip:bob@b.test>",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} INVITE",
            f"Contact: {ALICE_CONTACT}",
            *more,
        ]
        self.alice.send(lines)
        invite = self.bob.only("INVITE")
        self.to_alice = uri_of(invite.header("Contact"))
        self.bobs_call_id = invite.call_id or ""
        return invite

    def answer(self, request: Message, status: int = 200, contact: str = BOB_CONTACT, routes: bool = True) -> Message:
        """Let Bob answer and give what Alice gets."""
        to = request.header("To") or ""
        self.bob.send(
            [
                f"SIP/2.0 {status} Whatever",
                *(f"Via: {via}" for via in request.headers("Via")),
                *([f"Record-Route: {', '.join(CALLEE_ROUTES)}"] if routes else []),
                f"From: {request.header('From')}",
                f"To: {to}" + ("" if "tag=" in to else ";tag=bo"),
                f"Call-ID: {request.call_id}",
                f"CSeq: {request.header('CSeq')}",
                f"Contact: {contact}",
            ]
        )
        reply = [message for message in self.alice.take() if message.status == status][-1]
        if reply.header("Contact"):
            self.to_bob = uri_of(reply.header("Contact"))
        return reply

    def ask(self, method: str, cseq: int = 0, uri: str = "") -> Message:
        """Let Alice send a request in the dialog and give what Bob gets."""
        self.cseq += method != "ACK"
        self.alice.send(self._request(method, uri or self.to_bob, "alice", cseq or self.cseq, ALICE_CONTACT))
        return self.bob.only(method)

    def ask_back(self, method: str, cseq: int = 7) -> Message:
        """Let Bob send a request in the dialog and give what Alice gets."""
        self.bob.send(self._request(method, self.to_alice, "bob", cseq, BOB_CONTACT))
        return self.alice.only(method)

    def answer_back(self, request: Message) -> Message:
        """Let Alice answer a request of Bob's and give what he gets."""
        self.alice.reply(request, 200, tag="al")
        return [message for message in self.bob.take() if message.status == 200][-1]

    def _request(self, method: str, uri: str, by: str, cseq: int, contact: str) -> list[str]:
        alice, bob = "<sip:alice@a.test>;tag=al", "<sip:bob@b.test>;tag=bo"
        sender, receiver = (alice, bob) if by == "alice" else (bob, alice)
        address = ALICE if by == "alice" else BOB
        return [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP {address}:5060;branch=z9hG4bK{by}-{method}-{cseq}",
            "Via: SIP/2.0/UDP 192.168.9.9;branch=z9hG4bKinner",
            f"From: {sender}",
            f"To: {receiver}",
            f"Call-ID: {self.call_id if by == 'alice' else self.bobs_call_id}",
            f"CSeq: {cseq} {method}",
            f"Contact: {contact}",
        ]


def uri_of(contact: str | None) -> str:
    found = re.search(r"<(.*?)>", contact or "")
    assert found is not None, f"no URI in {contact!r}"
    return found[1]


def hidden_parties(
    arguments: str = "", *, dialog: bool = False, begin: str = "", parameters: str = "", mode: str = "", seen: str = ""
) -> HiddenParties:
    """Two parties of a script that hides them; `arguments` are those of `topology_hiding()`."""
    text = hiding_script(arguments, dialog=dialog, begin=begin, parameters=parameters, mode=mode, seen=seen)
    script = RunningScript(text, network=MemoryNetwork())
    return HiddenParties(script, Party(script, ALICE, "alice", "al"), Party(script, BOB, "bob", "bo"), text=text)


def hiding_script(arguments: str, *, dialog: bool, begin: str, parameters: str, mode: str, seen: str) -> str:
    """The text of such a script."""
    return SCRIPT.format(
        arguments=arguments,
        dialog='loadmodule "dialog.so"' if dialog else "",
        begin=begin or ("create_dialog();" if dialog else ""),
        parameters=parameters,
        mode=mode,
        seen=seen,
    )
