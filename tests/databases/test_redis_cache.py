"""The cache in Redis, with real servers: what it answers, what happens when they are killed, and a cluster."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections.abc import Iterator

import pytest

from miscript.cachedb import CacheError
from miscript.errors import ConfigurationError
from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.modules.cachedb_redis import CachedbRedis
from miscript.modules.cachedb_redis.engine import RedisEngine
from miscript.modules.cachedb_redis.topology import slot_of
from redis_servers import RedisCluster, RedisServer
from servers import PASSWORD, free_port

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def shared() -> Iterator[RedisServer]:
    """A server that no test kills."""
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed")
    server = RedisServer()
    yield server
    server.end()


@pytest.fixture(scope="module")
def cluster() -> Iterator[RedisCluster]:
    if shutil.which("redis-server") is None:
        pytest.skip("Redis is not installed")
    servers = RedisCluster()
    yield servers
    servers.end()


@pytest.fixture
def own(shared: RedisServer) -> Iterator[RedisServer]:
    """A server for one test; `shared` tells whether there is one at all."""
    server = RedisServer()
    yield server
    server.end()


class Running:
    """A host with cachedb_redis; it prints into `output`."""

    def __init__(self, *urls: str, body: str = "$var(unused) = 1;", **parameters: int) -> None:
        self.output: list[str] = []
        lines = "".join(f'modparam("cachedb_redis", "cachedb_url", "{url}")\n' for url in urls)
        lines += "".join(f'modparam("cachedb_redis", "{name}", {value})\n' for name, value in parameters.items())
        text = f'log_level=-3\nloadmodule "cachedb_redis.so"\nloadmodule "mi_script.so"\n{lines}'
        self.host = Host(Source("test.cfg", f"{text}startup_route {{ {body} }}\n"), self.output.append)

    async def __aenter__(self) -> Running:
        self.host.load()
        await self.host.start()
        return self

    async def __aexit__(self, *details: object) -> None:
        await self.host.stop()

    @property
    def module(self) -> CachedbRedis:
        module = self.host.catalog.modules["cachedb_redis"]
        assert isinstance(module, CachedbRedis)
        return module

    def engine(self, group: str = "") -> RedisEngine:
        return self.module.engines[group]

    @property
    def lines(self) -> list[str]:
        return "".join(self.output).splitlines()


FUNCTIONS = r"""
cache_store("redis:g", "k", "v x"); xlog("$rc\n");
cache_fetch("redis:g", "k", $var(o)); xlog("$rc $var(o)\n");
cache_fetch("redis", "k", $var(o)); xlog("$rc\n");
cache_store("redis:g", "kt", "v", 30); cache_raw_query("redis:g", "TTL kt", "$avp(t)"); xlog("$rc $avp(t)\n");
cache_remove("redis:g", "k"); xlog("$rc\n"); cache_remove("redis:g", "k"); xlog("$rc\n");
cache_fetch("redis:g", "k", $var(o)); xlog("$rc\n");
cache_add("redis:g", "c", 5, 0, $var(n)); xlog("$rc $var(n)\n");
cache_add("redis:g", "c", 5, 100, $var(n));
cache_raw_query("redis:g", "TTL c", "$avp(t)");
xlog("$rc $var(n) $avp(t)\n");
cache_sub("redis:g", "c", 3, 50, $var(n));
cache_raw_query("redis:g", "TTL c", "$avp(t)");
xlog("$rc $var(n) $avp(t)\n");
cache_counter_fetch("redis:g", "c", $var(n)); xlog("$rc $var(n)\n");
cache_counter_fetch("redis:g", "none", $var(n)); xlog("$rc\n");
cache_store("redis:g", "text", "abc"); cache_counter_fetch("redis:g", "text", $var(n)); xlog("$rc\n");
cache_add("redis:g", "text", 5, 0, $var(n)); xlog("$rc\n");
cache_raw_query("redis:g", "RPUSH list 1 2 3"); cache_fetch("redis:g", "list", $var(n)); xlog("$rc\n");
"""


async def test_functions_return_what_the_server_returns(shared: RedisServer):
    shared.ask("FLUSHALL")
    async with Running(shared.url("g"), shared.url(database=2), body=FUNCTIONS) as running:
        assert running.lines == [
            "1", "1 v x", "-2", "1 30", "1", "1", "-2", "1 5", "1 10 100", "1 7 50", "1 7", "-2", "-3", "-1", "-1"
        ]  # fmt: skip


RAW = r"""
cache_raw_query("redis", "RPUSH l 1 2 3", "$avp(n)"); xlog("$rc $avp(n)\n");
cache_raw_query("redis", "LRANGE l 0 -1", "$avp(l);$avp(m)");
xlog("$rc $(avp(l)[0]) $(avp(l)[1]) $(avp(l)[2]) $avp(m)\n");
cache_raw_query("redis", "GET none", "$avp(x)"); xlog("$rc $avp(x)\n");
cache_raw_query("redis", "BAD cmd", "$avp(x)"); xlog("$rc\n");
cache_raw_query("redis", "SET q 'a b'", "$avp(x)"); xlog("$rc $avp(x)\n");
cache_raw_query("redis", "MGET q none q", "$avp(g)"); xlog("$rc $(avp(g)[0])|$(avp(g)[1])|$(avp(g)[2])\n");
cache_raw_query("redis", "KEYS zz*", "$avp(k)"); xlog("$rc $avp(k)\n");
cache_raw_query("redis", "", "$avp(k)"); xlog("$rc\n");
cache_raw_query("redis:none", "KEYS *", "$avp(k)"); xlog("$rc\n");
$var(v) = "x' y\r\nDEL q";
cache_raw_query("redis", "SET w $var(v)");
cache_raw_query("redis", "STRLEN w", "$avp(s)");
xlog("$rc $avp(s)\n");
$var(c) = "GET q"; cache_raw_query("redis", "$var(c)", "$avp(y)"); xlog("$rc $avp(y)\n");
cache_raw_query("redis", "HSET h f v g w");
cache_raw_query("redis", "HGETALL h", "$avp(h)");
xlog("$rc $(avp(h)[0]) $(avp(h)[3])\n");
"""


async def test_raw_queries_fill_avps_and_values_are_data(shared: RedisServer):
    shared.ask("FLUSHALL")
    async with Running(shared.url(), body=RAW) as running:
        assert running.lines == [
            "1 3", "1 1 2 3 <null>", "-2 <null>", "-1", "1 <null>", "1 a b||a b", "1 <null>", "-1", "-1", "1 11",
            "1 a b", "1 f w",
        ]  # fmt: skip


async def test_passwords_and_sockets_of_this_machine(shared: RedisServer):
    server = RedisServer(password=PASSWORD)
    try:
        unix = f"redis:u://:{PASSWORD}@localhost/?socket={server.folder}/redis.sock"
        async with Running(server.url("p"), unix) as running:
            await running.engine("p").store("k", "v", 0)
            assert await running.engine("u").fetch("k") == "v"
            info = running.module.mi_cluster_info("u")[0]
            assert info["url"] == unix.replace(PASSWORD, "***") and PASSWORD not in str(info)
            assert info["nodes"][0] | {"last_activity": 0} == {  # type: ignore[index]  # JSON
                "transport": "unix", "socket": f"{server.folder}/redis.sock", "status": "connected", "queries": 1,
                "errors": 0, "moved": 0, "last_activity": 0,
            }  # fmt: skip
        wrong = server.url("w").replace(PASSWORD, "wrong")
        with pytest.raises(ConfigurationError, match=r"cachedb_redis.*(invalid|WRONGPASS)"):
            async with Running(wrong, shutdown_on_error=1):
                pass
    finally:
        server.end()


async def test_a_server_that_is_away_stops_the_start_only_when_the_script_wants_that(shared: RedisServer):
    url = f"redis://127.0.0.1:{free_port()}/"
    with pytest.raises(ConfigurationError, match="cannot be reached"):
        async with Running(url, shutdown_on_error=1):
            pass
    for parameters in ({"shutdown_on_error": 1, "lazy_connect": 1}, {}):
        async with Running(url, body='cache_store("redis", "k", "v"); xlog("$rc");', **parameters) as running:
            assert running.lines == ["-1"]


async def test_a_kill_in_the_middle_of_a_call_fails_it_and_the_next_server_is_used_at_once(own: RedisServer):
    async with Running(own.url(), query_timeout=3000) as running:
        engine = running.engine()
        own.ask("DEL", "q")
        waiting = asyncio.ensure_future(engine.raw_query([_written("BLPOP q 0")]))
        await asyncio.to_thread(own.wait_for_command, "blpop")
        began = time.monotonic()
        own.kill()
        with pytest.raises(CacheError):
            await waiting
        with pytest.raises(CacheError):
            await engine.add("c", 1, 0)
        assert time.monotonic() - began < 2
        own.start()
        assert await engine.add("c", 1, 0) == 1 and await engine.fetch("c") == "1"
        assert running.module.redis_queries_failed.value == 2


async def test_a_server_that_says_nothing_fails_the_call_within_its_deadline(own: RedisServer):
    async with Running(own.url(), query_timeout=300, connect_timeout=300) as running:
        engine = running.engine()
        await engine.store("k", "v", 0)
        own.pause()
        try:
            began = time.monotonic()
            results = await asyncio.gather(*(engine.fetch("k") for _ in range(50)), return_exceptions=True)
            assert all(isinstance(result, CacheError) for result in results)
            assert time.monotonic() - began < 2
        finally:
            own.resume()
        assert await engine.fetch("k") == "v"


async def test_several_hosts_are_tried_in_turn(shared: RedisServer, own: RedisServer):
    url = f"redis://127.0.0.1:{own.port},127.0.0.1:{shared.port}/"
    shared.ask("FLUSHALL")
    async with Running(url) as running:
        engine = running.engine()
        await engine.store("k", "own", 0)
        own.kill()
        assert await engine.fetch("k") is None  # the other one answers
        assert await engine.add("n", 1, 0) == 1
        await engine.store("k", "shared", 0)
        assert "shared" in shared.ask("GET", "k")


async def test_many_calls_at_a_time_share_few_connections(shared: RedisServer):
    async with Running(shared.url()) as running:
        engine = running.engine()
        await engine.remove("n")
        sums = await asyncio.gather(*(engine.add("n", 1, 60) for _ in range(300)))
        assert sorted(sums) == list(range(1, 301))
        clients = shared.ask("INFO", "clients")
        connected = int(clients.partition("connected_clients:")[2].split()[0])
        assert connected <= 5


async def test_a_query_that_waits_does_not_make_others_wait(shared: RedisServer):
    async with Running(shared.url()) as running:
        engine = running.engine()
        await engine.remove("queue")
        waiting = asyncio.ensure_future(engine.raw_query([_written("BLPOP queue 0")]))
        await asyncio.to_thread(shared.wait_for_command, "blpop")
        await engine.raw_query([_written("SELECT 5")])  # of its own connection alone
        await asyncio.wait_for(engine.store("k", "v", 0), 2)
        await engine.raw_query([_written("RPUSH queue one")])
        assert await waiting == [("queue",), ("one",)]
        assert "v" in shared.ask("GET", "k")


async def test_a_command_is_one_word_so_that_none_gets_by_as_another(shared: RedisServer):
    async with Running(shared.url()) as running:
        engine = running.engine()
        for query in ('"SELECT 5"', "' SELECT' 5", "'SELECT\n5'", "' '"):
            with pytest.raises(CacheError, match="has blanks"):
                await engine.raw_query([_written(query)])
        await engine.store("k", "here", 0)
        assert "here" in shared.ask("GET", "k")


async def test_an_error_in_a_list_of_replies_is_a_value(shared: RedisServer):
    async with Running(shared.url()) as running:
        script = "return {redis.pcall('INCRBY', 'none', 'x'), 1}"
        (error, *more) = await running.engine().raw_query([_written("EVAL "), script, _written(" 0")]) or ()
        assert "not an integer" in str(error[0]) and more == [(1,)]


async def test_commands_tell_of_servers_and_ping_them(own: RedisServer):
    async with Running(own.url("g")) as running:
        mi = running.host.services.mi
        await running.engine("g").store("k", "v", 0)
        (info,) = running.module.mi_cluster_info()
        assert info["group"] == "g" and info["mode"] == "single" and info["topology_refreshes"] == 0
        assert await running.module.mi_cluster_refresh() == [{"group": "g", "status": "skipped (not cluster mode)"}]
        (pinged,) = await running.module.mi_ping_nodes("g")
        (node,) = pinged["nodes"]  # type: ignore[misc]  # JSON
        assert node["status"] == "reachable" and 0 < node["latency_us"] < 5_000_000
        own.kill()
        (pinged,) = await running.module.mi_ping_nodes()
        assert pinged["nodes"] == [{"ip": "127.0.0.1", "port": own.port, "status": "unreachable", "latency_us": -1}]
        assert mi.resolve("redis_ping_nodes").module == "cachedb_redis"
        assert running.module.redis_queries.value == 1


# -- a cluster -----------------------------------------------------------------------------------------------------


async def test_keys_go_to_the_node_that_has_their_slot(cluster: RedisCluster):
    async with Running(f"redis:c://127.0.0.1:{cluster.nodes[0].port}/") as running:
        engine = running.engine("c")
        keys = [f"key{n}" for n in range(60)]
        await asyncio.gather(*(engine.store(key, key, 0) for key in keys))
        assert await asyncio.gather(*(engine.fetch(key) for key in keys)) == keys
        assert await engine.add("{tag}n", 5, 60) == 5
        assert await engine.raw_query([_written("MGET {tag}n {tag}m")]) == [("5",), ("",)]
        (info,) = running.module.mi_cluster_info("c")
        assert (info["mode"], info["total_slots_mapped"]) == ("cluster", 16384)
        nodes = {node["port"]: node for node in info["nodes"]}  # type: ignore[attr-defined]  # JSON
        assert nodes.keys() == {node.port for node in cluster.nodes}
        assert all(node["queries"] > 5 and node["slots_assigned"] > 5000 for node in nodes.values())
        assert await running.module.mi_cluster_refresh("c") == [{"group": "c", "status": "ok"}]
        assert running.module.redis_moved.value == 0


async def test_a_slot_that_has_moved_is_followed(cluster: RedisCluster):
    async with Running(f"redis:c://127.0.0.1:{cluster.nodes[0].port}/") as running:
        engine = running.engine("c")
        key = next(f"moved{n}" for n in range(1000) if slot_of(f"moved{n}".encode()) < 5461)
        await engine.remove(key)
        cluster.move(slot_of(key.encode()), 0, 2)
        await engine.store(key, "v", 0)
        assert await engine.fetch(key) == "v" and running.module.redis_moved.value == 1
        assert running.module.redis_topology_refreshes.value == 2
        await engine.remove(key)
        cluster.move(slot_of(key.encode()), 2, 0)


async def test_a_node_that_is_away_fails_only_calls_for_its_slots(cluster: RedisCluster):
    async with Running(
        f"redis:c://127.0.0.1:{cluster.nodes[0].port}/", query_timeout=300, connect_timeout=300
    ) as running:
        engine = running.engine("c")
        first = next(f"k{n}" for n in range(1000) if slot_of(f"k{n}".encode()) < 5461)
        last = next(f"k{n}" for n in range(1000) if slot_of(f"k{n}".encode()) >= 10923)
        cluster.nodes[2].pause()
        try:
            began = time.monotonic()
            await engine.store(first, "v", 0)
            with pytest.raises(CacheError):
                await engine.store(last, "v", 0)
            assert time.monotonic() - began < 1.5
        finally:
            cluster.nodes[2].resume()
        await engine.store(last, "v", 0)
        assert await engine.fetch(last) == "v"


def _written(text: str):
    from miscript.cachedb import Written

    return Written(text)
