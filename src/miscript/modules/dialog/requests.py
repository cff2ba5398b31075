"""Requests of our own in dialogs: BYEs that end them, requests that scripts and MI ask for.

Source: RFC 3261 sections 12.2.1.1 and 15, RFC 3725; OpenSIPS manual, module dialog (`dlg_end_dlg`,
`dlg_send_sequential`).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from ...services import Services
from ...sip.dialogs import Dialog, DialogEvent, DialogState, Leg
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...transaction_service import Reply, transaction_service
from ...values import encode
from .calls import Calls

log = logging.getLogger("miscript.dialog")


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
        match kind.lower():
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

    # -- sending ----------------------------------------------------------------------------------------------------

    async def send(
        self,
        dialog: Dialog,
        request: Sequential,
        *,
        contact: bool = True,
        callee: Leg | None = None,
        seconds: int | None = None,
        answer: Awaitable[bytes] | None = None,
    ) -> Reply:
        """Send a request to one end and wait for its final reply; 500 when it cannot be made.

        `callee` is the callee's end where it is not the one that has answered, `seconds` how long to wait in place of
        the time of `tm`, `answer` the body of the ACK for an INVITE.
        """
        tm = transaction_service(self.services)
        callee = callee or dialog.callee
        receiver = dialog.caller if request.to_caller else callee
        if tm is None or receiver is None:
            return Reply(500, "Server Internal Error")
        caller_end = f"<{dialog.from_uri}>;tag={dialog.caller.tag}"
        callee_end = f"<{dialog.to_uri}>" + (f";tag={callee.tag}" if callee and callee.tag else "")
        sender = callee if request.to_caller else dialog.caller
        routes = receiver.routes if receiver.contact else receiver.early_routes
        headers = [f"Route: {route}\r\n" for route in routes]
        if contact and sender is not None and sender.contact:
            headers.append(f"Contact: <{sender.contact}>\r\n")
        if request.content_type:
            headers.append(f"Content-Type: {request.content_type}\r\n")
        headers += [self.extra_headers, request.headers]
        cseq = receiver.next_cseq()
        if dialog.is_confirmed:
            self.calls.changed(dialog)
        try:
            return await tm.request(
                request.method,
                receiver.contact or receiver.early_contact or (dialog.from_uri if request.to_caller else dialog.to_uri),
                from_=callee_end if request.to_caller else caller_end,
                to=caller_end if request.to_caller else callee_end,
                call_id=dialog.call_id,
                cseq=cseq,
                headers="".join(headers),
                body=request.body,
                next_hop=_next_hop(routes),
                socket=receiver.socket,
                seconds=seconds,
                answer=answer,
            )
        except SipSyntaxError as error:
            log.error("a %s in dialog %s cannot be sent: %s", request.method, dialog.did, error)
            return Reply(500, "Server Internal Error")

    async def challenge(self, dialog: Dialog, request: Sequential) -> Reply:
        """Send a request to one end and what its 2xx tells of its media to the other one (RFC 3725).

        Gives the last final reply; 400 when the first 2xx has no body.  An INVITE without a body gets the other end's
        answer with its ACK.
        """
        answer: asyncio.Future[bytes] | None = None
        if request.method == "INVITE" and not request.body:
            answer = asyncio.get_running_loop().create_future()
        try:
            first = await self.send(dialog, request, answer=answer)
            if first.status >= 300 or first.message is None:
                return first
            if not first.message.body:
                return Reply(400, "Bad Request")
            content_type = first.message.header("Content-Type") or "application/sdp"
            second = Sequential(request.method, not request.to_caller, first.message.body, content_type)
            reply = await self.send(dialog, second)
            if answer is not None and reply.status < 300 and isinstance(reply.message, Message):
                answer.set_result(reply.message.body)
            return reply
        finally:
            if answer is not None and not answer.done():
                answer.set_result(b"")

    # -- ending -----------------------------------------------------------------------------------------------------

    def terminate(self, dialog: Dialog, reason: str, extra_headers: str = "") -> bool:
        """End a dialog: BYEs both ways, a CANCEL before its 2xx.  False when it cannot be cancelled."""
        held = self.calls.held(dialog)
        if dialog.state is DialogState.DELETED or held.is_ending:
            return True
        if not dialog.is_confirmed:
            tm = transaction_service(self.services)
            if held.transaction is None or tm is None:
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


def _next_hop(routes: Sequence[str]) -> SipUri | None:
    """The first router on the way to an end; None when there is none, or it cannot be read."""
    if not routes:
        return None
    try:
        return NameAddr.parse(routes[0]).sip_uri()
    except SipSyntaxError:
        return None
