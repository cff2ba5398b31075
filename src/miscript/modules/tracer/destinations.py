"""Where traced messages go, except databases (`rows`): HEP collectors, SIP addresses, files, syslog."""

from __future__ import annotations

import logging
import os
import socket
import stat
import time
from collections import deque
from collections.abc import Callable
from typing import Final

from ...errors import ConfigurationError
from ...services import Counter, Services
from ...sip.sockets import Target, ip_address
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...trace import MessageDestination, MessageEvent
from .options import DEFAULT_PORT, Kind
from .records import Record

log = logging.getLogger("miscript.tracer")

MAX_WAITING: Final = 1000
"""Messages that wait until the name of a SIP destination is looked up."""

KNOWN_SECONDS: Final = 60.0
"""How long an address that was looked up is used."""

SYSLOG_SOCKET: Final = "/dev/log"


class Quiet:
    """What most destinations have nothing to do for."""

    def tell(self, event: MessageEvent) -> None:
        """Scripts are told of to collectors only."""

    async def prepare(self) -> None:
        """Nothing to open."""

    async def stop(self) -> None:
        """Nothing to close."""


class Trouble:
    """Counts what is lost, and says in the log once that something is and once that it is over."""

    def __init__(self, what: str, lost: Counter) -> None:
        self._what = what
        self._lost = lost
        self._told = False

    def over(self) -> None:
        """It works."""
        if self._told:
            self._told = False
            log.warning("%s takes traced messages again", self._what)

    def happened(self, error: object, count: int = 1) -> None:
        """So many messages are lost."""
        self._lost.add(count)
        if not self._told:
            self._told = True
            log.error("%s: traced messages are lost: %s", self._what, error)


class Collector(Quiet):
    """A collector of HEP packets."""

    kind = Kind.HEP

    def __init__(self, destination: MessageDestination) -> None:
        self._destination = destination

    @property
    def uri(self) -> str:
        return self._destination.address

    def write(self, record: Record, attributes: str, correlation: str | None) -> None:
        self._destination.send_message(record.event(correlation))

    def tell(self, event: MessageEvent) -> None:
        self._destination.send_message(event)


class SipAddress(Quiet):
    """Somebody who gets a copy of each message over UDP.

    `send` sends without being traced.  A name is looked up when it is first needed, and again a minute later.
    """

    kind = Kind.SIP

    def __init__(self, uri: SipUri, send: Callable[[bytes, Target], bool], services: Services, lost: Counter) -> None:
        self.uri = f"{uri.host}:{uri.port or ''}"
        self._where = SipUri.parse(f"sip:{uri.host}:{uri.port or DEFAULT_PORT}")
        self._send_copy = send
        self._sip = sip_service(services)
        self._services = services
        self._trouble = Trouble(f"'{uri}'", lost)
        self._lost = lost
        address = ip_address(uri.host)
        self._is_name = address is None
        self._target = None if address is None else Target("udp", address, uri.port or DEFAULT_PORT)
        self._known_until = 0.0
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)

    def write(self, record: Record, attributes: str, correlation: str | None) -> None:
        now = self._services.clock.monotonic()
        if self._target is not None and (not self._is_name or now < self._known_until):
            self._send(record.data, self._target)
            return
        if len(self._waiting) == MAX_WAITING:
            self._lost.add()
        self._waiting.append(record.data)
        if len(self._waiting) == 1:
            self._services.tasks.spawn(self._resolve(), "the address of a SIP trace")

    async def _resolve(self) -> None:
        found = await self._sip.resolve(self._where)
        self._target = found[0] if found else None
        self._known_until = self._services.clock.monotonic() + KNOWN_SECONDS
        waiting, self._waiting = self._waiting, deque(maxlen=MAX_WAITING)
        if self._target is None:
            self._trouble.happened("its name has no address", len(waiting))
            return
        for data in waiting:
            self._send(data, self._target)

    def _send(self, data: bytes, target: Target) -> None:
        if self._send_copy(data, target):
            self._trouble.over()
        else:
            self._trouble.happened("it cannot be reached from any socket of ours")


class TraceFile(Quiet):
    """A file that messages are appended to, a line with direction, transport, time and ends before each.

    It is opened when the module is initialised, and a link is not followed; `create` makes it with `mode` where it is
    not there.
    """

    kind = Kind.FILE

    def __init__(self, path: str, mode: int, lost: Counter, *, create: bool = True) -> None:
        self.uri = path
        self._trouble = Trouble(f"the file '{path}'", lost)
        flags = os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            self._file = os.open(path, flags, mode & 0o777)
        except OSError as error:
            raise ConfigurationError(f"the file '{path}' cannot be opened: {error.strerror}") from error
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            os.close(self._file)
            raise ConfigurationError(f"'{path}' is no regular file")

    def write(self, record: Record, attributes: str, correlation: str | None) -> None:
        moment = time.strftime("%F %T", time.localtime(record.time))
        head = f"{record.direction} {record.transports[0]} {moment} {_ends(record)}\n"
        try:
            os.write(self._file, head.encode() + record.data + b"\n\n")
        except OSError as error:
            self._trouble.happened(error.strerror)
        else:
            self._trouble.over()

    async def stop(self) -> None:
        os.close(self._file)


class Syslog(Quiet):
    """The system's log; `priority` holds facility and severity (RFC 3164 section 4.1.1)."""

    kind = Kind.SYSLOG

    def __init__(self, uri: str, priority: int, lost: Counter, *, path: str = SYSLOG_SOCKET) -> None:
        self.uri = uri
        self._head = f"<{priority}>miscript[{os.getpid()}]: "
        self._path = path
        self._trouble = Trouble("syslog", lost)
        self._socket: socket.socket | None = None

    def write(self, record: Record, attributes: str, correlation: str | None) -> None:
        text = f"{self._head}{record.direction} {record.transports[0]} {_ends(record)}\n".encode()
        for _ in range(2):  # the second time on a new socket: the daemon may have been restarted
            try:
                if self._socket is None:
                    self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
                    self._socket.setblocking(False)
                    self._socket.connect(self._path)
                self._socket.send(text + record.data + b"\n")
            except OSError as error:
                problem = error
                self._close()
            else:
                self._trouble.over()
                return
        self._trouble.happened(problem.strerror)

    def _close(self) -> None:
        if self._socket is not None:
            self._socket.close()
        self._socket = None

    async def stop(self) -> None:
        self._close()


def _ends(record: Record) -> str:
    (source, source_port), (destination, destination_port) = record.source, record.destination
    return f"{source}:{source_port} -> {destination}:{destination_port}"
