"""The header section of a message: its fields with the bytes they came from, and the names of fields.

Nearly all sections are ASCII, with CRLF behind each line and nothing folded or out of place: those are split at their
line ends, with positions of characters that are those of bytes.  All others are read field by field.

Source: RFC 3261 section 7.3; the compact names of its IANA registry.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple

from ..late_pattern import late_pattern
from ..values import decode

COMPACT_NAMES = {
    "a": "accept-contact",
    "b": "referred-by",
    "c": "content-type",
    "d": "request-disposition",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "j": "reject-contact",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "n": "identity-info",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
    "y": "identity",
}
"""Compact names and what they stand for, in lower case."""

_FIELD = late_pattern(rb"(?P<name>[^\x00-\x20:]+)[ \t]*:(?P<value>[^\r\n]*(?:\r?\n[ \t][^\r\n]*)*)(?:\r?\n|\Z)")
_LINE = late_pattern(rb"[^\n]*(?:\n|\Z)")
_NAME = late_pattern(r"[^\x00-\x20:]+")
_BLANKS = " \t\x0b\x0c"
_FOLD = late_pattern(rb"[ \t]*\r?\n[ \t]+")


class HeaderField(NamedTuple):
    """One header field.

    `name` is as written, `key` its long form in lower case, `value` unfolded and without blanks around it; `start`
    and `end` are the place of the whole field in the message, its line end included.
    """

    name: str
    key: str
    value: str
    start: int
    end: int


@lru_cache(maxsize=1024)
def header_key(name: str) -> str:
    """The name under which a field is looked up: in lower case, compact names in their long form."""
    lower = name.lower()
    return COMPACT_NAMES.get(lower, lower)


@lru_cache(maxsize=1024)
def _key_before_colon(text: str) -> str | None:
    """The key of the name in front of a colon; None when that is no name."""
    name = text.rstrip(" \t")
    return header_key(name) if _NAME.fullmatch(name) else None


def plain_lines(data: bytes, start: int, end: int) -> list[tuple[str, str, str]] | None:
    """Key, value and whole line without its end of each header field between two positions, an empty line the last.

    None when they need `scan_headers`.
    """
    section = data[start:end]
    if not (section.isascii() and section.endswith(b"\r\n")):
        return None
    lines = section[:-2].decode("ascii").split("\r\n")
    if lines.pop() or not section.count(b"\n") == section.count(b"\r") == len(lines) + 1:
        return None
    found = []
    for line in lines:
        before, colon, value = line.partition(":")
        key = _key_before_colon(before)
        if key is None or not colon:
            return None
        found.append((key, value.strip(_BLANKS), line))
    return found


def scan_headers(data: bytes, start: int, end: int) -> Iterator[HeaderField]:
    """The header fields between two positions.  Lines that are no header field are left out."""
    at = start
    while at < end:
        found = _FIELD.match(data, at, end)
        if found is None:
            line = _LINE.match(data, at, end)
            at = line.end() if line else end
            continue
        name, value = found.groups()
        if b"\n" in value:
            value = _FOLD.sub(b" ", value)
        text, behind = decode(name), found.end()
        yield HeaderField(text, header_key(text), decode(value.strip()), at, behind)
        at = behind
