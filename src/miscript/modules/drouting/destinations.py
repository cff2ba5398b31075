"""Lists of gateways and carriers as tables and scripts write them: `gw1,gw4=10,#carrier3=80`.

`parse_destinations` gives the entries in their order, or raises `BadList` with what is wrong; nothing is looked up.

Source: OpenSIPS manual, module drouting, "Routing Rules" and "Carriers" (`gwlist`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

MAX_ENTRIES: Final = 1000
"""Entries of one list."""

MAX_WEIGHT: Final = 2**31 - 1

ID_CHARACTERS: Final = "_-."
"""What an id may have beside letters and digits, unless the parameter `extra_id_chars` says otherwise."""

_ENTRY = re.compile(r"\s*(#?)([^,=\s]+)\s*(?:=\s*([^,\s]*)\s*)?", re.ASCII)


class BadList(ValueError):
    """A text that is no list of gateways and carriers; says what was found and what was expected."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One entry: the id of a gateway or of a carrier, and its weight (0 when it has none)."""

    id: str
    weight: int = 0
    is_carrier: bool = False

    def __str__(self) -> str:
        return f"{'#' if self.is_carrier else ''}{self.id}{f'={self.weight}' if self.weight else ''}"


@lru_cache(maxsize=8)
def _not_in_ids(extra: str) -> re.Pattern[str]:
    return re.compile(f"[^A-Za-z0-9{re.escape(extra)}]" if extra else "[^A-Za-z0-9]")


@lru_cache(maxsize=8)
def plain_lists(extra: str = ID_CHARACTERS) -> re.Pattern[str]:
    """A pattern for most lists: what it matches whole is one, without a second look.

    Not all of them match: it knows neither blanks nor large weights, and no more than `MAX_ENTRIES` entries.
    """
    entry = f"#?[A-Za-z0-9{re.escape(extra)}]+(?:=[0-9]{{1,9}})?"
    return re.compile(f"(?:{entry}(?:,{entry}){{0,{MAX_ENTRIES - 1}}})?")


def bad_id(text: str, extra: str = ID_CHARACTERS) -> str | None:
    """What keeps `text` from being an id, None when it is one."""
    if not text:
        return "an id is empty"
    found = _not_in_ids(extra).search(text)
    return f"'{text}' has '{found[0]}' in it, which ids cannot have" if found else None


def parse_destinations(text: str, extra: str = ID_CHARACTERS) -> tuple[Listed, ...]:
    """Read a list; an empty text is an empty list, and a comma may end it.

    `extra` are the characters that ids may have beside letters and digits.  Raises `BadList`.
    """
    found: list[Listed] = []
    at, end = 0, len(text.rstrip())
    while at < end:
        entry = _ENTRY.match(text, at)
        if entry is None:
            raise BadList(f"'{text}': nothing at {at + 1}, expected the id of a gateway or '#' and that of a carrier")
        complaint = bad_id(entry[2], extra)
        if complaint is not None:
            raise BadList(f"'{text}': {complaint}")
        found.append(Listed(entry[2], _weight(entry[3], text), bool(entry[1])))
        if len(found) > MAX_ENTRIES:
            raise BadList(f"more than {MAX_ENTRIES} gateways and carriers in one list")
        at = entry.end()
        if at < end and text[at] != ",":
            raise BadList(f"'{text}': found '{text[at]}' at {at + 1}, expected ','")
        at += 1
    return tuple(found)


def _weight(digits: str | None, text: str) -> int:
    if digits is None:
        return 0
    if not (digits.isascii() and digits.isdecimal() and len(digits) <= 10 and int(digits) <= MAX_WEIGHT):
        raise BadList(f"'{text}': the weight is '{digits}', expected a number up to {MAX_WEIGHT}")
    return int(digits)
