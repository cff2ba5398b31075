"""What becomes of a request at httpd, and what a connection needs of its server.

`Owner.decide` gives an `Action` for a head: a fixed answer, a module that answers, or none.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias

from ...http.head import Head
from ...http.reader import Heads
from ...http.response import Responses
from ...http_server import Answer, Handler, Reply

if TYPE_CHECKING:
    from .connection import HttpConnection


@dataclass(frozen=True, slots=True)
class Fixed:
    """Answer all requests of this head with one thing; `fields` are more header lines."""

    reply: Reply
    fields: bytes = b""
    close: bool = False


@dataclass(frozen=True, slots=True)
class Handled:
    """Hand the request to a module; without its body if `drop_body`."""

    handler: Handler
    login: str = ""
    drop_body: bool = False


class CloseSilently:
    """Close the connection without an answer."""


CLOSE: Final = CloseSilently()
Again: TypeAlias = Callable[[], Answer | Coroutine[Any, Any, Answer]]
Action: TypeAlias = Fixed | Handled | CloseSilently


class Owner(Protocol):
    """What a connection needs of its server."""

    responses: Responses
    heads: Heads
    timeout: float
    max_body: int

    def opened(self, connection: HttpConnection) -> bool:
        """A new connection; False if there are too many."""

    def closed(self, connection: HttpConnection) -> None: ...

    def decide(self, head: Head) -> Action:
        """What becomes of requests of this head."""

    def has_room(self, size: int) -> bool:
        """Whether `size` bytes of a body may be kept; counted if not."""

    def keep(self, size: int) -> None:
        """So many bytes more are kept, or fewer."""

    def wait_for(self, size: int) -> bool:
        """A client does not take `size` bytes of its answers, or does now if negative; False if that is too much."""

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        """Run `work` beside everything else."""
