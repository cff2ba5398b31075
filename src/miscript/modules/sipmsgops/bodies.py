"""The body and its parts.

They are taken away from and added to the body as it would be sent, so that several calls work together; the route
goes on reading the body that came.  Content-Type and Content-Length follow.  Source: OpenSIPS manual, module
sipmsgops; RFC 5621; observed messages of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final

from ...exports import Writable, script_function
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.multipart import BodyPart, body_parts, media_type, with_part, without_parts
from ...sip.requests import whole_headers
from ...sip.syntax import SipSyntaxError
from ...values import decode, encode
from .part import WITH_MESSAGE, MessagePart, message_of

log = logging.getLogger("miscript.sipmsgops")

BOUNDARY: Final = "miscript-boundary"
"""Divides the parts of a body that had one part before; where it stands in one of them, digits follow."""

NO_PART: Final = -2


class Bodies(MessagePart):
    """Functions about the body."""

    @script_function(routes=WITH_MESSAGE)
    def has_body(self, run: Run, mime: str | None = None) -> int:
        """Whether there is a body; with a type, whether it or one of its parts is of that type."""
        message = message_of(run)
        if message is None or not message.body:
            return -1
        if not mime:
            return 1
        own = (message.body_type or "").partition(";")[0].strip().lower()
        wanted = mime.strip().lower()
        return 1 if own == wanted or any(part.content_type == wanted for part in _parts(message)) else -1

    @script_function(routes=WITH_MESSAGE)
    def has_body_part(self, run: Run, mime: str | None = None) -> int:
        """Whether the body has a part, or one of that type."""
        message = message_of(run)
        parts = () if message is None else _parts(message)
        wanted = (mime or "").strip().lower()
        return 1 if any(wanted in ("", part.content_type) for part in parts) else -1

    @script_function(routes=WITH_MESSAGE)
    def remove_body_part(self, run: Run, mime: str | None = None, revert: str | None = None) -> int:
        """Remove the parts of a type, or with `revert` all others; without a type the whole body.

        -1 when there are none.
        """
        message = message_of(run)
        if message is None or not message.written_body:
            return -1
        if not mime:
            message.replace_body(b"", b"")
            return 1
        wanted, others = mime.strip().lower(), (revert or "").strip().lower() == "revert"
        try:
            left = without_parts(
                message.written_content_type,
                message.written_body,
                lambda part: (part.content_type == wanted) is not others,
            )
        except SipSyntaxError as error:
            log.error("remove_body_part: the body cannot be read: %s", error)
            return -1
        if left is None:
            return -1
        message.replace_body(left.body, left.fields)
        return 1

    @script_function(routes=WITH_MESSAGE)
    def add_body_part(self, run: Run, body: str, mime: str, headers: str | None = None) -> int:
        """Add a part to the body, which becomes a multipart one when it has something already."""
        message = message_of(run)
        if message is None:
            return -1
        data = encode(body)
        try:
            media_type(mime)
            fields = encode(whole_headers(f"Content-Type: {mime.strip()}\r\n{headers or ''}"))
            new = with_part(
                message.written_description,
                BodyPart(mime, data, fields),
                _boundary(message.written_body + data),
            )
        except SipSyntaxError as error:
            log.error("add_body_part: %s", error)
            return -1
        message.replace_body(new.body, new.fields)
        return 1

    @script_function(routes=WITH_MESSAGE)
    def get_updated_body_part(self, run: Run, mime: str | None, variable: Writable) -> int:
        """Put the body, or its part of a type, as it would be sent into a variable; -1 no body, -2 no such part."""
        message = message_of(run)
        if message is None or not message.written_body:
            return -1
        found: bytes | None = message.written_body
        if mime:
            parts = _read_parts(message.written_content_type, message.written_body)
            wanted = mime.strip().lower()
            found = next((part.data for part in parts if part.content_type == wanted), None)
        if found is None:
            return NO_PART
        return 1 if variable.set(run, decode(found)) else -1

    @script_function(routes="request failure branch error")
    def append_body_to_reply(self, run: Run, txt: str) -> int:
        """Give all replies of ours to this request a body; the last one counts.  `append_to_reply` gives its type."""
        message = message_of(run)
        if message is None:
            return -1
        message.reply_body = encode(txt)
        return 1


def _parts(message: Message) -> Sequence[BodyPart]:
    return _read_parts(message.body_type, message.body)


def _read_parts(content_type: str | None, body: bytes) -> Sequence[BodyPart]:
    try:
        return body_parts(content_type, body)
    except SipSyntaxError:
        return ()


def _boundary(data: bytes) -> str:
    boundary, number = BOUNDARY, 0
    while encode(f"--{boundary}") in data:
        number += 1
        boundary = f"{BOUNDARY}-{number}"
    return boundary
