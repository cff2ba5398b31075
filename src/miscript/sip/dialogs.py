"""Dialogs as a proxy sees them: two ends, the state between them, and a table that finds them.

Nothing here knows sockets or clocks: who calls passes the time.  A proxy keeps for each end (`Leg`) what it needs to
check requests and to make its own: tag, contact, the route to it, the highest CSeq that was sent to it.

```
1 UNCONFIRMED ── 1xx with a tag ──▶ 2 EARLY ── 2xx ──▶ 3 CONFIRMED_NO_ACK ── ACK ──▶ 4 CONFIRMED ── BYE ──▶ 5 DELETED
```

Source: RFC 3261 sections 12 and 16; RFC 3311 (UPDATE); OpenSIPS manual, module dialog (states, `dlg_match_mode`).
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, IntEnum
from typing import Final, NamedTuple

from ..values import Value, encode
from .sockets import ListeningSocket

MAX_LEGS: Final = 64
"""Ends of one dialog on the side of the callee: as many as a request can have branches."""

MAX_CSEQ: Final = 2**31 - 1
"""The highest number of a CSeq (RFC 3261 section 8.1.1.5)."""

MAX_SHIFTS: Final = 64
"""INVITEs of one end of which the number is kept that they were sent with."""

TARGET_REFRESH: Final = frozenset({"INVITE", "UPDATE"})
"""Methods whose Contact replaces the one of its sender."""


class DialogState(IntEnum):
    """The states by their numbers in `$DLG_status` and `dlg_list`."""

    UNCONFIRMED = 1
    EARLY = 2
    CONFIRMED_NO_ACK = 3
    CONFIRMED = 4
    DELETED = 5

    __hash__ = int.__hash__  # that of Enum is written in Python


class DialogEvent(Enum):
    """What moves a dialog from state to state."""

    PROVISIONAL = "a provisional reply with a To tag"
    SUCCESS = "a 2xx"
    ACK = "the ACK of the 2xx, or a later request"
    FAILURE = "a negative reply, or no reply"
    END = "a BYE, or the end of its time"

    __hash__ = object.__hash__


_S, _E = DialogState, DialogEvent
_NEXT: Final = {
    (_S.UNCONFIRMED, _E.PROVISIONAL): _S.EARLY,
    (_S.UNCONFIRMED, _E.SUCCESS): _S.CONFIRMED_NO_ACK,
    (_S.UNCONFIRMED, _E.FAILURE): _S.DELETED,
    (_S.UNCONFIRMED, _E.END): _S.DELETED,
    (_S.EARLY, _E.SUCCESS): _S.CONFIRMED_NO_ACK,
    (_S.EARLY, _E.FAILURE): _S.DELETED,
    (_S.EARLY, _E.END): _S.DELETED,
    (_S.CONFIRMED_NO_ACK, _E.ACK): _S.CONFIRMED,
    (_S.CONFIRMED_NO_ACK, _E.END): _S.DELETED,
    (_S.CONFIRMED, _E.END): _S.DELETED,
}


def next_state(state: DialogState, event: DialogEvent) -> DialogState:
    """The state behind an event; the same one where the event means nothing."""
    return _NEXT.get((state, event), state)


class Direction(Enum):
    """The way of a request: as the first one, or back."""

    DOWNSTREAM = "downstream"
    UPSTREAM = "upstream"

    @property
    def opposite(self) -> Direction:
        return Direction.UPSTREAM if self is Direction.DOWNSTREAM else Direction.DOWNSTREAM


class MatchMode(IntEnum):
    """How a request in a dialog is matched: by our parameter in its Route, by its tags, or by the first that fits."""

    DID_ONLY = 0
    DID_FALLBACK = 1
    DID_NONE = 2


class DialogId(NamedTuple):
    """`entry` follows from the Call-ID, `number` tells dialogs of one entry apart."""

    entry: int
    number: int

    def __str__(self) -> str:
        """The form that stands in Route, `$DLG_did` and MI: both in hexadecimal, the lowest digit first."""
        return f"{self.entry:x}"[::-1] + "." + f"{self.number:x}"[::-1]

    @property
    def as_number(self) -> int:
        """Both in one number, which databases and `db_id` have."""
        return self.entry << 32 | self.number

    @classmethod
    def parse(cls, text: str) -> DialogId | None:
        """The id of its text form; None when it is none."""
        entry, dot, number = text.partition(".")
        if not (dot and _is_hex(entry) and _is_hex(number)):
            return None
        return cls(int(entry[::-1], 16), int(number[::-1], 16))


_HEX_DIGITS: Final = frozenset("0123456789abcdefABCDEF")


def _is_hex(text: str) -> bool:
    return 0 < len(text) <= 8 and _HEX_DIGITS.issuperset(text)


@dataclass(slots=True)
class Leg:
    """One end of a dialog.

    `routes` is the Route set that a request from us to it has.  `cseq` is the highest CSeq of the other end's
    requests to it, with the numbers that they came with; `shift` is how many requests of ours came in between, or were
    sent once more with changes, so that theirs are passed on with a higher number.  `shifts` keeps the shift of
    INVITEs, for what names them: their ACKs, the RAck of PRACKs.  `early_contact` and `early_routes` are those of a
    provisional reply, for requests before the 2xx.
    """

    tag: str
    contact: str = ""
    routes: tuple[str, ...] = ()
    socket: ListeningSocket | None = None
    cseq: int = 0
    shift: int = 0
    sdp: bytes = b""
    shifts: dict[int, int] = field(default_factory=dict)
    early_contact: str = ""
    early_routes: tuple[str, ...] = ()

    def next_cseq(self) -> int:
        """The number of a request of ours to this end."""
        self.shift += 1
        return self.cseq + self.shift

    def passed_on(self, number: int, method: str) -> int:
        """Note a request of the other end, and give the number with which it is passed on to this one."""
        if method == "ACK":
            return self.invite_sent_as(number)
        if number > self.cseq:
            self.cseq = min(number, MAX_CSEQ)
            if method == "INVITE" and self.shift:
                self._keep_shift(number, self.shift)
        return self.invite_sent_as(number) if method == "INVITE" else number + self.shift

    def sent_as(self, number: int, sent: int, method: str) -> None:
        """Note that a request of the other end went to this one as number `sent`."""
        if method == "INVITE" and (sent != number or number in self.shifts):
            self._keep_shift(number, sent - number)
        self.shift = max(self.shift, sent - self.cseq)

    def invite_sent_as(self, number: int) -> int:
        """The number with which an INVITE of the other end was sent to this one last."""
        return number + self.shifts.get(number, 0)

    def _keep_shift(self, number: int, shift: int) -> None:
        if number not in self.shifts and len(self.shifts) >= MAX_SHIFTS:
            del self.shifts[min(self.shifts)]
        self.shifts[number] = shift


@dataclass(slots=True, eq=False)
class Dialog:
    """A call.  Times are seconds since the epoch; `lifetime` is what it has from its 2xx on, `ends` the time then.

    `values` are `$dlg_val`s, `flags` names in the order they were set, `profiles` memberships with their values,
    the oldest first.  `data` is for whoever keeps something beside it.
    """

    id: DialogId
    call_id: str
    from_uri: str
    to_uri: str
    caller: Leg
    created: float
    lifetime: int
    state: DialogState = DialogState.UNCONFIRMED
    callees: list[Leg] = field(default_factory=list)
    answered: int | None = None
    """Which of the callees has answered."""
    started: float = 0.0
    ends: float = 0.0
    ended: float = 0.0
    end_reason: str | None = None
    values: dict[str, Value] = field(default_factory=dict)
    flags: dict[str, None] = field(default_factory=dict)
    profiles: list[tuple[str, str]] = field(default_factory=list)
    data: dict[str, object] = field(default_factory=dict)

    @property
    def did(self) -> str:
        return str(self.id)

    @property
    def callee(self) -> Leg | None:
        """The end that has answered, before that the first that rang."""
        if not self.callees:
            return None
        return self.callees[self.answered or 0]

    @property
    def is_confirmed(self) -> bool:
        """Whether it has its 2xx and has not ended."""
        return self.state in (DialogState.CONFIRMED_NO_ACK, DialogState.CONFIRMED)

    def handle(self, event: DialogEvent, now: float) -> bool:
        """Take an event; True when the state is another one now."""
        new = next_state(self.state, event)
        if new is self.state:
            return False
        self.state = new
        if new is DialogState.CONFIRMED_NO_ACK:
            self.started, self.ends = now, now + self.lifetime
        elif new is DialogState.DELETED:
            self.ended = now
        return True

    def duration(self, now: float) -> int:
        """Seconds since the 2xx, until its end."""
        if not self.started:
            return 0
        return int((self.ended or now) - self.started)

    def seconds_left(self, now: float) -> int:
        """Seconds until its time is over; what it will have, as long as it has no 2xx."""
        if self.state is DialogState.DELETED:
            return 0
        return max(0, round(self.ends - now)) if self.started else self.lifetime

    def live_for(self, seconds: int, now: float) -> None:
        """Let it end in so many seconds, or so long after its 2xx."""
        self.lifetime = seconds
        if self.started:
            self.ends = now + seconds

    # -- ends -----------------------------------------------------------------------------------------------------

    def leg_of(self, tag: str) -> Leg | None:
        """The callee with this To tag."""
        for leg in self.callees:
            if leg.tag == tag:
                return leg
        return None

    def add_callee(self, tag: str, cseq: int) -> Leg | None:
        """The callee with this tag, a new one where there is none; None beyond `MAX_LEGS`."""
        found = self.leg_of(tag)
        if found is None and len(self.callees) < MAX_LEGS:
            found = Leg(tag, cseq=cseq)
            self.callees.append(found)
        return found

    def answer(self, leg: Leg) -> None:
        """Let `leg` be the one that has answered; the first one stays."""
        if self.answered is None:
            self.answered = self.callees.index(leg)

    def direction(self, from_tag: str, to_tag: str) -> Direction | None:
        """The way of a request with these tags; None when it is none of this dialog."""
        if from_tag == self.caller.tag and (not self.callees or self.leg_of(to_tag) is not None):
            return Direction.DOWNSTREAM
        if to_tag == self.caller.tag and (not self.callees or self.leg_of(from_tag) is not None):
            return Direction.UPSTREAM
        return None

    def ends_of(self, direction: Direction, tag: str = "") -> tuple[Leg, Leg | None]:
        """Sender and receiver of a request; `tag` chooses among several callees."""
        callee = self.leg_of(tag) or self.callee
        if direction is Direction.DOWNSTREAM:
            return self.caller, callee
        return callee or Leg(tag), self.caller


class Matched(NamedTuple):
    """A dialog, the way that a request goes in it, and the tag of the callee's end."""

    dialog: Dialog
    direction: Direction
    callee_tag: str

    @property
    def sender(self) -> Leg:
        return self.dialog.ends_of(self.direction, self.callee_tag)[0]

    @property
    def receiver(self) -> Leg | None:
        return self.dialog.ends_of(self.direction, self.callee_tag)[1]


class DialogTable:
    """All dialogs, the oldest first.  `entries` (a power of two) is how many values `DialogId.entry` has.

    `first_number` makes the ids of one start differ from those of the one before.
    """

    def __init__(self, entries: int = 4096, first_number: int = 0, limit: int = 1_000_000) -> None:
        self.entries = entries
        self.limit = limit
        self.first_number = first_number
        self._number = first_number & 0x7FFFFFFF
        self._by_id: dict[DialogId, Dialog] = {}
        self._by_call: dict[str, list[Dialog]] = {}

    def __len__(self) -> int:
        return len(self._by_id)

    def __iter__(self) -> Iterator[Dialog]:
        return iter(list(self._by_id.values()))

    def create(
        self, call_id: str, from_uri: str, to_uri: str, caller: Leg, *, now: float, lifetime: int
    ) -> Dialog | None:
        """A new dialog; None when there are too many."""
        if len(self._by_id) >= self.limit:
            return None
        entry = zlib.crc32(encode(call_id)) % self.entries
        while True:
            self._number = self._number % 0x7FFFFFFF + 1
            id = DialogId(entry, self._number)
            if id not in self._by_id:  # one that was restored may have it
                break
        dialog = Dialog(id, call_id, from_uri, to_uri, caller, now, lifetime)
        self._add(dialog)
        return dialog

    def restore(self, dialog: Dialog) -> bool:
        """Take a dialog with the id that it has; False when another one has it, or there are too many."""
        if dialog.id in self._by_id or len(self._by_id) >= self.limit:
            return False
        self._add(dialog)
        return True

    def _add(self, dialog: Dialog) -> None:
        self._by_id[dialog.id] = dialog
        self._by_call.setdefault(dialog.call_id, []).append(dialog)

    def remove(self, dialog: Dialog) -> None:
        """Forget a dialog; again is harmless."""
        if self._by_id.pop(dialog.id, None) is None:
            return
        of_call = self._by_call[dialog.call_id]
        of_call.remove(dialog)
        if not of_call:
            del self._by_call[dialog.call_id]

    def with_id(self, id: DialogId | None) -> Dialog | None:
        return None if id is None else self._by_id.get(id)

    def with_call_id(self, call_id: str, from_tag: str | None = None) -> Dialog | None:
        """The dialog of a call, one that has not ended where there are several."""
        found = [d for d in self._by_call.get(call_id, ()) if from_tag is None or d.caller.tag == from_tag]
        return next((d for d in found if d.state is not DialogState.DELETED), found[0] if found else None)

    def named(self, text: str) -> Dialog | None:
        """The dialog with this id in its text form, else the one of this Call-ID."""
        return self.with_id(DialogId.parse(text)) or self.with_call_id(text)

    def match(self, did: str | None, call_id: str, from_tag: str, to_tag: str, mode: MatchMode) -> Matched | None:
        """The dialog that a request is in.  `did` is our parameter in its Route, None when it has none."""
        if did is not None and mode is not MatchMode.DID_NONE:
            dialog = self.with_id(DialogId.parse(did))
            found = None if dialog is None or dialog.call_id != call_id else _matched(dialog, from_tag, to_tag)
            if found is not None:
                return found
        if mode is MatchMode.DID_ONLY:
            return None
        for dialog in self._by_call.get(call_id, ()):
            found = _matched(dialog, from_tag, to_tag)
            if found is not None:
                return found
        return None


def _matched(dialog: Dialog, from_tag: str, to_tag: str) -> Matched | None:
    if dialog.state is DialogState.DELETED and not dialog.started:
        return None  # it was never answered: nothing but the ACK of its negative reply can come
    direction = dialog.direction(from_tag, to_tag)
    if direction is None:
        return None
    return Matched(dialog, direction, to_tag if direction is Direction.DOWNSTREAM else from_tag)
