"""A client of live nodes: OpenSIPS, miscript and, for what they share, Kamailio.

`connect(url)` for programs with an event loop, `connect_blocking(url)` for those without.  The URLs are explained in
`miscript.client.address`, the errors in `miscript.errors`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from ..errors import AnswerTimeout, ClientError, ConnectError, MIError, ProtocolError

if TYPE_CHECKING:
    from .blocking import BlockingClient as BlockingClient
    from .client import Client as Client

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

_LATER = {"BlockingClient": ".blocking", "Client": ".client"}
"""Imported when they are asked for: who has no event loop need not wait for asyncio."""


def connect(url: str, **options: Any) -> Client:
    """A client of the node at `url`; nothing is opened before the first call.  `options` are those of `Client`."""
    from .client import Client

    return Client(url, **options)


def connect_blocking(url: str, **options: Any) -> BlockingClient:
    """The same with methods that wait."""
    from .blocking import BlockingClient

    return BlockingClient(url, **options)


def __getattr__(name: str) -> Any:
    if name not in _LATER:
        raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
    return getattr(importlib.import_module(_LATER[name], __name__), name)
