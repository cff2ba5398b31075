"""Running routes: from the first statement to the end of what `async()` left for later."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from ..script.runtime import (
    MAX_ROUTE_DEPTH,
    AssertionStop,
    BudgetExceeded,
    CompiledRoute,
    Launched,
    Parameters,
    Pending,
    Run,
    Script,
    Stop,
    VariableSpace,
    place_in_script,
)
from ..values import Value
from .tasks import TaskTable
from .workers import Workers

log = logging.getLogger("miscript.script")

PATIENCE_SECONDS = 0.002
"""A route that computes longer than this lets the others have a turn."""


DEEPEST = 300
"""Routes within one another, at most: each takes a part of the stack."""


class Turns:
    """`pause` for long loops: gives the event loop away when the last time is long enough ago."""

    def __init__(self) -> None:
        self._last = 0.0

    async def pause(self) -> None:
        now = time.monotonic()
        if now - self._last > PATIENCE_SECONDS:
            await asyncio.sleep(0)
            self._last = time.monotonic()


class Budget:
    """What one run may take: `steps` (turns of loops and route calls) and `seconds`, None is no limit; `routes` that
    are called within one another, the first one counted."""

    def __init__(self, steps: int | None = None, seconds: float | None = None, routes: int = MAX_ROUTE_DEPTH) -> None:
        if not 0 < routes <= DEEPEST:
            raise ValueError(f"{routes} routes within one another; expected 1 to {DEEPEST}")
        self.steps = steps
        self.seconds = seconds
        self.routes = routes
        told = [] if steps is None else [f"{steps} steps"]
        self._text = " or ".join(told if seconds is None else [*told, f"{seconds} seconds"])

    def __bool__(self) -> bool:
        return self.steps is not None or self.seconds is not None

    def apply(self, run: Run) -> None:
        run.steps = self.steps
        run.deadline = None if self.seconds is None else time.monotonic() + self.seconds
        run.budget = self._text
        run.max_depth = self.routes


def _no_message() -> None:
    return None


class Runner:
    """Executes routes of one host; `dummy_message` makes the message of those that no message brings about."""

    def __init__(self, tasks: TaskTable, budget: Budget) -> None:
        self.tasks = tasks
        self.budget = budget
        self.broken = 0
        self.dummy_message: Callable[[], Any] = _no_message
        self._startup: asyncio.Event | None = None
        self.suspended: list[Callable[[Run], bool]] = []

    async def execute(
        self,
        script: Script,
        route: CompiledRoute,
        workers: Workers,
        kind: str,
        *,
        parameters: Parameters = (),
        message: Any = None,
        prepare: Callable[[Run], object] | None = None,
        space: VariableSpace | None = None,
    ) -> Run:
        """Run `route` to its end, with everything that `async()` makes of it.

        `prepare` is called first, with the new run; a number that it returns is `$rc` when the route starts.  `space`
        is that of a run of which this one is a part; without it, one of `workers` is taken.
        """
        within = space is not None
        if space is None:
            space = workers.take()
        run = Run(script, space, kind, message)
        run.pool = workers
        self.budget.apply(run)
        try:
            if prepare is not None:
                code = prepare(run)
                run.rc = code if isinstance(code, int) else run.rc
            await self._until_end(run, route, parameters)
        finally:
            for release in run.data.pop("at_end", ()):
                release()
            if not within:
                workers.give_back(space)
        return run

    @contextmanager
    def starting(self) -> Iterator[None]:
        """While the startup route runs, what it raises and launches waits."""
        self._startup = asyncio.Event()
        try:
            yield
        finally:
            self._startup.set()
            self._startup = None

    async def after_startup(self) -> None:
        """Wait until the startup route has ended; at once when it is not running."""
        if self._startup is not None:
            await self._startup.wait()

    async def _until_end(self, run: Run, route: CompiledRoute, parameters: Parameters) -> None:
        while True:
            await self._once(run, route, parameters)
            continuation = run.continuation
            if continuation is None:
                return
            run.continuation = None
            if not all(may_wait(run) for may_wait in self.suspended):
                _discard(continuation.pending)
                return
            parameters = () if run.kind == "route" else run.parameters  # as the server, which waits in place there
            run.frames.clear()
            finish = await self._awaited(continuation.pending, continuation.timeout)
            run.rc = self._finished(run, finish)
            route = continuation.resume or _nothing

    async def _once(self, run: Run, route: CompiledRoute, parameters: Parameters) -> None:
        try:
            run.rc = await route(run, parameters)
        except AssertionStop:
            await self._error_route(run)
        except BudgetExceeded as stop:
            self.broken += 1
            place = place_in_script(reversed([*traceback.walk_tb(stop.__traceback__)]))
            log.error("stopped in %s%s: it took more than %s", run.route, place, stop)
        except Stop:
            pass
        except Exception:
            self.broken += 1
            log.exception("%s broke and was ended", run.route if run.frames else run.kind)

    async def _error_route(self, run: Run) -> None:
        route = run.script.routes.get(("error_route", ""))
        if route is None or run.kind == "error_route":
            return
        run.kind = "error_route"
        await self._once(run, route, ())

    async def _awaited(self, pending: Pending, seconds: float | None) -> Callable[[Run], int]:
        """Wait for an operation; what comes back writes its outcome to the run that resumes."""
        try:
            async with self.tasks.clock.timeout(seconds or None):
                try:
                    result = await pending.operation
                except Exception:
                    log.exception("an asynchronous function failed")
                    return lambda run: -1
        except TimeoutError:
            return pending.timed_out
        return lambda run: pending.finish(run, result)

    def _finished(self, run: Run, finish: Callable[[Run], int]) -> int:
        try:
            return finish(run)
        except Exception:
            self.broken += 1
            log.exception("an asynchronous function broke while it was finished")
            return -1

    def launch(self, run: Run, job: Launched) -> None:
        """Start what `launch()` asks for; its resume route is a run of its own in the pool of this one."""
        script, workers = run.script, run.pool
        self.tasks.work(self._launched(script, workers, job), "a launched job")

    async def _launched(self, script: Script, workers: Workers, job: Launched) -> None:
        finish = await self._awaited(job.pending, None)
        await self.after_startup()
        parameters: tuple[Value, ...] = () if job.text is None else (job.text,)
        await self.execute(
            script,
            job.resume or _nothing,
            workers,
            "route",
            parameters=parameters,
            message=self.dummy_message(),
            prepare=lambda run: self._finished(run, finish),
        )


async def _nothing(run: Run, parameters: Parameters) -> int:
    """The resume route of a `launch()` that has none."""
    return 1


def _discard(pending: Pending) -> None:
    """An operation that nobody will wait for."""
    close = getattr(pending.operation, "close", None) or getattr(pending.operation, "cancel", None)
    if close is not None:
        close()
