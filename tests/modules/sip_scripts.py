"""A script with sl and signaling on a network in memory, and a phone that talks to it."""

from __future__ import annotations

from dataclasses import dataclass, field

from miscript.sip import Message
from miscript.testing import MemoryNetwork, RunningScript
from miscript.values import encode

HOST = ("10.0.0.1", 5060)


def sip_script(modules: str, body: str, *, parameters: str = "") -> RunningScript:
    """A running script that listens at `HOST`; `modules` are names separated by blanks."""
    loads = "".join(f'loadmodule "{name}.so"\n' for name in f"sl signaling {modules}".split())
    text = f'log_level=-3\nxlog_level=3\nmpath="/"\nsocket=udp:{HOST[0]}:{HOST[1]}\n{loads}{parameters}\n{body}\n'
    return RunningScript(text, network=MemoryNetwork())


@dataclass
class Phone:
    """Sends requests and gives what comes back."""

    script: RunningScript
    user: str = "alice"
    domain: str = "example.com"
    address: str = "udp:10.0.0.9:5070"
    cseq: int = 0
    call_id: str = "call-1"
    more: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.peer = self.script.network.peer(self.address)

    def text(self, method: str, *headers: str, uri: str | None = None, to: str | None = None) -> str:
        """A request as text."""
        self.cseq += 1
        me = f"<sip:{self.user}@{self.domain}>"
        host = self.address.partition(":")[2]
        lines = [
            f"{method} {uri or f'sip:{self.domain}'} SIP/2.0",
            f"Via: SIP/2.0/UDP {host};branch=z9hG4bK{self.call_id}-{self.cseq}",
            f"From: {me};tag=f",
            f"To: {to or me}",
            f"Call-ID: {self.call_id}",
            f"CSeq: {self.cseq} {method}",
            "Max-Forwards: 70",
            *headers,
            "Content-Length: 0",
        ]
        return "\r\n".join([*lines, "", ""])

    def ask(self, method: str, *headers: str, uri: str | None = None, to: str | None = None) -> Message:
        """Send a request and give what came back for it."""
        (answer,) = self.send(self.text(method, *headers, uri=uri, to=to))
        return answer

    def send(self, text: str) -> list[Message]:
        """Send a request and give all that came."""

        async def sending() -> None:
            self.peer.send(encode(text), *HOST)

        self.script.wait(sending())
        self.script.settle()
        return self.peer.take()

    def register(self, contact: str | None = None, *headers: str) -> Message:
        """Register a contact, given as the value of Contact."""
        return self.ask("REGISTER", *([f"Contact: {contact}"] if contact else []), *headers)
