"""One server's event socket: connected, lost and connected again for as long as somebody holds it.

```
            ┌────────────── pause_after(failures) ──────────────┐
            ▼                                                   │
       CONNECTING ──logged in──▶ CONNECTED ──lost──────────────▶ DOWN ──nobody holds it──▶ gone
            └──────────── refused, too slow ────────────────────▲
```

While it is connected, one task reads and one keeps the server's subscriptions as they are wanted.  Replies belong to
commands by their order: a command that is given up leaves its place in the queue, so that its late reply is thrown
away and not taken for another's.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import socket as sockets
import uuid
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, assert_never

from ...esl import (
    Accepted,
    AuthRequest,
    Denied,
    EslError,
    Event,
    EventSocketAddress,
    Farewell,
    Reply,
    Session,
    Subscription,
)
from ...esl import commands as write
from ...freeswitch_service import FreeswitchError, FreeswitchSocket, Heartbeat, Listener
from ...services import Clock
from .backoff import pause_after
from .heartbeats import NAME as HEARTBEAT
from .heartbeats import heartbeat_in
from .interests import Interests

log = logging.getLogger("miscript.freeswitch")

MAX_COMMANDS: Final = 1000
"""Commands that may wait for their replies on one connection."""

MAX_EVENTS: Final = 1000
"""Different events that may be wanted of one server."""

RECEIVE_SIZE: Final = 65536
ITEMS_PER_TURN: Final = 100
"""What one turn of the loop takes from a connection; then others have theirs."""

RETRY_SECONDS: Final = 5.0
"""Until the server is asked once more for an event that it refused."""

SILENT_SECONDS: Final = 60
"""A peer that is gone without a word is found out in about this time (TCP keepalive)."""

BACKGROUND_JOB: Final = "BACKGROUND_JOB"


class State(Enum):
    """Where a link is in its life."""

    CONNECTING = "connecting"
    CONNECTED = "connected"
    DOWN = "down"
    GONE = "gone"


class Lost(Exception):
    """The connection is over; the text says why."""


@dataclass(frozen=True, slots=True)
class Limits:
    """Seconds that a connection, with its login, and a command may take."""

    connect: float
    command: float


Deliver = Callable[[Listener, FreeswitchSocket, Event], object]


class Link:
    """The event socket of one server (`freeswitch_service.FreeswitchSocket`).  `run` is its life."""

    def __init__(self, address: EventSocketAddress, clock: Clock, limits: Limits, deliver: Deliver) -> None:
        self.address = address
        self.provisioned = 0
        """How many tables say how to log in here."""
        self.references = 0
        self.idle_since = clock.monotonic()
        self.state = State.CONNECTING
        self.heartbeat: Heartbeat | None = None
        self.failures = 0
        """Attempts to connect that failed since the last that did not."""
        self.commanded = False
        """Whether it has run a command."""
        self._clock = clock
        self._limits = limits
        self._deliver = deliver
        self._interests = Interests()
        self._refused: set[Subscription] = set()
        self._changed = asyncio.Event()
        self._wake = asyncio.Event()
        self._settled = asyncio.Event()
        self._trouble = ""
        self._synchronising = asyncio.Lock()
        self._writer: asyncio.StreamWriter | None = None
        self._waiting: deque[asyncio.Future[str]] = deque()
        self._jobs: dict[str, asyncio.Future[str]] = {}

    def __str__(self) -> str:
        return str(self.address)

    @property
    def host(self) -> str:
        return self.address.host

    @property
    def port(self) -> int:
        return self.address.port

    @property
    def connected(self) -> bool:
        return self.state is State.CONNECTED

    @property
    def lingers(self) -> bool:
        """Whether it stays when nobody holds it: for the next command, or for the rest of its pause, while which
        commands fail at once."""
        return self.state is State.DOWN or (self.connected and self.commanded)

    @property
    def waiting(self) -> int:
        """How many commands have no reply yet, those that were given up counted."""
        return len(self._waiting)

    # -- what others ask ---------------------------------------------------------------------------------------

    def log_in_as(self, user: str, password: str) -> None:
        """User and password for the next connection; without a password the old one stays."""
        new = replace(self.address, user=user, password=password or self.address.password)
        if new != self.address:
            self.address = new
            self.failures = 0
            self._wake.set()

    def subscribe(self, who: str, events: Iterable[str], listener: Listener | None = None) -> None:
        if len(self._interests) >= MAX_EVENTS:
            raise EslError(f"{self}: {MAX_EVENTS} different events are wanted already")
        self._interests.add(who, events, listener)
        self._changed.set()

    def unsubscribe(self, who: str, events: Iterable[str]) -> None:
        self._interests.remove(who, events)
        self._changed.set()

    async def command(self, text: str) -> str:
        try:
            data = write.command(text)
        except EslError as error:
            raise FreeswitchError(str(error)) from None
        await self._connection()
        self.commanded = True
        return await self._ask(data)

    async def background(self, text: str, seconds: float) -> str:
        job = str(uuid.uuid4())
        try:
            data = write.background(text, job)
        except EslError as error:
            raise FreeswitchError(str(error)) from None
        who = f"job {job}"
        done: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._jobs[job] = done
        self.subscribe(who, (BACKGROUND_JOB,))
        try:
            async with self._clock.timeout(seconds):
                await self._connection()
                await self._synchronise()  # the event must not come before it is asked for
                reply = Reply(await self._ask(data))
                if reply.refused:
                    raise FreeswitchError(f"{self}: the job was refused: {reply.text}")
                return await done
        except TimeoutError:
            raise FreeswitchError(f"{self}: the job did not end within {seconds:g} s") from None
        finally:
            del self._jobs[job]
            done.cancel()
            self.unsubscribe(who, (BACKGROUND_JOB,))

    async def _connection(self) -> None:
        """Wait for the attempt to connect that is under way.  Raises FreeswitchError when there is no connection."""
        if self.state is State.CONNECTING:
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(self._limits.connect):
                    await self._settled.wait()
        if self.state is not State.CONNECTED:
            raise FreeswitchError(f"{self}: not connected" + (f": {self._trouble}" if self._trouble else ""))

    async def _ask(self, data: bytes) -> str:
        """The reply to a command.  Raises FreeswitchError: lost, too slow, too many waiting."""
        if self._writer is None:
            raise FreeswitchError(f"{self}: not connected")
        if len(self._waiting) >= MAX_COMMANDS:
            raise FreeswitchError(f"{self}: {MAX_COMMANDS} commands wait for their replies")
        reply: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._waiting.append(reply)
        self._writer.write(data)
        try:
            async with self._clock.timeout(self._limits.command):
                return await reply
        except TimeoutError:
            raise FreeswitchError(f"{self}: no reply within {self._limits.command:g} s") from None

    # -- its life ----------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Connect, serve, connect again; ends when it is down and nobody holds it."""
        try:
            while True:
                self._wake.clear()
                attempted = self._clock.monotonic()
                await self._connect_and_serve()
                if not self.references and not self.failures:
                    return
                left = attempted + pause_after(self.failures) - self._clock.monotonic()
                with contextlib.suppress(TimeoutError):
                    async with self._clock.timeout(max(0.0, left)):
                        await self._wake.wait()
                if not self.references:
                    return
        finally:
            self._down(State.GONE, "closed")

    async def _connect_and_serve(self) -> None:
        self.state = State.CONNECTING
        self._settled.clear()
        try:
            async with self._clock.timeout(self._limits.connect):
                reader, session = await self._log_in()
        except TimeoutError:
            self._failed(f"no connection within {self._limits.connect:g} s")
        except (OSError, EslError, Lost) as error:
            self._failed(str(error) or type(error).__name__)
        else:
            await self._serve(reader, session)

    def _failed(self, trouble: str) -> None:
        if trouble != self._trouble or not self.failures:
            log.error("FreeSWITCH at %s cannot be reached: %s", self, trouble)
        self.failures += 1
        self._down(State.DOWN, trouble)

    def _down(self, state: State, trouble: str) -> None:
        """There is no connection: everyone who waits is told."""
        self.state = state
        self._trouble = trouble
        self.heartbeat = None
        self._interests.disconnected()
        self._refused.clear()
        writer, self._writer = self._writer, None
        if writer is not None:
            writer.transport.abort()  # what is not sent yet has nobody who waits for its reply
        waiting, self._waiting = self._waiting, deque()
        for future in (*waiting, *self._jobs.values()):
            if not future.done():
                future.set_exception(FreeswitchError(f"{self}: the connection was lost: {trouble}"))
                future.exception()  # said to whoever waits; no complaint when nobody does
        self._settled.set()

    async def _log_in(self) -> tuple[asyncio.StreamReader, Session]:
        """A connection that takes commands.  Raises OSError, EslError, Lost."""
        reader, writer = await asyncio.open_connection(self.host, self.port, limit=RECEIVE_SIZE)
        self._writer = writer
        _watch(writer)
        session = Session()
        while True:
            match session.next_item():
                case None:
                    session.receive(await _some(reader))
                case AuthRequest():
                    writer.write(write.login(self.address))
                case Accepted():
                    return reader, session
                case Denied(reason) | Farewell(reason):
                    raise Lost(f"login refused: {reason}")

    async def _serve(self, reader: asyncio.StreamReader, session: Session) -> None:
        """Read and keep the subscriptions until the connection is lost."""
        self.failures = 0
        self._trouble = ""
        self.state = State.CONNECTED
        self._settled.set()
        log.info("connected to FreeSWITCH at %s", self)
        keeper = asyncio.ensure_future(self._keep_subscriptions())
        trouble = "closed"
        try:
            await self._read(reader, session)
        except (OSError, EslError, Lost) as error:
            trouble = str(error) or type(error).__name__
            log.error("the connection to FreeSWITCH at %s is lost: %s", self, trouble)
        finally:
            self._down(State.DOWN, trouble)
            keeper.cancel()
            await asyncio.wait((keeper,))
            if not keeper.cancelled() and (failure := keeper.exception()) is not None:
                log.error("the subscriptions at %s were not kept", self, exc_info=failure)

    async def _read(self, reader: asyncio.StreamReader, session: Session) -> None:
        taken = 0
        while True:
            match session.next_item():
                case None:
                    session.receive(await _some(reader))
                case Reply(text):
                    self._replied(text)
                case Event() as event:
                    self._happened(event)
                case Farewell(reason) | Denied(reason):
                    raise Lost(reason)
                case Accepted() | AuthRequest():
                    raise EslError("a second login")
                case other:
                    assert_never(other)
            taken += 1
            if taken % ITEMS_PER_TURN == 0:
                await asyncio.sleep(0)

    def _replied(self, text: str) -> None:
        if not self._waiting:
            raise EslError("a reply without a command")
        future = self._waiting.popleft()
        if not future.done():
            future.set_result(text)

    def _happened(self, event: Event) -> None:
        if event.name == HEARTBEAT:
            try:
                self.heartbeat = heartbeat_in(event, self._clock.monotonic())
            except ValueError as error:
                log.error("a heartbeat of FreeSWITCH at %s: %s", self, error)
        elif event.name == BACKGROUND_JOB:
            job = self._jobs.get(event.header("Job-UUID") or "")
            if job is not None and not job.done():
                job.set_result(event.body)
        for listener in self._interests.listeners(event):
            self._deliver(listener, self, event)

    # -- subscriptions -----------------------------------------------------------------------------------------

    async def _keep_subscriptions(self) -> None:
        """Ask the server for what is wanted, and again for what it refused; ends with the connection."""
        while True:
            self._changed.clear()
            with contextlib.suppress(FreeswitchError):
                await self._synchronise()
            again = RETRY_SECONDS if self._interests.missing() or self._interests.surplus() else None
            with contextlib.suppress(TimeoutError):
                async with self._clock.timeout(again):
                    await self._changed.wait()

    async def _synchronise(self) -> None:
        """Tell the server what it has not been told yet.  Raises FreeswitchError when it gives no reply."""
        async with self._synchronising:
            await self._end_surplus()
            await self._ask_for_missing()

    async def _end_surplus(self) -> None:
        for each in self._interests.surplus():
            reply = Reply(await self._ask(write.unsubscribe(each)))
            if reply.refused:
                log.warning("FreeSWITCH at %s does not end '%s': %s", self, each, reply.text)
            else:
                log.info("FreeSWITCH at %s: unsubscribed from '%s'", self, each)
            self._interests.ended(each)

    async def _ask_for_missing(self) -> None:
        for each in self._interests.missing():
            reply = Reply(await self._ask(write.subscribe(each)))
            if not reply.refused:
                self._interests.asked(each)
                self._refused.discard(each)
                log.info("FreeSWITCH at %s: subscribed to '%s'", self, each)
            elif each not in self._refused:
                self._refused.add(each)
                log.error("FreeSWITCH at %s refuses '%s', it is asked again: %s", self, each, reply.text)


async def _some(reader: asyncio.StreamReader) -> bytes:
    data = await reader.read(RECEIVE_SIZE)
    if not data:
        raise Lost("closed by the other end")
    return data


def _watch(writer: asyncio.StreamWriter) -> None:
    """Let the system find out when the peer is gone without a word."""
    here = writer.get_extra_info("socket")
    if here is None:
        return
    here.setsockopt(sockets.SOL_SOCKET, sockets.SO_KEEPALIVE, 1)
    for option, value in (("TCP_KEEPIDLE", SILENT_SECONDS // 2), ("TCP_KEEPINTVL", SILENT_SECONDS // 6)):
        if hasattr(sockets, option):
            here.setsockopt(sockets.IPPROTO_TCP, getattr(sockets, option), value)
    if hasattr(sockets, "TCP_KEEPCNT"):
        here.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_KEEPCNT, 3)
