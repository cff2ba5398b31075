"""Sending frames to a collector over TLS, by the rules of a client domain of `tls_mgm`.

Frames go out in records that hold whole ones where they fit: of a record that the connection broke over the collector
has read nothing, so that its frames are sent again on the next one, and none is there twice.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from typing import Final

from ...tls_service import TlsDomains
from .backlog import Backlog
from .senders import RECEIVE_SIZE, Collector, TcpSender

RECORD: Final = 1 << 14
"""Bytes that a record of TLS has room for (RFC 8446 section 5.1)."""


class TlsSender(TcpSender):
    """All frames on one connection of TLS."""

    def __init__(self, collector: Collector, backlog: Backlog, give_up_seconds: float, domains: TlsDomains) -> None:
        super().__init__(collector, backlog, give_up_seconds)
        self._domains = domains
        self._ssl: ssl.SSLObject | None = None
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._written = b""
        """What OpenSSL has written and the system has not taken yet."""

        self._in_flight: list[bytes] = []
        """The frames that `_written` ends with."""

    async def _reached(self) -> socket.socket:
        here = await super()._reached()
        try:
            await self._shake_hands(here)
        except ssl.SSLCertVerificationError as error:
            here.close()
            raise OSError(None, f"its certificate is refused: {error.verify_message}") from error
        except ssl.SSLError as error:
            here.close()
            raise OSError(None, f"the TLS handshake failed: {error.reason or error}") from error
        except BaseException:
            here.close()
            raise
        return here

    async def _shake_hands(self, here: socket.socket) -> None:
        address, port = here.getpeername()[:2]
        domain = self._domains.for_client((address, port))
        if domain is None:
            raise OSError(None, f"no client domain of 'tls_mgm' matches {address}:{port}")
        loop = asyncio.get_running_loop()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._ssl = agreed = domain.context.wrap_bio(self._incoming, self._outgoing)
        while True:
            try:
                agreed.do_handshake()
                break
            except ssl.SSLWantReadError:
                await loop.sock_sendall(here, self._outgoing.read())
                data = await loop.sock_recv(here, RECEIVE_SIZE)
                if not data:
                    raise OSError(None, "the TLS handshake failed: the collector ended the connection") from None
                self._incoming.write(data)
        await loop.sock_sendall(here, self._outgoing.read())

    def _flush(self) -> None:
        here = self._socket
        if here is None:
            return
        try:
            while self._written or self.backlog:
                if not self._written:
                    self._encrypt()
                sent = here.send(self._written)
                self._written = self._written[sent:]
                if not self._written:
                    self.collector.sent.add(len(self._in_flight))
                    self._in_flight.clear()
        except BlockingIOError:
            self._wait_until_writable(here)
        except OSError:
            self._broken()
        else:
            self._all_sent()

    def _encrypt(self) -> None:
        """Put the next frames into a record."""
        assert self._ssl is not None
        size = 0
        while self.backlog and (not size or size + len(self.backlog.first(1)[0]) <= RECORD):
            frame = self.backlog.take()
            self._in_flight.append(frame)
            size += len(frame)
        rest = memoryview(b"".join(self._in_flight))
        while rest:
            rest = rest[self._ssl.write(rest) :]
        self._written = self._outgoing.read()

    def _readable(self) -> None:
        """The collector never says anything but what TLS needs, and good-bye."""
        here, agreed = self._socket, self._ssl
        if here is None or agreed is None:
            return
        try:
            data = here.recv(RECEIVE_SIZE)
            self._incoming.write(data)
            while data and agreed.read(RECEIVE_SIZE):
                pass
            self._broken()
        except ssl.SSLWantReadError:
            self._written += self._outgoing.read()
            if not self._blocked:
                self._flush()
        except BlockingIOError:
            pass
        except OSError:
            self._broken()

    def _unsent(self) -> bool:
        return bool(self.backlog or self._in_flight)

    def _close(self) -> None:
        for frame in reversed(self._in_flight):
            self.backlog.put_back(frame)
        self._in_flight.clear()
        if self._socket is not None and self._ssl is not None and not self._written:
            self._say_good_bye(self._socket, self._ssl)
        self._written = b""
        self._ssl = None
        super()._close()

    def _say_good_bye(self, here: socket.socket, agreed: ssl.SSLObject) -> None:
        try:
            agreed.unwrap()
        except ssl.SSLError:
            pass  # it waits for an answer; we do not
        try:
            here.send(self._outgoing.read())
        except OSError:
            pass
