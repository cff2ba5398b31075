"""Calls whose ends do not see each other, by Call-ID and tag, as long as messages of theirs may come.

Source: OpenSIPS manual, module topology_hiding.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from ...sip.dialogs import Dialog, DialogState

LATE_SECONDS: Final = 64
"""Seconds that messages may come behind the end of a call (RFC 3261: 64 times T1 of 500 ms, twice)."""

_FIRST_SWEEP: Final = 1024


@dataclass(slots=True, eq=False)
class HiddenCall:
    """A dialog whose ends are hidden from each other.

    `flags` are those of `topology_hiding()`.  `coded` is the Call-ID of the callee where it is another one.
    `advertised` are the Contacts that stay as they were told to the caller (True) or callee (False) first.
    """

    dialog: Dialog
    flags: frozenset[str] = frozenset()
    coded: str | None = None
    advertised: dict[bool, str] = field(default_factory=dict)


class HiddenCalls:
    """All of them.  They go some time behind their end, when others come: nothing has to be timed for it."""

    def __init__(self) -> None:
        self._calls: dict[tuple[str, str], HiddenCall] = {}
        self._sweep_at = _FIRST_SWEEP

    def __len__(self) -> int:
        return len(self._calls)

    def add(self, call: HiddenCall, now: float) -> None:
        """Remember a call; `now` in seconds since the epoch."""
        if len(self._calls) >= self._sweep_at:
            self._sweep(now)
        self._calls[call.dialog.call_id, call.dialog.caller.tag] = call

    def find(self, call_id: str, *tags: str) -> HiddenCall | None:
        """The call with the caller's Call-ID, whose caller has one of these tags."""
        for tag in tags:
            if (found := self._calls.get((call_id, tag))) is not None:
                return found
        return None

    def _sweep(self, now: float) -> None:
        over = [key for key, call in self._calls.items() if _is_over(call.dialog, now)]
        for key in over:
            del self._calls[key]
        self._sweep_at = max(_FIRST_SWEEP, 2 * len(self._calls))


class HiddenPart:
    """What of hidden calls stands in the database of dialogs.  `name` is where dialogs keep their `HiddenCall`."""

    def __init__(self, name: str, calls: HiddenCalls, now: Callable[[], float]) -> None:
        self._name = name
        self._calls = calls
        self._now = now

    def written(self, dialog: Dialog) -> str | None:
        call = dialog.data.get(self._name)
        if not isinstance(call, HiddenCall):
            return None
        told: dict[str, object] = {"flags": "".join(sorted(call.flags))}
        if call.coded is not None:
            told["call_id"] = call.coded
        if call.advertised:
            told["contacts"] = [call.advertised.get(True), call.advertised.get(False)]
        return json.dumps(told, separators=(",", ":"))

    def read(self, dialog: Dialog, text: str) -> None:
        told = json.loads(text)
        call = HiddenCall(dialog, frozenset(told["flags"]), told.get("call_id"))
        for to_caller, contact in zip((True, False), told.get("contacts", ()), strict=False):
            if contact is not None:
                call.advertised[to_caller] = str(contact)
        dialog.data[self._name] = call
        self._calls.add(call, self._now())


def _is_over(dialog: Dialog, now: float) -> bool:
    return dialog.state is DialogState.DELETED and dialog.ended + LATE_SECONDS < now
