"""Phones on a network in memory, and the scripts that they talk to."""

from __future__ import annotations

from miscript.sip import Message
from miscript.sip.replies import make_reply
from miscript.sip.requests import make_ack
from miscript.testing import MemoryNetwork, MemoryPeer, RunningScript

PROXY = ("10.0.0.9", 5060)
MODULES = "tm sl signaling rr maxfwd sipmsgops mi_script"
HEAD = "socket=udp:10.0.0.9:5060\n" + "".join(f'loadmodule "{name}.so"\n' for name in MODULES.split())


def running(script: str, head: str = "") -> RunningScript:
    """A script with the usual modules, at 10.0.0.9."""
    return RunningScript(f"{HEAD}{head}\n{script}", network=MemoryNetwork())


def phone(script: RunningScript, address: str) -> MemoryPeer:
    """Somebody at `address`, port 5060."""
    return script.network.peer(f"udp:{address}:5060")


def request(
    method: str = "INVITE",
    uri: str = "sip:bob@10.0.0.2",
    *,
    branch: str = "z9hG4bKone",
    call_id: str = "one",
    to_tag: str = "",
    more: str = "",
    cseq: int = 1,
) -> str:
    """A request of the phone at 10.0.0.1; `more` are header fields with line ends."""
    tag = f";tag={to_tag}" if to_tag else ""
    return (
        f"{method} {uri} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch={branch}\n{more}"
        f"From: <sip:alice@10.0.0.1>;tag=a\nTo: <sip:bob@example.com>{tag}\nCall-ID: {call_id}\n"
        f"CSeq: {cseq} {method}\nContact: <sip:alice@10.0.0.1>\nContent-Length: 0\n\n"
    )


def send(script: RunningScript, peer: MemoryPeer, message: str | bytes) -> None:
    """Send to the script and let everything come to where it waits."""
    peer.send(message, *PROXY)
    script.settle()


def answer(script: RunningScript, peer: MemoryPeer, to: Message, status: int, reason: str = "", **more: object) -> None:
    """Answer a request that came to a phone."""
    send(script, peer, make_reply(to, status, reason or "Reason", to_tag="b", **more))


def acknowledge(script: RunningScript, peer: MemoryPeer, invite: str, reply: Message) -> None:
    """The ACK of a negative reply."""
    send(script, peer, make_ack(invite.replace("\n", "\r\n").encode(), reply))


def told(peer: MemoryPeer) -> list[int | str | None]:
    """Statuses and methods of what has come since the last time."""
    return [message.method or message.status for message in peer.take()]
