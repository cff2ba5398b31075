"""What SIP brings: requests that begin dialogs, requests that are in one, and their replies.

A run knows its dialog by a `Here`; so does the transaction of its request, from where reply, branch and failure
routes get it.

Source: RFC 3261 sections 12.1, 12.2, 16.6 and 16.7; OpenSIPS manual, module dialog.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Final

from ...dialog_service import RequestWatcher
from ...record_routing import record_routing
from ...script.runtime import Run
from ...services import Services
from ...sip.dialogs import TARGET_REFRESH, Dialog, DialogEvent, DialogState, Direction, Leg, Matched, MatchMode
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...transaction_service import Happening, Moment, SipTransaction, transaction_service
from .calls import Calls
from .here import NAME, Here
from .numbers import Numbers

log = logging.getLogger("miscript.dialog")

INTERVALS: Final = "seconds between the pings of a dialog"
LIFETIME: Final = "seconds that a dialog may last"
"""Where runs keep what a script wishes for before its dialog is there."""

_REASONS: Final = {Direction.DOWNSTREAM: "Downstream BYE", Direction.UPSTREAM: "Upstream BYE"}
_MAX_OWN_ROUTES: Final = 2


class Tracking:
    """Tells the table of dialogs what happens.  `parameter` is the name of ours in Record-Route.

    `prack` hears of provisional replies of dialogs that want PRACKs; `set_interval` of seconds between pings that a
    script wished for before the dialog was there.
    """

    def __init__(self, services: Services, calls: Calls) -> None:
        self.services = services
        self.calls = calls
        self.numbers = Numbers(calls)
        self.prack: Callable[[Dialog, SipTransaction, Message, Leg], None] = lambda dialog, invite, reply, leg: None
        self.set_interval: Callable[[Dialog, str, int], object] = lambda dialog, method, seconds: None
        self.mode = MatchMode.DID_FALLBACK
        self.parameter = "did"
        self.watchers: list[RequestWatcher] = []
        self._waiting: dict[int, Here] = {}
        calls.prepare = lambda dialog, run: run.data.__setitem__(NAME, Here(dialog))

    def init(self) -> None:
        """All modules are there: listen to them."""
        tm, rr = transaction_service(self.services), record_routing(self.services)
        if tm is not None:
            tm.watch(Moment.CREATED, self._created)
            tm.watch(Moment.BRANCH, self.numbers.branch)
            tm.watch(Moment.REPLY_OUT, self._replied)
            tm.watch(Moment.CANCELLED, self._cancelled)
            tm.watch(Moment.ENDED, self._forgotten)
        if rr is not None:
            rr.on_route(self._routed)

    # -- of a run -----------------------------------------------------------------------------------------------

    def here(self, run: Run) -> Here | None:
        """The dialog that a run is about."""
        found: Here | None = run.data.get(NAME)
        if found is not None:
            return found
        tm = transaction_service(self.services)
        transaction = None if tm is None else tm.current(run)
        if transaction is None:
            return None
        found = transaction.data.get(NAME)
        if found is None and run.kind == "local_route" and isinstance(run.message, Message):
            found = self._find(run.message, None, MatchMode.DID_NONE)
            if found is not None:
                run.data[NAME] = found
        return found

    def direction(self, run: Run) -> Direction | None:
        """The way of the message of a run: that of a reply is not that of its request."""
        found = self.here(run)
        if found is None or found.direction is None or run.kind == "failure_route":
            return None
        return found.direction.opposite if run.kind == "onreply_route" else found.direction

    def _take(self, run: Run, here: Here) -> None:
        """Let the run, and the transaction that its request has or will have, know their dialog."""
        run.data[NAME] = here
        for method, seconds in run.data.get(INTERVALS, {}).items():
            self.set_interval(here.dialog, method, seconds)
        tm = transaction_service(self.services)
        transaction = None if tm is None else tm.current(run)
        if transaction is not None:
            transaction.data[NAME] = here
            if here.begins:
                self.calls.held(here.dialog).transaction = transaction
            return
        key = id(run.message)
        self._waiting[key] = here
        run.data.setdefault("at_end", []).append(lambda: self._run_ended(key, here))

    def wanted_interval(self, run: Run, method: str) -> int | None:
        """Seconds between pings that the script wished for before there was a dialog."""
        wished: dict[str, int] = run.data.get(INTERVALS, {})
        return wished.get(method)

    def _run_ended(self, key: int, here: Here) -> None:
        """A dialog whose request got no transaction will never get a reply."""
        if self._waiting.get(key) is here:
            del self._waiting[key]
            if here.begins:
                self.calls.drop(here.dialog)

    # -- the first request --------------------------------------------------------------------------------------

    def begin(self, run: Run) -> Dialog | None:
        """The dialog of an initial INVITE, made now when there is none; None for any other request."""
        found = self.here(run)
        if found is not None:
            return found.dialog
        message = run.message
        if not isinstance(message, Message) or message.method != "INVITE" or message.cseq is None:
            return None
        try:
            from_, to = message.from_, message.to
            routes = _record_routes(message)
        except SipSyntaxError as error:
            log.error("a dialog cannot be made: %s", error)
            return None
        if from_ is None or to is None or to.tag or not message.call_id:
            return None
        number = message.cseq[0]
        caller = Leg(from_.tag or "", _contact(message), routes, message.received.socket, sdp=_sdp(message))
        dialog = self.calls.create(message.call_id, from_.uri, to.uri, caller)
        if dialog is None:
            log.error("there are too many dialogs, no more are taken")
            return None
        if (seconds := run.data.get(LIFETIME)) is not None:
            self.calls.live_for(dialog, seconds)
        self._take(run, Here(dialog, Direction.DOWNSTREAM, begins=True, number=number, sent=[number]))
        rr = record_routing(self.services)
        if rr is not None and self.mode is not MatchMode.DID_NONE:
            rr.add_parameter(message, f";{self.parameter}={dialog.did}")
        return dialog

    # -- requests in a dialog -----------------------------------------------------------------------------------

    def _routed(self, run: Run, parameters: str) -> None:
        """A request came by our Route."""
        self.match(run, self.mode, self._did(parameters))

    def _did(self, parameters: str) -> str | None:
        for text in parameters.split(";"):
            name, equals, value = text.partition("=")
            if equals and name == self.parameter:
                return value
        return None

    def match(self, run: Run, mode: MatchMode, did: str | None = None) -> bool:
        """Find the dialog that the request of a run is in, and tell it of the request; False when there is none."""
        if NAME in run.data:
            return True
        message = run.message
        if not isinstance(message, Message) or not message.is_request:
            return False
        if did is None:
            rr = record_routing(self.services)
            did = self._did((rr.own_route(run) if rr is not None else None) or "")
        here = self._find(message, did, mode)
        if here is None:
            return False
        self._take(run, here)
        self._request(message, here)
        run.data.setdefault("at_end", []).append(lambda: self.calls.changed(here.dialog))
        for watcher in self.watchers:
            watcher(run, here.dialog)
        return True

    def _find(self, message: Message, did: str | None, mode: MatchMode) -> Here | None:
        try:
            from_, to = message.from_, message.to
        except SipSyntaxError:
            return None
        if from_ is None or to is None or not to.tag or not message.call_id:
            return None
        found = self.calls.table.match(did, message.call_id, from_.tag or "", to.tag, mode)
        if found is None:
            return None
        before = 0 if found.receiver is None else found.receiver.cseq
        return Here(found.dialog, found.direction, found.callee_tag, before)

    def _request(self, message: Message, here: Here) -> None:
        """A request of a dialog is on its way."""
        dialog, direction = here.dialog, here.direction
        self.numbers.request(message, here)
        if message.method == "ACK" and (sdp := _sdp(message)) and direction is not None:
            Matched(dialog, direction, here.callee_tag).sender.sdp = sdp
        if message.method == "BYE" and direction is not None:
            if not dialog.is_confirmed and self.calls.held(dialog).ends_races:
                self.calls.held(dialog).early_bye = True  # a 2xx may be on its way
                return
            if dialog.is_confirmed and dialog.end_reason is None:
                dialog.end_reason = _REASONS[direction]
            self.calls.move(dialog, DialogEvent.END, here.callee_tag)
        elif direction is Direction.DOWNSTREAM:
            self.calls.move(dialog, DialogEvent.ACK, here.callee_tag)

    # -- transactions -------------------------------------------------------------------------------------------

    def _created(self, happening: Happening) -> None:
        here = self._waiting.pop(id(happening.message), None)
        if here is not None:
            happening.transaction.data[NAME] = here
            if here.begins and not here.dialog.started:
                self.calls.held(here.dialog).transaction = happening.transaction

    def _replied(self, happening: Happening) -> None:
        here: Here | None = happening.transaction.data.get(NAME)
        if here is None:
            return
        request, reply = happening.transaction.request, happening.message
        if reply is not None:
            self.numbers.back(request, reply)
        if here.begins:
            self._first_reply(here, happening)
        elif reply is not None and 200 <= happening.status < 300 and request.method in TARGET_REFRESH:
            self._refresh(here, request, reply)

    def _first_reply(self, here: Here, happening: Happening) -> None:
        """A reply to the request that made the dialog goes to the caller."""
        dialog, status, reply = here.dialog, happening.status, happening.message
        if status >= 300:
            self.calls.move(dialog, DialogEvent.FAILURE)
        if not 101 <= status < 300:
            return
        tag = happening.transaction.to_tag if reply is None else _to_tag(reply)
        if not tag:
            return
        leg = dialog.add_callee(tag, here.number)
        if leg is None:
            return
        if reply is not None:
            self.numbers.answered(here, leg, reply)
        if reply is not None and reply.received.socket is not None:
            leg.socket = reply.received.socket
        if status < 200:
            self.calls.move(dialog, DialogEvent.PROVISIONAL, tag)
            callee = self.callee_of(here, reply) if self.calls.held(dialog).pracks else None
            if reply is not None and callee is not None:
                self.prack(dialog, happening.transaction, reply, callee)
            return
        if reply is not None:
            leg.contact, leg.routes, leg.sdp = _contact(reply), self._routes_to_callee(dialog, reply), _sdp(reply)
        dialog.answer(leg)
        self.calls.move(dialog, DialogEvent.SUCCESS, tag)

    def callee_of(self, here: Here, reply: object) -> Leg | None:
        """The callee that a reply is from; without a 2xx the way to it is the one that this reply tells."""
        if not isinstance(reply, Message):
            return None
        tag = _to_tag(reply)
        leg = here.dialog.leg_of(tag)
        if leg is None and tag and reply.cseq is not None:  # its own reply route asks before it is passed on
            leg = here.dialog.add_callee(tag, here.number or reply.cseq[0])
            if leg is not None and here.begins:
                self.numbers.answered(here, leg, reply)
        if leg is not None and not leg.contact:
            leg.early_contact, leg.early_routes = _contact(reply), self._routes_to_callee(here.dialog, reply)
        return leg

    def _routes_to_callee(self, dialog: Dialog, reply: Message) -> tuple[str, ...]:
        """The recorded routes behind us: not those of the caller's side, nor our own."""
        try:
            recorded = list(_record_routes(reply))
        except SipSyntaxError as error:
            log.error("a Record-Route cannot be read: %s", error)
            return ()
        behind = len(dialog.caller.routes)
        recorded = recorded[: len(recorded) - behind] if behind else recorded
        sip = sip_service(self.services)
        for _ in range(_MAX_OWN_ROUTES):
            if not recorded:
                break
            try:
                uri = NameAddr.parse(recorded[-1]).sip_uri()
            except SipSyntaxError:
                break
            if not sip.is_myself(uri.host, uri.port):
                break
            recorded.pop()
        return tuple(reversed(recorded))

    def _refresh(self, here: Here, request: Message, reply: Message) -> None:
        """Both ends of a dialog may have moved (RFC 3261 section 12.2)."""
        if here.direction is None:
            return
        matched = Matched(here.dialog, here.direction, here.callee_tag)
        sender, receiver = matched.sender, matched.receiver
        if contact := _contact(request):
            sender.contact = contact
        if receiver is not None and (contact := _contact(reply)):
            receiver.contact = contact
        if sdp := _sdp(request):
            sender.sdp = sdp
        if receiver is not None and (sdp := _sdp(reply)):
            receiver.sdp = sdp
        self.calls.changed(here.dialog)

    def _cancelled(self, happening: Happening) -> None:
        here: Here | None = happening.transaction.data.get(NAME)
        if here is not None and here.begins:
            self.calls.cancelled(here.dialog)

    def _forgotten(self, happening: Happening) -> None:
        """A transaction is over; a dialog that got no final reply by it is over too."""
        here: Here | None = happening.transaction.data.get(NAME)
        if here is not None and here.begins and here.dialog.state in (DialogState.UNCONFIRMED, DialogState.EARLY):
            self.calls.move(here.dialog, DialogEvent.FAILURE)


def _record_routes(message: Message) -> tuple[str, ...]:
    """The values of Record-Route in their order.  Raises `SipSyntaxError`."""
    return tuple(str(value) for field in message.headers("Record-Route") for value in NameAddr.parse_many(field))


def _contact(message: Message) -> str:
    """The URI of the first Contact; "" when there is none that can be used."""
    value = message.header("Contact")
    if value is None:
        return ""
    try:
        uri = NameAddr.parse_many(value)[0].uri
        SipUri.parse(uri)
    except SipSyntaxError:
        return ""
    return uri


def _to_tag(message: Message) -> str:
    try:
        to = message.to
    except SipSyntaxError:
        return ""
    return (to.tag or "") if to is not None else ""


def _sdp(message: Message) -> bytes:
    """The body when it is a description of media."""
    kind = (message.header("Content-Type") or "").partition(";")[0].strip().lower()
    return message.body if kind == "application/sdp" else b""
