"""What the bytes of a message say in their head, read when asked and at most once, shared by all copies of a message.

Nothing here changes but by being read: edits are kept beside it (`Message`).

Source: RFC 3261 section 7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from .headers import HeaderField, header_key, plain_lines, scan_headers
from .syntax import SipSyntaxError
from .via import Via

MAX_CSEQ_DIGITS = 10


class Head:
    """The header fields of `data` from `start` to `end`, the position behind the empty line."""

    __slots__ = ("_cseq", "_fields", "_first_via", "_is_read", "_lines", "_values", "data", "end", "start")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data = data
        self.start = start
        self.end = end
        self._is_read = False

    def _read(self) -> None:
        """Find all fields, and understand the two that everybody asks for."""
        self._is_read = True
        self._fields: list[HeaderField] | None = None
        self._lines = plain_lines(self.data, self.start, self.end)
        if self._lines is None:
            self._fields = list(scan_headers(self.data, self.start, self.end))
            values = {field.key: field.value for field in reversed(self._fields)}
        else:
            values = {key: value for key, value, _ in reversed(self._lines)}  # the first of several stays
        self._values = values
        self._cseq = _cseq(values["cseq"]) if "cseq" in values else None
        self._first_via = _first_via(values["via"]) if "via" in values else None

    @property
    def fields(self) -> Sequence[HeaderField]:
        """All header fields."""
        if not self._is_read:
            self._read()
        if self._fields is None:
            self._fields = list(self._found())
        return self._fields

    def fields_of(self, name: str) -> Sequence[HeaderField]:
        """The fields `name`, whether long or compact, in any case."""
        key = header_key(name)
        if not self._is_read:
            self._read()
        if key not in self._values:
            return ()
        return [field for field in (self._fields or self._found(key)) if field[1] == key]

    def _found(self, wanted: str | None = None) -> Iterator[HeaderField]:
        """The fields of plain lines, all of them or those with the key `wanted`."""
        at = self.start
        for key, value, line in self._lines or ():
            end = at + len(line) + 2
            if wanted is None or key == wanted:
                yield HeaderField(line[: line.index(":")].rstrip(" \t"), key, value, at, end)
            at = end

    def value(self, key: str) -> str | None:
        """The value of the first field with this key (see `header_key`); None when there is none."""
        if not self._is_read:
            self._read()
        return self._values.get(key)

    def repeated(self, keys: frozenset[str]) -> str | None:
        """The first of these keys that more than one field has; None when there is none."""
        if not self._is_read:
            self._read()
        found = self._lines if self._lines is not None else [field[1:] for field in self._fields or ()]
        if len(found) == len(self._values):
            return None
        seen: set[str] = set()
        for line in found:
            key = line[0]
            if key in seen:
                return key
            if key in keys:
                seen.add(key)
        return None

    @property
    def cseq(self) -> tuple[int, str] | None:
        """Number and method of CSeq, or None when it is missing or wrong."""
        if not self._is_read:
            self._read()
        return self._cseq

    @property
    def first_via_and_end(self) -> tuple[Via, int] | None:
        """The first Via value, and where it ends in the value of the first Via field; None when it cannot be read."""
        if not self._is_read:
            self._read()
        return self._first_via


def _first_via(value: str) -> tuple[Via, int] | None:
    try:
        return Via.parse_at(value, 0)
    except SipSyntaxError:
        return None


def _cseq(value: str) -> tuple[int, str] | None:
    number, _, method = value.partition(" ")
    method = method.strip()
    if not (method and number.isascii() and number.isdecimal() and len(number) <= MAX_CSEQ_DIGITS):
        return None
    return int(number), method
