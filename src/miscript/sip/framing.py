"""SIP messages out of a stream of bytes: bytes in, whole messages and keep-alives out.

Over TCP and TLS the length of a body is told by Content-Length (RFC 3261 section 18.3); a message without it cannot
be told from the next one, so it is an error like one that is too long.  Behind an error the stream is of no use.
Between messages, CRLF CRLF is a ping, to be answered with CRLF (RFC 5626 section 3.5.1); single line ends are skipped.
"""

from __future__ import annotations

from enum import Enum
from typing import Final, TypeAlias

from ..errors import MiscriptError
from ..late_pattern import late_pattern
from .headers import scan_headers
from .message import DEFAULT_LIMITS, Limits

PONG: Final = b"\r\n"
"""The answer to a ping."""

_END_OF_HEADERS = late_pattern(rb"\r?\n\r?\n")
_LENGTH = late_pattern(r"[0-9]{1,10}")


class Ping(Enum):
    """A peer wants to know whether the connection lives."""

    PING = b"\r\n\r\n"


PING: Final = Ping.PING

Framed: TypeAlias = bytes | Ping


class StreamError(MiscriptError):
    """The stream cannot be read on.  `head` is what there is of the message: enough to answer it, or empty."""

    def __init__(self, message: str, head: bytes) -> None:
        super().__init__(message)
        self.head = head


class StreamFramer:
    """The messages of one connection.  It never holds more than one message of `limits.message` bytes and the last
    bytes fed."""

    def __init__(self, limits: Limits = DEFAULT_LIMITS) -> None:
        self._limits = limits
        self._buffer = bytearray()
        self._searched = 0
        self._needed = 0

    @property
    def unfinished(self) -> int:
        """Bytes of a message that has begun and is not complete."""
        return 0 if self._buffer[:1].isspace() else len(self._buffer)

    def feed(self, data: bytes) -> list[Framed]:
        """Take bytes; gives what is complete, in order.

        Raises `StreamError` when the first thing in the stream cannot be read; what is complete before it is given
        first, and the error comes with the next call.
        """
        self._buffer += data
        found: list[Framed] = []
        try:
            while (framed := self._next()) is not None:
                found.append(framed)
        except StreamError:
            if not found:
                raise
        return found

    def _next(self) -> Framed | None:
        buffer = self._buffer
        if not self._needed:
            if buffer[:4] == PING.value:
                del buffer[:4]
                return PING
            if PING.value.startswith(buffer):
                return None
            del buffer[: len(buffer) - len(buffer.lstrip(b"\r\n"))]
            if not buffer:
                return None
            self._needed = self._length()
            if not self._needed:
                return None
        if len(buffer) < self._needed:
            return None
        message = bytes(buffer[: self._needed])
        del buffer[: self._needed]
        self._needed = self._searched = 0
        return message

    def _length(self) -> int:
        """The length of the message at the front; 0 while its header fields are not complete."""
        buffer, limit = self._buffer, self._limits.message
        end = _END_OF_HEADERS.search(buffer, self._searched)
        if end is None:
            if len(buffer) > limit:
                raise StreamError(f"header fields are longer than {limit} bytes", b"")
            self._searched = max(0, len(buffer) - 3)
            return 0
        head = bytes(buffer[: end.end()])
        start = head.find(b"\n") + 1
        length = None
        for field in scan_headers(head, start, len(head)):
            if field.key == "content-length":
                if not _LENGTH.fullmatch(field.value) or length not in (None, int(field.value)):
                    raise StreamError(f"Content-Length is '{field.value[:20]}', expected one number", head)
                length = int(field.value)
        if length is None:
            raise StreamError("a message on a stream has no Content-Length", head)
        if end.end() + length > limit:
            raise StreamError(f"a message of {end.end() + length} bytes, at most {limit} are taken", head)
        return end.end() + length
