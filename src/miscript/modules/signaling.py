"""Module `signaling`: one function that answers with a transaction where there is one, and without where not.

Source: OpenSIPS manual, module signaling.
"""

from __future__ import annotations

from typing import cast

from ..exports import Module, script_function, variable
from ..script.runtime import Run
from ..sip import SipSyntaxError
from ..sip.replies import wanted_headers
from ..sip_service import Replier
from ..transaction_service import transaction_service
from ..values import Value


class Signaling(Module):
    """Replies, by `tm` or by `sl`."""

    @script_function(routes="request failure error")
    def send_reply(self, run: Run, code: int, reason: str) -> int:
        """Answer the request: with its transaction, or without when it has none and `sl` is loaded."""
        request = run.message
        if request is None or request.method == "ACK" or not 100 <= code < 700:
            return -1
        tm, sl = transaction_service(self.services), self._sl()
        transaction = None if tm is None else tm.current(run)
        if tm is not None and transaction is None and sl is None:
            transaction = tm.create(run)
        try:
            if tm is not None and transaction is not None:
                headers, body = wanted_headers(request, code), request.reply_body
                return 1 if tm.reply(transaction, code, reason, headers=headers, body=body) else -1
            return 1 if sl is not None and sl.send_reply(request, code, reason) else -1
        except SipSyntaxError:
            return -1

    @variable("sig_local_totag")
    def local_tag(self, run: Run) -> Value:
        """The To tag of replies that are sent here."""
        tm, sl = transaction_service(self.services), self._sl()
        transaction = None if tm is None else tm.current(run)
        if transaction is not None:
            return transaction.to_tag
        return None if sl is None or run.message is None else sl.local_tag(run.message)

    def _sl(self) -> Replier | None:
        return cast("Replier | None", self.services.find("sl"))
