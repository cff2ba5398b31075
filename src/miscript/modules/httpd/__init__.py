"""`httpd`: the HTTP server that `mi_http`, `prometheus` and others answer through.

HTTP/1.1 and 1.0, kept connections, pipelining, chunked requests, TLS.  It is small on purpose: one server for a few
roots, where every limit can be named.  `connection.py` is one connection, `miscript/http` the protocol itself,
`miscript/http_server.py` what other modules see.

In the order in which a request is looked at: `healthz`, basic authentication (401), the method (406), the type of
the body (no answer), the path (400).  Source: OpenSIPS manual, module httpd; docs/doors.md.
"""

from __future__ import annotations

import asyncio
import base64
import hmac
import ipaddress
import logging
import resource
import socket
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

from ...errors import ConfigurationError, reason, remedy
from ...exports import Module, mi_command, parameter, statistic
from ...http.head import Head
from ...http.reader import Heads
from ...http.response import HTML, TEXT, Responses
from ...http_server import Handler, Reply
from ...services import Services
from .action import CLOSE, Action, Fixed, Handled
from .connection import HttpConnection
from .tls import DEFAULT_CIPHERS, server_context

log = logging.getLogger("miscript.httpd")

MIN_POST_SIZE: Final = 256
SPARE_FILES: Final = 64
"""Descriptors that connections leave to everything else."""
BACKLOG: Final = 1024
STOP_SECONDS: Final = 2.0
MAX_BODIES: Final = 64 * 1024 * 1024
MAX_UNTAKEN: Final = 64 * 1024 * 1024

_BODY_TYPES: Final = (b"application/json", b"text/xml")
_FORM: Final = b"application/x-www-form-urlencoded"

NO_SUCH_PATH: Final = Fixed(Reply(400, HTML, b"<html><body>Unable to parse URL!</body></html>"))
NO_SUCH_METHOD: Final = Fixed(Reply(406, HTML, b"<html><body>Unsupported HTTP request!</body></html>"), close=True)
ALIVE: Final = Fixed(Reply(200, TEXT, b"ok\n"))
UNAUTHORIZED: Final = Reply(401, HTML, b"<html><body>Unauthorized</body></html>")


@dataclass(frozen=True, slots=True)
class _Root:
    handler: Handler
    module: str


class Httpd(Module):
    """Serve HTTP for other modules."""

    name = "httpd"

    ip = parameter("127.0.0.1", "Address to listen on, `*` for all.")
    port = parameter(8888, "Port to listen on.")
    conn_timeout = parameter(30, "Seconds for a request to come, and for its answer to be taken; 0 for ever.")
    buf_size = parameter(0, "Largest answer in bytes; 0 for any.")
    post_buf_size = parameter(1024, "Of no meaning here: forms are not read.  At least 256.")
    receive_buf_size = parameter(1024 * 1024, "Largest body of a request in bytes.")
    tls_cert_file = parameter("", "Certificate in PEM; with `tls_key_file` it makes HTTPS.")
    tls_key_file = parameter("", "Key in PEM.")
    tls_ciphers = parameter(DEFAULT_CIPHERS, "Cipher list of OpenSSL; the default means TLS 1.2 and newer.")
    auth_realm = parameter("OpenSIPS MI", "Realm of basic authentication.")
    auth_username: str | None = parameter(None, "User of basic authentication; with `auth_password`.", kinds="string")
    auth_password: str | None = parameter(None, "Password of basic authentication.", kinds="string")
    healthz = parameter("", "Path that answers `ok` to anyone, for example `/healthz` (ours).")
    max_connections = parameter(10000, "Connections at a time (ours).")
    max_bodies = parameter(MAX_BODIES, "Bytes of bodies of all requests under way; at least `receive_buf_size` (ours).")

    max_untaken = parameter(MAX_UNTAKEN, "Bytes of answers that wait for their clients, one answer left out (ours).")

    refused_connections = statistic("refused_connections", "Connections above `max_connections`.")
    refused_bodies = statistic("refused_bodies", "Requests answered 503 because of `max_bodies`.")
    untaken_answers = statistic("untaken_answers", "Connections closed because of `max_untaken`.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.responses = Responses()
        self.heads = Heads()
        self.timeout = float("inf")
        self.max_body = 0
        self._roots: dict[str, _Root] = {}
        self._connections: set[HttpConnection] = set()
        self._servers: list[asyncio.Server] = []
        self._credentials = b""
        self._limit = 0
        self._kept = 0
        self._untaken = 0
        self._all_closed: asyncio.Event | None = None
        services.provide("httpd", self)

    # -- life -------------------------------------------------------------------------------------------------

    def init(self) -> None:
        self._check_address()
        self._check_numbers()
        self._check_authentication()
        self._tls = server_context(self.tls_cert_file, self.tls_key_file, self.tls_ciphers)
        self.timeout = float(self.conn_timeout or "inf")
        self.max_body = self.receive_buf_size
        self.services.statistics.register("httpd", "connections", False, lambda: len(self._connections))
        self.services.statistics.register("httpd", "kept_bytes", False, lambda: self._kept)
        self.services.statistics.register("httpd", "untaken_bytes", False, lambda: self._untaken)

    def _check_address(self) -> None:
        if self.ip != "*":
            try:
                ipaddress.ip_address(self.ip)
            except ValueError:
                raise ConfigurationError(
                    f"'ip' is '{self.ip}', expected an IP address or '*'", parameter="ip"
                ) from None
        if not 0 <= self.port <= 65535:
            raise ConfigurationError(f"'port' is {self.port}, expected 1 to 65535", parameter="port")

    def _check_numbers(self) -> None:
        least = {
            "post_buf_size": MIN_POST_SIZE,
            "conn_timeout": 0,
            "buf_size": 0,
            "receive_buf_size": 1,
            "max_connections": 1,
            "max_bodies": self.receive_buf_size,
            "max_untaken": 0,
        }
        for name, minimum in least.items():
            value = getattr(self, name)
            if value < minimum:
                raise ConfigurationError(f"'{name}' is {value}, expected at least {minimum}", parameter=name)
        if self.healthz and not self.healthz.startswith("/"):
            self.healthz = f"/{self.healthz}"

    def _check_authentication(self) -> None:
        if self.auth_username is None and self.auth_password is None:
            return
        if not self.auth_username or not self.auth_password or ":" in self.auth_username:
            wrong = "auth_password" if self.auth_username else "auth_username"
            raise ConfigurationError(
                "basic authentication needs both 'auth_username' (without ':') and 'auth_password'", parameter=wrong
            )
        if any(ord(character) < 0x20 for character in self.auth_realm):
            raise ConfigurationError("'auth_realm' has a control character", parameter="auth_realm")
        self._credentials = f"{self.auth_username}:{self.auth_password}".encode("utf-8", "surrogateescape")
        realm = self.auth_realm.replace("\\", "\\\\").replace('"', '\\"').encode("utf-8", "surrogateescape")
        self._ask = Fixed(UNAUTHORIZED, b'WWW-Authenticate: Basic realm="%b"\r\n' % realm)

    async def start(self) -> None:
        soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._limit = self.max_connections if soft < 0 else max(1, min(self.max_connections, soft - SPARE_FILES))
        loop = asyncio.get_running_loop()
        try:
            for listener in _listeners(self.ip, self.port):
                server = await loop.create_server(
                    lambda: HttpConnection(self),
                    sock=listener,
                    ssl=self._tls,
                    ssl_handshake_timeout=None if self._tls is None else min(self.timeout, 60.0),
                    backlog=BACKLOG,
                )
                self._servers.append(server)
        except OSError as error:
            raise ConfigurationError(
                f"'ip' and 'port': '{self.ip}' port {self.port} cannot be bound: {reason(error)}",
                parameter="port",
                help=remedy(error, port=self.port),
            ) from None
        if self.timeout != float("inf"):
            self.services.tasks.every(min(1.0, self.timeout / 4), self._sweep, "httpd: deadlines")

    async def stop(self) -> None:
        for server in self._servers:
            server.close()
        for connection in list(self._connections):
            connection.shut_down()
        if self._connections:
            self._all_closed = asyncio.Event()
            try:
                async with asyncio.timeout(STOP_SECONDS):
                    await self._all_closed.wait()
            except TimeoutError:
                pass  # those left do not take their answers
        for connection in list(self._connections):
            connection.abort()

    # -- for other modules ------------------------------------------------------------------------------------

    @property
    def listens_on(self) -> str:
        return self.ip

    @property
    def max_answer(self) -> int:
        return self.buf_size

    @property
    def address(self) -> tuple[str, int]:
        """Where it listens, once it does."""
        name = self._servers[0].sockets[0].getsockname()
        return name[0], name[1]

    def register(self, root: str, handler: Handler, module: str) -> None:
        if root in self._roots:
            raise ConfigurationError(
                f"'root' is '{root}', which module '{self._roots[root].module}' has already", parameter="root"
            )
        self._roots[root] = _Root(handler, module)

    @mi_command("list_root_path", "", aliases=["httpd_list_root_path"], read_only=True)
    def list_root_path(self) -> object:
        # No docstring: OpenSIPS has no help text for this command, and that is what `help` tells.
        return [{"http_root": root, "module": found.module} for root, found in self._roots.items()]

    # -- for connections --------------------------------------------------------------------------------------

    def opened(self, connection: HttpConnection) -> bool:
        if len(self._connections) >= self._limit:
            self.refused_connections.add()
            return False
        self._connections.add(connection)
        return True

    def closed(self, connection: HttpConnection) -> None:
        self._connections.discard(connection)
        if self._all_closed is not None and not self._connections:
            self._all_closed.set()

    def has_room(self, size: int) -> bool:
        if self._kept + size <= self.max_bodies:
            return True
        self.refused_bodies.add()
        return False

    def keep(self, size: int) -> None:
        self._kept += size

    def wait_for(self, size: int) -> bool:
        others = self._untaken
        self._untaken += size
        if size <= 0 or others <= self.max_untaken:
            return True
        self.untaken_answers.add()
        return False

    def later(self, work: Coroutine[Any, Any, None]) -> None:
        self.services.tasks.spawn(work, "httpd")

    def decide(self, head: Head) -> Action:
        if self.healthz and head.path == self.healthz and head.method in ("GET", "HEAD"):
            return ALIVE
        login = ""
        if self._credentials:
            if not self._is_authorized(head):
                return self._ask
            login = self.auth_username or ""
        if head.method not in ("GET", "POST"):
            return NO_SUCH_METHOD
        drop_body = head.method == "GET"
        if head.method == "POST" and head.length != 0:
            content_type = head.get(b"content-type").lower()
            if content_type.startswith(_FORM):
                drop_body = True
            elif not _is_body_type(content_type):
                return CLOSE
        root = self._roots.get(head.path[1:].partition("/")[0]) if head.path.startswith("/") else None
        return NO_SUCH_PATH if root is None else Handled(root.handler, login, drop_body)

    def _is_authorized(self, head: Head) -> bool:
        scheme, _, given = head.get(b"authorization").partition(b" ")
        try:
            credentials = base64.b64decode(given.strip(), validate=True)
        except ValueError:
            return False
        return scheme.lower() == b"basic" and hmac.compare_digest(credentials, self._credentials)

    def _sweep(self) -> None:
        """Close the connections whose time is over."""
        now = asyncio.get_running_loop().time()
        for connection in [c for c in self._connections if c.deadline <= now]:
            connection.expire(now)


def _is_body_type(content_type: bytes) -> bool:
    json, xml = _BODY_TYPES
    return content_type.startswith(json) or content_type.partition(b";")[0].strip() == xml


def _listeners(ip: str, port: int) -> list[socket.socket]:
    """Sockets for the address; `*` is one for both families where the machine has both."""
    if ip == "*":
        if socket.has_dualstack_ipv6():
            return [socket.create_server(("", port), family=socket.AF_INET6, backlog=BACKLOG, dualstack_ipv6=True)]
        return [socket.create_server(("", port), backlog=BACKLOG)]
    family = socket.AF_INET6 if ":" in ip else socket.AF_INET
    return [socket.create_server((ip, port), family=family, backlog=BACKLOG)]
