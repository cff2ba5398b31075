"""What `httpd` offers to the modules that answer HTTP requests: `services.find("httpd")` is an `HttpServer`.

A module registers a root; requests for `/ROOT` and everything below it come to its handler, one call each.  The
handler returns an `Answer`, or an awaitable of one when the answer comes later: requests of other clients, and further
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


Answer: TypeAlias = Reply | bytes
"""Bytes are the body of an answer with status 200 and type `application/json`, as nearly all are."""


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

    `repeated`: the very same bytes came before this request over this connection.  A handler that can be quicker then
    sets `again`, which is called in its place as long as they come again and again.
    """

    head: Head
    body: bytes
    client: Client
    login: str
    repeated: bool = False
    again: Callable[[], Answer | Coroutine[Any, Any, Answer]] | None = None


Handler: TypeAlias = Callable[[HttpRequest], Answer | Coroutine[Any, Any, Answer]]


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
