"""Module `sl`: replies without a transaction.

Such a reply is sent once and forgotten; who asks again gets it again from the script.  Its To tag tells the ACK of a
negative one, which ends here before the script sees it.

Source: OpenSIPS manual, module sl; RFC 3261 section 8.2.7.
"""

from __future__ import annotations

import secrets

from ..exports import Module, parameter, script_function, statistic
from ..script.runtime import Run
from ..services import Services
from ..sip import Message, SipSyntaxError
from ..sip.replies import local_tag, make_reply, wanted_headers
from ..sip_service import sip_service


class Sl(Module):
    """Stateless replies."""

    enable_stats = parameter(1, "Has no effect here: statistics cost nothing.")

    replies_1xx = statistic("1xx_replies", "Provisional replies sent.")
    replies_2xx = statistic("2xx_replies", "Replies 2xx sent.")
    replies_3xx = statistic("3xx_replies", "Replies 3xx sent.")
    replies_4xx = statistic("4xx_replies", "Replies 4xx sent.")
    replies_5xx = statistic("5xx_replies", "Replies 5xx sent.")
    replies_6xx = statistic("6xx_replies", "Replies 6xx sent.")
    sent_replies = statistic("sent_replies", "Replies sent.")
    sent_errors = statistic("sent_err_replies", "Replies sent by sl_reply_error.")
    received_acks = statistic("received_ACKs", "ACKs of replies sent here.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.sip = sip_service(services)
        self._secret = secrets.token_hex(16)
        self.sip.hooks.requests.append(self._is_for_script)
        services.provide("sl", self)
        self._by_class = (
            self.replies_1xx, self.replies_2xx, self.replies_3xx, self.replies_4xx, self.replies_5xx, self.replies_6xx,
        )  # fmt: skip

    @script_function(routes="request error")
    def sl_send_reply(self, run: Run, code: int, reason: str) -> int:
        """Answer the request without a transaction."""
        return 1 if run.message is not None and self.send_reply(run.message, code, reason) else -1

    @script_function(routes="request")
    def sl_reply_error(self, run: Run) -> int:
        """Answer the request with a 500 after something has failed."""
        if run.message is None or not self.send_reply(run.message, 500, "Server error occurred (1/SL)"):
            return -1
        self.sent_errors.add()
        return 1

    def send_reply(self, request: Message, status: int, reason: str) -> bool:
        """Send a reply with what `append_to_reply` and `append_body_to_reply` asked for.

        A 3xx tells where to go instead.  False when there is nowhere to send it to.
        """
        if request.method in (None, "ACK") or not 100 <= status < 700:
            return False
        try:
            data = make_reply(
                request,
                status,
                reason,
                to_tag=self.local_tag(request),
                headers=wanted_headers(request, status),
                body=request.reply_body,
                server=self.sip.server,
            )
            sent = self.sip.send_reply(request, data)
        except SipSyntaxError:
            return False
        if sent:
            self.sent_replies.add()
            self._by_class[status // 100 - 1].add()
        return sent

    def local_tag(self, request: Message) -> str:
        """The To tag of replies to `request`."""
        return local_tag(self._secret, request)

    def _is_for_script(self, request: Message) -> bool:
        """Whether a request is none of the ACKs for what was sent here."""
        if request.method != "ACK":
            return True
        try:
            to = request.to
        except SipSyntaxError:
            return True
        if to is None or to.tag != self.local_tag(request):
            return True
        self.received_acks.add()
        return False
