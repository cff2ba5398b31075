"""Lists of parameters, `;name=value;flag`, as URIs and many header fields have them.

Names are compared without regard to case, values as they are.  A value in quotes is held without them, its
escapes as they were written.  Source: RFC 3261 section 7.3.1 and 25.1 (`generic-param`).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

from ..late_pattern import late_pattern
from .syntax import CACHED_LENGTH, CACHED_VALUES, QUOTED, SipSyntaxError, found_at, skip_blanks

MAX_PARAMETERS = 256
"""Most parameters in one list; a longer one is refused."""

_NAME = late_pattern(r'[^\x00-\x20;=,"<>()\x7f]*')
_VALUE = late_pattern(r"[^\x00-\x20;,\x7f]+")
_PLAIN_LIST = late_pattern(r"""[^\x00-\x20;=,"<>()\x7f]+(?:=[^\x00-\x20;,"()\x7f]+)?
    (?:;[^\x00-\x20;=,"<>()\x7f]+(?:=[^\x00-\x20;,"()\x7f]+)?)*(?=[,(]|\Z)""", re.VERBOSE)  # fmt: skip
_PLAIN_VALUE = late_pattern(r'[^\x00-\x20;,"<>()?=\x7f]+')  # what we write without quotes


class Parameter(NamedTuple):
    """`name`, `name=value` or `name="value"`; `value` is None for the first form."""

    name: str
    value: str | None = None
    quoted: bool = False

    def __str__(self) -> str:
        if self.value is None:
            return self.name
        return f'{self.name}="{self.value}"' if self.quoted else f"{self.name}={self.value}"


@dataclass(frozen=True, slots=True)
class Parameters:
    """Parameters in the order in which they were written."""

    items: tuple[Parameter, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Parameters:
        """Read `a=1;b`, without a semicolon in front.  An empty text has no parameters.

        Raises `SipSyntaxError`: nothing behind the last semicolon, a value that is missing, not closed or has
        blanks in it without quotes, more than `MAX_PARAMETERS`.
        """
        return _parse_cached(text) if len(text) <= CACHED_LENGTH else _parse(text)

    def __str__(self) -> str:
        return ";".join(map(str, self.items))

    def __iter__(self) -> Iterator[Parameter]:
        return iter(self.items)

    def __len__(self) -> int:
        return len(self.items)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and self.get(name) is not None

    def get(self, name: str) -> str | None:
        """The value of the first parameter `name`: "" when it has none, None when there is no such parameter."""
        for written, value, _ in self.items:
            if written == name or written.lower() == name.lower():
                return value or ""
        return None

    def with_value(self, name: str, value: str | None) -> Parameters:
        """A list in which `name` has this value (None: it is there without one), in its place or at the end.

        A value that cannot stand without quotes gets them; its escapes are the caller's.  Raises `SipSyntaxError`
        when name or value cannot be written.
        """
        new = Parameter(name, value, quoted=value is not None and not _PLAIN_VALUE.fullmatch(value))
        if not name or _parse_parameter(str(new), 0) != (new, len(str(new))):
            raise SipSyntaxError(f"'{new}' cannot be a parameter", 0)
        wanted = name.lower()
        places = [n for n, item in enumerate(self.items) if item.name.lower() == wanted]
        if not places:
            return Parameters((*self.items, new))
        kept = [item for n, item in enumerate(self.items) if n not in places[1:]]
        kept[places[0]] = new
        return Parameters(tuple(kept))

    def without(self, name: str) -> Parameters:
        """A list in which `name` does not occur."""
        wanted = name.lower()
        return Parameters(tuple(item for item in self.items if item.name.lower() != wanted))


NO_PARAMETERS = Parameters()


def _parse(text: str) -> Parameters:
    if not text:
        return NO_PARAMETERS
    found, at = parse_parameters(text, 0)
    if at < len(text):
        raise SipSyntaxError(f"expected ';' or the end, found {found_at(text, at)}", at)
    return found


_parse_cached = lru_cache(maxsize=CACHED_VALUES)(_parse)


def parse_parameters(text: str, at: int, ends: str = "") -> tuple[Parameters, int]:
    """The parameters from `at` (behind the first semicolon) up to the end or one of the characters in `ends`."""
    plain = _PLAIN_LIST.match(text, at)
    if plain is not None and (plain.end() == len(text) or text[plain.end()] in ends):
        parts = plain[0].split(";")
        if len(parts) <= MAX_PARAMETERS:
            return Parameters(tuple([_plain_parameter(part) for part in parts])), plain.end()
    items: list[Parameter] = []
    while True:
        item, at = _parse_parameter(text, skip_blanks(text, at))
        items.append(item)
        if len(items) > MAX_PARAMETERS:
            raise SipSyntaxError(f"more than {MAX_PARAMETERS} parameters", at)
        if at >= len(text) or text[at] in ends:
            if not item.name:
                raise SipSyntaxError("expected a parameter behind ';'", at)
            return Parameters(tuple(items)), at
        if text[at] != ";":
            raise SipSyntaxError(f"expected ';' or the end, found {found_at(text, at)}", at)
        at += 1


def _plain_parameter(text: str) -> Parameter:
    name, equals, value = text.partition("=")
    return Parameter(name, value if equals else None)


def _parse_parameter(text: str, at: int) -> tuple[Parameter, int]:
    """One parameter and the position of what follows it, blanks skipped; an empty one (`;;`) has no name."""
    start = at
    found = _NAME.match(text, at)
    name = found[0] if found else ""
    at = skip_blanks(text, at + len(name))
    if at >= len(text) or text[at] != "=":
        return Parameter(name), at
    if not name:
        raise SipSyntaxError("expected the name of a parameter, found '='", start)
    at = skip_blanks(text, at + 1)
    if text.startswith('"', at):
        quoted = QUOTED.match(text, at)
        if quoted is None:
            raise SipSyntaxError("a quoted value is not closed", at)
        return Parameter(name, quoted[1], quoted=True), skip_blanks(text, quoted.end())
    plain = _VALUE.match(text, at)
    if plain is None:
        raise SipSyntaxError(f"expected a value for '{name}', found {found_at(text, at)}", at)
    return Parameter(name, plain[0]), skip_blanks(text, plain.end())
