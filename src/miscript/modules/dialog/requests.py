"""Requests of our own in dialogs: BYEs that end them, requests that scripts and MI ask for, pings.

Source: RFC 3261 sections 12.2.1.1 and 15; OpenSIPS manual, module dialog (`dlg_end_dlg`, `dlg_send_sequential`,
`options_ping_interval`).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from ...dialog_service import Cancelling
from ...services import Services
from ...sip.dialogs import Dialog, DialogEvent, DialogState, Leg
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...transaction_service import Reply, transaction_service
from ...values import encode
from .calls import Calls

log = logging.getLogger("miscript.dialog")

GONE: Final = frozenset({408, 481})
"""Replies to a ping that tell that the other end knows of no dialog."""

PING_TIMEOUT: Final = "Ping Timeout"
"""`$DLG_end_reason` of a dialog whose end did not answer a ping."""


@dataclass(frozen=True, slots=True)
class Sequential:
    """A request to one end of a dialog; `headers` are more fields with their line ends."""

    method: str
    to_caller: bool
    body: bytes = b""
    content_type: str = ""
    headers: str = ""

    @classmethod
    def of(cls, dialog: Dialog, method: str, to_caller: bool, body: str, headers: str) -> Sequential:
        """A request as MI asks for it.  Raises ValueError for a body that is none of the known kinds."""
        kind, _, rest = body.partition(":")
        other = dialog.callee if to_caller else dialog.caller
        fields = f"{headers.rstrip()}\r\n" if headers.strip() else ""
        match kind:
            case "none" | "":
                return cls(method, to_caller, headers=fields)
            case "inbound" | "outbound":
                sdp = b"" if other is None else other.sdp
                return cls(method, to_caller, sdp, "application/sdp" if sdp else "", fields)
            case "custom":
                content_type, colon, text = rest.partition(":")
                if not colon or not content_type.strip():
                    raise ValueError("a body of ours is custom:TYPE:TEXT")
                return cls(method, to_caller, encode(text), content_type.strip(), fields)
        raise ValueError(f"'{kind}' is no body; it is none, inbound, outbound or custom:TYPE:TEXT")


class DialogRequests:
    """Sends requests in dialogs.  `extra_headers` go with every one of them."""

    def __init__(self, services: Services, calls: Calls) -> None:
        self.services = services
        self.calls = calls
        self.extra_headers = ""
        calls.terminate = self.terminate
        calls.confirmed = self._ping

    # -- sending ----------------------------------------------------------------------------------------------------

    async def send(self, dialog: Dialog, request: Sequential, *, contact: bool = True) -> Reply:
        """Send a request to one end and wait for its final reply; 500 when it cannot be made."""
        tm = transaction_service(self.services)
        receiver = dialog.caller if request.to_caller else dialog.callee
        if tm is None or receiver is None:
            return Reply(500, "Server Internal Error")
        callee = dialog.callee
        caller_end = f"<{dialog.from_uri}>;tag={dialog.caller.tag}"
        callee_end = f"<{dialog.to_uri}>" + (f";tag={callee.tag}" if callee and callee.tag else "")
        sender = callee if request.to_caller else dialog.caller
        headers = [f"Route: {route}\r\n" for route in receiver.routes]
        if contact and sender is not None and sender.contact:
            headers.append(f"Contact: <{sender.contact}>\r\n")
        if request.content_type:
            headers.append(f"Content-Type: {request.content_type}\r\n")
        headers += [self.extra_headers, request.headers]
        try:
            return await tm.request(
                request.method,
                receiver.contact or (dialog.from_uri if request.to_caller else dialog.to_uri),
                from_=callee_end if request.to_caller else caller_end,
                to=caller_end if request.to_caller else callee_end,
                call_id=dialog.call_id,
                cseq=receiver.next_cseq(),
                headers="".join(headers),
                body=request.body,
                next_hop=_next_hop(receiver),
                socket=receiver.socket,
            )
        except SipSyntaxError as error:
            log.error("a %s in dialog %s cannot be sent: %s", request.method, dialog.did, error)
            return Reply(500, "Server Internal Error")

    # -- ending -----------------------------------------------------------------------------------------------------

    def terminate(self, dialog: Dialog, reason: str, extra_headers: str = "") -> bool:
        """End a dialog: BYEs both ways, a CANCEL before its 2xx.  False when it cannot be cancelled."""
        held = self.calls.held(dialog)
        if dialog.state is DialogState.DELETED or held.is_ending:
            return True
        if not dialog.is_confirmed:
            tm = self.services.find("tm")
            if held.transaction is None or not isinstance(tm, Cancelling):
                return False
            dialog.end_reason = reason
            tm.cancel(held.transaction)
            return True
        held.is_ending = True
        dialog.end_reason = reason
        headers = f"{extra_headers.rstrip()}\r\n" if extra_headers.strip() else ""
        for to_caller in (True, False):
            bye = Sequential("BYE", to_caller, headers=headers)
            self.services.tasks.spawn(self._bye(dialog, bye), "the BYE of a dialog that is ended here")
        return True

    async def _bye(self, dialog: Dialog, bye: Sequential) -> None:
        """Whatever comes back, the dialog is over."""
        try:
            await self.send(dialog, bye, contact=False)
        finally:
            self.calls.move(dialog, DialogEvent.END)

    # -- pings ------------------------------------------------------------------------------------------------------

    def _ping(self, dialog: Dialog) -> None:
        """Begin to ask the ends of a dialog whether they are alive, as far as the script wants it."""
        for method, ends in self.calls.held(dialog).pings.items():
            for to_caller in ends:
                self._ping_later(dialog, method, to_caller)

    def _ping_later(self, dialog: Dialog, method: str, to_caller: bool) -> None:
        held = self.calls.held(dialog)
        held.ping_deadlines[:] = [deadline for deadline in held.ping_deadlines if deadline.callback is not None]
        seconds = max(1, held.intervals.get(method, 0))
        held.ping_deadlines.append(
            self.calls.deadlines.after(seconds, lambda: self._ping_now(dialog, method, to_caller))
        )

    def _ping_now(self, dialog: Dialog, method: str, to_caller: bool) -> None:
        if dialog.is_confirmed:
            self.services.tasks.spawn(self._asked(dialog, method, to_caller), "the ping of a dialog")

    async def _asked(self, dialog: Dialog, method: str, to_caller: bool) -> None:
        body = "outbound" if method == "INVITE" else "none"
        reply = await self.send(dialog, Sequential.of(dialog, method, to_caller, body, ""))
        if not dialog.is_confirmed:
            return
        if reply.status in GONE:
            self.terminate(dialog, PING_TIMEOUT)
        else:
            self._ping_later(dialog, method, to_caller)


def _next_hop(leg: Leg) -> SipUri | None:
    """The first router on the way to an end; None when there is none, or it cannot be read."""
    if not leg.routes:
        return None
    try:
        return NameAddr.parse(leg.routes[0]).sip_uri()
    except SipSyntaxError:
        return None
