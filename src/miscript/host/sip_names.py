"""Which hosts and ports are ours: sockets, what they advertise, aliases, and what modules add (module `domain`)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Final

from ..sip.sockets import DEFAULT_PORTS, ListeningSocket, Options, ip_address, split_host

MAX_KNOWN: Final = 1024
"""Answers that are kept: routes of calls ask for the same few names."""

Alias = tuple[str | None, str, int | None, bool]


class OwnNames:
    """Answers whether a host is this one."""

    def __init__(self) -> None:
        self._known: dict[tuple[str, int | None, str | None], bool] = {}
        self._sockets: Sequence[ListeningSocket] = ()
        self._aliases: list[Alias] = []
        self._domains: list[Callable[[str], bool]] = []

    @property
    def sockets(self) -> Sequence[ListeningSocket]:
        """Our sockets."""
        return self._sockets

    @sockets.setter
    def sockets(self, sockets: Sequence[ListeningSocket]) -> None:
        self._sockets = sockets
        self._known.clear()

    def set_aliases(self, aliases: Iterable[tuple[str, Options]]) -> None:
        """The `alias=` lines with their options.  Raises ValueError for a port that is none."""
        self._aliases = [_alias(text, options) for text, options in aliases]
        self._known.clear()

    def add_domains(self, is_local: Callable[[str], bool]) -> None:
        """Ask `is_local` too."""
        self._domains.append(is_local)

    def is_mine(self, host: str, port: int | None, transport: str | None) -> bool:
        """Whether `host` is ours; with a port or transport only where that fits too.

        Port 0 and None stand for any.
        """
        asked = (host, port, transport)
        found = self._known.get(asked)
        if found is None:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            found = self._known[asked] = self._is_named(host, port, transport)
        return found or any(is_local(_plain(host)) for is_local in self._domains)

    def _is_named(self, host: str, port: int | None, transport: str | None) -> bool:
        wanted = _plain(host)
        for socket in self.sockets:
            names = {socket.address, _plain(socket.advertised_address or "")}
            ports = {None, 0, socket.port, socket.told_port}
            if wanted in names and port in ports and (not transport or transport == socket.transport):
                return True
        for protocol, name, number, subdomains in self._aliases:
            if wanted != name and not (subdomains and wanted.endswith(f".{name}")):
                continue
            if (not port or number is None or port == number) and (not transport or protocol in (None, transport)):
                return True
        return False

    def socket_named(self, text: str) -> ListeningSocket | None:
        """The socket `[proto:]host[:port]`, or the one with this tag."""
        transport, host, port = None, text, None
        head, colon, rest = text.partition(":")
        if colon and head.lower() in DEFAULT_PORTS:
            transport, host = head.lower(), rest
        try:
            host, port = split_host(host)
        except ValueError:
            return None
        wanted = _plain(host)
        for socket in self.sockets:
            if transport not in (None, socket.transport):
                continue
            if wanted == socket.address and port in (None, socket.port):
                return socket
            if wanted == _plain(socket.advertised_address or "") and port in (None, socket.told_port):
                return socket
        return next((socket for socket in self.sockets if socket.tag == text), None)


def _alias(text: str, options: Options) -> Alias:
    protocol, colon, rest = text.partition(":")
    known = bool(colon) and protocol.lower() in DEFAULT_PORTS
    host, port = split_host(rest if known else text)
    return (
        protocol.lower() if known else None,
        _plain(host),
        port,
        any(name == "accept_subdomain" for name, _ in options),
    )


def _plain(host: str) -> str:
    return ip_address(host) or host.lower()
