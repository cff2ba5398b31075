"""`miscript run`: a script in the foreground."""

from __future__ import annotations

import asyncio
import gc
import os
import re
import sys
from collections import Counter
from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any, BinaryIO

import click

if TYPE_CHECKING:
    from ..host.host import Host
    from ..host.runs import Budget

DEFAULT_PATIENCE = 10.0
"""Seconds that `--once` waits for launched work when `--limit` gives none."""


_LIMIT = re.compile(r"([0-9]{1,9}(?:\.[0-9]{1,9})?) ?s?|([0-9]{1,18}) ?(steps|routes)")


class Limit(click.ParamType[tuple[str, float]]):
    """`2.5` or `2.5s`: seconds; `100000steps`: turns of loops and calls; `200routes`: calls within one another."""

    name = "LIMIT"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, float]:
        from ..host.runs import DEEPEST

        found = _LIMIT.fullmatch(str(value).strip())
        if found is None or not float(found[1] or found[2]):
            self.fail(f"'{value}' is no limit; write seconds like 2.5, or 100000steps, or 200routes", param, ctx)
        if found[3] == "routes" and int(found[2]) > DEEPEST:
            self.fail(f"'{value}' is too deep; {DEEPEST}routes is the most", param, ctx)
        return found[3] or "seconds", float(found[1] or found[2])


class NamedValue(click.ParamType[tuple[str, str]]):
    """`NAME=VALUE`; the value may be empty."""

    name = "NAME=VALUE"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, str]:
        name, equals, rest = str(value).partition("=")
        if not name or not equals:
            return self.fail(f"found '{value}', expected NAME=VALUE", param, ctx)
        return name, rest


@click.command("run")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option("--once", is_flag=True, help="Run the startup route and what it started, then stop.")
@click.option("--for", "seconds", type=click.FloatRange(min=0), metavar="SECONDS", help="Stay up that long, then stop.")
@click.option(
    "--xlog",
    "xlog",
    type=click.Path(dir_okay=False, allow_dash=True),
    default="-",
    metavar="FILE",
    help="Where the text of xlog goes; - is standard output.",
)
@click.option(
    "--limit",
    "limits",
    type=Limit(),
    multiple=True,
    help="End a run that takes more seconds (2.5) or steps (100000steps); nest calls of routes deeper (200routes).",
)
@click.option("--stub", "stubs", multiple=True, metavar="MODULE", help="Let this module's functions do nothing.")
@click.option("-p", "--preprocessor", metavar="COMMAND", help="Send the file through COMMAND before reading it.")
@click.option("--at", "node", metavar="NODE", help="Let mi() run the commands of NODE, a live OpenSIPS: name or URL.")
@click.option("-o", "options", type=NamedValue(), multiple=True, help="What the script reads as $argv(NAME).")
def command(
    file: str,
    once: bool,
    seconds: float | None,
    xlog: str,
    limits: tuple[tuple[str, float], ...],
    stubs: tuple[str, ...],
    preprocessor: str | None,
    node: str | None,
    options: tuple[tuple[str, str], ...],
) -> None:
    """Run the script FILE.

    What xlog prints goes bare to standard output, the host's log to standard error.  Without --once or --for the
    host stays up until SIGINT or SIGTERM.  The exit status is 1 when the script does not check or cannot start, and
    with --once also when a run broke or work was left behind.
    """
    from ..host.runs import Budget
    from .log_output import log_to_stderr

    if once and seconds is not None:
        raise click.UsageError("--once and --for exclude each other")
    for name, count in Counter(name for name, _ in options).items():
        if count > 1:
            raise click.BadParameter(f"'{name}' is given {count} times", param_hint="'-o'")
    if node is not None:
        _check_node(node)
    log_to_stderr()
    wanted = dict(limits)
    counted = {what: int(number) for what, number in wanted.items() if what != "seconds"}
    budget = Budget(**counted, seconds=wanted.get("seconds"))
    with _output(xlog) as output:
        status = _runner(_main(file, preprocessor, stubs, budget, once, seconds, output, node, dict(options)))
    sys.exit(status)


def _output(xlog: str) -> BinaryIO:
    if xlog == "-":
        return open(1, "wb", closefd=False)
    try:
        return open(xlog, "ab")
    except OSError as error:
        from ..errors import reason

        raise click.BadParameter(f"'{xlog}' cannot be written: {reason(error)}", param_hint="'--xlog'") from None


def _check_node(node: str) -> None:
    """Refuse a node that nobody knows before the script runs."""
    from ..client.address import parse_url
    from ..client.nodes import NodeError, find_node

    try:
        parse_url(find_node(node, dict(os.environ)).url)
    except (NodeError, ValueError) as error:
        raise click.BadParameter(str(error), param_hint="'--at'") from None


def _runner(main: Coroutine[Any, Any, int]) -> int:
    """Run the host in the fastest loop there is."""
    try:
        import uvloop

        factory = uvloop.new_event_loop
    except ImportError:  # no uvloop for this platform
        factory = None
    with asyncio.Runner(loop_factory=factory) as runner:
        return runner.run(main)


async def _main(
    file: str,
    preprocessor: str | None,
    stubs: tuple[str, ...],
    budget: Budget,
    once: bool,
    seconds: float | None,
    output: BinaryIO,
    node: str | None,
    options: dict[str, str],
) -> int:
    from ..errors import MiscriptError, ScriptError
    from ..host.host import Host
    from ..host.loading import Source
    from ..host.output import Output
    from ..script.render import render
    from .signals import Signals
    from .watchdog import Watchdog

    writer = Output(output)
    host = Host(Source(file, None, preprocessor), writer.write, stubs=stubs, budget=budget)
    if node is not None:
        host.services.provide("default node", node)
    host.services.provide("options", options)
    try:
        warnings = host.load()
    except ScriptError as error:
        click.echo(render(error.diagnostics, "full", color=sys.stderr.isatty()), err=True)
        return 1
    _tell_needless_stubs(host, stubs)
    if warnings:
        click.echo(render(warnings, "full", color=sys.stderr.isatty()), err=True)
    signals = Signals(host.stopping, host.reread)
    signals.install()
    watchdog = Watchdog()
    watchdog.start()
    try:
        return await _serve(host, budget, once, seconds)
    except (MiscriptError, OSError) as error:
        found = getattr(error, "diagnostic", None)
        told = f"miscript: {error}" if found is None else render([found], "full", color=sys.stderr.isatty())
        click.echo(told, err=True)
        return 1
    finally:
        watchdog.stop()
        signals.noticed()
        await host.stop()
        writer.flush()


def _tell_needless_stubs(host: Host, stubs: tuple[str, ...]) -> None:
    """A stub of a module that the script does not load may be a slip of the pen."""
    from ..script.suggest import near

    assert host.program is not None
    loaded = host.program.loaded
    for name in stubs:
        if name not in loaded:
            help = near(name, loaded)
            click.echo(
                f"miscript: --stub {name}: the script loads no such module{f'; {help}' if help else ''}", err=True
            )


async def _serve(host: Host, budget: Budget, once: bool, seconds: float | None) -> int:
    start = asyncio.ensure_future(host.start())
    stopping = asyncio.ensure_future(host.stopping.wait())
    gc.disable()  # a start may read millions of rows, and leaves no cycles worth looking for among them
    try:
        await asyncio.wait({start, stopping}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        gc.enable()
    if not start.done():
        start.cancel()
        return 0
    start.result()
    gc.freeze()  # what is there from the start need not be looked through again: that takes tens of milliseconds
    if once:
        patience = budget.seconds or DEFAULT_PATIENCE
        idle = asyncio.ensure_future(host.tasks.idle(patience))
        await asyncio.wait({idle, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if idle.done() and not idle.result():
            left = ", ".join(host.tasks.busy())
            click.echo(f"miscript: still under way after {patience:g} seconds: {left}", err=True)
            return 1
        return 1 if host.runner.broken else 0
    host.start_timers()
    await asyncio.wait({stopping}, timeout=seconds)
    return 0
