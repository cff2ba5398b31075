"""The clients that operators have, on our doors: python-opensips, opensips-cli and curl."""

import asyncio
import json
import shutil
import sys
from pathlib import Path

import pytest

from door_host import DOORS, doors

pytestmark = pytest.mark.e2e
CLI = Path(sys.executable).with_name("opensips-cli")


def settings(door, folder, host):
    """How python-opensips and opensips-cli are told of a door: the kind, and what belongs to it."""
    match door:
        case "mi_fifo":
            replies = str(folder / "reply")
            fifo = str(folder / "fifo")
            return "fifo", {"fifo_file": fifo, "fifo_file_fallback": fifo, "fifo_reply_dir": replies}
        case "udp":
            ip, port = host.catalog.modules["mi_datagram"].address
            return "datagram", {"datagram_ip": ip, "datagram_port": str(port)}
        case "unix":
            return "datagram", {"datagram_unix_socket": str(folder / "mi.sock")}
    ip, port = host.services.find("httpd").address
    return "http", {"url": f"http://{ip}:{port}/mi"}


@pytest.mark.parametrize("door", DOORS)
async def test_python_opensips_runs_commands_by_new_and_old_names(door, tmp_path):
    mi = pytest.importorskip("opensips.mi")
    async with doors(tmp_path, door) as host:
        kind, about = settings(door, tmp_path, host)
        node = mi.OpenSIPSMI(kind, **about)

        def calls():
            assert node.valid()[0]
            assert node.execute("core:version")["Server"].startswith("miscript")
            assert node.execute("echo", {"text": "ä b"}) == "ä b"
            assert node.execute("test:echo", ["x"]) == "x"
            assert "rcv_requests" in str(node.execute("list_statistics"))
            with pytest.raises(mi.OpenSIPSMIException, match="404: Group not found"):
                node.execute("sr_get_status", {"group": "nosuch"})
            with pytest.raises(mi.OpenSIPSMIException, match="Method not found"):
                node.execute("nosuch")

        await asyncio.to_thread(calls)


async def opensips_cli(door, folder, host, *words):
    """Status and what `opensips-cli -x mi WORDS` prints."""
    if not CLI.exists():
        pytest.skip("there is no opensips-cli")
    kind, about = settings(door, folder, host)
    options = {"communication_type": kind, "history_file": str(folder / "history"), **about}
    process = await asyncio.create_subprocess_exec(
        CLI,
        *(part for name, value in options.items() for part in ("-o", f"{name}={value}")),
        *("-x", "mi", *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env={"HOME": str(folder), "PATH": "/usr/bin:/bin"},
    )
    out, _ = await process.communicate()
    return process.returncode, out.decode()


@pytest.mark.parametrize("door", DOORS)
async def test_opensips_cli_runs_commands_by_new_and_old_names(door, tmp_path):
    async with doors(tmp_path, door) as host:
        status, out = await opensips_cli(door, tmp_path, host, "core:uptime")
        assert (status, json.loads(out).keys()) == (0, {"Now", "Up since", "Up time"})
        status, out = await opensips_cli(door, tmp_path, host, "get_statistics", "core:")
        assert (status, "core:rcv_requests" in json.loads(out)) == (0, True)
        status, out = await opensips_cli(door, tmp_path, host, "cache_fetch", "system=nosuch", "attr=x")
        assert status != 0
        assert "Cache fetch command failed" in out


async def test_curl_gets_the_answer_of_a_command(tmp_path):
    curl = shutil.which("curl")
    if curl is None:
        pytest.skip("there is no curl")
    async with doors(tmp_path, "mi_http") as host:
        url = settings("mi_http", tmp_path, host)[1]["url"]
        body = '{"jsonrpc":"2.0","id":"10","method":"test:echo","params":["x"]}'
        process = await asyncio.create_subprocess_exec(
            *(curl, "-sS", "-X", "POST", url, "-H", "Content-Type: application/json", "-d", body),
            stdout=asyncio.subprocess.PIPE,
        )
        out, _ = await process.communicate()
    assert (process.returncode, out) == (0, b'{"jsonrpc":"2.0","result":"x","id":"10"}')
