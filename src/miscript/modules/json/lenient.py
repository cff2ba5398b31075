"""The JSON that the server takes beyond RFC 8259: `parse_lenient(text)`.

Single quotes; a comma before `}` or `]`; words in any case, also NaN and Infinity; comments; raw control characters
in strings; numbers with leading zeros or ending in a point; anything behind a complete value.  A `\\u` escape that is
half of a surrogate pair reads as U+FFFD.  Keys must be quoted.

Source: observed answers of OpenSIPS 4.1 (docs/language.md, JSON).
"""

from __future__ import annotations

import re
from typing import Final

from .document import MAX_DEPTH, BadJson, Json, NumberText

_blank = re.compile(r"(?:[ \t\n\r\f\v]|/\*.*?\*/|//[^\n]*+)*+", re.DOTALL).match
_number = re.compile(r"(-?[0-9]++(?:\.[0-9]*+)?+)([eE][+-]?[0-9]++)?+(?:[eE][+-]?)?+").match
_word = re.compile(r"(?:true|false|null|nan|-?infinity)", re.IGNORECASE | re.ASCII).match
_code_unit = re.compile(r"[0-9a-fA-F]{4}").match
_plain = {'"': re.compile(r'[^"\\]*+').match, "'": re.compile(r"[^'\\]*+").match}

_WORDS: Final[dict[str, Json]] = {
    "true": True,
    "false": False,
    "null": None,
    "nan": NumberText("NaN"),
    "infinity": NumberText("Infinity"),
    "-infinity": NumberText("-Infinity"),
}
_ESCAPES: Final = {'"': '"', "\\": "\\", "/": "/", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}
_MAX_DIGITS: Final = 4000
"""Digits of an integer; Python refuses to read and print more than 4300, so longer ones stay texts."""


def parse_lenient(text: str) -> Json:
    """The value that `text` begins with.  Raises BadJson."""
    return _Reader(text).value(0)


class _Reader:
    """One pass over a text; each method starts at `position` and leaves it behind what it has read."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.position = 0

    def refuse(self, expected: str) -> BadJson:
        found = self.text[self.position : self.position + 10]
        return BadJson(f"expected {expected} at {self.position}, found " + (f"'{found}'" if found else "the end"))

    def look(self) -> str:
        """The next character that is neither blank nor comment, "" at the end."""
        matched = _blank(self.text, self.position)
        if matched is not None:
            self.position = matched.end()
        return self.text[self.position : self.position + 1]

    def value(self, depth: int) -> Json:
        if depth > MAX_DEPTH:
            raise BadJson(f"more than {MAX_DEPTH} levels")
        match self.look():
            case "{":
                return self.object(depth)
            case "[":
                return self.array(depth)
            case '"' | "'":
                return self.string()
            case _:
                return self.word_or_number()

    def object(self, depth: int) -> Json:
        found: dict[str, Json] = {}
        self.position += 1
        while self.look() != "}":
            if self.look() not in _plain:
                raise self.refuse("a quoted name")
            key = self.string()
            if self.look() != ":":
                raise self.refuse("':'")
            self.position += 1
            found[key] = self.value(depth + 1)
            if not self.separator("}"):
                break
        self.position += 1
        return found

    def array(self, depth: int) -> Json:
        found: list[Json] = []
        self.position += 1
        while self.look() != "]":
            found.append(self.value(depth + 1))
            if not self.separator("]"):
                break
        self.position += 1
        return found

    def separator(self, end: str) -> bool:
        """Step over a comma; False when `end` stands there."""
        match self.look():
            case ",":
                self.position += 1
                return True
            case found if found == end:
                return False
            case _:
                raise self.refuse(f"',' or '{end}'")

    def string(self) -> str:
        quote = self.text[self.position]
        plain, pieces = _plain[quote], []
        self.position += 1
        while True:
            matched = plain(self.text, self.position)
            if matched is not None:
                pieces.append(matched.group())
                self.position = matched.end()
            match self.text[self.position : self.position + 1]:
                case "\\":
                    pieces.append(self.escape())
                case "":
                    raise self.refuse(f"the closing {quote}")
                case _:
                    self.position += 1
                    return "".join(pieces)

    def escape(self) -> str:
        letter = self.text[self.position + 1 : self.position + 2]
        if letter in _ESCAPES:
            self.position += 2
            return _ESCAPES[letter]
        unit = self.code_unit()
        if unit is None:
            raise self.refuse("an escape")
        self.position += 6
        if 0xD800 <= unit < 0xDC00:
            second = self.code_unit()
            if second is not None and 0xDC00 <= second < 0xE000:
                self.position += 6
                return chr(0x10000 + ((unit - 0xD800) << 10) + (second - 0xDC00))
        return "\ufffd" if 0xD800 <= unit < 0xE000 else chr(unit)

    def code_unit(self) -> int | None:
        """The number of a `\\uXXXX` that stands here, None when there is none."""
        if not self.text.startswith("\\u", self.position):
            return None
        matched = _code_unit(self.text, self.position + 2)
        return int(matched.group(), 16) if matched is not None else None

    def word_or_number(self) -> Json:
        matched = _word(self.text, self.position)
        if matched is not None:
            self.position = matched.end()
            return _WORDS[matched.group().lower()]
        matched = _number(self.text, self.position)
        if matched is None:
            raise self.refuse("a value")
        self.position = matched.end()
        number, exponent = matched.groups()
        if exponent is None and "." not in number and len(number) <= _MAX_DIGITS:
            return int(number)
        return NumberText(number + (exponent or ""))
