"""Variables of module dialog.

Source: OpenSIPS manual, module dialog, "Exported Pseudo-Variables"; observed values of OpenSIPS 4.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from ...exports import variable
from ...script.runtime import Run
from ...sip.dialogs import Dialog, DialogState
from ...values import INT_MAX, Value
from .calls import Calls
from .functions import keep
from .pings import Pings
from .shown import flags_text, json_text
from .tracking import INTERVALS, LIFETIME, Tracking

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

MAX_FLAGS: Final = 64
"""Flags that a script may set at a time with `$DLG_flags`."""


class DialogVariables(Base):
    """What scripts read and write of a dialog; all are NULL without one."""

    calls: Calls
    tracking: Tracking
    pings: Pings

    def _of(self, run: Run) -> Dialog | None:
        here = self.tracking.here(run)
        return None if here is None else here.dialog

    @variable("DLG_count")
    def dialog_count(self, run: Run) -> Value:
        """How many dialogs have been answered and go on."""
        return self.calls.counters.active.value

    @variable("DLG_status")
    def status(self, run: Run) -> Value:
        """The state: 1 unconfirmed, 2 early, 3 answered, 4 answered and acknowledged, 5 ended."""
        dialog = self._of(run)
        return None if dialog is None else int(dialog.state)

    @variable("DLG_lifetime")
    def duration(self, run: Run) -> Value:
        """Seconds since the answer."""
        dialog = self._of(run)
        return None if dialog is None else dialog.duration(self.calls.now)

    @variable("DLG_dir")
    def direction(self, run: Run) -> Value:
        """The way of the message: `downstream` as the first request, or `upstream`."""
        found = self.tracking.direction(run)
        return None if found is None else found.value

    @variable("DLG_did")
    def did(self, run: Run) -> Value:
        """The id, as in MI commands."""
        dialog = self._of(run)
        return None if dialog is None else dialog.did

    @variable("DLG_end_reason")
    def end_reason(self, run: Run) -> Value:
        """Why it ended: `Upstream BYE`, `Downstream BYE`, `Cancelled`, `Lifetime Timeout`, `MI Termination`,
        `Ping Timeout`, `ReINVITE Ping Timeout`, `SIP Race Condition`.
        """
        dialog = self._of(run)
        return None if dialog is None else dialog.end_reason

    @variable("DLG_flags")
    def flags(self, run: Run) -> Value:
        """The names of the flags that are set, blanks between them.  NULL takes all back."""
        dialog = self._of(run)
        return None if dialog is None else flags_text(dialog)

    @flags.setter
    def set_flags(self, run: Run, value: Value) -> bool:
        dialog = self._of(run)
        if dialog is None or isinstance(value, int):
            return False
        names = (value or "").split()
        if len(names) > MAX_FLAGS:
            return False
        dialog.flags = dict.fromkeys(reversed(names))
        self.calls.touched(dialog)
        return True

    @variable("DLG_timeout")
    def timeout(self, run: Run) -> Value:
        """Seconds until its end, before the answer those that it will have; 0 when it has ended.

        Set before the dialog is there, they count from its making on.
        """
        dialog = self._of(run)
        return None if dialog is None else dialog.seconds_left(self.calls.now)

    @timeout.setter
    def set_timeout(self, run: Run, value: Value) -> bool:
        dialog, seconds = self._of(run), _seconds(value)
        if seconds is None or (dialog is not None and dialog.state is DialogState.DELETED):
            return False
        if dialog is None:
            run.data[LIFETIME] = seconds
            return True
        self.calls.live_for(dialog, seconds)
        return True

    @variable("DLG_del_delay")
    def delete_delay(self, run: Run) -> Value:
        """Seconds that it is kept behind its end."""
        dialog = self._of(run)
        return None if dialog is None else self.calls.held(dialog).delete_delay

    @delete_delay.setter
    def set_delete_delay(self, run: Run, value: Value) -> bool:
        dialog, seconds = self._of(run), _seconds(value)
        if dialog is None or seconds is None:
            return False
        self.calls.held(dialog).delete_delay = seconds
        self.calls.touched(dialog)
        return True

    @variable("DLG_options_ping_interval")
    def options_interval(self, run: Run) -> Value:
        """Seconds between two OPTIONS to its ends, from its answer on those until the next one; NULL without any.

        Set before the dialog is there, they count from its making on.
        """
        return self._interval(run, "OPTIONS")

    @options_interval.setter
    def set_options_interval(self, run: Run, value: Value) -> bool:
        return self._set_interval(run, "OPTIONS", value)

    @variable("DLG_reinvite_ping_interval")
    def reinvite_interval(self, run: Run) -> Value:
        """The same for re-INVITEs."""
        return self._interval(run, "INVITE")

    @reinvite_interval.setter
    def set_reinvite_interval(self, run: Run, value: Value) -> bool:
        return self._set_interval(run, "INVITE", value)

    def _interval(self, run: Run, method: str) -> Value:
        dialog = self._of(run)
        return self.tracking.wanted_interval(run, method) if dialog is None else self.pings.interval(dialog, method)

    def _set_interval(self, run: Run, method: str, value: Value) -> bool:
        dialog, seconds = self._of(run), _seconds(value)
        if not seconds:
            return False
        if dialog is not None:
            return self.pings.set_interval(dialog, method, seconds)
        run.data.setdefault(INTERVALS, {})[method] = seconds
        return True

    @variable("DLG_json")
    def json(self, run: Run) -> Value:
        """The dialog as JSON."""
        dialog = self._of(run)
        return None if dialog is None else json_text(dialog)

    @variable("DLG_ctx_json")
    def context_json(self, run: Run) -> Value:
        """The dialog as JSON, with its values and profiles."""
        dialog = self._of(run)
        return None if dialog is None else json_text(dialog, context=True)

    @variable("dlg_val")
    def value(self, run: Run, name: str) -> Value:
        """A value that is kept with the dialog; NULL drops it."""
        dialog = self._of(run)
        return None if dialog is None else dialog.values.get(name)

    @value.setter
    def set_value(self, run: Run, name: str, value: Value) -> bool:
        dialog = self._of(run)
        if dialog is None or not keep(dialog, name, value):
            return False
        self.calls.touched(dialog)
        return True


def _seconds(value: Value) -> int | None:
    """A time that a script gives; None when it is none."""
    if isinstance(value, str):
        value = int(value) if value.isascii() and value.isdecimal() and len(value) <= 10 else None
    return value if value is not None and 0 <= value <= INT_MAX else None
