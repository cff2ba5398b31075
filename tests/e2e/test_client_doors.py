"""Our client and command line against our doors."""

import asyncio
import json
import os
import pty
import re
import sys
from pathlib import Path

import pytest

from door_host import DOORS, begun, doors, url
from miscript.client import MIError, connect

pytestmark = pytest.mark.e2e
MISCRIPT = str(Path(sys.executable).with_name("miscript"))


async def run(*words, terminal=False, **environment):
    """Status, standard output and standard error of `miscript WORDS`."""
    where = os.environ | {"COLUMNS": "100"} | environment
    where.pop("MISCRIPT_AT", None) if "MISCRIPT_AT" not in environment else None
    ours, theirs = pty.openpty() if terminal else (None, None)
    process = await asyncio.create_subprocess_exec(
        MISCRIPT,
        *words,
        env=where,
        stdout=theirs or asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    if terminal:
        os.close(theirs)
        out = b""
        try:
            while piece := os.read(ours, 65536):
                out += piece
        except OSError:  # the end of a terminal
            pass
        os.close(ours)
    return process.returncode, out.decode(), err.decode()


@pytest.mark.parametrize("door", DOORS)
async def test_the_client_speaks_with_every_door(door, tmp_path):
    async with doors(tmp_path, door) as host, connect(url(door, tmp_path, host)) as node:
        assert (await node.call("version"))["Server"].startswith("miscript")
        assert await node.call("echo", {"text": "ä€\0"}) == "ä€\0"
        with pytest.raises(MIError, match="Method not found"):
            await node.call("nosuch")
        first, second = await node.batch([("echo", ["x"]), ("nosuch", None)])
        assert (first, second.code) == ("x", -32601)
        await node.notify("echo", ["x"])


@pytest.mark.parametrize("door", DOORS)
async def test_a_slow_command_does_not_hold_up_the_others(door, tmp_path):
    async with doors(tmp_path, door) as host, connect(url(door, tmp_path, host), connections=60) as node:
        slow = [asyncio.ensure_future(node.call("slow", [str(n)])) for n in range(50)]
        await begun(host, 50)
        assert await node.call("echo", ["quick"]) == "quick"
        host.gate.set()
        assert await asyncio.gather(*slow) == [str(n) for n in range(50)]


@pytest.mark.parametrize("door", ["mi_fifo", "mi_http"])
async def test_answers_of_any_size_arrive_where_the_door_allows(door, tmp_path):
    text = "x" * 900_000
    async with doors(tmp_path, door) as host, connect(url(door, tmp_path, host)) as node:
        assert await node.call("echo", [text]) == text


async def test_the_command_line_prints_json_into_a_pipe_and_tables_on_a_terminal(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        at = url("mi_http", tmp_path, host)
        status, out, err = await run("mi", "--at", at, "uptime")
        assert (status, err) == (0, "")
        assert json.loads(out).keys() == {"Now", "Up since", "Up time"}
        status, out, err = await run("mi", "--at", at, "uptime", terminal=True)
        assert (status, err) == (0, "")
        assert re.search(r"Up time.* 0 \[sec\]|Up time.* \d+ \[sec\]", out)
        assert "{" not in out
        status, out, _ = await run("mi", "--json", "uptime", terminal=True, MISCRIPT_AT=at)
        assert (status, json.loads(out).keys()) == (0, {"Now", "Up since", "Up time"})


async def test_the_exit_status_tells_what_happened(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        at = url("mi_http", tmp_path, host)
        assert await run("mi", "--at", at, "nosuch") == (1, "", "error -32601: Method not found\n")
        assert (await run("mi", "--at", at, "log_level", "level=1", "2"))[0] == 2
        assert (await run("mi", "--at", "node", "uptime"))[0] == 2
        assert (await run("mi", "--at", at, "--timeout", "0.2", "slow"))[0] == 3
    status, out, err = await run("mi", "--at", at, "uptime")
    assert (status, out, err) == (3, "", f"miscript: {at}: Connection refused\n")


async def test_the_shell_completes_commands_and_parameter_names(tmp_path):
    async with doors(tmp_path, "unix") as host:
        at = url("unix", tmp_path, host)

        async def completed(words):
            place = str(len(words.split(" ")) - 1)
            asked = {"_MISCRIPT_COMPLETE": "bash_complete", "COMP_WORDS": words, "COMP_CWORD": place}
            return (await run(MISCRIPT_AT=at, **asked))[1].split()

        assert await completed("miscript mi core:up") == ["plain,core:uptime"]
        assert "plain,uptime" not in await completed("miscript mi nosuch")
        assert await completed("miscript mi log_level ") == ["plain,level=", "plain,pid="]
        assert await completed("miscript mi log_level level=1 ") == ["plain,pid="]


async def test_watch_shows_the_result_again_and_again(tmp_path):
    async with doors(tmp_path, "udp") as host:
        process = await asyncio.create_subprocess_exec(
            MISCRIPT,
            *("mi", "--at", url("udp", tmp_path, host), "--watch", "0.1", "echo", "hello"),
            stdout=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(5):
            assert [await process.stdout.readline() for _ in range(3)] == [b'"hello"\n'] * 3
        process.send_signal(2)
        assert await process.wait() == 0
