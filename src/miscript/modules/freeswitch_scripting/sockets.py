"""The event sockets that the script is told of, each with its events: what `fs_list` shows.

A set holds one reference to each of its sockets and one subscription to each of its events; `close` gives them back.
New sockets and new events come to the front, as in the server's lists.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from ...esl import EslError, EventSocketAddress
from ...freeswitch_service import Freeswitch, FreeswitchSocket, Listener

WHO: Final = "freeswitch_scripting"


class SubscribedSockets:
    """Sockets and their events, the newest first."""

    def __init__(self, freeswitch: Freeswitch, listener: Listener) -> None:
        self._freeswitch = freeswitch
        self._listener = listener
        self._events: dict[FreeswitchSocket, list[str]] = {}
        self._provisioned: list[FreeswitchSocket] = []

    def __contains__(self, socket: FreeswitchSocket) -> bool:
        return socket in self._events

    def __len__(self) -> int:
        return len(self._events)

    def listed(self) -> list[tuple[str, Sequence[str]]]:
        """`host:port` and events of each socket."""
        return [(str(socket), events) for socket, events in reversed(self._events.items())]

    def subscribe(self, socket: FreeswitchSocket, events: Iterable[str]) -> None:
        """Subscribe to what is not subscribed to yet; the set takes over one reference of the caller.

        Raises EslError: then nothing has changed, and the reference is given back.
        """
        known = socket in self._events
        have = self._events.get(socket, [])
        new = [name for name in dict.fromkeys(events) if name and name not in have]
        try:
            socket.subscribe(WHO, new, self._listener)
        except EslError:
            self._freeswitch.release(socket)
            raise
        if known:
            self._freeswitch.release(socket)
        self._events[socket] = [*reversed(new), *have]

    def provision(self, address: EventSocketAddress) -> None:
        """Take a socket of the table, with its events in the table's order.  Raises EslError, FreeswitchError."""
        socket = self._freeswitch.acquire(address, provisioned=True)
        self._provisioned.append(socket)
        self.subscribe(socket, reversed(address.events))

    def unsubscribe(self, socket: FreeswitchSocket, events: Iterable[str]) -> None:
        """Take events from a socket; one that has none left is given back."""
        have = self._events.get(socket)
        if have is None:
            return
        gone = [name for name in dict.fromkeys(events) if name in have]
        socket.unsubscribe(WHO, gone)
        have = self._events[socket] = [name for name in have if name not in gone]
        if not have:
            del self._events[socket]
            self._freeswitch.release(socket)

    def close(self) -> None:
        """Give back everything."""
        for socket in self._provisioned:
            self._freeswitch.provision_ended(socket)
        self._provisioned.clear()
        for socket, events in self._events.items():
            socket.unsubscribe(WHO, events)
            self._freeswitch.release(socket)
        self._events.clear()
