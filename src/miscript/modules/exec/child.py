"""One program that runs beside the host: what it reads and writes, and its end, in any event loop.

Its streams are plain pipes of which the program has the only other ends: when it closes them that is seen, though it
may go on.  (uvloop's own way to start programs hands them copies, so that only their end would be seen.)
"""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from typing import IO, Final

CHUNK: Final = 65536


class Child:
    """A program that has been started as the leader of a process group of its own.

    Raises OSError and ValueError when it cannot be started.  `has_input`: `feed` is to be called, once.
    """

    def __init__(
        self, argv: Sequence[str], environment: Mapping[str, str], *, has_input: bool, stdout: bool, stderr: bool
    ) -> None:
        self._program = subprocess.Popen(
            argv,
            bufsize=0,
            stdin=subprocess.PIPE if has_input else subprocess.DEVNULL,
            stdout=subprocess.PIPE if stdout else subprocess.DEVNULL,
            stderr=subprocess.PIPE if stderr else None,
            env=environment,
            start_new_session=True,
        )
        for stream in (self._program.stdin, self._program.stdout, self._program.stderr):
            if stream is not None:
                os.set_blocking(stream.fileno(), False)
        self._ended: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._watch()

    @property
    def pid(self) -> int:
        """Its process, and its process group."""
        return self._program.pid

    @property
    def is_over(self) -> bool:
        """Whether it has ended."""
        return self._ended.done()

    async def wait(self) -> None:
        """Wait until it has ended."""
        await asyncio.shield(self._ended)

    async def feed(self, data: bytes) -> None:
        """Give it what it reads; it need not read all of it."""
        pipe = self._program.stdin
        assert pipe is not None, "it was started without input"
        left = memoryview(data)
        try:
            while left:
                try:
                    left = left[os.write(pipe.fileno(), left[:CHUNK]) :]
                except BlockingIOError:
                    await _ready(asyncio.get_running_loop().add_writer, pipe.fileno())
        except BrokenPipeError:
            pass  # it does not want to know
        finally:
            asyncio.get_running_loop().remove_writer(pipe.fileno())
            pipe.close()

    async def read_stdout(self, take: Callable[[bytes], None]) -> None:
        """Hand over what it writes, piece by piece, until it has closed its output."""
        await _read(self._program.stdout, take)

    async def read_stderr(self, take: Callable[[bytes], None]) -> None:
        """The same for its error output."""
        await _read(self._program.stderr, take)

    def close(self) -> None:
        """Let go of its streams."""
        for stream in (self._program.stdin, self._program.stdout, self._program.stderr):
            if stream is not None:
                stream.close()

    def _watch(self) -> None:
        loop = asyncio.get_running_loop()
        if not hasattr(os, "pidfd_open"):  # not Linux
            self._waiting = asyncio.ensure_future(self._wait_in_a_thread())
            return
        file = os.pidfd_open(self.pid)

        def ended() -> None:
            loop.remove_reader(file)
            os.close(file)
            self._program.wait()
            self._ended.set_result(None)

        loop.add_reader(file, ended)

    async def _wait_in_a_thread(self) -> None:
        await asyncio.to_thread(self._program.wait)
        self._ended.set_result(None)


async def _read(pipe: IO[bytes] | None, take: Callable[[bytes], None]) -> None:
    if pipe is None:
        return
    loop = asyncio.get_running_loop()
    file = pipe.fileno()
    try:
        while True:
            try:
                data = os.read(file, CHUNK)
            except BlockingIOError:
                await _ready(loop.add_reader, file)
                continue
            if not data:
                return
            take(data)
    finally:
        loop.remove_reader(file)


async def _ready(watch: Callable[[int, Callable[[], None]], None], file: int) -> None:
    ready = asyncio.Event()
    watch(file, ready.set)
    await ready.wait()
