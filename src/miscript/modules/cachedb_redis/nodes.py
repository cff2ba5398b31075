"""One Redis server: its connection, which is made when it is needed, and what is known of it.

Source: OpenSIPS manual, module cachedb_redis; Redis Cluster specification (ASK).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from ...errors import ConfigurationError
from .connection import Connection, Login, Place, Reply, Unreachable, Word, connect

MAX_ALONE: Final = 32
"""Commands with a connection of their own, of one server; who needs one more waits for it."""

NEVER: Final = -1


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
        self._login = login
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[Connection] | None = None
        self._alone = asyncio.Semaphore(MAX_ALONE)

    @property
    def is_connected(self) -> bool:
        return self._connection is not None and self._connection.is_open

    def send(self, words: Sequence[Word]) -> asyncio.Future[Reply]:
        """Send a command on the connection that is there; its reply, or a RedisFailure.  Raises Unreachable."""
        if self._connection is None:
            raise Unreachable("there is no connection")
        return self._connection.send(words)

    async def ask(self, words: Sequence[Word], *, asking: bool = False, alone: bool = False) -> Reply:
        """Send a command and wait for its reply.  Raises RedisFailure.

        `asking`: the key is on its way to this server (ASK).  `alone`: on a connection of its own, which is closed
        afterwards.
        """
        if alone:
            return await self._ask_alone(words, asking)
        connection = self._connection
        if connection is None or not connection.is_open:
            connection = await self._connected()
        return await _sent(connection, words, asking)

    async def _ask_alone(self, words: Sequence[Word], asking: bool) -> Reply:
        async with self._alone:
            connection = await connect(self._login, self.place, self.path)
            try:
                return await _sent(connection, words, asking)
            finally:
                connection.close()

    async def _connected(self) -> Connection:
        """The connection; all who need it wait for one attempt to make it.  Raises RedisFailure."""
        task = self._connecting
        if task is None:
            task = self._connecting = asyncio.create_task(self._connect(), name=f"connecting to {self.place}")
            task.add_done_callback(lambda done: done.cancelled() or done.exception())  # it may be that nobody waits
        return await asyncio.shield(task)

    async def _connect(self) -> Connection:
        try:
            connection = self._connection = await connect(self._login, self.place, self.path)
            return connection
        finally:
            self._connecting = None

    async def retire(self) -> None:
        """End the connection when what was sent is answered."""
        if self._connection is not None:
            await self._connection.drained()
        await self.close()

    async def close(self) -> None:
        """End the connection, and an attempt to make one."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._connection is not None:
            self._connection.close()


def _sent(connection: Connection, words: Sequence[Word], asking: bool) -> asyncio.Future[Reply]:
    if asking:
        connection.send(("ASKING",)).add_done_callback(lambda done: done.cancelled() or done.exception())
    return connection.send(words)


def require_redis() -> None:
    """Raises ConfigurationError when hiredis is missing."""
    import importlib.util

    if importlib.util.find_spec("hiredis") is None:
        raise ConfigurationError("cachedb_redis needs the package hiredis", help="pip install 'miscript[redis]'")
