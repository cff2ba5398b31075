"""What waits to be sent to one collector, bounded in packets and bytes, and what the log says of the collector."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from ...log_levels import PYTHON_LEVELS, LogLevel

log = logging.getLogger("miscript.proto_hep")

MAX_BYTES: Final = 8 << 20
CALM_SECONDS: Final = 1.0
"""A UDP collector counts as reached again when nothing was refused for so long."""

_NOTICE: Final = PYTHON_LEVELS[LogLevel.NOTICE]


class Drop(StrEnum):
    """Why a packet was not sent."""

    QUEUE_FULL = "queue_full"
    UNREACHABLE = "unreachable"
    NO_SOCKET = "no_socket"
    NO_TLS = "no_tls"
    OLD_VERSION = "old_version"
    TOO_LARGE = "too_large"
    STOPPED = "stopped"


class Backlog:
    """The packets of one destination that wait, oldest first; when there is no room, the oldest give way.

    `limit` is the number of packets.  Of a stream the first packet may be sent in part: it stays until it is whole.
    """

    def __init__(self, limit: int, dropped: Callable[[Drop, int], None]) -> None:
        self._limit = limit
        self._dropped = dropped
        self._frames: deque[bytes] = deque()
        self._bytes = 0
        self._position = 0

    def __len__(self) -> int:
        return len(self._frames)

    def add(self, frame: bytes) -> None:
        """Let `frame` wait."""
        self._frames.append(frame)
        self._bytes += len(frame)
        lost = 0
        while len(self._frames) > max(1, self._limit) or self._bytes > MAX_BYTES:
            self._oldest_gives_way()
            lost += 1
        if lost:
            self._dropped(Drop.QUEUE_FULL, lost)

    def _oldest_gives_way(self) -> None:
        if self._position and len(self._frames) > 1:  # without the rest of this one the stream would be torn
            begun = self._frames.popleft()
            self._bytes -= len(self._frames.popleft())
            self._frames.appendleft(begun)
        else:
            self._bytes -= len(self._frames.popleft())
            self._position = 0

    def first(self, count: int) -> list[bytes | memoryview]:
        """At most `count` of the next packets, the first one without what was sent of it."""
        frames: list[bytes | memoryview] = [self._frames[i] for i in range(min(count, len(self._frames)))]
        if self._position:
            frames[0] = memoryview(frames[0])[self._position :]
        return frames

    def take(self) -> bytes:
        """Take the next packet, of a backlog that is not sent as a stream."""
        frame = self._frames.popleft()
        self._bytes -= len(frame)
        return frame

    def put_back(self, frame: bytes) -> None:
        """Let a packet that was taken be the next one again."""
        self._frames.appendleft(frame)
        self._bytes += len(frame)

    def advance(self, count: int) -> int:
        """Note that `count` more bytes were sent; how many packets that made whole."""
        whole = 0
        left = self._position + count
        while self._frames and left >= len(self._frames[0]):
            size = len(self._frames.popleft())
            self._bytes -= size
            left -= size
            whole += 1
        self._position = left
        return whole

    def rewind(self) -> None:
        """The stream broke: what was sent of the first packet is worth nothing."""
        self._position = 0

    def clear(self, reason: Drop) -> None:
        """Throw away everything, for `reason`."""
        if self._frames:
            self._dropped(reason, len(self._frames))
        self._frames.clear()
        self._bytes = self._position = 0


@dataclass(slots=True)
class Health:
    """Whether a collector can be reached, said in the log once for each change."""

    label: str
    problem: str | None = None
    failed_at: float = 0.0

    def failed(self, problem: str) -> None:
        """The collector cannot be reached."""
        if self.problem is None:
            log.error("%s cannot be reached: %s", self.label, problem)
        self.problem = problem
        self.failed_at = time.monotonic()

    def reached(self) -> None:
        """It can."""
        if self.problem is not None:
            self.problem = None
            log.log(_NOTICE, "%s can be reached again", self.label)

    def calm(self) -> None:
        """Nothing was refused just now; after some time of that the collector counts as reached."""
        if self.problem is not None and time.monotonic() - self.failed_at > CALM_SECONDS:
            self.reached()
