"""What of an MI exchange is traced, and in which words.

`trace_request` tells the destination about a request and gives back the `Exchange` whose `reply` tells about the
answer, under the same correlation id.  What the doors have in common and where they differ is the table `_RULES`.
Texts are cut at 127 bytes (parameters) and 128 bytes (replies), never inside a character.

Sources: packets of OpenSIPS 4.1; mi_script manual, `trace_destination` and `trace_bwlist`.
"""

from __future__ import annotations

import os
import random
import struct
import time
from binascii import b2a_base64
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from ..errors import ConfigurationError, MIError
from ..trace import Fields, TraceEvent
from ..values import INT_MAX, INT_MIN, decode, encode
from .jsonrpc import PARSE_ERROR, Failure, Params, Response
from .origin import Backend, CommandList, Origin

if TYPE_CHECKING:
    from .command import Command
    from .registry import Registry

MAX_PARAMETERS: Final = 127
MAX_REPLY: Final = 128
_UNIQUE: Final = struct.Struct("<IIQI").pack
_ALWAYS_KNOWN: Final = {"sip_trace": "tracer:trace"}
"""Old names that a list may hold although their module is not loaded: the mi_script manual uses this one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Rules:
    """How one kind of door traces; the doors have most in common, so the defaults are theirs."""

    unknown_commands: bool = True
    unreadable_requests: bool = True
    notification_reply: str | None = None
    reply_turns_round: bool = True
    """Whether the reply goes from the request's destination to its source."""
    bare_replies: bool = False
    """Whether the reply is what `mi()` returns rather than a JSON-RPC message."""


_RULES: Final = {
    Backend.SCRIPT: _Rules(unknown_commands=False, reply_turns_round=False, bare_replies=True),
    Backend.FIFO: _Rules(unreadable_requests=False),
    Backend.DATAGRAM: _Rules(),
    Backend.HTTP: _Rules(notification_reply="202 Accepted"),
}
_BACKENDS: Final = {backend: ("backend", backend.value) for backend in Backend}


class Exchange(NamedTuple):
    """A request that has been traced and waits for its reply."""

    origin: Origin
    correlation: str
    clock: Callable[[], float]

    def answer(self, response: Response) -> None:
        """Trace what `response` will look like to the one who asked."""
        rules = _RULES[self.origin.backend]
        if not response.wanted:
            if rules.notification_reply is not None:
                self.reply(rules.notification_reply)
        elif rules.bare_replies:
            self.reply(response.text(self.origin.pretty))
        else:
            self.reply(response.body(self.origin.pretty))

    def reply(self, text: str | bytes) -> None:
        """Trace `text` as the reply."""
        origin = self.origin
        source, destination = origin.source, origin.destination
        if _RULES[origin.backend].reply_turns_round:
            source, destination = destination, source
        if origin.tracing is not None:
            fields = (("reply", trace_reply(text)),)
            origin.tracing.destination.send(TraceEvent(self.correlation, fields, source, destination, self.clock()))


def trace_request(
    origin: Origin,
    name: str,
    params: Params = None,
    *,
    command: Command | None,
    clock: Callable[[], float] = time.time,
) -> Exchange | None:
    """Trace a request for `name`, written as the caller wrote it; None if this one is not traced.

    `command` is what the name stands for, None if it stands for nothing.
    """
    tracing = origin.tracing
    if tracing is None:
        return None
    if command is None:
        if not _RULES[origin.backend].unknown_commands:
            return None
    elif tracing.bwlist is not None and not tracing.bwlist.lets_through(command):
        return None
    fields = request_fields(origin.backend, name, params)
    correlation = correlation_id()
    tracing.destination.send(TraceEvent(correlation, fields, origin.source, origin.destination, clock()))
    return Exchange(origin, correlation, clock)


def request_fields(backend: Backend, name: str, params: Params) -> Fields:
    """What is told of a request for `name`, written as the caller wrote it."""
    parameters = trace_parameters(params) if params else ""
    fields = (("command", name), _BACKENDS[backend]) if name else (_BACKENDS[backend],)
    return (*fields, ("parameters", parameters)) if parameters else fields


def trace_failure(
    origin: Origin, failure: Failure, *, command: Command | None, clock: Callable[[], float]
) -> Exchange | None:
    """Trace a message that is no request, with what could be read of it."""
    if failure.error.code == PARSE_ERROR and not _RULES[origin.backend].unreadable_requests:
        return None
    return trace_request(origin, failure.method or "unknown", failure.params, command=command, clock=clock)


def trace_parameters(params: Params) -> str:
    """The values of `params` as one text: joined by commas, arrays, objects, booleans and null left out.

    The comma belongs to a value's place, so the text starts with one when the first value is left out.  A value is
    added only while there is as much room as the one before it took.
    """
    if not params:
        return ""
    text = b""
    last = 0
    for place, value in enumerate(params.values() if isinstance(params, dict) else params):
        if last >= MAX_PARAMETERS + 1 - len(text):
            break
        piece = _parameter_text(value)
        if piece is not None:
            piece = b"," + piece if place else piece
            text = _cut(text + piece, MAX_PARAMETERS)
            last = len(piece)
    return decode(text)


def trace_reply(text: str | bytes) -> str:
    """The beginning of a reply."""
    if isinstance(text, str):
        if text.isascii():
            return text[:MAX_REPLY]
        text = encode(text[: MAX_REPLY + 1])
    return decode(_cut(text, MAX_REPLY))


def parse_bwlist(text: str, registry: Registry, elsewhere: Callable[[str], str] = lambda name: "") -> CommandList:
    """The value of `trace_bwlist`: `w:ds_list, which` (only these) or `b:ps` (all but these).

    Commands of modules not yet loaded are unknown to `registry`.  `elsewhere` gives what a command of another node is
    called, empty for those of this host; it raises `ValueError` when there is no such node.  Raises
    `ConfigurationError` with the server's reason.
    """
    kind, colon, names = text.partition(":")
    kind = kind.strip(" ")
    if not text:
        raise _wrong_list(text, "empty mi command list")
    if not colon:
        raise _wrong_list(text, "missing list type, expected 'w' (whitelist) or 'b' (blacklist) before a colon")
    if kind not in ("w", "W", "b", "B"):
        raise _wrong_list(text, f"invalid list type '{kind}', expected 'w' (whitelist) or 'b' (blacklist)")
    if not names:
        raise _wrong_list(text, "no command in list")
    wanted = [name.strip(" ") for name in names.removesuffix(",").split(",")]
    return CommandList(kind in "wW", frozenset(_canonical(name, text, registry, elsewhere) for name in wanted))


def not_traced(name: str, known: Iterable[str]) -> str:
    """Why `trace_destination` has no effect: nobody has a destination of that name.  OpenSIPS starts, so we do."""
    if name.startswith("[") and name.endswith("]") and name[1:-1] in known:
        return f"nothing is traced: trace_destination is '{name}', write '{name[1:-1]}', without brackets"
    names = ", ".join(f"'{one}'" for one in sorted(known))
    cure = f"it has {names}" if names else "there is none; load proto_hep and give it a hep_id"
    return f"nothing is traced: trace_destination is '{name}', which is no hep_id of proto_hep; {cure}"


class CorrelationIds:
    """Makes ids of the server's form: `MICORR` and 20 bytes in base64.  No two calls give the same.

    The bytes are the process, its start, a time in microseconds that never repeats, and a random number.
    """

    def __init__(self) -> None:
        self._started = int(time.time())
        self._last = 0
        self._random = random.Random().getrandbits  # it has nothing to protect, and the system's is slow
        self._process = os.getpid()

    def __call__(self) -> str:
        now = time.monotonic_ns() // 1000
        self._last = now = now if now > self._last else self._last + 1
        unique = _UNIQUE(self._process, self._started, now, self._random(32))
        return "MICORR" + b2a_base64(unique, newline=False).decode("ascii")


correlation_id = CorrelationIds()


def _canonical(name: str, text: str, registry: Registry, elsewhere: Callable[[str], str]) -> str:
    try:
        return elsewhere(name) or registry.resolve(name).full
    except ValueError as error:
        raise _wrong_list(text, f"can't find mi command '{name}': {error}") from error
    except MIError:
        known = _ALWAYS_KNOWN.get(name)
    if known is None:
        raise _wrong_list(text, f"can't find mi command '{name}'")
    return known


def _wrong_list(text: str, reason: str) -> ConfigurationError:
    return ConfigurationError(f"invalid bwlist '{text}': {reason}", parameter="trace_bwlist")


def _parameter_text(value: object) -> bytes | None:
    match value:
        case str():
            return encode(value)
        case bool():
            return None
        case int() | float():
            return b"%d" % max(INT_MIN, min(INT_MAX, value))
        case _:
            return None


def _cut(data: bytes, size: int) -> bytes:
    """The first `size` bytes of `data`, less a character that would be torn."""
    if len(data) <= size:
        return data
    end = size
    while end > size - 3 and data[end] & 0xC0 == 0x80:  # inside a character of at most four bytes
        end -= 1
    return data[:end] if data[end] & 0xC0 != 0x80 else data[:size]  # no start near: these bytes are no text
