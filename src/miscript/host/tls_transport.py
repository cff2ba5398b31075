"""TLS on a connection: a handshake that is bounded in time, then SIP as over TCP.

Which domain a client wants is read before OpenSSL sees its first bytes, so that versions, ciphers and the checks of
certificates are wholly those of the domain.  OpenSSL works on memory here and the sockets stay plain ones: nothing
waits, and what waits to be sent is counted where TCP counts it.
"""

from __future__ import annotations

import asyncio
import logging
import ssl
from typing import TYPE_CHECKING, Final

from ..sip.sockets import ListeningSocket
from ..tls_service import Tls, TlsDomain, TlsSession
from .client_hello import NoClientHelloError, hello_in, server_name_in
from .sip_transport import Connection

if TYPE_CHECKING:
    from .sip_transport import Streams

log = logging.getLogger("miscript.sip")

READ_SIZE: Final = 1 << 16
UNRECOGNIZED_NAME: Final = b"\x15\x03\x03\x00\x02\x02\x70"
"""The fatal alert (RFC 6066 section 3) for a name that no domain has."""


class TlsConnection(Connection):
    """One connection of TLS; `domain` is given when we open it, and chosen by its peer when it comes to us."""

    def __init__(self, streams: Streams, socket: ListeningSocket, tls: Tls, domain: TlsDomain | None = None) -> None:
        super().__init__(streams, socket)
        self.domain = domain
        self.is_ours = domain is not None
        self.session: TlsSession | None = None
        self.ready: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._tls = tls
        self._ssl: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._hello = b""
        self._opened_at = streams.clock.monotonic()
        self._stuck_since: float | None = None

    # -- the connection -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.domain is not None:
            self._begin(self.domain)
            self._shake_hands()

    def _settled(self) -> None:
        """Others may use it only behind the handshake."""

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._be_ready(False)

    async def usable(self) -> bool:
        try:
            async with asyncio.timeout(self._tls.behaviour.handshake):
                return await self.ready
        except TimeoutError:
            self._refuse("it takes too long")
            self.abort()
            return False

    def _be_ready(self, success: bool) -> None:
        if not self.ready.done():
            self.ready.set_result(success)

    def pause_writing(self) -> None:
        self._stuck_since = self._streams.clock.monotonic()

    def resume_writing(self) -> None:
        self._stuck_since = None

    def overdue(self, now: float) -> str | None:
        behaviour = self._tls.behaviour
        if self.session is None and now - self._opened_at > behaviour.handshake:
            return "takes too long for its TLS handshake"
        if self._stuck_since is not None and now - self._stuck_since > behaviour.send:
            return "does not read"
        return super().overdue(now)

    # -- the handshake --------------------------------------------------------------------------------------------

    def _begin(self, domain: TlsDomain) -> None:
        self.domain = domain
        self._ssl = domain.context.wrap_bio(self._incoming, self._outgoing, server_side=not self.is_ours)

    def _greeted(self, data: bytes) -> bool:
        """A client says which server it wants; True when OpenSSL can go on with it."""
        self._hello += data
        try:
            hello = hello_in(self._hello)
            if hello is None:
                return False
            name = server_name_in(hello)
        except NoClientHelloError as error:
            self._refuse(str(error))
            return False
        domain = self._tls.domains.for_server(self.local, name)
        if domain is None:
            if self._transport is not None:
                self._transport.write(UNRECOGNIZED_NAME)
            self._refuse("no server domain matches" + (f" '{name}'" if name else " a client that asks for no name"))
            return False
        self._begin(domain)
        self._incoming.write(self._hello)
        self._hello = b""
        return True

    def _shake_hands(self) -> None:
        assert self._ssl is not None and self.domain is not None
        try:
            self._ssl.do_handshake()
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            self._flush()
            return
        except ssl.SSLError as error:
            self._flush()  # the alert
            self._refuse(_reason(error))
            return
        self._flush()
        self.session = TlsSession.of(self.domain, self._ssl)
        log.debug("%s:%d: TLS domain '%s', %s", *self.peer, self.domain.name, self.session.version)
        super()._settled()
        self._be_ready(True)

    def _refuse(self, why: str) -> None:
        log.info("%s:%d: the TLS handshake failed: %s", *self.peer, why)
        if self._transport is not None:
            self._transport.close()

    # -- bytes ----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        if self._transport is None or self._transport.is_closing():
            return
        if self._ssl is None:
            if not self._greeted(data):
                return
        else:
            self._incoming.write(data)
        if self.session is None:
            self._shake_hands()
        if self.session is not None:
            self._read()

    def _read(self) -> None:
        assert self._ssl is not None
        pieces, ended = [], False
        try:
            while piece := self._ssl.read(READ_SIZE):
                pieces.append(piece)
            ended = True
        except (ssl.SSLWantReadError, ssl.SSLWantWriteError):
            pass
        except ssl.SSLError as error:
            log.info("%s:%d: %s", *self.peer, _reason(error))
            ended = True
        self._flush()
        if pieces:
            super().data_received(b"".join(pieces))
        if ended:
            self.close()

    @property
    def _most_pieces(self) -> int:
        return self._tls.behaviour.pieces

    @property
    def _answers_pings(self) -> bool:
        return self._tls.behaviour.answers_pings

    def send(self, data: bytes) -> bool:
        if self._ssl is None or self.session is None or self._transport is None:
            return False
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[self._ssl.write(rest) :]
        except ssl.SSLError as error:
            log.info("%s:%d: %s", *self.peer, _reason(error))
            self.abort()
            return False
        return self._flush()

    def _flush(self) -> bool:
        """Hand over what OpenSSL has written."""
        waiting = self._outgoing.read()
        return not waiting or super().send(waiting)

    def close(self) -> None:
        if self._ssl is not None and self.session is not None and self._transport is not None:
            try:
                self._ssl.unwrap()
            except ssl.SSLError:
                pass  # the peer has not said good-bye yet, and need not
            if not self._transport.is_closing():
                self._flush()
        super().close()

    def listed(self, now: float) -> dict[str, object]:
        shown = super().listed(now)
        session = self.session
        if session is None:
            return shown
        last = {name: shown.pop(name) for name in ("Lifetime", "Alias port")}
        return {
            **shown,
            "TLS Version": session.version,
            "TLS Cipher": session.cipher,
            "TLS Cipher description": f"{session.description}\n",
            "TLS Cipher bits": session.bits,
            "TLS Peer verified": int(session.verified),
            **last,
        }


def _reason(error: ssl.SSLError) -> str:
    """What went wrong, in OpenSSL's words; never more than that."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the peer's certificate is refused: {error.verify_message}"
    return (error.reason or "the connection broke").lower().replace("_", " ")
