"""A script inside another asyncio program, in a line or two.

- `check` finds the mistakes of a script;
- `run_once` runs its startup route with what that starts, and gives what it printed;
- `running` keeps it up for the length of an `async with`;
- `call_command` calls an MI command from Python.

All of it can be done with `Host` and `Registry` themselves; docs/embedding.md shows both.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import cast

from ..mi.command import Later
from ..mi.jsonrpc import Params
from ..mi.registry import Registry
from ..script.diagnostics import Diagnostic, Diagnostics
from .host import Host
from .loading import Source, check_source
from .runs import Budget

__all__ = ["call_command", "check", "run_once", "running"]

PATIENCE_SECONDS = 10.0
"""How long `run_once` waits for what the startup route has started."""


def check(source: Source | str | os.PathLike[str], *, run: bool = False) -> tuple[Diagnostic, ...]:
    """All mistakes of a script, errors and warnings, in the order of the source; empty when it is clean.

    With `run`, what OpenSIPS has and miscript does not have yet is an error too.
    """
    diagnostics = Diagnostics()
    check_source(_source(source), diagnostics, run=run)
    return tuple(diagnostics)


async def run_once(
    source: Source | str | os.PathLike[str],
    *,
    stubs: Iterable[str] = (),
    budget: Budget | None = None,
    patience: float = PATIENCE_SECONDS,
) -> str:
    """Run the startup route and what it launched, then stop; returns everything that `xlog` printed.

    `patience` bounds the seconds that launched work may take; what is left then is cancelled.  `budget` bounds each
    run.  Raises ScriptError when the script does not check, ConfigurationError when a module cannot start.
    """
    printed: list[str] = []
    async with running(source, printed.append, stubs=stubs, budget=budget, timers=False) as host:
        await host.tasks.idle(patience)
    return "".join(printed)


@asynccontextmanager
async def running(
    source: Source | str | os.PathLike[str],
    write: Callable[[str], None],
    *,
    stubs: Iterable[str] = (),
    budget: Budget | None = None,
    timers: bool = True,
) -> AsyncIterator[Host]:
    """A host that has run the startup route and is up inside the `async with`; it is stopped in order behind it.

    `write` gets what `xlog` prints.  Raises ScriptError and ConfigurationError as `Host.load` and `Host.start` do.
    """
    host = Host(_source(source), write, stubs=stubs, budget=budget)
    host.load()
    try:
        await host.start()
        if timers:
            host.start_timers()
        yield host
    finally:
        await host.stop()


async def call_command(registry: Registry, name: str, params: Params = None) -> object:
    """The result of an MI command, called by any of its names; a list gives `params` by position, a dict by name.

    Waits for a command that answers later.  Raises MIError: what the command refuses, and what a client over a door
    would be told (-32601 no such command, -32602 parameters that do not fit).
    """
    bound = registry.bind(name, params)
    result = bound.run()
    if bound.command.waits or isinstance(result, Later):
        return await cast(Awaitable[object], result)
    return result


def _source(source: Source | str | os.PathLike[str]) -> Source:
    return source if isinstance(source, Source) else Source(os.fspath(source))
