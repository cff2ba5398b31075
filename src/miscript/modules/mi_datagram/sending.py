"""Sending answers as datagrams.

A client's socket holds only so much.  What it has no room for waits here, in order, one queue for each client, and is
tried again until the client has taken nothing for the time that it is given; other clients notice nothing of it.
"""

from __future__ import annotations

import asyncio
import errno
import socket
from collections import deque
from collections.abc import Callable
from typing import Any, Final, TypeAlias, cast

from ...services import Clock, Tasks

Peer: TypeAlias = tuple[str, int] | tuple[str, int, int, int] | str | bytes

RETRY_SECONDS: Final = 0.005
CLOSING_SECONDS: Final = 1.0
"""How long a host that stops waits for clients to take their last answers."""
MAX_QUEUED: Final = 64 * 1024 * 1024
"""Bytes of answers that may wait, for all clients together."""
MAX_QUEUED_FOR_ONE: Final = MAX_QUEUED // 4
"""And for one of them."""

_NO_ROOM: Final = frozenset({errno.EAGAIN, errno.ENOBUFS})


class _Queue:
    """The answers that wait for one client, and how many bytes they are."""

    __slots__ = ("answers", "size")

    def __init__(self) -> None:
        self.answers: deque[bytes] = deque()
        self.size = 0


class Sender:
    """Sends through `door`, the socket that requests come in by.

    `patience` is in seconds; `lost(reason, count)` is called for answers that are given up.
    """

    def __init__(
        self, door: socket.socket, patience: float, clock: Clock, tasks: Tasks, lost: Callable[[str, int], None]
    ) -> None:
        self._door = door
        self._patience = patience
        self._clock = clock
        self._tasks = tasks
        self._lost = lost
        self._queues: dict[Peer, _Queue] = {}
        self._queued = 0

    def send(self, answer: bytes, peer: Peer) -> bool:
        """Send `answer`, now or later; False if no datagram can be that long."""
        queue = self._queues.get(peer)
        if queue is not None:
            self._keep(queue, answer)
            return True
        try:
            self._send_now(answer, peer)
        except OSError as error:
            if error.errno == errno.EMSGSIZE:
                return False
            if error.errno in _NO_ROOM:
                queue = self._queues[peer] = _Queue()
                self._keep(queue, answer)
                self._tasks.spawn(self._send_later(peer, queue), "mi_datagram")
            else:
                self._lost(error.strerror or str(error), 1)
        return True

    def _keep(self, queue: _Queue, answer: bytes) -> None:
        size = len(answer)
        if self._queued + size > MAX_QUEUED or queue.size + size > MAX_QUEUED_FOR_ONE:
            self._lost("too many answers wait", 1)
            return
        self._queued += size
        queue.size += size
        queue.answers.append(answer)

    async def _send_later(self, peer: Peer, queue: _Queue) -> None:
        """Send what waits for one client as it takes it.  Cancelled, it leaves the rest to `close`."""
        deadline = self._clock.monotonic() + self._patience
        while queue.answers:
            if self._send_next(peer, queue):
                deadline = self._clock.monotonic() + self._patience
            elif self._clock.monotonic() >= deadline:
                self._give_up(queue, "its client does not take it")
            else:
                await self._clock.sleep(RETRY_SECONDS)
        self._queues.pop(peer, None)

    def _send_next(self, peer: Peer, queue: _Queue) -> bool:
        """Send one answer of a queue; False while there is no room.  Nothing is left of it if there is no client."""
        try:
            self._send_now(queue.answers[0], peer)
        except OSError as error:
            if error.errno in _NO_ROOM:
                return False
            self._give_up(queue, error.strerror or str(error))
            return True
        size = len(queue.answers.popleft())
        self._queued -= size
        queue.size -= size
        return True

    def _give_up(self, queue: _Queue, reason: str) -> None:
        self._lost(reason, len(queue.answers))
        self._queued -= queue.size
        queue.answers.clear()
        queue.size = 0

    async def close(self) -> None:
        """Send what still waits, if its clients take it within `CLOSING_SECONDS`; what they leave is lost."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + CLOSING_SECONDS
        while self._queues and loop.time() < deadline:
            for peer, queue in list(self._queues.items()):
                while queue.answers and self._send_next(peer, queue):
                    pass
                if not queue.answers:
                    del self._queues[peer]
            if self._queues:
                await asyncio.sleep(RETRY_SECONDS)
        for queue in self._queues.values():
            self._give_up(queue, "the host is stopping")
        self._queues.clear()

    def _send_now(self, answer: bytes, peer: Peer) -> None:
        try:
            self._door.sendto(answer, cast(Any, peer))
        except BlockingIOError as full:
            if isinstance(peer, tuple):
                raise
            _send_aside(answer, peer, full)


def _send_aside(answer: bytes, peer: str | bytes, full: BlockingIOError) -> None:
    """Send to a UNIX client from another socket.

    What a client has not read yet counts against the socket that sent it, so one client that does not read would
    keep the answers of all others back.  From a socket of its own the answer goes out unless the client itself is
    the one; one that is connected to the door takes it from nobody else.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC) as aside:
        try:
            aside.sendto(answer, peer)
        except PermissionError:
            raise full from None
