"""Tracing of MI commands: what is told, and to whom.

The MI registry makes one `TraceEvent` for a request and one for its reply and hands them to the destination that
the door or `mi_script` was given.  A destination never raises, never blocks and never changes a result.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

Address = tuple[str, int]
NOWHERE: Address = ("127.0.0.1", 0)


class TraceEvent(NamedTuple):
    """One half of an MI exchange.

    `fields` are the parts of the payload in their order: ("command", …), ("backend", …), ("parameters", …) for a
    request, ("reply", …) for a reply.  `correlation` is the same text for both halves.  `time` is in seconds
    since the epoch.  A tuple, because two are made for every traced command.
    """

    correlation: str
    fields: tuple[tuple[str, str], ...]
    source: Address
    destination: Address
    time: float


class TraceDestination(Protocol):
    """Where traced commands go, for example a Homer collector."""

    def send(self, event: TraceEvent) -> None:
        """Take `event`; returns at once, whatever becomes of it."""
