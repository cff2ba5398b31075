"""Records: what is told of a transaction or call, as a line of the log, an event, or the row of a table.

Source: OpenSIPS manual, module acc; observed lines, events and rows of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ...database import Cell
from ...sip.message import Message
from ...sip.syntax import SipSyntaxError
from ...values import Value, plain_text
from .accounts import Field

_COMMENT = re.compile(r"\s*([1-9][0-9]{2})(?![0-9])\s*(.*)", re.DOTALL)
_LINE_ENDS = str.maketrans({"\r": " ", "\n": " "})

CDR_EVENT, EVENT, MISSED_EVENT = "E_ACC_CDR", "E_ACC_EVENT", "E_ACC_MISSED_EVENT"

REASONS: Final[Mapping[int, str]] = {
    200: "OK", 202: "Accepted", 300: "Multiple Choices", 301: "Moved Permanently", 302: "Moved Temporarily",
    305: "Use Proxy", 380: "Alternative Service", 400: "Bad Request", 401: "Unauthorized", 402: "Payment Required",
    403: "Forbidden", 404: "Not Found", 405: "Method Not Allowed", 406: "Not Acceptable",
    407: "Proxy Authentication Required", 408: "Request Timeout", 410: "Gone", 413: "Request Entity Too Large",
    414: "Request-URI Too Long", 415: "Unsupported Media Type", 416: "Unsupported URI Scheme", 420: "Bad Extension",
    421: "Extension Required", 423: "Interval Too Brief", 480: "Temporarily Unavailable",
    481: "Call/Transaction Does Not Exist", 482: "Loop Detected", 483: "Too Many Hops", 484: "Address Incomplete",
    485: "Ambiguous", 486: "Busy Here", 487: "Request Terminated", 488: "Not Acceptable Here",
    491: "Request Pending", 493: "Undecipherable", 500: "Server Internal Error", 501: "Not Implemented",
    502: "Bad Gateway", 503: "Service Unavailable", 504: "Server Time-out", 505: "Version Not Supported",
    513: "Message Too Large", 600: "Busy Everywhere", 603: "Decline", 604: "Does Not Exist Anywhere",
    606: "Not Acceptable",
}  # fmt: skip
"""Reasons of replies of our own, by RFC 3261 section 21."""


class Kind(Enum):
    """What a record is about, by the words of its line in the log."""

    ANSWERED = "transaction answered"
    MISSED = "call missed"
    REQUEST = "request accounted"
    CALL = "call ended"


@dataclass(frozen=True, slots=True)
class Party:
    """The fixed fields that a request gives."""

    method: str = ""
    from_tag: str = ""
    to_tag: str = ""
    call_id: str = ""

    @classmethod
    def of(cls, request: Message, to_tag: str = "", *, upstream: bool = False) -> Party:
        """Those of a request; `to_tag` is that of its reply.  With `upstream`, From and To change places."""
        try:
            from_, to = request.from_, request.to
        except SipSyntaxError:
            from_ = to = None
        first = (from_.tag or "") if from_ is not None else ""
        second = ((to.tag or "") if to is not None else "") or to_tag
        if upstream:
            first, second = second, first
        return cls(request.method or "", first, second, request.call_id or "")


@dataclass(frozen=True, slots=True)
class Record:
    """One record.  Times are seconds since the epoch; `started` and `ended` are those of a call.

    `code` is "" where there is none; `extra` and `legs` are the values by their tags.
    """

    kind: Kind
    party: Party
    code: str
    reason: str
    time: float
    created: float
    started: float = 0.0
    ended: float = 0.0
    extra: Mapping[str, Value] = field(default_factory=dict)
    legs: Sequence[Mapping[str, Value]] = ()

    @property
    def is_call(self) -> bool:
        return self.kind is Kind.CALL

    @property
    def setup_time(self) -> int:
        """Seconds from the request to its final reply."""
        return max(0, int(self.started if self.is_call else self.time) - int(self.created))

    @property
    def duration(self) -> int:
        """Seconds that a call lasted."""
        return int(self.ended) - int(self.started)

    @property
    def milliseconds(self) -> int:
        return max(0, round((self.ended - self.started) * 1000))

    @property
    def event(self) -> str:
        """The name of its event."""
        match self.kind:
            case Kind.CALL:
                return CDR_EVENT
            case Kind.MISSED:
                return MISSED_EVENT
            case Kind.REQUEST:
                return EVENT if self.code and int(self.code) < 300 else MISSED_EVENT
            case Kind.ANSWERED:
                return EVENT

    # -- forms ----------------------------------------------------------------------------------------------------

    def line(self, extra: Sequence[Field], legs: Sequence[Field]) -> str:
        """The line of the log."""
        told: list[tuple[str, Value]] = []
        if self.is_call:
            told += [
                ("created", int(self.created)),
                ("call_start_time", int(self.started)),
                ("duration", self.duration),
                ("ms_duration", self.milliseconds),
                ("setuptime", self.setup_time),
            ]
        else:
            told += [
                ("timestamp", int(self.time)),
                ("created", int(self.created)),
                ("setuptime", self.setup_time),
            ]
        party = self.party
        told += [
            ("method", party.method),
            ("from_tag", party.from_tag),
            ("to_tag", party.to_tag),
            ("call_id", party.call_id),
            ("code", self.code),
            ("reason", self.reason),
            *((one.name, self.extra.get(one.tag)) for one in extra),
            *((one.name, leg.get(one.tag)) for leg in self.legs for one in legs),
        ]
        text = ";".join(f"{name}={_text(value)}" for name, value in told)
        return f"ACC: {self.kind.value}: {text}".translate(_LINE_ENDS)

    def events(self, extra: Sequence[Field], legs: Sequence[Field]) -> Iterator[list[tuple[str, Value]]]:
        """The attributes of its events: one, or one for each leg."""
        party = self.party
        for leg in self._legs(legs):
            told: list[tuple[str, Value]] = [
                ("method", party.method),
                ("from_tag", party.from_tag),
                ("to_tag", party.to_tag),
                ("callid", party.call_id),
                ("sip_code", self.code),
                ("sip_reason", self.reason),
                ("time", int(self.started if self.is_call else self.time)),
                *((one.name, _value(self.extra.get(one.tag))) for one in extra),
                *((one.name, _value(leg.get(one.tag))) for one in legs),
            ]
            if self.is_call:
                told += [("duration", self.duration), ("ms_duration", self.milliseconds)]
            if self.event != EVENT:
                told += [("setuptime", self.setup_time), ("created", int(self.created))]
            yield told

    def rows(self, columns: Columns, extra: Sequence[Field], legs: Sequence[Field]) -> Iterator[dict[str, Cell]]:
        """The rows of its table: one, or one for each leg."""
        party = self.party
        for leg in self._legs(legs):
            row: dict[str, Cell] = {
                columns.method: party.method,
                columns.from_tag: party.from_tag,
                columns.to_tag: party.to_tag,
                columns.call_id: party.call_id,
                columns.code: self.code,
                columns.reason: self.reason,
                columns.time: int(self.started if self.is_call else self.time),
                "setuptime": self.setup_time,
                "created": int(self.created),
            }
            if self.is_call:
                row |= {"duration": self.duration, "ms_duration": self.milliseconds}
            row |= {one.name: _cell(self.extra.get(one.tag)) for one in extra}
            row |= {one.name: _cell(leg.get(one.tag)) for one in legs}
            yield row

    def _legs(self, fields: Sequence[Field]) -> Sequence[Mapping[str, Value]]:
        return self.legs if fields and self.legs else ({},)


@dataclass(frozen=True, slots=True)
class Columns:
    """Names of the columns that a script can name."""

    method: str = "method"
    from_tag: str = "from_tag"
    to_tag: str = "to_tag"
    call_id: str = "callid"
    code: str = "sip_code"
    reason: str = "sip_reason"
    time: str = "time"


def parse_comment(text: str) -> tuple[str, str]:
    """Code and reason of `404 Not found`; no code, and all of the text, when it does not begin with one."""
    found = _COMMENT.fullmatch(text)
    return ("", text.strip()) if found is None else (found[1], found[2].strip())


def _value(value: Value) -> Value:
    return "" if value is None else value


def _text(value: Value) -> str:
    return "" if value is None else plain_text(value)


def _cell(value: Value) -> Cell:
    return value if value is None or type(value) is int else plain_text(value)
