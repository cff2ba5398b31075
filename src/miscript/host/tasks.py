"""Work beside the routes: launched jobs, events, timers, and what modules run for themselves."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from ..services import Clock

log = logging.getLogger("miscript.host")

STOP_SECONDS = 1.0
"""How long cancelled work may take to end."""


class TaskTable:
    """All tasks of a host.

    *Work* (`work`) is what a script started, and `idle` waits for it; *services* (`spawn`, `every`) live as long as
    the host.  A failure is logged once, with its traceback, and counts in `failures`.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.failures = 0
        self._work: set[asyncio.Task[Any]] = set()
        self._services: set[asyncio.Task[Any]] = set()

    def work(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something that the script started."""
        return self._start(coroutine, name, self._work)

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        return self._start(work, name, self._services)

    def every(self, seconds: float, work: Callable[[], Awaitable[None] | None], name: str) -> asyncio.Task[Any]:
        return self.spawn(self._repeat(seconds, work, name), name)

    async def _repeat(self, seconds: float, work: Callable[[], Awaitable[None] | None], name: str) -> None:
        due = self.clock.monotonic() + seconds
        while True:
            await self.clock.sleep(max(0.0, due - self.clock.monotonic()))
            try:
                result = work()
                if inspect.isawaitable(result):
                    await result
            except Exception:
                self.failures += 1
                log.exception("%s failed; it goes on with its next turn", name)
            due = max(due + seconds, self.clock.monotonic())

    def _start(self, work: Coroutine[Any, Any, Any], name: str, group: set[asyncio.Task[Any]]) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        group.add(task)
        task.add_done_callback(lambda done: self._ended(done, group))
        return task

    def _ended(self, task: asyncio.Task[Any], group: set[asyncio.Task[Any]]) -> None:
        group.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self.failures += 1
            log.error("%s failed", task.get_name(), exc_info=error)

    def busy(self) -> list[str]:
        """The names of the work under way."""
        return sorted(task.get_name() for task in self._work)

    async def idle(self, seconds: float | None) -> bool:
        """Wait until no work is under way, also none that other work started; False when `seconds` passed first."""
        try:
            async with self.clock.timeout(seconds):
                while self._work:
                    await asyncio.wait(set(self._work))
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Cancel everything and wait for the ends, at most `STOP_SECONDS`."""
        left = self._work | self._services
        for task in left:
            task.cancel()
        if left:
            _, stuck = await asyncio.wait(left, timeout=STOP_SECONDS)
            for task in stuck:
                log.error("%s does not end", task.get_name())
