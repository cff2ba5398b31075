"""What a Redis server is sent, and who gets the replies, with a server that says what a test wants."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import hiredis
import pytest
from redis.exceptions import AskError, MovedError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import TimeoutError as Silent

from certificates import Authority, needs_openssl
from miscript.cachedb import CacheError
from miscript.host.clock import SystemClock
from miscript.modules.cachedb_redis import nodes as nodes_module
from miscript.modules.cachedb_redis.client import Login, Overloaded, Unreachable
from miscript.modules.cachedb_redis.engine import Figures, RedisEngine
from miscript.modules.cachedb_redis.nodes import Node
from miscript.modules.cachedb_redis.urls import parse_url

pytestmark = pytest.mark.e2e

GREETINGS = (b"CLIENT", b"AUTH", b"SELECT")


class Peer:
    """A connection as the server sees it."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self.writer = writer
        self.greeting: list[list[bytes]] = []

    def say(self, data: bytes) -> None:
        self.writer.write(data)

    def hang_up(self) -> None:
        self.writer.transport.abort()


class Scripted:
    """A server that says OK to a login, what `answers` have for a command, and else what the test says."""

    def __init__(self) -> None:
        self.answers = dict.fromkeys(GREETINGS, b"+OK\r\n")
        self.port = 0
        self.peers: list[Peer] = []
        self.open = 0
        self._received: list[tuple[Peer, list[bytes]]] = []
        self._changed = asyncio.Condition()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(writer)
        self.peers.append(peer)
        self.open += 1
        requests = hiredis.Reader()
        try:
            while data := await reader.read(65536):
                requests.feed(data)
                while (words := requests.gets()) is not False:
                    await self._take(peer, words)
        except ConnectionError:
            pass  # the test has hung up
        finally:
            writer.close()
            async with self._changed:
                self.open -= 1
                self._changed.notify_all()

    async def _take(self, peer: Peer, words: list[bytes]) -> None:
        if words[0] in GREETINGS:
            peer.greeting.append(words)
        else:
            async with self._changed:
                self._received.append((peer, words))
                self._changed.notify_all()
        peer.say(self.answers.get(words[0], b""))

    async def take(self, *expected: str) -> Peer:
        """Wait for these commands, which come on one connection, and for nothing else."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: len(self._received) >= len(expected))
        received, self._received = self._received, []
        assert [b" ".join(words).decode() for _, words in received] == list(expected)
        (peer,) = {peer for peer, _ in received}
        return peer

    async def only(self, connections: int) -> None:
        """Wait until there are this many connections."""
        async with asyncio.timeout(5), self._changed:
            await self._changed.wait_for(lambda: self.open == connections)


@asynccontextmanager
async def scripted(tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    script = Scripted()
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0, ssl=tls)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for peer in script.peers:
            peer.hang_up()


def login(query: float = 5.0, connect: float = 5.0, user: str = "", password: str = "", database: int = 0) -> Login:
    return Login(user, password, database, connect, query, keepalive=10)


@asynccontextmanager
async def asking(query: float = 5.0, **more: object) -> AsyncIterator[tuple[Node, Scripted]]:
    async with scripted() as server:
        node = Node(login(query, **more), ("127.0.0.1", server.port))  # type: ignore[arg-type]  # of several kinds
        try:
            yield node, server
        finally:
            await node.close()


def ask(node: Node, *keys: str) -> list[asyncio.Task[object]]:
    """GET each of the keys, in one turn of the loop."""
    return [asyncio.create_task(node.ask((b"GET", key.encode()))) for key in keys]


async def test_what_is_asked_in_one_turn_goes_out_at_once_and_each_gets_its_reply():
    async with asking() as (node, server):
        calls = ask(node, "a", "b", "c", "d")
        (await server.take("GET a", "GET b", "GET c", "GET d")).say(b"$1\r\n0\r\n-ERR no\r\n$-1\r\n*2\r\n:1\r\n*0\r\n")
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[0] == b"0" and results[2:] == [None, [1, []]]
        assert isinstance(results[1], ResponseError) and str(results[1]) == "no"
        assert len(server.peers) == 1


async def test_replies_may_come_in_any_pieces():
    async with asking() as (node, server):
        calls = ask(node, "a", "b")
        peer = await server.take("GET a", "GET b")
        for byte in b"*2\r\n$1\r\na\r\n*1\r\n:7\r\n+OK\r\n":
            peer.say(bytes([byte]))
            await asyncio.sleep(0)
        assert await asyncio.gather(*calls) == [[b"a", [7]], b"OK"]


async def test_commands_that_come_meanwhile_gather_for_the_next_batch(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes_module, "MAX_BATCHES", 1)
    async with asking() as (node, server):
        first = ask(node, "a")
        peer = await server.take("GET a")
        later = ask(node, "b")
        await asyncio.sleep(0)
        later += ask(node, "c", "d")
        await asyncio.sleep(0)
        peer.say(b":1\r\n")
        assert await server.take("GET b", "GET c", "GET d") is peer
        peer.say(b":2\r\n:3\r\n:4\r\n")
        assert await asyncio.gather(*first, *later) == [1, 2, 3, 4]


async def test_a_slow_command_does_not_hold_up_those_after_it():
    async with asking() as (node, server):
        (slow,) = ask(node, "slow")
        peer = await server.take("GET slow")
        (quick,) = ask(node, "quick")
        (await server.take("GET quick")).say(b":2\r\n")
        assert await quick == 2 and not slow.done()
        peer.say(b":1\r\n")
        assert await slow == 1


async def test_no_batch_is_larger_and_no_more_are_under_way_than_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes_module, "MAX_BATCH", 3)
    monkeypatch.setattr(nodes_module, "MAX_BATCHES", 1)
    async with asking() as (node, server):
        calls = ask(node, "a", "b", "c", "d")
        (await server.take("GET a", "GET b", "GET c")).say(b":1\r\n:2\r\n:3\r\n")
        (await server.take("GET d")).say(b":4\r\n")
        assert await asyncio.gather(*calls) == [1, 2, 3, 4]
        assert len(server.peers) == 1


async def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes_module, "MAX_WAITING", 2)
    async with asking() as (node, server):
        calls = ask(node, "a", "b", "c")
        (await server.take("GET a", "GET b")).say(b":1\r\n:2\r\n")
        with pytest.raises(Overloaded, match="2 commands wait"):
            await calls[2]
        assert await asyncio.gather(*calls[:2]) == [1, 2]


async def test_the_reply_to_a_call_that_was_given_up_is_nobody_elses():
    async with asking() as (node, server):
        first, second = ask(node, "a", "b")
        peer = await server.take("GET a", "GET b")
        first.cancel()
        peer.say(b"$1\r\na\r\n$1\r\nb\r\n")
        assert await second == b"b"
        (third,) = ask(node, "c")
        assert await server.take("GET c") is peer
        peer.say(b"$1\r\nc\r\n")
        assert await third == b"c"


async def test_what_was_given_up_before_it_was_sent_is_not_sent(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes_module, "MAX_BATCHES", 1)
    async with asking() as (node, server):
        (first,) = ask(node, "a")
        peer = await server.take("GET a")
        gone, stays = ask(node, "b", "c")
        await asyncio.sleep(0)
        gone.cancel()
        peer.say(b":1\r\n")
        (await server.take("GET c")).say(b":3\r\n")
        assert await asyncio.gather(first, stays) == [1, 3]


async def test_a_connection_that_breaks_fails_its_batch_and_is_made_anew():
    async with asking() as (node, server):
        calls = ask(node, "a", "b", "c")
        peer = await server.take("GET a", "GET b", "GET c")
        peer.say(b"$1\r\nx\r\n$5\r\nha")
        peer.hang_up()
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, Broken)
        (again,) = ask(node, "a")
        (await server.take("GET a")).say(b":1\r\n")
        assert await again == 1 and len(server.peers) == 2


async def test_a_connection_that_broke_while_nobody_asked_is_made_anew_without_an_error():
    async with asking() as (node, server):
        (call,) = ask(node, "a")
        peer = await server.take("GET a")
        peer.say(b":1\r\n")
        assert await call == 1
        peer.hang_up()
        await server.only(0)
        (call,) = ask(node, "b")
        (await server.take("GET b")).say(b":2\r\n")
        assert await call == 2


@pytest.mark.parametrize("data", [b"?what\r\n", b"HTTP/1.1 400 Bad\r\n\r\n"])
@pytest.mark.parametrize("keys", [("a",), ("a", "b")])
async def test_what_is_no_reply_fails_the_batch_and_ends_the_connection(data: bytes, keys: tuple[str, ...]):
    async with asking() as (node, server):
        calls = ask(node, *keys)
        (await server.take(*(f"GET {key}" for key in keys))).say(data)
        for result in await asyncio.gather(*calls, return_exceptions=True):
            assert isinstance(result, RedisError)
        (again,) = ask(node, "c")
        (await server.take("GET c")).say(b":1\r\n")
        assert await again == 1 and len(server.peers) == 2


async def test_a_reply_that_nobody_asked_for_ends_the_connection():
    async with asking() as (node, server):
        (call,) = ask(node, "a")
        (await server.take("GET a")).say(b":1\r\n:2\r\n")
        assert await call == 1
        (call,) = ask(node, "b")
        (await server.take("GET b")).say(b":3\r\n")
        assert await call == 3 and len(server.peers) == 2


async def test_a_server_that_says_nothing_is_given_up_in_time():
    async with asking(query=0.1) as (node, server):
        began = asyncio.get_running_loop().time()
        results = await asyncio.gather(*ask(node, "a", "b"), return_exceptions=True)
        assert all(isinstance(result, Silent) for result in results)
        assert 0.1 <= asyncio.get_running_loop().time() - began < 3
        await server.only(0)


async def test_a_batch_whose_replies_trickle_ends_in_time():
    async with asking(query=0.15, connect=0.15) as (node, server):
        calls = ask(node, *map(str, range(100)))
        peer = await server.take(*(f"GET {n}" for n in range(100)))
        replies = asyncio.gather(*calls, return_exceptions=True)
        said = 0
        while not replies.done():
            peer.say(b":1\r\n")
            said += 1
            await asyncio.wait([replies], timeout=0.05)  # less than a reply may take
        assert all(isinstance(result, Silent) for result in await replies)
        assert said < 50


async def test_a_login_is_sent_first_and_a_wrong_password_is_told():
    async with asking(user="u", password="pw", database=3) as (node, server):
        (call,) = ask(node, "a")
        peer = await server.take("GET a")
        peer.say(b":1\r\n")
        assert await call == 1
        assert peer.greeting[0] == [b"AUTH", b"u", b"pw"] and [b"SELECT", b"3"] in peer.greeting
        server.answers[b"AUTH"] = b"-WRONGPASS invalid username-password pair\r\n"
        peer.hang_up()
        await server.only(0)
        with pytest.raises(Unreachable, match="invalid username-password pair"):
            await node.ask((b"GET", b"a"))


async def test_a_login_that_takes_too_long_is_no_connection():
    async with asking(query=0.1, password="pw") as (node, server):
        server.answers[b"AUTH"] = b""
        with pytest.raises(Unreachable):
            await node.ask((b"GET", b"a"))


@needs_openssl()
async def test_a_tls_domain_is_asked_for_with_each_connection_and_checks_the_server(tmp_path: Path):
    authority = Authority(tmp_path)
    issued = authority.issue("redis.example", names="IP:127.0.0.1")
    own = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    own.load_cert_chain(issued.certificate, issued.key)
    trusting, strange = ssl.create_default_context(cafile=authority.ca), ssl.create_default_context()
    domains: list[ssl.SSLContext] = []

    def domain() -> ssl.SSLContext:
        if not domains:
            raise OSError("there is no TLS client domain 'd'")
        return domains.pop(0)

    async with scripted(own) as server:
        server.answers[b"GET"] = b":1\r\n"
        node = Node(replace(login(), tls=domain), ("127.0.0.1", server.port))
        with pytest.raises(Unreachable, match="no TLS client domain 'd'"):
            await node.ask((b"GET", b"a"))
        domains[:] = [strange, trusting, trusting]
        with pytest.raises(Unreachable, match="certificate verify failed"):
            await node.ask((b"GET", b"a"))
        assert await node.ask((b"GET", b"a")) == 1 == await node.ask((b"GET", b"a"))
        server.peers[-1].hang_up()
        await server.only(0)
        assert await node.ask((b"GET", b"a")) == 1 and domains == []
        await node.close()


async def test_a_key_on_its_way_is_asked_for_right_behind_asking():
    async with asking() as (node, server):
        calls = ask(node, "a")
        calls.append(asyncio.create_task(node.ask((b"GET", b"b"), asking=True)))
        calls += ask(node, "c")
        (await server.take("GET a", "ASKING", "GET b", "GET c")).say(b":1\r\n+OK\r\n-MOVED 5 h:7\r\n:3\r\n")
        first, moved, third = await asyncio.gather(*calls, return_exceptions=True)
        assert (first, third) == (1, 3)
        assert isinstance(moved, MovedError) and (moved.slot_id, moved.host, moved.port) == (5, "h", 7)


async def test_a_redirection_of_one_is_none_of_the_others():
    async with asking() as (node, server):
        calls = ask(node, "a", "b")
        (await server.take("GET a", "GET b")).say(b"-ASK 5 fd00::1:7\r\n:2\r\n")
        on_its_way, value = await asyncio.gather(*calls, return_exceptions=True)
        assert value == 2
        assert isinstance(on_its_way, AskError) and on_its_way.node_addr == ("fd00::1", 7)


async def test_a_command_alone_has_a_connection_that_is_closed_afterwards():
    async with asking() as (node, server):
        (call,) = ask(node, "a")
        shared = await server.take("GET a")
        shared.say(b":1\r\n")
        alone = asyncio.create_task(node.ask((b"BLPOP", b"q", 0), alone=True))
        peer = await server.take("BLPOP q 0")
        assert peer is not shared and server.open == 2
        peer.say(b"*2\r\n$1\r\nq\r\n$1\r\nv\r\n")
        assert await alone == [b"q", b"v"] and await call == 1
        await server.only(1)
        alone = asyncio.create_task(node.ask((b"BLPOP", b"q", 0), alone=True))
        await server.take("BLPOP q 0")
        alone.cancel()
        await server.only(1)


async def test_a_server_that_is_left_answers_what_it_was_asked():
    async with asking() as (node, server):
        (call,) = ask(node, "a")
        peer = await server.take("GET a")
        leaving = asyncio.create_task(node.retire())
        await asyncio.sleep(0)
        peer.say(b"$1\r\nv\r\n")
        assert await call == b"v"
        await leaving
        await server.only(0)


async def test_the_end_fails_all_who_wait_and_whoever_comes_later(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(nodes_module, "MAX_BATCHES", 1)
    async with asking() as (node, server):
        calls = ask(node, "a")
        await server.take("GET a")
        calls += ask(node, "b")
        await asyncio.sleep(0)
        await node.close()
        calls += ask(node, "c")
        sent, waiting, late = await asyncio.gather(*calls, return_exceptions=True)
        assert isinstance(sent, Broken) and isinstance(waiting, Unreachable) and isinstance(late, Unreachable)
        await server.only(0)


# -- with an engine -------------------------------------------------------------------------------------------------


class Count:
    """A statistic."""

    group = name = ""
    resettable = True

    def __init__(self) -> None:
        self.value = 0

    def add(self, amount: int = 1) -> None:
        self.value += amount


@asynccontextmanager
async def engine_of(server: Scripted) -> AsyncIterator[tuple[RedisEngine, Figures]]:
    server.answers |= {b"CLUSTER": b"-ERR no cluster\r\n", b"PING": b"+PONG\r\n"}
    figures = Figures(Count(), Count(), Count(), Count())  # type: ignore[arg-type]  # as far as an engine counts
    engine = RedisEngine(parse_url(f"redis://127.0.0.1:{server.port}/"), login(), SystemClock(), figures)
    try:
        yield engine, figures
    finally:
        await engine.close()


async def test_keys_are_followed_and_a_place_without_a_host_is_on_the_server_that_was_asked():
    async with scripted() as one, scripted() as other, engine_of(one) as (engine, figures):
        other.answers |= {b"ASKING": b"+OK\r\n", b"GET": b"$1\r\nv\r\n"}
        one.answers[b"GET"] = b"-ASK 5 :%d\r\n" % other.port
        assert await engine.fetch("a") == "v"
        await other.take("ASKING", "GET a")
        assert figures.moved.value == 0
        one.answers[b"GET"] = b"-MOVED 5 ?:%d\r\n" % other.port
        assert await engine.fetch("a") == "v"
        await other.take("GET a")
        assert (figures.moved.value, figures.queries.value, figures.failed.value) == (1, 2, 0)
        assert engine.slots == {5: ("127.0.0.1", other.port)}


async def test_redirections_in_a_circle_end():
    async with scripted() as server, engine_of(server) as (engine, figures):
        server.answers[b"GET"] = b"-ASK 5 :%d\r\n" % server.port
        server.answers[b"ASKING"] = b"+OK\r\n"
        with pytest.raises(CacheError):
            await engine.fetch("a")
        assert figures.failed.value == 1


@pytest.mark.parametrize("text", ["MOVED 16384 h:1", "MOVED 1 h:0", "ASK 1 h:65536", "MOVED 1 h", "ASK", "MOVED x y:z"])
async def test_a_redirection_to_nowhere_is_an_error(text: str):
    async with scripted() as server, engine_of(server) as (engine, figures):
        server.answers[b"GET"] = f"-{text}\r\n".encode()
        with pytest.raises(CacheError):
            await engine.fetch("a")
        both = await asyncio.gather(engine.fetch("a"), engine.fetch("b"), return_exceptions=True)
        assert all(isinstance(result, CacheError) for result in both)
        assert (figures.failed.value, figures.moved.value, engine.slots) == (3, 0, {})
        server.answers[b"GET"] = b"$1\r\nv\r\n"
        assert await engine.fetch("a") == "v"


async def test_a_server_with_too_much_to_do_is_not_left_for_another(monkeypatch: pytest.MonkeyPatch):
    async with scripted() as server, engine_of(server) as (engine, _):
        server.answers[b"GET"] = b"$1\r\nv\r\n"
        assert await engine.fetch("a") == "v"
        monkeypatch.setattr(nodes_module, "MAX_WAITING", 0)
        with pytest.raises(CacheError, match="0 commands wait to be sent"):
            await engine.fetch("a")
        (node,) = engine.nodes.values()
        assert node.reachable and node.errors == 1


async def test_a_fetch_whose_connection_breaks_is_sent_again_and_a_count_is_not():
    async with scripted() as server, engine_of(server) as (engine, _):
        await engine.connect()
        await server.take("CLUSTER SHARDS", "CLUSTER SLOTS", "PING")
        fetch = asyncio.create_task(engine.fetch("a"))
        (await server.take("GET a")).hang_up()
        (await server.take("GET a")).say(b"$1\r\nv\r\n")
        assert await fetch == "v"
        count = asyncio.create_task(engine.add("n", 1, 0))
        (await server.take("INCRBY n 1")).hang_up()
        with pytest.raises(CacheError):
            await count
        server.answers[b"GET"] = b"$1\r\nw\r\n"
        assert await engine.fetch("a") == "w"
        await server.take("GET a")
