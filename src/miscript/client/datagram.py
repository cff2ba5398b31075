"""The datagram door for the event loop."""

from __future__ import annotations

import asyncio
import socket

from .address import UdpAddress, UnixAddress
from .datagram_socket import FULL_SECONDS, MAX_DATAGRAM, DatagramSocket
from .exchange import Exchange


class DatagramChannel:
    """Sends a datagram and waits for the next one that comes."""

    reusable = True

    def __init__(self, here: DatagramSocket) -> None:
        self._here = here

    @classmethod
    async def open_udp(cls, address: UdpAddress) -> DatagramChannel:
        """A channel to a UDP door.  Raises `OSError`."""
        loop = asyncio.get_running_loop()
        found = await loop.getaddrinfo(address.host, address.port, type=socket.SOCK_DGRAM)
        return cls(DatagramSocket.udp(found[0]))

    @classmethod
    async def open_unix(cls, address: UnixAddress) -> DatagramChannel:
        """A channel to a UNIX socket.  Raises `OSError`."""
        return cls(DatagramSocket.unix(address))

    async def ask(self, exchange: Exchange) -> bytes:
        while True:
            try:
                self._here.send(exchange.message)
                break
            except BlockingIOError:
                await asyncio.sleep(FULL_SECONDS)
        exchange.sent = True
        if not exchange.wants_answer:
            return b""
        try:
            return await asyncio.get_running_loop().sock_recv(self._here.socket, MAX_DATAGRAM)
        except ConnectionRefusedError:
            exchange.sent = False  # the other machine says that nobody took it
            raise

    def close(self) -> None:
        self._here.close()
