"""What the module `freeswitch` offers to others: connections to event sockets, shared by all that name one server.

```python
freeswitch = freeswitch_service(self.services)          # None when the script does not load freeswitch
socket = freeswitch.acquire_heartbeats("fs://:secret@10.0.0.10", "load_balancer")
...
load = socket.heartbeat                                 # None until the first one came
...
freeswitch.release_heartbeats(socket, "load_balancer")
```

Every `acquire` is paired with a `release`, every `subscribe` with an `unsubscribe`: both are counted, so that a reload
may take the new set first and let go of the old one afterwards.

Source: OpenSIPS manual, module freeswitch; FreeSWITCH documentation, "Event List" (HEARTBEAT).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeAlias, cast

from .errors import MiscriptError
from .esl import Event, EventSocketAddress

if TYPE_CHECKING:
    from .services import Services


class FreeswitchError(MiscriptError):
    """A command has no reply: not connected, lost on the way, too slow; or the socket cannot be had at all."""


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a FreeSWITCH server told of itself last."""

    idle_cpu: float
    """Percent of the processor that is idle."""
    sessions: int
    max_sessions: int
    received: float
    """When it came, in seconds of the monotonic clock."""


Listener: TypeAlias = Callable[["FreeswitchSocket", Event], None]
"""Is told of an event; returns at once."""


class FreeswitchSocket(Protocol):
    """One server's event socket, connected or not; `str()` of it is `host:port`."""

    @property
    def host(self) -> str: ...

    @property
    def port(self) -> int: ...

    @property
    def connected(self) -> bool:
        """Whether it takes commands now."""

    @property
    def heartbeat(self) -> Heartbeat | None:
        """The last heartbeat, while there is a connection and someone has subscribed to HEARTBEAT."""

    def subscribe(self, who: str, events: Iterable[str], listener: Listener | None = None) -> None:
        """Ask for events as `event` of FreeSWITCH names them, once more for `who`; `listener` is told of them.

        Nothing is waited for: what the server refuses, or is not there to take, is asked for again and again.  Raises
        EslError for what is no name, and then has subscribed to nothing.
        """

    def unsubscribe(self, who: str, events: Iterable[str]) -> None:
        """Take back one `subscribe` of `who` for each of the events; those that were never asked for are skipped."""

    async def command(self, text: str) -> str:
        """The reply to a command (`api status`, `bgapi originate …`).

        Waits for a connection that is being opened (`esl_connect_timeout`), then for the reply (`esl_cmd_timeout`);
        a socket that could not be connected fails at once.  Raises FreeswitchError.
        """

    async def background(self, text: str, seconds: float) -> str:
        """The result of an `api` command that FreeSWITCH runs as a background job, within `seconds`.

        Other commands go on meanwhile.  Raises FreeswitchError.
        """


class Freeswitch(Protocol):
    """Offered as `freeswitch`."""

    @property
    def heartbeat_interval(self) -> int:
        """Seconds between two heartbeats, as the script expects them (`event_heartbeat_interval`)."""

    def acquire(self, address: EventSocketAddress | str, *, provisioned: bool = False) -> FreeswitchSocket:
        """The socket at an address, which connects from now on.

        A new socket needs a password; for one that is there, user and password of the address count from its next
        connection on, unless those in force are `provisioned`, that is, come from a table.  Raises EslError for a URL
        that is none, FreeswitchError without a password or when there are too many sockets.
        """

    def release(self, socket: FreeswitchSocket) -> None:
        """Take back one `acquire`."""

    def provision_ended(self, socket: FreeswitchSocket) -> None:
        """Take back one `provisioned`, before the `release`: without any, addresses set user and password again."""

    def acquire_heartbeats(self, address: EventSocketAddress | str, who: str) -> FreeswitchSocket:
        """A socket whose `heartbeat` is kept up to date for `who`.  Raises as `acquire` does."""

    def release_heartbeats(self, socket: FreeswitchSocket, who: str) -> None:
        """Take back one `acquire_heartbeats`."""


def freeswitch_service(services: Services) -> Freeswitch | None:
    """The event sockets of this host."""
    return cast("Freeswitch | None", services.find("freeswitch"))
