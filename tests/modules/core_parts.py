"""A core on real parts (registry, statistics, events) with a clock that is moved by hand."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from miscript.host.events import EventTable
from miscript.host.statistics import StatisticsTable
from miscript.mi.command import Command
from miscript.mi.jsonrpc import parse
from miscript.mi.origin import Backend, Origin
from miscript.mi.registry import Registry
from miscript.modules.core import Core
from miscript.script.runtime import Run, Script, Symbols
from miscript.services import Levels, Process, Services
from miscript.values import Value

PID = 4242


class HandClock:
    """Time stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class Routes:
    """Notes what it is asked to do; `failure` is raised by the next reload."""

    def __init__(self) -> None:
        self.script = Script("test", Symbols())
        self.started: list[tuple[str, Sequence[tuple[str, Value]]]] = []
        self.reloads = 0
        self.failure: Exception | None = None

    async def run_route(self, kind: str, name: str, *, message: Any = None, text: Value = None) -> Run:
        raise LookupError(name)

    def start_event(self, name: str, attributes: Sequence[tuple[str, Value]]) -> None:
        self.started.append((name, list(attributes)))

    async def reload(self) -> None:
        if self.failure is not None:
            raise self.failure
        self.reloads += 1


class Tasks:
    """No work beside the routes."""

    def spawn(self, work: Any, name: str) -> object:
        raise NotImplementedError

    def every(self, seconds: float, work: Any, name: str) -> object:
        raise NotImplementedError


@dataclass
class CoreHost:
    """The core with its services, and a client of its Management Interface."""

    clock: HandClock = field(default_factory=HandClock)
    routes: Routes = field(default_factory=Routes)
    stopped: list[bool] = field(default_factory=list)
    parameters: dict[str, int | str] = field(default_factory=dict)
    blacklists: list[tuple[str, tuple[tuple[str, str | int | None], ...]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.events = EventTable(self.clock, self.routes.start_event)
        self.statistics = StatisticsTable()
        self.registry = Registry(clock=self.clock.time)
        self.services = Services(
            clock=self.clock,
            statistics=self.statistics,
            events=self.events,
            tasks=Tasks(),
            routes=self.routes,
            mi=self.registry,
            print=lambda text: None,
            levels=Levels(),
            parameters=self.parameters,
            stop=lambda: self.stopped.append(True),
            started=self.clock.time(),
            processes=[Process(0, PID, "attendant"), Process(1, PID, "timer")],
            command_line=["miscript", "run", "a b.cfg"],
            working_folder="/somewhere",
            blacklists=self.blacklists,
        )
        self.services.provide("event transport:route", self.events.routes)
        self.core = Core(self.services)
        for name in self.core.events:
            self.events.publish(name)
        for declared in self.core.commands:
            self.registry.register(
                Command(
                    declared.module or "core",
                    declared.name,
                    declared.aliases,
                    declared.recipes,
                    declared.function.__get__(self.core),
                    help=declared.function.__doc__ or "",
                    read_only=declared.read_only,
                ),
                extra=declared.extra,
            )
        self.core.init()

    async def ask(self, method: str, params: object = None) -> Any:
        """The result of a command, or its error as (code, message) or (code, message, data)."""
        request: dict[str, object] = {"jsonrpc": "2.0", "method": method, "id": 1}
        if params is not None:
            request["params"] = params
        answer = json.loads(await self.registry.answer(parse(json.dumps(request).encode()), ORIGIN))
        return answer["result"] if "result" in answer else tuple(answer["error"].values())

    def mi(self, method: str, params: object = None) -> Any:
        """`ask` from a test that is no coroutine."""
        return asyncio.run(self.ask(method, params))


ORIGIN = Origin("test", Backend.HTTP)


def a_run() -> Run:
    """A run of an empty script."""
    symbols = Symbols()
    return Run(Script("test", symbols), symbols.space(), "startup_route")
