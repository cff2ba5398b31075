"""Runs the body of a startup route on a real host and gives what it printed."""

from __future__ import annotations

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.services import Clock


async def printed(modules: str, body: str, *, parameters: str = "", clock: Clock | None = None) -> list[str]:
    """The lines that `body` prints with the modules (names separated by blanks) loaded.

    `parameters` are `modparam` lines.  Raises ScriptError when the script does not check.
    """
    output: list[str] = []
    loads = "".join(f'loadmodule "{name}.so"\n' for name in modules.split())
    text = f'log_level=-3\nxlog_level=3\nmpath="/"\n{loads}{parameters}\nstartup_route {{\n{body}\n}}\n'
    host = Host(Source("test.cfg", text), output.append, clock=clock)
    host.load()
    try:
        await host.start()
    finally:
        await host.stop()
    return "".join(output).splitlines()
