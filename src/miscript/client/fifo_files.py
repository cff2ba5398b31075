"""The files of the FIFO door: the server's FIFO, and reply FIFOs of ours.

A request is `:NAME:` and JSON; the server opens `reply_dir` + NAME, writes the answer and closes it.  Kamailio wants
the name as a member `reply_name` of the request.  Reply FIFOs have names that nobody can guess and are readable by
us only; where the server runs as another user it must be able to write to them, and so is everyone: an answer
counts only with the id of the request, which others cannot read.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from typing import Final

from .address import FifoAddress
from .messages import dumps, loads

READ_SIZE: Final = 1 << 16
ONLY_US: Final = 0o600
SERVER_WRITES: Final = 0o622

_READ: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_HOLD: Final = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
"""Keeps a FIFO's inode from being given to another one, and is no reader (on Linux)."""


class FifoFiles:
    """The server's FIFO and one reply FIFO, used again for one answer after the other."""

    def __init__(self, address: FifoAddress) -> None:
        self._address = address
        self._name = f"miscript_{secrets.token_hex(12)}"
        self._reply = address.reply_dir + self._name
        self._made: tuple[int, int] | None = None
        self._held = -1

    def close(self) -> None:
        """Remove the reply FIFO."""
        if self._made is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._reply)
            self._forget()

    def _forget(self) -> None:
        os.close(self._held)
        self._made = None

    def open_server(self) -> int:
        """The server's FIFO opened for writing, if a server reads it.  Raises `OSError`."""
        path = self._address.path
        try:
            server = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            words = "no server reads it" if error.errno == errno.ENXIO else error.strerror
            raise OSError(error.errno, words) from None
        if not stat.S_ISFIFO(os.fstat(server).st_mode):
            os.close(server)
            raise OSError(0, f"'{path}' is no FIFO")
        return server

    def framed(self, message: bytes, wants_answer: bool) -> bytes:
        """What to write for a message."""
        name = self._name if wants_answer else ""
        if not self._address.kamailio:
            return b":%s:%s\n" % (name.encode("ascii"), message)
        if not name:
            return message + b"\n"
        return dumps(loads(message) | {"reply_name": name}) + b"\n"

    def open_reply(self, server: int) -> int:
        """The reply FIFO opened for reading, made when it is not there; `server` is the server's, opened."""
        if self._made is None:
            self._make(mine=os.fstat(server).st_uid == os.geteuid())
        reader = self.open_again()
        found = os.fstat(reader)
        if (found.st_dev, found.st_ino) != self._made or not stat.S_ISFIFO(found.st_mode):
            os.close(reader)
            self._forget()
            raise OSError(0, f"'{self._reply}' was replaced by someone else")
        return reader

    def open_again(self) -> int:
        """The reply FIFO opened anew: only that forgets an end of file."""
        return os.open(self._reply, _READ)

    def _make(self, *, mine: bool) -> None:
        os.mkfifo(self._reply, ONLY_US)
        os.chmod(self._reply, ONLY_US if mine else SERVER_WRITES)
        self._held = os.open(self._reply, _HOLD)
        made = os.fstat(self._held)
        self._made = made.st_dev, made.st_ino


class FifoAnswer:
    """Reads one answer: everything up to the moment when the server closes its end."""

    def __init__(self, files: FifoFiles, reader: int, max_answer: int) -> None:
        self.reader = reader
        self._files = files
        self._max_answer = max_answer
        self._pieces: list[bytes] = []
        self._size = 0

    def read(self) -> bytes | None:
        """Read what is there: the whole answer if it is complete with it.

        `reader` may be another file after it.  Raises `OSError`.
        """
        try:
            while data := os.read(self.reader, READ_SIZE):
                self._pieces.append(data)
                self._size += len(data)
                if self._size > self._max_answer:
                    raise OSError(0, f"the answer is larger than {self._max_answer} bytes")
        except BlockingIOError:
            return None
        if self._pieces:
            return b"".join(self._pieces)
        fresh = self._files.open_again()  # someone opened the FIFO and wrote nothing
        os.close(self.reader)
        self.reader = fresh
        return None

    def close(self) -> None:
        os.close(self.reader)
