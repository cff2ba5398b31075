"""Script functions of module dialog: making, finding and checking dialogs, their flags, values and routes.

Source: OpenSIPS manual, module dialog, "Exported Functions"; observed return codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Annotated, Final

from ...exports import Constant, Variable, Writable, script_function
from ...read_arguments import flags_in, unknown_flag
from ...record_routing import record_routing
from ...script.runtime import Run
from ...sip.dialogs import Dialog, DialogId, MatchMode
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...values import Value, encode
from . import pings
from .calls import Calls
from .commands import MAX_ITEMS
from .here import NAME, Here
from .pings import Pings
from .prack import rack
from .requests import DialogRequests, Sequential
from .tracking import Tracking

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.dialog")

BAD_CSEQ: Final = -1
BAD_TARGET: Final = -2
BAD_ROUTES: Final = -3
NOT_VALIDATED: Final = -4
"""Return codes of `validate_dialog`."""

NOT_RELIABLE: Final = -2
"""Return code of `dlg_send_sequential` for the PRACK of a reply that wants none."""

IN_DIALOG: Final = "request failure reply branch local"
MAX_INCREMENT: Final = 1 << 20
"""By how much `dlg_inc_cseq` may change a number at a time."""

CALL_ROUTES: Final = "request failure reply branch"

FLAGS: Final = frozenset({"bye-on-timeout", "end-on-race-condition", "auto-prack", *pings.FLAGS})
"""Flags of `create_dialog`."""


def _unknown_flag(flags: str) -> str | None:
    """What is wrong with the flags of `create_dialog`."""
    return unknown_flag(flags_in(flags), FLAGS)


DialogFlags = Annotated[str, _unknown_flag]


class DialogFunctions(Base):
    """What scripts call."""

    calls: Calls
    tracking: Tracking
    requests: DialogRequests
    pings: Pings
    options_ping_interval: int
    reinvite_ping_interval: int

    def _dialog(self, run: Run) -> Dialog | None:
        here = self.tracking.here(run)
        return None if here is None else here.dialog

    # -- making and finding ---------------------------------------------------------------------------------------

    @script_function(routes="request")
    def create_dialog(self, run: Run, flags: DialogFlags | None = None) -> int:
        """Follow the call that this INVITE begins.

        `flags`, separated by commas: `bye-on-timeout` (BYEs go both ways when its time is over),
        `options-ping-caller`, `options-ping-callee`, `reinvite-ping-caller`, `reinvite-ping-callee`,
        `end-on-race-condition` (a call that was answered and given up at once ends after `race_condition_timeout`),
        `auto-prack` (reliable provisional replies are acknowledged here).  True also when the dialog is there already.
        """
        words, mistake = flags_in(flags or ""), _unknown_flag(flags or "")
        if mistake is not None:
            log.error("create_dialog: %s", mistake)
            return -1
        dialog = self.tracking.begin(run)
        if dialog is None:
            return -1
        held = self.calls.held(dialog)
        held.bye_on_timeout |= "bye-on-timeout" in words
        held.ends_races |= "end-on-race-condition" in words
        held.pracks |= "auto-prack" in words
        for word in words:
            if word in pings.FLAGS:
                method, to_caller = pings.FLAGS[word]
                chosen = self.tracking.wanted_interval(run, method)
                usual = self.options_ping_interval if method == "OPTIONS" else self.reinvite_ping_interval
                self.pings.wanted(dialog, method, to_caller, chosen or usual)
        return 1

    @script_function(routes="request")
    def match_dialog(self, run: Run, mode: str | None = None) -> int:
        """Find the dialog of a request in one; `mode` is DID_ONLY, DID_FALLBACK or DID_NONE.

        `loose_route()` has done so already for requests that came by a Route of ours.
        """
        if mode is not None and mode not in MatchMode.__members__:
            log.error("match_dialog: '%s' is no mode", mode)
            return -1
        chosen = self.tracking.mode if mode is None else MatchMode[mode]
        return 1 if self.tracking.match(run, chosen) else -1

    @script_function(routes="request")
    def validate_dialog(self, run: Run) -> int:
        """Whether a request fits to what is known of its dialog.

        -1: its CSeq has been seen before; -2: it goes elsewhere than to the Contact of the other end; -3: its routes
        are others; -4: it is in no dialog, or did not come by a Route of ours.
        """
        here, message, rr = self.tracking.here(run), run.message, record_routing(self.services)
        if here is None or not isinstance(message, Message) or message.cseq is None:
            return NOT_VALIDATED
        receiver = here.receiver
        if receiver is None or rr is None or rr.own_route(run) is None:
            return NOT_VALIDATED
        if message.method not in ("ACK", "CANCEL") and message.cseq[0] <= here.cseq_before:
            return BAD_CSEQ
        if receiver.contact and message.uri != receiver.contact:
            return BAD_TARGET
        routes = _remaining_routes(message)
        if routes is None:
            return NOT_VALIDATED
        return 1 if routes == [_uri_of(route) for route in receiver.routes] else BAD_ROUTES

    @script_function(routes="request")
    def fix_route_dialog(self, run: Run) -> int:
        """Let a request go the way that is known of its dialog, whatever it says itself."""
        here, message = self.tracking.here(run), run.message
        receiver = None if here is None else here.receiver
        if receiver is None or not receiver.contact or not isinstance(message, Message):
            return -1
        message.uri = receiver.contact
        message.remove_hf("Route")
        message.branch.destination = None
        if receiver.routes:
            message.append_hf(f"Route: {', '.join(receiver.routes)}")
            message.branch.destination = _uri_of(receiver.routes[0])
        return 1

    @script_function()
    def load_dialog_ctx(self, run: Run, dialog: str, kind: str | None = None, active_only: int = 1) -> int:
        """Let a route speak of the dialog with this Call-ID (kind `callid`) or id (`did`) until unload_dialog_ctx().

        With `active_only` 0 also of one that has ended.
        """
        before = run.data.get(NAME)
        if before is not None and before.loaded:
            log.error("load_dialog_ctx: one is loaded already")
            return -1
        table = self.calls.table
        found = table.with_call_id(dialog) if kind in (None, "callid") else None
        if found is None and kind in (None, "did"):
            found = table.with_id(DialogId.parse(dialog))
        if found is None or (active_only and found.ended):
            return -1
        run.data["dialog before"] = before
        run.data[NAME] = Here(found, loaded=True)
        return 1

    @script_function()
    def unload_dialog_ctx(self, run: Run) -> int:
        """End what load_dialog_ctx() has begun."""
        here = run.data.get(NAME)
        if here is None or not here.loaded:
            return -1
        before = run.data.pop("dialog before", None)
        if before is None:
            del run.data[NAME]
        else:
            run.data[NAME] = before
        return 1

    # -- routes, requests -----------------------------------------------------------------------------------------

    def _on(self, run: Run, moment: str, route: str | None) -> int:
        dialog = self._dialog(run)
        if dialog is None:
            log.warning("dlg_on_%s: there is no dialog", moment)
            return -1
        routes = self.calls.held(dialog).routes
        if route is None:
            routes.pop(moment, None)
        elif ("route", route) in run.script.routes:
            routes[moment] = route
        else:
            log.error("dlg_on_%s: there is no route '%s'", moment, route)
            return -1
        self.calls.changed(dialog)
        return 1

    @script_function(routes=CALL_ROUTES)
    def dlg_on_answer(self, run: Run, route: Annotated[str, "route"] | None = None) -> int:
        """Run a route when the call is answered; none without a name."""
        return self._on(run, "answer", route)

    @script_function(routes=CALL_ROUTES)
    def dlg_on_timeout(self, run: Run, route: Annotated[str, "route"] | None = None) -> int:
        """Run a route when the time of the dialog is over; it may set `$DLG_timeout` anew.  None without a name."""
        return self._on(run, "timeout", route)

    @script_function(routes=CALL_ROUTES)
    def dlg_on_hangup(self, run: Run, route: Annotated[str, "route"] | None = None) -> int:
        """Run a route when an answered call has ended; none without a name."""
        return self._on(run, "hangup", route)

    @script_function()
    def dlg_send_sequential(
        self,
        run: Run,
        method: str,
        leg: str,
        body: str | None = None,
        content_type: str | None = None,
        headers: str | None = None,
    ) -> int:
        """Send a request to the `caller` or `callee` (leg) of the dialog, without waiting for its reply.

        A PRACK in the reply route of a reliable provisional reply gets its RAck from there and goes to where it came
        from; -2 when the reply is not reliable.  All others need a dialog that has been answered.
        """
        here = self.tracking.here(run)
        dialog = None if here is None else here.dialog
        if here is None or dialog is None or leg not in ("caller", "callee"):
            log.warning("dlg_send_sequential: there is no dialog, or no leg '%s'", leg)
            return -1
        if body and not content_type:
            log.error("dlg_send_sequential: a body needs a content type")
            return -1
        fields = f"{headers.rstrip()}\r\n" if headers and headers.strip() else ""
        callee = None
        if method.upper() == "PRACK":
            acknowledged = rack(run.message)
            if acknowledged is None:
                return NOT_RELIABLE
            fields += acknowledged
            callee = self.tracking.callee_of(here, run.message)
        elif not dialog.is_confirmed:
            log.warning("dlg_send_sequential: the dialog has not been answered, or has ended")
            return -1
        request = Sequential(method, leg == "caller", encode(body or ""), content_type or "" if body else "", fields)
        self.services.tasks.spawn(self.requests.send(dialog, request, callee=callee), "a request in a dialog")
        return 1

    @script_function(routes=IN_DIALOG)
    def dlg_inc_cseq(self, run: Run, tag: str | None = None, inc: int = 1) -> int:
        """Let later requests to the end with this tag have higher numbers, or lower ones for a negative `inc`.

        Without a tag it is the end that this request goes to.  -1: there is no such end, -2: there is no dialog.
        """
        here = self.tracking.here(run)
        if here is None:
            return -2
        dialog = here.dialog
        receiver = here.receiver
        if tag is not None:
            receiver = dialog.caller if tag == dialog.caller.tag else dialog.leg_of(tag)
        if receiver is None or abs(inc) >= MAX_INCREMENT or receiver.cseq + receiver.shift + inc < 0:
            return -1
        receiver.shift += inc
        self.calls.changed(dialog)
        return 1

    @script_function(routes="request")
    def set_dlg_sharing_tag(self, run: Run, tag_name: str) -> int:
        """Let a cluster know by a tag who cares for the dialog; there is no cluster, so it is -1."""
        log.error("set_dlg_sharing_tag: dialogs are not shared with others here")
        return -1

    # -- flags ----------------------------------------------------------------------------------------------------

    @script_function(routes=IN_DIALOG)
    def set_dlg_flag(self, run: Run, flag: Constant[str]) -> int:
        """Set a flag of the dialog."""
        dialog = self._dialog(run)
        if dialog is None:
            return -1
        dialog.flags[flag] = None
        self.calls.touched(dialog)
        return 1

    @script_function(routes=IN_DIALOG)
    def reset_dlg_flag(self, run: Run, flag: Constant[str]) -> int:
        """Take a flag of the dialog back."""
        dialog = self._dialog(run)
        if dialog is None:
            return -1
        dialog.flags.pop(flag, None)
        self.calls.touched(dialog)
        return 1

    @script_function(routes=IN_DIALOG)
    def is_dlg_flag_set(self, run: Run, flag: Constant[str]) -> int:
        """Whether a flag of the dialog is set."""
        dialog = self._dialog(run)
        return 1 if dialog is not None and flag in dialog.flags else -1

    @script_function(routes=IN_DIALOG)
    def test_and_set_dlg_flag(self, run: Run, flag: Constant[str], value: int) -> int:
        """Turn a flag round if it is `value` (1 or 0), and tell so; -1 when it is not, -2 without a dialog."""
        dialog = self._dialog(run)
        if dialog is None:
            return -2
        if value not in (0, 1) or (flag in dialog.flags) is not bool(value):
            return -1
        if value:
            del dialog.flags[flag]
        else:
            dialog.flags[flag] = None
        self.calls.touched(dialog)
        return 1

    # -- values ---------------------------------------------------------------------------------------------------

    @script_function(routes=IN_DIALOG)
    def store_dlg_value(self, run: Run, name: str, value: Variable) -> int:
        """Keep a value with the dialog, as `$dlg_val(name)` does."""
        dialog, new = self._dialog(run), value.get(run)
        if dialog is None or new is None:
            return -1
        if not keep(dialog, name, new):
            return -1
        self.calls.touched(dialog)
        return 1

    @script_function(routes=IN_DIALOG)
    def fetch_dlg_value(self, run: Run, name: str, destination: Writable) -> int:
        """Write a value of the dialog to a variable; -1 when there is none."""
        dialog = self._dialog(run)
        value = None if dialog is None else dialog.values.get(name)
        return 1 if value is not None and destination.set(run, value) else -1


def keep(dialog: Dialog, name: str, value: Value) -> bool:
    """Keep a value with a dialog, or drop it when it is NULL; False when there are too many."""
    if value is None:
        dialog.values.pop(name, None)
    elif name in dialog.values or len(dialog.values) < MAX_ITEMS:
        dialog.values[name] = value
    else:
        log.error("a dialog has %d values already, no more are taken", MAX_ITEMS)
        return False
    return True


def _uri_of(route: str) -> str:
    """The URI of a Route value."""
    try:
        return NameAddr.parse(route).uri
    except SipSyntaxError:
        return route


def _remaining_routes(message: Message) -> list[str] | None:
    """The URIs of the Route values that will be sent; None when one cannot be read."""
    found: list[str] = []
    for field in message.all_fields("Route"):
        value = message.written_value(field)
        if value is None:
            continue
        try:
            found += [route.uri for route in NameAddr.parse_many(value)]
        except SipSyntaxError:
            return None
    return found
