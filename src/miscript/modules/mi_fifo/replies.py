"""The FIFOs that clients make for their answers.

Whoever can write into the reply folder chooses what stands under a name, so a reply FIFO is opened without following
a link and without waiting, and must be a FIFO with one name.  Writing never waits either: what a slow reader leaves
is kept, in order, and given up `PATIENCE` seconds after it last took something.
"""

from __future__ import annotations

import asyncio
import errno
import os
import stat
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeAlias

PATIENCE: Final = 5.0
"""Seconds in which a client must take something of its answer."""

TRIES: Final = 5
PAUSE: Final = 0.08
"""A client may open its FIFO a little after it has sent its request: how often, and how long apart, it is tried."""

MAX_QUEUED: Final = 64 * 1024 * 1024
"""Bytes of answers that may wait for slow readers, all together; where nothing waits, one answer of any size may."""

MAX_SLOW: Final = 256
"""Slow readers at a time: each keeps a descriptor."""

Identity: TypeAlias = tuple[int, int]


class NoReader(OSError):
    """Nobody has the reply FIFO open for reading (yet)."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A reply FIFO, open for writing."""

    file: int
    identity: Identity
    owner: int
    """The user it belongs to."""

    def close(self) -> None:
        """Close it without an answer."""
        os.close(self.file)


def open_reply(path: bytes) -> Opened:
    """Open the reply FIFO at `path`.  Raises NoReader, or another OSError that says what is wrong with it."""
    _check(os.lstat(path))  # a device would be touched by opening it
    try:
        file = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ENXIO:
            raise NoReader(errno.ENXIO, "nobody reads it") from None
        raise
    found = os.fstat(file)
    try:
        _check(found)
    except OSError:
        os.close(file)
        raise
    return Opened(file, (found.st_dev, found.st_ino), found.st_uid)


def _check(found: os.stat_result) -> None:
    if stat.S_ISLNK(found.st_mode):
        raise OSError(errno.ELOOP, "it is a symbolic link")
    if not stat.S_ISFIFO(found.st_mode):
        raise OSError(errno.EINVAL, "it is no FIFO")
    if found.st_nlink > 1:
        raise OSError(errno.EMLINK, "it has more than one name")


class Replies:
    """Writes answers; `lost(reason)` is called for each that its client did not take."""

    def __init__(self, lost: Callable[[str], None], *, patience: float = PATIENCE) -> None:
        self._lost = lost
        self._patience = patience
        self._slow: dict[Identity, _SlowReader] = {}
        self._queued = 0

    def send(self, reply: Opened, answer: bytes) -> None:
        """Write `answer` and close the FIFO, now or when its reader has taken what stood before it."""
        slow = self._slow.get(reply.identity)
        if slow is not None:
            reply.close()
            if self._is_full(len(answer)):
                return
            self._queued += len(answer)
            slow.add(answer)
            return
        try:
            written = os.write(reply.file, answer)
        except BlockingIOError:
            written = 0
        except OSError as error:
            reply.close()
            self._lost(error.strerror or "it cannot be written")
            return
        if written == len(answer) or (self._slow and self._is_full(len(answer) - written)):
            reply.close()
            return
        self._queued += len(answer) - written
        self._slow[reply.identity] = _SlowReader(self, reply, memoryview(answer)[written:], self._patience)

    def _is_full(self, size: int) -> bool:
        """Whether `size` bytes more may not wait; then that is told."""
        if self._queued + size <= MAX_QUEUED and len(self._slow) < MAX_SLOW:
            return False
        self._lost("too many answers wait for slow readers")
        return True

    def close(self) -> None:
        """Give up all answers that wait."""
        for slow in list(self._slow.values()):
            slow.end("the host is stopping")

    def done(self, slow: _SlowReader, left: list[memoryview], reason: str | None) -> None:
        """A slow reader has taken everything, or is given up for `reason`."""
        del self._slow[slow.reply.identity]
        self.taken(sum(len(piece) for piece in left))
        if reason is not None:
            for _ in left:
                self._lost(reason)

    def taken(self, size: int) -> None:
        """So many bytes wait no longer."""
        self._queued -= size


class _SlowReader:
    """A reply FIFO that is full."""

    __slots__ = ("_loop", "_patience", "_pieces", "_replies", "_timer", "reply")

    def __init__(self, replies: Replies, reply: Opened, first: memoryview, patience: float) -> None:
        self.reply = reply
        self._replies = replies
        self._pieces = deque([first])
        self._patience = patience
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(patience, self.end, "its reader does not take it")
        self._loop.add_writer(reply.file, self._write)

    def add(self, answer: bytes) -> None:
        self._pieces.append(memoryview(answer))

    def _write(self) -> None:
        try:
            written = os.write(self.reply.file, self._pieces[0])
        except BlockingIOError:
            return
        except OSError as error:
            self.end(error.strerror or "it cannot be written")
            return
        self._replies.taken(written)
        self._timer.cancel()
        if written < len(self._pieces[0]):
            self._pieces[0] = self._pieces[0][written:]
        else:
            self._pieces.popleft()
        if not self._pieces:
            self.end(None)
            return
        self._timer = self._loop.call_later(self._patience, self.end, "its reader does not take it")

    def end(self, reason: str | None) -> None:
        """Close the FIFO; with a reason what is left counts as lost."""
        self._timer.cancel()
        self._loop.remove_writer(self.reply.file)
        self.reply.close()
        left = list(self._pieces)
        self._pieces.clear()
        self._replies.done(self, left, reason)
