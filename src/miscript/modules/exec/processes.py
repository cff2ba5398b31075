"""Programs that run beside the host: started, fed, read and ended within bounds.

Each program leads a process group of its own, which is what is ended: with SIGTERM, and `GRACE_SECONDS` later with
SIGKILL.  What a program writes is kept up to `MAX_OUTPUT` bytes; one that writes more is ended.  Nothing here blocks.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from ...errors import MiscriptError
from ...services import Services
from .child import Child

log = logging.getLogger("miscript.exec")

MAX_RUNNING: Final = 200
"""Programs at a time."""

MAX_OUTPUT: Final = 1 << 20
"""Bytes of one output."""

GRACE_SECONDS: Final = 2.0


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
        self._running: set[Child] = set()

    def __len__(self) -> int:
        return len(self._running)

    async def run(self, job: Job) -> Outputs:
        """Run a program and wait until it has closed its outputs, which may be before it ends.

        One whose output nobody wants is started and left alone.  Raises ProcessError.
        """
        process = self._start(job)
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

    def _start(self, job: Job) -> Child:
        if len(self) >= MAX_RUNNING:
            raise ProcessError(f"{MAX_RUNNING} programs are running already")
        try:
            try:
                process = _started(job, job.argv)
            except FileNotFoundError:
                if job.otherwise is None:
                    raise
                process = _started(job, job.otherwise)
        except (OSError, ValueError) as error:
            raise ProcessError(f"it cannot be started: {getattr(error, 'strerror', None) or error}") from error
        self._running.add(process)
        return process

    async def _talk(self, process: Child, job: Job) -> Outputs:
        stdout, stderr = _Kept(), _Kept()
        try:
            async with asyncio.TaskGroup() as group:
                group.create_task(_feed(process, job))
                group.create_task(process.read_stdout(stdout.take))
                group.create_task(process.read_stderr(stderr.take))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return Outputs(bytes(stdout.data), bytes(stderr.data))

    async def _left_alone(self, process: Child, job: Job) -> None:
        kill = True
        try:
            async with self._services.clock.timeout(self._longest):
                await _feed(process, job)
                await process.wait()
            kill = False
        except TimeoutError:
            log.warning("exec: '%s' took longer than %s s and is ended", job.argv[0], self._longest)
        finally:
            await self._bury(process, kill=kill)

    async def _bury(self, process: Child, *, kill: bool) -> None:
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
            process.close()
            if process.is_over or kill:
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


def _started(job: Job, argv: Sequence[str]) -> Child:
    return Child(
        argv,
        {**os.environ, **job.environment},
        has_input=job.stdin is not None,
        stdout=job.wants_stdout,
        stderr=job.wants_stderr,
    )


async def _feed(process: Child, job: Job) -> None:
    if job.stdin is not None:
        await process.feed(job.stdin)


class _Kept:
    """What a program has written, up to a bound."""

    def __init__(self) -> None:
        self.data = bytearray()

    def take(self, data: bytes) -> None:
        """Keep more; raises ProcessError when it is too much."""
        self.data += data
        if len(self.data) > MAX_OUTPUT:
            raise ProcessError(f"it wrote more than {MAX_OUTPUT} bytes and was ended")


def _signal(process: Child, number: signal.Signals) -> None:
    """Send a signal to the process group of a program, which may be there longer than itself."""
    try:
        os.killpg(process.pid, number)
    except (ProcessLookupError, PermissionError):
        pass
