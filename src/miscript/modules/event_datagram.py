"""Events as datagrams: subscribers at `udp:address:port` and `unix:path`.

An event is one datagram, a JSON-RPC notification: its method is the event's name, its params are an object of the
attributes, or an array when they have no names.  Nothing is sent twice and no answer is read; what cannot be sent is
logged and forgotten, and nobody waits for a slow reader.

Offers `event transport:udp` and `event transport:unix`.
Source: OpenSIPS manual, module event_datagram.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import re
import socket
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

from ..exports import Module
from ..mi.writer import compact
from ..services import Services
from ..values import Value

log = logging.getLogger("miscript.event_datagram")

MAX_DATAGRAM = 65457
"""Bytes of one event, as in the server."""

MAX_DESTINATIONS = 1000
"""Addresses that may be subscribed at a time: each takes a socket, and each event goes to all of them."""

MAX_PATH = 107
"""Bytes of a UNIX socket's path (Linux, sockaddr_un)."""

MAX_WAITING = 100
"""Events kept for a host name while it is looked up."""

_UDP = re.compile(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]\s]+)):(?P<port>[0-9]{1,5})")


def notification(event: str, attributes: Sequence[tuple[str, Value]]) -> bytes:
    """An event as a JSON-RPC notification."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": event}
    if attributes:
        named = all(name for name, _ in attributes)
        message["params"] = dict(attributes) if named else [value for _, value in attributes]
    return compact(message)


class Destination:
    """A subscriber that datagrams are sent to; its socket is opened with the first event."""

    def __init__(self, family: socket.AddressFamily, address: tuple[str, int] | bytes) -> None:
        self.family = family
        self.address = address
        self._socket: socket.socket | None = None

    def deliver(self, event: str, attributes: Sequence[tuple[str, Value]]) -> None:
        """Send an event; returns at once, whatever becomes of it."""
        data = notification(event, attributes)
        if len(data) > MAX_DATAGRAM:
            log.error("event %s has %d bytes, a datagram takes %d", event, len(data), MAX_DATAGRAM)
            return
        self.send(event, data)

    def send(self, event: str, data: bytes) -> None:
        try:
            if self._socket is None:
                self._socket = socket.socket(self.family, socket.SOCK_DGRAM)
                self._socket.setblocking(False)
            self._socket.sendto(data, self.address)
        except OSError as error:
            log.warning("event %s was not sent to %r: %s", event, self.address, error.strerror or error)

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __del__(self) -> None:
        self.close()


class NamedDestination(Destination):
    """A subscriber at a host name: it is looked up beside the routes, events wait for that."""

    def __init__(self, services: Services, host: str, port: int) -> None:
        super().__init__(socket.AF_INET, (host, port))
        self.services = services
        self.known = False
        self._waiting: list[tuple[str, bytes]] = []

    def send(self, event: str, data: bytes) -> None:
        if self.known:
            super().send(event, data)
            return
        if len(self._waiting) >= MAX_WAITING:
            log.warning("event %s was not sent: %s is still looked up", event, self.address)
            return
        self._waiting.append((event, data))
        if len(self._waiting) == 1:
            self.services.tasks.spawn(self._look_up(), f"looking up {self.address!r}")

    async def _look_up(self) -> None:
        assert isinstance(self.address, tuple)
        host, port = self.address
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_DGRAM)
            self.family, self.address = found[0][0], found[0][4]  # type: ignore[assignment]  # UDP: address and port
            self.known = True
        except OSError as error:
            log.error("'%s' has no address: %s", host, error.strerror)
        waiting, self._waiting = self._waiting, []
        if self.known:
            for event, data in waiting:
                super().send(event, data)


class Datagrams:
    """The subscribers of one protocol: one socket per address, however many events it has subscribed to."""

    endless = False

    def __init__(self, make: Callable[[str], Destination], look_who_is_over: Callable[[], None]) -> None:
        self._make = make
        self._look_who_is_over = look_who_is_over
        self._destinations: WeakValueDictionary[str, Destination] = WeakValueDictionary()
        """Those that somebody has subscribed; when the last subscription is over its socket goes, too."""

    def subscriber(self, address: str) -> Destination:
        """Who is at `address`.  Raises ValueError when it is none, or when there are too many already."""
        found = self._destinations.get(address)
        if found is None:
            if len(self._destinations) >= MAX_DESTINATIONS:
                self._look_who_is_over()
            if len(self._destinations) >= MAX_DESTINATIONS:
                raise ValueError(f"there are {MAX_DESTINATIONS} subscribers already")
            found = self._destinations[address] = self._make(address)
        return found

    def close(self) -> None:
        for destination in list(self._destinations.values()):
            destination.close()


class EventDatagram(Module):
    """Sends events as datagrams to UDP and UNIX sockets."""

    name = "event_datagram"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.udp = Datagrams(self._udp, self._look_who_is_over)
        self.unix = Datagrams(_unix, self._look_who_is_over)
        services.provide("event transport:udp", self.udp)
        services.provide("event transport:unix", self.unix)

    def _udp(self, address: str) -> Destination:
        """`address:port`; an IPv6 address stands in brackets."""
        found = _UDP.fullmatch(address)
        if found is None or not 0 < int(found["port"]) < 65536:
            raise ValueError(f"'{address}' is not 'address:port'")
        host, port = found["v6"] or found["host"], int(found["port"])
        try:
            version = ipaddress.ip_address(host).version
        except ValueError:
            return NamedDestination(self.services, host, port)
        return Destination(socket.AF_INET if version == 4 else socket.AF_INET6, (host, port))

    def _look_who_is_over(self) -> None:
        """Let the event interface forget the subscriptions whose time is over."""
        events = self.services.events
        for name in events.published():
            events.subscriptions(name)

    async def stop(self) -> None:
        self.udp.close()
        self.unix.close()


def _unix(path: str) -> Destination:
    """The path of a socket, which need not be there yet."""
    data = os.fsencode(path)
    if not 0 < len(data) <= MAX_PATH or b"\x00" in data:
        raise ValueError(f"'{path}' is no path of at most {MAX_PATH} bytes")
    return Destination(socket.AF_UNIX, data)
