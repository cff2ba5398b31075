"""How redis-py speaks to one server: its pool of connections, its way to log in, and TLS.

Words of commands are bytes, and replies come as Redis writes them (RESP2): redis-py turns nothing into other types.
Nothing is tried again here: the engine knows what may be asked twice.

Source: redis-py (`redis.asyncio`); Redis serialization protocol (RESP2).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from redis.asyncio import Connection, ConnectionPool, Redis, SSLConnection, UnixDomainSocketConnection
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

Word: TypeAlias = "bytes | int"

Reply: TypeAlias = Any
"""What Redis answers: bytes, numbers, None, `ResponseError`, and lists of them."""

Place: TypeAlias = tuple[str, int]

PROTOCOL: Final = 2


class Unreachable(RedisError):
    """There is no connection; the command was not sent."""


class Overloaded(RedisError):
    """Too many commands wait for this server already; the command was not sent."""


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


def redis_client(login: Login, place: Place, path: str = "") -> Redis:
    """A client with a pool of its own, whose connections are made when they are needed.

    A connection that cannot be made, or whose login is refused, raises Unreachable.
    """
    more: dict[str, Any] = {
        "username": login.user or None,
        "password": login.password or None,
        "db": login.database,
        "protocol": PROTOCOL,
        "socket_timeout": login.query_seconds,
        "socket_connect_timeout": login.connect_seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    if path:
        more |= {"connection_class": SocketConnection, "path": path}
    else:
        more |= {"connection_class": TcpConnection, "host": place[0], "port": place[1]}
        if login.keepalive:
            more |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive(login.keepalive)}
        if login.tls is not None:
            more |= {"connection_class": DomainConnection, "tls": login.tls}
    return Redis(connection_pool=ConnectionPool(**more))


async def close_client(client: Redis) -> None:
    """End a client with all its connections."""
    await client.connection_pool.disconnect()  # which is all that a client without a connection of its own has


def _keepalive(seconds: int) -> dict[int, int]:
    """Options of a TCP socket: probe after `seconds`, and again, three times."""
    named = {"TCP_KEEPIDLE": seconds, "TCP_KEEPINTVL": seconds, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in named.items() if hasattr(socket, name)}


@contextmanager
def _connecting() -> Iterator[None]:
    """Errors of connecting are not those of a command that was sent."""
    try:
        yield
    except (RedisError, OSError) as error:
        raise Unreachable(str(error) or type(error).__name__) from error


class TcpConnection(Connection):
    """A connection that says whether it could be made."""

    async def connect(self) -> None:
        with _connecting():
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py


class SocketConnection(UnixDomainSocketConnection):
    """The same at a path of this machine."""

    async def connect(self) -> None:
        with _connecting():
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py


class DomainConnection(SSLConnection):
    """The same with the certificates of a TLS domain, which may be loaded again: each time it is asked for anew."""

    def __init__(self, *, tls: Callable[[], ssl.SSLContext], **more: Any) -> None:
        super().__init__(**more)
        self._tls = tls

    async def connect(self) -> None:
        with _connecting():
            if not self.is_connected:
                self.ssl_context.context = self._tls()
            await super().connect()  # type: ignore[no-untyped-call]  # redis-py
