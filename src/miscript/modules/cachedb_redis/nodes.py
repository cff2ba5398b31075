"""One Redis server: a pool of connections, and what is known of it.

Source: redis-py (`redis.asyncio`); Redis Cluster specification (redirections).
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from ...errors import ConfigurationError

if TYPE_CHECKING:
    from redis.asyncio import Redis

Reply: TypeAlias = Any
"""What Redis answers: bytes, numbers, None, and lists of them."""

MAX_CONNECTIONS: Final = 32
"""Connections to one server; who needs one more waits for it."""

NEVER: Final = -1
Place: TypeAlias = tuple[str, int]


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


class Node:
    """A server at a place, or at a path of this machine."""

    def __init__(self, login: Login, place: Place, path: str = "") -> None:
        self.place = place
        self.path = path
        self.queries = 0
        self.errors = 0
        self.moved = 0
        self.last_used: float | None = None
        """When it last answered, on the monotonic clock."""
        self.reachable = False
        self._client = _client(login, place, path)

    async def ask(self, words: Sequence[bytes | str | int], *, asking: bool = False) -> Reply:
        """Send a command and wait for its reply.  Raises redis.RedisError, OSError.

        `asking`: the key is on its way to this server (ASK).
        """
        if not asking:
            reply: Reply = await self._client.execute_command(*words)  # type: ignore[no-untyped-call]  # redis-py
            return reply
        async with self._client.pipeline(transaction=False) as pipe:
            pipe.execute_command("ASKING")
            pipe.execute_command(*words)
            return (await pipe.execute())[-1]

    async def close(self) -> None:
        await self._client.aclose()
        await self._client.connection_pool.disconnect()


def _client(login: Login, place: Place, path: str) -> Redis:
    from redis.asyncio import BlockingConnectionPool, Connection, Redis, UnixDomainSocketConnection
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    more: dict[str, Any] = {
        "username": login.user or None,
        "password": login.password or None,
        "db": login.database,
        "socket_timeout": login.query_seconds,
        "socket_connect_timeout": login.connect_seconds,
        "retry": Retry(NoBackoff(), 0),
    }
    if path:
        more |= {"connection_class": UnixDomainSocketConnection, "path": path}
        del more["socket_connect_timeout"]
    else:
        more |= {"connection_class": Connection, "host": place[0], "port": place[1]}
        if login.keepalive:
            more |= {"socket_keepalive": True, "socket_keepalive_options": _keepalive(login.keepalive)}
        if login.tls is not None:
            more |= {"connection_class": _tls_connection(), "tls": login.tls}
    pool = BlockingConnectionPool(
        max_connections=MAX_CONNECTIONS, timeout=login.connect_seconds + login.query_seconds, **more
    )
    return Redis(connection_pool=pool)


def _keepalive(seconds: int) -> dict[int, int]:
    """Options of a TCP socket: probe after `seconds`, and again, three times."""
    named = {"TCP_KEEPIDLE": seconds, "TCP_KEEPINTVL": seconds, "TCP_KEEPCNT": 3}
    return {getattr(socket, name): value for name, value in named.items() if hasattr(socket, name)}


def _tls_connection() -> type:
    """A class of connections whose certificates are those of a TLS domain."""
    from redis.asyncio import SSLConnection

    class DomainConnection(SSLConnection):
        """Asks for the domain each time it connects: it may have been loaded again."""

        def __init__(self, *, tls: Callable[[], ssl.SSLContext], **more: Any) -> None:
            super().__init__(**more)
            self._tls = tls

        def _connection_arguments(self) -> Any:
            self.ssl_context.context = self._tls()
            return super()._connection_arguments()

    return DomainConnection


def require_redis() -> None:
    """Raises ConfigurationError when redis-py is missing."""
    import importlib.util

    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError("cachedb_redis needs the package redis", help="pip install 'miscript[redis]'")
