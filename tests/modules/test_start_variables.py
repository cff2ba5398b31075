"""`$argv` and `$TS`: how the host was started."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.testing import ManualClock
from script_lines import printed


async def test_the_start_of_the_host_stays_while_the_time_goes_on():
    script = 'loadmodule "cfgutils.so"\nstartup_route { sleep(90); xlog("$TS $Ts"); }'
    clock = ManualClock()
    begin = int(clock.time())
    output: list[str] = []
    host = Host(Source("test.cfg", script), output.append, clock=clock)
    host.load()
    starting = asyncio.ensure_future(host.start())
    await clock.advance(90)
    await starting
    await host.stop()
    assert output == [f"{begin} {begin + 90}"]


async def test_options_that_nobody_gave_are_null():
    assert await printed("", 'if ($argv(city) == NULL) xlog("none\\n");') == ["none"]


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    (folder / "test.cfg").write_text('startup_route { xlog("$argv(city) $argv(CITY) $(argv(city){s.toupper})\\n"); }\n')
    return subprocess.run(
        [sys.executable, "-m", "miscript", "run", "test.cfg", "--once", *options],
        check=False, capture_output=True, text=True, timeout=30, cwd=folder, env={**os.environ, "NO_COLOR": "1"},
    )  # fmt: skip


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["-o", "city=a=b", "-o", "land=x"], "a=b <null> A=B\n"),
        (["-o", "city="], "<null> <null> <null>\n"),
    ],
)
def test_an_option_of_the_command_line_is_read_by_its_name(options, line, tmp_path):
    done = run(tmp_path, *options)
    assert (done.returncode, done.stdout, done.stderr) == (0, line, "")


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["-o", "city"], "found 'city', expected NAME=VALUE"),
        (["-o", "=berlin"], "found '=berlin', expected NAME=VALUE"),
        (["-o", "city=a", "-o", "city=b"], "'city' is given 2 times"),
    ],
)
def test_options_that_cannot_be_meant_are_wrong_usage(options, told, tmp_path):
    done = run(tmp_path, *options)
    assert (done.returncode, done.stdout) == (2, "")
    assert told in done.stderr
