"""The parameters of the Request-URI, and telephone numbers.

Changes are seen at once.  Source: OpenSIPS manual, module sipmsgops; RFC 3261 sections 19.1.1 and 19.1.6, RFC 3966,
ITU-T E.164.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable

from ...exports import script_function
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.parameters import Parameters
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from .part import MessagePart, message_of

log = logging.getLogger("miscript.sipmsgops")

WITH_URI = "request failure branch local"
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
"""A plus and at most 15 digits."""


class RequestUri(MessagePart):
    """Functions about the Request-URI."""

    @script_function(routes="request failure local")
    def is_uri_user_e164(self, run: Run, uri: str) -> int:
        """Whether the user part of a URI is a telephone number: a plus and up to 15 digits."""
        try:
            user = SipUri.parse(uri).user
        except SipSyntaxError as error:
            log.error("is_uri_user_e164: '%s': %s", uri, error)
            return -1
        return 1 if user is not None and _E164.fullmatch(user) else -1

    @script_function(routes=WITH_URI)
    def ruri_has_param(self, run: Run, param: str, value: str | None = None) -> int:
        """Whether the Request-URI has a parameter with that value, or without a value when none is given."""
        uri = _uri(message_of(run))
        try:
            found = None if uri is None else uri.parameters.get(param.strip())
        except SipSyntaxError as error:
            log.error("ruri_has_param: '%s': %s", uri, error)
            return -1
        return 1 if found is not None and found == (value or "") else -1

    @script_function(routes=WITH_URI)
    def ruri_add_param(self, run: Run, param: str) -> int:
        """Add a parameter, `name=value` or `name`, behind the others."""
        added = param.strip().strip(";")
        if not added:
            return 1

        def change(uri: SipUri) -> SipUri:
            text = added if uri.params is None else f"{uri.params};{added}"
            return uri.with_parameters(Parameters.parse(text))

        return _change(message_of(run), change, "ruri_add_param")

    @script_function(routes=WITH_URI)
    def ruri_del_param(self, run: Run, param: str) -> int:
        """Remove a parameter with its value; -1 when there is none."""
        message, name = message_of(run), param.strip()
        uri = _uri(message)
        try:
            if uri is None or name not in uri.parameters:
                return -1
        except SipSyntaxError as error:
            log.error("ruri_del_param: '%s': %s", uri, error)
            return -1
        return _change(message, lambda uri: uri.with_parameters(uri.parameters.without(name)), "ruri_del_param")

    @script_function(routes=WITH_URI)
    def ruri_tel2sip(self, run: Run) -> int:
        """Make a SIP URI of a `tel` URI: the number with its parameters at the host of From, `;user=phone`."""
        message = message_of(run)
        uri = _uri(message)
        if message is None or uri is None:
            return -1
        if uri.scheme.lower() != "tel":
            return 1
        try:
            caller = message.from_
            host = None if caller is None else caller.sip_uri().host
            if not host:
                log.error("ruri_tel2sip: From has no host to put behind '%s'", uri)
                return -1
            number = (message.uri or "").partition(":")[2]
            message.uri = f"sip:{number}@{host};user=phone"
        except SipSyntaxError as error:
            log.error("ruri_tel2sip: '%s' cannot become a SIP URI: %s", message.uri, error)
            return -1
        return 1


def _uri(message: Message | None) -> SipUri | None:
    if message is None or message.uri is None:
        return None
    try:
        return SipUri.parse(message.uri)
    except SipSyntaxError as error:
        log.error("the Request-URI '%s' cannot be read: %s", message.uri, error)
        return None


def _change(message: Message | None, change: Callable[[SipUri], SipUri], function: str) -> int:
    uri = _uri(message)
    if message is None or uri is None:
        return -1
    try:
        message.uri = str(change(uri))
    except SipSyntaxError as error:
        log.error("%s: '%s': %s", function, uri, error)
        return -1
    return 1
