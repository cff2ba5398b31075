"""`mi_datagram`: the Management Interface over UDP or a UNIX datagram socket.

One datagram is one JSON-RPC request, its answer one datagram to where it came from.  What does not fit into
`socket_buf_size` cannot be told: a longer request is cut (and is then no JSON), instead of a longer answer comes an
error that names both sizes.  A UNIX client without an address of its own gets no answer.

Commands that wait hold up nobody.  An answer that a client's socket has no room for is tried again for
`socket_timeout` milliseconds.  Source: OpenSIPS manual, module mi_datagram; docs/doors.md.
"""

from __future__ import annotations

import asyncio
import logging
import os
import re
import socket
import struct
from collections.abc import Coroutine
from typing import Any, Final

from ...errors import ConfigurationError, reason, remedy
from ...exports import parameter, statistic
from ...mi.jsonrpc import Failure, Id, Request, Response, parse, server_error
from ...mi.origin import Backend, Identity, Origin
from ...mi_door import MAX_COMMANDS, MiDoor
from ...owned_paths import MAX_SOCKET_PATH, bind_socket, check_place, ownership, user_name
from ...trace import NOWHERE, Address
from .sending import Peer, Sender
from .sources import Sources

log = logging.getLogger("miscript.mi_datagram")

DEFAULT_SIZE: Final = 65457
PORTS: Final = range(1024, 65536)
PER_TURN: Final = 64
"""Datagrams taken before other work of the host gets its turn."""
MAX_PER_SOURCE: Final = MAX_COMMANDS * 3 // 4
MAX_UDP: Final = 65507
"""Bytes of the largest datagram over IPv4."""

_SCHEME: Final = re.compile(r"[a-z_]+:(?://)?")
_CREDENTIALS: Final = struct.Struct("=iII")
"""struct ucred: process, user, group."""


class MiDatagram(MiDoor):
    """Run MI commands that come in by UDP or a UNIX datagram socket."""

    name = "mi_datagram"
    backend = Backend.DATAGRAM

    socket_name = parameter("", "Where to listen: `udp:HOST:PORT`, or the path of a UNIX socket.  Required.")
    children_count = parameter(1, "Of no meaning here: one host serves all requests in parallel.")
    unix_socket_mode = parameter(0o660, "Permissions of the UNIX socket.")
    unix_socket_group = parameter("", "Group of the UNIX socket, a name or a number.", kinds="string integer")
    unix_socket_user = parameter("", "Owner of the UNIX socket, a name or a number.", kinds="string integer")
    socket_timeout = parameter(
        2000, "Milliseconds that answers wait for a client whose socket is full and that takes none."
    )
    socket_buf_size = parameter(DEFAULT_SIZE, "Largest datagram in bytes.")
    max_per_source = parameter(MAX_PER_SOURCE, "Commands of one address or UNIX user that may wait (ours).")

    lost_replies = statistic("lost_replies", "Answers that could not be sent.")
    large_replies = statistic("large_replies", "Answers that did not fit into a datagram.")
    limited_sources = statistic("limited_sources", "Commands not run because of `max_per_source`.")

    _socket: socket.socket | None = None
    _socket_file: tuple[int, int] | None = None
    _sender: Sender | None = None
    _udp_peer: Peer | None = None
    """Who sent the last datagram."""
    _udp_origin: Origin

    # -- life -------------------------------------------------------------------------------------------------

    def init(self) -> None:
        if self.children_count < 0:
            raise ConfigurationError(
                f"'children_count' is {self.children_count}, expected at least 0", parameter="children_count"
            )
        if self.max_per_source < 1:
            raise ConfigurationError(
                f"'max_per_source' is {self.max_per_source}, expected at least 1", parameter="max_per_source"
            )
        super().init()
        self._sources = Sources(self.max_per_source)
        self._unix_origins: dict[int, Origin] = {}
        self._size = self.socket_buf_size if self.socket_buf_size > 0 else DEFAULT_SIZE
        if not self.socket_name:
            raise ConfigurationError(
                "'socket_name' is not set; expected 'udp:HOST:PORT' or a path", parameter="socket_name"
            )
        if self.socket_name.startswith("udp:"):
            self._host, self._port = _udp_address(self.socket_name)
            self.check_exposure(self._host, "socket_name")
            return
        self._host, self._port = "", 0
        if (scheme := _SCHEME.match(self.socket_name)) is not None:
            raise ConfigurationError(
                f"'socket_name' is '{self.socket_name}', expected 'udp:HOST:PORT' or a path",
                parameter="socket_name",
                help=f"for a UNIX socket write its path alone: {self.socket_name[scheme.end() :] or '/run/mi.sock'}",
            )
        check_place(self.socket_name, "socket_name")
        if len(os.fsencode(self.socket_name)) > MAX_SOCKET_PATH:
            raise ConfigurationError(
                f"'socket_name': '{self.socket_name}' is longer than {MAX_SOCKET_PATH} bytes", parameter="socket_name"
            )
        self._ownership = ownership(
            self.unix_socket_mode or 0o600, self.unix_socket_user, self.unix_socket_group, prefix="unix_socket_"
        )

    def policy_changed(self) -> None:
        self._unix_origins.clear()

    async def start(self) -> None:
        await super().start()
        try:
            self._socket = await self._bind_udp() if self._host else self._bind_unix()
        except OSError as error:
            raise ConfigurationError(
                f"'socket_name': '{self.socket_name}' cannot be bound: {reason(error)}",
                parameter="socket_name",
                help=remedy(error, "udp", self._port),
            ) from None
        self._address = _address(self._socket.getsockname())
        patience = max(0, self.socket_timeout) / 1000
        self._sender = Sender(self._socket, patience, self.services.clock, self.services.tasks, self._lost)
        asyncio.get_running_loop().add_reader(self._socket.fileno(), self._readable)

    async def stop(self) -> None:
        self._sources.stop()
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            if self._sender is not None:
                await self._sender.close()
            self._socket.close()
            self._socket = self._sender = None
            self._remove_path()
        await super().stop()

    @property
    def address(self) -> Address:
        """The UDP address that it listens on."""
        return self._address

    async def _bind_udp(self) -> socket.socket:
        found = await asyncio.get_running_loop().getaddrinfo(
            self._host, self._port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE
        )
        family, kind, protocol, _, address = found[0]
        self.check_exposure(str(address[0]), "socket_name")  # what the name stands for
        listener = socket.socket(family, kind | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC, protocol)
        try:
            listener.bind(address)
        except OSError:
            listener.close()
            raise
        return listener

    def _bind_unix(self) -> socket.socket:
        listener = bind_socket(self.socket_name, self._ownership)
        if hasattr(socket, "SO_PASSCRED"):
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        made = os.lstat(self.socket_name)
        self._socket_file = (made.st_dev, made.st_ino)
        return listener

    def _remove_path(self) -> None:
        if self._socket_file is None:
            return
        try:
            there = os.lstat(self.socket_name)
            if (there.st_dev, there.st_ino) == self._socket_file:
                os.unlink(self.socket_name)
        except OSError:
            pass  # somebody was faster

    # -- requests ---------------------------------------------------------------------------------------------

    def _readable(self) -> None:
        """Take what clients have sent."""
        receive = self._receive_udp if self._host else self._receive_unix
        for _ in range(PER_TURN):
            try:
                data, peer, origin = receive()
            except BlockingIOError:
                return
            except OSError as error:  # what became of an earlier answer, for example that its client is gone
                log.debug("mi_datagram: %s", error)
                continue
            if data:
                self._serve(data, peer, origin)

    def _receive_udp(self) -> tuple[bytes, Peer | None, Origin]:
        assert self._socket is not None
        data, peer = self._socket.recvfrom(self._size)
        if peer != self._udp_peer or self._udp_origin.guard is not self.access:
            source = _address(peer)
            self._udp_peer = peer
            self._udp_origin = self.origin(source, self._address, peer=f"{source[0]}:{source[1]}")
        return data, peer, self._udp_origin

    def _receive_unix(self) -> tuple[bytes, Peer | None, Origin]:
        assert self._socket is not None
        data, ancillary, _, peer = self._socket.recvmsg(self._size, socket.CMSG_SPACE(_CREDENTIALS.size))
        return data, peer or None, self._unix_origin(_user(ancillary))

    def _unix_origin(self, user: int) -> Origin:
        """The origin of all clients that run as `user`."""
        origin = self._unix_origins.get(user)
        if origin is None:
            name = user_name(user) if user >= 0 else ""
            peer = f"user {name}" if name else "unknown"
            origin = self._unix_origins[user] = self.origin(NOWHERE, NOWHERE, peer=peer, identity=Identity(name))
        return origin

    def _serve(self, data: bytes, peer: Peer | None, origin: Origin) -> None:
        answer = self.run_bytes(data, origin)
        if not isinstance(answer, bytes):
            self.services.tasks.spawn(self._serve_later(answer, peer, _id(data)), "mi_datagram")
        elif answer and peer is not None:
            fits = len(answer) < self._size and len(answer) <= MAX_UDP
            self._send(answer, peer, None if fits else _id(data))  # only a refusal needs the id

    async def _serve_later(self, waiting: Coroutine[Any, Any, bytes], peer: Peer | None, id_: Id) -> None:
        answer = await waiting
        if answer and peer is not None:
            self._send(answer, peer, id_)

    def begin_waiting(self, origin: Origin) -> str:
        """Whoever sends most shall leave room for the others."""
        source = _source(origin)
        if not self._sources.has_room(source):
            self.limited_sources.add()
            return f"{self._sources.limit} commands of {source} wait at this door, more are not taken"
        reason = super().begin_waiting(origin)
        if not reason:
            self._sources.begin(source)
        return reason

    def end_waiting(self, origin: Origin) -> None:
        super().end_waiting(origin)
        self._sources.end(_source(origin))

    # -- answers ----------------------------------------------------------------------------------------------

    def _send(self, answer: bytes, peer: Peer, id_: Id) -> None:
        if self._sender is None:
            return  # the host has stopped
        if len(answer) >= self._size:
            answer = self._too_large(len(answer), self._size - 1, id_)
        if not self._sender.send(answer, peer):
            self._sender.send(self._too_large(len(answer), MAX_UDP, id_), peer)

    def _too_large(self, size: int, limit: int, id_: Id) -> bytes:
        self.large_replies.add()
        data = f"the answer has {size} bytes, a datagram here at most {limit} (socket_buf_size {self._size})"
        return Response(error=server_error(data), id=id_).body(bool(self.pretty_printing))

    def _lost(self, reason: str, count: int) -> None:
        self.lost_replies.add(count)
        log.debug("mi_datagram: %d answers are lost: %s", count, reason)


def _udp_address(name: str) -> tuple[str, int]:
    """Host and port of `udp:HOST:PORT`; an IPv6 address may stand in brackets."""
    host, colon, port = name.removeprefix("udp:").rpartition(":")
    if not colon or not host or not (port.isascii() and port.isdigit()):
        raise ConfigurationError(f"'socket_name' is '{name}', expected 'udp:HOST:PORT'", parameter="socket_name")
    if int(port) not in PORTS:
        raise ConfigurationError(
            f"'socket_name': port {port} of '{name}' is not from {PORTS[0]} to {PORTS[-1]}", parameter="socket_name"
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _address(name: Any) -> Address:
    """The address of a socket; UNIX sockets have none."""
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else NOWHERE


def _id(data: bytes) -> Id:
    """The id of the request in a datagram, none if that is no single request."""
    message = parse(data)
    return message.id if isinstance(message, Request | Failure) else None


def _source(origin: Origin) -> str:
    """Who sends: a UDP client's address, whatever its port, or the user of a UNIX client."""
    return origin.source[0] if origin.has_address else origin.peer


def _user(ancillary: list[tuple[int, int, bytes]]) -> int:
    """The user of the process that sent a datagram, as the kernel says; -1 if it does not say."""
    for level, kind, data in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_CREDENTIALS and len(data) >= _CREDENTIALS.size:
            return int(_CREDENTIALS.unpack_from(data)[1])
    return -1
