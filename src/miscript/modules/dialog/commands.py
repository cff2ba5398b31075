"""MI commands of module dialog.

Source: OpenSIPS manual, module dialog, "Exported MI Functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from ...database import DatabaseError
from ...errors import MIError
from ...exports import mi_command
from ...mi.command import Raw
from ...mi.parameters import text_or_none
from ...sip.dialog_profiles import Profile
from ...sip.dialogs import Dialog, DialogState
from .calls import Calls
from .requests import DialogRequests, Sequential
from .shown import shown
from .store import DialogStore

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

OK: Final = "OK"
BY_MI: Final = "MI Termination"
"""`$DLG_end_reason` of a dialog that MI has ended."""

MAX_ITEMS: Final = 1024
"""Values, and memberships in profiles, that one dialog may have."""

_BODY: Final = re.compile(r"none|inbound|outbound|custom.{4,}", re.IGNORECASE | re.DOTALL)

_SELECTIONS: Final = ("", "callid", "callid from_tag", "index counter")


class DialogCommands(Base):
    """Commands of the Management Interface."""

    calls: Calls
    requests: DialogRequests
    store: DialogStore | None

    # -- lists ----------------------------------------------------------------------------------------------------

    @mi_command("list", *_SELECTIONS, aliases=["dlg_list"], named_only=True, read_only=True, read_first="from_tag")
    def mi_list(
        self, callid: str | None = None, from_tag: str | None = None, index: int = 0, counter: int = 0
    ) -> dict[str, object]:
        """tells all dialogs, the one of a Call-ID (and From tag), or `counter` of them from number `index` on"""
        return self._listed(callid, from_tag, index, counter, context=False)

    @mi_command(
        "list_ctx", *_SELECTIONS, aliases=["dlg_list_ctx"], named_only=True, read_only=True, read_first="from_tag"
    )
    def mi_list_ctx(
        self, callid: str | None = None, from_tag: str | None = None, index: int = 0, counter: int = 0
    ) -> dict[str, object]:
        """tells what dlg_list does, with the values and profiles of each dialog"""
        return self._listed(callid, from_tag, index, counter, context=True)

    def _listed(
        self, call_id: str | None, from_tag: str | None, index: int, counter: int, *, context: bool
    ) -> dict[str, object]:
        table = self.calls.table
        if call_id is not None:
            dialog = table.with_call_id(call_id, from_tag)
            if dialog is None:
                raise MIError(404, "No such dialog")
            return {"Dialog": shown(dialog, context=context)}
        if not counter:
            return {"Dialogs": [shown(dialog, context=context) for dialog in table]}
        dialogs = list(table)[index:] if index >= 0 else []
        chosen = dialogs[:counter] if counter > 0 else dialogs
        return {"count": len(table), "Dialogs": [shown(dialog, context=context) for dialog in chosen]}

    # -- ending and sending -----------------------------------------------------------------------------------------

    @mi_command("end_dlg", "dialog_id", "dialog_id extra_hdrs", aliases=["dlg_end_dlg"], read_first="extra_hdrs")
    def mi_end_dlg(self, dialog_id: str, extra_hdrs: str = "") -> str:
        """ends a dialog, found by its id or Call-ID: BYEs go both ways, a CANCEL when it has no answer yet"""
        dialog = self.calls.table.named(dialog_id)
        if dialog is None or dialog.state is DialogState.DELETED:
            raise MIError(404, "Requested Dialog not found")
        self._end(dialog, extra_hdrs)
        return OK

    def _end(self, dialog: Dialog, extra_hdrs: str = "") -> None:
        if not self.requests.terminate(dialog, BY_MI, extra_hdrs):
            raise MIError(500, "Internal Error", "a dialog without answer can only be ended by its own parties here")

    @mi_command(
        "send_sequential",
        "callid",
        "callid mode",
        "callid method",
        "callid body",
        "callid mode method",
        "callid mode body",
        "callid method body",
        "callid method body mode",
        "callid method body mode headers",
        aliases=["dlg_send_sequential"],
        named_only=True,
    )
    async def mi_send_sequential(
        self, callid: str, mode: Raw = "caller", method: Raw = "INVITE", body: Raw = "none", headers: Raw = ""
    ) -> dict[str, object]:
        """sends a request in a dialog to its `caller` or `callee` (mode) and waits for the final reply

        The modes challenge, challenge-caller and challenge-callee send an INVITE or UPDATE to one end and what its
        2xx tells of its media to the other one; the reply is the last one.  `body` is none, inbound or outbound (what
        the other end has told of its media), or custom:TYPE:TEXT.
        """
        challenges, to_caller = _mode(_text(mode, "caller"))
        wanted, content = _text(method, "INVITE"), _text(body, "none")
        if not _BODY.fullmatch(content):
            raise MIError(400, "Invalid body mode")
        if challenges and wanted.upper() not in ("INVITE", "UPDATE"):
            raise MIError(406, "Not Acceptable")
        dialog = self.calls.table.named(callid)
        if dialog is None or not dialog.is_confirmed:
            raise MIError(404, "Dialog Not Found")
        try:
            request = Sequential.of(dialog, wanted, to_caller, content, _text(headers, ""))
        except ValueError as error:
            raise MIError(400, "Invalid body mode", str(error)) from error
        reply = await (self.requests.challenge if challenges else self.requests.send)(dialog, request)
        return {"Code": reply.status, "Reason": reply.reason}

    # -- values -----------------------------------------------------------------------------------------------------

    @mi_command("push_var", "dlg_val_name dlg_val_value DID", aliases=["dlg_push_var"])
    def mi_push_var(self, dlg_val_name: str, dlg_val_value: str, DID: list[str]) -> str:  # noqa: N803  # its MI name
        """sets a value of dialogs, each found by its id or Call-ID; those that are not there are left out"""
        for text in DID:
            dialog = self.calls.table.named(text)
            if dialog is not None and (dlg_val_name in dialog.values or len(dialog.values) < MAX_ITEMS):
                dialog.values[dlg_val_name] = dlg_val_value
                self.calls.touched(dialog)
        return OK

    # -- profiles ---------------------------------------------------------------------------------------------------

    def _profile(self, name: str) -> Profile:
        found = self.calls.profiles.get(name)
        if found is None:
            raise MIError(404, "Profile not found")
        return found

    @mi_command("list_all_profiles", read_only=True)
    def mi_list_all_profiles(self) -> dict[str, object]:
        """tells all profiles, and whether they have values"""
        return {
            "Profiles": [{"name": p.name, "has value": p.has_value} for p in self.calls.profiles.values()],
        }

    @mi_command("profile_get_size", "profile", "profile value", read_first="value", read_only=True)
    def mi_profile_get_size(self, profile: str, value: str | None = None) -> dict[str, object]:
        """tells how many dialogs are in a profile, with one value or all"""
        size = self._profile(profile).size(value)
        told = {"name": profile, "value": value, "count": size, "shared": "no", "replicated": "no"}
        return {"Profile": told}

    @mi_command("profile_get_values", "profile", read_only=True)
    def mi_profile_get_values(self, profile: str) -> list[dict[str, object]]:
        """tells the values of a profile, and how many dialogs have each"""
        found = self._profile(profile)
        if not found.has_value:
            return [{"value": None, "count": found.size()}]
        return [{"value": value, "count": count} for value, count in found.counts.items()]

    @mi_command("profile_list_dlgs", "profile", "profile value", read_first="value", read_only=True)
    def mi_profile_list_dlgs(self, profile: str, value: str | None = None) -> dict[str, object]:
        """tells the dialogs in a profile, with one value or all"""
        return {"Dialogs": [shown(dialog) for dialog in self._profile(profile).dialogs(value)]}

    @mi_command("profile_end_dlgs", "profile", "profile value", read_first="value")
    def mi_profile_end_dlgs(self, profile: str, value: str | None = None) -> str:
        """ends the dialogs in a profile, with one value or all"""
        for dialog in self._profile(profile).dialogs(value):
            self._end(dialog)
        return OK

    @mi_command(
        "set_profile",
        "dlg_id profile",
        "dlg_id profile value",
        "dlg_id profile value clear_values",
        aliases=["dlg_set_profile"],
    )
    def mi_set_profile(self, dlg_id: str, profile: str, value: str | None = None, clear_values: int = 0) -> str:
        """puts a dialog, found by its id or Call-ID, into a profile; with clear_values in place of all its values"""
        dialog, found = self._member(dlg_id, profile)
        if found.has_value and value is None:
            raise MIError(400, "Profile needs a value")
        if clear_values:
            found.remove_all(dialog)
        if len(dialog.profiles) >= MAX_ITEMS:
            raise MIError(400, "Too many profiles")
        found.add(dialog, value or "")
        self.calls.touched(dialog)
        return OK

    @mi_command("unset_profile", "dlg_id profile", "dlg_id profile value", aliases=["dlg_unset_profile"])
    def mi_unset_profile(self, dlg_id: str, profile: str, value: str | None = None) -> str:
        """takes a dialog, found by its id or Call-ID, out of a profile, with all values when none is given"""
        dialog, found = self._member(dlg_id, profile)
        every = found.has_value and value is None
        if not (found.remove_all(dialog) if every else found.remove(dialog, value or "")):
            raise MIError(404, "Dialog not in profile")
        self.calls.touched(dialog)
        return OK

    def _member(self, dlg_id: str, profile: str) -> tuple[Dialog, Profile]:
        dialog = self.calls.table.named(dlg_id)
        if dialog is None or dialog.state is DialogState.DELETED:
            raise MIError(404, "Requested Dialog not found")
        return dialog, self._profile(profile)

    # -- databases and clusters ---------------------------------------------------------------------------------------

    @mi_command("db_sync", aliases=["dlg_db_sync"])
    async def mi_db_sync(self) -> str:
        """reads the dialogs of the database; those in memory stay where they have gone further"""
        if self.store is None:
            raise MIError(400, "Cannot sync in no-db mode")
        try:
            await self.store.load()
        except DatabaseError as error:
            raise MIError(500, "Internal Error", str(error)) from error
        return OK

    @mi_command("restore_db", aliases=["dlg_restore_db"])
    async def mi_restore_db(self) -> str:
        """empties the table in the database, and writes all dialogs that have been answered to it"""
        if self.store is None:
            raise MIError(400, "Cannot restore db in no-db mode!")
        try:
            await self.store.restore_table()
        except DatabaseError as error:
            raise MIError(500, "Internal Error", str(error)) from error
        return OK

    @mi_command("cluster_sync", "", "sharing_tag", aliases=["dlg_cluster_sync"])
    def mi_cluster_sync(self, sharing_tag: Raw = None) -> str:
        """asks another host of the cluster for its dialogs; there is no cluster"""
        raise MIError(400, "Dialog replication disabled")


def _text(value: object, default: str) -> str:
    """A parameter that counts as left out when it is neither text nor number."""
    text = text_or_none(value)
    return default if text is None else text


def _mode(text: str) -> tuple[bool, bool]:
    """Whether a mode of `send_sequential` challenges, and whether its first request goes to the caller."""
    mode = text.lower()
    challenges = mode.startswith("challenge")
    end = (mode[len("challenge-") :] or "caller") if challenges else mode
    if end not in ("caller", "callee"):
        raise MIError(400, "Invalid mode")
    return challenges, end == "caller"
