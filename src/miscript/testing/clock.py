"""Time that stands still until a test moves it."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Final, TypeVar

T = TypeVar("T")

QUIET_TURNS: Final = 30
"""After so many turns of the event loop in which nobody computed, everything is taken to wait."""

QUIET_SECONDS: Final = 0.0005
"""A turn that took longer did some work."""

PATIENCE_SECONDS: Final = 30.0
"""Real seconds after which `until` gives up."""


@dataclass(order=True, slots=True)
class _Due:
    """Something to be done at a moment; `number` keeps the order of those at the same one."""

    at: float
    number: int
    wake: Callable[[], None] = field(compare=False)
    gone: bool = field(default=False, compare=False)


class ManualClock:
    """A clock (`services.Clock`) for a host under test.

    `advance` moves it and wakes who sleeps, in the order of their times; `until` moves it as far as something needs
    to come to its end.  Only what sleeps on this clock is fast: sockets, processes and threads take their own time.
    """

    def __init__(self, start: float = 1_700_000_000.0) -> None:
        """`start` is the time of day, in seconds since the epoch; `monotonic` begins with 0."""
        self._start = start
        self._now = 0.0
        self._numbers = itertools.count()
        self._waiting: list[_Due] = []

    # -- what a host asks -----------------------------------------------------------------------------------

    def monotonic(self) -> float:
        return self._now

    def time(self) -> float:
        return self._start + self._now

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await asyncio.sleep(0)
            return
        woken = asyncio.get_running_loop().create_future()
        due = self._at(seconds, lambda: None if woken.done() else woken.set_result(None))
        try:
            await woken
        finally:
            due.gone = True

    @asynccontextmanager
    async def timeout(self, seconds: float | None) -> AsyncIterator[asyncio.Timeout]:
        async with asyncio.timeout(None) as limit:
            due = None if seconds is None else self._at(seconds, lambda: limit.reschedule(0.0))
            try:
                yield limit
            finally:
                if due is not None:
                    due.gone = True

    def _at(self, seconds: float, wake: Callable[[], None]) -> _Due:
        due = _Due(self._now + seconds, next(self._numbers), wake)
        heapq.heappush(self._waiting, due)
        return due

    # -- what a test asks -----------------------------------------------------------------------------------

    @property
    def next_due(self) -> float | None:
        """Seconds until the next one wakes; None when nobody sleeps."""
        while self._waiting and self._waiting[0].gone:
            heapq.heappop(self._waiting)
        return max(0.0, self._waiting[0].at - self._now) if self._waiting else None

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass: who sleeps no longer than that wakes in order, and comes as far as it can.

        Raises ValueError when `seconds` is negative.
        """
        if seconds < 0:
            raise ValueError(f"time does not go back: {seconds}")
        end = self._now + seconds
        await self.settle()
        while (left := self.next_due) is not None and self._now + left <= end:
            self._wake_next()
            await self.settle()
        self._now = end

    def _wake_next(self) -> None:
        """Those who sleep until the next moment wake in one turn, in the order in which they went to sleep."""
        moment = self._waiting[0].at
        self._now = max(self._now, moment)
        while self._waiting and self._waiting[0].at == moment:
            due = heapq.heappop(self._waiting)
            if not due.gone:
                due.gone = True
                due.wake()

    async def until(self, awaitable: Awaitable[T], *, patience: float = PATIENCE_SECONDS) -> T:
        """The result of `awaitable`; while it waits for the time, the time passes.

        Raises TimeoutError when it is not there after `patience` real seconds.
        """
        task = asyncio.ensure_future(awaitable)
        async with asyncio.timeout(patience):
            try:
                await self.settle()
                while not task.done():
                    left = self.next_due
                    if left is None:
                        await asyncio.wait({task}, timeout=0.01)  # it waits for something else than the time
                    else:
                        await self.advance(left)
                return task.result()
            finally:
                task.cancel()

    async def settle(self) -> None:
        """Let everything come to where it waits for something."""
        quiet = 0
        while quiet < QUIET_TURNS:
            before = time.perf_counter()
            await asyncio.sleep(0)
            quiet = quiet + 1 if time.perf_counter() - before < QUIET_SECONDS else 0
