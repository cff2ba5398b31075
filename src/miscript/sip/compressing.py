"""Messages whose body, or header fields too, are compressed, for a receiver that does the reverse.

Compressed header fields go with the body into a new body, or `separate` into `Comp-Hdrs`, with `Headers-Encoding`.
Content-Encoding names what was done, `base64` first.  What is decompressed is bounded.  Source: OpenSIPS manual, module
compression; observed messages of OpenSIPS 4.1; RFC 1950 (deflate), RFC 1952 (gzip).
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ..values import encode
from .headers import HeaderField, header_key
from .message import DEFAULT_LIMITS, Message
from .syntax import SipSyntaxError

NEVER_COMPRESSED: Final = frozenset("via from to call-id cseq route record-route".split())
_COMPRESSED_FIELDS: Final = "Comp-Hdrs"
_FIELDS_ENCODING: Final = "Headers-Encoding"
_ENCODING: Final = "Content-Encoding"
_OURS: Final = frozenset({"comp-hdrs", "headers-encoding", "content-encoding"})
_BASE64: Final = "base64"


class Algorithm(IntEnum):
    """The algorithms, by their numbers in scripts."""

    DEFLATE = 0
    GZIP = 1


_NAMES: Final = {Algorithm.DEFLATE: "deflate", Algorithm.GZIP: "gzip"}
_WINDOW: Final = {"deflate": zlib.MAX_WBITS, "gzip": zlib.MAX_WBITS | 16}


@dataclass(frozen=True, slots=True)
class Packing:
    """What is compressed and how: the body, header fields but for those `kept`, the two apart, in base64."""

    algorithm: Algorithm = Algorithm.DEFLATE
    level: int = 6
    body: bool = False
    headers: bool = False
    separate: bool = False
    in_base64: bool = False
    kept: Collection[str] = ()

    @property
    def encoding(self) -> str:
        """The value of Content-Encoding."""
        name = _NAMES[self.algorithm]
        return f"{_BASE64}, {name}" if self.in_base64 else name

    def applied(self, data: bytes) -> bytes:
        """A message compressed.  Raises `SipSyntaxError` for what is no message, or what cannot hold the result."""
        message = Message.parse(data)
        if message.field(_ENCODING) is not None or message.field(_FIELDS_ENCODING) is not None:
            return data  # somebody has done it before us
        kept = NEVER_COMPRESSED | {header_key(name.strip()) for name in self.kept}
        if message.body:
            kept |= {"content-type"}
        if self.separate or not self.body:
            kept |= {"content-length"}
        packed = [field for field in message.fields if self.headers and field.key not in kept]
        body, together = message.body, not self.separate and self.body
        text = _lines(packed, data)
        added: list[str] = []
        if packed and not together:
            if not self.in_base64:
                raise SipSyntaxError("header fields that are compressed for themselves need base64", 0)
            added += [
                f"{_COMPRESSED_FIELDS}: {self._packed(text).decode('ascii')}",
                f"{_FIELDS_ENCODING}: {self.encoding}",
            ]
        if self.body and (body or (together and packed)):
            body = self._packed(text + b"\r\n" + body if together and packed else body)
            added.append(f"{_ENCODING}: {self.encoding}")
        left = [field for field in message.fields if field not in packed and field.key != "content-length"]
        head = data[: message.fields[0].start] if message.fields else b""
        ours = encode("".join(f"{line}\r\n" for line in (f"Content-Length: {len(body)}", *added)))
        return b"".join((head, _lines(left, data), ours, b"\r\n", body)) if head else data

    def _packed(self, data: bytes) -> bytes:
        pressing = zlib.compressobj(self.level, wbits=_WINDOW[_NAMES[self.algorithm]])
        found = pressing.compress(data) + pressing.flush()
        return base64.b64encode(found) if self.in_base64 else found


def decompressed(data: bytes, limit: int = DEFAULT_LIMITS.message) -> bytes | None:
    """The message that was compressed; None for one that is not.

    Raises `SipSyntaxError`: an encoding that is unknown, bytes that are not what it says, more than `limit` bytes.
    """
    message = Message.parse(data)
    encoding, fields_encoding = message.header(_ENCODING), message.header(_FIELDS_ENCODING)
    if encoding is None and fields_encoding is None:
        return None
    fields = [field for field in message.fields if field.key not in _OURS and field.key != "content-length"]
    head, body, more = data[: message.fields[0].start], message.body, b""
    if fields_encoding is not None:
        more = _unpacked((message.header(_COMPRESSED_FIELDS) or "").encode("ascii", "replace"), fields_encoding, limit)
    if encoding is not None:
        body = _unpacked(body, encoding, limit)
        if fields_encoding is None:
            more, body = _divided(body)
    found = b"".join((head, _lines(fields, data), _without_length(more)))
    found += b"Content-Length: %d\r\n\r\n" % len(body) + body
    Message.parse(found)
    return found


def _unpacked(data: bytes, encoding: str, limit: int) -> bytes:
    names = [name.strip().lower() for name in encoding.split(",")]
    try:
        if names[0] == _BASE64:
            data = base64.b64decode(data.strip(), validate=True)
            names.pop(0)
        window = _WINDOW.get(names[0]) if len(names) == 1 else None
        if window is None:
            raise SipSyntaxError(f"'{encoding}' is no encoding that is known", 0)
        unpacking = zlib.decompressobj(window)
        found = unpacking.decompress(data, limit + 1)
    except (zlib.error, binascii.Error) as error:
        raise SipSyntaxError(f"what should be '{encoding}' is not: {error}", 0) from error
    if len(found) > limit or not unpacking.eof:
        raise SipSyntaxError(f"what is compressed is cut off, or longer than {limit} bytes", 0)
    return found


def _divided(text: bytes) -> tuple[bytes, bytes]:
    """Header fields and body of what was compressed together; the fields are empty when it was a body alone."""
    fields, empty_line, body = text.partition(b"\r\n\r\n")
    if not empty_line:
        return b"", text
    try:
        Message.parse(b"X sip:x SIP/2.0\r\n" + fields + b"\r\n\r\n")
    except SipSyntaxError:
        return b"", text
    told = [field for field in _fields(fields + b"\r\n") if field.key == "content-length"]
    if told and told[0].value == str(len(body)):
        return fields + b"\r\n", body
    return b"", text


def _fields(text: bytes) -> list[HeaderField]:
    return list(Message.parse(b"X sip:x SIP/2.0\r\n" + text + b"\r\n").fields)


def _without_length(text: bytes) -> bytes:
    if not text:
        return b""
    first_line = b"X sip:x SIP/2.0\r\n"
    data = first_line + text + b"\r\n"
    return _lines([field for field in Message.parse(data).fields if field.key != "content-length"], data)


def _lines(fields: Collection[HeaderField], data: bytes) -> bytes:
    return b"".join(data[field.start : field.end] for field in fields)
