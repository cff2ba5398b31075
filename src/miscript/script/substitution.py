r"""`/pattern/replacement/flags`, as `{re.subst}` and the functions of module textops take it.

The separator is the first character.  Flags: ``i`` ignore case, ``g`` all matches instead of the first one, ``s``
newlines are ordinary characters (without it ``^`` and ``$`` stand for the ends of lines and ``.`` matches no
newline).  In the replacement ``\0`` is the whole match, ``\1`` to ``\9`` are groups, ``\n \r \t`` control
characters, any other character behind a backslash is itself.  Where variables are allowed, ``$…`` is one and ``\u``
is the Request-URI.  Source: OpenSIPS manual, module textops and "Transformations".
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from ..values import encode
from .posix_regex import compile_pattern

_CONTROLS = {"n": b"\n", "r": b"\r", "t": b"\t"}
_FLAGS = frozenset("igs")


class SubstitutionError(ValueError):
    """A text that is no substitution, or a pattern that matches nothing at some place."""


class Change(NamedTuple):
    """Other bytes in place of those from `start` to `end`."""

    start: int
    end: int
    text: bytes


class Expression(str):
    """A text with variables in a replacement."""


Fill = Callable[[str], bytes]
"""Gives the text of an `Expression`."""


def _no_variables(text: str) -> bytes:
    return encode(text)


@dataclass(frozen=True, slots=True)
class Substitution:
    """A compiled `/pattern/replacement/flags`; a number in `replacement` is a group."""

    pattern: re.Pattern[bytes]
    replacement: tuple[bytes | int | Expression, ...]
    every: bool

    @classmethod
    def parse(cls, text: str, *, variables: bool = False) -> Substitution:
        """Read an expression.  Raises `SubstitutionError`, and `PatternError` for its pattern."""
        parts = _split(text)
        if parts is None:
            raise SubstitutionError(f"'{text}' is not of the form '/pattern/replacement/flags'")
        pattern, replacement, flags = parts
        if not pattern:
            raise SubstitutionError(f"'{text}' has no pattern")
        if not _FLAGS.issuperset(flags):
            raise SubstitutionError(f"'{flags}' are no flags, expected some of 'i', 'g' and 's'")
        compiled = compile_pattern(pattern, "i" in flags, lines="s" not in flags)
        return cls(compiled, _pieces(replacement, variables), "g" in flags)

    def changes(self, data: bytes, fill: Fill = _no_variables, *, longest: int = 1 << 20) -> list[Change]:
        """What it changes in `data`, from front to back; empty when nothing matches.

        Raises `SubstitutionError`: a match is empty, or what is put in is longer than `longest` bytes.
        """
        found: list[Change] = []
        size = 0
        for match in self.pattern.finditer(data):
            if match.start() == match.end():
                raise SubstitutionError("the pattern matches nothing at some place")
            found.append(Change(match.start(), match.end(), self._replaced(match, fill)))
            size += len(found[-1].text)
            if size > longest:
                raise SubstitutionError(f"more than {longest} bytes would be put in")
            if not self.every:
                break
        return found

    def _replaced(self, match: re.Match[bytes], fill: Fill) -> bytes:
        parts = []
        for piece in self.replacement:
            if isinstance(piece, bytes):
                parts.append(piece)
            elif isinstance(piece, int):
                parts.append((match[piece] or b"") if piece <= match.re.groups else b"")
            else:
                parts.append(fill(piece))
        return b"".join(parts)


def changed(data: bytes, changes: list[Change]) -> bytes:
    """`data` with changes that are in order."""
    parts: list[bytes] = []
    at = 0
    for change in changes:
        parts += (data[at : change.start], change.text)
        at = change.end
    return b"".join(parts) + data[at:]


def _split(text: str) -> tuple[str, str, str] | None:
    """Pattern, replacement and flags; a separator behind a backslash is an ordinary character."""
    separator = text[:1]
    if not separator or separator == "\\":
        return None
    parts: list[str] = []
    start = at = 1
    while at < len(text) and len(parts) < 2:
        if text[at] == "\\" and at + 1 < len(text):
            at += 2
        elif text[at] == separator:
            parts.append(text[start:at].replace(f"\\{separator}", separator))
            at += 1
            start = at
        else:
            at += 1
    return (parts[0], parts[1], text[start:]) if len(parts) == 2 else None


def _pieces(replacement: str, variables: bool) -> tuple[bytes | int | Expression, ...]:
    pieces: list[bytes | int | Expression] = []
    for text, escaped in re.findall(r"([^\\]+)|\\(.?)", replacement, re.DOTALL):
        if text:
            pieces.append(Expression(text) if variables and "$" in text else encode(text))
        elif "0" <= escaped <= "9":
            pieces.append(int(escaped))
        elif escaped == "u" and variables:
            pieces.append(Expression("$ru"))
        else:
            pieces.append(_CONTROLS.get(escaped) or encode(escaped))
    return tuple(pieces)
