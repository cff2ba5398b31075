"""Events on their way to who wants them: a queue with an end.

The connection's reader puts events in and goes on reading, replies being behind them.  One event is handed over in
each turn of the loop, so that a storm of events holds up nobody; what comes when the queue is full is dropped,
counted and logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from typing import Final

from ...esl import Event
from ...freeswitch_service import FreeswitchSocket, Listener

log = logging.getLogger("miscript.freeswitch")

MAX_WAITING: Final = 10_000
"""Events that may wait to be handed over."""

MAX_WAITING_SIZE: Final = 64 * 1024 * 1024
"""Characters of all of them."""


class Deliveries:
    """The events of all sockets."""

    def __init__(self, limit: int = MAX_WAITING) -> None:
        self._limit = limit
        self._waiting: deque[tuple[Listener, FreeswitchSocket, Event]] = deque()
        self._size = 0
        self._some = asyncio.Event()
        self._dropped = 0

    def put(self, listener: Listener, socket: FreeswitchSocket, event: Event) -> bool:
        """Let `listener` have an event soon; False when there are too many already."""
        if len(self._waiting) >= self._limit or self._size > MAX_WAITING_SIZE:
            if not self._dropped:
                log.error("%d events of FreeSWITCH wait; those that come now are dropped", len(self._waiting))
            self._dropped += 1
            return False
        self._waiting.append((listener, socket, event))
        self._size += len(event.text)
        self._some.set()
        return True

    async def run(self) -> None:
        """Hand over until cancelled.  A listener that fails is logged, and the others go on."""
        while True:
            await self._some.wait()
            self._some.clear()
            while self._waiting:
                listener, socket, event = self._waiting.popleft()
                self._size -= len(event.text)
                try:
                    listener(socket, event)
                except Exception:
                    log.exception("a listener of FreeSWITCH's event %s failed", event.name)
                await asyncio.sleep(0)
            if self._dropped:
                log.warning("%d events of FreeSWITCH were dropped", self._dropped)
                self._dropped = 0
