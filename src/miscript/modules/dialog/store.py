"""The database of dialogs: calls that have been answered outlive the host.

Rows are read once, before the startup route: then the calls go on, with their times, values, flags, profiles, routes,
pings, and what other modules keep with them (`miscript.dialog_service.DialogPart`).  Changes are written at once
(`db_mode` 1), every `db_update_period` seconds (2), or when the host ends (3); no message waits for it.

Source: OpenSIPS manual, module dialog (`db_mode`, `db_flush_vals_profiles`, `dlg_db_sync`, `dlg_restore_db`).
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from enum import IntEnum
from typing import Final

from ...database import Cell, Database, DatabaseError, check_version
from ...dialog_service import DialogPart
from ...sip.dialogs import Dialog, Leg
from ...table_mirror import TableMirror
from ...values import decode, encode
from .calls import Calls, Held
from .rows import KEPT_STATES, TABLE_VERSION, Kept, RowFormat

log = logging.getLogger("miscript.dialog")

SHOWN_MISTAKES: Final = 20
"""Wrong rows that one load logs; it tells how many more there were."""

LONGEST_SDP: Final = 8192
"""Bytes of a description of media that are kept."""

BYE_ON_TIMEOUT, ENDS_RACES, PRACKS = 1 << 3, 1 << 15, 1 << 20
PINGS: Final = {
    ("OPTIONS", True): 1 << 5,
    ("OPTIONS", False): 1 << 6,
    ("INVITE", True): 1 << 11,
    ("INVITE", False): 1 << 12,
}
"""The bits that the flags of `create_dialog` have in the column `flags`; pings by method and whether to the caller."""


class StoreMode(IntEnum):
    """When dialogs are written: the values of `db_mode`."""

    NONE = 0
    REALTIME = 1
    DELAYED = 2
    SHUTDOWN = 3


class DialogStore:
    """Reads and writes the table of dialogs.  `parts` are what other modules keep, by their names."""

    def __init__(
        self, calls: Calls, database: Database, table: str, format: RowFormat, *, with_values: bool = False
    ) -> None:
        self.calls = calls
        self.database = database
        self.table = table
        self.parts: Mapping[str, DialogPart] = {}
        self._format = format
        self.mirror = TableMirror[Dialog](database, table, format.key_column, self._row, calls.services.clock)
        calls.changed = self._changed
        if with_values:
            calls.touched = self._changed

    def _changed(self, dialog: Dialog) -> None:
        self.mirror.changed(dialog.id.as_number, dialog)

    # -- writing ------------------------------------------------------------------------------------------------------

    def _row(self, key: int, dialog: Dialog) -> Mapping[str, Cell] | None:
        if dialog.state not in KEPT_STATES or self.calls.table.with_id(dialog.id) is not dialog:
            return None
        held = self.calls.held(dialog)
        flags = BYE_ON_TIMEOUT * held.bye_on_timeout + ENDS_RACES * held.ends_races + PRACKS * held.pracks
        flags += sum(PINGS[ping] for ping in held.pings)
        return self._format.row(dialog, Kept(flags, held.routes, self._written_parts(dialog)))

    def _written_parts(self, dialog: Dialog) -> dict[str, str]:
        found = {}
        for name, part in self.parts.items():
            try:
                text = part.written(dialog)
            except Exception:
                log.exception("what '%s' keeps with dialog %s cannot be written", name, dialog.did)
                continue
            if text is not None:
                found[name] = text
        return found

    async def restore_table(self) -> None:
        """Write the table anew: all dialogs that have been answered, nothing else.  Raises DatabaseError."""
        dialogs = [d for d in self.calls.table if d.state in KEPT_STATES]
        await self.mirror.rewrite((d.id.as_number, d) for d in dialogs)

    async def close(self) -> None:
        """Write what is left, and end."""
        await self.mirror.close()
        await self.database.close()

    # -- reading ------------------------------------------------------------------------------------------------------

    async def load(self) -> int:
        """Take the dialogs of the table over; gives how many.  Raises DatabaseError, also for another table.

        One that is in memory already is changed to what its row says, unless it has gone further, or has changes
        that wait to be written.  Rows of dialogs that have ended go.
        """
        await check_version(self.database, self.table, TABLE_VERSION)
        taken = wrong = 0
        async for cells in self.mirror.rows(self._format.read_columns()):
            try:
                dialog, kept = self._format.dialog(cells)
            except DatabaseError as error:
                wrong += 1
                if wrong <= SHOWN_MISTAKES:
                    log.error("the table '%s': %s; the row is left out", self.table, error)
                continue
            self.mirror.found(dialog.id.as_number)
            taken += self._take(dialog, kept)
        if wrong > SHOWN_MISTAKES:
            log.error("the table '%s': %d more rows are left out", self.table, wrong - SHOWN_MISTAKES)
        return taken

    def _take(self, dialog: Dialog, kept: Kept) -> bool:
        known = self.calls.table.with_id(dialog.id)
        if dialog.state not in KEPT_STATES:
            if known is None:
                self.mirror.changed(dialog.id.as_number, dialog)
            return False
        if known is not None:
            if known.state > dialog.state or self.mirror.is_pending(dialog.id.as_number):
                return False
            self.calls.overwrite(known, dialog, kept.profiles)
            self.calls.held(known).routes = kept.routes
            return True
        held = Held(
            routes=kept.routes,
            bye_on_timeout=bool(kept.flags & BYE_ON_TIMEOUT),
            ends_races=bool(kept.flags & ENDS_RACES),
            pracks=bool(kept.flags & PRACKS),
            delete_delay=self.calls.delete_delay,
            pings={ping: None for ping, bit in PINGS.items() if kept.flags & bit},
        )
        if not self.calls.restore(dialog, held, kept.profiles):
            return False
        for name, text in kept.parts.items():
            self._read_part(name, dialog, text)
        self.calls.confirmed(dialog)
        return True

    def _read_part(self, name: str, dialog: Dialog, text: str) -> None:
        part = self.parts.get(name)
        if part is None:
            log.debug("dialog %s has something of '%s', which is not loaded", dialog.did, name)
            return
        try:
            part.read(dialog, text)
        except Exception as error:
            log.error("what '%s' keeps with dialog %s cannot be read: %r", name, dialog.did, error)


class OwnPart:
    """What this module keeps beside the columns: fractions of seconds, seconds between pings, `$DLG_del_delay`, the
    media of both ends, and with which number the last INVITE to each was sent."""

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def written(self, dialog: Dialog) -> str | None:
        held, callee = self._calls.held(dialog), dialog.callee
        told: dict[str, object] = {}
        times = (dialog.started, dialog.ends)
        if any(seconds % 1 for seconds in times):
            told["times"] = times
        if held.intervals:
            told["intervals"] = held.intervals
        if held.delete_delay != self._calls.delete_delay:
            told["delete_delay"] = held.delete_delay
        sdp = [dialog.caller.sdp, b"" if callee is None else callee.sdp]
        if any(sdp):
            told["sdp"] = [decode(one) if len(one) <= LONGEST_SDP else "" for one in sdp]
        shifts = [_last_shift(leg) for leg in (dialog.caller, callee)]
        if any(shifts):
            told["shifts"] = shifts
        return json.dumps(told, separators=(",", ":")) if told else None

    def read(self, dialog: Dialog, text: str) -> None:
        told, held = json.loads(text), self._calls.held(dialog)
        started, ends = told.get("times", (dialog.started, dialog.ends))
        if (int(started), int(ends)) == (dialog.started, dialog.ends):  # else somebody has changed the row
            dialog.started, dialog.ends = float(started), float(ends)
        held.intervals = {str(method): max(1, int(seconds)) for method, seconds in told.get("intervals", {}).items()}
        held.delete_delay = max(0, int(told.get("delete_delay", held.delete_delay)))
        for leg, sdp in zip((dialog.caller, *dialog.callees[:1]), told.get("sdp", ()), strict=False):
            leg.sdp = encode(str(sdp))
        for leg, pair in zip((dialog.caller, *dialog.callees[:1]), told.get("shifts", ()), strict=False):
            if pair:
                leg.sent_as(int(pair[0]), int(pair[0]) + int(pair[1]), "INVITE")


def _last_shift(leg: Leg | None) -> tuple[int, int] | None:
    """The last INVITE to an end that had another number on the way: its own one, and by how much it was raised."""
    return max(leg.shifts.items()) if leg is not None and leg.shifts else None
