"""Tracing: what is told, and to whom.

The MI registry makes one `TraceEvent` for a request and one for its reply and hands them to the destination that
the door or `mi_script` was given.  The module `tracer` makes a `MessageEvent` for each SIP message, and for each text
of a script, that it was asked to trace.  A destination never raises, never blocks and never changes a result.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol, TypeAlias, runtime_checkable

Address = tuple[str, int]
NOWHERE: Address = ("127.0.0.1", 0)
Fields: TypeAlias = tuple[tuple[str, str], ...]
"""Names and values of the parts of a payload, in their order."""


class TraceEvent(NamedTuple):
    """One half of an MI exchange.

    `fields` are the parts of the payload in their order: ("command", …), ("backend", …), ("parameters", …) for a
    request, ("reply", …) for a reply.  `correlation` is the same text for both halves.  `time` is in seconds
    since the epoch.  A tuple, because two are made for every traced command.
    """

    correlation: str
    fields: Fields
    source: Address
    destination: Address
    time: float


class TraceDestination(Protocol):
    """Where traced commands go, for example a Homer collector."""

    def send(self, event: TraceEvent) -> None:
        """Take `event`; returns at once, whatever becomes of it."""


Whole: TypeAlias = Callable[[str, float, str, float], None]
"""Traces both halves of an exchange that is over: correlation, time of the request, text and time of the reply."""


@runtime_checkable
class Rehearsed(Protocol):
    """A destination that can prepare for a request which comes again and again."""

    def rehearse(self, fields: Fields, source: Address, destination: Address) -> Whole:
        """What traces exchanges whose request has these fields and whose halves have these ends."""


def whole_exchange(to: TraceDestination, fields: Fields, source: Address, destination: Address) -> Whole:
    """What traces exchanges with one and the same request to `to`, as fast as that can."""
    if isinstance(to, Rehearsed):
        return to.rehearse(fields, source, destination)

    def send(correlation: str, began: float, reply: str, ended: float) -> None:
        to.send(TraceEvent(correlation, fields, source, destination, began))
        to.send(TraceEvent(correlation, (("reply", reply),), source, destination, ended))

    return send


class MessageEvent(NamedTuple):
    """A SIP message on the wire, or something that a script did or said while one was dealt with.

    `kind` is "sip", "xlog" or "rest", or "control" for an event that has `related` alone.  `fields` are the parts of
    the payload in their order, for a SIP message ("payload", its text) alone.  `correlation` is what its packets have
    in common, such as the Call-ID.  `transport` is "udp", "tcp", "tls" …, `time` seconds since the epoch.  `related`
    are other names for the same thing, by kind.
    """

    kind: str
    fields: tuple[tuple[str, str], ...]
    correlation: str
    source: Address
    destination: Address
    transport: str
    time: float
    related: tuple[tuple[str, str], ...] = ()


@runtime_checkable
class MessageDestination(Protocol):
    """Where traced messages go."""

    @property
    def address(self) -> str:
        """`host:port` for people."""

    def send_message(self, event: MessageEvent) -> None:
        """Take `event`; returns at once, whatever becomes of it."""


class CollectorsInUse(Protocol):
    """What a module that knows collectors offers as `trace collectors`: new ones while the host runs."""

    def add(self, name: str, uri: str) -> MessageDestination:
        """A new destination.  Raises ConfigurationError when `uri` cannot be read or `name` is taken."""

    def remove(self, name: str) -> None:
        """Let go of one that `add` made; what it still has to send is sent."""
