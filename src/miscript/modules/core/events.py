"""Events: the MI commands of the group `evi`, and `raise_event` and `subscribe_event` of the script.

An event's attributes are pairs of name and value; without names they are known by their place.  Subscribers are
sockets `PROTOCOL:ADDRESS`; `route:NAME` is an event route of the script, other protocols come from modules.

Source: OpenSIPS manual, "Event Interface"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import operator
from collections.abc import Callable, Sequence
from typing import Annotated, Final, TypeAlias

import orjson

from ...errors import MIError
from ...exports import BoundAvp, BoundNumber, BoundText, bound_function, mi_command
from ...mi.command import Raw, Unread
from ...mi.jsonrpc import invalid_params
from ...mi.parameters import Refused
from ...mi.writer import dumps_text
from ...script.access import AvpAccess
from ...script.runtime import Run
from ...script.signatures import Argument
from ...services import EventTransport, Subscription
from ...values import INT_MAX, INT_MIN, Value
from .part import CorePart

log = logging.getLogger("miscript.events")

OK: Final = "OK"
DEFAULT_LIFETIME: Final = 3600
"""Seconds that a subscription by MI lasts when it does not say how long."""

EventName: TypeAlias = Annotated[str, Refused(operator.not_, "Bad type for parameter 'event'")]
Socket: TypeAlias = Annotated[str, Refused(operator.not_, "Bad type for parameter 'socket'")]
Lifetime: TypeAlias = Annotated[int, Refused(lambda seconds: seconds < 0, "Negative expire value")]
"""An empty text is told as OpenSIPS tells it."""

CORE_EVENTS: Final = (
    "E_CORE_SR_STATUS_CHANGED",
    "E_CORE_THRESHOLD",
    "E_CORE_SHM_THRESHOLD",
    "E_CORE_PKG_THRESHOLD",
    "E_CORE_PROC_AUTO_SCALE",
    "E_CORE_TCP_DISCONNECT",
    "E_PROFILING_SCRIPT",
    "E_PROFILING_PROC",
    "E_CORE_LOG",
)

Attributes: TypeAlias = Sequence[tuple[str, Value]]

_NOT_GIVEN: Final = object()


class CoreEvents(CorePart):
    """The group `evi` of the Management Interface, and raising events from the script."""

    events = CORE_EVENTS

    # -- commands -------------------------------------------------------------------------------------------------

    @mi_command(
        "subscribe",
        "event socket",
        "event socket expire",
        aliases=["event_subscribe"],
        module="evi",
        read_first="expire",
    )
    def mi_event_subscribe(self, event: EventName, socket: Socket, expire: Lifetime = DEFAULT_LIFETIME) -> object:
        """subscribes a socket to an event, for 3600 seconds or as many as given"""
        for name, value in (("event", event), ("socket", socket)):
            if not value:
                raise invalid_params(f"Bad type for parameter '{name}'")
        if event not in self.services.events.published() or not self._subscribe(event, socket, expire):
            raise MIError(400, "Bad parameter value")
        return OK

    @mi_command("list", aliases=["events_list"], module="evi", read_only=True)
    def mi_events_list(self) -> object:
        """lists the events that there are"""
        names = self.services.events.published()
        return {"Events": [{"name": name, "id": number} for number, name in enumerate(names)]}

    @mi_command("subscribers", "", "event", "event socket", aliases=["subscribers_list"], module="evi", read_only=True)
    def mi_subscribers_list(self, event: str | None = None, socket: Unread[str] | None = None) -> object:
        """lists who has subscribed to which event, to one event, or one subscriber"""
        names = list(self.services.events.published())
        if event is None:
            found = [self._event(name, number) for number, name in enumerate(names)]
            return {"Events": [entry for entry in found if entry]}
        if event not in names:
            raise MIError(404, "Event not published")
        number = names.index(event)
        if socket is None:
            return {"Event": self._event(event, number)}
        wanted = socket.read()
        for subscription in self.services.events.subscriptions(event):
            if subscription.socket == wanted:
                return {"Event": {"name": event, "id": number, "Subscriber": self._subscriber(subscription)}}
        raise MIError(404, "Subscriber does not exist")

    @mi_command("raise", "event", "event params", aliases=["raise_event"], module="evi")
    def mi_raise_event(self, event: str, params: Raw = _NOT_GIVEN) -> object:
        """raises an event; its attributes come as an array, or as a JSON object in a text"""
        events = self.services.events
        if event not in events.published():
            raise MIError(404, "Event not registered")
        if not events.subscriptions(event):
            raise MIError(480, "Temporarily Unavailable")
        events.raise_event(event, () if params is _NOT_GIVEN else attributes_from(params))
        return OK

    def _event(self, name: str, number: int) -> dict[str, object]:
        subscriptions = self.services.events.subscriptions(name)
        if not subscriptions:
            return {}
        return {"name": name, "id": number, "Subscribers": [self._subscriber(found) for found in subscriptions]}

    def _subscriber(self, subscription: Subscription) -> dict[str, object]:
        if subscription.lifetime is None:
            return {"socket": subscription.socket, "expire": "never"}
        left = subscription.left(int(self.services.clock.monotonic()))
        return {
            "socket": subscription.socket,
            "expire": subscription.lifetime,
            "ttl": left if left > 0 else "expired",
        }

    def _subscribe(self, event: str, socket: str, lifetime: int | None) -> bool:
        protocol, _, address = socket.partition(":")
        transport: EventTransport | None = self.services.find(f"event transport:{protocol}")
        if transport is None:
            log.error("nothing can tell '%s' of events: no module has the protocol '%s'", socket, protocol)
            return False
        try:
            subscriber = transport.subscriber(address)
        except ValueError as error:
            log.error("'%s' cannot subscribe to %s: %s", socket, event, error)
            return False
        if transport.endless:
            lifetime = None
        self.services.events.subscribe(event, subscriber, socket=socket, lifetime=lifetime)
        return True

    # -- functions ------------------------------------------------------------------------------------------------

    @bound_function()
    def raise_event(
        self, event: BoundText, attributes: BoundAvp | None = None, values: BoundAvp | None = None
    ) -> Callable[[Run], int]:
        """Raise an event: `raise_event("E_MINE")`, with the names and values of its attributes in two AVPs.

        The value added last belongs to the name added last.  An event that nobody knew is known from then on.
        """
        name_of = self._event_name(event)
        names, texts = _values(attributes), _values(values)
        events = self.services.events

        def raise_it(run: Run) -> int:
            name = name_of(run)
            if name is None:
                return -1
            try:
                pairs = paired(names(run), texts(run))
            except ValueError as error:
                log.error("raise_event('%s'): %s", name, error)
                return -1
            events.raise_event(name, pairs)
            return 1

        return raise_it

    @bound_function()
    def subscribe_event(
        self, event: BoundText, socket: BoundText, expire: BoundNumber | None = None
    ) -> Callable[[Run], int]:
        """Subscribe a socket to an event for `expire` seconds, or for good, which 0 means too."""
        name_of = self._event_name(event)

        def subscribe(run: Run) -> int:
            name, address = name_of(run), socket.get(run)
            lifetime = None if expire is None else expire.get(run)
            if name is None or not isinstance(address, str) or isinstance(lifetime, str):
                return -1
            if lifetime is not None and lifetime < 0:
                log.error("subscribe_event('%s'): a subscription cannot last %d seconds", name, lifetime)
                return -1
            return 1 if self._subscribe(name, address, lifetime or None) else -1

        return subscribe

    def _event_name(self, event: Argument) -> Callable[[Run], str | None]:
        """What gives the name of an event that is published; one that is written out is published now."""
        publish = self.services.events.publish
        if event.is_constant:
            name = str(event.constant)
            publish(name)
            return lambda run: name
        get = event.get

        def published(run: Run) -> str | None:
            name = get(run)
            return name if isinstance(name, str) and publish(name) else None

        return published


def _values(argument: Argument | None) -> Callable[[Run], Sequence[Value]]:
    """All values of an AVP, the one added last first."""
    if argument is None:
        return lambda run: ()
    access = argument.variable
    if isinstance(access, AvpAccess) and access.index is None:
        return lambda run: access.all(run)[::-1]
    get = argument.get
    return lambda run: () if (value := get(run)) is None else (value,)


def paired(names: Sequence[Value], values: Sequence[Value]) -> Attributes:
    """Attributes of names and values; names that are left over mean nothing.

    Raises ValueError for a value without a name, and for a name that is no text.
    """
    if len(values) > len(names):
        raise ValueError(f"{len(values)} values for {len(names)} names")
    if len(names) > len(values) > 0:
        log.warning("raise_event: %d names for %d values; the last ones are left out", len(names), len(values))
    pairs = []
    for name, value in zip(names, values, strict=False):
        if not isinstance(name, str):
            raise ValueError(f"the name of an attribute must be a text, not {name!r}")
        pairs.append((name, value))
    return pairs


def attributes_from(params: Raw) -> Attributes:
    """The attributes in the parameter `params` of `raise_event`.  Raises MIError (400)."""
    if isinstance(params, list):
        return [("", _item(item)) for item in params]
    if isinstance(params, bool) or not isinstance(params, str | int | float):
        raise MIError(400, "No Params")
    try:
        found = orjson.loads(params) if isinstance(params, str) else None
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise MIError(400, "Bad Params")
    return [(name, _member(value)) for name, value in found.items()]


def _item(item: object) -> Value:
    if isinstance(item, bool) or not isinstance(item, str | int | float):
        raise MIError(400, "Bad Params")
    return _member(item)


def _member(value: object) -> Value:
    """A JSON value as one of the script's: a number is cut to 32 bits, what is no text is written as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        return int(max(INT_MIN, min(INT_MAX, value)))
    return dumps_text(value)
