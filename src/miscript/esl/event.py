"""Events, and the subscriptions that ask for them.

An event is a set of headers and may have a body.  In its JSON form it is one object, the body under `_body`; in its
plain form the values of headers are percent-encoded.  Either way `text` is the JSON form: of a JSON event, just what
FreeSWITCH sent.

Source: FreeSWITCH documentation, "mod_event_socket" (event, nixevent) and "Event List".
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote_to_bytes

import orjson

from ..values import decode, encode
from .errors import EslError
from .framing import Message, header_of, read_headers

MAX_SUBSCRIPTION: Final = 256
"""Characters of what one subscription asks for."""

_WORD = re.compile(r"[!-~]+")
CUSTOM: Final = "CUSTOM"
ALL: Final = "ALL"


@dataclass(frozen=True, slots=True)
class Event:
    """One event of FreeSWITCH."""

    name: str
    """Event-Name: HEARTBEAT, CHANNEL_ANSWER, CUSTOM …"""
    subclass: str
    """Event-Subclass, which CUSTOM events have; "" otherwise."""
    headers: Mapping[str, object]
    """Texts; what has several values is a list of texts."""
    text: str
    """The event as a JSON object."""

    def header(self, name: str) -> str | None:
        """A header that is one text; None when there is none."""
        value = self.headers.get(name)
        return value if isinstance(value, str) else None

    @property
    def body(self) -> str:
        """What the event carries, such as the result of a background job."""
        return self.header("_body") or ""


def read_event(message: Message) -> Event:
    """The event in a `text/event-json` or `text/event-plain` message.  Raises EslError when there is none in it."""
    headers: Mapping[str, object]
    match message.content_type:
        case "text/event-json":
            headers, text = _json_headers(message.body), decode(message.body)
        case "text/event-plain":
            plain = dict(_plain_headers(message.body))
            headers = plain
            text = decode(orjson.dumps({_clean(key): _clean(value) for key, value in plain.items()}))
        case other:
            raise EslError(f"expected an event in JSON or plain form, found '{other[:40]}'")
    name, subclass = headers.get("Event-Name"), headers.get("Event-Subclass", "")
    if not isinstance(name, str) or not name:
        raise EslError("an event without Event-Name")
    return Event(name, subclass if isinstance(subclass, str) else "", headers, text)


def _json_headers(body: bytes) -> dict[str, object]:
    try:
        found = orjson.loads(encode(body.decode("utf-8", "replace")))
    except orjson.JSONDecodeError as error:
        raise EslError(f"an event that is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise EslError("an event that is no JSON object")
    return found


def _plain_headers(body: bytes) -> Iterator[tuple[str, str]]:
    """The headers of a plain event; those of a body of its own stand before that."""
    head, _, rest = body.replace(b"\r\n", b"\n").partition(b"\n\n")
    headers = read_headers(head)
    for name, value in headers:
        yield name, decode(unquote_to_bytes(encode(value)))
    length = header_of(headers, "Content-Length")
    if length is not None and length.isascii() and length.isdigit():
        yield "_body", decode(rest[: min(int(length[:10]), len(rest))])


def _clean(text: str) -> str:
    """JSON holds no bytes that are no UTF-8."""
    return encode(text).decode("utf-8", "replace")


@dataclass(frozen=True, slots=True)
class Subscription:
    """One thing to ask for: an event's name, or CUSTOM and one subclass."""

    name: str
    subclass: str = ""

    def __str__(self) -> str:
        return f"{self.name} {self.subclass}" if self.subclass else self.name

    def wants(self, event: Event) -> bool:
        """Whether the event is one of those that it asks for."""
        if self.name != event.name.upper():
            return self.name == ALL
        return not self.subclass or self.subclass == event.subclass

    def ended_by(self, other: Subscription) -> bool:
        """Whether asking no more for `other` may end this one too: it comprises it, or is comprised by it."""
        if ALL in (self.name, other.name):
            return True
        return self == other or (self.name == other.name and not (self.subclass and other.subclass))


def subscriptions(text: str) -> tuple[Subscription, ...]:
    """What a text like `DTMF`, `DTMF HEARTBEAT` or `CUSTOM sofia::register` asks for.

    Names of events count in any case; all that follows CUSTOM is its subclasses.  Raises EslError for what cannot be
    sent in a line of a command.
    """
    words = text.split(" ")
    words = [word for word in words if word]
    if not words or len(text) > MAX_SUBSCRIPTION or not all(map(_WORD.fullmatch, words)):
        raise EslError(f"expected the name of an event, found {text[:80]!r}")
    names = [word.upper() for word in words]
    if CUSTOM not in names:
        return tuple(Subscription(name) for name in names)
    place = names.index(CUSTOM)
    plain = tuple(Subscription(name) for name in names[:place])
    classes = tuple(Subscription(CUSTOM, word) for word in words[place + 1 :])
    return plain + (classes or (Subscription(CUSTOM),))
