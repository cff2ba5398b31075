"""Module options: answers OPTIONS requests for the server itself, so that others see whether it is alive.

Source: OpenSIPS manual, module options; RFC 3261 section 11.2; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging

from ..answering import answer
from ..errors import ConfigurationError
from ..exports import Module, parameter, script_function
from ..script.runtime import Run
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri

__all__ = ["Options"]

log = logging.getLogger("miscript.options")

ANSWERED = 0
"""What `options_reply` returns: the script ends, as the request has its reply."""


class Options(Module):
    """Answers OPTIONS requests for the server itself."""

    name = "options"
    needs = ("signaling",)

    accept = parameter("*/*", "Value of Accept; no such field when it is empty.")
    accept_encoding = parameter("", "Value of Accept-Encoding; no such field when it is empty.")
    accept_language = parameter("en", "Value of Accept-Language; no such field when it is empty.")
    support = parameter("", "Value of Supported; no such field when it is empty.")

    def init(self) -> None:
        for name in ("accept", "accept_encoding", "accept_language", "support"):
            if set(getattr(self, name)) & set("\r\n"):
                raise ConfigurationError(f"{name} has a line end in it", parameter=name)

    @script_function(routes="request")
    def options_reply(self, run: Run) -> int:
        """Answer an OPTIONS request whose Request-URI has no user with 200 and end the script; -1 for others."""
        message = run.message
        if not isinstance(message, Message) or message.method != "OPTIONS":
            log.error("options_reply: the request is no OPTIONS")
            return -1
        try:
            user = SipUri.parse(message.uri or "").user
        except SipSyntaxError as error:
            log.error("options_reply: %s", error)
            return -1
        if user is not None:
            log.error("options_reply: the Request-URI has a user")
            return -1
        headers = [f"{name}: {value}\r\n" for name, value in self._fields() if value]
        return ANSWERED if answer(self.services, run, 200, "OK", headers) else -1

    def _fields(self) -> list[tuple[str, str]]:
        return [
            ("Accept", self.accept),
            ("Accept-Encoding", self.accept_encoding),
            ("Accept-Language", self.accept_language),
            ("Supported", self.support),
        ]
