"""The FIFO door: requests go into the server's FIFO, each answer comes out of one that we make for it.

A request is `:NAME:` and JSON; the server opens `reply_dir` + NAME, writes the answer and closes it.  Kamailio wants
the name as a member `reply_name` of the request.  Reply FIFOs have names that nobody can guess and are readable by
us only; where the server runs as another user it must be able to write to them, and so is everyone: an answer
counts only with the id of the request, which others cannot read.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import select
import stat
from typing import Final

from .address import FifoAddress
from .messages import dumps, loads
from .pool import Exchange

READ_SIZE: Final = 1 << 16
ONLY_US: Final = 0o600
SERVER_WRITES: Final = 0o622

_ENXIO: Final = 6
_HOLD: Final = getattr(os, "O_PATH", os.O_RDONLY | os.O_NONBLOCK) | os.O_NOFOLLOW | os.O_CLOEXEC
"""Keeps a FIFO's inode from being given to another one, and is no reader (on Linux)."""


class FifoChannel:
    """The server's FIFO and one reply FIFO, used again for one answer after the other."""

    reusable = True

    def __init__(self, address: FifoAddress, max_answer: int) -> None:
        self._address = address
        self._max_answer = max_answer
        self._name = f"miscript_{secrets.token_hex(12)}"
        self._reply = address.reply_dir + self._name
        self._made: tuple[int, int] | None = None
        self._held = -1

    @classmethod
    async def open(cls, address: FifoAddress, max_answer: int) -> FifoChannel:
        """A channel to the FIFO, if it is there and a server reads it.  Raises `OSError`."""
        channel = cls(address, max_answer)
        os.close(channel._open_server())
        return channel

    async def ask(self, exchange: Exchange) -> bytes:
        server = self._open_server()
        reader = -1
        try:
            if exchange.wants_answer:
                reader = self._open_reply(os.fstat(server))
            await self._write(server, exchange)
        except BaseException:
            if reader >= 0:
                os.close(reader)
            raise
        finally:
            os.close(server)
        if reader < 0:
            return b""
        return await _Answer(reader, self._reply, self._max_answer).wait()

    def close(self) -> None:
        if self._made is not None:
            with contextlib.suppress(OSError):
                os.unlink(self._reply)
            os.close(self._held)
            self._made = None

    # -- the server's side ------------------------------------------------------------------------------------

    def _open_server(self) -> int:
        path = self._address.path
        try:
            server = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            words = "no server reads it" if isinstance(error, OSError) and error.errno == _ENXIO else error.strerror
            raise OSError(error.errno, words) from None
        if not stat.S_ISFIFO(os.fstat(server).st_mode):
            os.close(server)
            raise OSError(0, f"'{path}' is no FIFO")
        return server

    def _framed(self, exchange: Exchange) -> bytes:
        name = self._name if exchange.wants_answer else ""
        if not self._address.kamailio:
            return b":%s:%s\n" % (name.encode("ascii"), exchange.message)
        if not name:
            return exchange.message + b"\n"
        return dumps(loads(exchange.message) | {"reply_name": name}) + b"\n"

    async def _write(self, server: int, exchange: Exchange) -> None:
        """Write the request; up to PIPE_BUF bytes go at once, so that they cannot mix with those of others."""
        data = memoryview(self._framed(exchange))
        while data:
            try:
                count = os.write(server, data if len(data) <= select.PIPE_BUF else data[: select.PIPE_BUF])
            except BlockingIOError:
                await _writable(server)
            else:
                exchange.sent = True
                data = data[count:]

    # -- our side ---------------------------------------------------------------------------------------------

    def _open_reply(self, server: os.stat_result) -> int:
        """The reply FIFO opened for reading, made when it is not there."""
        if self._made is None:
            os.mkfifo(self._reply, ONLY_US)
            mine = server.st_uid == os.geteuid()
            os.chmod(self._reply, ONLY_US if mine else SERVER_WRITES)
            self._held = os.open(self._reply, _HOLD)
            made = os.fstat(self._held)
            self._made = made.st_dev, made.st_ino
        reader = os.open(self._reply, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        found = os.fstat(reader)
        if (found.st_dev, found.st_ino) != self._made or not stat.S_ISFIFO(found.st_mode):
            os.close(reader)
            os.close(self._held)
            self._made = None
            raise OSError(0, f"'{self._reply}' was replaced by someone else")
        return reader


class _Answer:
    """Reads one answer: everything up to the moment when the server closes its end."""

    def __init__(self, reader: int, path: str, max_answer: int) -> None:
        self._reader = reader
        self._path = path
        self._max_answer = max_answer
        self._pieces: list[bytes] = []
        self._size = 0
        self._loop = asyncio.get_running_loop()
        self._whole: asyncio.Future[bytes] = self._loop.create_future()

    async def wait(self) -> bytes:
        self._loop.add_reader(self._reader, self._readable)
        try:
            return await self._whole
        finally:
            self._loop.remove_reader(self._reader)
            os.close(self._reader)

    def _readable(self) -> None:
        try:
            while True:
                data = os.read(self._reader, READ_SIZE)
                if not data:
                    break
                self._pieces.append(data)
                self._size += len(data)
                if self._size > self._max_answer:
                    raise OSError(0, f"the answer is larger than {self._max_answer} bytes")
            if self._pieces:
                self._finish()
            else:
                self._again()
        except BlockingIOError:
            pass
        except OSError as error:
            self._loop.remove_reader(self._reader)
            if not self._whole.done():
                self._whole.set_exception(error)

    def _finish(self) -> None:
        self._loop.remove_reader(self._reader)
        if not self._whole.done():
            self._whole.set_result(b"".join(self._pieces))

    def _again(self) -> None:
        """Someone opened the FIFO and wrote nothing: only a new opening forgets that end of file."""
        self._loop.remove_reader(self._reader)
        fresh = os.open(self._path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        os.close(self._reader)
        self._reader = fresh
        self._loop.add_reader(self._reader, self._readable)


async def _writable(server: int) -> None:
    loop = asyncio.get_running_loop()
    room = asyncio.Event()
    loop.add_writer(server, room.set)
    try:
        await room.wait()
    finally:
        loop.remove_writer(server)
