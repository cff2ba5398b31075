"""Record-Route: the header fields that keep us in the way of a dialog.

Source: RFC 3261 section 16.6 step 4; OpenSIPS manual, module rr; RFC 5658 (two fields between two networks).
"""

from __future__ import annotations

from dataclasses import dataclass

from ...sip.message import Message
from ...sip.sockets import ListeningSocket


@dataclass(frozen=True, slots=True)
class RecordRoute:
    """What is to be recorded; `active` when `record_route()` was called, and not only parameters added.

    `preset` has the hosts of `record_route_preset`, the outbound one first.  `parameters` begin with `;`.
    """

    active: bool = False
    preset: tuple[str, ...] = ()
    from_tag: str | None = None
    user: str = ""
    own: str = ""
    parameters: str = ""
    double: bool = True

    def text(self, request: Message, socket: ListeningSocket) -> str:
        """One field, or two when the request leaves by another socket than it came to."""
        if not self.active:
            return ""
        tail = f"{'' if not self.from_tag else f';ftag={self.from_tag}'}{self.own}{self.parameters}"
        if self.preset:
            double = ";r2=on" if len(self.preset) > 1 else ""
            return "\r\n".join(f"Record-Route: <sip:{self.user}{host}{double};lr{tail}>" for host in self.preset)
        came_to = request.received.socket
        sockets = [socket] if came_to in (None, socket) or not self.double else [socket, came_to]
        double = ";r2=on" if len(sockets) > 1 else ""
        return "\r\n".join(self._field(each, double, tail) for each in sockets if each is not None)

    def _field(self, socket: ListeningSocket, double: str, tail: str) -> str:
        transport = "" if socket.transport == "udp" else f";transport={socket.transport}"
        return f"Record-Route: <sip:{self.user}{socket.host}:{socket.told_port}{transport}{double};lr{tail}>"


def recorded(message: Message) -> RecordRoute:
    """What is to be recorded for a request so far."""
    return next((header for header in message.hop_headers if isinstance(header, RecordRoute)), RecordRoute())


def record(message: Message, new: RecordRoute) -> None:
    """Let a request have `new` recorded, in place of what was to be."""
    message.hop_headers = [header for header in message.hop_headers if not isinstance(header, RecordRoute)] + [new]
