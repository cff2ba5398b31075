"""A request that comes again, byte for byte: everything that does not depend on the moment is done once.

Who watches a host asks the same thing every few seconds; who measures it does nothing else.  `repeat_of` makes a
`Repeat` of a request whose command is plain: it answers at once and does not care where the request comes from.
`Repeat.answer` is then the handler's work, its result as JSON, and the counting, exactly as `Registry.start` and
`Response.body` have it.  Requests that are guarded, traced or answered in the pretty form go the ordinary way.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from orjson import dumps

from ..errors import MIError
from .command import NO_RESULT, Command, Later
from .jsonrpc import Request, Response
from .registry import Pending, Registry
from .writer import ONLY_JSON, compact


class Repeat:
    """One request, ready to be answered any number of times."""

    __slots__ = ("_back", "_command", "_plain", "_registry", "_run", "_seconds", "request")

    def __init__(self, request: Request, command: Command, run: Callable[[], object], registry: Registry) -> None:
        self.request = request
        self._command = command
        self._run = run
        self._registry = registry
        self._seconds = registry.seconds
        self._plain = command.without_fractions
        """Whether orjson alone writes the result as the server does."""
        self._back = b',"id":' + compact(request.id) + b"}"

    def answer(self) -> bytes | Pending:
        """Run the command: the answer in its compact form, or what has to be waited for."""
        started = self._seconds()
        try:
            result = self._run()
            if isinstance(result, Later):
                return Pending(result, self._command, self.request, started, None, self._registry)
            if result is NO_RESULT:
                return self._concluded(result, started)
            try:
                text = dumps(result, None, ONLY_JSON) if self._plain else compact(result)
            except (TypeError, ValueError):  # for `conclude` and `body` to look at
                return self._concluded(result, started)
        except Exception as error:
            return self._concluded(error, started)
        counters = self._command.counters
        counters.succeeded += 1
        counters.timed += 1
        counters.seconds += self._seconds() - started
        return b'{"jsonrpc":"2.0","result":' + text + self._back

    def _concluded(self, outcome: object, started: float) -> bytes:
        response: Response = self._registry.conclude(self._command, self.request, outcome, started, None)
        return response.body()


def repeat_of(request: Request, registry: Registry) -> Repeat | None:
    """A `Repeat` of `request`, or None if it has to go the ordinary way each time."""
    command = registry.find(request.method)
    if command is None or command.waits or command.takes_origin or not request.has_id:
        return None
    try:
        arguments = command.arguments(request.params)
    except MIError:
        return None
    run = command.prepare(*arguments) if command.prepare is not None else partial(command.handler, *arguments)
    return Repeat(request, command, run, registry)
