"""What a module may ask of its host.

A module gets one `Services` object and nothing else: no module imports another or the host.  A module that offers
something to others does it with `provide`, under a name that its documentation tells, and gets it with `find`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from .trace import TraceDestination
from .values import Value

if TYPE_CHECKING:
    from .mi.registry import Registry
    from .script.runtime import Run, Script


class Clock(Protocol):
    """Time; tests move it by hand."""

    def monotonic(self) -> float:
        """Seconds that never go back."""

    def time(self) -> float:
        """Seconds since the epoch."""

    async def sleep(self, seconds: float) -> None: ...

    def timeout(self, seconds: float | None) -> AbstractAsyncContextManager[object]:
        """What stands in the `async with` is cancelled after `seconds`, and TimeoutError raised; None: never."""


class Counter(Protocol):
    """A statistic."""

    @property
    def group(self) -> str: ...

    @property
    def name(self) -> str: ...

    @property
    def resettable(self) -> bool:
        """Whether it counts up and may go back to 0."""

    @property
    def value(self) -> int: ...

    def add(self, amount: int = 1) -> None: ...

    def reset(self) -> None:
        """Go back to 0, whether it is `resettable` or not."""


class Statistics(Protocol):
    """All counters of the host, by group and name."""

    def register(
        self, group: str, name: str, resettable: bool = True, read: Callable[[], int] | None = None
    ) -> Counter:
        """A new counter, or the one that is there.  With `read` its value is asked for each time."""

    def find(self, name: str) -> Counter | None:
        """The counter `name` or `group:name`."""

    def group(self, name: str) -> Sequence[Counter]:
        """The counters of a group in the order that MI lists them; empty when there is no such group."""

    def all(self) -> Sequence[Counter]:
        """Every counter, group by group."""


class Subscriber(Protocol):
    """Who wants to hear of an event."""

    def deliver(self, event: str, attributes: Sequence[tuple[str, Value]]) -> None:
        """Take an event; returns at once."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One who hears of an event: `lifetime` seconds from `since` (of the monotonic clock), or for good when None."""

    socket: str
    subscriber: Subscriber
    lifetime: int | None
    since: int

    def left(self, now: int) -> int:
        """Seconds until it ends."""
        return self.since + (self.lifetime or 0) - now


class EventTransport(Protocol):
    """A way to tell others of events; a module offers it as `event transport:udp` for sockets `udp:…`."""

    @property
    def endless(self) -> bool:
        """Whether its subscriptions last for good, whatever was asked for."""

    def subscriber(self, address: str) -> Subscriber:
        """Who is at `address`, the part of the socket behind the colon.  Raises ValueError when it is no address."""


class Events(Protocol):
    """The event interface: names that modules publish, and who listens."""

    def publish(self, name: str) -> bool:
        """Make `name` known; again is harmless.  False when there are too many already."""

    def published(self) -> Sequence[str]:
        """All names; the place of a name is the event's id."""

    def subscribe(self, name: str, subscriber: Subscriber, *, socket: str = "", lifetime: int | None = None) -> None:
        """Tell `subscriber` of an event from now on, for `lifetime` seconds or for good.

        `socket` is what MI shows; subscribing the same one again only renews it.
        """

    def unsubscribe(self, name: str, subscriber: Subscriber) -> None: ...

    def subscriptions(self, name: str) -> Sequence[Subscription]:
        """Who has subscribed to `name` with a socket, the newest first."""

    def is_heard(self, name: str) -> bool:
        """Whether anybody would be told of an event; who makes many of them asks before."""

    def raise_event(self, name: str, attributes: Sequence[tuple[str, Value]]) -> int:
        """Tell all subscribers; returns how many there are."""


class Tasks(Protocol):
    """Work beside the routes."""

    def spawn(self, work: Coroutine[Any, Any, Any], name: str) -> object:
        """Run `work`; a failure is logged with its traceback, and the host waits for or cancels it at its end."""

    def every(self, seconds: float, work: Callable[[], Awaitable[None] | None], name: str) -> object:
        """Call `work` every `seconds`, the first time after one interval, until the host stops."""


class Routes(Protocol):
    """Running parts of the script."""

    @property
    def script(self) -> Script:
        """The script in force."""

    async def run_route(
        self,
        kind: str,
        name: str,
        *,
        message: Any = None,
        text: Value = None,
        parameters: Sequence[Value] = (),
        prepare: Callable[[Run], object] | None = None,
        within: Run | None = None,
    ) -> Run:
        """Run a route of the script in force and wait for its end; its return code is the `rc` of the run.

        `parameters` are its `$param`s; `text` is short for a single one.  `prepare` is called with the run before it
        starts.  `within`: the route is a part of this run, on its variables, as a branch route is.  Raises
        LookupError when there is no such route.
        """

    def start_event(self, name: str, attributes: Sequence[tuple[str, Value]]) -> None:
        """Run `event_route[name]` later, in a worker for events."""

    async def reload(self) -> None:
        """Read the script again; raises ScriptError and keeps the old one when it does not check."""


@dataclass(slots=True)
class Levels:
    """Log levels of the whole host; `configured` is what the script's file says."""

    log: int = 2
    xlog: int = 2
    configured_log: int = 2
    configured_xlog: int = 2


@dataclass(slots=True)
class Process:
    """What `ps` shows of a group of workers."""

    number: int
    pid: int
    type: str


@dataclass(slots=True)
class Services:
    """Everything the host offers.

    `print` writes text of the script (`xlog`); `parameters` are the global parameters of the script; `command_line`
    and `working_folder` are what `arg` and `pwd` tell, `script_file` is the file that the script was read from, or
    what stands for its name.  `blacklists` are the `dst_blacklist` lines: name and options, as the tree has them.
    `stop` asks the host to end.
    """

    clock: Clock
    statistics: Statistics
    events: Events
    tasks: Tasks
    routes: Routes
    mi: Registry
    print: Callable[[str], None]
    levels: Levels
    parameters: dict[str, int | str]
    stop: Callable[[], None]
    started: float = 0.0
    processes: list[Process] = field(default_factory=list)
    command_line: list[str] = field(default_factory=list)
    working_folder: str = "/"
    script_file: str = ""
    blacklists: list[tuple[str, tuple[tuple[str, str | int | None], ...]]] = field(default_factory=list)
    sockets: list[str] = field(default_factory=list)
    trace_destinations: dict[str, TraceDestination] = field(default_factory=dict)
    offers: dict[str, Any] = field(default_factory=dict)

    def provide(self, name: str, offer: Any) -> None:
        """Offer something to other modules, for example a cache engine as `cachedb:local`."""
        self.offers[name] = offer

    def find(self, name: str) -> Any | None:
        """What another module offers under `name`, or None."""
        return self.offers.get(name)
