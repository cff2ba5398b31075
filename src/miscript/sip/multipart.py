"""The parts of a body: one for an ordinary body, several for a multipart one.

Source: RFC 2046 section 5.1 (as RFC 5621 asks of SIP).  We read bare line feeds and a missing last boundary too.
A multipart body inside another one stays a part as a whole.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from .headers import scan_headers
from .parameters import Parameters
from .syntax import SipSyntaxError

MAX_PARTS = 64
"""Most parts that are read; what follows them is left out."""

DEFAULT_TYPE = "text/plain"
"""The type of a part that tells none (RFC 2046 section 5.1)."""

_MEDIA_TYPE = re.compile(
    r"([A-Za-z0-9.!%*_+`'~-]+)[ \t]*/[ \t]*([A-Za-z0-9.!%*_+`'~-]+)[ \t\r\n]*(?:;(.*))?", re.DOTALL
)
_LINE_END = re.compile(rb"\r?\n")
_EMPTY_LINE = re.compile(rb"(?:\A|\r?\n)\r?\n")


@dataclass(frozen=True, slots=True)
class BodyPart:
    """`content_type` is type and subtype in lower case, without parameters."""

    content_type: str
    data: bytes


def media_type(text: str) -> tuple[str, Parameters]:
    """Type and parameters of a Content-Type.  Raises `SipSyntaxError`."""
    found = _MEDIA_TYPE.fullmatch(text.strip(" \t\r\n"))
    if found is None:
        raise SipSyntaxError("expected 'type/subtype'", 0)
    return f"{found[1]}/{found[2]}".lower(), Parameters.parse(found[3] or "")


def body_parts(content_type: str | None, body: bytes) -> tuple[BodyPart, ...]:
    """The parts of `body`; none when it is empty or has no type.

    Raises `SipSyntaxError`: no media type, or a multipart one without its boundary.
    """
    if content_type is None or not body:
        return ()
    kind, parameters = media_type(content_type)
    if not kind.startswith("multipart/"):
        return (BodyPart(kind, body),)
    boundary = parameters.get("boundary")
    if not boundary:
        raise SipSyntaxError(f"'{kind}' without a boundary", 0)
    return _split(body, boundary)


def _split(body: bytes, boundary: str) -> tuple[BodyPart, ...]:
    mark = re.escape(boundary.encode("utf-8", "surrogateescape"))
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + mark + rb"(?P<last>--)?[ \t]*(?=\r?\n|\Z)")
    parts: list[BodyPart] = []
    start = None
    for found in delimiter.finditer(body):
        if start is not None:
            parts.append(_part(body[start : found.start()]))
        start = None if found["last"] else found.end()
        if start is None or len(parts) >= MAX_PARTS:
            return tuple(parts)
    if start is not None:
        parts.append(_part(body[start:]))
    return tuple(parts)


def _part(text: bytes) -> BodyPart:
    """A part from the end of its delimiter on: line end, header fields, empty line, content."""
    line_end = _LINE_END.match(text)
    text = text[line_end.end() :] if line_end else text
    end = _EMPTY_LINE.search(text)
    headers, content = (text, b"") if end is None else (text[: end.start()], text[end.end() :])
    kind = DEFAULT_TYPE
    for field in scan_headers(headers, 0, len(headers)):
        if field.key == "content-type":
            try:
                kind, _ = media_type(field.value)
            except SipSyntaxError:
                kind = DEFAULT_TYPE
            break
    return BodyPart(kind, content)
