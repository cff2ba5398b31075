"""Requests in the byte stream of a FIFO: `:NAME:` and a JSON value, one after the other.

Bytes and time come in, `Framed` requests and `Dropped` rests come out; nothing here reads, writes or waits.

```
stream   = *( blanks ":" name ":" blanks value )
name     = *( any byte but ":" "." "/" "\\\\" )       ; empty: no answer is wanted
```

Several processes write to one FIFO.  Writes up to PIPE_BUF (4096 bytes on Linux) arrive whole, so a request in one
such write is never mixed with another's; larger ones can be, and nobody can tell.  Hence the rules:

- a request may come in any number of pieces; if its next piece is not there within `PATIENCE` it is broken and is
  answered `Parse error` on its reply name, at once when its beginning shows that it is no JSON;
- behind anything broken, the rest of what has been read is dropped: it may be the inside of the broken request;
- a request above the limit is answered, and its bytes are passed over, without keeping them, up to its end.

Source: OpenSIPS manual, module mi_fifo; observed behaviour of OpenSIPS 4.1.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, TypeAlias

from ..errors import MIError
from ..late_pattern import late_pattern
from .jsonrpc import INVALID_REQUEST, PARSE_ERROR, Batch, Failure, Request, parse

PATIENCE: Final = 0.3
"""Seconds that the next piece of a request may take."""

MAX_REQUEST: Final = 1024 * 1024
"""Bytes of one JSON value."""

MAX_NAME: Final = 255
"""Bytes of a reply name; no file name is longer."""

_BLANKS: Final = bytes(range(0x21))
_HEAD: Final = late_pattern(rb"[\x00-\x20]*:([^:./\\]*):[\x00-\x20]*")
_NAME_REFUSED: Final = late_pattern(rb"[./\\]")
_OUTSIDE_TEXT: Final = late_pattern(rb'["{}\[\]]')
_INSIDE_TEXT: Final = late_pattern(rb'["\\]')
_HOPELESS: Final = late_pattern(rb'\{[\x00-\x20]*[^\x00-\x20"}]')
"""An object that cannot become one, whatever follows: there is no use in waiting for its end."""
_NO_LITERAL: Final = late_pattern(rb"[^0-9A-Za-z+.-]")


@dataclass(frozen=True, slots=True)
class Framed:
    """A request and where its answer goes (`name` empty: nowhere)."""

    name: str
    message: Request | Batch | Failure


@dataclass(frozen=True, slots=True)
class Dropped:
    """Bytes that were no request at all."""

    reason: str
    data: bytes


Event: TypeAlias = Framed | Dropped


class _Kind(Enum):
    """What a JSON value is, by its first byte."""

    CONTAINER = auto()
    TEXT = auto()
    LITERAL = auto()


class _Scanner:
    """Finds the end of one JSON value, fed piece by piece; it counts brackets and knows texts, nothing else."""

    __slots__ = ("_depth", "_escaped", "_in_text", "_kind")

    def __init__(self, first: int) -> None:
        self._kind = {0x22: _Kind.TEXT, 0x7B: _Kind.CONTAINER, 0x5B: _Kind.CONTAINER}.get(first, _Kind.LITERAL)
        self._depth = 0
        self._in_text = False
        self._escaped = False

    def end(self, data: bytes | bytearray, at: int) -> int | None:
        """Where the value ends that goes on at `at`, or None if it does not end in `data`."""
        if self._kind is _Kind.LITERAL:
            found = _NO_LITERAL.search(data, at)
            return None if found is None else found.start()
        size = len(data)
        while at < size:
            if self._escaped:
                self._escaped = False
                at += 1
                continue
            found = (_INSIDE_TEXT if self._in_text else _OUTSIDE_TEXT).search(data, at)
            if found is None:
                return None
            at = found.end()
            if self._step(data[at - 1]):
                return at
        return None

    def _step(self, byte: int) -> bool:
        """Take one byte that means something; whether the value ends with it."""
        match byte:
            case 0x5C:  # backslash
                self._escaped = True
                return False
            case 0x22:  # quotation mark
                self._in_text = not self._in_text
                return not self._in_text and self._depth == 0
            case 0x7B | 0x5B:
                self._depth += 1
                return False
            case _:
                self._depth -= 1
                return self._depth <= 0


@dataclass(slots=True)
class _Unfinished:
    """A request whose value has begun.  `kept` is none any more once it has grown too large."""

    name: str
    scanner: _Scanner
    kept: bytearray | None


class FifoReader:
    """Cuts a FIFO's bytes into requests.

    `name_limit` is the longest reply name in bytes, `max_request` the largest JSON value.
    """

    def __init__(self, *, max_request: int = MAX_REQUEST, name_limit: int = MAX_NAME) -> None:
        self.max_request = max_request
        self.name_limit = name_limit
        self.deadline: float | None = None
        """When the unfinished request will have waited long enough; call `expire` then."""
        self._head = b""
        self._request: _Unfinished | None = None

    def feed(self, data: bytes, now: float) -> list[Event]:
        """Take what was read at `now`; the requests that are complete with it.

        A piece that comes late still counts as long as `expire` has not been called: what was in the FIFO in time
        shall not suffer from a host that was busy.
        """
        events: list[Event] = []
        at = 0
        if self._head:
            data, self._head = self._head + data, b""
        while at < len(data):
            if self._request is not None:
                at = self._go_on(data, at, events)
            else:
                at = self._begin(data, at, events)
        self.deadline = now + PATIENCE if self._head or self._request is not None else None
        return events

    def expire(self, now: float) -> list[Event]:
        """Give up the unfinished request if its next piece has not come in time."""
        if self.deadline is None or now < self.deadline:
            return []
        self.deadline = None
        request, self._request = self._request, None
        head, self._head = self._head, b""
        if request is not None:
            # One that became too large has been answered already.
            return [] if request.kept is None else [Framed(request.name, parse(bytes(request.kept)))]
        found = _HEAD.match(head)
        if found is None:
            return [Dropped("a reply name without its second ':'", head)]
        return [Framed(_text(found[1]), parse(b""))]

    def _begin(self, data: bytes, at: int, events: list[Event]) -> int:
        """Read `:NAME:` and the blanks around it; the place of the value's first byte, or the end."""
        found = _HEAD.match(data, at)
        if found is None or len(found[1]) > self.name_limit:
            self._no_head(data[at:].lstrip(_BLANKS), events)
            return len(data)
        value = found.end()
        if value == len(data):
            self._head = b":" + found[1] + b":"  # the blanks mean nothing and need not be kept
            return value
        self._request = _Unfinished(_text(found[1]), _Scanner(data[value]), bytearray())
        return value

    def _no_head(self, rest: bytes, events: list[Event]) -> None:
        """Decide about bytes that do not begin with a whole `:NAME:`."""
        if not rest:
            return
        name = rest[1:].partition(b":")[0]
        if rest[0] != 0x3A:
            events.append(Dropped("a request must begin with ':'", rest))
        elif _NAME_REFUSED.search(name):
            events.append(Dropped("'.', '/' and '\\' are not allowed in a reply name", rest))
        elif len(name) > self.name_limit:
            events.append(Dropped(f"a reply name may have {self.name_limit} bytes", rest))
        else:
            self._head = rest

    def _go_on(self, data: bytes, at: int, events: list[Event]) -> int:
        request = self._request
        assert request is not None
        end = request.scanner.end(data, at)
        stop = len(data) if end is None else end
        if request.kept is not None:
            request.kept += data[at:stop]
            if len(request.kept) > self.max_request:
                request.kept = None
                events.append(Framed(request.name, self._too_large()))
        if end is None and (request.kept is None or not _HOPELESS.match(request.kept)):
            return stop
        self._request = None
        if request.kept is None:
            return stop
        message = parse(bytes(request.kept))
        events.append(Framed(request.name, message))
        if isinstance(message, Failure) and message.error.code == PARSE_ERROR:
            return self._drop(data, stop, events)
        return stop

    def _drop(self, data: bytes, at: int, events: list[Event]) -> int:
        rest = data[at:].lstrip(_BLANKS)
        if rest:
            events.append(Dropped("it stands behind something that is no JSON", rest))
        return len(data)

    def _too_large(self) -> Failure:
        data = f"the request is larger than {self.max_request} bytes"
        return Failure(MIError(INVALID_REQUEST, "Invalid Request", data))


def _text(name: bytes) -> str:
    return name.decode("utf-8", "surrogateescape")
