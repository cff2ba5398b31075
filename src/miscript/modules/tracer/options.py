"""The small languages of `tracer`: trace ids, scopes, types, sides, our address, filters.

Source: OpenSIPS manual, module tracer; what is accepted as observed.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum, Flag, auto
from typing import Final

from ...errors import ConfigurationError
from ...log_levels import LogLevel
from ...sip.message import Message
from ...sip.sockets import ip_address, split_host
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri

DEFAULT_TABLE: Final = "sip_trace"
DEFAULT_PORT: Final = 5060


# -- trace ids ----------------------------------------------------------------------------------------------------


class Kind(Enum):
    """Where a trace id leads to; the value is what MI shows."""

    HEP = "HEP"
    SIP = "SIP"
    DATABASE = "Database"
    FILE = "File"
    SYSLOG = "Syslog"


_PREFIXES: Final = {"hep": Kind.HEP, "sip": Kind.SIP, "file": Kind.FILE, "syslog": Kind.SYSLOG}


@dataclass(frozen=True, slots=True)
class TraceUri:
    """A destination: `place` is the URI of a SIP one and of a database, of the others what stands behind the colon."""

    kind: Kind
    place: str

    @classmethod
    def parse(cls, text: str) -> TraceUri:
        """Any text: what begins with none of the known words is the URL of a database."""
        scheme, _, rest = text.partition(":")
        kind = _PREFIXES.get(scheme.strip().lower(), Kind.DATABASE)
        return cls(kind, text if kind in (Kind.DATABASE, Kind.SIP) else rest)


@dataclass(frozen=True, slots=True)
class TraceId:
    """One value of the parameter `trace_id`; several may have one name."""

    name: str
    uri: TraceUri
    table: str = DEFAULT_TABLE


_ID: Final = re.compile(r"\s*\[\s*([^\s\]]+)[^\]]*\](.*)", re.DOTALL)


def parse_trace_id(text: str) -> TraceId:
    """`[name]uri=URI[;table=TABLE][;]`.  Raises ConfigurationError."""
    found = _ID.fullmatch(text)
    if found is None:
        raise _wrong_id("expected a name in brackets at the start")
    name, rest = found.groups()
    values: dict[str, str] = {}
    for part in rest.split(";"):
        if not part.strip():
            continue
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        if not equals or key not in ("uri", "table"):
            raise _wrong_id(f"'{part.strip()}' is neither 'uri=…' nor 'table=…'")
        values[key] = value
    if not values.get("uri"):
        raise _wrong_id("there is no 'uri='")
    return TraceId(name, TraceUri.parse(values["uri"]), values.get("table") or DEFAULT_TABLE)


def _wrong_id(problem: str) -> ConfigurationError:
    return ConfigurationError(problem, help="write [name]uri=hep:destination")


# -- scope, types, sides ------------------------------------------------------------------------------------------


class Scope(Enum):
    """How much of what follows is traced with a message."""

    MESSAGE = "m"
    TRANSACTION = "t"
    DIALOG = "d"
    B2B = "b"


_WIDEST_LAST: Final = (Scope.MESSAGE, Scope.TRANSACTION, Scope.DIALOG, Scope.B2B)


def parse_scope(text: str) -> Scope | None:
    """The widest of the letters m, t, d and b in either case; None without any.  Raises ValueError for others."""
    found: Scope | None = None
    for letter in text.replace(" ", ""):
        try:
            scope = Scope(letter.lower())
        except ValueError:
            raise ValueError(f"the scope '{text}' has the letter '{letter}', expected m, t, d or b") from None
        if found is None or _WIDEST_LAST.index(scope) > _WIDEST_LAST.index(found):
            found = scope
    return found


TYPES: Final = ("sip", "xlog", "rest")
"""What can be traced."""


def parse_types(text: str) -> tuple[frozenset[str], tuple[str, ...]]:
    """The types in a list with `|` between them, and the words that are none."""
    words = [word.strip() for word in text.split("|")]
    known = frozenset(word for word in words if word in TYPES)
    return known, tuple(word for word in words if word not in TYPES)


class Sides(Flag):
    """Which sides of a call are traced."""

    CALLER = auto()
    CALLEE = auto()
    BOTH = CALLER | CALLEE


def parse_sides(text: str) -> tuple[Sides, tuple[str, ...]]:
    """`C` is the side of the caller, `c` that of the callee, nothing is both; and the letters that are neither."""
    letters = {"C": Sides.CALLER, "c": Sides.CALLEE}
    sides = Sides(0)
    for letter in text:
        sides |= letters.get(letter, Sides(0))
    return sides or Sides.BOTH, tuple(letter for letter in text if letter not in letters)


# -- our address --------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class LocalAddress:
    """What `trace_local_ip` says that we are."""

    transport: str
    end: tuple[str, int]


_TRANSPORTS: Final = frozenset({"udp", "tcp", "tls", "sctp", "ws", "wss"})


def parse_local_address(text: str) -> LocalAddress:
    """`[transport:]address[:port]`, udp and 5060 when left out; IPv6 in brackets.  Raises ConfigurationError."""
    first, colon, rest = text.strip().partition(":")
    transport = first.lower() if colon and first.lower() in _TRANSPORTS else ""
    try:
        host, port = split_host(rest if transport else text.strip())
    except ValueError as error:
        raise _wrong_address(text, str(error)) from None
    address = ip_address(host)
    if address is None:
        raise _wrong_address(text, f"'{host}' is no IP address")
    return LocalAddress(transport or "udp", (address, port or DEFAULT_PORT))


def _wrong_address(text: str, problem: str) -> ConfigurationError:
    return ConfigurationError(
        f"trace_local_ip '{text}': {problem}", parameter="trace_local_ip", help="write udp:10.0.0.1:5060"
    )


# -- syslog -------------------------------------------------------------------------------------------------------

FACILITIES: Final = {
    name: number
    for number, name in enumerate(
        "kern user mail daemon auth syslog lpr news uucp cron authpriv ftp".split()
        + ["", "", "", ""]
        + [f"local{n}" for n in range(8)]
    )
    if name
}
"""Facilities of syslog by their names (RFC 5424 section 6.2.1)."""

_SEVERITIES: Final = {
    LogLevel.ALERT: 1,
    LogLevel.CRIT: 2,
    LogLevel.ERR: 3,
    LogLevel.WARN: 4,
    LogLevel.NOTICE: 5,
    LogLevel.INFO: 6,
    LogLevel.DBG: 7,
}


def parse_facility(text: str) -> int:
    """The number of `local0` or `LOG_LOCAL0`.  Raises ValueError."""
    number = FACILITIES.get(text.strip().lower().removeprefix("log_"))
    if number is None:
        raise ValueError(f"'{text}' is no syslog facility; there are {', '.join(FACILITIES)}")
    return number


def severity(level: int) -> int:
    """The severity of syslog for a log level of OpenSIPS."""
    level = max(LogLevel.ALERT, min(LogLevel.DBG, level))
    return _SEVERITIES[LogLevel(level)] if level else _SEVERITIES[LogLevel.ERR]


# -- filters ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Filter:
    """What a request has to be to be traced: `condition` is caller, callee or ip."""

    condition: str
    value: str

    def matches(self, request: Message) -> bool:
        """Whether `request` is so; False when it cannot be read."""
        if self.condition == "ip":
            return ip_address(request.source[0]) == self.value
        try:
            if self.condition == "caller":
                address = request.from_
                uri = None if address is None else address.sip_uri()
            else:
                uri = SipUri.parse(request.uri or "")
        except SipSyntaxError:
            return False
        return uri is not None and self.value in (uri.user, f"{uri.user}@{uri.host}")


def parse_filters(texts: Sequence[str]) -> tuple[Filter, ...]:
    """`caller=USER[@HOST]`, `callee=…`, `ip=ADDRESS`.  Raises ValueError."""
    return tuple(_filter(text) for text in texts)


def _filter(text: str) -> Filter:
    condition, _, value = text.partition("=")
    condition, value = condition.strip().lower(), value.strip()
    if condition not in ("caller", "callee", "ip") or not value:
        raise ValueError(f"the filter '{text}' is none of caller=USER, callee=USER and ip=ADDRESS")
    if condition == "ip":
        address = ip_address(value)
        if address is None:
            raise ValueError(f"the filter '{text}' has no IP address")
        value = address
    return Filter(condition, value)
