"""All event sockets of a host: one link for each server, shared by all who name it.

A link that nobody holds is closed, with one exception: one that has run a command stays connected for a while, because
scripts that run one will run the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Final, cast

from ...esl import EslError, EventSocketAddress
from ...freeswitch_service import FreeswitchError, FreeswitchSocket
from ...services import Services
from .deliveries import Deliveries
from .heartbeats import NAME as HEARTBEAT
from .link import Limits, Link

MAX_LINKS: Final = 1000
"""Servers that may be known at once: scripts can make addresses out of what the network sends."""

IDLE_SECONDS: Final = 86400.0
"""How long a connection that nobody holds is kept for the next command, as in the server."""

SWEEP_SECONDS: Final = 600.0


class LinkTable:
    """The links by host and port (`freeswitch_service.Freeswitch`)."""

    def __init__(self, services: Services, heartbeat_interval: int, limits: Limits) -> None:
        self.heartbeat_interval = heartbeat_interval
        self._services = services
        self._limits = limits
        self._links: dict[tuple[str, int], Link] = {}
        self._tasks: dict[Link, asyncio.Task[None]] = {}
        self._deliveries = Deliveries()
        self._deliverer: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return len(self._links)

    def acquire(self, address: EventSocketAddress | str, *, provisioned: bool = False) -> Link:
        if isinstance(address, str):
            address = EventSocketAddress.parse(address)
        link = self._links.get((address.host, address.port))
        if link is None:
            link = self._new(address)
        elif provisioned or not link.provisioned:
            link.log_in_as(address.user, address.password)
        link.provisioned += provisioned
        link.references += 1
        return link

    def release(self, socket: FreeswitchSocket) -> None:
        link = self._held(socket)
        link.references -= 1
        link.idle_since = self._services.clock.monotonic()
        if not link.references and not link.lingers:
            self._end(link)

    def provision_ended(self, socket: FreeswitchSocket) -> None:
        self._held(socket).provisioned -= 1

    def acquire_heartbeats(self, address: EventSocketAddress | str, who: str) -> Link:
        link = self.acquire(address)
        try:
            link.subscribe(who, (HEARTBEAT,))
        except EslError:
            self.release(link)
            raise
        return link

    def release_heartbeats(self, socket: FreeswitchSocket, who: str) -> None:
        socket.unsubscribe(who, (HEARTBEAT,))
        self.release(socket)

    async def close(self) -> None:
        """Close all connections and wait for that."""
        tasks = [*self._tasks.values(), *([self._deliverer] if self._deliverer is not None else [])]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)

    # -- links -------------------------------------------------------------------------------------------------

    def _held(self, socket: FreeswitchSocket) -> Link:
        assert isinstance(socket, Link) and socket.references > 0, "released more often than acquired"
        return socket

    def _new(self, address: EventSocketAddress) -> Link:
        if not address.password:
            raise FreeswitchError(f"{address}: a new socket needs a password")
        self._drop_idle()
        if len(self._links) >= MAX_LINKS:
            raise FreeswitchError(f"{address}: there are {MAX_LINKS} sockets already")
        if self._deliverer is None:
            self._deliverer = self._spawn(self._deliveries.run(), "events of FreeSWITCH")
            self._services.tasks.every(SWEEP_SECONDS, self._drop_idle, "close idle connections to FreeSWITCH")
        link = Link(address, self._services.clock, self._limits, self._deliveries.put)
        self._links[address.host, address.port] = link
        task = self._tasks[link] = self._spawn(link.run(), f"FreeSWITCH at {link}")
        task.add_done_callback(lambda done: self._ended(link))
        return link

    def _spawn(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        return cast("asyncio.Task[None]", self._services.tasks.spawn(work, name))

    def _drop_idle(self) -> None:
        """End what nobody has used for long; when there are too many, what nobody has used for longest."""
        idle = sorted((link for link in self._links.values() if not link.references), key=lambda link: link.idle_since)
        longest = self._services.clock.monotonic() - IDLE_SECONDS
        for number, link in enumerate(idle):
            if link.idle_since <= longest or (number == 0 and len(self._links) >= MAX_LINKS):
                self._end(link)

    def _end(self, link: Link) -> None:
        self._forget(link)
        if link in self._tasks:
            self._tasks[link].cancel()

    def _forget(self, link: Link) -> None:
        if self._links.get((link.host, link.port)) is link:
            del self._links[link.host, link.port]

    def _ended(self, link: Link) -> None:
        self._forget(link)
        self._tasks.pop(link, None)
