"""What the bytes of a message say in their head, read when asked and at most once, shared by all copies of a message.

Nothing here changes but by being read: edits are kept beside it (`Message`).

Source: RFC 3261 section 7.
"""

from __future__ import annotations

from collections.abc import Sequence

from .headers import HeaderField, header_key, read_headers
from .syntax import SipSyntaxError
from .via import Via

MAX_CSEQ_DIGITS = 10


class Head:
    """The header fields of `data` from `start` to `end`, the position behind the empty line."""

    __slots__ = ("_by_key", "_cseq", "_fields", "_first_via", "data", "end", "start")

    def __init__(self, data: bytes, start: int, end: int) -> None:
        self.data = data
        self.start = start
        self.end = end
        self._fields: Sequence[HeaderField] | None = None

    def _read(self) -> Sequence[HeaderField]:
        """Find all fields, and understand the two that everybody asks for."""
        self._fields = read_headers(self.data, self.start, self.end)
        by_key: dict[str, list[HeaderField]] = {}
        for field in self._fields:
            key = field[1]
            if key in by_key:
                by_key[key].append(field)
            else:
                by_key[key] = [field]
        self._by_key = by_key
        self._cseq = _cseq(by_key["cseq"][0].value) if "cseq" in by_key else None
        self._first_via = _first_via(by_key["via"][0].value) if "via" in by_key else None
        return self._fields

    @property
    def fields(self) -> Sequence[HeaderField]:
        """All header fields."""
        return self._read() if self._fields is None else self._fields

    def fields_of(self, name: str) -> Sequence[HeaderField]:
        """The fields `name`, whether long or compact, in any case."""
        if self._fields is None:
            self._read()
        return self._by_key.get(header_key(name), ())

    def value(self, key: str) -> str | None:
        """The value of the first field with this key (see `header_key`); None when there is none."""
        if self._fields is None:
            self._read()
        found = self._by_key.get(key)
        return found[0].value if found else None

    @property
    def cseq(self) -> tuple[int, str] | None:
        """Number and method of CSeq, or None when it is missing or wrong."""
        if self._fields is None:
            self._read()
        return self._cseq

    @property
    def first_via_and_end(self) -> tuple[Via, int] | None:
        """The first Via value, and where it ends in the value of the first Via field; None when it cannot be read."""
        if self._fields is None:
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
