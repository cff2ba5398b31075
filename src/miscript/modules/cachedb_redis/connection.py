"""One connection to a Redis server, which the calls of all routes share.

A command is sent without waiting for the replies to those before it; replies come in the order of the commands, and
each goes to whoever sent the command in that place.  A call that is given up keeps its place, so that its late reply
is not taken for another's.  While replies are awaited, what comes in one turn of the loop is written in one piece.

A server that says nothing for as long as a reply may take is taken for lost, with all that waits for it.

Source: Redis serialization protocol (RESP2), pipelining; commands AUTH, SELECT, ASKING.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeAlias, cast

Word: TypeAlias = "bytes | str | int"

Reply: TypeAlias = Any
"""What Redis answers: bytes, numbers, None, `Refused`, and lists of them."""

Place: TypeAlias = tuple[str, int]

MAX_WAITING: Final = 50_000
"""Commands on one connection whose replies have not come."""

MAX_REPLY: Final = 64 * 1024 * 1024
"""Bytes of one reply."""

_NOTHING: Final = object()


class RedisFailure(Exception):
    """A command has no result."""


class Refused(RedisFailure):
    """The server answered with an error, which is the text."""


class Unreachable(RedisFailure):
    """There is no connection; the command was not sent."""


class Broken(RedisFailure):
    """The connection broke before the reply was there; nobody knows what became of the command."""


class Silent(RedisFailure):
    """No reply came in the time that it may take."""


@dataclass(frozen=True, slots=True)
class Login:
    """How all servers of a group are spoken to; times in seconds, `keepalive` 0 for none."""

    user: str
    password: str
    database: int
    connect_seconds: float
    query_seconds: float
    keepalive: int
    tls: Callable[[], ssl.SSLContext] | None = None


class Connection(asyncio.Protocol):
    """A connection that is open, or was: once closed it stays so."""

    def __init__(self, query_seconds: float) -> None:
        import hiredis

        self._loop = asyncio.get_running_loop()
        self._query_seconds = query_seconds
        self._pack: Callable[[Any], bytes] = hiredis.pack_command
        self._reader = hiredis.Reader(protocolError=Broken, replyError=Refused, notEnoughData=_NOTHING)
        self._transport: asyncio.WriteTransport | None = None
        self._waiting: deque[tuple[asyncio.Future[Reply], float]] = deque()
        self._unsent: list[bytes] = []
        self._heard = 0.0
        self._incomplete = 0
        """Bytes of a reply that is not whole yet."""
        self._watch: asyncio.TimerHandle | None = None

    @property
    def is_open(self) -> bool:
        return self._transport is not None

    def send(self, words: Sequence[Word]) -> asyncio.Future[Reply]:
        """Send a command; the future has its reply, or a RedisFailure.  Raises Unreachable, and nothing is sent."""
        transport = self._transport
        if transport is None:
            raise Unreachable("the connection is closed")
        if len(self._waiting) >= MAX_WAITING:
            raise Unreachable(f"{MAX_WAITING} commands wait for their replies")
        future: asyncio.Future[Reply] = self._loop.create_future()
        data = self._pack(tuple(words))
        if not self._waiting:
            transport.write(data)
        else:
            if not self._unsent:
                self._loop.call_soon(self._flush)
            self._unsent.append(data)
        self._waiting.append((future, self._loop.time()))
        if self._watch is None:
            self._watch = self._loop.call_later(self._query_seconds, self._look)
        return future

    def _flush(self) -> None:
        if self._transport is not None and self._unsent:
            self._transport.write(b"".join(self._unsent))
        self._unsent.clear()

    async def drained(self) -> None:
        """Wait until all commands have their replies, or are given up."""
        if self._waiting:
            await asyncio.wait([future for future, _ in self._waiting])

    def close(self) -> None:
        """End the connection; who waits gets `Broken`."""
        self._lose(Broken("the connection is closed"))

    # -- what the loop calls -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._heard = self._loop.time()
        self._incomplete += len(data)
        try:
            self._reader.feed(data)
            while (reply := self._reader.gets()) is not _NOTHING:
                self._incomplete = 0
                self._answer(reply)
        except Broken as error:
            self._lose(Broken(f"this is no reply of Redis: {error}"))
        if self._incomplete > MAX_REPLY:
            self._lose(Broken(f"the reply has more than {MAX_REPLY} bytes"))

    def _answer(self, reply: Reply) -> None:
        if not self._waiting:
            raise Broken("nobody has asked for it")
        future, _ = self._waiting.popleft()
        if future.done():
            return
        if isinstance(reply, Refused):
            future.set_exception(reply)
        else:
            future.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self._lose(Broken(f"the server closed the connection{f': {error}' if error else ''}"))

    # -- losing it -----------------------------------------------------------------------------------------------------

    def _look(self) -> None:
        """Give up commands that have waited long enough, and a server that says nothing; look again in time."""
        self._watch = None
        if not self._waiting:
            return
        now, most = self._loop.time(), self._query_seconds
        if now - max(self._heard, self._waiting[0][1]) >= most:
            self._lose(Silent(f"no reply within {most:g} s"))
            return
        next_look = now + most
        for future, since in self._waiting:
            if future.done():
                continue
            if now - since < most:
                next_look = since + most
                break
            future.set_exception(Silent(f"no reply within {most:g} s"))
        self._watch = self._loop.call_at(min(next_look, max(self._heard, self._waiting[0][1]) + most), self._look)

    def _lose(self, why: RedisFailure) -> None:
        """End the connection.  Those who had asked only just before a silence ended it are told that it broke."""
        transport, self._transport = self._transport, None
        if transport is not None:
            transport.abort()
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        self._unsent.clear()
        recent = self._loop.time() - self._query_seconds / 2
        while self._waiting:
            future, since = self._waiting.popleft()
            if not future.done():
                late = isinstance(why, Silent) and since > recent
                future.set_exception(Broken(str(why)) if late else type(why)(*why.args))


async def connect(login: Login, place: Place, path: str = "") -> Connection:
    """Connect to the server at a place, or at a path of this machine, and log in.

    Raises Unreachable, also when that takes longer than it may, and Refused for a wrong password.
    """
    connection: Connection | None = None
    try:
        async with asyncio.timeout(login.connect_seconds):
            connection = await _opened(login, place, path)
            for words in _greeting(login):
                await connection.send(words)
            return connection
    except TimeoutError:
        why = Unreachable(f"connecting took more than {login.connect_seconds:g} s")
    except (OSError, Broken, Silent) as error:
        why = Unreachable(f"connecting failed: {error}")
    except BaseException:
        if connection is not None:
            connection.close()
        raise
    if connection is not None:
        connection.close()
    raise why


async def _opened(login: Login, place: Place, path: str) -> Connection:
    loop = asyncio.get_running_loop()

    def protocol() -> Connection:
        return Connection(login.query_seconds)

    if path:
        _, connection = await loop.create_unix_connection(protocol, path)
        return connection
    context = None if login.tls is None else login.tls()
    transport, connection = await loop.create_connection(protocol, *place, ssl=context)
    if login.keepalive:
        _keep_alive(transport.get_extra_info("socket"), login.keepalive)
    return connection


def _greeting(login: Login) -> list[tuple[Word, ...]]:
    """The commands of a login."""
    commands: list[tuple[Word, ...]] = []
    if login.password:
        commands.append(("AUTH", *([login.user] if login.user else []), login.password))
    if login.database:
        commands.append(("SELECT", login.database))
    return commands


def _keep_alive(tcp: socket.socket, seconds: int) -> None:
    """Probe an idle connection after `seconds`, and again, three times."""
    tcp.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", seconds), ("TCP_KEEPINTVL", seconds), ("TCP_KEEPCNT", 3)):
        if hasattr(socket, name):
            tcp.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
