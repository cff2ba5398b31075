"""What scripts read of a certificate: a small reader of X.509 in DER.

It only tells what a certificate says; whether it is to be believed OpenSSL has decided before.  Any bytes give a
`Certificate` or CertificateError, in time and memory that grow with their number: nothing is read twice, nothing is
nested deeper than the format has it.

Source: RFC 5280 section 4 and appendix A; ITU-T X.690 (DER).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, TypeAlias

SEQUENCE: Final = 0x30
SET: Final = 0x31
INTEGER: Final = 0x02
OCTET_STRING: Final = 0x04
OBJECT: Final = 0x06
UTC_TIME: Final = 0x17
GENERALIZED_TIME: Final = 0x18
VERSION: Final = 0xA0
EXTENSIONS: Final = 0xA3
SUBJECT_ALT_NAME: Final = bytes((0x55, 0x1D, 0x11))

EMAIL: Final = 0x81
HOST_NAME: Final = 0x82
URI: Final = 0x86
IP_ADDRESS: Final = 0x87
"""Tags of a GeneralName."""

STRINGS: Final = {0x0C: "utf-8", 0x1E: "utf-16-be", 0x1C: "utf-32-be"}
"""How strings of a tag are written; the others are Latin 1."""

FIELDS: Final = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x04": "SN",
    b"\x55\x04\x05": "serialNumber",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x09": "street",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
    b"\x55\x04\x0c": "title",
    b"\x55\x04\x2a": "GN",
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x01": "UID",
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19": "DC",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01": "emailAddress",
}
"""Object identifier → the short name that OpenSSL has for it."""

MONTHS: Final = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()

Node: TypeAlias = tuple[int, bytes]
"""Tag and content."""


class CertificateError(ValueError):
    """The bytes are no certificate."""


@dataclass(frozen=True, slots=True)
class Name:
    """A subject or issuer: its fields in order, each with its short name."""

    fields: tuple[tuple[str, str], ...]
    written: bytes
    """As the certificate has it."""

    def get(self, name: str) -> str | None:
        """The first field `name`."""
        return next((value for known, value in self.fields if known == name), None)

    def __str__(self) -> str:
        """`/C=AT/O=Company/CN=host`; bytes that are no ASCII as `\\xHH`, as OpenSSL shows a name on one line."""
        return "".join(f"/{name}={_printable(value)}" for name, value in self.fields)


@dataclass(frozen=True, slots=True)
class Certificate:
    """`version` counts from 0, as in DER; `names` are those of subjectAltName, by tag, in order."""

    version: int
    serial: int
    issuer: Name
    subject: Name
    not_before: datetime
    not_after: datetime
    names: tuple[tuple[int, str], ...] = ()

    def first_name(self, tag: int) -> str | None:
        """The first alternative name of one kind."""
        return next((value for known, value in self.names if known == tag), None)

    @property
    def is_self_signed(self) -> bool:
        """Whether it names itself as its issuer."""
        return self.subject.written == self.issuer.written

    def is_expired(self, now: float) -> bool:
        """Whether its time is over, at `now` seconds since the epoch."""
        return now > self.not_after.timestamp()


def shown_time(moment: datetime) -> str:
    """As OpenSSL shows times: `Nov  5 03:43:37 2026 GMT`."""
    return f"{MONTHS[moment.month - 1]} {moment.day:2d} {moment:%H:%M:%S} {moment.year} GMT"


def parse_certificate(der: bytes) -> Certificate:
    """Read a certificate.  Raises CertificateError."""
    fields = list(_inside(_inside_one(_one(der, SEQUENCE), SEQUENCE)))
    version = 0
    if fields and fields[0][0] == VERSION:
        version = _number(_one(fields.pop(0)[1], INTEGER))
    if len(fields) < 6:
        raise CertificateError(f"{len(fields)} fields, expected at least 6")
    serial, _, issuer, validity, subject = fields[:5]
    times = list(_inside(_content(validity, SEQUENCE)))
    if len(times) != 2:
        raise CertificateError("a validity without two times")
    return Certificate(
        version,
        _number(_content(serial, INTEGER)),
        _name(_content(issuer, SEQUENCE)),
        _name(_content(subject, SEQUENCE)),
        _time(times[0]),
        _time(times[1]),
        _alternative_names(fields[6:]),
    )


# -- DER ----------------------------------------------------------------------------------------------------------


def _inside(data: bytes) -> Iterator[Node]:
    """The values that stand one behind the other in `data`."""
    at = 0
    while at < len(data):
        if at + 2 > len(data):
            raise CertificateError("a value is cut off")
        tag, length = data[at], data[at + 1]
        at += 2
        if length >= 0x80:
            count = length & 0x7F
            if not 0 < count <= 4 or at + count > len(data):
                raise CertificateError("a length that DER does not have")
            length = int.from_bytes(data[at : at + count], "big")
            at += count
        if tag & 0x1F == 0x1F or at + length > len(data):
            raise CertificateError("a value is cut off")
        yield tag, data[at : at + length]
        at += length


def _content(node: Node, tag: int) -> bytes:
    if node[0] != tag:
        raise CertificateError(f"a value with tag {node[0]}, expected {tag}")
    return node[1]


def _inside_one(data: bytes, tag: int) -> bytes:
    """The content of the first value in `data`."""
    for node in _inside(data):
        return _content(node, tag)
    raise CertificateError("an empty value")


def _one(data: bytes, tag: int) -> bytes:
    """The content of the only value in `data`."""
    found = list(_inside(data))
    if len(found) != 1:
        raise CertificateError(f"{len(found)} values, expected one")
    return _content(found[0], tag)


def _number(content: bytes) -> int:
    if not 0 < len(content) <= 64:
        raise CertificateError(f"a number of {len(content)} bytes")
    return int.from_bytes(content, "big", signed=True)


def _name(content: bytes) -> Name:
    fields = []
    for part in _inside(content):
        for pair in _inside(_content(part, SET)):
            values = list(_inside(_content(pair, SEQUENCE)))
            if len(values) != 2:
                raise CertificateError("a field of a name without a value")
            identifier = _content(values[0], OBJECT)
            fields.append((FIELDS.get(identifier) or _dotted(identifier), _text(values[1])))
    return Name(tuple(fields), content)


def _text(node: Node) -> str:
    return node[1].decode(STRINGS.get(node[0], "latin-1"), "replace")


def _dotted(identifier: bytes) -> str:
    numbers, current = [], 0
    for byte in identifier[:64]:
        current = current << 7 | byte & 0x7F
        if not byte & 0x80:
            numbers.append(current)
            current = 0
    if not numbers:
        return ""
    first = min(numbers[0] // 40, 2)
    return ".".join(str(number) for number in (first, numbers[0] - 40 * first, *numbers[1:]))


def _time(node: Node) -> datetime:
    form = {UTC_TIME: "%y%m%d%H%M%SZ", GENERALIZED_TIME: "%Y%m%d%H%M%SZ"}.get(node[0])
    try:
        if form is None:
            raise ValueError(f"a time with tag {node[0]}")
        moment = datetime.strptime(node[1].decode("ascii"), form).replace(tzinfo=UTC)
        if node[0] == UTC_TIME and moment.year >= 2050:  # RFC 5280 section 4.1.2.5.1
            moment = moment.replace(year=moment.year - 100)
    except ValueError as error:
        raise CertificateError("a time that cannot be read") from error
    return moment


def _alternative_names(fields: list[Node]) -> tuple[tuple[int, str], ...]:
    for tag, content in fields:
        if tag != EXTENSIONS:
            continue
        for extension in _inside(_one(content, SEQUENCE)):
            values = list(_inside(_content(extension, SEQUENCE)))
            if len(values) >= 2 and values[0] == (OBJECT, SUBJECT_ALT_NAME):
                names = _inside(_one(_content(values[-1], OCTET_STRING), SEQUENCE))
                return tuple((kind, _general_name(kind, value)) for kind, value in names)
    return ()


def _general_name(kind: int, value: bytes) -> str:
    if kind == IP_ADDRESS and len(value) == 4:
        return str(ipaddress.IPv4Address(value))
    if kind == IP_ADDRESS and len(value) == 16:
        return ":".join(f"{int.from_bytes(value[at : at + 2], 'big'):x}" for at in range(0, 16, 2))
    return value.decode("latin-1")


def _printable(text: str) -> str:
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if 0x20 <= byte <= 0x7E else f"\\x{byte:02X}" for byte in data)
