"""The description of media in a body, which may be one of several parts.

Source: RFC 3261 section 20.15 (a body without a Content-Type is none), RFC 4566 section 11, RFC 5621 section 3.
"""

from __future__ import annotations

from typing import Final

from .multipart import BodyPart, body_parts
from .syntax import SipSyntaxError

SDP_TYPE: Final = "application/sdp"


def sdp_part(content_type: str | None, body: bytes) -> BodyPart | None:
    """The first part that is a description of media; None when there is none, or the body cannot be read."""
    try:
        parts = body_parts(content_type, body)
    except SipSyntaxError:
        return None
    return next((part for part in parts if part.content_type == SDP_TYPE), None)


def with_sdp(content_type: str | None, body: bytes, sdp: bytes) -> bytes | None:
    """The body with another description of media in place of its first one; None when it has none."""
    part = sdp_part(content_type, body)
    if part is None:
        return None
    return body[: part.start] + sdp + body[part.start + len(part.data) :]
