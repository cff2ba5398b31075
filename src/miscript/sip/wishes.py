"""What a script and its modules want of a request when it leaves through a socket."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from .sockets import ListeningSocket

if TYPE_CHECKING:
    from .message import Message


class HopHeader(Protocol):
    """Header fields that depend on the socket that a request is sent from.  Never changed, only replaced."""

    def text(self, request: Message, socket: ListeningSocket) -> str:
        """The fields without the last line end; empty for none."""


@dataclass(frozen=True, slots=True)
class ViaWishes:
    """What a script wants of the Via fields of one request; a new wish makes a new one.

    `rport`: answer to the port that it came from, as if its Via asked for it (RFC 3581).  `to_via`: answer to the
    address in its Via, not to the one that it came from.  `own_rport`: ask for the port in our own Via.  `host` and
    `port` stand in it in place of those of the socket.
    """

    rport: bool = False
    to_via: bool = False
    own_rport: bool = False
    host: str | None = None
    port: int | None = None


NO_WISHES = ViaWishes()
