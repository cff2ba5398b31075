"""One connection of httpd.

Bytes become requests (`miscript.http`), requests become answers, answers leave in the order of the requests.  An
answer that is there at once is written at once, together with those of other requests of the same packet; for one
that comes later a `_Slot` keeps its place.

What a client may cost is bounded: time for a request and for taking an answer (`conn_timeout`), requests under way,
bytes that wait.  Behind a limit nothing is read until there is room.  What all clients together may keep here of
bodies is bounded too (who comes when that is full gets 503), and what they do not take of their answers.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections import deque
from collections.abc import Coroutine
from typing import Any, Final, cast

from ...errors import MIError
from ...http.head import Head, Problem
from ...http.reader import Message, RequestReader
from ...http.response import CLOSES, CONTINUE, HTML, JSON, STAYS, STAYS_1_0
from ...http_server import Answer, Client, HttpRequest, Reply
from ...mi.jsonrpc import INVALID_REQUEST, Response
from ...trace import NOWHERE, Address
from .action import Again, CloseSilently, Fixed, Handled, Owner

log = logging.getLogger("miscript.httpd")

MAX_PIPELINED: Final = 1000
"""Requests of one connection that wait for their answers."""

MAX_HELD: Final = 1024 * 1024
"""Bytes of answers that an earlier answer holds up."""

WRITE_AT_ONCE: Final = 65536
"""Bytes of answers that are gathered for one write."""

SMALL_BODY: Final = 4096
"""Bytes that a connection may keep, and a body may have, whatever others keep: enough for nearly all commands."""

FAILED: Final = Reply(500, HTML, b"")
FULL: Final = Problem(503, "too much of other requests is kept here, try again later")

LINGER_SECONDS: Final = 1.0
"""How long bytes of a refused client are still taken, so that it can read why (RFC 9112 section 9.6)."""


class _Slot:
    """The place of an answer that is not there yet; the request has a body of `size` bytes."""

    __slots__ = ("data", "size")

    def __init__(self, data: bytes | None = None, size: int = 0) -> None:
        self.data = data
        self.size = size


class HttpConnection(asyncio.Protocol):
    """The protocol of one connection."""

    __slots__ = (
        "_again",
        "_client",
        "_ending",
        "_held",
        "_kept",
        "_lingers",
        "_now",
        "_ok",
        "_owner",
        "_packet",
        "_reader",
        "_reading",
        "_said_continue",
        "_slots",
        "_timeout",
        "_transport",
        "_untaken",
        "_write_paused",
        "_written",
        "deadline",
    )

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._now = asyncio.get_running_loop().time
        self._timeout = owner.timeout
        self._ok = owner.responses.ok
        self._reader = RequestReader(owner.max_body, owner.heads)
        self._slots: deque[_Slot] = deque()
        self._transport: asyncio.Transport | None = None
        self._reading = True
        self._ending = False
        """Nothing more is answered: the connection is closed when what is under way has been written."""
        self._lingers = False
        self._said_continue = False
        self._write_paused = False
        self._written = self._untaken = 0
        self._held = 0
        self._kept = 0
        """What the owner counts as kept here of requests that are not complete."""
        self._packet = b""
        """The last packet, if it was one request that was answered and nothing has come between."""
        self._again: Again | None = None
        self.deadline = math.inf
        """When the connection is closed unless something happens; on the clock of the loop."""

    # -- called by the loop -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        if not self._owner.opened(self):
            self._transport.abort()
            return
        source, destination = transport.get_extra_info("peername"), transport.get_extra_info("sockname")
        self._client = Client(_address(source), _address(destination))
        self._set_deadline(True)

    def connection_lost(self, error: Exception | None) -> None:
        self._transport = None
        self._reader.drop()
        self._count_kept()
        self._taken()
        self._owner.closed(self)

    def data_received(self, data: bytes) -> None:
        repeated = data == self._packet
        if repeated and self._again is not None:
            self._answer_again(self._again)
            return
        self._packet = b""
        if self._ending:
            return
        reader = self._reader
        if not self._slots and not self._write_paused:
            body = reader.whole(data)
            if body is not None and self._answer_alone(data, body, repeated):
                return
        starts = reader.is_empty
        reader.feed(data)
        self._work()
        self._set_deadline(starts or reader.is_empty)
        self._check_kept()

    def _answer_again(self, again: Again) -> None:
        """The very request that came last; nothing is under way."""
        try:
            answer = again()
        except Exception:
            log.exception("a handler of httpd failed")
            answer = FAILED
        head = self._reader.last
        data = self._ok(answer) if answer.__class__ is bytes else self._settle(answer, head, 0)  # type: ignore[arg-type]
        if data is not None and self._transport is not None:
            self._transport.write(data)
        if self._packet:
            self.deadline = self._now() + self._timeout
        else:
            self._set_deadline(True)

    def _answer_alone(self, data: bytes, body: bytes, repeated: bool) -> bool:
        """A request for a module whose head is known, and nothing is under way: the way of most requests.

        False if it is another kind of request, and still to be answered.
        """
        head = self._reader.last
        if head is None or not head.keep_alive or head.version != "1.1":
            return False
        action = head.action
        if not isinstance(action, Handled) or action.drop_body or len(body) > SMALL_BODY:
            return False
        request = HttpRequest(head, body, self._client, action.login, repeated)
        try:
            answer = action.handler(request)
        except Exception:
            log.exception("a handler of httpd failed")
            answer = FAILED
        reply = self._ok(answer) if isinstance(answer, bytes) else self._settle(answer, head, len(body))
        if reply is not None and self._transport is not None:
            self._packet, self._again = data, request.again
            self._transport.write(reply)
        self._set_deadline(True)
        return True

    def eof_received(self) -> bool:
        """The client says no more.  It may still wait for answers."""
        if not self._slots:
            return False
        self._end()
        return True

    def pause_writing(self) -> None:
        self._write_paused = True
        self._packet = b""
        assert self._transport is not None
        self._written = self._untaken = self._transport.get_write_buffer_size()
        self.deadline = self._now() + self._timeout
        if not self._owner.wait_for(self._untaken):
            self._transport.abort()

    def resume_writing(self) -> None:
        self._write_paused = False
        self._taken()
        self._go_on()

    def _taken(self) -> None:
        self._owner.wait_for(-self._untaken)
        self._untaken = 0

    # -- called by the server ---------------------------------------------------------------------------------

    def expire(self, now: float) -> None:
        """The deadline has passed."""
        if self._transport is None:
            return
        if self._transport.is_closing():
            self._transport.abort()
        elif self._write_paused:
            left = self._transport.get_write_buffer_size()
            if left < self._written:  # slow, but it takes something
                self._written = left
                self.deadline = now + self._timeout
            else:
                self._transport.abort()
        elif self._ending or self._reader.is_empty:
            self._close()
        else:
            self._refuse(Problem(408, "the request did not come to an end"))

    def shut_down(self) -> None:
        """The host stops: close as soon as what is under way has been answered."""
        self._end()
        self._lingers = False
        if not self._slots:
            self._finish()

    def abort(self) -> None:
        """Close at once."""
        if self._transport is not None:
            self._transport.abort()

    # -- requests ---------------------------------------------------------------------------------------------

    def _work(self) -> None:
        """Answer the requests that are there, as many as may be under way."""
        reader, slots = self._reader, self._slots
        out: list[bytes] = []
        size = 0
        while not (self._ending or self._is_full):
            message = reader.next()
            if message is None:
                break
            if isinstance(message, Problem):
                self._write(out)
                self._refuse(message)
                return
            self._said_continue = False
            answer = self._answer(message)
            if answer is None:
                continue
            if slots:
                slots.append(_Slot(answer))
                self._held += len(answer)
                continue
            out.append(answer)
            size += len(answer)
            if size > WRITE_AT_ONCE:
                self._write(out)
                out, size = [], 0
        self._write(out)
        if self._ending:
            if not slots:
                self._finish()
            return
        if reader.head is not None and not self._said_continue:
            self._continue(reader.head)
        self._read_on()

    def _answer(self, message: Message) -> bytes | None:
        """The answer to a request; None if there is none (the connection closes) or it has got a slot."""
        head = message.head
        action = head.action
        if action is None:
            action = head.action = self._owner.decide(head)
        if not head.keep_alive:
            self._end()
        if isinstance(action, Handled):
            body = b"" if action.drop_body else message.body
            return self._handle(action, HttpRequest(head, body, self._client, action.login))
        if isinstance(action, Fixed):
            if action.close:
                self._end()
            return self._render_fixed(action, head)
        self._end()
        return None

    def _handle(self, action: Handled, request: HttpRequest) -> bytes | None:
        """Let a module answer; None if it answers later and the answer has its slot."""
        size = len(request.body)
        self._count_kept()  # the reader has handed the body over
        if size > SMALL_BODY and not self._owner.has_room(size):
            return self._render(_reply_to(FULL), request.head)
        try:
            answer = action.handler(request)
        except Exception:
            log.exception("a handler of httpd failed")
            answer = FAILED
        return self._settle(answer, request.head, size)

    def _settle(self, answer: Answer | Coroutine[Any, Any, Answer], head: Head, size: int) -> bytes | None:
        """The answer of a module as bytes; None if it comes later and has its slot."""
        if isinstance(answer, bytes | Reply):
            return self._render(answer, head)
        slot = _Slot(None, size)
        self._packet = b""
        self._slots.append(slot)
        self._owner.keep(size)
        self._owner.later(self._answer_later(slot, answer, head))
        return None

    async def _answer_later(self, slot: _Slot, waiting: Coroutine[Any, Any, Answer], head: Head) -> None:
        try:
            answer = await waiting
        except Exception:
            log.exception("a handler of httpd failed")
            answer = FAILED
        finally:
            self._owner.keep(-slot.size)
        slot.data = self._render(answer, head)
        self._go_on()

    # -- what is kept -----------------------------------------------------------------------------------------

    def _count_kept(self) -> None:
        """Let the owner know what this connection keeps now."""
        held = self._reader.held
        kept = held if held > SMALL_BODY else 0
        if kept != self._kept:
            self._owner.keep(kept - self._kept)
            self._kept = kept

    def _check_kept(self) -> None:
        """Refuse the request that is coming if there is no room for more of it."""
        before = self._kept
        self._count_kept()
        if self._kept > before and not self._owner.has_room(0) and not self._ending:
            self._refuse(FULL)

    def _go_on(self) -> None:
        """There is room again, or an answer has come: write what may be written, and answer what waits."""
        if self._transport is None or self._write_paused:
            return
        self._write_slots()
        if not self._ending:
            self._work()
        elif not self._slots:
            self._finish()
        self._set_deadline(True)
        self._count_kept()

    def _write_slots(self) -> None:
        """Write the answers that no earlier one holds up."""
        out: list[bytes] = []
        while self._slots and (data := self._slots[0].data) is not None:
            self._slots.popleft()
            out.append(data)
        self._held = sum(len(slot.data) for slot in self._slots if slot.data is not None) if self._slots else 0
        self._write(out)

    def _continue(self, head: Head) -> None:
        """A client that asks before it sends a body is told to go on, or why not (RFC 9110 section 10.1.1)."""
        self._said_continue = True
        if not head.expects_continue or self._slots or self._transport is None:
            return
        action = head.action = self._owner.decide(head)
        if isinstance(action, Handled):
            self._transport.write(CONTINUE)
        elif isinstance(action, Fixed):
            self._end()
            self._transport.write(self._render_fixed(action, head, last=True))
            self._linger()
        else:
            self._finish()

    def _refuse(self, problem: Problem) -> None:
        """Say what is wrong, behind the answers that are under way, and close."""
        self._end()
        head = self._reader.head
        action = self._owner.decide(head) if head is not None else None
        if problem.status == 0 or isinstance(action, CloseSilently):
            answer = b""
        elif isinstance(action, Fixed):
            answer = self._render_fixed(action, head, last=True) if head is not None else b""
        else:
            answer = self._owner.responses.make(*_reply_to(problem), CLOSES)
        self._lingers = bool(answer)
        if self._slots:
            self._slots.append(_Slot(answer))
        else:
            self._write([answer] if answer else [])
            self._finish()

    # -- bytes ------------------------------------------------------------------------------------------------

    def _render(self, answer: Answer, head: Head) -> bytes:
        if isinstance(answer, bytes):
            if head.keep_alive and head.version == "1.1":
                return self._ok(answer)
            answer = Reply(200, JSON, answer)
        return self._owner.responses.make(*answer, _stays(head) if head.keep_alive else CLOSES)

    def _render_fixed(self, action: Fixed, head: Head, *, last: bool = False) -> bytes:
        if last or action.close or not head.keep_alive:
            connection = CLOSES
        else:
            connection = _stays(head)
        return self._owner.responses.make(*action.reply, connection, action.fields, without_body=head.method == "HEAD")

    def _write(self, out: list[bytes]) -> None:
        if out and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))

    def _read_on(self) -> None:
        """Read while there is room, and only then."""
        wanted = not self._is_full
        if wanted == self._reading or self._transport is None:
            return
        self._reading = wanted
        if wanted:
            self._transport.resume_reading()
        else:
            self._transport.pause_reading()

    @property
    def _is_full(self) -> bool:
        """Whether nothing more may be begun: the client does not take its answers, or too much is under way."""
        return self._write_paused or len(self._slots) >= MAX_PIPELINED or self._held > MAX_HELD

    def _end(self) -> None:
        """Answer nothing more, and keep nothing of what has come."""
        self._ending = True
        self._packet = b""
        self._reader.drop()
        self._count_kept()

    def _finish(self) -> None:
        """All is said: close, after what has been written is gone."""
        if self._transport is None:
            return
        if self._lingers:
            self._linger()
        else:
            self._close()

    def _close(self) -> None:
        """Close; if the client does not take what is written, `expire` ends it."""
        if self._transport is not None:
            self._transport.close()
            self.deadline = self._now() + self._timeout

    def _linger(self) -> None:
        assert self._transport is not None
        self._lingers = True
        self.deadline = self._now() + LINGER_SECONDS
        if not self._transport.can_write_eof():
            self._close()
            return
        self._transport.write_eof()
        if not self._reading:
            self._reading = True
            self._transport.resume_reading()

    def _set_deadline(self, anew: bool) -> None:
        """Set the deadline for the next request to come, or the one that has begun to be complete.

        Not `anew`: it has begun before and has its deadline.  There is none while a command is under way.
        """
        if self._slots:
            self.deadline = math.inf
        elif anew and not self._ending and not self._write_paused:
            self.deadline = self._now() + self._timeout


def _stays(head: Head) -> bytes:
    return STAYS if head.version == "1.1" else STAYS_1_0


def _reply_to(problem: Problem) -> Reply:
    """A request that is too large is a JSON-RPC matter; the rest is HTTP's alone."""
    if problem.status == 413:
        error = MIError(INVALID_REQUEST, "Invalid Request", problem.reason)
        return Reply(413, JSON, Response(error=error).body())
    return Reply(problem.status, HTML, f"<html><body>{problem.reason}</body></html>".encode("ascii", "replace"))


def _address(name: Any) -> Address:
    return (str(name[0]), int(name[1])) if isinstance(name, tuple) else NOWHERE
