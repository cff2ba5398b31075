"""Channels to one node: kept open between calls, at most so many, one exchange at a time on each.

Because a channel carries one exchange at a time, an answer cannot meet the wrong call, even where servers answer
without an id; after a failure a channel is thrown away, and with it an answer that comes too late.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Protocol

from ..errors import ConnectError
from .exchange import Exchange, reason


class Channel(Protocol):
    """A way to a node that carries one exchange at a time."""

    @property
    def reusable(self) -> bool:
        """Whether it can carry another exchange."""

    async def ask(self, exchange: Exchange) -> bytes:
        """Send a message and return the bytes of the answer, nothing for a notification.

        Raises `ProtocolError`, and `OSError` where the system refuses.
        """

    def close(self) -> None:
        """Let go of everything."""


class Pool:
    """At most `limit` channels that `opening` makes; who comes when all are busy waits."""

    def __init__(self, opening: Callable[[], Awaitable[Channel]], where: str, limit: int) -> None:
        self._opening = opening
        self._where = where
        self._room = asyncio.Semaphore(limit)
        self._idle: list[Channel] = []
        self._closed = False

    async def ask(self, exchange: Exchange) -> bytes:
        """Carry `exchange`.

        Raises `ConnectError` when it was not sent, `ProtocolError` when the channel broke after that.
        """
        async with self._room:
            channel = await self._channel()
            try:
                answer = await channel.ask(exchange)
            except OSError as error:
                channel.close()
                raise exchange.failure(self._where, error) from None
            except BaseException:
                channel.close()
                raise
            if channel.reusable and not self._closed:
                self._idle.append(channel)
            else:
                channel.close()
            return answer

    async def _channel(self) -> Channel:
        if self._closed:
            raise ConnectError(f"{self._where}: the client is closed")
        while self._idle:
            channel = self._idle.pop()
            if channel.reusable:
                return channel
            channel.close()
        try:
            return await self._opening()
        except OSError as error:
            raise ConnectError(f"{self._where}: {reason(error)}") from None

    def close(self) -> None:
        """Close the idle channels now and the busy ones when they are done."""
        self._closed = True
        while self._idle:
            self._idle.pop().close()
