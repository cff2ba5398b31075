"""examples/fleet: two edges that share a database and a Redis, and the script that operates them."""

import asyncio
import shutil
from contextlib import asynccontextmanager

import pytest
from click.testing import CliRunner

from miscript.cli.db import command as db_command
from real_peers import SOON, gateway, running
from redis_servers import RedisServer
from servers import free_port as free_tcp_port
from sipp_calls import ROOT, free_port

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed"),
]
EXAMPLE = ROOT / "examples" / "fleet"


class Fleet:
    """The files of the example with their ports moved, so that many tests can run beside one another."""

    def __init__(self, folder, redis, gateways):
        self.folder = folder / "fleet"
        self.redis = redis
        self.sip = {"edge1": free_port(), "edge2": free_port()}
        self.http = {"edge1": free_tcp_port(), "edge2": free_tcp_port()}
        moved = {
            "/tmp/miscript-fleet.db": f"{folder}/fleet.db",
            ":6379": f":{redis.port}",
            ":5071": f":{self.sip['edge1']}",
            ":5072": f":{self.sip['edge2']}",
            "8881": str(self.http["edge1"]),
            "8882": str(self.http["edge2"]),
            ":5081": f":{gateways[0].port}",
            ":5082": f":{gateways[1].port}",
            "hep_udp:127.0.0.1:6060": "hep_udp:127.0.0.1:0",
            "fleet, 5": "fleet, 1",
        }
        shutil.copytree(EXAMPLE, self.folder)
        for file in self.folder.rglob("*.*"):
            if file.is_file():
                text = file.read_text()
                for old, new in moved.items():
                    text = text.replace(old, new)
                file.write_text(text)
        self.url = f"sqlite://{folder}/fleet.db"

    def script(self, name):
        return running(self.folder / f"{name}.cfg")

    async def prepare(self):
        done = await asyncio.to_thread(CliRunner().invoke, db_command, ["create", self.url, "dispatcher"])
        assert done.exit_code == 0, done.output
        async with self.script("fill") as filled:
            return filled.output

    async def key(self, *command):
        return await asyncio.to_thread(self.redis.ask, *command)


@asynccontextmanager
async def fleet(folder):
    redis = await asyncio.to_thread(RedisServer)
    try:
        async with gateway() as first, gateway() as second:
            made = Fleet(folder, redis, (first, second))
            expected = f"gateways: sip:127.0.0.1:{first.port}, sip:127.0.0.1:{second.port}\n"
            assert await made.prepare() == expected
            yield made, first, second
    finally:
        await asyncio.to_thread(redis.end)


async def called(caller, edge, port, *, number, user="alice"):
    """The final status of a call to an edge."""
    before = len(caller.statuses())
    caller.send("INVITE", f"sip:bob@127.0.0.1:{port}", port, call_id=f"{edge}-{number}", from_tag="a", user=user)
    async with asyncio.timeout(SOON):
        while not [status for status in caller.statuses()[before:] if status >= 200]:  # noqa: ASYNC110  # sockets
            await asyncio.sleep(0.002)
    return caller.statuses()[-1]


async def test_edges_share_what_is_in_redis_and_in_the_table(tmp_path):
    async with (
        fleet(tmp_path) as (made, first, second),
        gateway() as caller,
        made.script("edge1") as one,
        made.script("edge2"),
    ):
        for number in range(4):
            for edge, port in made.sip.items():
                assert await called(caller, edge, port, number=number) == 200
        assert first.methods().count("INVITE") == second.methods().count("INVITE") == 4
        assert "call 1 of the fleet" in one.output
        assert "call 2 of the fleet" not in one.output  # that one went through the other edge
        assert "8" in (await made.key("GET", "calls")).split()

        await made.key("SET", "blocked_mallory", "1")
        for edge, port in made.sip.items():
            assert await called(caller, edge, port, number=9, user="mallory") == 403


async def test_the_operator_drains_a_gateway_everywhere_and_puts_it_back(tmp_path, monkeypatch):
    async with fleet(tmp_path) as (made, first, second), gateway() as caller:
        monkeypatch.setenv("XDG_CONFIG_HOME", str(made.folder))
        drained = f"sip:127.0.0.1:{first.port}"
        await made.key("SET", "drain", drained)
        async with made.script("edge1") as one, made.script("operator") as operator:
            await operator.until(lambda: f"edge1: {drained} is now 'i'\n" in operator.output)
            await operator.until(lambda: "edge2 is away (-1)" in operator.output)
            for number in range(3):
                assert await called(caller, "edge1", made.sip["edge1"], number=number) == 200
            assert first.methods() == []
            assert second.methods().count("INVITE") == 3

            async with made.script("edge2") as two:  # one that comes later is brought to the same
                await operator.until(lambda: f"edge2: {drained} is now 'i'\n" in operator.output)
                assert "Inactive" in str(await two.mi("ds_list"))
                await made.key("DEL", "drain")
                for edge in ("edge1", "edge2"):
                    await operator.until(lambda edge=edge: f"{edge}: {drained} is now 'a'\n" in operator.output)
                assert "Inactive" not in str(await one.mi("ds_list")) + str(await two.mi("ds_list"))


async def test_without_redis_the_operator_changes_nothing(tmp_path, monkeypatch):
    async with fleet(tmp_path) as (made, first, _):
        monkeypatch.setenv("XDG_CONFIG_HOME", str(made.folder))
        async with made.script("edge1") as one, made.script("operator") as operator:
            await one.mi("ds_set_state", "i", "1", f"sip:127.0.0.1:{first.port}")
            await asyncio.to_thread(made.redis.kill)
            before = len(operator.output)
            await operator.until(lambda: "Redis is away: nothing is changed\n" in operator.output[before:])
            assert "is now" not in operator.output[before:]
            assert "Inactive" in str(await one.mi("ds_list"))
