"""INVITEs that the script has answered with a 2xx: the reply is repeated until its ACK comes.

The transaction does not do that: the ACK of a 2xx is none of its own.  Source: RFC 3261 section 13.3.1.4.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...deadlines import Deadline, Deadlines
from ...sip.message import Message
from ...sip.transactions import Timers

MOST: Final = 10_000
"""Replies that are repeated at one time; what is answered beyond them is sent once."""

_TIMES: Final = 64
"""So many T1 later nobody acknowledges any more."""

Asked: TypeAlias = tuple[str, int]
"""Call-ID and CSeq number: an ACK has those of its INVITE."""


@dataclass(slots=True)
class _Repeated:
    send: Callable[[], None]
    wait: float
    until: float
    deadline: Deadline | None = None


class AnsweredInvites:
    """The replies that wait for their ACK."""

    def __init__(self, deadlines: Deadlines) -> None:
        self._deadlines = deadlines
        self._waiting: dict[Asked, _Repeated] = {}

    def __len__(self) -> int:
        return len(self._waiting)

    def repeat(self, invite: Message, now: float, timers: Timers, send: Callable[[], None]) -> None:
        """Call `send` again and again, with a growing pause, until the ACK comes or 64 times T1 are over."""
        asked = _asked(invite)
        if asked is None or asked in self._waiting or len(self._waiting) >= MOST:
            return
        self._waiting[asked] = waiting = _Repeated(send, timers.t1, now + _TIMES * timers.t1)
        self._plan(asked, waiting, now, timers.t2)

    def _plan(self, asked: Asked, waiting: _Repeated, now: float, longest: float) -> None:
        when = now + waiting.wait

        def again() -> None:
            if when >= waiting.until:
                del self._waiting[asked]
                return
            waiting.send()
            waiting.wait = min(2 * waiting.wait, longest)
            self._plan(asked, waiting, when, longest)

        waiting.deadline = self._deadlines.at(when, again)

    def take(self, request: Message) -> bool:
        """A request came: an ACK ends what it acknowledges.  True, as it is for the script all the same."""
        if request.method == "ACK" and self._waiting:
            asked = _asked(request)
            waiting = None if asked is None else self._waiting.pop(asked, None)
            if waiting is not None and waiting.deadline is not None:
                waiting.deadline.cancel()
        return True


def _asked(request: Message) -> Asked | None:
    call_id, cseq = request.call_id, request.cseq
    return None if call_id is None or cseq is None else (call_id, cseq[0])
