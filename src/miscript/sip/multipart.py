"""The parts of a body: one for an ordinary body, several for a multipart one; parts put in and taken away.

Source: RFC 2046 section 5.1 (as RFC 5621 asks of SIP).  We read bare line feeds and a missing last boundary too.
A multipart body inside another one stays a part as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from ..late_pattern import late_pattern
from ..values import encode
from .headers import scan_headers
from .parameters import Parameters
from .syntax import SipSyntaxError

MAX_PARTS = 64
"""Most parts that are read; what follows them is left out."""

DEFAULT_TYPE = "text/plain"
"""The type of a part that tells none (RFC 2046 section 5.1)."""

_MEDIA_TYPE = late_pattern(
    r"([A-Za-z0-9.!%*_+`'~-]+)[ \t]*/[ \t]*([A-Za-z0-9.!%*_+`'~-]+)[ \t\r\n]*(?:;(.*))?", re.DOTALL
)
_LINE_END = late_pattern(rb"\r?\n")
_EMPTY_LINE = late_pattern(rb"(?:\A|\r?\n)\r?\n")


@dataclass(frozen=True, slots=True)
class BodyPart:
    """`content_type` is type and subtype in lower case, without parameters.

    `headers` are its header fields with their line ends.  The content begins at `start` in the body; with its headers
    and the delimiter before them the part stands between `whole_start` and `whole_end`.
    """

    content_type: str
    data: bytes
    headers: bytes = field(default=b"", compare=False)
    start: int = field(default=0, compare=False)
    whole_start: int = field(default=0, compare=False)
    whole_end: int = field(default=0, compare=False)


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
        return (BodyPart(kind, body, _type_field(content_type), 0, 0, len(body)),)
    boundary = parameters.get("boundary")
    if not boundary:
        raise SipSyntaxError(f"'{kind}' without a boundary", 0)
    return _split(body, boundary)


@dataclass(frozen=True, slots=True)
class DescribedBody:
    """A body with the header fields that describe it, each with its line end; both empty for no body."""

    fields: bytes
    body: bytes

    @property
    def content_type(self) -> str | None:
        """The value of Content-Type; None when there is none."""
        fields = scan_headers(self.fields, 0, len(self.fields))
        return next((header.value for header in fields if header.key == "content-type"), None)


def with_part(described: DescribedBody, part: BodyPart, boundary: str) -> DescribedBody:
    """A body with one more part, whose `headers` hold its type: alone, behind those of a multipart body, or the
    second one of a new multipart body with this `boundary`.

    Raises `SipSyntaxError`: the body has a type that is none.
    """
    content_type, body = described.content_type, described.body
    if not body or content_type is None:
        return DescribedBody(part.headers, part.data)
    kind, parameters = media_type(content_type)
    mark = parameters.get("boundary") if kind.startswith("multipart/") else None
    if mark is not None:
        parts = _split(body, mark)
        end = parts[-1].whole_end if parts else 0
        added = _delimited(mark, part.headers, part.data)
        front = body[:end]
        line_end = b"" if not front or front.endswith(b"\n") else b"\r\n"
        closing = encode(f"\r\n--{mark}--\r\n")
        return DescribedBody(described.fields, front + line_end + added + closing)
    first = _delimited(boundary, described.fields, body)
    second = _delimited(boundary, part.headers, part.data)
    whole = b"".join((first, b"\r\n", second, encode(f"\r\n--{boundary}--\r\n")))
    return DescribedBody(_type_field(f"multipart/mixed;boundary={boundary}"), whole)


def without_parts(content_type: str | None, body: bytes, gone: Callable[[BodyPart], bool]) -> DescribedBody | None:
    """A body without the parts that are `gone`; None when there are none of them.  A part that is left alone is no
    multipart body any more.

    Raises `SipSyntaxError` as `body_parts` does.
    """
    parts = body_parts(content_type, body)
    kept = [part for part in parts if not gone(part)]
    if len(kept) == len(parts):
        return None
    if not kept:
        return DescribedBody(b"", b"")
    if len(kept) == 1:
        return DescribedBody(kept[0].headers, kept[0].data)
    text = body
    for part in reversed(parts):
        if gone(part):
            text = text[: part.whole_start] + text[part.whole_end :]
    return DescribedBody(_type_field(content_type or ""), text)


def _type_field(value: str) -> bytes:
    return encode(f"Content-Type: {value}\r\n")


def _delimited(boundary: str, headers: bytes, content: bytes) -> bytes:
    return encode(f"--{boundary}\r\n") + headers + b"\r\n" + content


def _split(body: bytes, boundary: str) -> tuple[BodyPart, ...]:
    mark = re.escape(encode(boundary))
    delimiter = re.compile(rb"(?:\A|\r?\n)--" + mark + rb"(?P<last>--)?[ \t]*(?=\r?\n|\Z)")
    parts: list[BodyPart] = []
    before: re.Match[bytes] | None = None
    for found in delimiter.finditer(body):
        if before is not None:
            parts.append(_part(body, before, found.start()))
        before = None if found["last"] else found
        if before is None or len(parts) >= MAX_PARTS:
            return tuple(parts)
    if before is not None:
        parts.append(_part(body, before, len(body)))
    return tuple(parts)


def _part(body: bytes, delimiter: re.Match[bytes], whole_end: int) -> BodyPart:
    """A part from the end of its delimiter on: line end, header fields, empty line, content."""
    line_end = _LINE_END.match(body, delimiter.end(), whole_end)
    begin = line_end.end() if line_end else delimiter.end()
    text = body[begin:whole_end]
    end = _EMPTY_LINE.search(text)
    headers, content = (text, b"") if end is None else (text[: end.start()], text[end.end() :])
    kind = DEFAULT_TYPE
    for header in scan_headers(headers, 0, len(headers)):
        if header.key == "content-type":
            try:
                kind, _ = media_type(header.value)
            except SipSyntaxError:
                kind = DEFAULT_TYPE
            break
    if headers and not headers.endswith(b"\n"):
        headers += b"\r\n"
    return BodyPart(kind, content, headers, whole_end - len(content), delimiter.start(), whole_end)
