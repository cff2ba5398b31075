"""Scripts with what OpenSIPS 4.1 printed for them, and how they are played.

`NAME.cfg` holds placeholders: `@MPATH@` the folder of modules, `@SOCKET@` a socket to listen on, `@DIR@` the script's
own folder.  `NAME.out` is what `xlog` printed.  Comments direct the recording: `# record: wait=S` keeps the server up
for S seconds, `# record: env N=V` sets a variable of its environment.

In process the time is moved by hand (`ManualClock`), so that a script that waits for four seconds takes none.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from miscript.catalog import facts, module_class
from miscript.errors import ScriptError
from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.testing import ManualClock, MemoryNetwork

HERE = Path(__file__).parent
MPATH = "/usr/lib/opensips/modules"
PROGRAM = Path(sys.executable).with_name("miscript")
WAITED_FOR = re.compile(r"module '(\w+)'")


@dataclass(frozen=True)
class RecordedScript:
    """One recording; `str` of it is its name."""

    cfg: Path

    def __str__(self) -> str:
        return self.cfg.stem

    @cached_property
    def expected(self) -> bytes:
        return self.cfg.with_suffix(".out").read_bytes()

    def text(self, port: int = 5060) -> str:
        """The script with its placeholders filled in; it listens on `port` when it is run."""
        text = self.cfg.read_text(errors="surrogateescape")
        for placeholder, value in (
            ("@MPATH@", MPATH),
            ("@SOCKET@", f"udp:127.0.0.1:{port}"),
            ("@DIR@", str(self.cfg.parent)),
        ):
            text = text.replace(placeholder, value)
        return text

    @cached_property
    def _directives(self) -> list[str]:
        return re.findall(r"#\s*record:\s*(.*)", self.cfg.read_text(errors="surrogateescape"))

    @property
    def wait(self) -> float | None:
        """Seconds that it stays up; None: until all is done."""
        found = [d.removeprefix("wait=") for d in self._directives if d.startswith("wait=")]
        return float(found[-1]) if found else None

    @property
    def environment(self) -> dict[str, str]:
        pairs = [d.removeprefix("env ").partition("=") for d in self._directives if d.startswith("env ")]
        return {"TZ": "UTC"} | {name: value for name, _, value in pairs}


def recorded(folder: str) -> list[RecordedScript]:
    """All recordings of a folder, by name."""
    return [RecordedScript(cfg) for cfg in sorted((HERE / folder).glob("*.cfg"))]


@dataclass(frozen=True)
class Played:
    """What came of a script: `missing` are the modules that it lacks (then it has not been run)."""

    output: bytes = b""
    missing: frozenset[str] = frozenset()
    broken: int = 0
    """Routes and tasks that ended with an exception."""
    left: tuple[str, ...] = ()


def play(script: RecordedScript) -> Played:
    """Run it in this process, on a clock that is moved by hand."""
    level = logging.getLogger("miscript").level
    try:
        with surroundings(script), asyncio.Runner(loop_factory=asyncio.SelectorEventLoop) as runner:
            return runner.run(_play(script))
    finally:
        logging.getLogger("miscript").setLevel(level)


async def _play(script: RecordedScript) -> Played:
    missing = modules_of_commands(script)
    if missing:
        return Played(missing=missing)
    printed: list[str] = []
    clock = ManualClock(time.time())
    host = Host(
        Source(str(script.cfg), script.text(unused_udp_port())), printed.append, clock=clock, network=MemoryNetwork()
    )
    try:
        host.load()
    except ScriptError as error:
        missing = missing_modules(error)
        if not missing:
            raise
        return Played(missing=missing)
    await clock.until(host.start())
    if script.wait is None:
        await clock.until(host.tasks.idle(10))
    else:
        host.start_timers()
        await tables_are_read(script, host)
        await clock.advance(script.wait)
    left = tuple(host.tasks.busy()) if script.wait is None else ()
    await clock.until(host.stop())
    broken = host.runner.broken + host.tasks.failures
    return Played("".join(printed).encode(errors="surrogateescape"), broken=broken, left=left)


async def tables_are_read(script: RecordedScript, host: Host) -> None:
    """Files are read in threads, which take their real time: what was launched may wait for them."""
    if any(name.startswith("db_") for name in loaded_modules(script)):
        for _ in range(500):
            if not host.tasks.busy():
                return
            await asyncio.sleep(0.01)


def unused_udp_port() -> int:
    """A port that nobody listens on."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def missing_modules(error: ScriptError) -> frozenset[str]:
    """The modules that a script was refused for; empty when it has a mistake."""
    errors = [found for found in error.diagnostics if found.severity == "error"]
    if any(found.code != "E309" for found in errors):
        return frozenset()
    return frozenset(name for found in errors for name in WAITED_FOR.findall(found.message))


def loaded_modules(script: RecordedScript) -> list[str]:
    return re.findall(r'loadmodule "(\w+)\.so"', script.text())


def modules_of_commands(script: RecordedScript) -> frozenset[str]:
    """The modules that it loads for their MI commands, and that are not there."""
    called = set(re.findall(r'\bmi\("([\w:]+)', script.text()))
    missing = [module for module in loaded_modules(script) if module_class(module) is None]
    return frozenset(module for module in missing if called & command_names(module))


def command_names(module: str) -> set[str]:
    """All names of the MI commands of a module of OpenSIPS."""
    commands = facts()["modules"].get(module, {}).get("mi_commands", {})
    return {name for short, command in commands.items() for name in (short, command["full"], *command["aliases"])}


@contextmanager
def surroundings(script: RecordedScript):
    """The environment and the working folder that it was recorded in."""
    folder, environment = os.getcwd(), dict(os.environ)
    os.environ.update(script.environment)
    time.tzset()
    os.chdir(script.cfg.parent)
    try:
        yield
    finally:
        os.chdir(folder)
        os.environ.clear()
        os.environ.update(environment)
        time.tzset()


def run_program(script: RecordedScript, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run it with the command line, in real time."""
    path = folder / script.cfg.name
    path.write_text(script.text(unused_udp_port()), errors="surrogateescape")
    mode = ["--once"] if script.wait is None else ["--for", str(script.wait)]
    return subprocess.run(
        [PROGRAM, "run", path, *mode, "--xlog", "-"],
        capture_output=True,
        env=os.environ | script.environment,
        cwd=script.cfg.parent,
        timeout=30,
        check=False,
    )
