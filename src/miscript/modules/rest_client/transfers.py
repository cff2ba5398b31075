"""Transfers: one request and its answer, within bounds of time and size, on connections that are kept.

Each TLS domain has a client, and so connections, of its own.  No redirection is followed, no cookie is kept and
nothing is asked for compressed, as in OpenSIPS; proxies are those of the environment (`https_proxy` …).

Source: OpenSIPS manual, module rest_client; observed codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import IntEnum
from http.cookiejar import DefaultCookiePolicy
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote_from_bytes

from ...errors import ConfigurationError, reason
from ...services import Clock
from ...trace import NOWHERE, Address
from ...values import encode

if TYPE_CHECKING:
    import httpx

MAX_CONNECTIONS: Final = 1000
MAX_URL: Final = 16_384

_BAD_URL = re.compile(rb"[\x00-\x20\x7f]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_PRINTABLE: Final = "".join(map(chr, range(0x21, 0x7F)))


class Code(IntEnum):
    """Return codes of the functions, as the manual has them."""

    OK = 1
    REFUSED = -1
    CONNECT_TIMEOUT = -2
    TRANSFER_TIMEOUT = -3
    CONNECTING = -4
    FAILED = -10


@dataclass(frozen=True, slots=True)
class Settings:
    """Bounds and habits of all transfers; `largest` in bytes, None for any size; `http2` and `http1` may be spoken."""

    connect_seconds: float
    seconds: float
    largest: int | None
    expect_continue: bool = False
    http1: bool = True
    http2: bool = False


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked."""

    method: str
    url: str
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None


@dataclass(slots=True)
class Outcome:
    """What became of a request.  `status` is 0 until an answer began; `body` may be a part of the whole."""

    code: Code = Code.FAILED
    reason: str = ""
    status: int = 0
    content_type: str = ""
    body: bytes = b""
    headers: tuple[tuple[str, str], ...] = ()
    first_line: str = ""
    local: Address = NOWHERE
    peer: Address = NOWHERE
    connected: bool = field(default=False, repr=False)


def checked_url(text: str) -> str:
    """A URL of HTTP, `http://` added where no scheme is written.  Raises ValueError."""
    data = encode(text)
    if not text or _BAD_URL.search(data) is not None or len(data) > MAX_URL:
        raise ValueError("it is no URL: it is empty, too long, or has blanks or control characters")
    matched = _SCHEME.match(text)
    if matched is None:
        if re.match(r"[A-Za-z][A-Za-z+.-]*:(?![0-9])", text):
            raise ValueError("expected a URL of http or https")
        text = f"http://{text}"
    elif matched[1].lower() not in ("http", "https"):
        raise ValueError(f"expected a URL of http or https, found '{matched[1]}'")
    return text if text.isascii() else quote_from_bytes(encode(text), safe=_PRINTABLE)


class Transfers:
    """All transfers of the host."""

    def __init__(self, clock: Clock, settings: Settings) -> None:
        self._clock = clock
        self._settings = settings
        self._clients: dict[ssl.SSLContext, httpx.AsyncClient] = {}

    async def make(self, request: Request, context: ssl.SSLContext, connected: asyncio.Event | None = None) -> Outcome:
        """Make a request; nothing is raised, what went wrong is in the outcome.  `connected` is set when it is."""
        import httpx

        outcome = Outcome()
        try:
            url = httpx.URL(checked_url(request.url))
            client = self._client(context)
            async with self._clock.timeout(self._settings.seconds):
                await self._exchange(client, url, request, outcome, connected)
        except httpx.ConnectTimeout:
            outcome.code = Code.CONNECT_TIMEOUT
            outcome.reason = f"no connection within {self._settings.connect_seconds:g} s"
        except (TimeoutError, httpx.TimeoutException):
            outcome.code = Code.TRANSFER_TIMEOUT if outcome.connected else Code.CONNECT_TIMEOUT
            outcome.reason = f"it took longer than {self._settings.seconds:g} s"
        except httpx.ConnectError as error:
            outcome.code = Code.REFUSED if _is_refused(error) else Code.FAILED
            outcome.reason = _why_not_connected(error)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, OSError) as error:
            outcome.reason = str(error) or type(error).__name__
        return outcome

    async def _exchange(
        self,
        client: httpx.AsyncClient,
        url: httpx.URL,
        request: Request,
        outcome: Outcome,
        connected: asyncio.Event | None,
    ) -> None:
        async def see(event: str, info: Mapping[str, Any]) -> None:
            if event.endswith("send_request_headers.started"):
                outcome.connected = True
                if connected is not None:
                    connected.set()

        headers = [(encode(name), encode(value)) for name, value in self._headers(request)]
        made = client.build_request(
            request.method, url, headers=headers, content=request.body, extensions={"trace": see}
        )
        answer = await client.send(made, stream=True)
        found = bytearray()
        try:
            _note(answer, outcome)
            async for chunk in answer.aiter_raw():
                found += chunk
                if self._settings.largest is not None and len(found) > self._settings.largest:
                    found.clear()
                    outcome.reason = f"the answer has more than {self._settings.largest} bytes (max_transfer_size)"
                    return
            outcome.code = Code.OK
        finally:
            outcome.body = bytes(found)
            await answer.aclose()

    def _headers(self, request: Request) -> Iterator[tuple[str, str]]:
        yield from request.headers
        if self._settings.expect_continue and request.body is not None and len(request.body) > 1024:
            yield "Expect", "100-continue"

    def _client(self, context: ssl.SSLContext) -> httpx.AsyncClient:
        import httpx

        client = self._clients.get(context)
        if client is None:
            settings = self._settings
            client = self._clients[context] = httpx.AsyncClient(
                verify=context,
                http1=settings.http1,
                http2=settings.http2,
                timeout=httpx.Timeout(settings.seconds, connect=settings.connect_seconds),
                limits=httpx.Limits(max_connections=MAX_CONNECTIONS),
            )
            client.cookies.jar.set_policy(DefaultCookiePolicy(allowed_domains=[]))
            for name in ("accept-encoding", "connection", "user-agent"):
                del client.headers[name]
        return client

    async def close(self) -> None:
        """Close all connections."""
        clients = list(self._clients.values())
        self._clients.clear()
        for client in clients:
            await client.aclose()


def _note(answer: httpx.Response, outcome: Outcome) -> None:
    """The head of an answer is there."""
    outcome.status = answer.status_code
    outcome.content_type = answer.headers.get("content-type", "")
    outcome.first_line = f"{answer.http_version} {answer.status_code} {answer.reason_phrase}".rstrip()
    outcome.headers = tuple(answer.headers.multi_items())
    stream = answer.extensions.get("network_stream")
    if stream is not None:
        outcome.local = _address(stream.get_extra_info("client_addr"))
        outcome.peer = _address(stream.get_extra_info("server_addr"))


def _address(found: object) -> Address:
    return (str(found[0]), int(found[1])) if isinstance(found, tuple) and len(found) >= 2 else NOWHERE


def _is_refused(error: BaseException) -> bool:
    """Whether the server could not be reached, and not that its name or its certificate was wrong."""
    causes = list(_causes(error))
    if any(isinstance(cause, ssl.SSLError) for cause in causes):
        return False
    return not any(type(cause).__name__ in ("gaierror", "herror") for cause in causes)


def _why_not_connected(error: BaseException) -> str:
    """The system's word, which is told behind the library's "All connection attempts failed"."""
    refusals = [cause for cause in _causes(error) if isinstance(cause, OSError) and (cause.errno or 0) > 0]
    if refusals and not any(isinstance(cause, ssl.SSLError) for cause in refusals):
        return reason(refusals[-1])
    return str(error) or "no connection"


def _causes(error: BaseException | None, depth: int = 0) -> Iterator[BaseException]:
    if error is None or depth > 10:
        return
    yield error
    inner: Sequence[BaseException] = getattr(error, "exceptions", ())
    for each in (*inner, error.__cause__, error.__context__):
        yield from _causes(each, depth + 1)


def require_http(http2: bool) -> bool:
    """Whether HTTP/2 can be spoken.  Raises ConfigurationError when HTTP cannot be spoken at all."""
    import importlib.util

    if importlib.util.find_spec("httpx") is None:
        raise ConfigurationError("rest_client needs httpx", help="pip install 'miscript[rest]'")
    return http2 and importlib.util.find_spec("h2") is not None
