"""Edits of a text: other bytes in place of some, kept as a list and made all at once when the text is written.

Positions are those of the text as it came, whatever has been edited before.  What several edits do to the same bytes:
of those that take the same piece away the last one counts, a longer piece wins over one that it holds, and what would
be put into bytes that go is left out.  Additions at one place come in their order.

A body has edits of its own (`BodyChange`), because it can also be put in place as a whole.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate
from operator import itemgetter
from typing import NamedTuple

from ..late_pattern import late_pattern
from ..values import decode, encode
from .headers import HeaderField
from .syntax import SipSyntaxError

AT_END = -1
"""The `start` that stands for the end of the header fields."""

_PLACE = itemgetter(0, 1)
_HEADER_NAME = late_pattern(rb"[A-Za-z0-9.!%*_+`'~-]+[ \t]*:")


class Edit(NamedTuple):
    """Other bytes in place of those from `start` to `end`; the two are the same where nothing is taken away.

    `start` `AT_END` stands for the end of the header fields.
    """

    start: int
    end: int
    text: bytes


class InPlace(Edit):
    """A text behind a piece that goes, from `piece` on; it goes with the piece when a longer one holds that."""

    piece: int

    @classmethod
    def of(cls, piece: int, end: int, text: bytes) -> InPlace:
        """The text in place of the bytes from `piece` to `end`."""
        made = cls(end, end, text)
        made.piece = piece
        return made


def appended(text: str, before: HeaderField | None = None) -> Edit:
    """Header fields behind the last one, or before another; see `Message.append_hf`."""
    at = AT_END if before is None else before.start
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


def in_order(edits: Iterable[Edit], end: int) -> list[Edit]:
    """Edits as they are made, from front to back; `end` is the place of those `AT_END`."""
    kept: list[Edit] = []
    replaced: dict[int, Edit] = {}
    in_place: list[InPlace] = []
    for edit in edits:
        if edit.end > edit.start:
            before = replaced.get(edit.start)
            if before is None or edit.end >= before.end:
                replaced[edit.start] = edit
        elif edit.start == AT_END:
            kept.append(Edit(end, end, edit.text))
        elif isinstance(edit, InPlace):
            in_place.append(edit)
        else:
            kept.append(edit)
    kept += replaced.values()
    if in_place:
        kept += _visible(in_place, replaced.values())
    kept.sort(key=_PLACE)
    return kept


def _visible(texts: Iterable[InPlace], pieces: Iterable[Edit]) -> Iterator[InPlace]:
    """The texts in place of pieces that no longer piece holds."""
    longest = sorted(pieces, key=_PLACE)
    starts, reaches = [piece.start for piece in longest], list(accumulate((piece.end for piece in longest), max))
    for text in texts:
        before = bisect_left(starts, text.piece)
        if before and reaches[before - 1] >= text.end:
            continue
        if before < len(longest) and starts[before] == text.piece and longest[before].end > text.end:
            continue
        yield text


def edited_parts(data: bytes, start: int, edits: Iterable[Edit]) -> list[bytes]:
    """The pieces of `data` from `start` on with edits that are `in_order`."""
    parts: list[bytes] = []
    at = start
    for edit_start, edit_end, text in edits:
        if edit_start < at:
            if not text and edit_end > at:
                at = edit_end
            continue
        parts.append(data[at:edit_start])
        parts.append(text)
        at = edit_end
    parts.append(data[at:])
    return parts


def replacement(start: int, end: int, text: bytes) -> list[Edit]:
    """Edits that put `text` behind a piece that goes; two for the same piece leave both of their texts."""
    found = [Edit(start, end, b"")] if end > start else []
    return [*found, InPlace.of(start, end, text)] if text else found


@dataclass(frozen=True, slots=True)
class BodyChange:
    """Another body.

    `base` is the body that the positions of `edits` count in: the one that came, or the last that was put in its
    place.  `shown` is what the script sees in its variables, as Content-Type and body; None for what came.  `fields`
    are the header fields that describe it in place of its Content-Type, with line ends; None where that stays.
    """

    base: bytes
    edits: tuple[Edit, ...] = ()
    shown: tuple[str | None, bytes] | None = None
    fields: bytes | None = None

    @property
    def text(self) -> bytes:
        """The body as it will be written."""
        return b"".join(edited_parts(self.base, 0, in_order(self.edits, len(self.base)))) if self.edits else self.base
