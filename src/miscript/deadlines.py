"""Many deadlines, one sleeper: what is to be called when, on the clock of the host.

A module makes one `Deadlines`, lets `run` be a task of the host, and asks with `at`.  A deadline that is cancelled
costs nothing more; calls come in the order of their times.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Callable
from typing import Final

from .services import Clock

log = logging.getLogger("miscript.host")

FOREVER: Final = float("inf")
REST_SECONDS: Final = 0.02
"""The sleeper sleeps no shorter, so that thousands of deadlines a second do not wake it one by one."""

_FEW: Final = 1024  # cancelled ones that are not worth a clean-up


class Deadline:
    """A call that is to come; `callback` is None once it is cancelled or done."""

    __slots__ = ("callback", "when")

    def __init__(self, when: float, callback: Callable[[], None]) -> None:
        self.when = when
        self.callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        self.callback = None


class Deadlines:
    """Calls ordered by time, those of one time in the order in which they were asked for."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Deadline]] = []  # tuples are compared without a call into Python
        self._numbers = 0
        self._sleeps_until = FOREVER
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        """How many are waited for, with cancelled ones that have not been cleaned up yet."""
        return len(self._heap)

    def at(self, when: float, callback: Callable[[], None]) -> Deadline:
        """Call `callback` at `when`, of the monotonic clock."""
        self._numbers += 1
        deadline = Deadline(when, callback)
        heapq.heappush(self._heap, (when, self._numbers, deadline))
        if when < self._sleeps_until:
            self._wake.set()
        if len(self._heap) > _FEW and not self._numbers % _FEW:
            self._clean_up()
        return deadline

    def after(self, seconds: float, callback: Callable[[], None]) -> Deadline:
        """Call `callback` in so many seconds."""
        return self.at(self._clock.monotonic() + seconds, callback)

    async def run(self) -> None:
        """Make the calls until cancelled.  One that fails is logged, and the others go on."""
        while True:
            self._wake.clear()
            self.call_due()
            self._sleeps_until = self._heap[0][0] if self._heap else FOREVER
            left = self._sleeps_until - self._clock.monotonic()
            try:
                async with self._clock.timeout(None if left == FOREVER else max(REST_SECONDS, left)):
                    await self._wake.wait()
            except TimeoutError:
                pass

    def call_due(self) -> None:
        """Make the calls whose time has come."""
        now = self._clock.monotonic()
        heap = self._heap
        while heap and (heap[0][0] <= now or heap[0][2].callback is None):
            deadline = heapq.heappop(heap)[2]
            callback, deadline.callback = deadline.callback, None
            if callback is not None:
                try:
                    callback()
                except Exception:
                    log.exception("what was due failed")

    def _clean_up(self) -> None:
        alive = [entry for entry in self._heap if entry[2].callback is not None]
        if len(alive) < len(self._heap) // 2:
            heapq.heapify(alive)
            self._heap[:] = alive
