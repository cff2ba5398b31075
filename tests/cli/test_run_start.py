"""What `miscript run` tells of a script that checks, and then cannot start."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from miscript import release

MISCRIPT = Path(sys.executable).with_name("miscript")


@pytest.fixture
def taken() -> Iterator[int]:
    """A port, of UDP and TCP, where somebody else is already."""
    with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagrams:
        stream.bind(("127.0.0.1", 0))
        port: int = stream.getsockname()[1]
        datagrams.bind(("127.0.0.1", port))
        stream.listen()
        yield port


async def started(folder: Path, script: str, **environment: str) -> tuple[int | None, str, str]:
    """Status, output and what was told; a start that hangs fails the test."""
    (folder / "test.cfg").write_text(script)
    process = await asyncio.create_subprocess_exec(
        MISCRIPT, "run", "test.cfg", "--once", cwd=folder, env={**os.environ, "NO_COLOR": "1", **environment},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    async with asyncio.timeout(30):
        out, told = await process.communicate()
    return process.returncode, out.decode(), told.decode()


@pytest.mark.parametrize("transport", ["udp", "tcp"])
async def test_a_port_that_is_taken_is_told_at_its_socket(transport: str, taken: int, tmp_path: Path) -> None:
    line = f"socket={transport}:127.0.0.1:{taken}"
    assert await started(tmp_path, f"log_level=2\n{line}\nroute {{ exit; }}\n") == (
        1,
        "",
        f"error[E410]: socket '{line[7:]}' cannot be opened: Address already in use\n --> test.cfg:2:1\n  |\n"
        f"2 | {line}\n  | {'^' * len(line)}\n"
        f"  = help: another program listens there: `ss -ln{transport[0]}p 'sport = :{taken}'` tells which one\n\n"
        "1 error\n\n",
    )


async def test_the_second_of_two_equal_sockets_is_told(tmp_path: Path) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        line = f"socket=udp:127.0.0.1:{free.getsockname()[1]}\n"
    status, _, told = await started(tmp_path, f"{line}{line}route {{ exit; }}\n")
    assert (status, " --> test.cfg:2:1\n" in told) == (1, True)


async def test_a_database_that_never_answers_is_told_at_its_url_and_not_waited_for(taken: int, tmp_path: Path) -> None:
    url = f"postgres://opensips:secret@127.0.0.1:{taken}/opensips"
    status, _, told = await started(
        tmp_path,
        'loadmodule "db_postgres.so"\nmodparam("db_postgres", "timeout", 1)\nloadmodule "dialplan.so"\n'
        f'modparam("dialplan", "db_url", "{url}")\nroute {{ exit; }}\n',
    )
    assert (status, "Traceback" in told) == (1, False)
    assert "error[E410]: module 'dialplan'" in told and "has not answered within" in told
    assert " --> test.cfg:4:32\n" in told


async def test_a_folder_that_is_missing_is_told_with_the_command_that_makes_it(tmp_path: Path) -> None:
    script = 'loadmodule "mi_fifo.so"\nmodparam("mi_fifo", "fifo_name", "{}")\nmodparam("mi_fifo", "reply_dir", "{}")\n'
    status, _, told = await started(tmp_path, script.format("run here/fifo", "./"))
    assert (status, "  = help: make it:  mkdir -p 'run here'\n" in told) == (1, True)
    status, _, told = await started(tmp_path, script.format("fifo", "replies/"))
    assert (status, "  = help: make it:  mkdir -p replies/\n" in told) == (1, True)
    status, _, told = await started(tmp_path, script.format("fifo", "test.cfg"))
    assert (status, "'test.cfg' is no folder" in told, "help" in told) == (1, True, False)


@pytest.mark.parametrize("module", ["dispatcher", "dialplan", "drouting", "permissions"])
async def test_a_database_without_tables_is_told_with_the_remedy(module: str, tmp_path: Path) -> None:
    (tmp_path / "empty.sqlite").touch()
    status, _, told = await started(
        tmp_path,
        f'loadmodule "db_sqlite.so"\nloadmodule "tm.so"\nloadmodule "{module}.so"\n'
        f'modparam("{module}", "db_url", "sqlite:///{tmp_path}/empty.sqlite")\nroute {{ exit; }}\n',
    )
    assert (status, "Traceback" in told) == (1, False)
    assert told.startswith(f"error[E410]: module '{module}'") and "`miscript db create` makes the tables" in told
    assert f" --> test.cfg:4:{len(module) + 24}\n" in told


@pytest.mark.parametrize(
    ("module", "line", "told"),
    [
        ("mi_script", "", "miscript.mi_script: nothing is traced: trace_destination is 'homer', which is no hep_id"),
        (
            "mi_fifo",
            'modparam("mi_fifo", "fifo_name", "fifo")\nmodparam("mi_fifo", "reply_dir", "./")\n',
            "miscript.mi: mi_fifo: nothing is traced: trace_destination is 'homer', which is no hep_id",
        ),
    ],
)
async def test_a_trace_destination_that_is_no_hep_id_is_told(module: str, line: str, told: str, tmp_path: Path) -> None:
    script = f'loadmodule "{module}.so"\n{line}modparam("{module}", "trace_destination", "%s")\nroute {{ exit; }}\n'
    status, _, said = await started(tmp_path, script % "homer")
    assert (status, said.count("\n")) == (0, 1)
    assert f" WARNING {told}" in said
    assert (await started(tmp_path, script % ""))[::2] == (0, "")


def test_the_command_line_can_be_started_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "miscript", "check"], check=False, capture_output=True, text=True, timeout=30
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("Usage: miscript check ")


def test_the_version_is_told_also_where_nothing_is_installed(tmp_path: Path) -> None:
    program = (
        "import importlib.metadata as m, runpy, sys\n{}sys.argv = ['miscript', '--version']\n"
        "runpy.run_module('miscript', run_name='__main__')"
    )
    lost = "def none(name): raise m.PackageNotFoundError(name)\nm.version = none\n"
    said = [
        subprocess.run([sys.executable, "-c", program.format(how)], check=True, capture_output=True, text=True).stdout
        for how in ("", lost)
    ]
    assert said == [f"miscript, version {release.version()}\n", "miscript, version 0\n"]


async def test_a_module_that_cannot_be_used_is_told_once_and_not_for_those_that_need_it(tmp_path: Path) -> None:
    (tmp_path / "sqlalchemy.py").write_text("raise ModuleNotFoundError(name='sqlalchemy')\n")
    status, _, told = await started(
        tmp_path,
        'loadmodule "db_sqlite.so"\nloadmodule "dialplan.so"\n'
        'modparam("dialplan", "db_url", "sqlite:///x.sqlite")\nroute { exit; }\n',
        PYTHONPATH=os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")]),
    )
    assert (status, told.count("error[")) == (1, 1)
    assert "pip install 'miscript[sqlite]'" in told


async def test_a_parameter_that_has_to_be_set_is_told_with_the_line_that_sets_it(tmp_path: Path) -> None:
    status, _, told = await started(tmp_path, 'loadmodule "dispatcher.so"\nroute { exit; }\n')
    assert (status, told) == (
        1,
        "error[E410]: module 'dispatcher': db_url must be set, or the global db_default_url\n --> test.cfg:1:1\n  |\n"
        f'1 | loadmodule "dispatcher.so"\n  | {"^" * 26}\n'
        '  = help: set it with  modparam("dispatcher", "db_url", …)\n\n1 error\n\n',
    )
