"""What the parsers of SIP header fields share: the error, and the pieces of grammar that occur everywhere.

A parser takes a text and a position and gives what it found and the position behind it, or raises
`SipSyntaxError`.  Texts are `str` as scripts hold them (see `values`), so positions count characters.

Source: RFC 3261 section 25.1.  We read a little more than it allows, as servers in the field must: blanks around
separators, bytes above 127 in names and values, underscores in host names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TypeVar

from ..errors import MiscriptError
from ..late_pattern import late_pattern

T = TypeVar("T")

TOKEN = late_pattern(r"[A-Za-z0-9.!%*_+`'~-]+")
BLANKS = late_pattern(r"[ \t\r\n]*")
QUOTED = late_pattern(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
HOST = late_pattern(r"\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._\x80-\U0010ffff-]+")
_ESCAPED = late_pattern(r"\\(.)", re.DOTALL)
_MOST_SHOWN = 20

CACHED_LENGTH = 256
"""Values up to this length are kept, once they are read: those of one call come in each of its messages."""

CACHED_VALUES = 2048
"""Values of one kind that are kept."""


class SipSyntaxError(MiscriptError, ValueError):
    """A text that is not what RFC 3261 asks for at this place.

    `position` counts characters from 0; `message` says what was expected.
    """

    def __init__(self, message: str, position: int) -> None:
        super().__init__(f"{message} (at position {position})")
        self.message = message
        self.position = position


def skip_blanks(text: str, at: int) -> int:
    """The position of the first character from `at` on that is no blank; line ends count as blanks (folding)."""
    if at < len(text) and text[at] in " \t\r\n":
        found = BLANKS.match(text, at)
        return found.end() if found else at
    return at


def unquote(text: str) -> str:
    """What a quoted text says: quotes removed, escaped characters as themselves.  Other texts as they are."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return _ESCAPED.sub(r"\1", text[1:-1])
    return text


def found_at(text: str, at: int) -> str:
    """What stands at `at`, for messages."""
    return f"'{text[at : at + _MOST_SHOWN]}'" if at < len(text) else "the end"


def read_list(text: str, read: Callable[[str, int], tuple[T, int]], most: int, what: str) -> tuple[T, ...]:
    """Values separated by commas; `read` takes one from a position on and tells where it ends, at a comma or at the
    end.  Raises `SipSyntaxError`: what `read` raises, or more than `most` of them."""
    found: list[T] = []
    at = 0
    while True:
        value, at = read(text, at)
        found.append(value)
        if at >= len(text):
            return tuple(found)
        if len(found) >= most:
            raise SipSyntaxError(f"more than {most} {what}", at)
        at += 1


def expect(pattern: re.Pattern[str], text: str, at: int, what: str) -> tuple[str, int]:
    """What `pattern` finds at `at`, and the position behind it.  Raises `SipSyntaxError`: "expected <what> ..."."""
    found = pattern.match(text, at)
    if found is None:
        raise SipSyntaxError(f"expected {what}, found {found_at(text, at)}", at)
    return found[0], found.end()
