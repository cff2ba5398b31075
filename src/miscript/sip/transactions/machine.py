"""One transaction: its state, its timers as points in time, and the step that each event makes.

Time is an argument in seconds of any clock that does not go back; nothing here sleeps, sends or calls anybody.  The
owner tells what happened (`handle`), does what comes back, looks at `next_deadline` and calls `due` when it is
reached.  A transaction whose state is `State.TERMINATED` is over and may be forgotten.

Source: RFC 3261 section 17, RFC 6026.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from .table import (
    CLIENT,
    INVITE_CLIENT,
    INVITE_SERVER,
    SERVER,
    Do,
    Event,
    Resending,
    State,
    Table,
    Timer,
)

__all__ = ["Timers", "Transaction", "client", "event_of_status", "server"]

FOREVER: Final = float("inf")


@dataclass(frozen=True, slots=True)
class Timers:
    """How long things take, in seconds.

    `t1` and `t2` are the first and the longest time between two sendings, `t4` how long a message may be on its way.
    `reply` is the wait for a first reply, for the final one of other requests than INVITE, and for an ACK (B, F, H);
    `ringing` that for the final reply of an INVITE that got a provisional one (C), `linger` how long a transaction
    that is over absorbs what comes late (D, J, L, M).  `restart_ringing`: each provisional reply starts C anew.

    The defaults are those of RFC 3261.
    """

    t1: float = 0.5
    t2: float = 4.0
    t4: float = 5.0
    reply: float = 32.0
    ringing: float = 180.0
    linger: float = 32.0
    restart_ringing: bool = True

    def seconds(self, timer: Timer, reliable: bool) -> float:
        """How long `timer` runs; over a `reliable` transport nothing comes twice, so some take no time."""
        match timer:
            case Timer.B | Timer.F | Timer.H:
                return self.reply
            case Timer.C:
                return self.ringing
            case Timer.L | Timer.M:
                return self.linger
            case Timer.D | Timer.J:
                return 0.0 if reliable else self.linger
            case Timer.I | Timer.K:
                return 0.0 if reliable else min(self.t4, self.linger)


class Transaction:
    """The state of one transaction; `client` and `server` make it.

    `timers` may be replaced while it lives; timers that run keep their times.  `resent` counts the sendings after
    the first, for statistics.
    """

    __slots__ = ("_interval", "_table", "_timer", "ends_at", "reliable", "resend_at", "resent", "state", "timers")

    def __init__(self, table: Table, state: State, timers: Timers, reliable: bool) -> None:
        self._table = table
        self._timer: Timer | None = None
        self._interval = 0.0
        self.state = state
        self.timers = timers
        self.reliable = reliable
        self.resend_at = FOREVER
        self.ends_at = FOREVER
        self.resent = 0

    def __repr__(self) -> str:
        return f"<Transaction {self.state.value}>"

    @property
    def is_over(self) -> bool:
        """Whether it may be forgotten."""
        return self.state is State.TERMINATED

    @property
    def next_deadline(self) -> float:
        """When `due` has something to do; infinity when nothing is waited for."""
        return min(self.resend_at, self.ends_at)

    def handle(self, event: Event, now: float) -> tuple[Do, ...]:
        """Take an event; gives what is to be done."""
        step = self._table.get((self.state, event))
        if step is None:
            return ()
        self.state = step.to
        if step.wait is not None:
            self._start(step.wait, now)
        self._set_resending(step.resending, now)
        if step.to is State.TERMINATED:
            self.resend_at = self.ends_at = FOREVER
        elif self.ends_at <= now and step.wait is not None:
            return step.do + self.handle(Event.TIMEOUT, now)
        return step.do

    def due(self, now: float) -> tuple[Do, ...]:
        """What is to be done because `now` has come."""
        if self.ends_at <= now:
            self.ends_at = FOREVER
            return self.handle(Event.TIMEOUT, now)
        if self.resend_at <= now:
            done = self.handle(Event.RESEND, now)
            if self.resend_at <= now:
                self._interval = min(2 * self._interval, self.timers.t2)
                self.resend_at = now + self._interval
                self.resent += 1
            return done
        return ()

    def give_up_at(self, when: float) -> None:
        """Let the state end at another time."""
        self.ends_at = when

    def end(self) -> None:
        """Let it be over at once."""
        self.state = State.TERMINATED
        self.resend_at = self.ends_at = FOREVER

    def _start(self, timer: Timer, now: float) -> None:
        if timer is Timer.C and self._timer is Timer.C and not self.timers.restart_ringing:
            return
        self._timer = timer
        self.ends_at = now + self.timers.seconds(timer, self.reliable)

    def _set_resending(self, resending: Resending, now: float) -> None:
        match resending:
            case Resending.START if not self.reliable:
                self._interval = self.timers.t1
                self.resend_at = now + self._interval
            case Resending.SLOW if not self.reliable:
                self._interval = self.timers.t2
                self.resend_at = now + self._interval
            case Resending.STOP:
                self.resend_at = FOREVER
            case _:
                pass


def client(method: str, now: float, timers: Timers, *, reliable: bool) -> Transaction:
    """The transaction of a request that is sent now."""
    invite = method == "INVITE"
    made = Transaction(INVITE_CLIENT if invite else CLIENT, State.CALLING if invite else State.TRYING, timers, reliable)
    made._start(Timer.B if invite else Timer.F, now)
    made._set_resending(Resending.START, now)
    return made


def server(method: str, timers: Timers, *, reliable: bool) -> Transaction:
    """The transaction of a request that has come."""
    if method == "INVITE":
        return Transaction(INVITE_SERVER, State.PROCEEDING, timers, reliable)
    return Transaction(SERVER, State.TRYING, timers, reliable)


def event_of_status(status: int) -> Event:
    """The event that a reply of this status is."""
    if status < 200:
        return Event.PROVISIONAL
    return Event.SUCCESS if status < 300 else Event.FAILURE
