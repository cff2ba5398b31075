"""The HTTP door: one connection, kept alive, one request at a time (RFC 9112)."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable
from typing import Final, cast

import httptools

from ..errors import ProtocolError
from .address import HttpAddress
from .messages import shown
from .pool import Exchange

IDLE_SECONDS: Final = 10.0
"""A connection that was idle for so long is not used again: the server may be about to close it (OpenSIPS: 30 s)."""


class HttpChannel(asyncio.Protocol):
    """A connection to an HTTP server."""

    def __init__(self, address: HttpAddress, token: str | None, max_answer: int) -> None:
        self._head = _head(address, token)
        self._max_answer = max_answer
        self._transport: asyncio.Transport | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._answer: asyncio.Future[bytes] | None = None
        self._used = time.monotonic()
        self._keep = True
        self._begin()

    @classmethod
    async def open(
        cls, address: HttpAddress, token: str | None, max_answer: int, tls: Callable[[], ssl.SSLContext]
    ) -> HttpChannel:
        """Connect.  Raises `OSError`."""
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_connection(
            lambda: cls(address, token, max_answer),
            address.host,
            address.port,
            ssl=tls() if address.tls else None,
        )
        return channel

    # -- Channel ----------------------------------------------------------------------------------------------

    @property
    def reusable(self) -> bool:
        transport = self._transport
        fresh = time.monotonic() - self._used < IDLE_SECONDS
        return transport is not None and not transport.is_closing() and self._keep and fresh

    async def ask(self, exchange: Exchange) -> bytes:
        transport = self._transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the connection was closed")
        self._begin()
        self._answer = asyncio.get_running_loop().create_future()
        exchange.sent = True
        transport.write(self._head + b"%d\r\n\r\n" % len(exchange.message) + exchange.message)
        body = await self._answer
        self._used = time.monotonic()
        return self._json(body) if exchange.wants_answer else b""

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    # -- asyncio.Protocol -------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        if self._answer is None or self._answer.done() or self._parser is None:
            self.close()  # nobody asked
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(ProtocolError(f"the answer is no HTTP: {error}: {shown(data)}"))

    def eof_received(self) -> bool:
        """A body without a length ends with the connection."""
        if self._until_end and not self._length_known and not self._chunked:
            self._done()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self._fail(exc if isinstance(exc, OSError) else ConnectionResetError("the connection was closed"))

    # -- the parser's events ----------------------------------------------------------------------------------

    def _begin(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._body: list[bytes] = []
        self._size = 0
        self._reason = b""
        self._length_known = False
        self._chunked = False
        self._until_end = False

    def on_status(self, status: bytes) -> None:
        self._reason += status

    def on_header(self, name: bytes, value: bytes) -> None:
        lower = name.lower()
        if lower == b"content-length":
            self._length_known = True
        elif lower == b"transfer-encoding" and b"chunked" in value.lower():
            self._chunked = True

    def on_headers_complete(self) -> None:
        assert self._parser is not None
        self._status = self._parser.get_status_code()
        self._keep = self._parser.should_keep_alive() and (self._length_known or self._chunked)
        self._until_end = True
        if self._status != 200 and not self._length_known:  # OpenSIPS does not end the bodies of its refusals
            self._keep = False
            self._done()

    def on_body(self, body: bytes) -> None:
        self._size += len(body)
        if self._size > self._max_answer:
            self._fail(ProtocolError(f"the answer is larger than {self._max_answer} bytes"))
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self._done()

    def _done(self) -> None:
        if self._answer is not None and not self._answer.done():
            self._answer.set_result(b"".join(self._body))

    def _fail(self, error: Exception) -> None:
        self._keep = False
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)
        self.close()

    def _json(self, body: bytes) -> bytes:
        """The body, which other servers also send with a status of their own.  Raises `ProtocolError`."""
        if self._status == 200 or body.lstrip()[:1] in (b"{", b"["):
            return body
        text = f": {shown(body)}" if body else ""
        raise ProtocolError(f"the server answers {self._status} {self._reason.decode('latin-1')}{text}")


def _head(address: HttpAddress, token: str | None) -> bytes:
    host = f"[{address.host}]" if ":" in address.host else address.host
    authorization = f"Bearer {token}" if token is not None else address.authorization
    lines = [
        f"POST {address.path} HTTP/1.1",
        f"Host: {host}:{address.port}",
        "Content-Type: application/json",
        "Accept: application/json",
    ]
    if authorization is not None:
        if not authorization.isprintable():
            raise ValueError("the token holds characters that a header cannot")
        lines.append(f"Authorization: {authorization}")
    return "\r\n".join([*lines, "Content-Length: "]).encode("utf-8")
