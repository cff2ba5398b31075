"""`mi()`: run a command of the Management Interface from the script.

`mi(command, [ret_var], [params_avp], [vals_avp])` waits for the command; inside `async()` and `launch()` the route
goes on when it is done.  The return variable gets the result as JSON, or the text of the error; the return code is 1,
or the negative code of the error, or one of

- -1: no such command, an ambiguous name, no command at all;
- -2: the AVPs with names and values do not fit together;
- -3: the return variable cannot be written (the command has been run);
- -4: the deadline of `async()` passed; the command was cancelled.

The parameters come from the AVPs when they are given (first added, first given), else from the words behind the
command.  `command@node` is a command of a live node; `miscript.remote_commands` tells its codes.

Source: OpenSIPS manual, module mi_script; docs/mi_script.md.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Awaitable, Callable
from dataclasses import replace
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, TypeAlias, cast

import orjson

from ...errors import MIError
from ...exports import BoundAvp, BoundCommand, BoundVariable, Module, bound_function, parameter
from ...mi.command import NO_RESULT, Command, Later
from ...mi.jsonrpc import Params
from ...mi.origin import Backend, Origin, Tracing
from ...mi.tracing import Exchange, correlation_id, not_traced, parse_bwlist, request_fields, trace_reply
from ...mi.writer import ONLY_JSON, dumps_text
from ...script.access import AvpAccess
from ...script.runtime import Pending, Run
from ...script.signatures import Argument
from ...sip.message import Message
from ...trace import NOWHERE, Address, whole_exchange
from ...values import Value
from .storing import Store, store_in
from .words import INTERNAL, Call, Refused, named, positional, split_words

if TYPE_CHECKING:
    from ...remote_commands import RemoteCommands

log = logging.getLogger("miscript.mi_script")

TIMEOUT = -4
Values: TypeAlias = Callable[[Run], list[Value]]
ORIGINS = 1024
"""Senders of SIP messages that are remembered, for tracing."""


class MiScript(Module):
    """Run MI commands from the routes of the script."""

    name = "mi_script"

    trace_destination = parameter("", "The `hep_id` of proto_hep that calls are traced to.")
    trace_bwlist: str | None = parameter(
        None, "Which commands are traced: `w: a, b` only these, `b: a, b` all but these.", kinds="string"
    )
    pretty_printing = parameter(0, "1 for results with line breaks and tabs.")
    default_node = parameter("", "The node whose commands `mi()` runs when none is named: a name or a URL.")

    _tracing: Tracing | None = None

    def init(self) -> None:
        """Find out where calls are traced to; without a destination of that name they are not."""
        self._origin = lru_cache(ORIGINS)(self._make_origin)
        self._default_node = self.default_node or self.services.find("default node") or ""
        destinations = self.services.trace_destinations
        destination = destinations.get(self.trace_destination)
        if destination is not None:
            wanted = self.trace_bwlist
            commands = None if wanted is None else parse_bwlist(wanted, self.services.mi, self._remote.name_of)
            self._tracing = Tracing(destination, commands)
        elif self.trace_destination:
            log.warning("%s", not_traced(self.trace_destination, destinations))

    async def stop(self) -> None:
        """Let go of the nodes."""
        if "_remote" in vars(self):
            await self._remote.close()

    @cached_property
    def _remote(self) -> RemoteCommands:
        from ...remote_commands import RemoteCommands

        return RemoteCommands(dict(os.environ), self._default_node)

    # -- the function -----------------------------------------------------------------------------------------

    @bound_function()
    def mi(
        self,
        command: BoundCommand,
        ret_var: BoundVariable | None = None,
        params_avp: BoundAvp | None = None,
        vals_avp: BoundAvp | None = None,
    ) -> Callable[[Run], int | Awaitable[int]]:
        """Run the MI command in the text `command` and wait for its result.

        `ret_var` gets the result as JSON, or the text of the error.  Parameters come from the AVPs when they are
        given: `params_avp` alone by position, together with `vals_avp` by name; else from the words in `command`.
        A value `__array(a b)` is a list.  A command that answers later suspends the route, nothing else.
        """
        store = self._store(ret_var)
        if command.is_constant and self._tracing is None:
            names, values = _avp(params_avp), _avp(vals_avp)
            if names is None and values is None:
                return self._bound(str(command.constant), store)
            known = self._known(str(command.constant))
            if known is not None and not known.waits and (names is None or values is None):
                return self._bound_to_texts(known, cast(Values, names or values), store)
        if command.is_constant and params_avp is None and vals_avp is None:
            traced = self._bound_traced(str(command.constant), store)
            if traced is not None:
                return traced
        prepare = self._preparation(command, params_avp, vals_avp)

        def call(run: Run) -> int | Awaitable[int]:
            try:
                prepared = prepare(run)
            except Refused as refused:
                self._trace_refused(run, refused)
                return store(run, refused.code, refused.text)
            except MIError as error:
                return store(run, -abs(error.code), error.message)
            if self._tracing is not None:
                return self._traced(run, prepared, store)
            return self._run(run, prepared.command, prepared.params, store)

        return call

    @bound_function(name="mi", asynchronous=True)
    def async_mi(
        self,
        command: BoundCommand,
        ret_var: BoundVariable | None = None,
        params_avp: BoundAvp | None = None,
        vals_avp: BoundAvp | None = None,
    ) -> Callable[[Run], Pending]:
        """Run an MI command inside `async()` or `launch()`.

        Command and parameters are what they are now; the return variable is written in the resume route, where
        `$rc` is the code.
        """
        store = self._store(ret_var)
        prepare = self._preparation(command, params_avp, vals_avp)

        def call(run: Run) -> Pending:
            try:
                prepared = prepare(run)
            except Refused as refused:
                self._trace_refused(run, refused)
                return Pending(_already(refused), lambda later, done: store(later, done.code, done.text))
            except MIError as error:
                failed = Refused(-abs(error.code), error.message)
                return Pending(_already(failed), lambda later, done: store(later, done.code, done.text))
            return self._pending(run, prepared, store)

        return call

    # -- what to call -----------------------------------------------------------------------------------------

    def _preparation(
        self, command: Argument, params_avp: Argument | None, vals_avp: Argument | None
    ) -> Callable[[Run], Call]:
        """A function that finds command and parameters of one call; it raises Refused and MIError."""
        names, values = _avp(params_avp), _avp(vals_avp)
        resolve = self._resolve
        get = command.get

        def prepare(run: Run) -> Call:
            text = get(run)
            if not isinstance(text, str):
                raise Refused(INTERNAL, "no command")
            name, params = split_words(text)
            found = resolve(name)
            try:
                if names is not None and values is not None:
                    params = named(names(run), values(run))
                elif names is not None:
                    params = positional(names(run))
                elif values is not None:
                    params = positional(values(run))
            except Refused as refused:
                raise replace(refused, command=found, name=name) from None
            return Call(found, name, params)

        found = self._known(str(command.constant)) if command.is_constant else None
        if found is None:
            return prepare
        name, words = split_words(str(command.constant))
        if names is None and values is None:
            written = Call(found, name, words)
            return lambda run: written

        def prepare_known(run: Run) -> Call:
            try:
                if names is not None and values is not None:
                    return Call(found, name, named(names(run), values(run)))
                return Call(found, name, positional((names or values)(run)))  # type: ignore[misc]  # one is given
            except Refused as refused:
                raise replace(refused, command=found, name=name) from None

        return prepare_known

    def _known(self, text: str) -> Command | None:
        """The command that a text written out in the script names; None when there is none."""
        try:
            return self._resolve(split_words(text)[0])
        except Refused:
            return None

    def _resolve(self, name: str) -> Command:
        if not name:
            raise Refused(INTERNAL, "no command")
        if "@" in name or self._default_node:
            name, node = self._remote.split(name)
            if node:
                return self._remote.command(name, node)
        try:
            return self.services.mi.resolve(name)
        except MIError as error:
            detail = f": {error.data}" if error.data else ""
            raise Refused(INTERNAL, f"{error.message}{detail}") from None

    def _store(self, ret_var: Argument | None) -> Store:
        return store_in(None if ret_var is None else ret_var.variable, bool(self.pretty_printing))

    # -- running it -------------------------------------------------------------------------------------------

    def _bound(self, text: str, store: Store) -> Callable[[Run], int | Awaitable[int]]:
        """A call whose command and parameters are written out: everything but the work itself is done now."""
        name, params = split_words(text)
        try:
            command = self._resolve(name)
        except Refused as refused:
            code, message = refused.code, refused.text
            return lambda run: store(run, code, message)
        if command.waits:
            return lambda run: self._run(run, command, params, store)
        try:
            work = command.ready(params)
        except MIError as error:
            refused_call = error
            return lambda run: self._failed(run, command, refused_call, store)
        counters, slot = command.counters, store.slot
        if slot is None:

            def call(run: Run) -> int | Awaitable[int]:
                try:
                    result = work()
                except Exception as error:
                    return self._failed(run, command, error, store)
                return self._ended(run, command, result, store)

            return call
        dumps, plain, without_fractions = orjson.dumps, ONLY_JSON, command.without_fractions

        def call_for_var(run: Run) -> int | Awaitable[int]:
            """What `call` does, written out: a result with neither `.` nor a sign holds no fraction, so orjson writes
            it as the server does."""
            try:
                result = work()
            except Exception as error:
                return self._failed(run, command, error, store)
            try:
                data = dumps(result, None, plain)
            except TypeError:
                return self._ended(run, command, result, store)
            if not without_fractions and (46 in data or 45 in data or 43 in data):
                return self._ended(run, command, result, store)
            counters.succeeded += 1
            run.vars[slot] = data.decode()
            return 1

        return call_for_var

    def _bound_traced(self, text: str, store: Store) -> Callable[[Run], int | Awaitable[int]] | None:
        """A traced call whose command and parameters are written out, of a command that does not wait; None for others.

        Both halves of the exchange are traced when it is over: nothing else can be sent in between.
        """
        command = self._known(text)
        if command is None or command.waits or self._tracing is None:
            return None
        name, params = split_words(text)
        if self._tracing.bwlist is not None and not self._tracing.bwlist.lets_through(command):
            return self._bound(text, store)
        fields, destination = request_fields(Backend.SCRIPT, name, params), self._tracing.destination
        traces = lru_cache(ORIGINS)(lambda source, to: whole_exchange(destination, fields, source, to))
        begin, clock, pretty = self.services.mi.begin, self.services.mi.clock, bool(self.pretty_printing)

        def call(run: Run) -> int | Awaitable[int]:
            trace = traces(*_ends(run.message))
            correlation, began = correlation_id(), clock()
            try:
                result = begin(command, params)
                if result.__class__ is Later:
                    exchange = self._trace(run, name, params, command)
                    return self._traced_later(run, result, exchange, store)
                said = dumps_text(result, pretty)
            except MIError as error:
                trace(correlation, began, trace_reply(error.message), clock())
                return store(run, -abs(error.code), error.message)
            except (TypeError, ValueError):
                trace(correlation, began, "Server error", clock())
                return store.put(run, result)  # which says so
            trace(correlation, began, trace_reply(said), clock())
            return store(run, 1, said)

        return call

    def _bound_to_texts(
        self, command: Command, values: Callable[[Run], list[Value]], store: Store
    ) -> Callable[[Run], int | Awaitable[int]]:
        """A call of a known command with an AVP: texts go to the handler as they are, where it takes them so."""
        handler, as_given = command.handler, command.texts_as_given

        def call(run: Run) -> int | Awaitable[int]:
            given = values(run)
            for value in given:
                if value.__class__ is not str:
                    return self._run(run, command, positional(given), store)
            if len(given) not in as_given:
                return self._run(run, command, positional(given), store)
            try:
                result = handler(*given)
            except Exception as error:
                return self._failed(run, command, error, store)
            return self._ended(run, command, result, store)

        return call

    def _failed(self, run: Run, command: Command, error: object, store: Store) -> int:
        """A command that failed: counted, and logged where it should not have."""
        failure = self.services.mi.failed(command, error)
        return store(run, -abs(failure.code), failure.message)

    def _ended(self, run: Run, command: Command, result: object, store: Store) -> int | Awaitable[int]:
        """A handler has returned: with a result, with nothing, or with a result that comes later."""
        if result is NO_RESULT:
            return self._failed(run, command, result, store)
        if result.__class__ is Later:
            return self._finish(run, self.services.mi.ended(command, result), store)
        command.counters.succeeded += 1
        return store.put(run, result)

    def _run(self, run: Run, command: Command, params: Params, store: Store) -> int | Awaitable[int]:
        try:
            result = self.services.mi.begin(command, params)
        except MIError as error:
            return store(run, -abs(error.code), error.message)
        return self._finish(run, result, store) if result.__class__ is Later else store.put(run, result)

    async def _finish(self, run: Run, operation: object, store: Store) -> int:
        try:
            result = await cast(Later, operation)
        except MIError as error:
            return store(run, -abs(error.code), error.message)
        return store.put(run, result)

    def _traced(self, run: Run, call: Call, store: Store) -> int | Awaitable[int]:
        exchange = self._trace(run, call.name, call.params, call.command)
        outcome: object
        try:
            outcome = self.services.mi.begin(call.command, call.params)
        except MIError as error:
            outcome = error
        if outcome.__class__ is Later:
            return self._traced_later(run, outcome, exchange, store)
        return self._conclude(run, outcome, exchange, store)

    async def _traced_later(self, run: Run, operation: Later, exchange: Exchange | None, store: Store) -> int:
        outcome: object
        try:
            outcome = await operation
        except MIError as error:
            outcome = error
        return self._conclude(run, outcome, exchange, store)

    async def _outcome(self, call: Call) -> object:
        """The result of a command, or its MIError."""
        try:
            result = self.services.mi.begin(call.command, call.params)
            return await result if isinstance(result, Later) else result
        except MIError as error:
            return error

    def _conclude(self, run: Run, outcome: object, exchange: Exchange | None, store: Store) -> int:
        if isinstance(outcome, MIError):
            if exchange is not None:
                exchange.reply(outcome.message)
            return store(run, -abs(outcome.code), outcome.message)
        if exchange is None:
            return store.put(run, outcome)
        try:
            text = dumps_text(outcome, bool(self.pretty_printing))
        except (TypeError, ValueError):
            exchange.reply("Server error")
            return store.put(run, outcome)  # which says so
        exchange.reply(text)
        return store(run, 1, text)

    def _pending(self, run: Run, call: Call, store: Store) -> Pending:
        exchange = self._trace(run, call.name, call.params, call.command)

        def timed_out(later: Run) -> int:
            if exchange is not None:
                exchange.reply("timeout")
            return store(later, TIMEOUT, "timeout")

        return Pending(
            self._outcome(call), lambda later, outcome: self._conclude(later, outcome, exchange, store), timed_out
        )

    # -- tracing ----------------------------------------------------------------------------------------------

    def _trace(self, run: Run, name: str, params: Params, command: Command) -> Exchange | None:
        if self._tracing is None:
            return None
        return self.services.mi.trace(self._origin(*_ends(run.message)), name, params, command)

    def _make_origin(self, source: Address, destination: Address) -> Origin:
        return Origin(
            "mi_script",
            Backend.SCRIPT,
            source,
            destination,
            pretty=bool(self.pretty_printing),
            tracing=self._tracing,
        )

    def _trace_refused(self, run: Run, refused: Refused) -> None:
        if refused.command is not None:
            exchange = self._trace(run, refused.name, None, refused.command)
            if exchange is not None:
                exchange.reply(refused.text)


def _ends(message: object) -> tuple[Address, Address]:
    """Where a message came from and arrived; the startup route's came from no port, and so from nowhere."""
    if isinstance(message, Message) and message.source[1]:
        return message.source, message.destination
    return NOWHERE, NOWHERE


def _avp(argument: Argument | None) -> Values | None:
    """All values of an AVP, the first added first; with an index the one value."""
    if argument is None:
        return None
    access = argument.variable
    if isinstance(access, AvpAccess) and access.index in (None, "*"):
        name = access.name
        return access.all if callable(name) else lambda run: run.avps.get(name) or []
    get = argument.get
    return lambda run: [] if (value := get(run)) is None else [value]


async def _already(refused: Refused) -> Refused:
    return refused
