"""What `httpd` offers to the modules that answer HTTP requests: `services.find("httpd")` is an `HttpServer`.

A module registers a root; requests for `/ROOT` and everything below it come to its handler, one call each.  The
handler returns a `Reply`, or an awaitable of one when the answer comes later: requests of other clients, and further
ones of the same, go on meanwhile, and each client gets its answers in the order of its requests.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Protocol, TypeAlias

from .http.head import Head
from .trace import Address


class Reply(NamedTuple):
    """An answer; `content_type` empty for none."""

    status: int
    content_type: bytes
    body: bytes


@dataclass(slots=True)
class Client:
    """The other side of one connection.

    `memo` is for handlers: what they have worked out about this client and want to find again.
    """

    source: Address
    destination: Address
    memo: dict[object, Any] = field(default_factory=dict)


@dataclass(slots=True)
class HttpRequest:
    """A request for a handler.

    `login` is the user that httpd's own basic authentication has made sure of, empty without it.
    """

    head: Head
    body: bytes
    client: Client
    login: str


Handler: TypeAlias = Callable[[HttpRequest], Reply | Coroutine[Any, Any, Reply]]


class HttpServer(Protocol):
    """The server, as other modules see it."""

    @property
    def listens_on(self) -> str:
        """The address that it is configured to listen on; `*` for all."""

    @property
    def max_answer(self) -> int:
        """The largest answer in bytes, 0 for any."""

    def register(self, root: str, handler: Handler, module: str) -> None:
        """Let `handler` answer for `/root`.  Raises ConfigurationError if another module does already."""
