"""The event interface: which events there are, who has subscribed to them, and telling them.

An event is known by its name from the moment that somebody publishes it; its id is its place in that order.  Who
subscribes with a socket (`udp:127.0.0.1:5555`, `route:E_MINE`) is listed by MI, for as long as the subscription
lasts; a module that listens by itself is not.

Source: OpenSIPS manual, "Event Interface"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ..services import Clock, Subscriber, Subscription
from ..values import Value

log = logging.getLogger("miscript.events")

MAX_EVENTS: Final = 10_000
"""Events that may be known: scripts can make names out of what the network sends."""

BEHIND_ROUTES: Final = ("E_PROFILING_SCRIPT", "E_PROFILING_PROC")
LAST_EVENT: Final = "E_CORE_LOG"

Start = Callable[[str, Sequence[tuple[str, Value]]], None]


@dataclass(frozen=True, slots=True)
class RouteSubscriber:
    """An event route."""

    route: str
    start: Start

    def deliver(self, event: str, attributes: Sequence[tuple[str, Value]]) -> None:
        """Run the route later."""
        self.start(self.route, attributes)


class RouteTransport:
    """Sockets `route:NAME`, the event routes of the script in force; they stay subscribed for good."""

    endless = True

    def __init__(self, start: Start) -> None:
        self.names: set[str] = set()
        self._start = start

    def subscriber(self, address: str) -> RouteSubscriber:
        """The event route `address`.  Raises ValueError when the script has none."""
        if address not in self.names:
            raise ValueError(f"there is no event_route[{address}]")
        return RouteSubscriber(address, self._start)


def published_before_the_script(known: Iterable[str], routes: Iterable[str]) -> list[str]:
    """The events that are there before the script names any, in the server's order, which gives them their ids.

    `known` are those of the core and the modules, in the order of loading.  Those that event routes wait for stand
    behind the core's first ones; the log's own comes last of all, behind those of the script.
    """
    names = [name for name in known if name != LAST_EVENT]
    place = next((at for at, name in enumerate(names) if name in BEHIND_ROUTES), 0)
    return list(dict.fromkeys((*names[:place], *routes, *names[place:])))


class EventTable:
    """The events of one host.  `start_event` runs an event route by its name.

    `routes` is to be offered to modules as `event transport:route`.
    """

    def __init__(self, clock: Clock, start_event: Start) -> None:
        self.routes = RouteTransport(start_event)
        self._clock = clock
        self._subscriptions: dict[str, list[Subscription]] = {}

    # -- events ---------------------------------------------------------------------------------------------------

    def publish(self, name: str) -> bool:
        """Make `name` known; again is harmless.  False when there are too many already."""
        if name in self._subscriptions:
            return True
        if len(self._subscriptions) >= MAX_EVENTS:
            log.error("there are %d events; '%s' is not taken", MAX_EVENTS, name)
            return False
        self._subscriptions[name] = []
        return True

    def published(self) -> Sequence[str]:
        """All names; the place of a name is the event's id."""
        return list(self._subscriptions)

    def is_heard(self, name: str) -> bool:
        """Whether anybody would be told of an event."""
        return bool(self._alive(name))

    def raise_event(self, name: str, attributes: Sequence[tuple[str, Value]]) -> int:
        """Tell all subscribers, the newest first; returns how many there are."""
        subscriptions = self._alive(name)
        for subscription in subscriptions[::-1]:
            try:
                subscription.subscriber.deliver(name, attributes)
            except Exception:
                log.exception("a subscriber of %s failed", name)
        return len(subscriptions)

    # -- subscribers ----------------------------------------------------------------------------------------------

    def subscribe(self, name: str, subscriber: Subscriber, *, socket: str = "", lifetime: int | None = None) -> None:
        """Tell `subscriber` of the event `name` from now on, for `lifetime` seconds or for good.

        `socket` is what MI shows; subscribing the same one again only renews it.
        """
        if not self.publish(name):
            return
        subscriptions = self._alive(name)
        new = Subscription(socket, subscriber, lifetime, int(self._clock.monotonic()))
        for place, old in enumerate(subscriptions):
            if old.socket == socket if socket else old.subscriber is subscriber:
                subscriptions[place] = new
                return
        subscriptions.append(new)

    def unsubscribe(self, name: str, subscriber: Subscriber) -> None:
        """Tell `subscriber` no more."""
        kept = [found for found in self._subscriptions.get(name, ()) if found.subscriber is not subscriber]
        if name in self._subscriptions:
            self._subscriptions[name] = kept

    def subscriptions(self, name: str) -> Sequence[Subscription]:
        """Who has subscribed to `name` with a socket, the newest first."""
        return [found for found in reversed(self._alive(name)) if found.socket]

    def set_routes(self, names: Iterable[str]) -> None:
        """Subscribe the event routes of the script in force to their events, and those that it lost to none."""
        wanted = dict.fromkeys(names)
        lost = {f"route:{name}" for name in self.routes.names.difference(wanted)}
        if lost:
            for name, subscriptions in self._subscriptions.items():
                self._subscriptions[name] = [found for found in subscriptions if found.socket not in lost]
        new = [name for name in wanted if name not in self.routes.names]
        self.routes.names = set(wanted)
        for name in new:
            self.subscribe(name, self.routes.subscriber(name), socket=f"route:{name}")

    def _alive(self, name: str) -> list[Subscription]:
        """The subscriptions of `name` without those whose time is over."""
        subscriptions = self._subscriptions.get(name)
        if subscriptions is None:
            return []
        now = int(self._clock.monotonic())
        if any(found.lifetime is not None and found.left(now) < 0 for found in subscriptions):
            subscriptions[:] = [found for found in subscriptions if found.lifetime is None or found.left(now) >= 0]
        return subscriptions
