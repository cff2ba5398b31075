"""HEP on a TCP (or TLS) connection: bytes in any portions go in, whole frames come out.

Frames follow each other without a separator; the length in a frame's header is the only border.  Only version 3
travels over a connection.  What cannot be a frame ends the stream for good: there is no way to find the next one.
"""

from __future__ import annotations

from .errors import HepError
from .v3 import FRAME_HEADER_SIZE, MAGIC, MAX_FRAME, frame_length


class FrameReader:
    """Cuts one connection's bytes into frames.

    `limit` is the largest frame accepted, in bytes.  The buffer never holds more than `limit` and what one call
    of `receive` brings, provided that `next_frame` is called until it returns None.
    """

    def __init__(self, limit: int = MAX_FRAME) -> None:
        self._limit = limit
        self._buffer = bytearray()
        self._position = 0
        self._failure: HepError | None = None

    def receive(self, data: bytes) -> None:
        """Take what the connection brought; after an error it is thrown away."""
        if self._failure is None:
            self._buffer += data

    def next_frame(self) -> bytes | None:
        """The next whole frame, for `v3.decode`; None when more bytes are needed.

        Raises `HepError`, now and at every later call, when the stream does not go on with a frame, or with one
        above the limit; its offset counts from the start of the stream.
        """
        if self._failure is not None:
            raise self._failure
        try:
            total = self._length()
        except HepError as error:
            self._failure = HepError(error.what, self._position + (error.offset or 0))
            self._buffer.clear()
            raise self._failure from None
        if total is None or len(self._buffer) < total:
            return None
        frame = bytes(self._buffer[:total])
        del self._buffer[:total]
        self._position += total
        return frame

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished frame are waiting; not 0 at the end of a connection means it was cut."""
        return len(self._buffer)

    def _length(self) -> int | None:
        """The length of the frame at the buffer's start, None while that is not known."""
        header = bytes(self._buffer[:FRAME_HEADER_SIZE])
        if len(header) < FRAME_HEADER_SIZE and MAGIC.startswith(header[: len(MAGIC)]):
            return None
        total = frame_length(header)
        if total > self._limit:
            raise HepError(f"a frame of {total} bytes, expected at most {self._limit}", 4)
        return total
