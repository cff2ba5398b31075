"""Scripts that ask databases, run on a real host."""

from __future__ import annotations

from miscript.host.host import Host
from miscript.host.loading import Source


async def printed(modules: str, parameters: str, body: str, rest: str = "") -> list[str]:
    """The lines that the startup route `body` prints; `parameters` are the lines before it, `rest` other routes."""
    output: list[str] = []
    loads = "".join(f'loadmodule "{name}.so"\n' for name in modules.split())
    text = f'log_level=-3\nxlog_level=3\nmpath="/"\n{loads}{parameters}\nstartup_route {{\n{body}\n}}\n{rest}\n'
    host = Host(Source("test.cfg", text), output.append)
    host.load()
    try:
        await host.start()
        await host.tasks.idle(10)
    finally:
        await host.stop()
    return "".join(output).splitlines()
