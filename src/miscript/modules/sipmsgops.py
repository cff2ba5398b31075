"""Questions about a SIP message, and header fields added to it or removed.

Added and removed fields are seen by whoever gets the message; the route itself goes on reading the message as it
came.  Without a message every function fails with -1.  What is not here is not available yet.
Source: OpenSIPS manual, module sipmsgops; RFC 3261, RFC 3323 (Privacy).
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable
from fnmatch import translate

from ..exports import Module, Pattern, script_function
from ..script.runtime import Run
from ..sip.headers import HeaderField, header_key
from ..sip.message import Message
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri
from ..values import encode

log = logging.getLogger("miscript.sipmsgops")

WITH_MESSAGE = "request failure reply branch local"
MAX_PATTERN = 256
_E164 = re.compile(r"\+[1-9][0-9]{1,14}")
"""A plus and at most 15 digits (ITU-T E.164)."""


def message_of(run: Run) -> Message | None:
    """The message of the run, where it has one."""
    return run.message if isinstance(run.message, Message) else None


class SipMsgOps(Module):
    """Questions about a SIP message, and header fields added or removed."""

    name = "sipmsgops"

    # -- questions ------------------------------------------------------------------------------------------------

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
    def has_body(self, run: Run, mime: str | None = None) -> int:
        """Whether there is a body, of the type that is given."""
        message = message_of(run)
        if message is None or not message.body:
            return -1
        if not mime:
            return 1
        found = (message.header("Content-Type") or "").partition(";")[0]
        return 1 if found.strip().lower() == mime.strip().lower() else -1

    @script_function(routes=WITH_MESSAGE)
    def is_privacy(self, run: Run, kind: str) -> int:
        """Whether Privacy holds that value."""
        message = message_of(run)
        values = [] if message is None else re.split(r"[;,]", ";".join(message.headers("Privacy")).lower())
        return 1 if kind.strip().lower() in (value.strip() for value in values) else -1

    @script_function(routes=WITH_MESSAGE)
    def list_hdr_has_option(self, run: Run, name: str, option: str) -> int:
        """Whether a header field that is a list, such as Supported, holds an option."""
        message = message_of(run)
        values = [] if message is None else ",".join(message.headers(name)).split(",")
        return 1 if option.strip() in (value.strip() for value in values) else -1

    @script_function(routes="request failure local")
    def is_uri_user_e164(self, run: Run, uri: str) -> int:
        """Whether the user part of a URI is a telephone number: a plus and up to 15 digits."""
        try:
            user = SipUri.parse(uri).user
        except SipSyntaxError as error:
            log.error("is_uri_user_e164: '%s': %s", uri, error)
            return -1
        return 1 if user is not None and _E164.fullmatch(user) else -1

    # -- header fields --------------------------------------------------------------------------------------------

    @script_function(routes=WITH_MESSAGE)
    def append_hf(self, run: Run, text: str, anchor: str | None = None) -> int:
        """Add header fields behind the last one, or behind the first one named `anchor`."""
        message = message_of(run)
        if message is None:
            return -1
        place = _first(message, anchor)
        if place is None:
            return _append(message, text, None)
        later = [field for field in message.fields if field.start >= place.end]
        return _append(message, text, later[0] if later else None)

    @script_function(routes=WITH_MESSAGE)
    def insert_hf(self, run: Run, text: str, anchor: str | None = None) -> int:
        """Add header fields before the first one, or before the first one named `anchor`."""
        message = message_of(run)
        if message is None:
            return -1
        place = _first(message, anchor)
        if place is None and message.fields:
            place = message.fields[0]
        return _append(message, text, place)

    @script_function(routes="request failure branch")
    def append_urihf(self, run: Run, before: str, behind: str) -> int:
        """Add a header field with the Request-URI as it came between two texts."""
        message = message_of(run)
        if message is None or message.original_uri is None:
            return -1
        return _append(message, f"{before}{message.original_uri}{behind}", None)

    @script_function(routes=WITH_MESSAGE)
    def remove_hf(self, run: Run, name: str) -> int:
        """Remove all header fields of that name; -1 when there are none."""
        message = message_of(run)
        return 1 if message is not None and message.remove_hf(name) else -1

    @script_function(routes=WITH_MESSAGE)
    def remove_hf_re(self, run: Run, pattern: Pattern) -> int:
        """Remove all header fields whose name matches a regular expression; -1 when there are none."""
        return _remove_where(run, lambda name: pattern.search(encode(name)) is not None)

    @script_function(routes=WITH_MESSAGE)
    def remove_hf_glob(self, run: Run, pattern: str) -> int:
        """Remove all header fields whose name matches a pattern with `*` and `?`; -1 when there are none."""
        if len(pattern) > MAX_PATTERN:
            log.error("remove_hf_glob: a pattern of %d characters, at most %d are taken", len(pattern), MAX_PATTERN)
            return -1
        matches = re.compile(translate(re.sub(r"\*+", "*", pattern)), re.IGNORECASE).match
        return _remove_where(run, lambda name: matches(name) is not None)


def _first(message: Message, name: str | None) -> HeaderField | None:
    if name is None:
        return None
    key = header_key(name)
    return next((field for field in message.fields if field.key == key), None)


def _append(message: Message, text: str, before: HeaderField | None) -> int:
    try:
        message.append_hf(text, before)
    except SipSyntaxError as error:
        log.error("a header field cannot be added: %s", error)
        return -1
    return 1


def _remove_where(run: Run, wanted: Callable[[str], bool]) -> int:
    message = message_of(run)
    if message is None:
        return -1
    names = dict.fromkeys(field.name for field in message.fields if wanted(field.name))
    for name in names:
        message.remove_hf(name)
    return 1 if names else -1
