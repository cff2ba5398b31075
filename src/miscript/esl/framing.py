"""Messages of the event socket: bytes of a connection in any portions go in, whole messages come out.

A message is a block of `Name: value` lines that an empty line ends; `Content-Length` tells how many bytes of body
follow.  Line ends are LF, CRLF is taken too.  What cannot be a message ends the stream for good: there is no way to
find the next one.

Source: FreeSWITCH documentation, "mod_event_socket".
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from ..values import decode
from .errors import EslError

MAX_HEAD: Final = 65536
"""Bytes of a block of headers; those of a connection are a few hundred, events travel as bodies."""

MAX_BODY: Final = 16 * 1024 * 1024
"""Bytes of a body: what FreeSWITCH itself takes."""

_END = re.compile(rb"\n\r?\n")
_LONGEST_END: Final = b"\n\r\n"
_LENGTH = re.compile(r"[0-9]{1,10}", re.ASCII)

Headers = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True)
class Message:
    """One message: its headers in their order, names as they came, and its body."""

    headers: Headers
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name, in whatever case; None when there is none."""
        return header_of(self.headers, name)

    @property
    def content_type(self) -> str:
        """What kind of message it is, in lower case; "" when it does not say."""
        return (self.header("Content-Type") or "").lower()


def header_of(headers: Headers, name: str) -> str | None:
    wanted = name.lower()
    return next((value for key, value in headers if key.lower() == wanted), None)


def read_headers(block: bytes) -> Headers:
    """The headers of a block without the empty line.  Raises EslError for a line that is none."""
    found: list[tuple[str, str]] = []
    for line in decode(block).split("\n"):
        line = line.removesuffix("\r")
        name, colon, value = line.partition(":")
        if not colon or not name.strip():
            raise EslError(f"expected 'Name: value', found {line[:80]!r}")
        found.append((name.strip(), value.strip()))
    return tuple(found)


class MessageReader:
    """Cuts one connection's bytes into messages.

    The buffer never holds more than the limits and what one call of `receive` brings, provided that `next_message`
    is called until it returns None.
    """

    def __init__(self, max_head: int = MAX_HEAD, max_body: int = MAX_BODY) -> None:
        self._max_head = max_head
        self._max_body = max_body
        self._buffer = bytearray()
        self._headers: Headers | None = None
        self._length = 0
        self._searched = 0
        self._failure: EslError | None = None

    def receive(self, data: bytes) -> None:
        """Take what the connection brought; after an error it is thrown away."""
        if self._failure is None:
            self._buffer += data

    def next_message(self) -> Message | None:
        """The next whole message; None when more bytes are needed.

        Raises EslError, now and at every later call, when the stream does not go on with a message, or with one
        above the limits.
        """
        if self._failure is not None:
            raise self._failure
        try:
            return self._next()
        except EslError as error:
            self._failure = error
            self._buffer.clear()
            raise

    def _next(self) -> Message | None:
        if self._headers is None:
            self._read_head()
        if self._headers is None or len(self._buffer) < self._length:
            return None
        message = Message(self._headers, bytes(self._buffer[: self._length]))
        del self._buffer[: self._length]
        self._headers = None
        return message

    def _read_head(self) -> None:
        """Take a block of headers off the buffer, when one is there."""
        blank = len(self._buffer) - len(self._buffer.lstrip(b"\r\n"))
        del self._buffer[:blank]
        found = _END.search(self._buffer, max(0, self._searched - blank))
        if found is None:
            self._searched = max(0, len(self._buffer) - 2)
            if len(self._buffer) > self._max_head + len(_LONGEST_END):
                raise EslError(f"headers of more than {self._max_head} bytes")
            return
        self._searched = 0
        if found.start() > self._max_head:
            raise EslError(f"headers of {found.start()} bytes, expected at most {self._max_head}")
        headers = read_headers(bytes(self._buffer[: found.start()]))
        length = header_of(headers, "Content-Length")
        if length is not None and _LENGTH.fullmatch(length) is None:
            raise EslError(f"expected a number in Content-Length, found '{length[:40]}'")
        self._length = int(length or 0)
        if self._length > self._max_body:
            raise EslError(f"a body of {self._length} bytes, expected at most {self._max_body}")
        del self._buffer[: found.end()]
        self._headers = headers
