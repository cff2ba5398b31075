"""Module `tracer`: SIP messages, and what scripts do with them, shown to collectors, databases, files.

`trace()` and `tracer:start` say what is traced, to which trace id, and how much of what follows: `following` finds
those messages, `destinations` and `rows` take them.  Collectors of HEP are those of proto_hep.

Not here: the scope of B2B sessions.  Source: OpenSIPS manual, module tracer; packets of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from ...database import database_at
from ...dialog_service import dialog_service
from ...errors import ConfigurationError
from ...exports import BoundText, Module, bound_function, parameter, statistic
from ...script.runtime import Run
from ...script.signatures import Argument
from ...services import Services
from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...trace import Address, CollectorsInUse, MessageDestination, MessageEvent
from ...values import text_of
from .commands import TracerCommands
from .destinations import Collector, SipAddress, Syslog, TraceFile
from .dynamic import DynamicTraces
from .following import Following
from .options import (
    Kind,
    Scope,
    Sides,
    TraceId,
    TraceUri,
    parse_facility,
    parse_local_address,
    parse_scope,
    parse_sides,
    parse_trace_id,
    parse_types,
    severity,
)
from .records import Destination, Group, Record, Trace
from .rows import COLUMNS, TraceTable

log = logging.getLogger("miscript.tracer")

SIP_ONLY: Final = frozenset({"sip"})
LOG_LEVEL: Final = 2
"""`log_level` of a script that has none."""


class Tracer(TracerCommands, Module):
    """Trace SIP messages, transactions and dialogs to HEP collectors, SIP addresses, databases, files and syslog."""

    name = "tracer"

    trace_id: list[str] = parameter(
        [],
        "A destination: `[name]uri=hep:ID`, `sip:host:port`, `file:PATH`, `syslog:FACILITY:LEVEL` or the URL of a "
        "database, with `;table=TABLE`. Several may have one name.",
        kinds="string",
        repeatable=True,
    )
    trace_on = parameter(1, "Whether anything is traced when the host starts.")
    trace_local_ip: str | None = parameter(
        None, "What we call ourselves in traced messages: `[transport:]address[:port]`.", kinds="string"
    )
    file_mode = parameter(0o600, "Permissions of trace files that are made.")
    syslog_default_facility: str | None = parameter(
        None, "Facility of syslog for trace ids that name none; `syslog_facility` when left out.", kinds="string"
    )
    syslog_default_level: int | None = parameter(
        None, "Log level for trace ids of syslog that name none; `log_level` when left out.", kinds="integer"
    )
    date_column = parameter("time_stamp", "Column of the time.")
    callid_column = parameter("callid", "Column of the Call-ID.")
    trace_attrs_column = parameter("trace_attrs", "Column of what `trace()` got as `trace_attrs`.")
    msg_column = parameter("msg", "Column of the message.")
    method_column = parameter("method", "Column of the method.")
    status_column = parameter("status", "Column of the status of replies.")
    fromproto_column = parameter("from_proto", "Column of the transport it came by.")
    fromip_column = parameter("from_ip", "Column of the address it came from.")
    fromport_column = parameter("from_port", "Column of the port it came from.")
    toproto_column = parameter("to_proto", "Column of the transport it went by.")
    toip_column = parameter("to_ip", "Column of the address it went to.")
    toport_column = parameter("to_port", "Column of the port it went to.")
    fromtag_column = parameter("fromtag", "Column of the tag of From.")
    direction_column = parameter("direction", "Column of the direction, `in` or `out`.")

    traced_requests = statistic("traced_requests", "Requests that were traced.")
    traced_replies = statistic("traced_replies", "Replies that were traced.")
    lost_messages = statistic("lost_messages", "Traced messages that a destination could not take; HEP has its own.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.sip = sip_service(services)
        self.groups: dict[str, Group] = {}
        self.is_on = True
        self.following = Following(services, self._write)
        self.dynamic = DynamicTraces(self.sip, self._dynamic_destination, self._let_go, self._begin)
        services.provide("tracer", self)

    # -- life -----------------------------------------------------------------------------------------------------

    def init(self) -> None:
        self.is_on = bool(self.trace_on)
        self.collectors: CollectorsInUse | None = self.services.find("trace collectors")
        if self.trace_local_ip is not None:
            self.following.local = parse_local_address(self.trace_local_ip)
        if self.syslog_default_facility is not None:
            try:
                parse_facility(self.syslog_default_facility)
            except ValueError as error:
                raise ConfigurationError(str(error), parameter="syslog_default_facility") from error
        for text in self.trace_id:
            try:
                self._add(parse_trace_id(text))
            except (ConfigurationError, ValueError) as error:
                raise ConfigurationError(
                    f"trace_id '{text}': {error}", parameter="trace_id", value=text, help=getattr(error, "help", None)
                ) from error
        if not self.groups:
            log.info("there is no trace_id; only what tracer:start makes is traced")
        self.following.init()

    async def prepare(self) -> None:
        for group in self.groups.values():
            for destination in group.destinations:
                await destination.prepare()

    async def stop(self) -> None:
        for group in (*self.groups.values(), *self.dynamic.all()):
            for destination in group.destinations:
                await destination.stop()

    # -- destinations ---------------------------------------------------------------------------------------------

    def _add(self, trace_id: TraceId) -> None:
        group = self.groups.setdefault(trace_id.name, Group(trace_id.name, is_on=self.is_on))
        if trace_id.uri not in group.uris or trace_id.uri.kind is Kind.DATABASE:
            group.destinations.append(self._destination(trace_id))
            group.uris.append(trace_id.uri)

    def _destination(self, trace_id: TraceId) -> Destination:
        """Where a trace id leads.  Raises ConfigurationError, ValueError for a bad URI."""
        uri = trace_id.uri
        match uri.kind:
            case Kind.HEP:
                return self._collector(uri.place)
            case Kind.DATABASE:
                database = database_at(self.services.find, uri.place, "trace_id")
                columns = {name: getattr(self, f"{name}_column") for name in COLUMNS}
                return TraceTable(database, trace_id.table, columns, self.services, self.lost_messages)
            case _:
                return self._plain_destination(uri, create=True)

    def _collector(self, name: str) -> Collector:
        destination: object = self.services.trace_destinations.get(name)
        if not isinstance(destination, MessageDestination):
            if not self.collectors:
                raise ConfigurationError(
                    "the module proto_hep is not loaded", help='add  loadmodule "proto_hep.so"  above the tracer'
                )
            raise ConfigurationError(f"there is no hep_id '{name}'")
        return Collector(destination)

    def _plain_destination(self, uri: TraceUri, *, create: bool) -> Destination:
        match uri.kind:
            case Kind.SIP:
                return SipAddress(SipUri.parse(uri.place), self.following.send_copy, self.services, self.lost_messages)
            case Kind.FILE:
                return TraceFile(uri.place, self.file_mode, self.lost_messages, create=create)
            case _:
                return Syslog(uri.place, self._priority(uri.place), self.lost_messages)

    def _priority(self, place: str) -> int:
        """Facility and severity of `[FACILITY[:LEVEL]]`.  Raises ValueError."""
        facility, _, level = place.partition(":")
        given = self.services.parameters
        name = facility or self.syslog_default_facility or str(given.get("syslog_facility") or "daemon")
        configured = given.get("log_level", LOG_LEVEL)
        number = self.syslog_default_level
        if number is None:
            number = configured if isinstance(configured, int) else LOG_LEVEL
        return parse_facility(name) * 8 + severity(int(level) if level else number)

    def _dynamic_destination(self, name: str, uri: TraceUri) -> Destination:
        if uri.kind is Kind.HEP and self.collectors is not None:
            return Collector(self.collectors.add(name, uri.place))
        return self._plain_destination(uri, create=False)

    def _let_go(self, name: str, destination: Destination) -> None:
        if destination.kind is Kind.HEP and self.collectors is not None:
            self.collectors.remove(name)
        self.services.tasks.spawn(destination.stop(), f"the end of the trace '{name}'")

    # -- the function ---------------------------------------------------------------------------------------------

    @bound_function(routes="request failure reply branch local")
    def trace(
        self,
        trace_id: BoundText,
        scope: BoundText | None = None,
        type: BoundText | None = None,
        trace_attrs: BoundText | None = None,
        flags: BoundText | None = None,
        correlation_id: BoundText | None = None,
    ) -> Callable[[Run], int]:
        """Trace the message and, as `scope` says, what follows it: m it alone, t its transaction, d its dialog.

        Without a scope an INVITE is traced with its dialog, anything else with its transaction.  `type` is a list of
        sip, xlog and rest with `|` between them, sip when left out.  `trace_attrs` goes to databases.  `flags`: C
        traces the caller's side only, c the callee's.  `correlation_id` stands in place of the Call-ID.
        """
        self._check_constants(trace_id, scope)

        def call(run: Run) -> int:
            group = self.groups.get(text_of(trace_id.get(run)))
            if group is None:
                log.error("trace(): there is no trace_id '%s'", text_of(trace_id.get(run)))
                return -1
            if not isinstance(run.message, Message):
                return -1
            try:
                wanted = parse_scope(_text(run, scope) or "")
            except ValueError as error:
                log.error("trace(): %s", error)
                return -1
            types = self._types(_text(run, type))
            if not types:
                return -1
            sides, strange = parse_sides(_text(run, flags) or "")
            if strange:
                log.warning("trace(): no flags are called %s", ", ".join(map(repr, strange)))
            attributes, correlation = _text(run, trace_attrs) or "", _text(run, correlation_id) or None
            fitting = self._scope(run.message, wanted)
            return self._begin(run, Trace(group, types, attributes, correlation, sides, fitting))

        return call

    def _check_constants(self, trace_id: Argument, scope: Argument | None) -> None:
        """What is written out in the script is checked when it is compiled, as the server does at its start."""
        if trace_id.is_constant and text_of(trace_id.constant) not in self.groups:
            raise ConfigurationError(f"there is no trace_id '{text_of(trace_id.constant)}'")
        if scope is None or not scope.is_constant:
            return
        try:
            wanted = parse_scope(text_of(scope.constant))
        except ValueError as error:
            raise ConfigurationError(str(error)) from error
        needed = {Scope.B2B: "b2b_logic", Scope.DIALOG: "dialog"}.get(wanted) if wanted else None
        if needed is not None and self.services.find(needed) is None:
            raise ConfigurationError(f"the scope '{text_of(scope.constant)}' needs the module {needed}")

    def _types(self, text: str | None) -> frozenset[str]:
        """The types that a script wants; only collectors know others than sip."""
        if text is None or self.collectors is None:
            return SIP_ONLY
        types, unknown = parse_types(text)
        if unknown:
            log.warning("trace(): no types are called %s", ", ".join(map(repr, unknown)))
        return types

    def _scope(self, message: Message, wanted: Scope | None) -> Scope:
        """The widest scope up to `wanted` that a message can have."""
        begins = message.method == "INVITE" and not _has_to_tag(message)
        with_dialog = begins and dialog_service(self.services) is not None
        if not message.is_request or wanted is Scope.MESSAGE:
            return Scope.MESSAGE
        return Scope.DIALOG if with_dialog and wanted in (None, Scope.DIALOG) else Scope.TRANSACTION

    def _begin(self, run: Run, trace: Trace) -> int:
        """Trace the message of a run and what follows it."""
        match trace.scope:
            case Scope.MESSAGE if run.kind == "local_route":
                self.following.follow_next(run, trace)
            case Scope.MESSAGE:
                pass
            case Scope.DIALOG:
                if not self.following.follow_dialog(run, trace):
                    return -1
            case _:
                self.following.follow(run, trace)
        if run.kind != "local_route":  # there it has not been sent yet
            self.following.received(run.message, [trace], Sides.CALLER)
        return 1

    # -- what is traced -------------------------------------------------------------------------------------------

    def _is_on(self, group: Group) -> bool:
        """Whether a trace id takes anything now; those that MI made do not ask for the global switch."""
        return group.is_on and (self.is_on or group.name not in self.groups or self.groups[group.name] is not group)

    def _write(self, traces: Sequence[Trace], record: Record, side: Sides) -> None:
        written = False
        for trace in traces:
            if "sip" in trace.types and side & trace.sides and self._is_on(trace.group):
                written = True
                for destination in trace.group.destinations:
                    destination.write(record, trace.attributes, trace.correlation)
        if written:
            (self.traced_replies if record.status else self.traced_requests).add()

    def wants(self, run: Run, kind: str) -> bool:
        """See `RouteTracing`."""
        followed = self.following.of(run)
        return followed is not None and any(kind in one.types and self._is_on(one.group) for one in followed.traces)

    def tell(
        self,
        run: Run,
        kind: str,
        fields: Sequence[tuple[str, str]],
        source: Address,
        destination: Address,
        *,
        transport: str = "tcp",
        correlation: str | None = None,
    ) -> None:
        """See `RouteTracing`."""
        followed = self.following.of(run)
        if followed is None:
            return
        call_id = run.message.call_id or ""
        event = MessageEvent(
            kind,
            tuple(fields),
            call_id if correlation is None else correlation,
            source,
            destination,
            transport,
            self.services.clock.time(),
            (("sip", call_id),),
        )
        for trace in followed.traces:
            if kind in trace.types and self._is_on(trace.group):
                for one in trace.group.destinations:
                    one.tell(event)


def _text(run: Run, argument: Argument | None) -> str | None:
    """The text of an argument; None when it is left out or NULL."""
    value = None if argument is None else argument.get(run)
    return None if value is None else text_of(value)


def _has_to_tag(message: Message) -> bool:
    try:
        return message.to is not None and bool(message.to.tag)
    except SipSyntaxError:
        return False
