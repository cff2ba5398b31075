r"""`{re.subst,/pattern/replacement/flags}`: replace what a POSIX extended regular expression matches.

The separator is the first character.  Flags: ``i`` ignore case, ``g`` all matches instead of the first one, ``s``
newlines are ordinary characters (without it ``^`` and ``$`` stand for the ends of lines and ``.`` matches no
newline).  In the replacement ``\0`` is the whole match, ``\1`` to ``\9`` are groups, ``\n \r \t`` control
characters, any other character behind a backslash is itself.  A pattern that matches nothing at some place gives
NULL, as in the reference server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

from ....script.posix_regex import PatternError, compile_pattern
from ....values import Value, decode, encode
from .table import MAX_LENGTH, text_transformation

_CACHED = 256
_CONTROLS = {"n": b"\n", "r": b"\r", "t": b"\t"}
_FLAGS = frozenset("igs")


@dataclass(frozen=True, slots=True)
class Substitution:
    """A compiled `/pattern/replacement/flags`; a number in `replacement` is a group."""

    pattern: re.Pattern[bytes]
    replacement: tuple[bytes | int, ...]
    every: bool

    @classmethod
    def parse(cls, text: str) -> Substitution | None:
        """Read an expression; None when it is not one."""
        parts = _split(text)
        if parts is None:
            return None
        pattern, replacement, flags = parts
        if not pattern or not _FLAGS.issuperset(flags):
            return None
        try:
            compiled = compile_pattern(pattern, "i" in flags, lines="s" not in flags)
        except PatternError:
            return None
        return cls(compiled, _pieces(replacement), "g" in flags)

    def apply(self, text: str) -> Value:
        """`text` with its match or matches replaced, or None when one of them is empty."""
        data = encode(text)
        parts: list[bytes] = []
        size = at = 0
        for found in self.pattern.finditer(data):
            if found.start() == found.end():
                return None
            parts += (data[at : found.start()], self._replaced(found))
            size += len(parts[-1])
            at = found.end()
            if not self.every:
                break
            if size > MAX_LENGTH:
                return None
        return decode(b"".join(parts) + data[at:]) if parts else text

    def _replaced(self, found: re.Match[bytes]) -> bytes:
        return b"".join(
            piece if isinstance(piece, bytes) else (found[piece] or b"") if piece <= found.re.groups else b""
            for piece in self.replacement
        )


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


def _pieces(replacement: str) -> tuple[bytes | int, ...]:
    pieces: list[bytes | int] = []
    for text, escaped in re.findall(r"([^\\]+)|\\(.?)", replacement, re.DOTALL):
        if text:
            pieces.append(encode(text))
        elif "0" <= escaped <= "9":
            pieces.append(int(escaped))
        else:
            pieces.append(_CONTROLS.get(escaped) or encode(escaped))
    return tuple(pieces)


_parse = lru_cache(_CACHED)(Substitution.parse)


@text_transformation("re", "subst", kinds=("string",), keeps=True)
def re_subst(text: str, expression: str) -> Value:
    """Replace what a regular expression matches: `/pattern/replacement/flags`."""
    substitution = _parse(expression)
    return None if substitution is None or not text else substitution.apply(text)
