"""One HTTP answer while it arrives (RFC 9112), and the beginning of the requests."""

from __future__ import annotations

import re
from typing import Final

import httptools

from ..errors import ProtocolError
from .address import HttpAddress
from .messages import shown

IDLE_SECONDS: Final = 10.0
"""A connection that was idle for so long is not used again: the server may be about to close it (OpenSIPS: 30 s)."""


_PLAIN: Final = re.compile(
    rb"HTTP/1\.1 200 OK\r\n"
    rb"(?:(?:Date|Server|Content-Type): [\x20-\x7e]*\r\n|Connection: [Kk]eep-[Aa]live\r\n)*+"
    rb"Content-Length: ([0-9]{1,9})\r\n"
    rb"(?:(?:Date|Server|Content-Type): [\x20-\x7e]*\r\n|Connection: [Kk]eep-[Aa]live\r\n)*+"
    rb"\r\n"
)
"""The head of nearly all answers: there is nothing in it that needs the parser."""


def plain_body(data: bytes, max_answer: int) -> bytes | None:
    """The body, if `data` is one whole answer of the usual kind, behind which the connection goes on."""
    head = _PLAIN.match(data)
    if head is None:
        return None
    size = int(head[1])
    return data[head.end() :] if len(data) == head.end() + size and size <= max_answer else None


class HttpAnswer:
    """Takes what the connection brings, until `done`.

    `keep` tells whether the connection can carry another request after it.
    """

    def __init__(self, max_answer: int) -> None:
        self.done = False
        self.keep = True
        self._max_answer = max_answer
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._size = 0
        self._status = 0
        self._reason = b""
        self._length_known = False
        self._chunked = False

    def feed(self, data: bytes) -> None:
        """Take bytes.  Raises `ProtocolError` for what is no HTTP, or too large."""
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            cause = error.__context__
            if isinstance(cause, ProtocolError):  # one of ours, that went through the parser
                raise cause from None
            raise ProtocolError(f"the answer is no HTTP: {error}: {shown(data)}") from None

    def end(self) -> None:
        """The connection ended; a body without a length ends with it."""
        self.keep = False
        if self._status and not self._length_known and not self._chunked:
            self.done = True

    def json(self) -> bytes:
        """The body, which other servers also send with a status of their own.  Raises `ProtocolError`."""
        body = b"".join(self._body)
        if self._status == 200 or body.lstrip()[:1] in (b"{", b"["):
            return body
        text = f": {shown(body)}" if body else ""
        raise ProtocolError(f"the server answers {self._status} {self._reason.decode('latin-1')}{text}")

    # -- the parser's events ----------------------------------------------------------------------------------

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length":
            self._length_known = True
        elif lower == b"transfer-encoding" and b"chunked" in value.lower():
            self._chunked = True

    def on_headers_complete(self) -> None:
        self._status = self._parser.get_status_code()
        self.keep = self._parser.should_keep_alive() and (self._length_known or self._chunked)
        if self._status != 200 and not self._length_known:  # OpenSIPS does not end the bodies of its refusals
            self.keep = False
            self.done = True

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_answer:
            raise ProtocolError(f"the answer is larger than {self._max_answer} bytes")
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self.done = True


def request_head(address: HttpAddress, token: str | None) -> bytes:
    """Everything of a request up to the value of `Content-Length`.  Raises `ValueError` for an impossible token."""
    host = f"[{address.host}]" if ":" in address.host else address.host
    authorization = f"Bearer {token}" if token is not None else address.authorization
    lines = [
        f"POST {address.path} HTTP/1.1",
        f"Host: {host}:{address.port}",
        "Content-Type: application/json",
        "Accept: application/json",
    ]
    if authorization is not None:
        if not authorization.isprintable():
            raise ValueError("the token holds characters that a header cannot")
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, "Content-Length: "]).encode("utf-8")


def request_bytes(head: bytes, body: bytes) -> bytes:
    """A whole request."""
    return head + b"%d\r\n\r\n" % len(body) + body
