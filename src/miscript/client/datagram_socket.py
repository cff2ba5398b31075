"""Sockets for the datagram door, over UDP and over UNIX sockets: one datagram there, one back."""

from __future__ import annotations

import os
import shutil
import socket
import sys
import tempfile
from typing import Any, Final

from .address import UnixAddress

MAX_DATAGRAM: Final = 1 << 18
FULL_SECONDS: Final = 0.001
"""How long to wait when a UNIX socket's queue is full: nothing tells when there is room."""


class DatagramSocket:
    """A socket of ours, and the path of the door; no path for a UDP socket, which is connected."""

    def __init__(self, here: socket.socket, path: str | None, folder: str | None) -> None:
        self.socket = here
        self._path = path
        self._folder = folder

    @classmethod
    def udp(cls, found: tuple[Any, ...]) -> DatagramSocket:
        """A socket connected to an address that `getaddrinfo` gave, so that only its answers arrive."""
        family, kind, protocol, _, where = found
        here = socket.socket(family, kind, protocol)
        here.setblocking(False)
        try:
            here.connect(where)
        except BaseException:
            here.close()
            raise
        return cls(here, None, None)

    @classmethod
    def unix(cls, address: UnixAddress) -> DatagramSocket:
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

    def send(self, message: bytes) -> None:
        """Send a datagram.  Raises `BlockingIOError` when there is no room, and other `OSError`s."""
        if self._path is None:
            self.socket.send(message, socket.MSG_DONTWAIT)
        else:
            self.socket.sendto(message, socket.MSG_DONTWAIT, self._path)

    def close(self) -> None:
        self.socket.close()
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
