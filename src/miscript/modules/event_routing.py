"""Events that a script waits for: event routes, notifications, and waiting until something happens elsewhere.

`event_route[E_NAME]` runs whenever the event is raised.  `notify_on_event` runs a route of the script for events that
match its filter, for some seconds; `wait_for_event` waits for the first of them.  The attributes of an event become
AVPs with their names.

A filter is an AVP whose values are `name=pattern`; the pattern is a shell wildcard.  All of them must match; one whose
name is no attribute of the event does not count, as in OpenSIPS.

Source: OpenSIPS manual, module event_routing.
"""

from __future__ import annotations

import asyncio
import fnmatch
import logging
import re
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Final, TypeAlias

from ..exports import BoundAvp, BoundConstant, BoundNumber, Module, bound_function
from ..script.access import AvpAccess
from ..script.avps import avp_assign
from ..script.operations import number_argument, text_argument
from ..script.runtime import Pending, Run
from ..script.signatures import Argument
from ..services import Services
from ..sip.message import dummy_message
from ..transaction_service import TransactionId, transaction_service
from ..values import Value, plain_text

log = logging.getLogger("miscript.event_routing")

TIMEOUT: Final = -2
"""Return code of `wait_for_event` when nothing came in time."""

MAX_WAITING: Final = 100_000
"""Notifications and waits at a time; further ones are refused."""

MAX_FILTERS: Final = 64
"""Values of one filter."""

Attributes: TypeAlias = Sequence[tuple[str, Value]]


@dataclass(frozen=True, slots=True)
class Filter:
    """What an attribute must look like; names are compared without regard to case."""

    name: str
    pattern: re.Pattern[str]

    @classmethod
    def parse(cls, text: str) -> Filter:
        """Read `name=pattern`.  Raises ValueError."""
        name, equals, pattern = text.partition("=")
        if not equals or not name.strip():
            raise ValueError(f"'{text}' is no filter; expected name=pattern")
        return cls(name.strip().lower(), re.compile(fnmatch.translate(pattern.strip()), re.DOTALL))

    def takes(self, attributes: Attributes) -> bool:
        """Whether the attribute with its name matches, or there is none."""
        for name, value in attributes:
            if name.lower() == self.name:
                return value is not None and self.pattern.match(plain_text(value)) is not None
        return True


@dataclass(frozen=True, slots=True, eq=False)
class Wish:
    """Somebody waits for an event until `ends`; `deliver` is called with each that matches, once when `single`."""

    filters: tuple[Filter, ...]
    ends: float
    deliver: Callable[[Attributes], None]
    single: bool

    def takes(self, attributes: Attributes) -> bool:
        return all(wanted.takes(attributes) for wanted in self.filters)


class Dispatcher:
    """All who wait for one event; it is the event's only subscriber of this module."""

    def __init__(self, services: Services) -> None:
        self._clock = services.clock
        self.wishes: dict[Wish, None] = {}

    def deliver(self, event: str, attributes: Attributes) -> None:
        """Tell everyone whom the event is for, who came last first, as OpenSIPS does."""
        now = self._clock.monotonic()
        for wish in list(reversed(self.wishes)):
            if wish.ends <= now:
                del self.wishes[wish]
            elif wish.takes(attributes):
                if wish.single:
                    del self.wishes[wish]
                wish.deliver(attributes)

    def clean_up(self) -> None:
        """Forget those whose time is over."""
        now = self._clock.monotonic()
        for wish in [wish for wish in self.wishes if wish.ends <= now]:
            del self.wishes[wish]


class EventRouting(Module):
    """Routes that run when something happens elsewhere, and routes that wait for it."""

    name = "event_routing"

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._dispatchers: dict[str, Dispatcher] = {}

    async def start(self) -> None:
        self.services.tasks.every(1, self._clean_up, "the times of notifications")

    def _clean_up(self) -> None:
        for dispatcher in self._dispatchers.values():
            dispatcher.clean_up()

    def _wait(self, event: str, wish: Wish) -> bool:
        if sum(len(dispatcher.wishes) for dispatcher in self._dispatchers.values()) >= MAX_WAITING:
            log.error("%d notifications are waited for already, no more are taken", MAX_WAITING)
            return False
        dispatcher = self._dispatchers.get(event)
        if dispatcher is None:
            dispatcher = self._dispatchers[event] = Dispatcher(self.services)
            self.services.events.subscribe(event, dispatcher, socket=f"routing:{event}")
        dispatcher.wishes[wish] = None
        return True

    # -- notifications --------------------------------------------------------------------------------------------

    @bound_function(routes="request failure reply branch event")
    def notify_on_event(
        self, event: BoundConstant, filter: BoundAvp, route: Annotated[BoundConstant, "route"], timeout: BoundNumber
    ) -> Callable[[Run], int]:
        """Run a route for each event that matches the filter, in the next `timeout` seconds.

        The route has nothing of this one but the id of its transaction, for t_inject_branches().
        """
        name, target, filters = text_argument(event.constant), text_argument(route.constant), _filters(filter)

        def notify(run: Run) -> int:
            wanted, seconds = filters(run), number_argument(timeout.get(run))
            if wanted is None or seconds <= 0:
                return -1
            tm = transaction_service(self.services)
            transaction = None if tm is None else tm.remember(run)
            wish = Wish(
                wanted,
                self.services.clock.monotonic() + seconds,
                lambda attributes: self._notify(target, transaction, attributes),
                single=False,
            )
            return 1 if self._wait(name, wish) else -1

        return notify

    def _notify(self, route: str, transaction: TransactionId | None, attributes: Attributes) -> None:
        self.services.tasks.spawn(self._notified(route, transaction, attributes), f"the notification of route[{route}]")

    async def _notified(self, route: str, transaction: TransactionId | None, attributes: Attributes) -> None:
        tm = transaction_service(self.services)

        def prepare(run: Run) -> None:
            _give(run, attributes)
            if tm is not None and transaction is not None:
                tm.point(run, transaction)

        try:
            await self.services.routes.run_route("route", route, message=dummy_message(), prepare=prepare)
        except LookupError as error:
            log.error("%s", error)

    # -- waiting --------------------------------------------------------------------------------------------------

    @bound_function()
    def wait_for_event(
        self, event: BoundConstant, filter: BoundAvp, timeout: BoundNumber
    ) -> Callable[[Run], Awaitable[int]]:
        """Wait for the first event that matches the filter: 1, or -2 when none came in `timeout` seconds.

        Nothing but this route waits.
        """
        name, filters = text_argument(event.constant), _filters(filter)

        async def wait(run: Run) -> int:
            wanted = filters(run)
            if wanted is None:
                return -1
            return _finish(run, await self._awaited(name, wanted, number_argument(timeout.get(run))))

        return wait

    @bound_function(name="wait_for_event", asynchronous=True)
    def async_wait_for_event(
        self, event: BoundConstant, filter: BoundAvp, timeout: BoundNumber
    ) -> Callable[[Run], Pending]:
        """Wait for the first event that matches the filter inside `async()` or `launch()`.

        In the resume route `$rc` is 1, or -2 when none came in `timeout` seconds.
        """
        name, filters = text_argument(event.constant), _filters(filter)

        def wait(run: Run) -> Pending:
            wanted = filters(run)
            if wanted is None:
                return Pending(_failed(), lambda later, code: -1)
            return Pending(
                self._awaited(name, wanted, number_argument(timeout.get(run))), _finish, lambda later: TIMEOUT
            )

        return wait

    async def _awaited(self, event: str, filters: tuple[Filter, ...], seconds: int) -> Attributes | int:
        """The attributes of the first event that matches, else a return code."""
        if seconds <= 0:
            log.error("wait_for_event: %d seconds are no time to wait", seconds)
            return -1
        came: asyncio.Future[Attributes] = asyncio.get_running_loop().create_future()

        def deliver(attributes: Attributes) -> None:
            if not came.done():
                came.set_result(attributes)

        wish = Wish(filters, self.services.clock.monotonic() + seconds, deliver, single=True)
        if not self._wait(event, wish):
            return -1
        try:
            async with self.services.clock.timeout(seconds):
                return await came
        except TimeoutError:
            return TIMEOUT
        finally:
            self._dispatchers[event].wishes.pop(wish, None)


async def _failed() -> int:
    return -1


def _finish(run: Run, outcome: Attributes | int) -> int:
    if isinstance(outcome, int):
        return outcome
    _give(run, outcome)
    return 1


def _give(run: Run, attributes: Attributes) -> None:
    """Let a route have the attributes of an event as AVPs."""
    for name, value in attributes:
        if name and value is not None:
            avp_assign(run.avps, name, None, "=", value)


def _filters(argument: Argument) -> Callable[[Run], tuple[Filter, ...] | None]:
    """The filters in an AVP, all its values; None, with a line in the log, when one is none."""
    access = argument.variable

    def filters(run: Run) -> tuple[Filter, ...] | None:
        if isinstance(access, AvpAccess) and access.index is None:
            values: Sequence[Value] = access.all(run)
        else:
            value = argument.get(run)
            values = () if value is None else (value,)
        try:
            if len(values) > MAX_FILTERS:
                raise ValueError(f"there are more than {MAX_FILTERS} filters")
            return tuple(Filter.parse(plain_text(value)) for value in values if value is not None)
        except ValueError as error:
            log.error("%s", error)
            return None

    return filters
