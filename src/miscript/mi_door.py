"""What all doors of the Management Interface have in common: `mi_fifo`, `mi_datagram`, `mi_http`.

A door reads bytes from its clients, hands each message with its `Origin` to `run`, and sends what comes of it:

- bytes: the answer, at once (none for a notification);
- an awaitable: the command waits; the door awaits it in a task of its own and goes on with other messages.

`run` is also where a door's policy, audit and limit of waiting commands are applied, so that they are the same
everywhere.  Parameters of ours, for every door: `policy`, `audit`, `max_commands`.
"""

from __future__ import annotations

import asyncio
import ipaddress
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Coroutine
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias

from .audit_log import AuditLog
from .errors import ConfigurationError, MIError, reason
from .exports import Module, mi_command, parameter
from .mi.audit import ALWAYS_MASKED, audit_line
from .mi.command import Command
from .mi.jsonrpc import FORBIDDEN, Batch, Failure, Request, Response, parse, server_error
from .mi.origin import NOBODY, Backend, CommandList, Identity, Origin, Tracing
from .mi.registry import Pending, batch_body
from .mi.repeat import Repeat, repeat_of, split
from .mi.tracing import not_traced, parse_bwlist
from .trace import NOWHERE, Address

if TYPE_CHECKING:
    from .mi.policy import Policy

log = logging.getLogger("miscript.mi")

Answer: TypeAlias = bytes | Coroutine[Any, Any, bytes]
Message: TypeAlias = Request | Batch | Failure

MAX_COMMANDS: Final = 16384
"""Commands that may wait at one door at a time; each costs a few kilobytes."""

MAX_REPEATED: Final = 256
MAX_REPEATED_SIZE: Final = 512
"""Requests that are remembered, and the bytes that one of them may have."""

STOPPING: Final = "the host is stopping"


class MiDoor(Module):
    """The base of the modules that are doors."""

    backend: ClassVar[Backend]

    trace_destination = parameter("", "The `hep_id` of proto_hep that commands are traced to.")
    trace_bwlist = parameter("", "Which commands are traced: `w: a, b` only these, `b: a, b` all but these.")
    pretty_printing = parameter(0, "1 for answers with line breaks and tabs.")
    policy = parameter("", "Who may call what: `open`, `read-only`, or the path of a policy file (ours).")
    audit = parameter("", "File that gets one JSON line per command, or `log` for the host's log (ours).")
    max_commands = parameter(MAX_COMMANDS, "Commands that may wait at this door at a time (ours).")

    access: Policy | None = None
    """The policy in force, None where everyone may do everything.  Its file is read at the start, and again by `reread`
    (SIGHUP) and the command `policy_reload`."""
    waiting = 0
    """Commands that wait now."""
    _audit: AuditLog | None = None
    _repeats: dict[bytes, Repeat]
    _seen: set[bytes]
    """What has come once."""
    _watched = False
    """Whether a call may be worth a line of the audit."""
    _tracing: Tracing | None = None
    _bwlist: CommandList | None = None

    # -- life -------------------------------------------------------------------------------------------------

    def init(self) -> None:
        if self.max_commands < 1:
            raise ConfigurationError(
                f"'max_commands' is {self.max_commands}, expected at least 1", parameter="max_commands"
            )
        self.access = self._policy()
        if self.audit:
            self._audit = AuditLog(self.audit)
        self._repeats = {}
        self._seen = set()
        self._watched = self._audit is not None or self.access is not None
        if self.trace_bwlist and self.trace_destination in self.services.trace_destinations:
            self._bwlist = parse_bwlist(self.trace_bwlist, self.services.mi)

    async def start(self) -> None:
        destination = self.services.trace_destinations.get(self.trace_destination)
        if destination is not None:
            self._tracing = Tracing(destination, self._bwlist)
        elif self.trace_destination:
            log.warning("%s: %s", self.name, not_traced(self.trace_destination, self.services.trace_destinations))
        if self._audit is not None:
            self._audit.open()

    async def stop(self) -> None:
        if self._audit is not None:
            self._audit.close()

    def _policy(self) -> Policy | None:
        if self.policy in ("", "open"):
            return None
        from .mi.policy import READ_ONLY

        return READ_ONLY if self.policy == "read-only" else self._policy_of(self.policy)

    def _policy_of(self, path: str) -> Policy:
        from .mi.policy import parse_policy

        try:
            return parse_policy(_read_policy_file(path))
        except OSError as error:
            why = reason(error)
        except UnicodeDecodeError as error:
            why = f"it is no UTF-8: {error.reason} at byte {error.start}"
        except ConfigurationError as error:
            why = str(error)
        raise ConfigurationError(f"policy file '{path}': {why}", parameter="policy")

    @property
    def _has_policy_file(self) -> bool:
        return self.policy not in ("", "open", "read-only")

    def reread(self) -> None:
        if self._has_policy_file:
            try:
                self._read_policy_again()
            except ConfigurationError as error:
                log.error("%s: %s; the policy that was read before stays in force", self.name, error)

    @mi_command("policy_reload", extra=True)
    def mi_policy_reload(self) -> str:
        """reads the policy file of this door again; one with a mistake changes nothing"""
        if not self._has_policy_file:
            raise MIError(404, "this door has no policy file")
        try:
            self._read_policy_again()
        except ConfigurationError as error:
            raise MIError(500, "The policy that was read before stays in force", str(error)) from None
        return "OK"

    def _read_policy_again(self) -> None:
        """Put the policy file in force.  Raises ConfigurationError, and then nothing has changed."""
        self.access = self._policy()
        self.policy_changed()
        log.info("%s: policy file '%s' is in force", self.name, self.policy)

    def policy_changed(self) -> None:
        """A new policy is in force: origins that were made before are of the old one, and to be made anew."""

    def check_exposure(self, address: str, parameter: str) -> None:
        """Refuse to be reachable from other machines unless a policy says who may do what.

        `address` is what the module parameter `parameter` makes the door listen on.  Raises ConfigurationError.
        """
        if self.policy or not _is_exposed(address):
            return
        raise ConfigurationError(
            f"'{parameter}': '{address}' can be reached from other machines, and 'policy' does not say who may do what",
            parameter=parameter,
            help=f'add  modparam("{self.name}", "policy", "/path/to/policy.toml")  or "read-only", or "open"',
        )

    # -- messages ---------------------------------------------------------------------------------------------

    def origin(
        self,
        source: Address = NOWHERE,
        destination: Address = NOWHERE,
        *,
        peer: str,
        identity: Identity = NOBODY,
    ) -> Origin:
        """The origin of what a client sends; to be made once per client where that can be."""
        return Origin(
            self.name,
            self.backend,
            source,
            destination,
            peer,
            bool(self.pretty_printing),
            self._tracing,
            self.access,
            identity,
        )

    def run_bytes(self, data: bytes, origin: Origin) -> Answer:
        """Run the message that `data` holds, all of it; like `run`.

        Who watches a host sends the same again and again, but for the id: that is read once.
        """
        front, end = split(data)
        repeat = self._repeats.get(front)
        if repeat is None:
            return self._run_first(data, front, origin)
        if self._watched or origin.pretty or origin.tracing is not None:
            return self.run(repeat.request(end), origin)
        answer = repeat.answer(end)
        return answer if answer.__class__ is bytes else self._answered(answer, origin)

    def runs_alike(self, data: bytes, origin: Origin) -> Callable[[], Answer] | None:
        """What does the same as `run_bytes` with these arguments, with less to do; None if nothing does."""
        front, end = split(data)
        repeat = self._repeats.get(front)
        if repeat is None or self._watched or origin.pretty or origin.tracing is not None:
            return None
        again = repeat.answer

        def run() -> Answer:
            answer = again(end)
            return answer if answer.__class__ is bytes else self._answered(answer, origin)

        return run

    def _answered(self, answer: bytes | Pending, origin: Origin) -> Answer:
        if isinstance(answer, bytes):
            return answer
        refused = self._admit(answer, origin)
        return self._later(answer, origin) if refused is None else refused.body(origin.pretty)

    def _run_first(self, data: bytes, front: bytes, origin: Origin) -> Answer:
        message = parse(data)
        if len(front) <= MAX_REPEATED_SIZE and message.__class__ is Request:
            if front in self._seen:
                self._remember(front, message)
            else:  # most of what comes once does not come again
                if len(self._seen) >= MAX_REPEATED:
                    self._seen.clear()
                self._seen.add(front)
        return self.run(message, origin)

    def _remember(self, front: bytes, request: Request) -> None:
        repeat = repeat_of(request, self.services.mi)
        if repeat is not None:
            if len(self._repeats) >= MAX_REPEATED:
                self._repeats.clear()
            self._repeats[front] = repeat

    def run(self, message: Message, origin: Origin) -> Answer:
        """Run what a client sent; see the top of the file for what comes back.  Never raises."""
        if message.__class__ is Batch:
            return self._run_batch(message, origin)
        started = self._start(message, origin)  # type: ignore[arg-type]  # not a Batch
        if started.__class__ is Response:
            return started.body(origin.pretty) if started.wanted else b""
        return self._later(started, origin)  # type: ignore[arg-type]  # a Pending

    def _start(self, message: Request | Failure, origin: Origin) -> Response | Pending:
        registry = self.services.mi
        if not self._watched:
            result = registry.start(message, origin)
            if result.__class__ is Response:
                return result
            started = 0.0
        else:
            started = registry.seconds()
            result = registry.start(message, origin)
        if isinstance(result, Response):
            self._note(message, origin, result, started)
            return result
        refused = self._admit(result, origin)
        if refused is None:
            return result
        if self._watched:
            self._note(message, origin, refused, started)
        return refused

    def _admit(self, pending: Pending, origin: Origin) -> Response | None:
        """Let a command wait, or refuse it because too many do."""
        reason = self.begin_waiting(origin)
        if not reason:
            return None
        _never_run(pending.awaitable)
        return pending.finish(server_error(reason))

    def begin_waiting(self, origin: Origin) -> str:
        """Count a command that waits; if it may not, why."""
        if self.waiting >= self.max_commands:
            return f"{self.waiting} commands wait at this door, more are not taken"
        self.waiting += 1
        return ""

    def end_waiting(self, origin: Origin) -> None:
        """A command that was counted waits no more."""
        self.waiting -= 1

    async def _later(self, pending: Pending, origin: Origin) -> bytes:
        response = await self._finish(pending, origin)
        return response.body(origin.pretty) if response.wanted else b""

    async def _finish(self, pending: Pending, origin: Origin) -> Response:
        """The response of a command that waits.  Cancelling it means that the host stops: that is answered too."""
        try:
            outcome = await pending.awaitable
        except asyncio.CancelledError:
            outcome = server_error(STOPPING)
        except Exception as error:
            outcome = error
        finally:
            self.end_waiting(origin)
        response = pending.finish(outcome)
        if self._watched:
            self._note(pending.request, origin, response, pending.started)
        return response

    def _run_batch(self, batch: Batch, origin: Origin) -> Answer:
        """The commands of a batch run in parallel, too; the answers keep the order of the requests."""
        started = [self._start(message, origin) for message in batch.messages]
        if any(isinstance(one, Pending) for one in started):
            return self._batch_later(started, origin)
        return _joined([one for one in started if isinstance(one, Response)], origin)

    async def _batch_later(self, started: list[Response | Pending], origin: Origin) -> bytes:
        waiting = [asyncio.ensure_future(self._finish(one, origin)) for one in started if isinstance(one, Pending)]
        try:
            await asyncio.wait(waiting)
        except asyncio.CancelledError:
            for task in waiting:
                task.cancel()
            await asyncio.wait(waiting)
        finished = iter(waiting)
        responses = [one if isinstance(one, Response) else next(finished).result() for one in started]
        return _joined(responses, origin)

    # -- the audit --------------------------------------------------------------------------------------------

    def _note(self, message: Request | Failure, origin: Origin, response: Response, started: float) -> None:
        """Write the audit line of a call: of every one where an audit is asked for, of refusals always."""
        refused = response.error is not None and response.error.code == FORBIDDEN
        if self._audit is None and not refused:
            return
        registry = self.services.mi
        line = audit_line(
            message,
            self._command(message),
            origin,
            response,
            time=registry.clock(),
            seconds=registry.seconds() - started,
            masked=ALWAYS_MASKED if self.access is None else self.access.masked,
        )
        if self._audit is not None:
            self._audit.write(line)
        else:
            log.warning("refused: %s", line.decode("ascii").rstrip())

    def _command(self, message: Request | Failure) -> Command | None:
        return None if message.method is None else self.services.mi.find(message.method)


def _joined(responses: list[Response], origin: Origin) -> bytes:
    wanted = [response for response in responses if response.wanted]
    return batch_body(wanted, origin.pretty) if wanted else b""


def _never_run(awaitable: Awaitable[object]) -> None:
    """Throw a coroutine away that has not begun."""
    if isinstance(awaitable, Coroutine):
        awaitable.close()


def _read_policy_file(path: str) -> str:
    """The text of a policy file.  A link is followed: configuration often is one.  Raises OSError, UnicodeError."""
    from .mi.policy import MAX_SIZE

    with open(path, "rb", opener=_open_at_once) as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError("it is no regular file")
        if found.st_mode & stat.S_IWOTH:
            log.warning("policy file '%s' can be changed by every user of this machine", path)
        return file.read(MAX_SIZE + 1).decode("utf-8")


def _open_at_once(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)  # a FIFO shall not be waited for


def _is_exposed(address: str) -> bool:
    """Whether other machines reach this address; of a name it is not known before it has been looked up."""
    try:
        return not ipaddress.ip_address(address.partition("%")[0]).is_loopback
    except ValueError:
        return False
