"""The flags of `save()` and `lookup()`: `"no-reply, max-contacts=5"`.

Source: OpenSIPS manual, module registrar.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from typing import Final

from ...script.posix_regex import PatternError, compile_pattern
from ...sip.location import Match, Matching

SAVE_FLAGS: Final = frozenset(
    """
    memory-only no-reply max-contacts force-registration matching-mode path-off path-lazy path-strict path-received
    only-request-contacts socket-header min-expires max-expires
    """.split()
)
LOOKUP_FLAGS: Final = frozenset(
    """
    no-branches to-branches-only branch method-filtering ua-filtering case-insensitive extended-regexp global
    max-ping-latency sort-by-latency
    """.split()
)
WITH_VALUE: Final = frozenset(
    "max-contacts matching-mode min-expires max-expires ua-filtering max-ping-latency".split()
)

_FLAG = re.compile(r"\s*(?P<name>[A-Za-z-]+)\s*(?:=\s*(?P<value>/[^/]*/[a-z]*|[^,]*))?\s*(?:,|\Z)", re.ASCII)
_NUMBER = re.compile(r"[0-9]{1,9}", re.ASCII)


def parse_flags(text: str, known: Iterable[str]) -> dict[str, str]:
    """Flags by name with their values, "" for those without.  Raises ValueError: unknown, a value missing or not."""
    found: dict[str, str] = {}
    at, names = 0, frozenset(known)
    while at < len(text):
        flag = _FLAG.match(text, at)
        if flag is None:
            raise ValueError(f"expected a flag, found '{text[at : at + 20]}'")
        name, value = flag["name"].lower(), flag["value"]
        if name not in names:
            raise ValueError(f"unknown flag '{name}'")
        if (name in WITH_VALUE) is not bool(value):
            raise ValueError(f"flag '{name}' " + ("needs a value" if name in WITH_VALUE else "takes no value"))
        found[name] = (value or "").strip()
        at = flag.end()
    return found


class PathMode(Enum):
    """What is done with Path; without a mode it is not looked at."""

    OFF = "path-off"
    LAZY = "path-lazy"
    STRICT = "path-strict"


@dataclass(frozen=True, slots=True)
class SaveOptions:
    """The flags of `save()`; None means: as the module's parameters say."""

    memory_only: bool = False
    no_reply: bool = False
    max_contacts: int | None = None
    force: bool = False
    matching: Matching | None = None
    path: PathMode | None = None
    path_received: bool = False
    only_request_contacts: bool = False
    socket_header: bool = False
    min_expires: int | None = None
    max_expires: int | None = None

    @classmethod
    def parse(cls, text: str) -> SaveOptions:
        """Raises ValueError."""
        flags = parse_flags(text, SAVE_FLAGS)
        return cls(
            memory_only="memory-only" in flags,
            no_reply="no-reply" in flags,
            max_contacts=_number(flags, "max-contacts"),
            force="force-registration" in flags,
            matching=_matching(flags.get("matching-mode")),
            path=next((mode for mode in PathMode if mode.value in flags), None),
            path_received="path-received" in flags,
            only_request_contacts="only-request-contacts" in flags,
            socket_header="socket-header" in flags,
            min_expires=_number(flags, "min-expires"),
            max_expires=_number(flags, "max-expires"),
        )


def _number(flags: dict[str, str], name: str) -> int | None:
    value = flags.get(name)
    if value is None:
        return None
    if not _NUMBER.fullmatch(value):
        raise ValueError(f"flag '{name}' needs a number, found '{value}'")
    return int(value)


def _matching(value: str | None) -> Matching | None:
    if value is None:
        return None
    if value.startswith("<") and value.endswith(">") and len(value) > 2:
        return value[1:-1]
    try:
        return Match(value)
    except ValueError:
        raise ValueError(f"matching-mode must be 0, 1 or <parameter>, found '{value}'") from None


@dataclass(frozen=True, slots=True)
class LookupOptions:
    """The flags of `lookup()`."""

    no_branches: bool = False
    to_branches_only: bool = False
    branches_too: bool = False
    method_filtering: bool = False
    agent: re.Pattern[bytes] | None = None
    max_latency: int | None = None
    fastest_first: bool = False

    @classmethod
    def parse(cls, text: str) -> LookupOptions:
        """Raises ValueError."""
        flags = parse_flags(text, LOOKUP_FLAGS)
        return cls(
            no_branches="no-branches" in flags,
            to_branches_only="to-branches-only" in flags,
            branches_too="branch" in flags,
            method_filtering="method-filtering" in flags,
            agent=_agent(flags.get("ua-filtering"), "case-insensitive" in flags),
            max_latency=_number(flags, "max-ping-latency"),
            fastest_first="sort-by-latency" in flags,
        )


def _agent(value: str | None, ignore_case: bool) -> re.Pattern[bytes] | None:
    if value is None:
        return None
    pattern, slash, more = value[1:].rpartition("/")
    if not value.startswith("/") or not slash or set(more) - set("ie"):
        raise ValueError(f"ua-filtering must be /pattern/, found '{value}'")
    try:
        return compile_pattern(pattern, ignore_case or "i" in more)
    except PatternError as error:
        raise ValueError(f"ua-filtering: {error}") from error
