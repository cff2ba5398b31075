"""Asking the ends of a call whether they are still there: OPTIONS or re-INVITEs in the dialog, from time to time.

An end that does not know the call any more, or does not answer, ends it.  An end that is to be asked both ways gets
re-INVITEs alone.

Source: OpenSIPS manual, module dialog (`create_dialog`, `options_ping_interval`, `$DLG_reinvite_ping_interval`).
"""

from __future__ import annotations

from typing import Final

from ...services import Services
from ...sip.dialogs import Dialog
from .calls import Calls
from .requests import DialogRequests, Sequential

FLAGS: Final = {
    "options-ping-caller": ("OPTIONS", True),
    "options-ping-callee": ("OPTIONS", False),
    "reinvite-ping-caller": ("INVITE", True),
    "reinvite-ping-callee": ("INVITE", False),
}
"""Flags of `create_dialog` → the method of a ping, and whether it goes to the caller."""

GONE: Final = frozenset({408, 481})
"""Replies to a ping that tell that the other end knows of no dialog."""

REASONS: Final = {"OPTIONS": "Ping Timeout", "INVITE": "ReINVITE Ping Timeout"}
"""`$DLG_end_reason` of a dialog whose end did not answer."""


class Pings:
    """Pings of all dialogs; `begin` is called when a dialog has its 2xx."""

    def __init__(self, services: Services, calls: Calls, requests: DialogRequests) -> None:
        self.services = services
        self.calls = calls
        self.requests = requests
        calls.confirmed = self.begin

    def wanted(self, dialog: Dialog, method: str, to_caller: bool, seconds: int) -> None:
        """Ask an end of a dialog from its 2xx on, every so many seconds."""
        held = self.calls.held(dialog)
        held.pings.setdefault((method, to_caller))
        held.intervals.setdefault(method, seconds)

    def begin(self, dialog: Dialog) -> None:
        held = self.calls.held(dialog)
        for method, to_caller in held.pings:
            if method == "INVITE" or ("INVITE", to_caller) not in held.pings:
                self._later(dialog, method, to_caller)

    def interval(self, dialog: Dialog, method: str) -> int | None:
        """Seconds between two pings, from the 2xx on those until the next one; None when none are sent."""
        held = self.calls.held(dialog)
        seconds = held.intervals.get(method)
        if seconds is None or not dialog.is_confirmed:
            return seconds
        now = self.services.clock.monotonic()
        waits = [
            deadline.when - now
            for (asked, _), deadline in held.pings.items()
            if asked == method and deadline is not None and deadline.callback is not None
        ]
        return max(0, round(min(waits))) if waits else seconds

    def set_interval(self, dialog: Dialog, method: str, seconds: int) -> bool:
        """Other seconds between pings, from now on where none is under way; False when none are sent."""
        held = self.calls.held(dialog)
        if method not in held.intervals:
            return False
        held.intervals[method] = seconds
        self.calls.touched(dialog)
        for (asked, to_caller), deadline in list(held.pings.items()):
            if asked == method and deadline is not None and deadline.callback is not None:
                deadline.cancel()
                self._later(dialog, method, to_caller)
        return True

    def _later(self, dialog: Dialog, method: str, to_caller: bool) -> None:
        held = self.calls.held(dialog)
        seconds = max(1, held.intervals.get(method, 0))
        held.pings[method, to_caller] = self.calls.deadlines.after(
            seconds, lambda: self._now(dialog, method, to_caller)
        )

    def _now(self, dialog: Dialog, method: str, to_caller: bool) -> None:
        if dialog.is_confirmed:
            self.services.tasks.spawn(self._asked(dialog, method, to_caller), "the ping of a dialog")

    async def _asked(self, dialog: Dialog, method: str, to_caller: bool) -> None:
        body = "outbound" if method == "INVITE" else "none"
        ping = Sequential.of(dialog, method, to_caller, body, "")
        reply = await self.requests.send(dialog, ping, contact=method == "INVITE")
        if not dialog.is_confirmed:
            return
        if reply.status in GONE:
            self.requests.terminate(dialog, REASONS[method])
        else:
            self._later(dialog, method, to_caller)
