"""A client of live nodes: OpenSIPS, miscript and, for what they share, Kamailio.

`connect(url)` for programs with an event loop, `connect_blocking(url)` for those without.  The URLs are explained in
`miscript.client.address`, the errors in `miscript.errors`.
"""

from __future__ import annotations

from typing import Any

from ..errors import AnswerTimeout, ClientError, ConnectError, MIError, ProtocolError
from .blocking import BlockingClient
from .client import Client

__all__ = [
    "AnswerTimeout",
    "BlockingClient",
    "Client",
    "ClientError",
    "ConnectError",
    "MIError",
    "ProtocolError",
    "connect",
    "connect_blocking",
]


def connect(url: str, **options: Any) -> Client:
    """A client of the node at `url`; nothing is opened before the first call.  `options` are those of `Client`."""
    return Client(url, **options)


def connect_blocking(url: str, **options: Any) -> BlockingClient:
    """The same with methods that wait."""
    return BlockingClient(url, **options)
