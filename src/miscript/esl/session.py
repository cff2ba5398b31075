"""The client's side of one connection: what arrives, told as what it means.

```
            auth/request             +OK                 disconnect-notice
 GREETING ───────────────▶ LOGIN ───────────▶ READY ─────────────────────────▶ CLOSED
     │  rude-rejection       │  -ERR, rude-rejection                             ▲
     └───────────────────────┴────────────────────────────────────────────────────┘
```

Bytes go in with `receive`; `next_item` gives `AuthRequest` (send `commands.login`), `Accepted`, `Denied`, `Reply`
(in the order of the commands), `Event` and `Farewell`.  Log lines and kinds of message that no one asked for are
passed over.

Source: FreeSWITCH documentation, "mod_event_socket".
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

from ..values import decode
from .errors import EslError
from .event import Event, read_event
from .framing import MAX_BODY, MAX_HEAD, Message, MessageReader


class State(Enum):
    """Where a connection is in its life."""

    GREETING = "greeting"
    LOGIN = "login"
    READY = "ready"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class AuthRequest:
    """The server wants to know who we are."""


@dataclass(frozen=True, slots=True)
class Accepted:
    """The server takes commands from now on."""


@dataclass(frozen=True, slots=True)
class Denied:
    """The server does not want us: a wrong password, or an address that its access list has not."""

    reason: str


@dataclass(frozen=True, slots=True)
class Reply:
    """The answer to the oldest command that has none: its Reply-Text, or the output of an `api` command."""

    text: str

    @property
    def refused(self) -> bool:
        return self.text.startswith("-ERR")


@dataclass(frozen=True, slots=True)
class Farewell:
    """The server closes the connection."""

    reason: str


Item: TypeAlias = AuthRequest | Accepted | Denied | Reply | Event | Farewell

_REPLIES = ("command/reply", "api/response")
_EVENTS = ("text/event-json", "text/event-plain")


class Session:
    """One connection, from the server's greeting to its end."""

    def __init__(self, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        self.state = State.GREETING
        self._reader = MessageReader(max_head, max_body)

    def receive(self, data: bytes) -> None:
        """Take what the connection brought."""
        self._reader.receive(data)

    def next_item(self) -> Item | None:
        """What came next; None when more bytes are needed.  Raises EslError when the protocol is broken."""
        while self.state is not State.CLOSED and (message := self._reader.next_message()) is not None:
            item = self._item(message)
            if item is not None:
                return item
        return None

    def _item(self, message: Message) -> Item | None:
        match self.state, message.content_type:
            case State.GREETING, "auth/request":
                self.state = State.LOGIN
                return AuthRequest()
            case State.GREETING | State.LOGIN, "text/rude-rejection":
                self.state = State.CLOSED
                return Denied(decode(message.body).strip() or "rejected")
            case State.LOGIN, "command/reply":
                return self._logged_in(message.header("Reply-Text") or "")
            case _, "text/disconnect-notice":
                return self._farewell(message)
            case State.READY, kind if kind in _REPLIES:
                return Reply(_reply_text(message))
            case State.READY, kind if kind in _EVENTS:
                return read_event(message)
            case State.READY, kind if kind != "auth/request":
                return None
        raise EslError(f"did not expect '{message.content_type[:40]}' in state {self.state.value}")

    def _logged_in(self, text: str) -> Item:
        if text.startswith("+OK"):
            self.state = State.READY
            return Accepted()
        self.state = State.CLOSED
        return Denied(text.removeprefix("-ERR").strip() or "not accepted")

    def _farewell(self, message: Message) -> Item | None:
        if (message.header("Content-Disposition") or "").lower() == "linger":
            return None  # the connection stays until the last event of its channel
        self.state = State.CLOSED
        return Farewell(decode(message.body).strip() or "disconnected")


def _reply_text(message: Message) -> str:
    text = message.header("Reply-Text")
    return text if text is not None and message.content_type == "command/reply" else decode(message.body)
