"""The datagram door, over UDP and over UNIX sockets: one datagram there, one back."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import sys
import tempfile
from typing import Final

from .address import UdpAddress, UnixAddress
from .pool import Exchange

MAX_DATAGRAM: Final = 1 << 18
FULL_SECONDS: Final = 0.001
"""How long to wait when a UNIX socket's queue is full."""


class DatagramChannel:
    """A socket of ours and the address of the door; `path` is None for a connected UDP socket."""

    reusable = True

    def __init__(self, here: socket.socket, path: str | None, folder: str | None = None) -> None:
        self._socket = here
        self._path = path
        self._folder = folder

    @classmethod
    async def open_udp(cls, address: UdpAddress) -> DatagramChannel:
        """A socket connected to a UDP door, so that only its answers arrive.  Raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        family, kind, protocol, _, where = found[0]
        here = socket.socket(family, kind, protocol)
        here.setblocking(False)
        try:
            here.connect(where)
        except BaseException:
            here.close()
            raise
        return cls(here, None)

    @classmethod
    async def open_unix(cls, address: UnixAddress) -> DatagramChannel:
        """A UNIX socket with an address of its own, to which the door can answer.  Raises `OSError`."""
        here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        here.setblocking(False)
        folder = None
        try:
            if sys.platform == "linux":
                here.bind("")  # a free name outside of the file system, that a server of another user can reach
            else:
                folder = tempfile.mkdtemp(prefix="miscript_")
                here.bind(os.path.join(folder, "answers"))
        except BaseException:
            here.close()
            raise
        return cls(here, address.path, folder)

    async def ask(self, exchange: Exchange) -> bytes:
        await self._send(exchange)
        if not exchange.wants_answer:
            return b""
        try:
            return await asyncio.get_running_loop().sock_recv(self._socket, MAX_DATAGRAM)
        except ConnectionRefusedError:
            exchange.sent = False  # the other machine says that nobody took it
            raise

    async def _send(self, exchange: Exchange) -> None:
        while True:
            try:
                if self._path is None:
                    self._socket.send(exchange.message)
                else:
                    self._socket.sendto(exchange.message, self._path)
            except BlockingIOError:
                await asyncio.sleep(FULL_SECONDS)
            else:
                exchange.sent = True
                return

    def close(self) -> None:
        self._socket.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
