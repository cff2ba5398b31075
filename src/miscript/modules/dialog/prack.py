"""Acknowledging reliable provisional replies in place of a caller that cannot: PRACKs of our own.

A dialog made with `auto-prack` sends one for each provisional reply with RSeq that comes from the callee.  When it
fails and `hangs_up` is set, the caller gets a 502.

Source: RFC 3262; OpenSIPS manual, module dialog (`auto-prack`, `auto_prack_hangup_on_failure`).
"""

from __future__ import annotations

import logging

from ...services import Services
from ...sip.dialogs import Dialog, Leg
from ...sip.message import Message
from ...transaction_service import Reply, SipTransaction, transaction_service
from .calls import Calls
from .requests import DialogRequests, Sequential

log = logging.getLogger("miscript.dialog")


class Pracks:
    """Sends PRACKs; `seconds` is how long each waits for its answer."""

    def __init__(self, services: Services, calls: Calls, requests: DialogRequests) -> None:
        self.services = services
        self.calls = calls
        self.requests = requests
        self.seconds = 3
        self.hangs_up = False

    def provisional(self, dialog: Dialog, transaction: SipTransaction, reply: Message, callee: Leg) -> None:
        """A provisional reply of a callee goes to the caller; `callee` has the way to it."""
        acknowledged = rack(reply)
        if not self.calls.held(dialog).pracks or acknowledged is None:
            return
        prack = Sequential("PRACK", to_caller=False, headers=acknowledged)
        self.services.tasks.spawn(self._send(dialog, transaction, prack, callee), "the PRACK of a dialog")

    async def _send(self, dialog: Dialog, transaction: SipTransaction, prack: Sequential, callee: Leg) -> None:
        outcome: Reply = await self.requests.send(dialog, prack, callee=callee, seconds=self.seconds)
        tm = transaction_service(self.services)
        if outcome.status < 300 or tm is None:
            return
        log.warning("a PRACK in dialog %s got %d %s", dialog.did, outcome.status, outcome.reason)
        if self.hangs_up and not transaction.final_sent:
            tm.reply(transaction, 502, "Bad Gateway", to_tag=callee.tag)
            tm.cancel(transaction)


def rack(reply: object) -> str | None:
    """The header field RAck that acknowledges a provisional reply to an INVITE; None when it is not reliable."""
    if not isinstance(reply, Message) or reply.status is None or not 100 < reply.status < 200:
        return None
    number, cseq = (reply.header("RSeq") or "").strip(), reply.cseq
    if not (number.isascii() and number.isdecimal()) or len(number) > 10 or cseq is None or cseq[1] != "INVITE":
        return None
    return f"RAck: {number} {cseq[0]} INVITE\r\n"
