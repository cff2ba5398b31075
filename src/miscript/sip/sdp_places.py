r"""Places in a description of media that are found by filters: a line of it, and a word in that line.

A filter is `line`, `line/word`, or for streams `stream/line/word`.  Each of the three is the beginning of what is
wanted (empty for any) and, in brackets, which of those that begin so, from 0 on: `a=ptime[1]`, `video[0]/a=fmtp/[1]`.
`\/`, `\[` and `\]` are themselves.  Words are divided by blanks.

What is put in place of a word: behind a prefix that ends with `=`, `:` or `/` the value takes the place of what
follows it, up to a semicolon; otherwise of the whole word.  Source: OpenSIPS manual, "Core Variables", `$sdp.line`
and following; observed reads of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final, NamedTuple

from ..late_pattern import late_pattern
from .sdp import sdp_lines
from .syntax import SipSyntaxError

MAX_INDEX: Final = 9999
_INDEX = late_pattern(r"\[([^\[\]]*)\]\Z")
_WORD = late_pattern(rb"[^ \r\n]+")
_SEPARATORS: Final = (b"=", b":", b"/")


class Part(Enum):
    """The part of a description in which a place is looked for."""

    ALL = "line"
    SESSION = "session"
    STREAM = "stream"


class Chosen(NamedTuple):
    """What begins with `prefix`, and which of those."""

    prefix: bytes
    number: int


class Place(NamedTuple):
    """What was found: the number of the line in the whole description, and the bytes from `start` to `end`.

    `value_start` is where what follows the prefix begins, for writing.
    """

    line: int
    start: int
    end: int
    value_start: int
    whole_line: bool


@dataclass(frozen=True, slots=True)
class Filter:
    """A filter that has been read; `word` None stands for the whole line."""

    part: Part
    stream: Chosen
    line: Chosen
    word: Chosen | None

    @classmethod
    def parse(cls, part: Part, text: str) -> Filter:
        """Read a filter.  Raises `SipSyntaxError`: more filters than there can be, an index that is no number."""
        pieces = _split(text)
        most = 3 if part is Part.STREAM else 2
        if len(pieces) > most:
            raise SipSyntaxError(f"'{text}' has {len(pieces)} filters, expected at most {most}", 0)
        chosen = [_chosen(piece) for piece in pieces]
        stream = chosen.pop(0) if part is Part.STREAM else _ANY
        line = chosen.pop(0) if chosen else _ANY
        return cls(part, stream, line, chosen.pop(0) if chosen and pieces[-1] else None)

    def at_line(self, number: int) -> Filter:
        """The same filter for another one of the lines that it finds."""
        return replace(self, line=Chosen(self.line.prefix, number))

    def find(self, sdp: bytes) -> Place | None:
        """The place in a description; None when it has none."""
        lines = sdp_lines(sdp)
        first, end = self._range(lines)
        number = _nth(lines, first, end, self.line)
        if number is None:
            return None
        start = sum(map(len, lines[:number]))
        line = lines[number]
        if self.word is None:
            return Place(number, start, start + len(line.rstrip(b"\r\n")), start, True)
        return self._word(line, number, start)

    def _range(self, lines: list[bytes]) -> tuple[int, int]:
        """The lines that are looked at, as first and end."""
        media = [number for number, line in enumerate(lines) if line.startswith(b"m=")]
        if self.part is Part.ALL:
            return 0, len(lines)
        if self.part is Part.SESSION:
            return 0, media[0] if media else len(lines)
        wanted = [number for number in media if lines[number].startswith(self.stream.prefix, 2)]
        if self.stream.number >= len(wanted):
            return 0, 0
        first = wanted[self.stream.number]
        return first, next((number for number in media if number > first), len(lines))

    def _word(self, line: bytes, number: int, start: int) -> Place | None:
        assert self.word is not None
        prefix = self.word.prefix
        words = [found for found in _WORD.finditer(line) if found[0].startswith(prefix)]
        if self.word.number >= len(words):
            return None
        word = words[self.word.number]
        held = prefix
        if not prefix and word.start() == 0 and self.line.prefix.endswith(_SEPARATORS[:2]):
            held = self.line.prefix  # the first word behind 'a=ptime:' is its value
        value = start + word.start() + (len(held) if held.endswith(_SEPARATORS) else 0)
        return Place(number, start + word.start(), start + word.end(), value, False)


_ANY = Chosen(b"", 0)


def read_place(sdp: bytes, wanted: Filter) -> bytes | None:
    """What stands at a place: a line without its line end, or a word."""
    place = wanted.find(sdp)
    return None if place is None else sdp[place.start : place.end]


def with_place(sdp: bytes, wanted: Filter, text: bytes | None) -> bytes | None:
    """The description with other text at a place, or without the line or the word when `text` is None.

    None when it has no such place.  Raises `SipSyntaxError` for a text with a line end in it.
    """
    if text is not None:
        text = text.removesuffix(b"\n").removesuffix(b"\r")
        if b"\n" in text or b"\r" in text:
            raise SipSyntaxError("a line end stands in what is put into a line", 0)
    place = wanted.find(sdp)
    if place is None:
        return None
    if text is None:
        return _without(sdp, place)
    if place.whole_line or place.value_start == place.start:
        return sdp[: place.start] + text + sdp[place.end :]
    semicolon = sdp.find(b";", place.value_start, place.end)
    return sdp[: place.value_start] + text + sdp[semicolon if semicolon >= 0 else place.end :]


def _without(sdp: bytes, place: Place) -> bytes:
    if place.whole_line:
        end = sdp.find(b"\n", place.end)
        return sdp[: place.start] + (b"" if end < 0 else sdp[end + 1 :])
    front, behind = sdp[: place.start], sdp[place.end :]
    return front[:-1] + behind if front.endswith(b" ") else front + behind.removeprefix(b" ")


def _split(text: str) -> list[str]:
    pieces, piece, escaped = [], "", False
    for sign in text:
        if escaped:
            piece += sign if sign == "/" else f"\\{sign}"
        elif sign == "/":
            pieces.append(piece)
            piece = ""
        elif sign != "\\":
            piece += sign
        escaped = sign == "\\" and not escaped
    return [*pieces, piece + ("\\" if escaped else "")]


def _chosen(text: str) -> Chosen:
    found = _INDEX.search(text)
    index, prefix = 0, text
    if found is not None and not text[: found.start()].endswith("\\"):
        prefix = text[: found.start()]
        if not (found[1].isascii() and found[1].isdecimal()) or len(found[1]) > len(str(MAX_INDEX)):
            raise SipSyntaxError(f"'{found[1]}' is no index, expected a number up to {MAX_INDEX}", found.start())
        index = int(found[1])
    return Chosen(re.sub(r"\\([\[\]\\])", r"\1", prefix).encode("utf-8", "surrogateescape"), index)


def _nth(lines: list[bytes], first: int, end: int, wanted: Chosen) -> int | None:
    left = wanted.number
    for number in range(first, end):
        if lines[number].startswith(wanted.prefix):
            if not left:
                return number
            left -= 1
    return None
