"""All dialogs of a host: made, moved from state to state, timed, ended, forgotten.

`tracking` tells what SIP brings, `requests` sends; here state, statistics, events, profiles and times are kept in
step.  Everything is synchronous.

Source: OpenSIPS manual, module dialog.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from ...deadlines import Deadline, Deadlines
from ...dialog_service import StateWatcher
from ...services import Counter, Services
from ...sip.dialog_profiles import Profiles
from ...sip.dialogs import Dialog, DialogEvent, DialogState, DialogTable, Leg
from ...sip.message import dummy_message
from ...transaction_service import SipTransaction

if TYPE_CHECKING:
    from ...script.runtime import Run

log = logging.getLogger("miscript.dialog")

STATE_CHANGED: Final = "E_DLG_STATE_CHANGED"

TIMEOUT: Final = "Lifetime Timeout"
"""`$DLG_end_reason` of a dialog whose time was over."""

RACE: Final = "SIP Race Condition"
"""`$DLG_end_reason` of a dialog that its ends understand differently (RFC 5407)."""

CANCELLED: Final = "Cancelled"
"""`$DLG_end_reason` of a dialog whose caller has given up."""

LATE_SECONDS: Final = 5
"""Seconds in which a dialog that has ended still takes late requests, as long as a transaction lives."""


@dataclass(slots=True)
class Held:
    """What the module keeps beside a dialog: its next deadline, the routes that a script asked for, what to do at
    its end, and the transaction of its INVITE while there is one."""

    deadline: Deadline | None = None
    routes: dict[str, str] = field(default_factory=dict)
    bye_on_timeout: bool = False
    pings: dict[tuple[str, bool], Deadline | None] = field(default_factory=dict)
    """Method of a ping, and whether it goes to the caller → when the next one is due."""
    intervals: dict[str, int] = field(default_factory=dict)
    pracks: bool = False
    ends_races: bool = False
    was_cancelled: bool = False
    early_bye: bool = False
    raced: bool = False
    transaction: SipTransaction | None = None
    is_ending: bool = False
    delete_delay: int = 0


@dataclass(frozen=True, slots=True)
class Counters:
    """The statistics that dialogs move."""

    active: Counter
    early: Counter
    processed: Counter
    expired: Counter
    failed: Counter


class Calls:
    """The table of dialogs and what hangs on it.

    `terminate` ends a confirmed dialog from here, `confirmed` is told of each that has its 2xx; both are set by who
    sends requests.  `prepare` lets the route of an event know its dialog.  `changed` is told of each dialog that a
    database should write, `touched` of one of which only values, flags, profiles or intervals have changed.
    """

    def __init__(self, services: Services, counters: Counters) -> None:
        self.services = services
        self.counters = counters
        self.table = DialogTable(first_number=secrets.randbits(31))
        self.profiles = Profiles("", "")
        self.deadlines = Deadlines(services.clock)
        self.delete_delay = 0
        self.default_lifetime = 43200
        self.race_seconds = 5
        self.terminate: Callable[[Dialog, str], object] = lambda dialog, reason: None
        self.confirmed: Callable[[Dialog], None] = lambda dialog: None
        self.prepare: Callable[[Dialog, Run], None] = lambda dialog, run: None
        self.changed: Callable[[Dialog], None] = lambda dialog: None
        self.touched: Callable[[Dialog], None] = lambda dialog: None
        self.watchers: list[StateWatcher] = []
        self._held: dict[Dialog, Held] = {}

    @property
    def now(self) -> float:
        return self.services.clock.time()

    def held(self, dialog: Dialog) -> Held:
        """What is kept beside a dialog; for one that is forgotten something that nobody sees."""
        found = self._held.get(dialog)
        return Held() if found is None else found

    # -- life ---------------------------------------------------------------------------------------------------

    def create(self, call_id: str, from_uri: str, to_uri: str, caller: Leg) -> Dialog | None:
        """A new dialog; None when there are too many."""
        dialog = self.table.create(call_id, from_uri, to_uri, caller, now=self.now, lifetime=self.default_lifetime)
        if dialog is not None:
            self._held[dialog] = Held(delete_delay=self.delete_delay)
            self.counters.processed.add()
        return dialog

    def restore(self, dialog: Dialog, held: Held, profiles: Sequence[tuple[str, str]]) -> bool:
        """Let a call go on that was answered before the host began; False when its id is taken.

        Nobody is told, and no statistic but that of active dialogs counts it.  Its time may be over already.
        """
        if not self.table.restore(dialog):
            return False
        self._held[dialog] = held
        self._count(dialog.state, 1)
        self._join(dialog, profiles)
        self.time(dialog)
        return True

    def overwrite(self, dialog: Dialog, read: Dialog, profiles: Sequence[tuple[str, str]]) -> None:
        """Change a dialog that has been answered to what was read of it; `read` is no dialog of the table."""
        self._count(dialog.state, -1)
        self._count(read.state, 1)
        dialog.state = read.state
        dialog.values, dialog.flags = read.values, read.flags
        dialog.started, dialog.ends, dialog.lifetime = read.started, read.ends, read.lifetime
        for leg, other in ((dialog.caller, read.caller), (dialog.callee, read.callee)):
            if leg is not None and other is not None and leg.tag == other.tag:
                leg.contact, leg.routes, leg.socket = other.contact, other.routes, other.socket
                leg.cseq, leg.shift = other.cseq, other.shift
        self.profiles.leave(dialog)
        self._join(dialog, profiles)
        self.time(dialog)

    def _join(self, dialog: Dialog, profiles: Sequence[tuple[str, str]]) -> None:
        for text, value in profiles:
            profile = self.profiles.get(text) or self.profiles.get(text.partition("/")[0])
            if profile is None:
                log.warning("dialog %s was in the profile '%s', which there is not", dialog.did, text)
            else:
                profile.add(dialog, value)

    def move(self, dialog: Dialog, event: DialogEvent, tag: str = "", *, hung_up: bool = True) -> bool:
        """Let an event happen to a dialog; `tag` is that of the callee's end.  False when it changes nothing.

        `hung_up` tells that somebody has ended it, and not only the time.
        """
        old = dialog.state
        if not dialog.handle(event, self.now):
            return False
        self._count(old, -1)
        self._count(dialog.state, 1)
        match dialog.state:
            case DialogState.CONFIRMED_NO_ACK:
                dialog.end_reason = None
                self._begin(dialog)
                self.end_race(dialog)
            case DialogState.DELETED:
                self._end(dialog)
            case _:
                pass
        self._tell(dialog, old, tag)
        if dialog.started:
            self.changed(dialog)
        if dialog.state is DialogState.CONFIRMED_NO_ACK:
            self.run_route(dialog, "answer")
        elif dialog.state is DialogState.DELETED and dialog.started and hung_up:
            self.run_route(dialog, "hangup")
        return True

    def _count(self, state: DialogState, amount: int) -> None:
        if state is DialogState.EARLY:
            self.counters.early.add(amount)
        elif state in (DialogState.CONFIRMED, DialogState.CONFIRMED_NO_ACK):
            self.counters.active.add(amount)

    def _begin(self, dialog: Dialog) -> None:
        self.held(dialog).transaction = None
        self.time(dialog)
        self.confirmed(dialog)

    def _end(self, dialog: Dialog) -> None:
        held = self.held(dialog)
        held.transaction = None
        self.profiles.leave(dialog)
        if not dialog.started:
            self.counters.failed.add()
        for deadline in held.pings.values():
            if deadline is not None:
                deadline.cancel()
        self._at(dialog, max(held.delete_delay, LATE_SECONDS), lambda: self.forget(dialog))

    def forget(self, dialog: Dialog) -> None:
        """Take a dialog out of all tables, whatever its state is."""
        held = self._held.pop(dialog, None)
        if held is None:
            return
        for deadline in (held.deadline, *held.pings.values()):
            if deadline is not None:
                deadline.cancel()
        self._count(dialog.state, -1)
        self.profiles.leave(dialog)
        self.table.remove(dialog)

    def drop(self, dialog: Dialog) -> None:
        """Forget a dialog whose request was never sent on."""
        if dialog.state is DialogState.UNCONFIRMED:
            dialog.handle(DialogEvent.FAILURE, self.now)
            self.counters.failed.add()
        self.forget(dialog)

    # -- time ---------------------------------------------------------------------------------------------------

    def live_for(self, dialog: Dialog, seconds: int) -> None:
        """Let a dialog end in so many seconds, or so long after its 2xx."""
        dialog.live_for(seconds, self.now)
        if dialog.is_confirmed:
            self.time(dialog)
            self.changed(dialog)

    def cancelled(self, dialog: Dialog) -> None:
        """The caller has given up, which may cross a 2xx."""
        held = self.held(dialog)
        held.was_cancelled = True
        if dialog.is_confirmed:
            self.end_race(dialog)
        elif dialog.end_reason is None:
            dialog.end_reason = CANCELLED

    def end_race(self, dialog: Dialog) -> None:
        """End a confirmed dialog soon when one of its ends has given it up before, and the script wants that."""
        held = self.held(dialog)
        if held.ends_races and (held.was_cancelled or held.early_bye) and not held.raced:
            held.raced = True
            self.live_for(dialog, self.race_seconds)

    def time(self, dialog: Dialog) -> None:
        """Ask for the deadline of a dialog that has its 2xx."""
        self._at(dialog, dialog.ends - self.now, lambda: self._expired(dialog))

    def _at(self, dialog: Dialog, seconds: float, due: Callable[[], None]) -> None:
        held = self.held(dialog)
        if held.deadline is not None:
            held.deadline.cancel()
        held.deadline = self.deadlines.after(seconds, due)

    def _expired(self, dialog: Dialog) -> None:
        if not dialog.is_confirmed:
            return
        route = self.held(dialog).routes.get("timeout")
        if route is None:
            self._time_is_over(dialog)
        else:
            self.services.tasks.spawn(self._ask_route(dialog, route), "the route of a dialog's timeout")

    async def _ask_route(self, dialog: Dialog, route: str) -> None:
        """The route may give the dialog more time."""
        await self._route(dialog, route)
        if dialog.is_confirmed and dialog.ends <= self.now:
            self._time_is_over(dialog)

    def _time_is_over(self, dialog: Dialog) -> None:
        self.counters.expired.add()
        held = self.held(dialog)
        if held.bye_on_timeout or held.raced:
            self.terminate(dialog, RACE if held.raced else TIMEOUT)
        else:
            self.move(dialog, DialogEvent.END, hung_up=False)

    # -- who hears of it ----------------------------------------------------------------------------------------

    def _tell(self, dialog: Dialog, old: DialogState, tag: str) -> None:
        for watcher in self.watchers:
            try:
                watcher(dialog, old)
            except Exception:
                log.exception("a watcher of dialogs failed")
        if not self.services.events.is_heard(STATE_CHANGED):
            return
        callee = dialog.callee
        self.services.events.raise_event(
            STATE_CHANGED,
            [
                ("id", dialog.did),
                ("db_id", str(dialog.id.as_number)),
                ("callid", dialog.call_id),
                ("from_tag", dialog.caller.tag),
                ("to_tag", tag or ("" if callee is None else callee.tag)),
                ("old_state", int(old)),
                ("new_state", int(dialog.state)),
            ],
        )

    def run_route(self, dialog: Dialog, moment: str) -> None:
        """Run the route that a script asked for: of its answer, its timeout, its hangup."""
        route = self.held(dialog).routes.get(moment)
        if route is not None:
            self.services.tasks.spawn(self._route(dialog, route), f"the route of a dialog's {moment}")

    async def _route(self, dialog: Dialog, route: str) -> None:
        try:
            await self.services.routes.run_route(
                "route", route, message=dummy_message(), prepare=lambda run: self.prepare(dialog, run)
            )
        except LookupError as error:
            log.error("%s", error)
