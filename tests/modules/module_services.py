"""Services for a module alone: a clock that tests move, real tables of the host, nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, cast

from miscript.host.statistics import StatisticsTable
from miscript.mi.registry import Registry
from miscript.script.access import VarAccess
from miscript.script.runtime import RouteInfo, Run, Script, Symbols
from miscript.services import Clock, Events, Levels, Routes, Services, Tasks

START = 1_600_000_000.25


class MovedClock:
    """Time stands still until a test moves it; who sleeps moves it."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return START + self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


class Spawned:
    """Runs work on the loop of the test."""

    def __init__(self) -> None:
        self.tasks: list[asyncio.Task[Any]] = []

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> object:
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]

    def every(self, seconds: float, work: Callable[[], Awaitable[None] | None], name: str) -> object:
        raise AssertionError("no module here asks for this")


def module_services(clock: Clock | None = None) -> Services:
    return Services(
        clock=clock or MovedClock(),
        statistics=StatisticsTable(),
        events=cast(Events, None),
        tasks=cast(Tasks, Spawned()),
        routes=cast(Routes, None),
        mi=Registry(),
        print=lambda text: None,
        levels=Levels(),
        parameters={},
        stop=lambda: None,
    )


def new_run(message: object = None) -> Run:
    """A run of a script without routes."""
    symbols = Symbols()
    run = Run(Script("test.cfg", symbols), symbols.space(), "route", message)
    run.frames.append((RouteInfo("route", "test"), ()))
    return run


def var(number: int = 0) -> VarAccess:
    """`$var` number so-and-so."""
    return VarAccess(number)


def end(run: Run) -> None:
    """What the host does when a run ends."""
    for release in run.data.pop("at_end", ()):
        release()
