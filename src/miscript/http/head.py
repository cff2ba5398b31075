"""The head of an HTTP request: request line and header fields, checked strictly.

`parse_head` gives a `Head`, or a `Problem` with the status to refuse with.  What two programs could read in two ways
is refused, because that is how requests are smuggled past a proxy: bare CR or LF, folded lines, blanks before the
colon, a length given twice or beside `Transfer-Encoding`, codings other than exactly `chunked`, `Host` twice.

The syntax of lines and fields is llhttp's (httptools); the rules above and all framing are ours.
Source: RFC 9112 sections 2 to 6.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import unquote_to_bytes

import httptools

MAX_HEAD: Final = 16384
"""Bytes of request line and header fields."""

MAX_TARGET: Final = 4096
MAX_FIELDS: Final = 100
MAX_LENGTH_DIGITS: Final = 15

_REQUEST_LINE: Final = re.compile(
    rb"(?P<method>[!#$%&'*+.^_`|~0-9A-Za-z-]+) (?P<target>[\x21-\x7e\x80-\xff]+)(?: HTTP/(?P<version>[0-9]\.[0-9]))?"
)
_ANY_TARGET: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+ [^\r\n\0]* HTTP/1\.[01]")
"""What would be a request line if there were no blanks, or nothing at all, in place of the target."""

NO_TARGET: Final = "Unable to parse URL!"
"""What the server says of a target that it has not."""

_SINGLE: Final = frozenset({b"host", b"content-length", b"transfer-encoding", b"content-type", b"authorization"})
"""Fields that may come once; all others are joined with commas."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Bytes that are no request we take: the status to answer with, 0 for closing without an answer."""

    status: int
    reason: str


_NO_REQUEST: Final = Problem(0, "this is no HTTP request")


@dataclass(slots=True)
class Head:
    """The head of a request.

    `path` is decoded and has no query; `fields` have names in lower case.  `length` is the body's length, None for
    a chunked one.  `keep_alive`: the client wants the connection to live on.  `action` is for the server's own use:
    what it has decided to do with requests of this head.
    """

    method: str
    path: str
    query: str
    version: str
    fields: dict[bytes, bytes]
    length: int | None
    keep_alive: bool
    expects_continue: bool = False
    action: object = field(default=None, compare=False)

    def get(self, name: bytes) -> bytes:
        """A field's value, empty where there is none; `name` in lower case."""
        return self.fields.get(name, b"")


class _Fields:
    """Collects what llhttp finds."""

    def __init__(self) -> None:
        self.found: list[tuple[bytes, bytes]] = []

    def on_header(self, name: bytes, value: bytes) -> None:
        self.found.append((name, value))


def parse_head(data: bytes) -> Head | Problem:
    """The head in `data`, which ends with its empty line."""
    line_end = data.find(b"\r\n")
    line = _REQUEST_LINE.fullmatch(data, 0, line_end)
    if line is None:
        return Problem(400, NO_TARGET) if _ANY_TARGET.fullmatch(data, 0, line_end) else _NO_REQUEST
    if line["version"] is None:
        return Problem(400, "an HTTP version is missing")
    if line["version"] not in (b"1.1", b"1.0"):
        return Problem(505, "only HTTP/1.1 and HTTP/1.0 are spoken")
    if len(line["target"]) > MAX_TARGET:
        return Problem(414, f"a target may have {MAX_TARGET} bytes")
    if data.count(b"\n") != data.count(b"\r\n") or data.count(b"\r") != data.count(b"\r\n"):
        return Problem(400, "a line ends with a lone CR or LF")
    if b"\n " in data or b"\n\t" in data:
        return Problem(400, "a header field is folded")
    fields = _fields(data, line_end)
    if isinstance(fields, Problem):
        return fields
    return _head(line, fields)


def _fields(data: bytes, line_end: int) -> dict[bytes, bytes] | Problem:
    collected = _Fields()
    parser = httptools.HttpRequestParser(collected)
    try:
        # The methods that llhttp knows are not all there are; the line has been checked already.
        parser.feed_data(b"POST / HTTP/1.1" + data[line_end:])
    except httptools.HttpParserUpgrade:
        pass  # nothing to upgrade to: the fields are there, and the request is an ordinary one
    except (httptools.HttpParserError, httptools.HttpParserCallbackError):
        return Problem(400, "a header field is malformed")
    if len(collected.found) > MAX_FIELDS:
        return Problem(431, f"a request may have {MAX_FIELDS} header fields")
    fields: dict[bytes, bytes] = {}
    for name, value in collected.found:
        key, value = name.lower(), value.strip(b" \t")
        if key not in fields:
            fields[key] = value
        elif key in _SINGLE:
            return Problem(400, f"the header field '{key.decode('latin-1')}' comes twice")
        else:
            fields[key] += b", " + value
    return fields


def _head(line: re.Match[bytes], fields: dict[bytes, bytes]) -> Head | Problem:
    version = line["version"].decode("ascii")
    length = _length(fields, version)
    if isinstance(length, Problem):
        return length
    target = line["target"]
    path, _, query = target.partition(b"?")
    if b"#" in target:
        return Problem(400, NO_TARGET)
    decoded = unquote_to_bytes(path)
    if b"\0" in decoded:
        return Problem(400, NO_TARGET)
    wishes = {wish.strip().lower() for wish in fields.get(b"connection", b"").split(b",")}
    return Head(
        line["method"].decode("ascii"),
        decoded.decode("utf-8", "surrogateescape"),
        query.decode("latin-1"),
        version,
        fields,
        length,
        keep_alive=b"close" not in wishes if version == "1.1" else b"keep-alive" in wishes,
        expects_continue=version == "1.1" and fields.get(b"expect", b"").lower() == b"100-continue",
    )


def _length(fields: dict[bytes, bytes], version: str) -> int | Problem | None:
    """The length of the body, None if it is chunked (RFC 9112 section 6.3)."""
    coding, length = fields.get(b"transfer-encoding"), fields.get(b"content-length")
    if coding is not None:
        if length is not None:
            return Problem(400, "'Content-Length' stands beside 'Transfer-Encoding'")
        if version == "1.0":
            return Problem(400, "HTTP/1.0 has no 'Transfer-Encoding'")
        return None if coding.lower() == b"chunked" else Problem(501, "the only transfer coding here is 'chunked'")
    if length is None:
        return 0
    if not (length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
        return Problem(400, "'Content-Length' is no number")
    return int(length)
