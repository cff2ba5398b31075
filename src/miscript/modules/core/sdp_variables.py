"""Variables that tell about the description of media in the message, and change it.

What is assigned is seen at once, by `$rb` too, and goes out with the message; Content-Length follows.  It is put into
the body as it would be sent, so that what functions have changed before is kept, and seen from then on.  Without a
description of media all of them are NULL.  Source: OpenSIPS manual, "Core Variables" (`$sdp`, `$sdp.line` and
following).
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from functools import lru_cache

from ...exports import variable
from ...script.access import SimpleAccess, name_of
from ...script.nodes import Index, Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...sip import Message, SipSyntaxError
from ...sip.multipart import without_parts
from ...sip.sdp import Sdp
from ...sip.sdp_body import SDP_TYPE, sdp_part, with_sdp
from ...sip.sdp_places import MAX_INDEX, Filter, Part, read_place, with_place
from ...values import Value, decode, encode, plain_text
from .part import CorePart

log = logging.getLogger("miscript.sdp")

_CACHED = 256

Wanted = Callable[[Run], Filter | None]


class SdpVariables(CorePart):
    """`$sdp` and its parts."""

    @variable("sdp", binds=True)
    def sdp(self, inner: None, index: Index | None, binder: Binder) -> VariableAccess:
        """The description of media in the body; NULL removes it."""

        def read(run: Run) -> Value:
            found = _shown(run)
            return None if found is None else decode(found)

        return SimpleAccess(read, _write_whole)

    @variable("sdp.line", inner="required", index=True, binds=True)
    def line(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A line, or a word in it: `line[n]/word[n]`, where each is the beginning of what is wanted."""
        return _place_access(Part.ALL, inner, index, binder)

    @variable("sdp.session", inner="required", index=True, binds=True)
    def session(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A line before the first stream, or a word in it: `line[n]/word[n]`."""
        return _place_access(Part.SESSION, inner, index, binder)

    @variable("sdp.stream", inner="required", index=True, binds=True)
    def stream(self, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
        """A line of a stream, or a word in it: `stream[n]/line[n]/word[n]`."""
        return _place_access(Part.STREAM, inner, index, binder)

    @variable("sdp.stream.idx", inner="required", index=False)
    def stream_index(self, run: Run, name: str) -> Value:
        """The number of the line in the whole description that `$sdp.stream` finds with the same filter."""
        found, wanted = _shown(run), _filter(Part.STREAM, name)
        place = None if found is None or wanted is None else wanted.find(found)
        return None if place is None else place.line


@lru_cache(_CACHED)
def _filter(part: Part, text: str) -> Filter | None:
    try:
        return Filter.parse(part, text)
    except SipSyntaxError as error:
        log.error("$sdp.%s: %s", part.value, error)
        return None


def _shown(run: Run) -> bytes | None:
    """The description of media as variables tell it."""
    message = run.message
    part = sdp_part(message.body_type, message.body) if isinstance(message, Message) else None
    return None if part is None else part.data


def _place_access(part: Part, inner: Template, index: Index | None, binder: Binder) -> VariableAccess:
    constant = inner.constant
    if constant is not None:
        try:
            Filter.parse(part, constant)
        except SipSyntaxError as error:
            raise ValueError(error.message) from error
    name = (lambda run: constant) if constant is not None else name_of(binder.template_pieces(inner))
    number = None if index is None else binder.index(0 if index in ("*", "append") else index)

    def wanted(run: Run) -> Filter | None:
        text = name(run)
        found = None if text is None else _filter(part, text)
        at = None if number is None else number(run)
        if found is None or at is None:
            return found
        return found.at_line(at) if isinstance(at, int) and 0 <= at <= MAX_INDEX else None

    def read(run: Run) -> Value:
        sdp, place = _shown(run), wanted(run)
        text = None if sdp is None or place is None else read_place(sdp, place)
        return None if text is None else decode(text)

    return SimpleAccess(read, lambda run, value, operator: _write_place(run, wanted(run), value))


def _write_place(run: Run, wanted: Filter | None, value: Value) -> bool:
    message = run.message
    part = sdp_part(message.written_content_type, message.written_body) if isinstance(message, Message) else None
    if part is None or wanted is None:
        return False
    try:
        new = with_place(part.data, wanted, None if value is None else encode(plain_text(value)))
    except SipSyntaxError as error:
        log.error("the description of media cannot be changed: %s", error)
        return False
    return new is not None and _put(message, new)


def _write_whole(run: Run, value: Value, operator: str) -> bool:
    message = run.message
    if not isinstance(message, Message):
        return False
    if value is None:
        left = without_parts(message.written_content_type, message.written_body, lambda p: p.content_type == SDP_TYPE)
        if left is not None:
            message.set_body(left.body, left.fields)
        return True
    new = encode(plain_text(value))
    if not Sdp.parse(new).is_valid:
        log.error("what is assigned to $sdp is no description of media: '%s'", plain_text(value)[:40])
        return False
    if not message.written_body:
        message.set_body(new, encode(f"Content-Type: {SDP_TYPE}\r\n"))
        return True
    return _put(message, new)


def _put(message: Message, sdp: bytes) -> bool:
    body = with_sdp(message.written_content_type, message.written_body, sdp)
    if body is None:
        return False
    message.set_body(body)
    return True
