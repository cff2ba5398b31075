"""Who wants which events of one server, and what the server has still to be told.

Interests are counted for each event and who wants it.  `missing` and `surplus` compare them with what the connection
is known to have; a connection that is new has nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ...esl import Event, Subscription, subscriptions
from ...freeswitch_service import Listener


class Interests:
    """The wanted events of one socket, and those that its connection has."""

    def __init__(self) -> None:
        self._counts: dict[Subscription, dict[str, int]] = {}
        self._listeners: dict[str, Listener] = {}
        self._active: set[Subscription] = set()

    def __len__(self) -> int:
        """How many different events are wanted."""
        return len(self._counts)

    def add(self, who: str, events: Iterable[str], listener: Listener | None) -> None:
        """Count the events once more for `who`.  Raises EslError for what is no event's name, and adds nothing."""
        found = [each for name in events for each in subscriptions(name)]
        for each in found:
            counts = self._counts.setdefault(each, {})
            counts[who] = counts.get(who, 0) + 1
        if found and listener is not None:
            self._listeners[who] = listener

    def remove(self, who: str, events: Iterable[str]) -> None:
        """Count the events once less for `who`."""
        for each in [each for name in events for each in subscriptions(name)]:
            counts = self._counts.get(each, {})
            if who not in counts:
                continue
            counts[who] -= 1
            if not counts[who]:
                del counts[who]
            if not counts:
                del self._counts[each]
        if not any(who in counts for counts in self._counts.values()):
            self._listeners.pop(who, None)

    def listeners(self, event: Event) -> Sequence[Listener]:
        """Who is to be told of an event, each once."""
        wanting = dict.fromkeys(
            who for subscription, counts in self._counts.items() if subscription.wants(event) for who in counts
        )
        return [self._listeners[who] for who in wanting if who in self._listeners]

    # -- the connection ----------------------------------------------------------------------------------------

    def missing(self) -> list[Subscription]:
        """What the server has still to be asked for, in the order in which it was wanted."""
        return [each for each in self._counts if each not in self._active]

    def surplus(self) -> list[Subscription]:
        """What the server still sends and nobody wants."""
        return [each for each in self._active if each not in self._counts]

    def asked(self, subscription: Subscription) -> None:
        """The server sends it from now on."""
        self._active.add(subscription)

    def ended(self, subscription: Subscription) -> None:
        """The server sends it no more, and nothing that it comprised."""
        self._active = {each for each in self._active if not each.ended_by(subscription)}

    def disconnected(self) -> None:
        """A new connection has no subscriptions."""
        self._active.clear()
