"""Module rest_client: asking web services.

A call suspends the route, not the host, in its plain form too; the asynchronous form differs in that the script goes
on with a route of its own.  The result is one of the codes of the manual, the body, its type and the status go to
variables.  What a traced message makes a script ask is traced with kind "rest" (module tracer).

Source: OpenSIPS manual, module rest_client; observed codes of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
import re
import ssl
from collections.abc import Awaitable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...errors import ConfigurationError
from ...exports import Module, Writable, async_function, parameter, script_function
from ...script.runtime import Pending, Run
from ...script.signatures import VariableAccess
from ...services import Services
from ...tls_service import TlsDomains
from ...trace import NOWHERE
from ...trace_service import route_tracing
from ...values import decode, encode
from .connecting import Connecting
from .escaping import TRANSFORMATIONS
from .transfers import Code, Outcome, Request, Settings, Transfers, require_http

__all__ = ["RestClient"]

log = logging.getLogger("miscript.rest_client")

FORM: Final = "application/x-www-form-urlencoded"
HEADERS: Final = "rest_client headers"
DOMAIN: Final = "rest_client domain"
MAX_HEADERS: Final = 100
MAX_HEADER: Final = 8192

_HEADER = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\0]*?)[ \t]*(?:\r\n|\n)?")


@dataclass(frozen=True, slots=True)
class Targets:
    """The variables of a call."""

    body: VariableAccess
    content_type: VariableAccess | None
    status: VariableAccess | None

    def store(self, run: Run, outcome: Outcome) -> int:
        """Store what came of a request; the return code of the call."""
        stored = True
        if self.status is not None:
            stored &= self.status.set(run, outcome.status)
        if outcome.status:
            stored &= self.body.set(run, decode(outcome.body))
            if self.content_type is not None:
                stored &= self.content_type.set(run, outcome.content_type)
        return int(outcome.code if stored else Code.FAILED)


class RestClient(Module):
    """Asks web services."""

    name = "rest_client"

    curl_timeout = parameter(20, "Seconds that a transfer may take, connecting included.")
    connection_timeout = parameter(20, "Seconds that connecting may take.")
    connect_poll_interval = parameter(20, "Accepted; nothing polls.")
    max_async_transfers = parameter(100, "Asynchronous transfers at a time; others wait for their turn.")
    max_transfer_size = parameter(10240, "Kilobytes of the largest answer; 0: any size.")
    ssl_verifypeer = parameter(1, "1: certificates of servers are checked.")
    ssl_verifyhost = parameter(1, "1: certificates must be those of the server's name.")
    ssl_capath = parameter("", "File or folder with certificates of authorities; without it those of the system.")
    curl_http_version = parameter(0, "0, 1, 2: HTTP/1.1; 3, 4: HTTP/2 where the server has it; 5: HTTP/2.")
    enable_expect_100 = parameter(0, "1: bodies of more than 1024 bytes are sent with Expect: 100-continue.")
    no_concurrent_connects = parameter(0, "1: one call connects to a host at a time, others get -4.")
    curl_conn_lifetime = parameter(0, "Seconds in which no_concurrent_connects does not count for a known host.")

    transformations = TRANSFORMATIONS

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._transfers: Transfers | None = None
        self._context: ssl.SSLContext | None = None
        self._connecting = Connecting(services.clock, 0)
        self._turns = asyncio.Semaphore(1)

    def init(self) -> None:
        self._check()
        http2 = require_http(self.curl_http_version >= 3)
        if self.curl_http_version == 1:
            log.warning("curl_http_version: HTTP/1.0 is not spoken here, HTTP/1.1 is")
        if self.curl_http_version == 5 and not http2:
            raise ConfigurationError(
                "HTTP/2 needs the package h2", parameter="curl_http_version", help="pip install h2"
            )
        if self.curl_http_version in (3, 4) and not http2:
            log.warning("curl_http_version: HTTP/2 needs the package h2; HTTP/1.1 is spoken")
        self._context = self._default_context()
        self._transfers = Transfers(
            self.services.clock,
            Settings(
                connect_seconds=min(self.connection_timeout, self.curl_timeout),
                seconds=self.curl_timeout,
                largest=self.max_transfer_size * 1024 or None,
                expect_continue=bool(self.enable_expect_100),
                http1=self.curl_http_version != 5,
                http2=http2,
            ),
        )
        self._connecting = Connecting(self.services.clock, self.curl_conn_lifetime)
        self._turns = asyncio.Semaphore(self.max_async_transfers)

    def _check(self) -> None:
        for name in ("curl_timeout", "connection_timeout", "max_async_transfers"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive", parameter=name)
        for name in ("max_transfer_size", "curl_conn_lifetime"):
            if getattr(self, name) < 0:
                raise ConfigurationError(f"{name} must not be negative", parameter=name)
        if self.connection_timeout > self.curl_timeout:
            log.warning("connection_timeout is more than curl_timeout, which counts")
        if not 0 <= self.curl_http_version <= 5:
            raise ConfigurationError("curl_http_version is 0 to 5", parameter="curl_http_version")

    def _default_context(self) -> ssl.SSLContext:
        path = self.ssl_capath
        try:
            context = ssl.create_default_context(
                cafile=path if path and Path(path).is_file() else None,
                capath=path if path and not Path(path).is_file() else None,
            )
        except (OSError, ssl.SSLError) as error:
            raise ConfigurationError(f"'{path}' has no certificates: {error}", parameter="ssl_capath") from error
        context.check_hostname = bool(self.ssl_verifyhost and self.ssl_verifypeer)
        if not self.ssl_verifypeer:
            context.verify_mode = ssl.CERT_NONE
        return context

    async def stop(self) -> None:
        if self._transfers is not None:
            await self._transfers.close()

    # -- before a request ---------------------------------------------------------------------------------------------

    @script_function()
    def rest_append_hf(self, run: Run, txt: str) -> int:
        """Add a header field, `Name: value`, to the next request of this run: 1, or -1 when it is none."""
        matched = _HEADER.fullmatch(txt)
        if matched is None or len(txt) > MAX_HEADER:
            log.error("rest_append_hf: expected 'Name: value', found %r", txt[:200])
            return -1
        headers = run.data.setdefault(HEADERS, [])
        if len(headers) >= MAX_HEADERS:
            log.error("rest_append_hf: a request has at most %d header fields", MAX_HEADERS)
            return -1
        headers.append((matched[1], matched[2]))
        return 1

    @script_function()
    def rest_init_client_tls(self, run: Run, tls_client_domain: str) -> int:
        """Use a client domain of tls_mgm for the next request of this run: 1, or -1 when there is none."""
        if self._domain(tls_client_domain) is None:
            log.error("rest_init_client_tls: there is no TLS client domain '%s'", tls_client_domain)
            return -1
        run.data[DOMAIN] = tls_client_domain
        return 1

    def _domain(self, name: str) -> ssl.SSLContext | None:
        domains: TlsDomains | None = self.services.find("tls domains")
        domain = None if domains is None else domains.named_client(name)
        return None if domain is None else domain.context

    # -- requests -----------------------------------------------------------------------------------------------------

    @script_function()
    async def rest_get(
        self,
        run: Run,
        url: str,
        body_pv: Writable,
        ctype_pv: Writable | None = None,
        retcode_pv: Writable | None = None,
    ) -> int:
        """GET a resource: 1, or one of the codes -1, -2, -3, -4, -10 of the manual.

        `body_pv` takes the body, `ctype_pv` its Content-Type, `retcode_pv` the status, 0 when there was no answer.
        """
        return Targets(body_pv, ctype_pv, retcode_pv).store(run, await self._ask(run, self._get(run, url)))

    @script_function()
    async def rest_post(
        self,
        run: Run,
        url: str,
        send_body: str,
        send_ctype: str | None,
        recv_body_pv: Writable,
        recv_ctype_pv: Writable | None = None,
        retcode_pv: Writable | None = None,
    ) -> int:
        """POST a body; codes and variables as for `rest_get`."""
        outcome = await self._ask(run, self._with_body("POST", run, url, send_body, send_ctype))
        return Targets(recv_body_pv, recv_ctype_pv, retcode_pv).store(run, outcome)

    @script_function()
    async def rest_put(
        self,
        run: Run,
        url: str,
        send_body: str,
        send_ctype: str | None,
        recv_body_pv: Writable,
        recv_ctype_pv: Writable | None = None,
        retcode_pv: Writable | None = None,
    ) -> int:
        """PUT a body; codes and variables as for `rest_get`."""
        outcome = await self._ask(run, self._with_body("PUT", run, url, send_body, send_ctype))
        return Targets(recv_body_pv, recv_ctype_pv, retcode_pv).store(run, outcome)

    @async_function(name="rest_get")
    def async_rest_get(
        self,
        run: Run,
        url: str,
        body_pv: Writable,
        ctype_pv: Writable | None = None,
        retcode_pv: Writable | None = None,
    ) -> Pending:
        """GET a resource while the script is suspended."""
        return self._pending(run, self._get(run, url), Targets(body_pv, ctype_pv, retcode_pv))

    @async_function(name="rest_post")
    def async_rest_post(
        self,
        run: Run,
        url: str,
        send_body: str,
        send_ctype: str | None,
        recv_body_pv: Writable,
        recv_ctype_pv: Writable | None = None,
        retcode_pv: Writable | None = None,
    ) -> Pending:
        """POST a body while the script is suspended."""
        request = self._with_body("POST", run, url, send_body, send_ctype)
        return self._pending(run, request, Targets(recv_body_pv, recv_ctype_pv, retcode_pv))

    @async_function(name="rest_put")
    def async_rest_put(
        self,
        run: Run,
        url: str,
        send_body: str,
        send_ctype: str | None,
        recv_body_pv: Writable,
        recv_ctype_pv: Writable | None = None,
        retcode_pv: Writable | None = None,
    ) -> Pending:
        """PUT a body while the script is suspended."""
        request = self._with_body("PUT", run, url, send_body, send_ctype)
        return self._pending(run, request, Targets(recv_body_pv, recv_ctype_pv, retcode_pv))

    def _get(self, run: Run, url: str) -> Request:
        return Request("GET", url, tuple(run.data.pop(HEADERS, ())))

    def _with_body(self, method: str, run: Run, url: str, body: str, content_type: str | None) -> Request:
        headers = list(run.data.pop(HEADERS, ()))
        if content_type or not any(name.lower() == "content-type" for name, _ in headers):
            headers.append(("Content-Type", content_type or FORM))
        return Request(method, url, tuple(headers), encode(body))

    def _pending(self, run: Run, request: Request, targets: Targets) -> Pending:
        async def asked() -> Outcome:
            async with self._turns:
                return await self._ask(run, request, asynchronous=True)

        return Pending(asked(), targets.store)

    def _ask(self, run: Run, request: Request, *, asynchronous: bool = False) -> Awaitable[Outcome]:
        """Make a request with the TLS domain that the run has chosen for it."""
        name = run.data.pop(DOMAIN, None)
        context = self._context if name is None else self._domain(name)
        return self._asked(run, request, context, asynchronous)

    async def _asked(self, run: Run, request: Request, context: ssl.SSLContext | None, asynchronous: bool) -> Outcome:
        assert self._transfers is not None, "init() makes them"
        if context is None:
            outcome = Outcome(reason="its TLS client domain is gone")
        elif not self.no_concurrent_connects:
            outcome = await self._transfers.make(request, context)
        else:
            outcome = await self._connecting.alone(self._transfers, request, context, only_connect=asynchronous)
        if outcome.code is not Code.OK:
            log.error("%s of '%s': %s", request.method, request.url, outcome.reason)
        self._trace(run, request, outcome)
        return outcome

    def _trace(self, run: Run, request: Request, outcome: Outcome) -> None:
        tracing = route_tracing(self.services)
        if tracing is None or not tracing.wants(run, "rest"):
            return
        transport = "tls" if request.url.lower().startswith("https:") else "tcp"
        fields = [("first_line", f"{request.method} {request.url}"), *_headers_field(request.headers)]
        fields += [("payload", decode(request.body))] if request.body else []
        tracing.tell(run, "rest", fields, outcome.local, outcome.peer, transport=transport)
        if outcome.status:
            fields = [("first_line", outcome.first_line), *_headers_field(outcome.headers)]
            fields += [("payload", decode(outcome.body))] if outcome.body else []
            tracing.tell(run, "rest", fields, outcome.peer, outcome.local, transport=transport)
        else:
            fields = [("first_line", outcome.reason)]
            tracing.tell(run, "rest", fields, NOWHERE, NOWHERE, transport=transport)


def _headers_field(headers: tuple[tuple[str, str], ...]) -> list[tuple[str, str]]:
    return [("headers", "\r\n".join(f"{name}: {value}" for name, value in headers))] if headers else []
