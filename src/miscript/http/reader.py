"""The bytes of one connection as requests, one after the other.

`feed` takes what arrived, `next` gives the next whole request, a `Problem` behind which nothing more can be read, or
None while more bytes are needed; `whole` is the short way for bytes that are one request and nothing else.  Clients
send the same few heads all the time: `Heads` keeps those that were good, so that they are read once.

Memory is bounded by the limits: `MAX_HEAD`, `max_body`, and what the caller feeds before it asks for requests.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .head import MAX_HEAD, Head, Problem, parse_head

MAX_CHUNK_LINE: Final = 256
"""Bytes of a chunk's size with its extensions."""

MAX_TRAILERS: Final = 4096

MAX_KNOWN_HEADS: Final = 256
MAX_KNOWN_HEAD: Final = 1024
"""Heads that are kept, and the bytes that one of them may have."""

_SIZE: Final = re.compile(rb"([0-9A-Fa-f]{1,8})[ \t]*(?:;[\t\x20-\x7e\x80-\xff]*)?")
_END: Final = b"\r\n\r\n"


@dataclass(slots=True)
class Message:
    """A whole request.  Not frozen because that would make making one slow."""

    head: Head
    body: bytes


class Heads:
    """The heads that the connections of a server have had, each by its bytes."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[bytes, Head] = {}

    def find(self, data: bytes) -> Head | None:
        """The head with these bytes, if it is known."""
        return self._known.get(data)

    def read(self, data: bytes) -> Head | Problem:
        """The head with these bytes, or what is wrong with it."""
        head = self._known.get(data) or parse_head(data)
        if isinstance(head, Head) and len(data) <= MAX_KNOWN_HEAD:
            if len(self._known) >= MAX_KNOWN_HEADS:
                self._known.clear()
            self._known[data] = head
        return head


class RequestReader:
    """Reads the requests of one connection; bodies may have `max_body` bytes, `heads` are those of the server."""

    __slots__ = (
        "_at",
        "_body",
        "_chunk_left",
        "_data",
        "_head",
        "_heads",
        "_last_bytes",
        "_searched",
        "last",
        "max_body",
    )

    def __init__(self, max_body: int, heads: Heads | None = None) -> None:
        self.max_body = max_body
        self._heads = Heads() if heads is None else heads
        self._data: bytes | bytearray = b""
        self._at = 0
        self._searched = 0
        self._head: Head | None = None
        self._last_bytes = b"\0"  # no head begins like that
        self.last: Head | None = None
        """The last head that was good."""
        self._body = bytearray()
        self._chunk_left = -1

    @property
    def head(self) -> Head | None:
        """The head of the request whose body is not complete."""
        return self._head

    @property
    def is_empty(self) -> bool:
        """Whether no request has been begun."""
        return self._head is None and self._at >= len(self._data)

    @property
    def held(self) -> int:
        """Bytes that are kept until more come, or until they are asked for."""
        return len(self._data) - self._at + len(self._body)

    def whole(self, data: bytes) -> bytes | None:
        """The body of the request in `data`, if that is exactly one whole request with a known head: `last`.

        Nothing is taken or kept: whoever cannot answer it at once feeds the data.  This is the way that the requests of
        most clients go, one by one, and it does nothing that is not needed for them.
        """
        if self._at < len(self._data) or self._head is not None:
            return None
        head, size = self.last, len(self._last_bytes)
        if not data.startswith(self._last_bytes):
            size = data.find(_END) + 4
            head = self._heads.find(data[:size])
        if head is None or head.length is None or len(data) != size + head.length or head.length > self.max_body:
            return None
        if head is not self.last:
            self.last, self._last_bytes = head, data[:size]
        return data[size:]

    def drop(self) -> None:
        """Let go of everything that is kept; nothing can be read any more."""
        self._data, self._at, self._body = b"", 0, bytearray()

    def feed(self, data: bytes) -> None:
        """Take bytes that arrived."""
        if self._at >= len(self._data):
            self._data = data
            self._searched = 0
        else:
            if self._at or not isinstance(self._data, bytearray):
                self._data = bytearray(memoryview(self._data)[self._at :])
                self._searched = max(0, self._searched - self._at)
            self._data += data
        self._at = 0

    def next(self) -> Message | Problem | None:
        """The next request, what is wrong, or None while more bytes are needed."""
        head = self._head
        if head is None:
            found = self._read_head()
            if not isinstance(found, Head):
                return found
            head = found
        if head.length is None:
            return self._read_chunks(head)
        length = head.length
        if length > self.max_body:
            self._head = head
            return self._too_large()
        at = self._at
        end = at + length
        if end > len(self._data):
            self._head = head
            return None
        body = bytes(self._data[at:end]) if length else b""
        self._head = None
        self._at = end
        if end == len(self._data):
            self._data, self._at = b"", 0  # a large body shall not stay in memory twice
        return Message(head, body)

    # -- the head ---------------------------------------------------------------------------------------------

    def _read_head(self) -> Head | Problem | None:
        data = self._data
        if self.last is not None and data.startswith(self._last_bytes, self._at):
            self._at += len(self._last_bytes)
            return self.last
        while data.startswith(b"\r\n", self._at):  # RFC 9112 section 2.2: empty lines in front are ignored
            self._at += 2
        end = data.find(_END, max(self._at, self._searched - 3))
        if end < 0:
            return self._unfinished_head()
        end += 4
        if end - self._at > MAX_HEAD:
            return Problem(431, f"the head of a request may have {MAX_HEAD} bytes")
        head_bytes = bytes(data[self._at : end])
        self._at = end
        self._searched = end
        head = self._heads.read(head_bytes)
        if isinstance(head, Head):
            self._last_bytes, self.last = head_bytes, head
        return head

    def _unfinished_head(self) -> Problem | None:
        size = len(self._data) - self._at
        if self._data.find(b"\n\n", max(self._at, self._searched - 1)) >= 0:  # somebody waits for an answer
            return Problem(400, "a line ends with a lone CR or LF")
        self._searched = len(self._data)
        if size > MAX_HEAD:
            return Problem(431, f"the head of a request may have {MAX_HEAD} bytes")
        if size and not chr(self._data[self._at]).isascii():
            return Problem(0, "this is no HTTP request")
        if size and self._data[self._at] < 0x21 and self._data[self._at] != 0x0D:
            return Problem(0, "this is no HTTP request")
        return None

    def _too_large(self) -> Problem:
        return Problem(413, f"the body is larger than {self.max_body} bytes")

    # -- a chunked body ---------------------------------------------------------------------------------------

    def _read_chunks(self, head: Head) -> Message | Problem | None:
        """Chunk by chunk (RFC 9112 section 7.1); `_chunk_left` is -1 before a size, -2 among the trailers."""
        self._head = head
        while True:
            if self._chunk_left == -2:
                return self._read_trailers(head)
            step = self._read_size() if self._chunk_left == -1 else self._read_chunk()
            if step is not None:
                return step if isinstance(step, Problem) else None

    def _read_size(self) -> Problem | bool | None:
        """Read the line with a chunk's size: None when it is read, False while more bytes are needed."""
        end = self._data.find(b"\r\n", self._at, self._at + MAX_CHUNK_LINE)
        if end < 0:
            if len(self._data) - self._at >= MAX_CHUNK_LINE:
                return Problem(400, "the size of a chunk is no size")
            partial = bytes(self._data[self._at :]).rstrip(b"\r")
            return Problem(400, "the size of a chunk is no size") if partial and not _SIZE.fullmatch(partial) else False
        line = _SIZE.fullmatch(self._data, self._at, end)
        if line is None:
            return Problem(400, "the size of a chunk is no size")
        size = int(line[1], 16)
        if len(self._body) + size > self.max_body:
            return self._too_large()
        self._at = end + 2
        self._chunk_left = size or -2
        return None

    def _read_chunk(self) -> Problem | bool | None:
        """Read a chunk's bytes and the CR LF behind them."""
        end = self._at + self._chunk_left
        if len(self._data) < end + 2:
            taken = min(self._chunk_left, len(self._data) - self._at)
            if taken == self._chunk_left:
                behind = bytes(self._data[end:])  # CR LF, or its beginning
                return False if b"\r\n".startswith(behind) else Problem(400, "a chunk is longer than its size")
            self._body += self._data[self._at : self._at + taken]
            self._at += taken
            self._chunk_left -= taken
            return False
        if self._data[end : end + 2] != b"\r\n":
            return Problem(400, "a chunk is longer than its size")
        self._body += self._data[self._at : end]
        self._at = end + 2
        self._chunk_left = -1
        return None

    def _read_trailers(self, head: Head) -> Message | Problem | None:
        """Pass over trailer fields up to the empty line; nobody here needs them."""
        if self._data.startswith(b"\r\n", self._at):
            self._at += 2
        else:
            end = self._data.find(_END, self._at, self._at + MAX_TRAILERS)
            if end < 0:
                too_many = len(self._data) - self._at >= MAX_TRAILERS
                return Problem(431, f"trailer fields may have {MAX_TRAILERS} bytes") if too_many else None
            self._at = end + 4
        body = bytes(self._body)
        self._body.clear()
        self._chunk_left = -1
        self._head = None
        return Message(head, body)
