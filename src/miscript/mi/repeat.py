"""A request that comes again: everything that does not depend on the moment is done once.

Who watches a host asks the same thing every few seconds, with another id each time; who measures it does nothing else.
`split` cuts a message into what comes again and its id, `repeat_of` makes a `Repeat` of a request whose command is
plain: it answers at once and does not care where the request comes from.  `Repeat.answer` is then the handler's work,
its result as JSON, and the counting, exactly as `Registry.start` and `Response.body` have it.  Requests that are
guarded, traced or answered in the pretty form go the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from orjson import dumps, loads

from ..errors import MIError
from ..late_pattern import late_pattern
from .command import NO_RESULT, Command, Later
from .jsonrpc import Request, Response
from .registry import Pending, Registry
from .writer import ONLY_JSON, compact

_ID: Final = b',"id":'
_ID_SPACED: Final = b', "id": '
"""As Python's own JSON writes it."""
_PLAIN: Final = rb'(0|[1-9][0-9]{0,14}|"[ !#-\[\]-~]{0,64}")\}'
"""An id that is written back just as it came: digits, or ASCII that needs no escapes."""
_END: Final = late_pattern(_ID + _PLAIN)
_END_SPACED: Final = late_pattern(_ID_SPACED + _PLAIN)


def split(data: bytes) -> tuple[bytes, bytes]:
    """`data` as what may come again, and `,"id":…}`; that is empty if `data` does not end in a plain id.

    The brace at the end of one JSON object is its own, so the id in front of it is that of the request, and of equal
    keys the last one counts: whatever plain id stands there, the rest means the same.
    """
    at = data.rfind(_ID)
    if at > 0:
        end = data[at:]
        if _END.fullmatch(end) is not None:
            return data[:at], end
    elif (at := data.rfind(_ID_SPACED)) > 0:
        found = _END_SPACED.fullmatch(data, at)
        if found is not None:
            return data[:at], _ID + found[1] + b"}"
    return data, b""


class Repeat:
    """One request, ready to be answered any number of times."""

    __slots__ = ("_command", "_end", "_plain", "_registry", "_request", "_run", "_seconds")

    def __init__(self, request: Request, command: Command, run: Callable[[], object], registry: Registry) -> None:
        self._request = request
        self._command = command
        self._run = run
        self._registry = registry
        self._seconds = registry.seconds
        self._plain = command.without_fractions
        """Whether orjson alone writes the result as the server does."""
        self._end = _ID + compact(request.id) + b"}"

    def request(self, end: bytes) -> Request:
        """The request with the id in `end`."""
        first = self._request
        return Request(first.method, first.params, loads(end[len(_ID) : -1]), True) if end else first

    def answer(self, end: bytes) -> bytes | Pending:
        """Run the command: the answer in its compact form, or what has to be waited for.

        `end` is that of `split`: with it the id of this request.
        """
        started = self._seconds()
        try:
            result = self._run()
            if result.__class__ is Later:
                return Pending(result, self._command, self.request(end), started, None, self._registry)
            if result is NO_RESULT:
                return self._concluded(result, started, end)
            try:
                text = dumps(result, None, ONLY_JSON) if self._plain else compact(result)
            except (TypeError, ValueError):  # for `conclude` and `body` to look at
                return self._concluded(result, started, end)
        except Exception as error:
            return self._concluded(error, started, end)
        counters = self._command.counters
        counters.succeeded += 1
        counters.timed += 1
        counters.seconds += self._seconds() - started
        return b'{"jsonrpc":"2.0","result":' + text + (end or self._end)

    def _concluded(self, outcome: object, started: float, end: bytes) -> bytes:
        response: Response = self._registry.conclude(self._command, self.request(end), outcome, started, None)
        return response.body()


def repeat_of(request: Request, registry: Registry) -> Repeat | None:
    """A `Repeat` of `request`, or None if it has to go the ordinary way each time."""
    command = registry.find(request.method)
    if command is None or command.waits or command.takes_origin or not request.has_id:
        return None
    try:
        return Repeat(request, command, command.ready(request.params), registry)
    except MIError:
        return None
