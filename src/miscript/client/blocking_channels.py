"""The doors for programs without an event loop: a channel waits with the calls of the system.

Each `ask` takes the moment (of `time.monotonic`) when it has to be done, and raises `TimeoutError` then.
"""

from __future__ import annotations

import math
import os
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from typing import Protocol

from . import http_answer
from .address import FifoAddress, HttpAddress, UdpAddress, UnixAddress
from .datagram_socket import FULL_SECONDS, MAX_DATAGRAM, DatagramSocket
from .exchange import Exchange
from .fifo_files import FifoAnswer, FifoFiles
from .http_answer import HttpAnswer, plain_body, request_bytes, request_head

RECEIVE_SIZE = 1 << 16


class BlockingChannel(Protocol):
    """A way to a node that carries one exchange at a time."""

    keep: bool
    """Whether it can carry another exchange, for what is known of the last one."""

    @property
    def reusable(self) -> bool:
        """Whether it can carry another exchange now."""

    def ask(self, exchange: Exchange, due: float) -> bytes:
        """See `pool.Channel.ask`."""

    def close(self) -> None:
        """Let go of everything."""


def left(due: float) -> float:
    """The seconds until `due`.  Raises `TimeoutError` when there are none."""
    seconds = due - time.monotonic()
    if seconds <= 0:
        raise TimeoutError
    return seconds


def wait(file: int, event: int, due: float) -> None:
    """Wait until `file` is ready for `event` of `select.poll`."""
    poll = select.poll()
    poll.register(file, event)
    if not poll.poll(left(due) * 1000 + 1):
        raise TimeoutError


class Patience:
    """Lets the system end the waiting of a socket: that spares two calls of it for each message.

    Sending and receiving raise `BlockingIOError` then.  Times are in hundredths of a second.
    """

    def __init__(self, here: socket.socket) -> None:
        here.setblocking(True)
        self._socket = here
        self._hundredths = 0

    def until(self, due: float) -> None:
        """Wait no longer than until `due`.  Raises `TimeoutError` when that is now."""
        hundredths = math.ceil(left(due) * 100)
        if hundredths != self._hundredths:
            self._hundredths = hundredths
            seconds, rest = divmod(hundredths, 100)
            timeval = struct.pack("ll", seconds, rest * 10_000)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, timeval)


class BlockingDatagram:
    """The datagram door."""

    keep = reusable = True

    def __init__(self, here: DatagramSocket) -> None:
        self._here = here
        self._buffer = bytearray(MAX_DATAGRAM)
        self._patience = Patience(here.socket)

    @classmethod
    def open_udp(cls, address: UdpAddress) -> BlockingDatagram:
        """Raises `OSError`."""
        return cls(DatagramSocket.udp(socket.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)[0]))

    @classmethod
    def open_unix(cls, address: UnixAddress) -> BlockingDatagram:
        """Raises `OSError`."""
        return cls(DatagramSocket.unix(address))

    def ask(self, exchange: Exchange, due: float) -> bytes:
        self._send(exchange, due)
        if not exchange.wants_answer:
            return b""
        self._patience.until(due)
        try:
            size = self._here.socket.recv_into(self._buffer)
        except BlockingIOError:
            raise TimeoutError from None
        except ConnectionRefusedError:
            exchange.sent = False  # the other machine says that nobody took it
            raise
        return bytes(memoryview(self._buffer)[:size])

    def _send(self, exchange: Exchange, due: float) -> None:
        while True:
            try:
                self._here.send(exchange.message)
            except BlockingIOError:
                time.sleep(min(FULL_SECONDS, left(due)))
            else:
                exchange.sent = True
                return

    def close(self) -> None:
        self._here.close()


class BlockingFifo:
    """The FIFO door."""

    keep = reusable = True

    def __init__(self, address: FifoAddress, max_answer: int) -> None:
        self._files = FifoFiles(address)
        self._max_answer = max_answer

    def ask(self, exchange: Exchange, due: float) -> bytes:
        files = self._files
        server = files.open_server()
        answer = None
        try:
            if exchange.wants_answer:
                answer = FifoAnswer(files, files.open_reply(server), self._max_answer)
            self._write(server, exchange, due)
            os.close(server)
            server = -1
            return b"" if answer is None else self._whole(answer, due)
        finally:
            if server >= 0:
                os.close(server)
            if answer is not None:
                answer.close()

    def _write(self, server: int, exchange: Exchange, due: float) -> None:
        data = memoryview(self._files.framed(exchange.message, exchange.wants_answer))
        while data:
            try:
                count = os.write(server, data[: select.PIPE_BUF])
            except BlockingIOError:
                wait(server, select.POLLOUT, due)
            else:
                exchange.sent = True
                data = data[count:]

    def _whole(self, answer: FifoAnswer, due: float) -> bytes:
        while True:
            wait(answer.reader, select.POLLIN, due)
            found = answer.read()
            if found is not None:
                return found

    def close(self) -> None:
        self._files.close()


class BlockingHttp:
    """The HTTP door: a connection that is kept."""

    def __init__(self, here: socket.socket, head: bytes, max_answer: int) -> None:
        self._socket = here
        self._head = head
        self._max_answer = max_answer
        self._used = time.monotonic()
        self._patience: Patience | None = None if isinstance(here, ssl.SSLSocket) else Patience(here)
        self._poll = select.poll()
        self._poll.register(here.fileno(), select.POLLIN)
        self.keep = True

    @classmethod
    def open(
        cls, address: HttpAddress, token: str | None, max_answer: int, tls: Callable[[], ssl.SSLContext], due: float
    ) -> BlockingHttp:
        """Connect.  Raises `OSError`, and `ValueError` for a token that no header can hold."""
        head = request_head(address, token)
        here = socket.create_connection((address.host, address.port), left(due))
        try:
            here.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if address.tls:
                here = tls().wrap_socket(here, server_hostname=address.host)
        except BaseException:
            here.close()
            raise
        return cls(here, head, max_answer)

    @property
    def reusable(self) -> bool:
        """Whether the server has not closed the connection, nor said anything that nobody asked for."""
        idle = time.monotonic() - self._used
        return self.keep and idle < http_answer.IDLE_SECONDS and not self._poll.poll(0)

    def ask(self, exchange: Exchange, due: float) -> bytes:
        self.keep = False
        exchange.sent = True
        self._send(request_bytes(self._head, exchange.message), due)
        data = self._receive(due)
        body = plain_body(data, self._max_answer)
        if body is None:
            body = self._read(data, due, exchange.wants_answer)
        else:
            self.keep = True
        self._used = time.monotonic()
        return body if exchange.wants_answer else b""

    def _read(self, data: bytes, due: float, wants_answer: bool) -> bytes:
        """The body of the answer that begins with `data`."""
        answer = HttpAnswer(self._max_answer)
        while True:
            answer.feed(data) if data else answer.end()
            if answer.done:
                break
            if not data:
                raise ConnectionResetError("the connection was closed")
            data = self._receive(due)
        self.keep = answer.keep
        return answer.json() if wants_answer else b""

    def _send(self, data: bytes, due: float) -> None:
        if self._patience is None:
            self._socket.settimeout(left(due))
            self._socket.sendall(data)
            return
        rest = memoryview(data)
        while rest:
            self._patience.until(due)
            try:
                rest = rest[self._socket.send(rest) :]
            except BlockingIOError:
                raise TimeoutError from None

    def _receive(self, due: float) -> bytes:
        if self._patience is None:
            self._socket.settimeout(left(due))
            return self._socket.recv(RECEIVE_SIZE)
        self._patience.until(due)
        try:
            return self._socket.recv(RECEIVE_SIZE)
        except BlockingIOError:
            raise TimeoutError from None

    def close(self) -> None:
        self._socket.close()
