"""Work beside the routes: launched jobs, events, timers, and what modules run for themselves."""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator
from types import coroutine
from typing import Any

from ..services import Clock

log = logging.getLogger("miscript.host")

STOP_SECONDS = 1.0
"""How long cancelled work may take to end."""


class TaskTable:
    """All tasks of a host.

    *Work* (`work`) is what a script started, and `idle` waits for it; *services* (`spawn`, `every`) live as long as
    the host.  A failure is logged once, with its traceback, and counts in `failures`.

    Work that mostly ends without waiting (`soon`) is done by one task, piece by piece.  Where a piece has to wait, the
    task becomes its own, and another one serves those that follow: a piece never waits for another, and one that
    does not wait costs no task.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.failures = 0
        self._work: set[asyncio.Task[Any]] = set()
        self._services: set[asyncio.Task[Any]] = set()
        self._pieces: deque[tuple[Coroutine[Any, Any, Any], str]] = deque()
        self._server: asyncio.Task[None] | None = None
        self._rest: asyncio.Future[None] | None = None
        self._stopping = False

    def work(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Run something that the script started."""
        return self._start(coroutine, name, self._work)

    def soon(self, piece: Coroutine[Any, Any, Any], name: str) -> None:
        """Run something that comes often, and mostly ends without waiting; it must end once it is begun."""
        if self._stopping:
            piece.close()
            return
        self._pieces.append((piece, name))
        if self._rest is not None:
            self._rest.set_result(None)
            self._rest = None
        elif self._server is None:
            self._server = asyncio.get_running_loop().create_task(self._serve())

    async def _serve(self) -> None:
        """Do pieces until one has to wait, then be its task."""
        loop, pieces = asyncio.get_running_loop(), self._pieces
        while True:
            while not pieces:
                self._rest = loop.create_future()
                await self._rest
            piece, name = pieces.popleft()
            try:
                waits_for = piece.send(None)
            except StopIteration:
                continue
            except Exception as error:
                self._failed(name, error)
                continue
            self._leave_serving(name)
            await _resumed(piece, waits_for)
            return

    def _leave_serving(self, name: str) -> None:
        """Let the task that serves be the one of its piece, and another one serve what there is."""
        task, self._server = self._server, None
        if task is not None:
            task.set_name(name)
            self._watch(task, self._work)
        if self._pieces:
            self._server = asyncio.get_running_loop().create_task(self._serve())

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
        self._watch(task, group)
        return task

    def _watch(self, task: asyncio.Task[Any], group: set[asyncio.Task[Any]]) -> None:
        group.add(task)
        task.add_done_callback(lambda done: self._ended(done, group))

    def _ended(self, task: asyncio.Task[Any], group: set[asyncio.Task[Any]]) -> None:
        group.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._failed(task.get_name(), error)

    def _failed(self, name: str, error: BaseException) -> None:
        self.failures += 1
        log.error("%s failed", name, exc_info=error)

    def busy(self) -> list[str]:
        """The names of the work under way."""
        return sorted([task.get_name() for task in self._work] + [name for _, name in self._pieces])

    async def idle(self, seconds: float | None) -> bool:
        """Wait until no work is under way, also none that other work started; False when `seconds` passed first."""
        try:
            async with self.clock.timeout(seconds):
                while self._work or self._pieces:
                    if self._pieces:
                        await asyncio.sleep(0)
                    else:
                        await asyncio.wait(set(self._work))
        except TimeoutError:
            return False
        return True

    async def stop(self) -> None:
        """Cancel everything and wait for the ends, at most `STOP_SECONDS`; pieces that come from now on are dropped."""
        self._stopping = True
        while self._pieces:
            self._pieces.popleft()[0].close()
        left = self._work | self._services
        if self._server is not None:
            left.add(self._server)
        for task in left:
            task.cancel()
        if left:
            _, stuck = await asyncio.wait(left, timeout=STOP_SECONDS)
            for task in stuck:
                log.error("%s does not end", task.get_name())


@coroutine
def _resumed(piece: Coroutine[Any, Any, Any], waits_for: object) -> Generator[object, None, object]:
    """Go on with a coroutine that has been begun by hand and waits for something."""
    while True:
        failed: BaseException | None = None
        try:
            yield waits_for
        except BaseException as error:
            failed = error
        try:
            waits_for = piece.send(None) if failed is None else piece.throw(failed)
        except StopIteration as end:
            return end.value
