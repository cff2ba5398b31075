"""A SIP message: the bytes as they came, read only as far as somebody asks, and the edits of a script.

`Message.parse` looks at the start line and at sizes, nothing else.  Header fields are found at the first question
about one, and their values parsed when wanted.  `append_hf`, `remove_hf` and `replace_hf` are kept as a list of edits
and applied when the message is written (`to_bytes`): what reads headers in the same route still sees the message as
it came, as in OpenSIPS.  The Request-URI is the exception: a new one is seen at once.  `copy` gives a message with
the same bytes and edits of its own, as each branch of a request needs.

Edits of the body are kept apart (`edits.BodyChange`): it can be put in place as a whole, edited at positions, or set so
that the script sees it at once (`$sdp`).  Content-Length follows when the message is written.

Source: RFC 3261 section 7 and 18.3.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from ..values import decode, encode
from .branch import Branch
from .edits import AT_END, BodyChange, Edit, appended, edited_parts, in_order, replaced, replacement
from .head import Head
from .headers import HeaderField, header_key
from .multipart import DescribedBody
from .name_addr import NameAddr
from .received import NOT_RECEIVED
from .syntax import SipSyntaxError
from .uri import SipUri
from .via import Via
from .wishes import NO_WISHES, HopHeader

VERSION = "SIP/2.0"

_REQUEST_LINE = re.compile(rb"([A-Za-z0-9.!%*_+`'~-]+) ([^\x00-\x20\x7f]+) (SIP/[0-9]+\.[0-9]+)\r?\n", re.IGNORECASE)
_STATUS_LINE = re.compile(rb"(SIP/[0-9]+\.[0-9]+) ([1-6][0-9]{2})(?: ([^\r\n]*))?\r?\n", re.IGNORECASE)
_CONTENT_LENGTH = re.compile(r"[0-9]{1,10}")
_EMPTY_LINE = re.compile(rb"\n\r?\n")


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes above which a message is refused: all of it in bytes, its start line in bytes, its header lines."""

    message: int = 65536
    start_line: int = 8192
    header_lines: int = 512


DEFAULT_LIMITS = Limits()


class Message:
    """A request or a response.

    `method` and `uri` (the Request-URI as text) are None in a response, `status` and `reason` in a request.
    `branch` is where the script sends it, `branches` are where it goes too (parallel forking), and `reply_headers`
    the header fields, each with its line end, that a reply of ours gets, `reply_body` its body.  `received` tells where
    it came from and to; `last_changes` are made to its bytes when all else is written; `number` counts the messages of
    a host from 1, one that nobody received has 0.
    """

    __slots__ = (
        "_body", "_edits", "_head", "_status_line", "branch", "branches", "data", "hop_headers", "is_request",
        "last_changes", "method", "number", "original_uri", "reason", "received", "reply_body", "reply_headers",
        "status", "version", "via_wishes",
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
        self.reply_body = b""
        self.last_changes: tuple[Callable[[bytes], bytes], ...] = ()
        self._edits: list[Edit] = []
        self._body: BodyChange | None = None
        self._status_line: bytes | None = None

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
        new.reply_body = self.reply_body
        new.last_changes = self.last_changes
        new._edits = self._edits.copy()
        new._body = self._body
        new._status_line = self._status_line
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

    def repeated_field(self, keys: frozenset[str]) -> str | None:
        """The key of a field that is there more than once, of those given; None when each is there once at most."""
        return self._head.repeated(keys)

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
    def original_body(self) -> bytes:
        """The body that came.  What is behind the length that Content-Length tells is no part of it (RFC 3261 18.3)."""
        body = self.data[self._head.end :]
        length = self.content_length
        return body if length is None else body[:length]

    @property
    def body(self) -> bytes:
        """The body as the script sees it: the one that came, or one that was set with `set_body`."""
        shown = None if self._body is None else self._body.shown
        return self.original_body if shown is None else shown[1]

    @property
    def body_type(self) -> str | None:
        """The Content-Type of `body`; None when there is none."""
        shown = None if self._body is None else self._body.shown
        return self.header("Content-Type") if shown is None else shown[0]

    @property
    def written_body(self) -> bytes:
        """The body as it will be written."""
        return self.original_body if self._body is None else self._body.text

    @property
    def written_description(self) -> DescribedBody:
        """The body as it will be written, with the header fields that describe it."""
        fields = None if self._body is None else self._body.fields
        if fields is None:
            kind = self.header("Content-Type")
            fields = b"" if kind is None else encode(f"Content-Type: {kind}\r\n")
        return DescribedBody(fields, self.written_body)

    @property
    def written_content_type(self) -> str | None:
        """Content-Type as it will be written; None when there is none."""
        if self._body is None or self._body.fields is None:
            return self.header("Content-Type")
        return self.written_description.content_type

    @property
    def bytes_behind_headers(self) -> int:
        """How many bytes came behind the empty line, whatever Content-Length tells."""
        return len(self.data) - self._head.end

    @property
    def is_truncated(self) -> bool:
        """Whether less came than Content-Length tells: to be refused on UDP, to be waited for on TCP."""
        length = self.content_length
        return length is not None and self.bytes_behind_headers < length

    # -- edits ----------------------------------------------------------------------------------------------------

    @property
    def is_edited(self) -> bool:
        """Whether `to_bytes` gives something else than what came."""
        return (
            bool(self._edits)
            or self._body is not None
            or self._status_line is not None
            or (self.is_request and self.branch.uri is not None)
        )

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

    def replace_body(self, body: bytes, fields: bytes | None = None) -> None:
        """Another body in place of the one that came, or was put in before; Content-Length follows.

        `fields` are header fields, with their line ends, that describe it in place of Content-Type; empty for none.
        """
        old = self._body
        shown, kept = (None, None) if old is None else (old.shown, old.fields)
        self._body = BodyChange(body, shown=shown, fields=kept if fields is None else fields)

    def set_body(self, body: bytes, fields: bytes | None = None) -> None:
        """The same, and the script sees the new body at once."""
        self.replace_body(body, fields)
        assert self._body is not None
        self._body = replace(self._body, shown=(self.written_content_type, body))

    @property
    def text_to_edit(self) -> bytes:
        """Header fields, empty line and body, in which `edit_text` counts positions: as they came, or with the body
        that was put in place."""
        body = self.original_body if self._body is None else self._body.base
        return self.data[self._head.start : self._head.end] + body

    @property
    def header_length(self) -> int:
        """Where the body begins in `text_to_edit`."""
        return self._head.end - self._head.start

    def edit_text(self, changes: Sequence[tuple[int, int, bytes]]) -> None:
        """Other bytes in place of those between two positions of `text_to_edit`; all changes or none.

        Raises `SipSyntaxError` where one would take the empty line behind the header fields away, or make another.
        """
        behind, start_of_head, last = self.header_length, self._head.start, self._empty_line
        edits: list[Edit] = []
        in_body: list[Edit] = []
        for start, end, text in changes:
            if start >= behind:
                in_body += replacement(start - behind, end - behind, text)
                continue
            start, end = start + start_of_head, end + start_of_head
            if end > last:
                raise SipSyntaxError("the edit reaches over the end of the header fields", start)
            around = self.data[max(0, start - 2) : start] + text + self.data[end : min(end + 2, last)]
            if _EMPTY_LINE.search(around):
                raise SipSyntaxError("the edit would end the header fields", start)
            edits += replacement(start, end, text)
        self._edits += edits
        if in_body:
            change = self._body or BodyChange(self.original_body)
            self._body = replace(change, edits=(*change.edits, *in_body))

    def come_as(self, data: bytes) -> None:
        """Be another message that came in place of this one, without edits.  Raises `SipSyntaxError` like `parse`."""
        other = Message.parse(data)
        if other.is_request != self.is_request:
            raise SipSyntaxError("a request cannot come in place of a response, nor the other way round", 0)
        self._head, self.data, self.original_uri = other._head, other.data, other.original_uri
        self.method, self.status, self.reason = other.method, other.status, other.reason
        self._edits, self._body, self._status_line = [], None, None

    def change_status(self, status: int, reason: str) -> None:
        """Another status and reason, seen at once.  Raises `ValueError`: no response, no status, a line end."""
        if self.is_request or not 100 <= status < 700 or "\r" in reason or "\n" in reason:
            raise ValueError(f"'{status} {reason}' cannot be the status of a response")
        self.status, self.reason = status, reason
        self._status_line = encode(f"{self.version} {status} {reason}\r\n")

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
        data = self._edited(more, branch)
        for change in self.last_changes:
            data = change(data)
        return data

    def _edited(self, more: Sequence[Edit], branch: Branch | None) -> bytes:
        uri = (self.branch if branch is None else branch).uri if self.is_request else None
        edits = [*self._edits, *more]
        change = self._body
        if uri is None and not edits and change is None and self._status_line is None:
            return self.data
        data, head = self.data, self._head
        if self._status_line is not None:
            first = self._status_line
        else:
            first = data[: head.start] if uri is None else self._start_line(uri)
        if change is not None:
            edits += self._described(change)
        parts = edited_parts(
            data if change is None else data[: head.end], head.start, in_order(edits, self._empty_line)
        )
        if change is not None:
            parts.append(change.text)
        return b"".join((first, *parts))

    def _described(self, change: BodyChange) -> list[Edit]:
        """Header fields that a new body needs."""
        edits: list[Edit] = []
        length, kind = self.field("Content-Length"), self.field("Content-Type")
        if length is not None and self.written_value(length) is not None:
            edits.append(replaced(length, str(len(change.text))))
        if change.fields is not None:
            if kind is not None:
                edits.append(Edit(kind.start, kind.end, change.fields))
            elif change.fields:
                edits.append(Edit(AT_END, AT_END, change.fields))
        return edits

    @property
    def _empty_line(self) -> int:
        """The position of the empty line behind the header fields."""
        end = self._head.end
        return end - (2 if self.data.endswith(b"\r\n", 0, end) else 1)

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
    return _dummy().copy()


@functools.lru_cache(maxsize=1)
def _dummy() -> Message:
    return Message.parse(
        b"DUMMY sip:user@dummy.com SIP/2.0\r\n"
        b"Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKdummy\r\n"
        b"To: <sip:to@dummy.com>\r\n"
        b"From: <sip:from@dummy.com>;tag=1\r\n"
        b"Call-ID: dummy-1\r\n"
        b"CSeq: 1 DUMMY\r\n"
        b"\r\n"
    )
