"""The HTTP door: one connection, kept alive, one request at a time."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import cast

from ..errors import ProtocolError
from . import http_answer
from .address import HttpAddress
from .exchange import Exchange
from .http_answer import HttpAnswer, request_bytes, request_head


class HttpChannel(asyncio.Protocol):
    """A connection to an HTTP server."""

    def __init__(self, head: bytes, max_answer: int) -> None:
        self._head = head
        self._max_answer = max_answer
        self._transport: asyncio.Transport | None = None
        self._answer: HttpAnswer | None = None
        self._whole: asyncio.Future[None] | None = None
        self._used = time.monotonic()
        self._keep = True

    @classmethod
    async def open(
        cls, address: HttpAddress, token: str | None, max_answer: int, tls: Callable[[], ssl.SSLContext]
    ) -> HttpChannel:
        """Connect.  Raises `OSError`, and `ValueError` for a token that no header can hold."""
        head = request_head(address, token)
        loop = asyncio.get_running_loop()
        context = tls() if address.tls else None
        _, channel = await loop.create_connection(
            lambda: cls(head, max_answer), address.host, address.port, ssl=context
        )
        return channel

    # -- Channel ----------------------------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        transport = self._transport
        fresh = time.monotonic() - self._used < http_answer.IDLE_SECONDS
        return transport is not None and not transport.is_closing() and self._keep and fresh

    async def ask(self, exchange: Exchange) -> bytes:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        answer = self._answer = HttpAnswer(self._max_answer)
        self._whole = asyncio.get_running_loop().create_future()
        exchange.sent = True
        transport.write(request_bytes(self._head, exchange.message))
        await self._whole
        self._used = time.monotonic()
        self._keep = answer.keep
        return answer.json() if exchange.wants_answer else b""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        answer, whole = self._answer, self._whole
        if answer is None or whole is None or whole.done():
            self.close()  # nobody asked
            return
        try:
            answer.feed(data)
        except ProtocolError as error:
            self._fail(error)
        else:
            self._finish_if_done()

    def eof_received(self) -> bool:
        if self._answer is not None:
            self._answer.end()
            self._finish_if_done()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection was closed"))

    def _finish_if_done(self) -> None:
        if self._answer is not None and self._answer.done and self._whole is not None and not self._whole.done():
            self._whole.set_result(None)

    def _fail(self, error: Exception) -> None:
        self._keep = False
        if self._whole is not None and not self._whole.done():
            self._whole.set_exception(error)
        self.close()
