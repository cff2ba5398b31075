"""One Redis server: what it is asked goes out in batches, and what is known of it.

What comes in one turn of the loop is one pipeline of redis-py.  A few batches are under way at a time, each on its
connection, so that a slow command does not hold up all others; what comes meanwhile gathers for the next batch.  A
caller that has gone takes nothing from the others of its batch.

Source: OpenSIPS manual, module cachedb_redis; Redis pipelining; Redis Cluster specification (ASK).
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import ConnectionError as Broken
from redis.exceptions import InvalidResponse
from redis.exceptions import TimeoutError as Silent

from .client import Login, Overloaded, Place, Reply, Unreachable, Word, close_client, redis_client

MAX_BATCHES: Final = 4
"""Batches under way to one server, which is the number of its connections."""

MAX_BATCH: Final = 512
"""Commands of one batch."""

MAX_WAITING: Final = 50_000
"""Commands for one server that are in no batch yet."""

MAX_ALONE: Final = 32
"""Commands with a connection of their own, of one server; who needs one more waits for it."""

ASKING: Final = b"ASKING"


@dataclass(frozen=True, slots=True)
class Asked:
    """One command and who waits for its reply."""

    words: Sequence[Word]
    asking: bool
    reply: asyncio.Future[Reply]


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
        self._batch_seconds = login.connect_seconds + login.query_seconds
        self._client = redis_client(login, place, path)
        self._waiting: deque[Asked] = deque()
        self._batches: dict[asyncio.Task[None], list[Asked]] = {}
        self._is_to_send = False
        self._is_closed = False
        self._alone = asyncio.Semaphore(MAX_ALONE)

    async def ask(self, words: Sequence[Word], *, asking: bool = False, alone: bool = False) -> Reply:
        """Send a command and wait for its reply.  Raises redis.RedisError, OSError.

        Of these, Unreachable and Overloaded say that it was not sent.

        `asking`: the key is on its way to this server (ASK).  `alone`: on a connection of its own, which is closed
        afterwards.
        """
        if self._is_closed:
            raise Unreachable("the connection is closed")
        if alone:
            return await self._ask_alone(words, asking)
        if len(self._waiting) >= MAX_WAITING:
            raise Overloaded(f"{MAX_WAITING} commands wait to be sent")
        loop = asyncio.get_running_loop()
        reply: asyncio.Future[Reply] = loop.create_future()
        self._waiting.append(Asked(words, asking, reply))
        if not self._is_to_send and len(self._batches) < MAX_BATCHES:
            self._is_to_send = True
            loop.call_soon(self._send)
        return await reply

    async def _ask_alone(self, words: Sequence[Word], asking: bool) -> Reply:
        async with self._alone:
            client = redis_client(self._login, self.place, self.path)
            try:
                return (await _replies(client, [(ASKING,), words] if asking else [words]))[-1]
            finally:
                await close_client(client)

    # -- batches -------------------------------------------------------------------------------------------------------

    def _send(self) -> None:
        """Send what waits, as far as it may go now."""
        self._is_to_send = False
        while self._waiting and len(self._batches) < MAX_BATCHES:
            batch: list[Asked] = []
            while self._waiting and len(batch) < MAX_BATCH:
                asked = self._waiting.popleft()
                if not asked.reply.done():  # its caller waits still
                    batch.append(asked)
            if batch:
                task = asyncio.create_task(self._run(batch), name=f"asking {self.path or self.place}")
                self._batches[task] = batch
                task.add_done_callback(self._ended)

    async def _run(self, batch: list[Asked]) -> None:
        """Send a batch, and give everybody the reply or the error."""
        commands: list[Sequence[Word]] = []
        for asked in batch:
            if asked.asking:
                commands.append((ASKING,))
            commands.append(asked.words)
        try:
            async with asyncio.timeout(self._batch_seconds):
                replies = iter(await _replies(self._client, commands))
        except TimeoutError:
            _fail(batch, Silent(f"no reply within {self._batch_seconds:g} s"))
        except Exception as error:  # whatever it is, nobody of the batch gets a reply
            _fail(batch, error)
        else:
            for asked in batch:
                if asked.asking:
                    next(replies)
                _answer(asked, next(replies))

    def _ended(self, task: asyncio.Task[None]) -> None:
        batch = self._batches.pop(task)
        _fail(batch, Broken("the connection is closed"))  # those of a batch that was stopped
        self._send()

    async def retire(self) -> None:
        """End the connections when all that was asked is answered."""
        while self._waiting or self._batches:
            self._send()
            if self._batches:
                await asyncio.wait(self._batches)
        await self.close()

    async def close(self) -> None:
        """End the connections; who waits gets an error."""
        self._is_closed = True
        waiting, self._waiting = list(self._waiting), deque()
        _fail(waiting, Unreachable("the connection is closed"))
        for task in self._batches:
            task.cancel()
        if self._batches:
            await asyncio.wait(self._batches)
        await close_client(self._client)


async def _replies(client: Redis, commands: Sequence[Sequence[Word]]) -> list[Reply]:
    """The reply, or ResponseError, to each command.  Raises RedisError, OSError when there is none to any."""
    try:
        if len(commands) == 1:
            return [await client.execute_command(*commands[0])]  # type: ignore[no-untyped-call]  # redis-py
        async with client.pipeline(transaction=False) as pipe:
            for words in commands:
                pipe.execute_command(*words)
            return await pipe.execute(raise_on_error=False)
    except ValueError as error:  # of a redirection that redis-py cannot read
        raise InvalidResponse(f"this is no reply of Redis: {error}") from error


def _answer(asked: Asked, reply: Reply) -> None:
    if asked.reply.done():
        return
    if isinstance(reply, Exception):
        asked.reply.set_exception(reply)
    else:
        asked.reply.set_result(reply)


def _fail(batch: Sequence[Asked], why: Exception) -> None:
    for asked in batch:
        _answer(asked, why)
