"""`mi_http`: the Management Interface over HTTP, answered through `httpd`.

A POST to `/ROOT` with a JSON-RPC request as its body.  The status is 200 for every answer of JSON-RPC, errors
included, and 202 for a notification; 405 (GET), 400 (no body) and 500 (larger than httpd's `buf_size`) are empty.

With a policy, a client is who its bearer token or its login (httpd's, or one that the policy knows) says; a policy's
`hosts` are the only `Host` values that are answered (421), which keeps browsers out that were led here by DNS.
Source: OpenSIPS manual, module mi_http; docs/doors.md.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Coroutine
from typing import Any, Final

from ..errors import ConfigurationError
from ..exports import parameter
from ..http.response import HTML, JSON
from ..http_server import Answer, HttpRequest, HttpServer, Reply
from ..mi.origin import NOBODY, Backend, Identity, Origin
from ..mi_door import Answer as Waiting
from ..mi_door import MiDoor

ROOT: Final = re.compile(r"[A-Za-z0-9_]+")

NOT_ALLOWED: Final = Reply(405, JSON, b"")
NO_BODY: Final = Reply(400, JSON, b"")
ACCEPTED: Final = Reply(202, JSON, b"")
TOO_LARGE: Final = Reply(500, JSON, b"")
WRONG_HOST: Final = Reply(421, HTML, b"<html><body>Misdirected Request</body></html>")

_MAX_KNOWN: Final = 16
"""Identities remembered for one connection."""


class MiHttp(MiDoor):
    """Run MI commands that come in by HTTP."""

    name = "mi_http"
    backend = Backend.HTTP
    needs = ("httpd",)

    root = parameter("mi", "Name behind the first slash of the path: letters, digits, `_`.")

    def init(self) -> None:
        super().init()
        root = self.root.strip()
        if not ROOT.fullmatch(root):
            raise ConfigurationError(f"'root' is '{self.root}', expected letters, digits and '_'", parameter="root")
        server: HttpServer | None = self.services.find("httpd")
        if server is None:
            raise ConfigurationError("module 'httpd' is not loaded", help='add  loadmodule "httpd.so"')
        self.check_exposure("0.0.0.0" if server.listens_on == "*" else server.listens_on, "ip")
        self._largest = server.max_answer or float("inf")
        self.policy_changed()
        server.register(root, self.handle, self.name)

    def policy_changed(self) -> None:
        self._hosts = self.access.hosts if self.access is not None else frozenset()

    # -- requests ---------------------------------------------------------------------------------------------

    def handle(self, request: HttpRequest) -> Answer | Coroutine[Any, Any, Answer]:
        """Answer one HTTP request."""
        if self._hosts and not self._is_our_host(request.head.get(b"host")):
            return WRONG_HOST
        authorization = request.head.fields.get(b"authorization", b"")
        origin: Origin | None = request.client.memo.get(authorization)
        if origin is None or origin.guard is not self.access:  # new here, or the policy has been read again
            origin = self._origin(request, authorization)
        if request.head.method == "GET":
            return self._refuse(origin, "405 Method Not Allowed", NOT_ALLOWED)
        if not request.body:
            return self._refuse(origin, "400 Bad Request", NO_BODY)
        if request.repeated:
            request.again = self._again(request.body, origin)
        answer = self.run_bytes(request.body, origin)
        return answer if answer.__class__ is bytes and 0 < len(answer) <= self._largest else self._reply(answer)

    def _again(self, body: bytes, origin: Origin) -> Callable[[], Answer | Coroutine[Any, Any, Answer]] | None:
        """What answers further requests with this body, if there is a way that is quicker."""
        run = self.runs_alike(body, origin)
        if run is None:
            return None
        largest, reply = self._largest, self._reply

        def again() -> Answer | Coroutine[Any, Any, Answer]:
            answer = run()
            return answer if answer.__class__ is bytes and len(answer) <= largest else reply(answer)

        return again

    def _reply(self, answer: Waiting) -> Answer | Coroutine[Any, Any, Answer]:
        if not isinstance(answer, bytes):
            return self._reply_later(answer)
        return answer if 0 < len(answer) <= self._largest else self._special_reply(answer)

    async def _reply_later(self, waiting: Coroutine[Any, Any, bytes]) -> Answer:
        answer = await waiting
        return answer if 0 < len(answer) <= self._largest else self._special_reply(answer)

    def _special_reply(self, answer: bytes) -> Reply:
        return TOO_LARGE if answer else ACCEPTED

    def _refuse(self, origin: Origin, traced: str, reply: Reply) -> Reply:
        exchange = self.services.mi.trace(origin, "unknown") if origin.tracing is not None else None
        if exchange is not None:
            exchange.reply(traced)
        return reply

    # -- clients ----------------------------------------------------------------------------------------------

    def _is_our_host(self, host: bytes) -> bool:
        name = host.decode("latin-1").lower()
        return name in self._hosts or re.sub(r":\d*$", "", name) in self._hosts

    def _origin(self, request: HttpRequest, authorization: bytes) -> Origin:
        """The origin of a client with these credentials, kept for its further requests."""
        client = request.client
        host, port = client.source
        origin = self.origin(
            client.source,
            client.destination,
            peer=f"[{host}]:{port}" if ":" in host else f"{host}:{port}",
            identity=self._identity(authorization, request.login),
        )
        if len(client.memo) >= _MAX_KNOWN:
            client.memo.clear()
        client.memo[authorization] = origin
        return origin

    def _identity(self, authorization: bytes, login: str) -> Identity:
        scheme, _, given = authorization.partition(b" ")
        match scheme.lower():
            case b"bearer" if given.strip():
                return Identity(token=hashlib.sha256(given.strip()).digest())
            case b"basic":
                return self._login(given.strip(), login)
        return NOBODY

    def _login(self, given: bytes, login: str) -> Identity:
        """A login counts if httpd has made sure of it, or if the policy knows it with this password."""
        try:
            user, _, password = base64.b64decode(given, validate=True).partition(b":")
            name = user.decode("utf-8")
        except ValueError:
            return NOBODY
        digest = hashlib.sha256(password).digest()
        known = login == name or (self.access is not None and self.access.knows_login(name, digest))
        return Identity(name, digest) if known else NOBODY
