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
from .http_answer import HttpAnswer, request_bytes, request_head

RECEIVE_SIZE = 1 << 16


class BlockingChannel(Protocol):
    """A way to a node that carries one exchange at a time."""

    @property
    def reusable(self) -> bool:
        """Whether it can carry another exchange."""

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


class BlockingDatagram:
    """The datagram door."""

    reusable = True

    def __init__(self, here: DatagramSocket) -> None:
        self._here = here
        self._buffer = bytearray(MAX_DATAGRAM)
        self._patience = 0
        here.socket.setblocking(True)

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
        self._be_patient(due)
        try:
            size = self._here.socket.recv_into(self._buffer)
        except BlockingIOError:
            raise TimeoutError from None
        except ConnectionRefusedError:
            exchange.sent = False  # the other machine says that nobody took it
            raise
        return bytes(memoryview(self._buffer)[:size])

    def _be_patient(self, due: float) -> None:
        """Let the system end the waiting: that spares a call of it for each answer.  In hundredths of a second."""
        patience = math.ceil(left(due) * 100)
        if patience != self._patience:
            self._patience = patience
            seconds, hundredths = divmod(patience, 100)
            timeval = struct.pack("ll", seconds, hundredths * 10_000)
            self._here.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, timeval)

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

    reusable = True

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
        self._keep = True

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
        if not self._keep or time.monotonic() - self._used >= http_answer.IDLE_SECONDS:
            return False
        poll = select.poll()
        poll.register(self._socket.fileno(), select.POLLIN)
        return not poll.poll(0)

    def ask(self, exchange: Exchange, due: float) -> bytes:
        here, answer = self._socket, HttpAnswer(self._max_answer)
        self._keep = False
        exchange.sent = True
        here.settimeout(left(due))
        here.sendall(request_bytes(self._head, exchange.message))
        while True:
            data = here.recv(RECEIVE_SIZE)
            answer.feed(data) if data else answer.end()
            if answer.done:
                break
            if not data:
                raise ConnectionResetError("the connection was closed")
            here.settimeout(left(due))
        self._used = time.monotonic()
        self._keep = answer.keep
        return answer.json() if exchange.wants_answer else b""

    def close(self) -> None:
        self._socket.close()
