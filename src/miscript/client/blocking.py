"""The same client for programs without an event loop."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Sequence
from types import TracebackType
from typing import Any, TypeVar

from .client import Client
from .messages import Params

T = TypeVar("T")


class BlockingClient:
    """`Client` with methods that wait; takes the same arguments.

    Threads may share one: their calls come one after the other.
    """

    def __init__(self, url: str, **options: Any) -> None:
        self._client = Client(url, **options)
        self._loop = asyncio.new_event_loop()
        self._lock = threading.Lock()

    def call(self, command: str, params: Params = None, *, deadline: float | None = None) -> Any:
        """See `Client.call`."""
        return self._run(self._client.call(command, params, deadline=deadline))

    def notify(self, command: str, params: Params = None, *, deadline: float | None = None) -> None:
        """See `Client.notify`."""
        self._run(self._client.notify(command, params, deadline=deadline))

    def batch(self, calls: Sequence[tuple[str, Params]], *, deadline: float | None = None) -> list[Any]:
        """See `Client.batch`."""
        return self._run(self._client.batch(calls, deadline=deadline))

    def _run(self, work: Coroutine[Any, Any, T]) -> T:
        with self._lock:
            try:
                if self._loop.is_closed():
                    raise RuntimeError("the client is closed")
                return self._loop.run_until_complete(work)
            finally:
                work.close()

    def close(self) -> None:
        """Close all channels."""
        with self._lock:
            if not self._loop.is_closed():
                self._loop.run_until_complete(self._client.close())
                self._loop.run_until_complete(asyncio.sleep(0))
                self._loop.close()

    def __enter__(self) -> BlockingClient:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
