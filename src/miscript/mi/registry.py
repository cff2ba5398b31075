"""All MI commands of a host: finding one by any of its names, and the one way to run it.

Every door and `mi()` go through here, so that counting, tracing and the answer to a failure are the same for all:

- `call` runs a request to its end; `start` runs it up to where it has to wait (`Pending`);
- `answer` does that for everything `jsonrpc.parse` can return, and gives the bytes to send;
- `bind` does all the work of a call with fixed words beforehand: what is left is the call of the handler.

Names (`resolve`): `module:command` is a command's canonical name.  Without a colon it is the short name, if one
module has it; several make it ambiguous; with none it may be an alias, an old name.  Case counts, blanks count.

Nothing here knows of an event loop: a command that waits hands back an awaitable, and the door awaits it.
Source: OpenSIPS manual, "Management Interface"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import NamedTuple, assert_never, cast

from ..errors import DeclarationError, MIError
from . import tracing
from .command import NO_RESULT, Command, Later
from .jsonrpc import (
    METHOD_AMBIGUOUS,
    METHOD_NOT_FOUND,
    Batch,
    Failure,
    Params,
    Request,
    Response,
    pretty,
    server_error,
)
from .origin import Origin
from .tracing import Exchange

log = logging.getLogger(__name__)

NO_HELP = "not available for this command"


class Bound(NamedTuple):
    """A command with fixed parameters.

    `run()` returns the result, or an awaitable of it where the command waits and a `Later` where only this call
    does, and raises `MIError`.  It is counted, but neither timed nor traced nor guarded.
    """

    command: Command
    run: Callable[[], object]


@dataclass(slots=True)
class Pending:
    """A command that waits.  Whoever has it awaits `awaitable`, then calls one of the methods, once."""

    awaitable: Awaitable[object]
    command: Command
    request: Request
    started: float
    exchange: Exchange | None
    registry: Registry

    def finish(self, outcome: object) -> Response:
        """The answer, `outcome` being the result or the exception that came of it."""
        return self.registry.conclude(self.command, self.request, outcome, self.started, self.exchange)

    def abandon(self) -> None:
        """Nobody waits any more and there will be no answer."""
        self.command.counters.cancelled += 1
        self.registry.timed(self.command, self.started)


class Registry:
    """The commands of one host.

    `clock` gives the time of day for traced packets, `seconds` measures how long calls take.  `refused` counts
    messages that came to no command, by error code.
    """

    def __init__(
        self, *, clock: Callable[[], float] = time.time, seconds: Callable[[], float] = time.perf_counter
    ) -> None:
        self.clock = clock
        self.seconds = seconds
        self.refused: dict[int, int] = {}
        self._commands: dict[str, Command] = {}
        self._extra: set[str] = set()
        self._ordered: tuple[Command, ...] | None = None
        self._names: tuple[list[str], list[str]] | None = None
        self._short: dict[str, tuple[Command, ...]] = {}
        self._aliases: dict[str, tuple[Command, ...]] = {}

    # Names

    def register(self, command: Command, *, extra: bool = False) -> None:
        """Add `command`; `extra` if OpenSIPS has none of that name.  Raises `DeclarationError` for a second one."""
        if command.full in self._commands:
            raise DeclarationError(f"MI command '{command.full}' is declared twice")
        self._ordered = self._names = None
        self._commands[command.full] = command
        if extra:
            self._extra.add(command.full)
        self._short[command.name] = (*self._short.get(command.name, ()), command)
        for alias in dict.fromkeys(command.aliases):
            self._aliases[alias] = (*self._aliases.get(alias, ()), command)

    @property
    def commands(self) -> tuple[Command, ...]:
        """All commands, the server's in the order of registration, then ours."""
        if self._ordered is None:
            extra = self._extra
            self._ordered = tuple(sorted(self._commands.values(), key=lambda command: command.full in extra))
        return self._ordered

    def resolve(self, name: str) -> Command:
        """The command called `name`.  Raises `MIError`: -32601 `Method not found`, -32001 `Method ambiguous`."""
        command = self._commands.get(name)
        if command is not None:
            return command
        candidates = self._short.get(name) or self._aliases.get(name)
        if not candidates:
            raise MIError(METHOD_NOT_FOUND, "Method not found")
        if len(candidates) > 1:
            names = ", ".join(candidate.full for candidate in candidates)
            raise MIError(METHOD_AMBIGUOUS, "Method ambiguous", f"supported names: {names}")
        return candidates[0]

    def find(self, name: str) -> Command | None:
        """The command called `name`, or None where `resolve` raises."""
        try:
            return self.resolve(name)
        except MIError:
            return None

    def which(self, name: str | None = None, *, old_names: bool = False) -> list[str] | list[list[str]]:
        """The answer of `which`: all names, a module's names (`MODULE:`), or a command's recipes.

        All names are the canonical ones; with `old_names` the aliases that mean one command follow.  Raises
        `MIError` (404).
        """
        if name is None:
            if self._names is None:
                aliases = [alias for alias, owners in self._aliases.items() if len(owners) == 1]
                self._names = [command.full for command in self.commands], aliases
            canonical, aliases = self._names
            return canonical + aliases if old_names else canonical.copy()
        if name.endswith(":"):
            names = [command.full for command in self.commands if command.group == name[:-1]]
            if not names:
                raise MIError(404, "unknown MI command")
            return names
        return [list(recipe) for recipe in self._known(name).recipes]

    def help(self, name: str) -> dict[str, str]:
        """The answer of `help NAME`.  Raises `MIError` (404)."""
        command = self._known(name)
        return {"Help": command.help or NO_HELP, "Exported by": command.group}

    def _known(self, name: str) -> Command:
        command = self.find(name)
        if command is None:
            raise MIError(404, "unknown MI command")
        return command

    # Calls with everything known beforehand, or prepared

    def begin(self, command: Command, params: Params) -> object:
        """Run `command`: its result, or a `Later` where this call waits.  Raises `MIError`; counts, does not time."""
        try:
            result = command.handler(*command.arguments(params))
        except Exception as error:
            raise self.failed(command, error) from None
        if command.waits:
            return Later(self.waited(command, cast(Awaitable[object], result)))
        return self.ended(command, result)

    def bind(self, name: str, params: Params = None) -> Bound:
        """The command called `name` with `params`, ready to be run any number of times.  Raises `MIError`."""
        command = self.resolve(name)
        work = command.ready(params)

        def run() -> object:
            try:
                result = work()
            except Exception as error:
                raise self.failed(command, error) from None
            return self.ended(command, result)

        async def run_waiting() -> object:
            return await self.waited(command, cast(Awaitable[object], work()))

        return Bound(command, run_waiting if command.waits else run)

    def ended(self, command: Command, result: object) -> object:
        """Count a handler that has returned; where only this call waits, the count follows when that is over."""
        if result is NO_RESULT:
            raise self.failed(command, result)
        if result.__class__ is Later:
            return Later(self.waited(command, result))
        command.counters.succeeded += 1
        return result

    async def waited(self, command: Command, operation: Awaitable[object]) -> object:
        """Wait for a handler, and count how it ended.  Raises `MIError`."""
        try:
            result = await operation
        except Exception as error:
            raise self.failed(command, error) from None
        except BaseException:
            command.counters.cancelled += 1
            raise
        if result is NO_RESULT:
            raise self.failed(command, result)
        command.counters.succeeded += 1
        return result

    # Calls from doors

    async def answer(self, parsed: Request | Batch | Failure, origin: Origin) -> bytes:
        """Run what a client sent and give what to send back: nothing for notifications."""
        match parsed:
            case Batch():
                responses = [await self.call(message, origin) for message in parsed.messages]
                messages = [response for response in responses if response.wanted]
                return batch_body(messages, origin.pretty) if messages else b""
            case Request() | Failure():
                response = await self.call(parsed, origin)
                return response.body(origin.pretty) if response.wanted else b""
            case _:
                assert_never(parsed)

    async def call(self, message: Request | Failure, origin: Origin) -> Response:
        """Run one request to its end.  Raises only what cancels the caller."""
        started = self.start(message, origin)
        if isinstance(started, Response):
            return started
        try:
            outcome = await started.awaitable
        except Exception as error:
            outcome = error
        except BaseException:
            started.abandon()
            raise
        return started.finish(outcome)

    def start(self, message: Request | Failure, origin: Origin) -> Response | Pending:
        """Run one request up to its end, or to where it has to wait.  Never raises."""
        if isinstance(message, Failure):
            return self._refuse(message, origin)
        try:
            command = self.resolve(message.method)
        except MIError as error:
            return self._unknown(message, error, origin)
        started = self.seconds()
        exchange = None
        if origin.tracing is not None:
            exchange = self.trace(origin, message.method, message.params, command)
        outcome: object
        try:
            if origin.guard is not None:
                origin.guard.check(command, message, origin)
            arguments = command.arguments(message.params)
            if command.takes_origin:
                outcome = command.handler(*arguments, origin=origin)
            else:
                outcome = command.handler(*arguments)
            if command.waits or outcome.__class__ is Later:
                awaitable = cast(Awaitable[object], outcome)
                return Pending(awaitable, command, message, started, exchange, self)
        except Exception as error:
            outcome = error
        return self.conclude(command, message, outcome, started, exchange)

    def trace(
        self, origin: Origin, name: str, params: Params = None, command: Command | None = None
    ) -> Exchange | None:
        """Trace a request that is not run through here; its `Exchange` takes the reply."""
        return tracing.trace_request(origin, name, params, command=command, clock=self.clock)

    def conclude(
        self, command: Command, request: Request, outcome: object, started: float, exchange: Exchange | None
    ) -> Response:
        """Count and trace the end of a call; `outcome` is its result, or the exception that it raised."""
        response = Response(id=request.id, wanted=request.has_id)
        if isinstance(outcome, Exception) or outcome is NO_RESULT:
            response.error = self.failed(command, outcome)
            response.error.__traceback__ = None  # it would keep the frames of the call alive
        else:
            response.result = outcome
            command.counters.succeeded += 1
        self.timed(command, started)
        if exchange is not None:
            exchange.answer(response)
        return response

    def timed(self, command: Command, started: float) -> None:
        """Note how long a call took that ends now."""
        command.counters.timed += 1
        command.counters.seconds += self.seconds() - started

    def failed(self, command: Command, outcome: object) -> MIError:
        """Count a call that failed; the error to answer with.  What no handler should raise is logged here, once."""
        match outcome:
            case MIError():
                error = outcome
            case Exception():
                log.error("MI command '%s' failed", command.full, exc_info=outcome)
                error = server_error()
            case _:
                error = server_error("Command handler returned null")
        failed = command.counters.failed
        failed[error.code] = failed.get(error.code, 0) + 1
        return error

    def _unknown(self, request: Request, error: MIError, origin: Origin) -> Response:
        self._count_refusal(error)
        response = Response(error=error, id=request.id, wanted=request.has_id)
        if origin.tracing is not None:
            exchange = self.trace(origin, request.method, request.params)
            if exchange is not None:
                exchange.answer(response)
        return response

    def _refuse(self, failure: Failure, origin: Origin) -> Response:
        self._count_refusal(failure.error)
        response = Response(error=failure.error, id=failure.id)
        if origin.tracing is not None:
            command = self.find(failure.method) if failure.method is not None else None
            exchange = tracing.trace_failure(origin, failure, command=command, clock=self.clock)
            if exchange is not None:
                exchange.answer(response)
        return response

    def _count_refusal(self, error: MIError) -> None:
        self.refused[error.code] = self.refused.get(error.code, 0) + 1


def batch_body(responses: list[Response], pretty_form: bool) -> bytes:
    """The array that answers a batch."""
    if pretty_form:
        for response in responses:
            response.body()  # turns a result that is no JSON into an error
        return pretty([response.message() for response in responses])
    return b"[" + b",".join(response.body() for response in responses) + b"]"
