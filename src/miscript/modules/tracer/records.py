"""A SIP message that was seen, as destinations take it, and the traces that want it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.syntax import SipSyntaxError
from ...trace import Address, MessageEvent
from ...values import decode
from .options import Filter, Kind, Scope, Sides, TraceUri


@dataclass(frozen=True, slots=True)
class Record:
    """A message on the wire: what it is, from where and to where, and when (seconds since the epoch).

    `transports` are those of source and destination, which differ where a script says that we are something else.
    `method` of a reply is that of its request, `status` of a request is "".
    """

    data: bytes
    sent: bool
    transports: tuple[str, str]
    source: Address
    destination: Address
    time: float
    call_id: str
    method: str
    status: str
    from_tag: str

    @classmethod
    def of(
        cls,
        message: Message,
        data: bytes,
        *,
        sent: bool,
        transports: tuple[str, str],
        source: Address,
        destination: Address,
        time: float,
    ) -> Record:
        """The record of `data`, which `message` was read from."""
        cseq = message.cseq
        return cls(
            data,
            sent,
            transports,
            source,
            destination,
            time,
            message.call_id or "",
            message.method or (cseq[1] if cseq else ""),
            "" if message.status is None else str(message.status),
            _from_tag(message),
        )

    @property
    def direction(self) -> str:
        """`in` or `out`."""
        return "out" if self.sent else "in"

    def event(self, correlation: str | None) -> MessageEvent:
        """What a collector is told."""
        return MessageEvent(
            "sip",
            (("payload", decode(self.data)),),
            self.call_id if correlation is None else correlation,
            self.source,
            self.destination,
            self.transports[1],
            self.time,
        )


def _from_tag(message: Message) -> str:
    try:
        address: NameAddr | None = message.from_
    except SipSyntaxError:
        return ""
    return "" if address is None else address.tag or ""


class Destination(Protocol):
    """One place that traced messages go to.  Nothing raises or waits."""

    @property
    def kind(self) -> Kind: ...

    @property
    def uri(self) -> str:
        """What MI shows."""

    def write(self, record: Record, attributes: str, correlation: str | None) -> None:
        """Take a message; `attributes` are the `trace_attrs`, `correlation` replaces the Call-ID."""

    def tell(self, event: MessageEvent) -> None:
        """Take something else that a script did; only collectors do."""

    async def prepare(self) -> None:
        """No message has come yet.  Raises ConfigurationError, as for a table that is not there."""

    async def stop(self) -> None:
        """The host stops, or the destination is not wanted any more."""


@dataclass(slots=True)
class Group:
    """All destinations of one trace id."""

    name: str
    destinations: list[Destination] = field(default_factory=list)
    uris: list[TraceUri] = field(default_factory=list)
    is_on: bool = True


@dataclass(slots=True)
class DynamicGroup(Group):
    """A trace id that MI made: what it traces, and of which requests."""

    scope: Scope = Scope.DIALOG
    types: frozenset[str] = frozenset()
    filters: tuple[Filter, ...] = ()


@dataclass(frozen=True, slots=True)
class Trace:
    """One `trace()` of a script: to whom, what, and of which sides."""

    group: Group
    types: frozenset[str]
    attributes: str = ""
    correlation: str | None = None
    sides: Sides = Sides.BOTH
    scope: Scope = Scope.TRANSACTION


@dataclass(slots=True)
class Followed:
    """The traces of a message, a transaction or a dialog.

    `turned`: the request goes from callee to caller.  `once`: only the next request that is sent is traced.
    """

    traces: list[Trace] = field(default_factory=list)
    turned: bool = False
    once: bool = False
