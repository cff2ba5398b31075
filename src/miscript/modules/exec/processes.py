"""Programs that run beside the host: started, fed, read and ended within bounds.

Each program leads a process group of its own, which is what is ended: with SIGTERM, and `GRACE_SECONDS` later with
SIGKILL.  What a program writes is kept up to `MAX_OUTPUT` bytes; one that writes more is ended.  Nothing here blocks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import MiscriptError
from ...services import Services

log = logging.getLogger("miscript.exec")

MAX_RUNNING: Final = 200
"""Programs at a time."""

MAX_OUTPUT: Final = 1 << 20
"""Bytes of one output."""

GRACE_SECONDS: Final = 2.0
_CHUNK: Final = 65536


class ProcessError(MiscriptError):
    """A program cannot be started, writes too much, or takes too long."""


@dataclass(frozen=True, slots=True)
class Job:
    """What is to be run: `argv` or, when there is no such program, `otherwise`."""

    argv: Sequence[str]
    otherwise: Sequence[str] | None
    environment: Mapping[str, str]
    stdin: bytes | None
    wants_stdout: bool
    wants_stderr: bool

    @property
    def wants_output(self) -> bool:
        return self.wants_stdout or self.wants_stderr


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a program wrote; empty for what nobody wants."""

    stdout: bytes = b""
    stderr: bytes = b""


class Processes:
    """All programs of the host.  `longest` is how many seconds one may take; None: as long as it likes."""

    def __init__(self, services: Services, longest: float | None) -> None:
        self._services = services
        self._longest = longest
        self._running: set[Process] = set()
        self._starting = 0

    def __len__(self) -> int:
        return len(self._running) + self._starting

    async def run(self, job: Job) -> Outputs:
        """Run a program and wait until it has closed its outputs, which may be before it ends.

        One whose output nobody wants is started and left alone.  Raises ProcessError.
        """
        process = await self._start(job)
        if not job.wants_output:
            self._services.tasks.spawn(self._left_alone(process, job), f"exec: {job.argv[0] if job.argv else ''}")
            return Outputs()
        done = False
        try:
            async with self._services.clock.timeout(self._longest):
                outputs = await self._talk(process, job)
            done = True
            return outputs
        except TimeoutError:
            raise ProcessError(f"it took longer than {self._longest:g} s and was ended") from None
        finally:
            self._services.tasks.spawn(self._bury(process, kill=not done), "exec: the end of a program")

    async def _start(self, job: Job) -> Process:
        if len(self) >= MAX_RUNNING:
            raise ProcessError(f"{MAX_RUNNING} programs are running already")
        self._starting += 1
        try:
            try:
                process = await _spawn(job, job.argv)
            except FileNotFoundError:
                if job.otherwise is None:
                    raise
                process = await _spawn(job, job.otherwise)
        except (OSError, ValueError) as error:
            raise ProcessError(f"it cannot be started: {getattr(error, 'strerror', None) or error}") from error
        finally:
            self._starting -= 1
        self._running.add(process)
        return process

    async def _talk(self, process: Process, job: Job) -> Outputs:
        _, stdout, stderr = await asyncio.gather(
            _feed(process.stdin, job.stdin), _read_all(process.stdout), _read_all(process.stderr)
        )
        return Outputs(stdout, stderr)

    async def _left_alone(self, process: Process, job: Job) -> None:
        kill = True
        try:
            async with self._services.clock.timeout(self._longest):
                await _feed(process.stdin, job.stdin)
                await process.wait()
            kill = False
        except TimeoutError:
            log.warning("exec: '%s' took longer than %s s and is ended", job.argv[0], self._longest)
        finally:
            await self._bury(process, kill=kill)

    async def _bury(self, process: Process, *, kill: bool) -> None:
        """Wait for the end of a program, or see to it; then there is room for another one."""
        try:
            if not kill:
                try:
                    async with self._services.clock.timeout(self._longest):
                        await process.wait()
                except TimeoutError:
                    kill = True
            if kill:
                _signal(process, signal.SIGTERM)
                try:
                    async with asyncio.timeout(GRACE_SECONDS):
                        await process.wait()
                except TimeoutError:
                    pass
        finally:
            if kill:
                _signal(process, signal.SIGKILL)  # the program, and what it has started
            if process.returncode is not None or kill:
                self._running.discard(process)

    async def end(self) -> None:
        """The host stops: end all programs."""
        for process in list(self._running):
            _signal(process, signal.SIGTERM)
        for process in list(self._running):
            try:
                async with asyncio.timeout(GRACE_SECONDS):
                    await process.wait()
            except TimeoutError:
                _signal(process, signal.SIGKILL)
        self._running.clear()


async def _spawn(job: Job, argv: Sequence[str]) -> Process:
    return await asyncio.create_subprocess_exec(
        *argv,
        stdin=DEVNULL if job.stdin is None else PIPE,
        stdout=PIPE if job.wants_stdout else DEVNULL,
        stderr=PIPE if job.wants_stderr else None,
        env={**os.environ, **job.environment},
        start_new_session=True,
    )


async def _feed(stdin: asyncio.StreamWriter | None, data: bytes | None) -> None:
    if stdin is None or data is None:
        return
    try:
        stdin.write(data)
        await stdin.drain()
    except (BrokenPipeError, ConnectionResetError):
        pass  # it does not want to know
    finally:
        stdin.close()


async def _read_all(stream: asyncio.StreamReader | None) -> bytes:
    if stream is None:
        return b""
    found = bytearray()
    while chunk := await stream.read(_CHUNK):
        found += chunk
        if len(found) > MAX_OUTPUT:
            raise ProcessError(f"it wrote more than {MAX_OUTPUT} bytes and was ended")
    return bytes(found)


def _signal(process: Process, number: signal.Signals) -> None:
    """Send a signal to the process group of a program."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
