"""Glob patterns as fnmatch(3) has them without flags: `glob_matcher("user_*")`.

`*` any text, `?` one character, `[a-z]`, `[!a-z]` and `[[:digit:]]` one of a set, `\\*` a `*` itself; a bracket that
is not closed stands for itself.  Upper and lower case differ; nothing is special about `/` and leading points.

Source: POSIX.1-2017, XCU 2.13 "Pattern Matching Notation" and XSH fnmatch().
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Final

from .late_pattern import late_pattern

_CLASSES: Final = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r" \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": r"\x21-\x7e",
    "lower": "a-z",
    "print": r"\x20-\x7e",
    "punct": r"!-/:-@\[-`{-~",
    "space": r" \t\n\r\f\v",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}
_NOTHING: Final = "(?!)"
_class = late_pattern(r"\[:([a-z]+):\]").match
_bracket = late_pattern(r"\[([!^]?+)(\]?+(?:\[:[a-z]+:\]|\\.|[^\]\\])*+)\]", re.DOTALL).match
_element = late_pattern(r"\[:[a-z]+:\]|\\.|.", re.DOTALL).findall


@lru_cache(maxsize=64)
def glob_matcher(glob: str) -> Callable[[str], bool]:
    """A function that tells whether a text matches `glob`; it takes at most time of length times length."""
    pieces = [""]
    position = 0
    while position < len(glob):
        position = _take(glob, position, pieces)
    # what stands between two stars may be taken where it is first found, so there is never a way back
    first, *middle = pieces
    last = f".*{middle.pop()}" if middle else ""
    between = "".join(f"(?>.*?{piece})" for piece in middle if piece)
    match = re.compile(rf"{first}{between}{last}\Z", re.DOTALL).match
    return lambda text: match(text) is not None


def _take(glob: str, position: int, pieces: list[str]) -> int:
    """Translate what stands at `position`; gives where to go on."""
    found = glob[position]
    if found == "*":
        pieces.append("")
        return position + 1
    if found == "?":
        pieces[-1] += "."
        return position + 1
    if found == "\\":
        pieces[-1] += re.escape(glob[position + 1]) if position + 1 < len(glob) else _NOTHING
        return position + 2
    bracket = _bracket(glob, position) if found == "[" else None
    if bracket is None:
        pieces[-1] += re.escape(found)
        return position + 1
    pieces[-1] += _set(bracket.group(1) != "", _element(bracket.group(2)))
    return bracket.end()


def _set(inverted: bool, elements: list[str]) -> str:
    """A bracket expression as one of `re`."""
    found: list[str] = []
    while elements:
        first = elements.pop(0)
        named = _class(first)
        if named is not None:
            found.append(_CLASSES.get(named.group(1), ""))
        elif len(elements) >= 2 and elements[0] == "-" and _class(elements[1]) is None:
            elements.pop(0)
            low, high = first[-1], elements.pop(0)[-1]
            found.append(f"{re.escape(low)}-{re.escape(high)}" if low <= high else "")
        else:
            found.append(re.escape(first[-1]))
    inside = "".join(found)
    if not inside:
        return "." if inverted else _NOTHING
    return f"[{'^' if inverted else ''}{inside}]"
