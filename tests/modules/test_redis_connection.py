"""One connection to Redis that many calls share, with a server that says what a test wants."""

from __future__ import annotations

import asyncio
import contextlib
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from miscript.modules.cachedb_redis import connection as connection_module
from miscript.modules.cachedb_redis.connection import (
    Broken,
    Connection,
    Login,
    RedisFailure,
    Refused,
    Silent,
    Unreachable,
    connect,
)
from miscript.modules.cachedb_redis.nodes import Node

pytestmark = pytest.mark.e2e

GET_A = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n"


class Scripted:
    """A server that keeps what it is sent, and sends what the test says."""

    def __init__(self) -> None:
        self.received = b""
        self.connections = 0
        self.port = 0
        self._came = asyncio.Condition()
        self._writers: list[asyncio.StreamWriter] = []

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self._writers.append(writer)
        while data := await reader.read(65536):
            async with self._came:
                self.received += data
                self._came.notify_all()
        writer.close()

    async def take(self, expected: bytes) -> None:
        """Wait for exactly this."""
        async with self._came, asyncio.timeout(5):
            await self._came.wait_for(lambda: len(self.received) >= len(expected))
        assert self.received == expected
        self.received = b""

    def say(self, data: bytes) -> None:
        self._writers[-1].write(data)

    def hang_up(self) -> None:
        self._writers[-1].transport.abort()


@asynccontextmanager
async def scripted() -> AsyncIterator[Scripted]:
    script = Scripted()
    server = await asyncio.start_server(script.serve, "127.0.0.1", 0)
    script.port = server.sockets[0].getsockname()[1]
    try:
        yield script
    finally:
        server.close()
        for writer in script._writers:
            writer.transport.abort()


class Timer:
    def __init__(self, when: float, call: Callable[[], None]) -> None:
        self.when, self._call = when, call

    def cancel(self) -> None:
        self.when = math.inf

    def run(self) -> None:
        self.when = math.inf
        self._call()


class Watched:
    """The loop of a connection, with a clock that the test moves."""

    def __init__(self, connection: Connection) -> None:
        loop = asyncio.get_running_loop()
        self.create_future, self.call_soon = loop.create_future, loop.call_soon
        self._now = 0.0
        self._timers: list[Timer] = []
        connection._loop = self  # type: ignore[assignment]  # as far as a connection uses it

    def time(self) -> float:
        return self._now

    def call_later(self, seconds: float, call: Callable[[], None]) -> Timer:
        return self.call_at(self._now + seconds, call)

    def call_at(self, when: float, call: Callable[[], None]) -> Timer:
        self._timers.append(Timer(when, call))
        return self._timers[-1]

    def advance(self, seconds: float) -> None:
        self._now += seconds
        for timer in [timer for timer in self._timers if timer.when <= self._now]:
            timer.run()


def login(query: float = 5.0, connect: float = 5.0, **more: object) -> Login:
    given: dict[str, object] = {"user": "", "password": "", "database": 0, "keepalive": 10}
    return Login(**(given | more), connect_seconds=connect, query_seconds=query)  # type: ignore[arg-type]  # mixed


@asynccontextmanager
async def connected(query: float = 5.0) -> AsyncIterator[tuple[Connection, Scripted]]:
    async with scripted() as server:
        connection = await connect(login(query), ("127.0.0.1", server.port))
        try:
            yield connection, server
        finally:
            connection.close()


async def test_commands_go_out_before_earlier_replies_are_there_and_replies_keep_their_order():
    async with connected() as (connection, server):
        calls = [connection.send(("GET", f"k{n}")) for n in range(3)]
        await server.take(b"".join(b"*2\r\n$3\r\nGET\r\n$2\r\nk%d\r\n" % n for n in range(3)))
        server.say(b"$1\r\n0\r\n-ERR no\r\n$-1\r\n")
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert results[0] == b"0" and str(results[1]) == "ERR no" and results[2] is None
        assert isinstance(results[1], Refused)


async def test_replies_may_come_in_any_pieces():
    async with connected() as (connection, server):
        call = connection.send(("KEYS", "*"))
        for byte in b"*2\r\n$1\r\na\r\n*1\r\n:7\r\n":
            server.say(bytes([byte]))
            await asyncio.sleep(0)
        assert await call == [b"a", [7]]


async def test_the_reply_to_a_call_that_was_given_up_is_nobody_elses():
    async with connected() as (connection, server):
        first, second = connection.send(("GET", "a")), connection.send(("GET", "b"))
        first.cancel()
        server.say(b"$1\r\na\r\n$1\r\nb\r\n")
        assert await second == b"b"


async def test_a_connection_that_breaks_fails_all_that_wait_and_takes_no_more():
    async with connected() as (connection, server):
        calls = [connection.send(("GET", "a")) for _ in range(3)]
        await server.take(GET_A * 3)
        server.say(b"$1\r\nx\r\n$5\r\nha")
        assert await calls[0] == b"x"
        server.hang_up()
        for call in calls[1:]:
            with pytest.raises(Broken):
                await call
        with pytest.raises(Unreachable):
            connection.send(("GET", "a"))


@pytest.mark.parametrize("data", [b"?what\r\n", b"HTTP/1.1 400 Bad\r\n\r\n", b":1\r\n:2\r\n"])
async def test_what_is_no_reply_or_was_not_asked_for_ends_the_connection(data: bytes):
    async with connected() as (connection, server):
        call = connection.send(("GET", "a"))
        server.say(data)
        with contextlib.suppress(Broken):
            assert await call == 1
        with pytest.raises(Unreachable):
            for _ in range(1000):
                await asyncio.wait_for(connection.send(("GET", "b")), 5)


async def test_a_reply_that_is_too_large_ends_the_connection(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_module, "MAX_REPLY", 1000)
    async with connected() as (connection, server):
        call = connection.send(("GET", "a"))
        server.say(b"$5000\r\n" + b"x" * 2000)
        with pytest.raises(Broken, match="more than 1000 bytes"):
            await call


async def test_no_more_wait_than_may(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(connection_module, "MAX_WAITING", 2)
    async with connected() as (connection, server):
        calls = [connection.send(("GET", "a")) for _ in range(2)]
        with pytest.raises(Unreachable, match="2 commands wait"):
            connection.send(("GET", "a"))
        server.say(b":1\r\n:2\r\n")
        assert await asyncio.gather(*calls) == [1, 2]


async def test_a_server_that_says_nothing_is_given_up_in_time():
    async with connected(query=0.1) as (connection, _):
        began = asyncio.get_running_loop().time()
        with pytest.raises(Silent):
            await connection.send(("GET", "a"))
        assert 0.1 <= asyncio.get_running_loop().time() - began < 1
        assert not connection.is_open


async def test_one_slow_reply_fails_its_call_alone_while_others_come():
    async with connected(query=2) as (connection, server):
        clock = Watched(connection)
        calls = [connection.send(("GET", "a")) for _ in range(2)]
        clock.advance(1)
        server.say(b":1\r\n")  # the server is not silent
        assert await calls[0] == 1
        clock.advance(1)
        with pytest.raises(Silent):
            await calls[1]
        clock.advance(0.5)
        late = connection.send(("GET", "a"))
        server.say(b":2\r\n:3\r\n")
        assert await late == 3 and connection.is_open


async def test_each_call_has_its_own_time():
    async with connected(query=2) as (connection, server):
        clock = Watched(connection)
        calls = []
        for _ in range(4):
            calls.append(connection.send(("GET", "a")))
            clock.advance(0.45)
        server.say(b":1\r\n")
        assert await calls[0] == 1
        for seconds, over in ((0.6, 0), (0.1, 1), (0.5, 2), (0.4, 3)):
            clock.advance(seconds)
            assert [call.done() for call in calls[1:]] == [number < over for number in range(3)]
        assert connection.is_open
        clock.advance(0.5)
        assert not connection.is_open
        assert all(isinstance(call.exception(), Silent) for call in calls[1:])


async def test_a_call_that_came_just_before_a_silence_ended_may_be_sent_again():
    async with connected(query=2) as (connection, server):
        clock = Watched(connection)
        first = connection.send(("GET", "a"))
        clock.advance(1.5)
        second = connection.send(("GET", "a"))
        await server.take(GET_A * 2)
        clock.advance(0.5)
        with pytest.raises(Silent):
            await first
        with pytest.raises(Broken):
            await second


async def test_a_login_is_sent_first_and_a_wrong_password_is_told():
    async with scripted() as server:
        attempt = asyncio.create_task(connect(login(user="u", password="pw", database=3), ("127.0.0.1", server.port)))
        await server.take(b"*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$2\r\npw\r\n")
        server.say(b"+OK\r\n")
        await server.take(b"*2\r\n$6\r\nSELECT\r\n$1\r\n3\r\n")
        server.say(b"+OK\r\n")
        (await attempt).close()
        attempt = asyncio.create_task(connect(login(password="pw"), ("127.0.0.1", server.port)))
        await server.take(b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n")
        server.say(b"-WRONGPASS invalid\r\n")
        with pytest.raises(Refused, match="WRONGPASS"):
            await attempt


async def test_a_login_that_takes_too_long_or_breaks_is_no_connection():
    async with scripted() as server:
        with pytest.raises(Unreachable, match=r"more than 0\.1 s"):
            await connect(login(connect=0.1, password="pw"), ("127.0.0.1", server.port))
        attempt = asyncio.create_task(connect(login(password="pw"), ("127.0.0.1", server.port)))
        server.received = b""
        await server.take(b"*2\r\n$4\r\nAUTH\r\n$2\r\npw\r\n")
        server.hang_up()
        with pytest.raises(Unreachable, match="connecting failed"):
            await attempt


async def test_all_who_need_a_connection_share_one_attempt_and_one_connection():
    async with scripted() as server:
        node = Node(login(), ("127.0.0.1", server.port))
        calls = [asyncio.create_task(node.ask(("GET", "a"))) for _ in range(20)]
        await server.take(GET_A * 20)
        server.say(b"".join(b":%d\r\n" % n for n in range(20)))
        assert await asyncio.gather(*calls) == list(range(20)) and server.connections == 1
        await node.close()
    calls = [asyncio.create_task(node.ask(("GET", "a"))) for _ in range(3)]
    assert all(isinstance(one, RedisFailure) for one in await asyncio.gather(*calls, return_exceptions=True))


async def test_a_key_on_its_way_is_asked_for_in_one_piece_with_asking():
    async with scripted() as server:
        node = Node(login(), ("127.0.0.1", server.port))
        call = asyncio.create_task(node.ask(("GET", "a"), asking=True))
        await server.take(b"*1\r\n$6\r\nASKING\r\n" + GET_A)
        server.say(b"+OK\r\n$1\r\nv\r\n")
        assert await call == b"v"
        await node.close()


async def test_a_server_that_is_left_answers_what_it_was_asked():
    async with scripted() as server:
        node = Node(login(), ("127.0.0.1", server.port))
        call = asyncio.create_task(node.ask(("GET", "a")))
        await server.take(GET_A)
        leaving = asyncio.create_task(node.retire())
        await asyncio.sleep(0)
        server.say(b"$1\r\nv\r\n")
        assert await call == b"v"
        await leaving
        assert not node.is_connected
