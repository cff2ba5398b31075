"""Trace ids that MI makes while the host runs, and the requests that they trace.

Each has a name, one destination, filters that all have to match, a scope and types.  They know no end of their own:
`tracer:stop` ends them, or the host's stop.

Source: OpenSIPS manual, module tracer (`tracer:start`).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from ...errors import ConfigurationError, MIError
from ...script.runtime import Run
from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...sip_service import SipService
from .options import TYPES, Kind, Scope, TraceUri, parse_filters, parse_scope, parse_types
from .records import Destination, DynamicGroup, Trace

BAD_VALUE = "Bad parameter value"

log = logging.getLogger("miscript.tracer")


class DynamicTraces:
    """All of them, by name, in the order in which the names came; the newest of a name is first.

    `make` opens a destination, `close` lets go of one; `trace` begins to trace the message of a run.
    """

    def __init__(
        self,
        sip: SipService,
        make: Callable[[str, TraceUri], Destination],
        close: Callable[[str, Destination], None],
        trace: Callable[[Run, Trace], object],
    ) -> None:
        self._sip = sip
        self._make = make
        self._close = close
        self._trace = trace
        self._groups: dict[str, list[DynamicGroup]] = {}

    def all(self) -> Sequence[DynamicGroup]:
        return [group for groups in self._groups.values() for group in groups]

    def named(self, name: str) -> Sequence[DynamicGroup]:
        return self._groups.get(name, ())

    def start(self, name: str, uri: TraceUri, filters: Sequence[str], scope: str | None, types: str | None) -> None:
        """Begin.  Raises MIError."""
        try:
            conditions = parse_filters(filters)
            wanted = parse_scope(scope or "") or Scope.DIALOG
            kinds = parse_types(types or "")[0] or frozenset(TYPES)
            if wanted is Scope.B2B:
                raise ValueError("the scope 'b' needs the module b2b_logic")
        except (ConfigurationError, ValueError) as error:
            raise MIError(500, BAD_VALUE, str(error)) from error
        try:
            destination = self._make(name, uri)
        except (ConfigurationError, ValueError) as error:
            if uri.kind is not Kind.HEP:
                raise MIError(500, BAD_VALUE, str(error)) from error
            log.error("trace_start: no destination '%s': %s", name, error)
            raise MIError(500, BAD_VALUE, "error while alocating new hep_id") from error  # the server's own words
        group = DynamicGroup(name, [destination], [uri], scope=wanted, types=kinds, filters=conditions)
        self._groups.setdefault(name, []).insert(0, group)
        if self._see not in self._sip.hooks.begun:
            self._sip.hooks.begun.append(self._see)

    def stop(self, name: str) -> bool:
        """End all of a name; False when there are none.  What they follow is not traced any more."""
        groups = self._groups.pop(name, None)
        if groups is None:
            return False
        for group in groups:
            group.is_on = False
            for destination in group.destinations:
                self._close(name, destination)
        if not self._groups:
            self._sip.hooks.begun.remove(self._see)
        return True

    def _see(self, run: Run) -> None:
        """A request came: is it one of those?"""
        message = run.message
        if not isinstance(message, Message):
            return
        for group in self.all():
            if group.scope is Scope.DIALOG and not _begins_dialog(message):
                continue
            if all(condition.matches(message) for condition in group.filters):
                self._trace(run, Trace(group, group.types, scope=group.scope))


def _begins_dialog(message: Message) -> bool:
    try:
        return message.method == "INVITE" and message.to is not None and not message.to.tag
    except SipSyntaxError:
        return False
