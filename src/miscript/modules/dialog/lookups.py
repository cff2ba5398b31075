"""Script functions of module dialog that look at other dialogs, and those about profiles.

Source: OpenSIPS manual, module dialog, "Exported Functions"; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ...exports import Variable, Writable, script_function
from ...script.runtime import Run
from ...sip.dialog_profiles import Profile
from ...sip.dialogs import Dialog, DialogState
from .calls import Calls
from .commands import MAX_ITEMS
from .functions import CALL_ROUTES
from .shown import json_text
from .tracking import Tracking

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.dialog")


class DialogLookups(Base):
    """What scripts ask about dialogs that need not be their own."""

    calls: Calls
    tracking: Tracking

    # -- other dialogs ----------------------------------------------------------------------------------------------

    @script_function()
    def get_dialog_info(
        self, run: Run, attribute: str, destination: Writable, key: str, value: Variable, count: Writable
    ) -> int:
        """Find the dialogs whose value `key` is `value`, and write the value `attribute` of each to an AVP.

        `count` is how many there are.  -1 when there is none, or none has such a value.
        """
        found = self._with_value(key, value.get(run))
        told = [wanted for dialog in found if (wanted := dialog.values.get(attribute)) is not None]
        if not told:
            log.debug("get_dialog_info: no dialog has '%s' and the value '%s'", key, attribute)
            return -1
        return 1 if all(destination.set(run, wanted) for wanted in told) and count.set(run, len(found)) else -1

    @script_function()
    def get_dialog_vals(self, run: Run, names: Writable, values: Writable, callid: str) -> int:
        """Write all values of the dialog with a Call-ID to two AVPs, names and values in the same order."""
        dialog = self.calls.table.with_call_id(callid)
        if dialog is None:
            return -1
        for name, value in reversed(dialog.values.items()):
            if not (names.set(run, name) and values.set(run, value)):
                return -1
        return 1

    @script_function()
    def get_dialogs_by_val(self, run: Run, name: str, value: Variable, found: Writable, count: Writable) -> int:
        """Write all dialogs with this value as texts of JSON to an AVP, and how many there are; -1 for none."""
        return self._texts(run, self._with_value(name, value.get(run)), found, count)

    @script_function()
    def get_dialogs_by_profile(
        self, run: Run, profile: str, value: str | None, found: Writable, count: Writable
    ) -> int:
        """Write all dialogs in a profile as texts of JSON to an AVP, and how many there are; -1 for none."""
        chosen = self._profile_for(profile, "get_dialogs_by_profile")
        return -1 if chosen is None else self._texts(run, chosen.dialogs(value), found, count)

    def _with_value(self, key: str, value: object) -> list[Dialog]:
        if value is None:
            return []
        table = self.calls.table
        return [d for d in table if d.state is not DialogState.DELETED and d.values.get(key) == value]

    def _texts(self, run: Run, dialogs: Sequence[Dialog], found: Writable, count: Writable) -> int:
        if not dialogs:
            return -1
        written = all(found.set(run, json_text(dialog, context=True)) for dialog in dialogs)
        return 1 if written and count.set(run, len(dialogs)) else -1

    # -- profiles ---------------------------------------------------------------------------------------------------

    def _profile_for(self, name: str, function: str) -> Profile | None:
        found = self.calls.profiles.get(name)
        if found is None:
            log.error("%s: there is no profile '%s'", function, name)
        return found

    def _own(self, run: Run, name: str, function: str) -> tuple[Dialog, Profile] | None:
        profile = self._profile_for(name, function)
        here = self.tracking.here(run)
        if profile is not None and here is None:
            log.error("%s: there is no dialog", function)
        if profile is None or here is None:
            return None
        return here.dialog, profile

    @script_function(routes=CALL_ROUTES)
    def set_dlg_profile(self, run: Run, profile: str, value: str | None = None, clear_values: int = 0) -> int:
        """Put the dialog into a profile, with a value where it has values; `clear_values` 1 drops the old ones."""
        own = self._own(run, profile, "set_dlg_profile")
        if own is None:
            return -1
        dialog, chosen = own
        if chosen.has_value and value is None:
            log.warning("set_dlg_profile: profile '%s' needs a value", profile)
            return -1
        if dialog.state is DialogState.DELETED:
            return -1
        if clear_values:
            chosen.remove_all(dialog)
        if len(dialog.profiles) >= MAX_ITEMS:
            log.error("set_dlg_profile: a dialog is in %d profiles already", MAX_ITEMS)
            return -1
        chosen.add(dialog, value or "")
        self.calls.touched(dialog)
        return 1

    @script_function(routes=CALL_ROUTES)
    def unset_dlg_profile(self, run: Run, profile: str, value: str | None = None) -> int:
        """Take the dialog out of a profile, once with this value, with all values when none is given.

        -1 when it is not in it.
        """
        own = self._own(run, profile, "unset_dlg_profile")
        if own is None:
            return -1
        dialog, chosen = own
        every = chosen.has_value and value is None
        if not (chosen.remove_all(dialog) if every else chosen.remove(dialog, value or "")):
            return -1
        self.calls.touched(dialog)
        return 1

    @script_function(routes=CALL_ROUTES)
    def is_in_profile(self, run: Run, profile: str, value: str | None = None) -> int:
        """Whether the dialog is in a profile, with this value or any."""
        own = self._own(run, profile, "is_in_profile")
        return 1 if own is not None and own[1].has(own[0], value) else -1

    @script_function()
    def get_profile_size(self, run: Run, profile: str, value: str | None, size: Writable) -> int:
        """Write how many dialogs are in a profile, with this value or any, to a variable."""
        chosen = self._profile_for(profile, "get_profile_size")
        return 1 if chosen is not None and size.set(run, chosen.size(value)) else -1
