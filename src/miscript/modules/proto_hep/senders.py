"""Sending frames to a collector over UDP and TCP.

`send` takes a frame and returns at once; sockets are opened with the first one, inside the loop that runs then.
What cannot go out now waits in a `Backlog`.  A lost collector is tried again at least once a second while packets
wait, so that they follow within a second of its return.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import socket
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Final, Protocol

from ...services import Counter
from .backlog import Backlog, Drop, Health
from .sockets import LocalSocket

log = logging.getLogger("miscript.proto_hep")

FIRST_PAUSE: Final = 0.05
LONGEST_PAUSE: Final = 0.5
CONNECT_SECONDS: Final = 2.0
"""How long one attempt may take: the system repeats a lost SYN after one second, and three."""

LINGER_SECONDS: Final = 1.0
BATCH: Final = 64
RECEIVE_SIZE: Final = 65536
UDP_SEGMENT: Final = 103
"""Linux' option for datagrams that are sent together (udp(7)); Python has no name for it."""
LARGEST_TOGETHER: Final = 1000
"""Bytes of a frame that may go together with others: a batch of them is less than the longest datagram, and each one
is less than what any network carries in one piece."""


class Sender(Protocol):
    """Carries frames to one collector."""

    backlog: Backlog

    def send(self, frame: bytes) -> None:
        """Send `frame` now or later; never waits."""

    async def stop(self) -> None:
        """Send what waits, if it can be done within a second, and close."""


@dataclass(frozen=True, slots=True)
class Collector:
    """Where a sender sends to, from which address, and who is told what became of the packets."""

    host: str
    port: int
    local: LocalSocket
    health: Health
    sent: Counter
    dropped: Callable[[Drop, int], None]
    """Called with a reason and a number of packets."""


class _Sender:
    """What UDP and TCP have in common: the task that opens a socket, with its pauses, and the end."""

    kind: socket.SocketKind

    def __init__(self, collector: Collector, backlog: Backlog, give_up_seconds: float) -> None:
        self.collector = collector
        self.backlog = backlog
        self._give_up_seconds = give_up_seconds
        self._socket: socket.socket | None = None
        self._opening: asyncio.Task[None] | None = None
        self._blocked = False
        self._due = False
        self._stopping = False
        self._binds = True
        self._told = False
        self._empty = asyncio.Event()

    # -- opening ----------------------------------------------------------------------------------------------

    def _open_later(self) -> None:
        if self._opening is None and not self._stopping:
            self._opening = asyncio.get_running_loop().create_task(self._open(), name="open a HEP connection")
            self._opening.add_done_callback(self._opened_or_broken)

    def _opened_or_broken(self, task: asyncio.Task[None]) -> None:
        self._opening = None
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s: opening a socket broke", self.collector.health.label, exc_info=error)

    async def _open(self) -> None:
        pause = 0.0
        while self.backlog:
            try:
                async with asyncio.timeout(CONNECT_SECONDS):
                    self._socket = await self._reached()
            except TimeoutError:
                self.collector.health.failed("no answer")
            except OSError as error:
                self.collector.health.failed(error.strerror or str(error))
                pause = min(2 * pause or FIRST_PAUSE, LONGEST_PAUSE)
                await asyncio.sleep(pause)
            else:
                self._established(self._socket)
                return

    async def _reached(self) -> socket.socket:
        """A socket that frames can be sent over.  Raises OSError."""
        return await self._connected()

    async def _connected(self) -> socket.socket:
        """A socket connected to the collector, whose name is looked up each time."""
        loop = asyncio.get_running_loop()
        collector = self.collector
        found = await loop.getaddrinfo(collector.host, collector.port, type=self.kind)
        problem: OSError = OSError("the name has no address")
        for family, kind, protocol, _, address in found:
            here = socket.socket(family, kind, protocol)
            try:
                self._prepare(here)
                await loop.sock_connect(here, address)
            except OSError as error:
                here.close()
                if self._own_address_is_at_fault(error):
                    return await self._connected()
                problem = error
            except BaseException:
                here.close()
                raise
            else:
                return here
        raise problem

    def _prepare(self, here: socket.socket) -> None:
        here.setblocking(False)
        udp = self.kind is socket.SOCK_DGRAM
        if udp and hasattr(socket, "SO_REUSEPORT"):  # several destinations may leave from one address
            here.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        problem = self.collector.local.bind(here, port=udp) if self._binds else None
        if problem is not None:
            self._tell(problem)

    def _tell(self, problem: str) -> None:
        if not self._told:
            self._told = True
            label = self.collector.health.label
            log.warning("%s: packets leave from another address than the socket's: %s", label, problem)

    def _own_address_is_at_fault(self, error: OSError) -> bool:
        """Whether a connection failed because of where it was to come from; then we do without that address."""
        if error.errno != errno.EINVAL or not self._binds:
            return False
        self._binds = False  # from loopback there is no way to other machines
        self._tell(f"there is no way from '{self.collector.local.host}' to the collector")
        return True

    def _established(self, here: socket.socket) -> None:
        self._flush()

    def _open_now(self) -> bool:
        """Open a socket without waiting, where that can be done."""
        return False

    # -- sending ----------------------------------------------------------------------------------------------

    def send(self, frame: bytes) -> None:
        """Send with what else comes in this turn of the loop: that spares calls of the system, or wakes the other
        side less often."""
        self.backlog.add(frame)
        if self._blocked:
            return
        if self._socket is None and not self._open_now():
            self._open_later()
        elif len(self.backlog) >= BATCH:
            self._flush()
        elif not self._due:
            self._due = True
            asyncio.get_running_loop().call_soon(self._flush_due)

    def _flush_due(self) -> None:
        self._due = False
        if self._socket is not None and not self._blocked:
            self._flush()

    def _flush(self) -> None:
        raise NotImplementedError

    def _wait_until_writable(self, here: socket.socket) -> None:
        if not self._blocked:
            self._blocked = True
            asyncio.get_running_loop().add_writer(here.fileno(), self._writable)

    def _writable(self) -> None:
        self._no_longer_blocked()
        self._flush()

    def _no_longer_blocked(self) -> None:
        if self._blocked and self._socket is not None:
            asyncio.get_running_loop().remove_writer(self._socket.fileno())
        self._blocked = False

    def _close(self) -> None:
        self._no_longer_blocked()
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    def _all_sent(self) -> None:
        if self._stopping:
            self._empty.set()

    def _unsent(self) -> bool:
        """Whether anything still waits."""
        return bool(self.backlog)

    # -- the end ----------------------------------------------------------------------------------------------

    async def stop(self) -> None:
        self._flush_due()
        self._stopping = True
        if self._unsent() and self.collector.health.problem is None:
            try:
                async with asyncio.timeout(LINGER_SECONDS):
                    await self._empty.wait()
            except TimeoutError:
                pass
        if self._opening is not None:
            self._opening.cancel()
        self._close()
        self.backlog.clear(Drop.STOPPED)


class UdpSender(_Sender):
    """One datagram for each frame.

    The socket is connected, so the system tells when nobody listens: that costs the packets before.  When a whole
    batch waits, neighbours of one size are given to the system together, which cuts them apart again: most of what a
    datagram costs is the way into the system.
    """

    kind = socket.SOCK_DGRAM
    _cuts = sys.platform == "linux"
    """Whether the system cuts what it is given into datagrams."""
    _last = 1
    """Frames that were sent together the last time."""

    def _open_now(self) -> bool:
        try:
            address = ip_address(self.collector.host)
        except ValueError:  # a name, that has to be looked up
            return False
        here = socket.socket(socket.AF_INET if address.version == 4 else socket.AF_INET6, self.kind)
        try:
            self._prepare(here)
            here.connect((self.collector.host, self.collector.port))
        except OSError as error:
            here.close()
            return self._own_address_is_at_fault(error) and self._open_now()
        self._socket = here
        return True

    def _sent(self, here: socket.socket, frames: Sequence[bytes]) -> bool:
        """Send one frame, or several of one size; False when they have to wait."""
        collector = self.collector
        try:
            try:
                _send(here, frames)
            except ConnectionRefusedError as error:  # of the packets before; these have not been sent
                collector.health.failed(error.strerror or str(error))
                collector.sent.add(-self._last)
                collector.dropped(Drop.UNREACHABLE, self._last)
                self._last = 0
                _send(here, frames)
            else:
                if collector.health.problem is not None:
                    collector.health.calm()
        except ConnectionRefusedError:
            collector.dropped(Drop.UNREACHABLE, len(frames))
            return True
        except BlockingIOError:
            return False
        except OSError as error:
            if len(frames) > 1:
                self._cuts = False
            else:
                collector.health.failed(error.strerror or str(error))
                self._close()
            return False
        self._last = len(frames)
        collector.sent.add(self._last)
        return True

    def _batch(self) -> list[list[bytes]]:
        """The next frames, in groups that can be sent together: neighbours of one size, and a shorter one at the end.

        Frames stay in their order: whoever reads them takes a reply behind its request.
        """
        backlog = self.backlog
        if not self._cuts or len(backlog) < BATCH:
            return [[backlog.take()]]
        groups: list[list[bytes]] = []
        fitting = -1  # the size of the frames of the last group, while one more may follow
        for _ in range(BATCH):
            frame = backlog.take()
            size = len(frame)
            if size <= fitting:
                groups[-1].append(frame)
            else:
                groups.append([frame])
                fitting = size if size <= LARGEST_TOGETHER else -1
                continue
            if size < fitting:
                fitting = -1
        return groups

    def _flush(self) -> None:
        backlog = self.backlog
        while backlog:
            here = self._socket
            if here is None:
                self._open_later()
                return
            batch, cuts = self._batch(), self._cuts
            sent = 0
            while sent < len(batch) and self._sent(here, batch[sent]):
                sent += 1
            if sent < len(batch):
                for frames in reversed(batch[sent:]):
                    for frame in reversed(frames):
                        backlog.put_back(frame)
                if self._socket is not None and self._cuts == cuts:
                    self._wait_until_writable(here)
                    return
        self._all_sent()


def _send(here: socket.socket, frames: Sequence[bytes]) -> None:
    if len(frames) == 1:
        here.send(frames[0])
    else:
        here.sendmsg(frames, [(socket.SOL_UDP, UDP_SEGMENT, len(frames[0]).to_bytes(2, sys.byteorder))])


class TcpSender(_Sender):
    """All frames on one connection, several in one write.

    When it breaks, a frame that was sent in part goes out whole on the next one.
    """

    kind = socket.SOCK_STREAM

    def _prepare(self, here: socket.socket) -> None:
        super()._prepare(here)
        here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        here.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            milliseconds = round(self._give_up_seconds * 1000)
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, milliseconds)

    def _established(self, here: socket.socket) -> None:
        self.collector.health.reached()
        asyncio.get_running_loop().add_reader(here.fileno(), self._readable)
        self._flush()

    def _readable(self) -> None:
        """The collector never says anything; what can be read is the end of the connection."""
        here = self._socket
        if here is None:
            return
        try:
            if not here.recv(RECEIVE_SIZE):
                self._broken()
        except BlockingIOError:
            pass
        except OSError:
            self._broken()

    def _flush(self) -> None:
        here = self._socket
        if here is None:
            return
        try:
            while self.backlog:
                count = here.sendmsg(self.backlog.first(BATCH))
                whole = self.backlog.advance(count)
                if whole:
                    self.collector.sent.add(whole)
        except BlockingIOError:
            self._wait_until_writable(here)
        except OSError:
            self._broken()
        else:
            self._all_sent()

    def _broken(self) -> None:
        self._close()
        self.backlog.rewind()
        if self.backlog:
            self._open_later()

    def _close(self) -> None:
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
        super()._close()
