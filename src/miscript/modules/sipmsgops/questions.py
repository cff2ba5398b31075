"""Questions about a message.  Source: OpenSIPS manual, module sipmsgops; RFC 3323 (Privacy)."""

from __future__ import annotations

import json
import logging
import re
from collections.abc import Callable
from fnmatch import translate

from ...exports import Variable, Writable, script_function
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...sip.validation import first_finding
from ...values import decode
from .part import MAX_PATTERN, WITH_MESSAGE, MessagePart, message_of

log = logging.getLogger("miscript.sipmsgops")

_NO_MESSAGE = -1


class Questions(MessagePart):
    """Functions that tell and change nothing."""

    @script_function(routes=WITH_MESSAGE)
    def is_method(self, run: Run, names: str) -> int:
        """Whether the method is one of `INVITE|ACK|…`, in any case; for a reply it is the one in CSeq."""
        message = message_of(run)
        if message is None:
            return -1
        method = message.method or (message.cseq or (0, ""))[1]
        return 1 if method.upper() in names.upper().split("|") else -1

    @script_function(routes=WITH_MESSAGE)
    def has_totag(self, run: Run) -> int:
        """Whether To has a tag, so that the request belongs to a dialog."""
        message = message_of(run)
        try:
            to = None if message is None else message.to
        except SipSyntaxError as error:
            log.error("has_totag: To cannot be read: %s", error)
            return -1
        return 1 if to is not None and to.tag else -1

    @script_function(routes=WITH_MESSAGE)
    def is_present_hf(self, run: Run, name: str) -> int:
        """Whether there is a header field of that name, long or compact."""
        message = message_of(run)
        return 1 if message is not None and message.headers(name) else -1

    @script_function(routes=WITH_MESSAGE)
    def is_privacy(self, run: Run, kind: str) -> int:
        """Whether Privacy holds that value."""
        message = message_of(run)
        values = [] if message is None else re.split(r"[;,]", ";".join(message.headers("Privacy")).lower())
        return 1 if kind.strip().lower() in (value.strip() for value in values) else -1

    @script_function(routes=WITH_MESSAGE)
    def get_glob_headers_values(
        self, run: Run, hdr_name_glob: str, hdr_names_avp: Writable, hdr_vals_avp: Writable
    ) -> int:
        """Names and values of all header fields whose name matches a pattern with `*` and `?`, in any case."""
        message = message_of(run)
        matches = name_pattern(hdr_name_glob, "get_glob_headers_values")
        if message is None or matches is None:
            return -1
        found = [field for field in message.fields if matches(field.name)]
        for field in found:
            hdr_names_avp.set(run, field.name)
            hdr_vals_avp.set(run, field.value)
        return 1 if found else -1

    @script_function(routes=WITH_MESSAGE)
    def sip_to_json(self, run: Run, out_var: Writable) -> int:
        """The message as JSON: `first_line`, `headers` (each name with a list of values), and `body` if it has one."""
        message = message_of(run)
        return 1 if message is not None and out_var.set(run, _as_json(message)) else -1

    @script_function(routes="request failure reply branch")
    def sipmsg_validate(self, run: Run, flags: str | None = None, result_pvar: Variable | None = None) -> int:
        """Whether the message is as RFC 3261 wants it; a negative code for the first thing that is not.

        Flags: `s` look at the description of media, `h` at the form of header fields, `r`, `f`, `t` at the URIs of
        request line, From and To, `c` at Contact, `m` do not look at Max-Forwards.  `result_pvar` gets a text.
        """
        message = message_of(run)
        if message is None:
            return _NO_MESSAGE
        finding = first_finding(message, flags or "")
        if result_pvar is not None:
            result_pvar.set(run, None if finding is None else finding.text)
        return 1 if finding is None else finding.code


def name_pattern(pattern: str, function: str) -> Callable[[str], object] | None:
    """A test for names of header fields, which have no case; None when the pattern is too long."""
    if len(pattern) > MAX_PATTERN:
        log.error("%s: a pattern of %d characters, at most %d are taken", function, len(pattern), MAX_PATTERN)
        return None
    return re.compile(translate(re.sub(r"\*+", "*", pattern)), re.IGNORECASE).match


def _as_json(message: Message) -> str:
    headers: dict[str, list[str]] = {}
    for field in message.fields:
        headers.setdefault(field.name, []).append(field.value)
    first = f"{message.method} {message.uri} {message.version}"
    if not message.is_request:
        first = f"{message.version} {message.status} {message.reason}"
    document: dict[str, object] = {"first_line": f"{first}\r\n", "headers": headers}
    if message.body:
        document["body"] = decode(message.body)
    return json.dumps(document, ensure_ascii=False, separators=(",", ":"))
