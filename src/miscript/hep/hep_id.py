"""The module parameter `hep_id`: `[name]host[:port][;transport=udp|tcp|tls][;version=1|2|3]`.

Spaces are allowed around names and values and inside the brackets, and one semicolon at the end.  An IPv6 address
stands in brackets when a port follows (`[dst][2001:db8::1]:9060`).  Nothing is resolved here.

Source: OpenSIPS manual, proto_hep, "hep_id"; defaults and errors as observed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv6Address
from typing import Final, Literal, NoReturn, TypeAlias, get_args

from ..errors import ConfigurationError

Transport: TypeAlias = Literal["udp", "tcp", "tls"]

DEFAULT_PORT: Final = 9060
DEFAULT_TRANSPORT: Final = "tcp"
DEFAULT_VERSION: Final = "3"

_FORM: Final = "write [name]host:port;transport=udp;version=3"
_PARAMETERS: Final = ("transport", "version")
_TRANSPORTS: Final[dict[str, Transport]] = {name: name for name in get_args(Transport)}
_VERSIONS: Final = {"1": 1, "2": 2, "3": 3}
_NOT_IN_HOSTS: Final = frozenset("=,[]")


@dataclass(frozen=True, slots=True)
class HepId:
    """One collector.

    `host` is a name or an address (IPv6 without brackets); `warnings` are sentences for whoever starts the server:
    the destination is accepted, but something about it will not be as written.
    """

    name: str
    host: str
    port: int = DEFAULT_PORT
    transport: Transport = "tcp"
    version: int = 3
    warnings: tuple[str, ...] = ()


def parse_hep_ids(texts: Iterable[str]) -> dict[str, HepId]:
    """All `hep_id` values of a script, by name.

    Raises `ConfigurationError` for one that `parse_hep_id` refuses, and for a name that is given twice.
    """
    found: dict[str, HepId] = {}
    for text in texts:
        hep_id = parse_hep_id(text)
        if hep_id.name in found:
            _refuse(f"a second destination named '{hep_id.name}'", text, help="give each destination its own name")
        found[hep_id.name] = hep_id
    return found


def parse_hep_id(text: str) -> HepId:
    """One value of `hep_id`.  Raises `ConfigurationError` if it cannot be read."""
    name, rest, warnings = _name(text)
    address, *segments = rest.split(";")
    host, port = _host_and_port(address.strip(), text)
    if not 0 < port <= 0xFFFF:
        warnings.append(f"nothing can be sent to port {port}, expected 1 to 65535")
    options = _options(segments, text)
    version = _version(options.get("version", DEFAULT_VERSION), text)
    transport = _transport(options.get("transport", DEFAULT_TRANSPORT), text)
    if version < 3 and transport != "udp":
        warnings.append(f"HEP version {version} needs UDP, '{transport}' is replaced by 'udp'")
        transport = "udp"
    return HepId(name, host, port, transport, version, tuple(warnings))


def _name(text: str) -> tuple[str, str, list[str]]:
    """The name, what follows it, and warnings."""
    start = text.lstrip()
    if not start.startswith("["):
        _refuse("no '[name]' at the start", text)
    inside, bracket, rest = start[1:].partition("]")
    if not bracket:
        _refuse("no ']' after the name", text)
    words = inside.split()
    if not words:
        return "", rest, ["the name is empty: no trace_destination can select it"]
    if len(words) > 1:
        return words[0], rest, [f"the name ends at the first space: it is '{words[0]}', not '{inside.strip()}'"]
    return words[0], rest, []


def _host_and_port(address: str, text: str) -> tuple[str, int]:
    host, port = _split(address, text)
    if not host:
        _refuse("no host after the name", text)
    if any(c in _NOT_IN_HOSTS or c.isspace() for c in host):
        _refuse(f"the host '{host}' is neither a name nor an address", text)
    return host, DEFAULT_PORT if port is None else _port(port, text)


def _split(address: str, text: str) -> tuple[str, str | None]:
    """Host and port as they are written; None without a port."""
    if address.startswith("["):
        inside, bracket, rest = address[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            _refuse(f"'{address}' is not [IPv6 address]:port", text)
        return _ipv6(inside.strip(), text), rest[1:] if rest else None
    if address.count(":") > 1:
        return _ipv6(address, text), None
    host, colon, port = address.partition(":")
    return host.rstrip(), port if colon else None


def _ipv6(host: str, text: str) -> str:
    try:
        IPv6Address(host)
    except ValueError:
        _refuse(f"'{host}' is not an IPv6 address", text, help="with a port, write [address]:port")
    return host


def _port(port: str, text: str) -> int:
    digits = port.strip()
    # Nine digits: more are no port either, and Python limits how long a number it reads.
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 9):
        _refuse(f"the port '{digits}' is not a number", text)
    return int(digits)


def _options(segments: list[str], text: str) -> dict[str, str]:
    if segments and not segments[-1].strip():
        segments = segments[:-1]
    return dict(_option(segment.strip(), text) for segment in segments)


def _option(segment: str, text: str) -> tuple[str, str]:
    key, equals, value = segment.partition("=")
    key, value = key.rstrip(), value.lstrip()
    if not (key and equals and value):
        _refuse(f"'{segment}' is not 'parameter=value'", text)
    if key not in _PARAMETERS:
        _refuse(f"unknown parameter '{key}', expected 'transport' or 'version'", text)
    return key, value


def _transport(value: str, text: str) -> Transport:
    transport = _TRANSPORTS.get(value.lower())
    if transport is None:
        _refuse(f"the transport is '{value}', expected 'udp', 'tcp' or 'tls'", text)
    return transport


def _version(value: str, text: str) -> int:
    version = _VERSIONS.get(value)
    if version is None:
        _refuse(f"the version is '{value}', expected 1, 2 or 3", text)
    return version


def _refuse(problem: str, text: str, help: str = _FORM) -> NoReturn:
    raise ConfigurationError(f"hep_id '{text}': {problem}", parameter="hep_id", help=help)
