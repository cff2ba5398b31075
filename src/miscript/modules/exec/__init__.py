"""Module exec: running programs.

The script's own text is the command, with all that /bin/sh makes of it; what its variables hold is data, and never a
part of the command (see `command_text`).  A call that wants output waits until the program has closed its outputs,
while others go on; one that wants none starts the program and goes on itself.

Source: OpenSIPS manual, module exec; observed results of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Final

from ...errors import ConfigurationError
from ...exports import BoundAvp, BoundText, BoundVariable, Module, bound_function, parameter
from ...script.access import AvpAccess
from ...script.runtime import Pending, Run
from ...script.signatures import Argument, VariableAccess
from ...services import Services
from ...values import decode, encode, text_of
from .command_text import CommandError, CommandText, Piece, command_text, plain_command
from .environment import message_environment, numbered
from .processes import Job, Outputs, ProcessError, Processes

__all__ = ["Exec"]

log = logging.getLogger("miscript.exec")

ROUTES: Final = "request failure reply local startup timer event"
NOT_WAITED: Final = 2
"""Code of an asynchronous call that wants no output."""

MakeJob = Callable[[Run], Job]


class Exec(Module):
    """Runs programs."""

    name = "exec"

    setvars = parameter(0, "1: programs are told of the message, in variables of their environment.")
    time_to_kill = parameter(0, "Seconds that a program may take; 0: as long as it likes.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.processes = Processes(services, None)

    def init(self) -> None:
        if self.time_to_kill < 0:
            raise ConfigurationError("time_to_kill must not be negative", parameter="time_to_kill")
        self.processes = Processes(self.services, self.time_to_kill or None)

    async def stop(self) -> None:
        await self.processes.end()

    @bound_function(routes=ROUTES)
    def exec(
        self,
        command: BoundText,
        stdin: BoundText | None = None,
        stdout: BoundVariable | None = None,
        stderr: BoundVariable | None = None,
        envavp: BoundAvp | None = None,
    ) -> Callable[[Run], int | Awaitable[int]]:
        """Run a program: 1, or -1 when it cannot be started, writes too much or takes longer than `time_to_kill`.

        With `stdout` or `stderr` the call waits, and the variables take what the program wrote, as one text; they
        stay as they are when it wrote nothing.  `stdin` is what it reads; the values of `envavp` are its variables
        `OSIPS_EXEC_0` (the last one added), `OSIPS_EXEC_1` …
        """
        make = self._maker(command, stdin, stdout is not None, stderr is not None, envavp)
        out, err = _access(stdout), _access(stderr)

        async def run_it(run: Run) -> int:
            try:
                outputs = await self.processes.run(make(run))
            except (CommandError, ProcessError) as error:
                log.error("exec('%s'): %s", text_of(command.get(run)), error)
                return -1
            stored = [
                access.set(run, decode(data))
                for access, data in ((out, outputs.stdout), (err, outputs.stderr))
                if access is not None and data
            ]
            return 1 if all(stored) else -1

        return run_it

    @bound_function(name="exec", asynchronous=True)
    def async_exec(
        self,
        command: BoundText,
        stdin: BoundText | None = None,
        stdout: BoundVariable | None = None,
        stderr: BoundVariable | None = None,
        envavp: BoundAvp | None = None,
    ) -> Callable[[Run], Pending]:
        """Run a program while the script is suspended; `stdout` takes its lines, one value each.

        `stderr` takes nothing.  The code is 2 without `stdout`, else as in the plain form.
        """
        make = self._maker(command, stdin, stdout is not None, False, envavp)
        out = _access(stdout)

        async def run_it(run: Run) -> Outputs | None:
            try:
                return await self.processes.run(make(run))
            except (CommandError, ProcessError) as error:
                log.error("exec('%s'): %s", text_of(command.get(run)), error)
                return None

        def finish(run: Run, outputs: Outputs | None) -> int:
            if outputs is None:
                return -1
            if out is None:
                return NOT_WAITED
            lines = decode(outputs.stdout).split("\n")
            if not lines[-1]:
                lines.pop()  # what ends a line begins no other
            stored = [out.set(run, line) for line in lines]
            return 1 if all(stored) else -1

        return lambda run: Pending(run_it(run), finish)

    def _maker(
        self, command: Argument, stdin: Argument | None, wants_stdout: bool, wants_stderr: bool, envavp: Argument | None
    ) -> MakeJob:
        """What makes a job of the arguments in a run; that raises CommandError."""
        argv = _argv_maker(command)
        avp = _access(envavp)

        def make(run: Run) -> Job:
            words, otherwise = argv(run)
            environment = {} if not self.setvars or run.message is None else message_environment(run.message)
            if isinstance(avp, AvpAccess):
                environment |= numbered(avp.all(run)[::-1])
            given = None if stdin is None else stdin.get(run)
            data = None if given is None else encode(text_of(given))
            return Job(words, otherwise, environment, data, wants_stdout, wants_stderr)

        return make


def _access(argument: Argument | None) -> VariableAccess | None:
    return None if argument is None else argument.variable


def _argv_maker(command: Argument) -> Callable[[Run], tuple[list[str], list[str] | None]]:
    """What gives the words of a command, and the ones to try when there is no such program."""
    written = _written(command)
    if written is None:
        return lambda run: (_checked(plain_command(_without_null(text_of(command.get(run))))), None)
    text, fills = written

    def argv(run: Run) -> tuple[list[str], list[str] | None]:
        values = [_without_null(fill(run)) for fill in fills]
        shell = text.shell_argv(values)
        return (shell, None) if text.needs_shell else (_checked(text.argv(values)), shell)

    return argv


def _written(command: Argument) -> tuple[CommandText, list[Callable[[Run], str]]] | None:
    """The script's own text and what fills in its values; None for a command that is a variable as a whole.

    Raises ConfigurationError for a text with a quote that is not closed.
    """
    if command.is_constant:
        return _read([text_of(command.constant)]), []
    if not any(isinstance(piece, str) for piece in command.pieces):
        return None
    pieces: list[Piece] = []
    fills: list[Callable[[Run], str]] = []
    for piece in command.pieces:
        if isinstance(piece, str):
            pieces.append(piece)
        else:
            pieces.append(len(fills))
            fills.append(_fill(piece.access))
    return _read(pieces), fills


def _read(pieces: list[Piece]) -> CommandText:
    try:
        return command_text(pieces)
    except CommandError as error:
        shown = "".join(piece if isinstance(piece, str) else "$…" for piece in pieces)
        raise ConfigurationError(f"'{shown}': {error}") from error


def _fill(access: VariableAccess) -> Callable[[Run], str]:
    return lambda run: text_of(access.get(run))


def _checked(words: list[str]) -> list[str]:
    if not words or not words[0]:
        raise CommandError("there is no command")
    return words


def _without_null(text: str) -> str:
    if "\0" in text:
        raise CommandError("a value has a byte 0, which no program can be given")
    return text
