"""Answers as bytes, with as little work as possible for the usual ones.

Everything in front of the body's length is made once for a kind of answer and second (`Date` changes), and kept.
Every answer has a `Content-Length`, so that none of them is without an end.  Source: RFC 9110, RFC 9112.
"""

from __future__ import annotations

import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Final

JSON: Final = b"application/json"
HTML: Final = b"text/html"
TEXT: Final = b"text/plain; charset=utf-8"

CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


STAYS: Final = b""
STAYS_1_0: Final = b"Connection: Keep-Alive\r\n"
CLOSES: Final = b"Connection: close\r\n"
"""What an answer says about the connection: HTTP/1.1 says nothing if it stays, HTTP/1.0 does."""


class Responses:
    """Makes answers."""

    __slots__ = ("_date", "_fronts", "_ok", "_until")

    def __init__(self) -> None:
        self._date = b""
        self._until = 0.0
        self._ok = b""
        self._fronts: dict[tuple[int, bytes, bytes, bytes], bytes] = {}

    def make(
        self,
        status: int,
        content_type: bytes,
        body: bytes,
        connection: bytes = STAYS,
        fields: bytes = b"",
        *,
        without_body: bool = False,
    ) -> bytes:
        """An answer.

        `connection` is one of the three above; `fields` are more header lines, each with its CR LF; `without_body`
        is for HEAD.
        """
        now = time.time()
        if not self._until - 1 <= now < self._until:
            self._begin_second(int(now))
        key = (status, content_type, connection, fields)
        front = self._fronts.get(key)
        if front is None:
            front = self._fronts[key] = self._front(*key)
        size = len(body)
        length = _LENGTHS[size] if size < len(_LENGTHS) else b"%d\r\n\r\n" % size
        return front + length if without_body else front + length + body

    def ok(self, body: bytes) -> bytes:
        """The answer that nearly all are: 200, JSON, and the connection stays."""
        now = time.time()
        if not self._until - 1 <= now < self._until:
            self._begin_second(int(now))
        size = len(body)
        return self._ok + (_LENGTHS[size] if size < 1024 else b"%d\r\n\r\n" % size) + body

    def _begin_second(self, second: int) -> None:
        self._until = float(second + 1)
        self._date = formatdate(second, usegmt=True).encode("ascii")
        self._fronts.clear()
        self._ok = self._front(200, JSON, STAYS, b"")

    def _front(self, status: int, content_type: bytes, connection: bytes, fields: bytes) -> bytes:
        reason = _REASONS.get(status) or HTTPStatus(status).phrase
        return (
            b"HTTP/1.1 %d %b\r\nDate: %b\r\n%b" % (status, reason.encode("ascii"), self._date, connection)
            + fields
            + (b"Content-Type: %b\r\n" % content_type if content_type else b"")
            + b"Content-Length: "
        )


_LENGTHS: Final = tuple(b"%d\r\n\r\n" % size for size in range(1024))
_REASONS: Final = {413: "Content Too Large"}
