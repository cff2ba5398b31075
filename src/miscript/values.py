"""The values of a routing script: NULL, integers and strings.

In Python they are `None`, `int` (32-bit, signed) and `str`.  A script's strings are bytes; they are held as `str`
decoded from UTF-8 with `surrogateescape`, the way Python holds file names, and are written out unchanged.  What
counts or cuts works on the bytes (`encode`, `decode`); for ASCII text characters and bytes are the same.

Source: OpenSIPS manual, "Core Variables" and "Script Operators"; observed rules in docs/language.md.
"""

from __future__ import annotations

from typing import TypeAlias

Value: TypeAlias = int | str | None

INT_MIN, INT_MAX = -(2**31), 2**31 - 1


class NumberWithText(int):
    """An integer that remembers the text it was read from: `{s.int}` of "007" adds as 7 and prints as "007"."""

    text: str

    def __new__(cls, number: int, text: str) -> NumberWithText:
        self = super().__new__(cls, wrap(number))
        self.text = text
        return self


class TextWithNumber(str):
    """A text that also counts as a number: an integer written out in `return(1, 8)`, read as `$return(0)`.

    On the left of an operator it is a text; on the right, in comparisons and in `switch` it is the number as well.
    """

    number: int

    def __new__(cls, number: int) -> TextWithNumber:
        self = super().__new__(cls, str(number))
        self.number = number
        return self


def wrap(number: int) -> int:
    """`number` as a signed 32-bit integer, overflow wrapping round as it does in C."""
    return ((number + 0x80000000) & 0xFFFFFFFF) - 0x80000000


def text_of(value: Value) -> str:
    """What `xlog` prints for `value`; NULL prints as ``<null>``."""
    if value.__class__ is str:
        return value
    if value is None:
        return "<null>"
    return str(value) if value.__class__ is int else plain_text(value)


def plain_text(value: int | str) -> str:
    """The text form of a value that is not NULL."""
    if isinstance(value, str):
        return value
    return value.text if isinstance(value, NumberWithText) else str(value)


def given_text(value: Value) -> str | None:
    """The text of what was assigned to a variable that takes texts; None for NULL and for bare numbers."""
    if isinstance(value, NumberWithText):
        return value.text
    return value if isinstance(value, str) else None


def encode(text: str) -> bytes:
    """The bytes behind a script's text."""
    return text.encode("utf-8", "surrogateescape")


def decode(data: bytes) -> str:
    """Bytes from the network or a file as a script's text; `encode` gives the same bytes back."""
    return data.decode("utf-8", "surrogateescape")


def byte_length(text: str) -> int:
    """Length of a text in bytes, as `{s.len}` counts it."""
    return len(text) if text.isascii() else len(encode(text))
