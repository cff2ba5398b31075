"""The FIFO door for the event loop."""

from __future__ import annotations

import asyncio
import os
import select

from .address import FifoAddress
from .exchange import Exchange
from .fifo_files import FifoAnswer, FifoFiles


class FifoChannel:
    """Writes a request and reads its answer."""

    reusable = True

    def __init__(self, address: FifoAddress, max_answer: int) -> None:
        self._files = FifoFiles(address)
        self._max_answer = max_answer

    @classmethod
    async def open(cls, address: FifoAddress, max_answer: int) -> FifoChannel:
        """A channel to the FIFO; nothing is opened before it is asked."""
        return cls(address, max_answer)

    async def ask(self, exchange: Exchange) -> bytes:
        files = self._files
        server = files.open_server()
        answer = None
        try:
            if exchange.wants_answer:
                answer = FifoAnswer(files, files.open_reply(server), self._max_answer)
            await self._write(server, exchange)
        except BaseException:
            if answer is not None:
                answer.close()
            raise
        finally:
            os.close(server)
        return b"" if answer is None else await _whole(answer)

    async def _write(self, server: int, exchange: Exchange) -> None:
        """Write the request; up to PIPE_BUF bytes go at once, so that they cannot mix with those of others."""
        data = memoryview(self._files.framed(exchange.message, exchange.wants_answer))
        while data:
            try:
                count = os.write(server, data[: select.PIPE_BUF])
            except BlockingIOError:
                await _writable(server)
            else:
                exchange.sent = True
                data = data[count:]

    def close(self) -> None:
        self._files.close()


async def _whole(answer: FifoAnswer) -> bytes:
    """Wait for the whole answer, and close its file."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[bytes] = loop.create_future()

    def readable() -> None:
        loop.remove_reader(answer.reader)
        try:
            found = answer.read()
        except OSError as error:
            if not done.done():
                done.set_exception(error)
            return
        if found is None:
            loop.add_reader(answer.reader, readable)
        elif not done.done():
            done.set_result(found)

    loop.add_reader(answer.reader, readable)
    try:
        return await done
    finally:
        loop.remove_reader(answer.reader)
        answer.close()


async def _writable(server: int) -> None:
    loop = asyncio.get_running_loop()
    room = asyncio.Event()
    loop.add_writer(server, room.set)
    try:
        await room.wait()
    finally:
        loop.remove_writer(server)
