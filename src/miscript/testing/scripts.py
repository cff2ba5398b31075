"""Scripts inside a test: run to the end, or kept up while the test asks questions.

Everything here is synchronous and keeps an event loop of its own, so that a plain test function can use it.  A test
that is a coroutine uses `miscript.running` and `ManualClock` instead.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from ..host.embedding import call_command
from ..host.host import Host
from ..host.loading import Source
from ..host.runs import Budget
from ..script.diagnostics import Diagnostic
from ..script.runtime import Run
from ..sip import Message
from ..values import Value
from .clock import ManualClock
from .network import MemoryNetwork, on_wire

T = TypeVar("T")

PATIENCE_SECONDS = 10.0
"""Seconds, on the clock of the test, that the work of a startup route may take."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A script that has ended: what it printed, the warnings of its check, the names of the work that it left."""

    output: str
    warnings: tuple[Diagnostic, ...]
    left: tuple[str, ...]
    host: Host


@dataclass(frozen=True, slots=True)
class RouteCall:
    """One call of a route: its return code, what was printed meanwhile, its AVPs (the first added first)."""

    code: int
    output: str
    avps: Mapping[str, Sequence[Value]]
    run: Run


class RunningScript:
    """A script that has run its startup route and is up until `close` (or the end of a `with`).

    `script` is the text of a script, or the Path of a file.  `stubs` are modules whose functions do nothing;
    `budget` bounds each run.  Its `socket=` lines are places in `network`, where a test can send to and listen
    (`network.peer`).  Raises ScriptError when it does not check, ConfigurationError when a module cannot start.
    """

    def __init__(
        self,
        script: str | Path,
        *,
        clock: ManualClock | None = None,
        stubs: Iterable[str] = (),
        budget: Budget | None = None,
        timers: bool = True,
        network: MemoryNetwork | None = None,
    ) -> None:
        self.clock = clock or ManualClock()
        self.network = network or MemoryNetwork()
        self._printed: list[str] = []
        self._taken = 0
        self._closed = False
        self._log_level = logging.getLogger("miscript").level
        self._runner = asyncio.Runner(loop_factory=asyncio.SelectorEventLoop)
        source = Source(str(script)) if isinstance(script, Path) else Source("test.cfg", script)
        try:
            self.host = Host(
                source, self._printed.append, stubs=stubs, budget=budget, clock=self.clock, network=self.network
            )
            self.warnings = self._runner.run(self._load())
            self.wait(self._start(timers))
        except BaseException:
            self._end()
            raise

    async def _load(self) -> tuple[Diagnostic, ...]:
        return self.host.load()

    async def _start(self, timers: bool) -> None:
        try:
            await self.host.start()
        except BaseException:
            await self.host.stop()
            raise
        if timers:
            self.host.start_timers()

    # -- what it printed ------------------------------------------------------------------------------------

    @property
    def output(self) -> str:
        """All that `xlog` has printed."""
        return "".join(self._printed)

    def take(self) -> str:
        """What has been printed since the last `take`."""
        output = self.output
        new, self._taken = output[self._taken :], len(output)
        return new

    # -- what a test does -----------------------------------------------------------------------------------

    def route(
        self, name: str = "", *parameters: Value, kind: str = "route", message: Message | str | bytes | None = None
    ) -> RouteCall:
        """Call a route and wait for its end, with what `async()` makes of it.

        `parameters` are its `$param`s.  `message` is a SIP message, as text with any line ends or in bytes as they
        would come from the network.  Raises LookupError when there is no such route, SipSyntaxError for a message
        that is none.
        """
        before = len(self._printed)
        given = (
            message
            if message is None or isinstance(message, Message)
            else Message.parse(message if isinstance(message, bytes) else on_wire(message))
        )
        run = self.wait(self.host.run_route(kind, name, message=given, parameters=parameters))
        return RouteCall(run.rc, "".join(self._printed[before:]), run.avps, run)

    def raise_event(self, name: str, attributes: Mapping[str, Value] | Sequence[Value] = ()) -> int:
        """Raise an event, with attributes by name or by position; returns how many were told."""
        pairs = list(attributes.items()) if isinstance(attributes, Mapping) else [("", value) for value in attributes]

        async def told() -> int:
            return self.host.services.events.raise_event(name, pairs)

        count = self._runner.run(told())
        self.settle()
        return count

    def mi(self, command: str, /, *values: object, **named: object) -> object:
        """The result of an MI command, with parameters by position or by name.  Raises MIError."""
        params: list[object] | dict[str, object] | None = list(values) or named or None
        return self.wait(call_command(self.host.services.mi, command, params))

    def wait(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that does something with `host`; time passes as far as it needs."""
        return self._runner.run(self.clock.until(work))

    def advance(self, seconds: float) -> None:
        """Let time pass: timer routes tick, sleepers wake, deadlines come."""
        self._runner.run(self.clock.advance(seconds))

    def settle(self) -> None:
        """Let everything come to where it waits."""
        self._runner.run(self.clock.settle())

    def finish(self, seconds: float = PATIENCE_SECONDS) -> bool:
        """Let time pass until no launched work, no event and no timer route is under way, at most `seconds`."""
        return self.wait(self.host.tasks.idle(seconds))

    @property
    def busy(self) -> tuple[str, ...]:
        """The names of the work under way."""
        return tuple(self.host.tasks.busy())

    # -- its end --------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Stop the script in order; again is harmless."""
        if not self._closed:
            self._closed = True
            try:
                self.wait(self.host.stop())
            finally:
                self._end()

    def _end(self) -> None:
        self._runner.close()
        logging.getLogger("miscript").setLevel(self._log_level)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


def run_script(
    script: str | Path,
    *,
    clock: ManualClock | None = None,
    stubs: Iterable[str] = (),
    budget: Budget | None = None,
    seconds: float | None = None,
) -> Ran:
    """Run a script, given as text or as the Path of a file, and stop it.

    Like `miscript run --once`: the startup route runs, and what it started comes to its end.  With `seconds`, like
    `--for`: so much time passes on the clock, and timer routes tick.  Raises ScriptError and ConfigurationError.
    """
    with RunningScript(script, clock=clock, stubs=stubs, budget=budget, timers=seconds is not None) as running:
        if seconds is None:
            running.finish()
        else:
            running.advance(seconds)
        left = running.busy
    return Ran(running.output, running.warnings, left, running.host)
