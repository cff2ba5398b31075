"""The host: loads a script with its modules, runs its routes, reloads and stops it."""

from __future__ import annotations

import asyncio
import functools
import logging
import os
import sys
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Final

from ..catalog import LoadedCatalog, facts
from ..errors import ConfigurationError, MiscriptError, ScriptError, reason
from ..exports import Module
from ..log_levels import python_level
from ..mi.command import Command
from ..mi.registry import Registry
from ..script.binding import CannotBind
from ..script.compiler import compile_program
from ..script.diagnostics import Diagnostics
from ..script.program import Program
from ..script.runtime import CompiledRoute, EventParameters, Parameters, Run, Script, Symbols
from ..services import Clock, Levels, Process, Services
from ..sip.message import Message
from ..transaction_service import transaction_service
from ..values import Value
from .clock import SystemClock
from .events import LAST_EVENT, EventTable, published_before_the_script
from .loading import Source, check_again, check_source, initialise, not_started, socket_not_opened
from .network import Network
from .runs import Budget, Runner, Turns
from .sip_element import SipElement
from .sip_network import SystemNetwork
from .statistics import StatisticsTable
from .tasks import TaskTable
from .workers import Workers

log = logging.getLogger("miscript.host")

STOP_SECONDS = 5.0
"""How long the modules may take to close what they opened."""


class Host:
    """One running script.

    Life: `Host(source)` → `load()` → `await start()` → … → `await stop()`.  `write` gets the text of the script
    (`xlog`); `stubs` are modules whose functions do nothing; `budget` bounds each run.  Tests give a `clock` and a
    `network` of their own.
    """

    def __init__(
        self,
        source: Source,
        write: Callable[[str], None],
        *,
        stubs: Iterable[str] = (),
        budget: Budget | None = None,
        clock: Clock | None = None,
        network: Network | None = None,
        command_line: Sequence[str] = (),
    ) -> None:
        self.source = source
        self.stubs = tuple(stubs)
        self.clock = clock or SystemClock()
        self.symbols = Symbols()
        self.tasks = TaskTable(self.clock)
        self.runner = Runner(self.tasks, Budget() if budget is None else budget)
        self.stopping = asyncio.Event()
        self._event_table = EventTable(self.clock, self.start_event)
        self.services = self._make_services(write, list(command_line) or sys.argv)
        self.sip = SipElement(self.services, self, self.tasks, network or SystemNetwork())
        self.services.provide("sip", self.sip)
        self.runner.suspended = self.sip.hooks.suspended
        self.program: Program | None = None
        self._script: Script | None = None
        self._requests = self._events = self._timers = Workers("", self.symbols, {})
        self._turns = Turns()
        self._ticking: set[str] = set()
        self._timer_tasks: dict[str, asyncio.Task[Any]] = {}

    def _make_services(self, write: Callable[[str], None], command_line: list[str]) -> Services:
        services = Services(
            clock=self.clock,
            statistics=StatisticsTable(),
            events=self._event_table,
            tasks=self.tasks,
            routes=self,
            mi=Registry(clock=self.clock.time),
            print=write,
            levels=Levels(),
            parameters={},
            stop=self.stopping.set,
            started=self.clock.time(),
            processes=_processes(()),
            command_line=command_line,
            working_folder=os.getcwd(),
            script_file=self.source.name,
        )
        services.provide("event transport:route", self._event_table.routes)
        return services

    # -- loading --------------------------------------------------------------------------------------------

    def load(self) -> tuple[Any, ...]:
        """Read, check and compile the script, and initialise its modules.

        Returns the warnings.  Raises ScriptError with all diagnostics when it cannot run.
        """
        diagnostics = Diagnostics()
        program = check_source(self.source, diagnostics, services=self.services, stubs=self.stubs, run=True)
        if diagnostics.failed:
            raise ScriptError(tuple(diagnostics))
        self.program = program
        self._apply_globals(program)
        catalog = program.catalog
        assert isinstance(catalog, LoadedCatalog)
        self._register_commands(catalog)
        self.services.processes[:] = _processes(module.name for module in catalog)
        routes = [route.name for route in program.routes if route.kind == "event_route" and route.name]
        for name in published_before_the_script(catalog.events(), routes):
            self.services.events.publish(name)
        initialise(program, diagnostics)
        preset = self.services.offers.get("preset:var", {})
        self._requests = Workers("requests", self.symbols, preset)
        self._events = Workers("events", self.symbols, preset)
        self._timers = Workers("timers", self.symbols, preset)
        self._install(program, diagnostics)
        self.services.events.publish(LAST_EVENT)
        return tuple(diagnostics)

    def _apply_globals(self, program: Program) -> None:
        services, levels = self.services, self.services.levels
        services.parameters.clear()
        services.parameters.update(program.parameters)
        self.sip.configure(
            [(str(g.value), g.options) for g in program.globals if g.name == "socket"],
            [(str(g.value), g.options) for g in program.globals if g.name == "alias"],
            program.parameters,
        )
        services.sockets[:] = [str(g.value) for g in program.globals if g.name in ("socket", "alias")]
        services.blacklists[:] = [(str(g.value), g.options) for g in program.globals if g.name == "dst_blacklist"]
        levels.log = levels.configured_log = _number(program.parameters.get("log_level"), 2)
        levels.xlog = levels.configured_xlog = _number(program.parameters.get("xlog_level"), 2)
        logging.getLogger("miscript").setLevel(python_level(levels.log))

    def _register_commands(self, catalog: LoadedCatalog) -> None:
        for module in catalog:
            known = list(facts()["modules"].get(module.name, {}).get("mi_commands", ()))
            # The server lists a module's commands in its own order, and has a help text for those of the core only.
            ours = len(known)
            for declared in sorted(
                module.commands, key=lambda one: known.index(one.name) if one.name in known else ours
            ):
                handler = declared.function.__get__(module)
                self.services.mi.register(
                    Command(
                        declared.module or module.name,
                        declared.name,
                        declared.aliases,
                        declared.recipes,
                        handler,
                        help="" if known else (declared.function.__doc__ or "").strip(),
                        read_only=declared.read_only,
                        named_only=declared.named_only,
                        read_first=declared.read_first,
                        prepare=getattr(module, declared.prepare) if declared.prepare else None,
                    ),
                    extra=declared.extra,
                )

    def _install(self, program: Program, diagnostics: Diagnostics) -> None:
        """Compile `program` and put it in force.  Raises ScriptError."""
        try:
            script = compile_program(program, self.symbols, budget=bool(self.runner.budget))
        except CannotBind as error:
            diagnostics.add("E410", str(error), error.span)
            raise ScriptError(tuple(diagnostics)) from error
        script.launch = self.runner.launch
        script.pause = self._turns.pause
        script.message_of = self._message_of
        self.runner.dummy_message = self.services.find("dummy message") or self.runner.dummy_message
        self._script = script
        self._event_table.set_routes(script.named("event_route"))

    def _message_of(self, run: Run, context: str) -> Message | None:
        """The request or the reply that a run is about, or the other one of its transaction."""
        message: Message | None = run.message
        if message is not None and message.is_request is (context == "request"):
            return message
        tm = transaction_service(self.services)
        return None if tm is None else tm.message_of(run, context)

    @property
    def script(self) -> Script:
        """The script in force."""
        assert self._script is not None, "load() comes first"
        return self._script

    @property
    def catalog(self) -> LoadedCatalog:
        assert self.program is not None and isinstance(self.program.catalog, LoadedCatalog)
        return self.program.catalog

    async def reload(self) -> None:
        """Read the script again; runs under way end on the one they began with.

        Raises ScriptError when the new one does not check; the old one stays in force.  Modules stay as they are.
        """
        diagnostics = Diagnostics()
        program = check_again(self.source, self.catalog, diagnostics)
        if diagnostics.failed:
            raise ScriptError(tuple(diagnostics))
        self._install(program, diagnostics)
        self.program = program
        self._start_timers()

    # -- life -----------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Open the sockets, run the startup route, then start what the modules and timers do by themselves.

        Modules read their tables first.  Raises MiscriptError, with its `diagnostic`, when one cannot or a socket
        cannot be opened.
        """
        for module in self.catalog:
            await self._begin(module, module.prepare())
        await self._open_sockets()
        startup = self.script.routes.get(("startup_route", ""))
        if startup is not None:
            with self.runner.starting():
                await self._without_message(startup, self._requests, "startup_route")
        for module in self.catalog:
            await self._begin(module, module.start())
        ready = self.services.find("core is ready")
        if ready is not None:
            ready()

    async def _without_message(
        self, route: CompiledRoute, workers: Workers, kind: str, parameters: Parameters = ()
    ) -> None:
        """Run a route that no message brings about, with the dummy message."""
        message = self.runner.dummy_message()
        await self.runner.execute(self.script, route, workers, kind, parameters=parameters, message=message)

    async def _begin(self, module: Module, step: Awaitable[None]) -> None:
        """Let `module` take a step of its start; what it raises learns its place in the script."""
        assert self.program is not None
        try:
            await step
        except MiscriptError as error:
            error.diagnostic = not_started(self.program, module.name, error)
            raise
        except OSError as error:
            refused = ConfigurationError(f"module '{module.name}': {reason(error)}")
            refused.diagnostic = not_started(self.program, module.name, refused)
            raise refused from error

    async def _open_sockets(self) -> None:
        assert self.program is not None
        try:
            await self.sip.open()
        except ConfigurationError as error:
            error.diagnostic = socket_not_opened(self.program, error)
            raise

    def start_timers(self) -> None:
        """Let the timer routes tick; the first tick comes after one interval."""
        self._start_timers()

    def _start_timers(self) -> None:
        wanted = self.script.timers
        for name, task in list(self._timer_tasks.items()):
            if name not in wanted:
                task.cancel()
                del self._timer_tasks[name]
        for name, interval in wanted.items():
            if name not in self._timer_tasks:
                self._timer_tasks[name] = self.tasks.every(
                    interval, functools.partial(self._tick, name), f"timer_route[{name}]"
                )

    def _tick(self, name: str) -> None:
        route = self.script.routes.get(("timer_route", name))
        if route is None:
            return
        if name in self._ticking:
            log.warning("timer_route[%s] is still running; this tick is left out", name)
            return
        self._ticking.add(name)
        task = self.tasks.work(self._without_message(route, self._timers, "timer_route"), f"timer_route[{name}]")
        task.add_done_callback(lambda done: self._ticking.discard(name))

    def start_event(self, name: str, attributes: Sequence[tuple[str, Value]]) -> None:
        """Run `event_route[name]` in a worker for events, after what is running now."""
        route = self.script.routes.get(("event_route", name))
        if route is not None:
            parameters = EventParameters.of(attributes)
            self.tasks.work(self._happen(route, parameters), f"event_route[{name}]")

    async def _happen(self, route: CompiledRoute, parameters: Parameters) -> None:
        await self.runner.after_startup()
        await self._without_message(route, self._events, "event_route", parameters)

    async def run_route(
        self,
        kind: str,
        name: str,
        *,
        message: Any = None,
        text: Value = None,
        parameters: Sequence[Value] = (),
        prepare: Callable[[Run], object] | None = None,
        within: Run | None = None,
    ) -> Run:
        """Run a route of the script in force and wait for its end.  Raises LookupError when there is none.

        `parameters` are its `$param`s; `text` is short for a single one.  `prepare` is called with the run before it
        starts.  `within`: the route is a part of this run, on its variables, as a branch route is.  The `rc` of the
        run is its return code.
        """
        script = self.script if within is None else within.script
        route = script.routes.get((kind, name))
        if route is None:
            raise LookupError(f"there is no {kind}[{name}]")
        return await self.runner.execute(
            script,
            route,
            self._requests if within is None else within.pool,
            kind,
            parameters=tuple(parameters) if text is None else (text,),
            message=message,
            prepare=prepare,
            space=None if within is None else within.space,
        )

    def reread(self) -> None:
        """Let the modules read their files again (SIGHUP)."""
        log.info("SIGHUP: files are read again")
        for module in self.catalog:
            try:
                module.reread()
            except Exception:
                log.exception("module '%s' failed while it read its files again", module.name)

    async def stop(self) -> None:
        """Stop in order: timers and work first, then the modules, the last loaded first."""
        await self.tasks.stop()
        for module in reversed(list(self.catalog)):
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await module.stop()
            except TimeoutError:
                log.error("module '%s' does not stop within %s seconds", module.name, STOP_SECONDS)
            except Exception:
                log.exception("module '%s' failed while it stopped", module.name)
        await self.sip.close()
        await self.tasks.stop()


def _number(value: int | str | None, default: int) -> int:
    return value if isinstance(value, int) else default


_DOORS: Final = {"mi_fifo": "MI FIFO", "mi_datagram": "MI Datagram", "httpd": "HTTPD"}
"""Modules that would be a process of their own, and what `ps` calls it."""


def _processes(modules: Iterable[str]) -> list[Process]:
    """The groups of workers, as processes of the host."""
    pid = os.getpid()
    doors = [_DOORS[name] for name in modules if name in _DOORS]
    kinds = ("attendant", *doors, "time_keeper", "timer", "SIP receiver", "Timer handler")
    return [Process(number, pid, kind) for number, kind in enumerate(kinds)]
