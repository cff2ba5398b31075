"""Header fields that are added, removed and changed, in the message and in replies of ours to it.

Added and removed fields are seen by whoever gets the message; the route itself goes on reading the message as it
came.  Source: OpenSIPS manual, module sipmsgops; RFC 3261 section 7.3.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from email.utils import formatdate

from ...exports import Pattern, script_function
from ...script.runtime import Run
from ...sip.headers import HeaderField, header_key
from ...sip.message import Message
from ...sip.requests import whole_headers
from ...sip.syntax import SipSyntaxError
from ...values import encode
from .part import WITH_MESSAGE, MessagePart, message_of
from .questions import name_pattern

log = logging.getLogger("miscript.sipmsgops")

WITH_REPLY = "request failure branch error"


class HeaderFields(MessagePart):
    """Functions that change header fields."""

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
        matches = name_pattern(pattern, "remove_hf_glob")
        return -1 if matches is None else _remove_where(run, lambda name: matches(name) is not None)

    # -- lists ----------------------------------------------------------------------------------------------------

    @script_function(routes=WITH_MESSAGE)
    def list_hdr_has_option(self, run: Run, name: str, option: str) -> int:
        """Whether a header field that is a list, such as Supported, holds an option, in any case."""
        message = message_of(run)
        values = [] if message is None else ",".join(message.headers(name)).split(",")
        return 1 if option.strip().lower() in (value.strip().lower() for value in values) else -1

    @script_function(routes=WITH_MESSAGE)
    def list_hdr_add_option(self, run: Run, name: str, option: str) -> int:
        """Add an option at the end of the first header field of that name; -1 when there is none."""
        message = message_of(run)
        for field in () if message is None else message.all_fields(name):
            value = message.written_value(field) if message is not None else None
            if value is not None:
                return _replace(message, field, f"{value},{option.strip()}")
        return -1

    @script_function(routes=WITH_MESSAGE)
    def list_hdr_remove_option(self, run: Run, name: str, option: str) -> int:
        """Remove an option from all header fields of that name, of several ones in a field the last; a field without
        options goes.  -1 when it is nowhere."""
        message = message_of(run)
        code = -1
        for field in () if message is None else message.all_fields(name):
            value = message.written_value(field) if message is not None else None
            left = None if value is None else _without_option(value, option.strip())
            if message is None or left is None:
                continue
            if left:
                code = _replace(message, field, left)
            else:
                message.remove_field(field)
                code = 1
        return code

    # -- replies --------------------------------------------------------------------------------------------------

    @script_function(routes=WITH_REPLY)
    def append_to_reply(self, run: Run, txt: str) -> int:
        """Add header fields to all replies of ours to this request."""
        message = message_of(run)
        if message is None:
            return -1
        try:
            message.reply_headers.append(whole_headers(txt))
        except SipSyntaxError as error:
            log.error("append_to_reply: '%s': %s", txt, error)
            return -1
        return 1

    @script_function(routes="request failure branch local")
    def append_time(self, run: Run) -> int:
        """Add Date to all replies of ours to this request."""
        message = message_of(run)
        if message is None:
            return -1
        message.reply_headers.append(f"Date: {formatdate(self.services.clock.time(), usegmt=True)}\r\n")
        return 1

    @script_function(routes="reply")
    def change_reply_status(self, run: Run, code: int, reason: str) -> int:
        """Another status for a reply that is passed on, of its class; of a negative one any negative status."""
        message = message_of(run)
        status = None if message is None else message.status
        if message is None or status is None:
            return -1
        if not (status // 100 == code // 100 or (status >= 300 and 300 <= code < 700)):
            log.error("change_reply_status: %d cannot become %d, which is of another class", status, code)
            return -1
        try:
            message.change_status(code, reason)
        except ValueError as error:
            log.error("change_reply_status: %s", error)
            return -1
        return 1


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


def _replace(message: Message | None, field: HeaderField, value: str) -> int:
    if message is None:
        return -1
    try:
        message.replace_hf(field, value)
    except SipSyntaxError as error:
        log.error("'%s' cannot be changed: %s", field.name, error)
        return -1
    return 1


def _without_option(value: str, option: str) -> str | None:
    """A list without the last option of that name; None when it has none."""
    options = value.split(",")
    found = [number for number, text in enumerate(options) if text.strip().lower() == option.lower()]
    if not found:
        return None
    number = found[-1]
    gone = options.pop(number)
    if number < len(options):
        blanks = gone[: len(gone) - len(gone.lstrip())]
        options[number] = blanks + options[number].lstrip()
    return ",".join(options)
