"""A SIP message: the bytes as they came, read only as far as somebody asks, and the edits of a script.

`Message.parse` looks at the start line and at sizes, nothing else.  Header fields are found at the first question
about one, and their values parsed when wanted.  `append_hf`, `remove_hf` and `replace_hf` are kept as a list of edits
and applied when the message is written (`to_bytes`): what reads headers in the same route still sees the message as
it came, as in OpenSIPS.  The Request-URI is the exception: a new one is seen at once.  `copy` gives a message with
the same bytes and edits of its own, as each branch of a request needs.

Source: RFC 3261 section 7 and 18.3.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from operator import itemgetter
from typing import NamedTuple, Protocol

from ..values import decode, encode
from .branch import Branch
from .head import Head
from .headers import HeaderField, header_key
from .name_addr import NameAddr
from .received import NOT_RECEIVED
from .sockets import ListeningSocket
from .syntax import SipSyntaxError
from .uri import SipUri
from .via import Via

VERSION = "SIP/2.0"

_REQUEST_LINE = re.compile(rb"([A-Za-z0-9.!%*_+`'~-]+) ([^\x00-\x20\x7f]+) (SIP/[0-9]+\.[0-9]+)\r?\n", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"(SIP/[0-9]+\.[0-9]+) ([1-6][0-9]{2})(?: ([^\r\n]*))?\r?\n", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(r"[0-9]{1,10}")
_PLACE = itemgetter(0, 1)
_HEADER_NAME = re.compile(rb"[A-Za-z0-9.!%*_+`'~-]+[ \t]*:")


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes above which a message is refused: all of it in bytes, its start line in bytes, its header lines."""

    message: int = 65536
    start_line: int = 8192
    header_lines: int = 512


DEFAULT_LIMITS = Limits()


class Edit(NamedTuple):
    """Other bytes in place of those from `start` to `end`; the two are the same where nothing is taken away.

    `start` -1 stands for the end of the header fields.
    """

    start: int
    end: int
    text: bytes


_AT_END = -1


def appended(text: str, before: HeaderField | None = None) -> Edit:
    """Header fields behind the last one, or before another; see `Message.append_hf`."""
    at = _AT_END if before is None else before.start
    data = encode(text)
    if b"\n" not in data and b"\r" not in data and _HEADER_NAME.match(data):
        return Edit(at, at, data + b"\r\n")
    lines = data.replace(b"\r\n", b"\n").rstrip(b"\n").split(b"\n")
    for number, line in enumerate(lines):
        folded = number > 0 and line[:1] in (b" ", b"\t") and line.strip()
        if b"\r" in line or not (folded or _HEADER_NAME.match(line)):
            raise SipSyntaxError(f"'{decode(line)}' is no header field", 0)
    return Edit(at, at, b"\r\n".join(lines) + b"\r\n")


def replaced(field: HeaderField, value: str) -> Edit:
    """Another value for a field; see `Message.replace_hf`."""
    if "\r" in value or "\n" in value:
        raise SipSyntaxError(f"'{value}' has a line end in it", 0)
    return Edit(field.start, field.end, encode(f"{field.name}: {value}\r\n"))


class HopHeader(Protocol):
    """Header fields that depend on the socket that a request is sent from.  Never changed, only replaced."""

    def text(self, request: Message, socket: ListeningSocket) -> str:
        """The fields without the last line end; empty for none."""


@dataclass(frozen=True, slots=True)
class ViaWishes:
    """What a script wants of the Via fields of one request; a new wish makes a new one.

    `rport`: answer to the port that it came from, as if its Via asked for it (RFC 3581).  `own_rport`: ask for the
    same in our own Via.  `host` and `port` stand in it in place of those of the socket.
    """

    rport: bool = False
    own_rport: bool = False
    host: str | None = None
    port: int | None = None


NO_WISHES = ViaWishes()


class Message:
    """A request or a response.

    `method` and `uri` (the Request-URI as text) are None in a response, `status` and `reason` in a request.
    `branch` is where the script sends it, `branches` are where it goes too (parallel forking), and `reply_headers`
    the header fields, each with its line end, that a reply of ours gets.  `received` tells where it came from and
    to; `number` counts the messages of a host from 1, one that nobody received has 0.
    """

    __slots__ = (
        "_edits", "_head", "branch", "branches", "data", "hop_headers", "is_request", "method", "number",
        "original_uri", "reason", "received", "reply_headers", "status", "version", "via_wishes",
    )  # fmt: skip

    def __init__(self, head: Head, start_line: re.Match[bytes]) -> None:
        self._head = head
        self.data = head.data
        self.method: str | None = None
        self.original_uri: str | None = None
        self.status: int | None = None
        self.reason: str | None = None
        first, second, third = start_line.groups()
        self.is_request = start_line.re is _REQUEST_LINE
        if self.is_request:
            self.method, self.original_uri, self.version = decode(first), decode(second), decode(third)
        else:
            self.version, self.status, self.reason = decode(first), int(second), decode(third or b"")
        self.branch = Branch()
        self.branches: list[Branch] = []
        self.reply_headers: list[str] = []
        self.hop_headers: list[HopHeader] = []
        self.via_wishes = NO_WISHES
        self.number = 0
        self.received = NOT_RECEIVED
        self._edits: list[Edit] = []

    @classmethod
    def parse(cls, data: bytes, limits: Limits = DEFAULT_LIMITS) -> Message:
        """Take a whole message, such as a datagram; empty lines before it are skipped.

        Raises `SipSyntaxError` (its position counts bytes): no start line, no empty line behind the header
        fields, beyond a limit.
        """
        if len(data) > limits.message:
            raise SipSyntaxError(f"the message is longer than {limits.message} bytes", limits.message)
        start = len(data) - len(data.lstrip(b"\r\n")) if data[:1] in (b"\r", b"\n") else 0
        line_end = data.find(b"\n", start, start + limits.start_line)
        if line_end < 0:
            raise SipSyntaxError(f"no start line of at most {limits.start_line} bytes", start)
        line = _REQUEST_LINE.match(data, start) or _STATUS_LINE.match(data, start)
        if line is None or line.end() != line_end + 1:
            raise SipSyntaxError("the start line is neither 'METHOD URI SIP/2.0' nor 'SIP/2.0 CODE REASON'", start)
        end = _end_of_headers(data, line_end)
        if data.count(b"\n", line_end + 1, end) > limits.header_lines:
            raise SipSyntaxError(f"more than {limits.header_lines} header lines", line_end + 1)
        return cls(Head(data, line_end + 1, end), line)

    def copy(self) -> Message:
        """The same message with its edits so far; what is changed in one is not seen in the other."""
        new = Message.__new__(Message)
        new._head = self._head
        new.data = self.data
        new.is_request = self.is_request
        new.method = self.method
        new.number = self.number
        new.original_uri = self.original_uri
        new.reason = self.reason
        new.received = self.received
        new.status = self.status
        new.version = self.version
        new.branch = self.branch.copy()
        new.branches = [branch.copy() for branch in self.branches] if self.branches else []
        new.reply_headers = self.reply_headers.copy()
        new.hop_headers = self.hop_headers.copy()
        new.via_wishes = self.via_wishes
        new._edits = self._edits.copy()
        return new

    def __len__(self) -> int:
        """The length in bytes as the message came."""
        return len(self.data)

    def __repr__(self) -> str:
        what = f"{self.method} {self.uri}" if self.is_request else f"{self.status} {self.reason}"
        return f"<Message {what}, {len(self)} bytes>"

    # -- start line -----------------------------------------------------------------------------------------------

    @property
    def uri(self) -> str | None:
        """The Request-URI as it is now; `original_uri` is the one that came."""
        new = self.branch.uri
        return new if new is not None and self.is_request else self.original_uri

    @uri.setter
    def uri(self, text: str | None) -> None:
        """Set another Request-URI; None brings back the one that came.

        Raises `SipSyntaxError` when it is no URI, `ValueError` when this is a response.
        """
        if not self.is_request:
            raise ValueError("a response has no Request-URI")
        if text is not None:
            SipUri.parse(text)
        self.branch.uri = text

    # -- header fields --------------------------------------------------------------------------------------------

    @property
    def fields(self) -> Sequence[HeaderField]:
        """All header fields as they came."""
        return self._head.fields

    def headers(self, name: str) -> list[str]:
        """The values of all fields `name`, whether long or compact, in any case; lists are not split."""
        return [field[2] for field in self._head.fields_of(name)]

    def header(self, name: str, index: int = 0) -> str | None:
        """The value of one of the fields `name`; a negative index counts from the last one."""
        if index == 0:
            return self._head.value(header_key(name))
        found = self._head.fields_of(name)
        return found[index].value if -len(found) <= index < len(found) else None

    @property
    def call_id(self) -> str | None:
        return self._head.value("call-id")

    @property
    def cseq(self) -> tuple[int, str] | None:
        """Number and method of CSeq, or None when it is missing or wrong."""
        return self._head.cseq

    @property
    def from_(self) -> NameAddr | None:
        """From, or None when there is none.  Raises `SipSyntaxError`."""
        value = self._head.value("from")
        return None if value is None else NameAddr.parse(value)

    @property
    def to(self) -> NameAddr | None:
        """To, or None when there is none.  Raises `SipSyntaxError`."""
        value = self._head.value("to")
        return None if value is None else NameAddr.parse(value)

    @property
    def vias(self) -> list[Via]:
        """All Via values, the last hop first.  Raises `SipSyntaxError`."""
        return [via for value in self.headers("Via") for via in Via.parse_many(value)]

    @property
    def first_via(self) -> Via | None:
        """The first Via value, which names the last hop; None when there is none or it cannot be read."""
        found = self._head.first_via_and_end
        return None if found is None else found[0]

    @property
    def first_via_and_end(self) -> tuple[Via, int] | None:
        """The first Via value, and where it ends in the value of the first Via field."""
        return self._head.first_via_and_end

    def field(self, name: str) -> HeaderField | None:
        """The first field `name` as it came."""
        found = self._head.fields_of(name)
        return found[0] if found else None

    def all_fields(self, name: str) -> Sequence[HeaderField]:
        """All fields `name` as they came."""
        return self._head.fields_of(name)

    @property
    def source(self) -> tuple[str, int]:
        """Address and port that it came from."""
        return self.received.source

    @property
    def destination(self) -> tuple[str, int]:
        """Our address and port that it came to."""
        return self.received.destination

    # -- body -----------------------------------------------------------------------------------------------------

    @property
    def content_length(self) -> int | None:
        """What Content-Length says, or None when it is missing or no number."""
        value = self._head.value("content-length") or ""
        return int(value) if _CONTENT_LENGTH.fullmatch(value) else None

    @property
    def body(self) -> bytes:
        """The body.  What is behind the length that Content-Length tells is not part of it (RFC 3261 18.3)."""
        body = self.data[self._head.end :]
        length = self.content_length
        return body if length is None else body[:length]

    @property
    def written_body(self) -> bytes:
        """The body as it will be written."""
        for edit in reversed(self._edits):
            if edit.start >= self._head.end:
                return edit.text
        return self.body

    @property
    def is_truncated(self) -> bool:
        """Whether less came than Content-Length tells: to be refused on UDP, to be waited for on TCP."""
        length = self.content_length
        return length is not None and len(self.data) - self._head.end < length

    # -- edits ----------------------------------------------------------------------------------------------------

    @property
    def is_edited(self) -> bool:
        """Whether `to_bytes` gives something else than what came."""
        return bool(self._edits) or (self.is_request and self.branch.uri is not None)

    def append_hf(self, text: str, before: HeaderField | None = None) -> None:
        """Add header fields behind the last one, or before another; a line end is added when it is missing.

        Raises `SipSyntaxError` when a line is no header field or folded line, so that no text can end the headers.
        """
        self._edits.append(appended(text, before))

    def remove_hf(self, name: str) -> int:
        """Leave out all fields `name`; gives how many there are."""
        found = self._head.fields_of(name)
        self._edits += [Edit(field.start, field.end, b"") for field in found]
        return len(found)

    def remove_field(self, field: HeaderField) -> None:
        """Leave out one field."""
        self._edits.append(Edit(field.start, field.end, b""))

    def replace_hf(self, field: HeaderField, value: str) -> None:
        """Another value for one field; its name stays as it is written.

        Raises `SipSyntaxError` when the value has a line end in it.
        """
        self._edits.append(replaced(field, value))

    def replace_body(self, body: bytes) -> None:
        """Another body in place of the one that came, or was put in before; Content-Length follows."""
        end = self._head.end
        self._edits = [edit for edit in self._edits if edit.start < end]
        self._edits.append(Edit(end, len(self.data), body))
        length = self.field("Content-Length")
        if length is not None:
            self.replace_hf(length, str(len(body)))

    def written_value(self, field: HeaderField) -> str | None:
        """The value of a field as it will be written; None when it is left out."""
        for edit in reversed(self._edits):
            if edit.start == field.start and edit.end == field.end:
                return decode(edit.text).partition(":")[2].strip() or None
        return field.value

    def to_bytes(self, more: Sequence[Edit] = (), branch: Branch | None = None) -> bytes:
        """The message with all edits, and `more` that are not kept, as it goes to its branch or to another one.

        Raises `SipSyntaxError` when the Request-URI is none.
        """
        uri = (self.branch if branch is None else branch).uri if self.is_request else None
        edits = [*self._edits, *more]
        if uri is None and not edits:
            return self.data
        data, head = self.data, self._head
        parts = [data[: head.start] if uri is None else self._start_line(uri)]
        at = head.start
        for start, end, text in self._in_order(edits):
            parts.append(data[at:start])
            parts.append(text)
            at = end
        parts.append(data[at:])
        return b"".join(parts)

    def _in_order(self, edits: Sequence[Edit]) -> list[Edit]:
        """Of the edits of one field only the last; what is added before a field stands before what replaces it."""
        head = self._head
        empty_line = head.end - (2 if self.data.endswith(b"\r\n", 0, head.end) else 1)
        kept: list[Edit] = []
        replaced: dict[int, Edit] = {}
        for edit in edits:
            if edit.end > edit.start:
                replaced[edit.start] = edit
            elif edit.start == _AT_END:
                kept.append(Edit(empty_line, empty_line, edit.text))
            else:
                kept.append(edit)
        kept += replaced.values()
        kept.sort(key=_PLACE)
        return kept

    def _start_line(self, uri: str) -> bytes:
        SipUri.parse(uri)
        return encode(f"{self.method} {uri} {self.version}\r\n")


def _end_of_headers(data: bytes, line_end: int) -> int:
    """The position behind the first empty line; `line_end` is that of the start line.  Raises `SipSyntaxError`."""
    end = data.find(b"\n\r\n", line_end)
    bare = data.find(b"\n\n", line_end, len(data) if end < 0 else end)
    if bare >= 0:
        return bare + 2
    if end < 0:
        raise SipSyntaxError("there is no empty line behind the header fields", len(data))
    return end + 3


def dummy_message() -> Message:
    """The message of the startup route and of all routes that run without one of their own."""
    return Message.parse(
        b"DUMMY sip:user@dummy.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKdummy\r\n"
        b"To: <sip:to@dummy.com>\r\n"
        b"From: <sip:from@dummy.com>;tag=1\r\n"
        b"Call-ID: dummy-1\r\n"
        b"CSeq: 1 DUMMY\r\n"
        b"\r\n"
    )
