"""Routing rules by group and prefix, a million of them in little memory.

What a rule says stands in pages: arrays of numbers, and texts as bytes.  There is no object per rule,
which keeps a rule at about 150 bytes and gives the garbage collector nothing to look at.  Each group has an index from
prefix to rules, spread over many small dicts, so that none of them ever grows or is let go of in one long step.

`RuleTable.matches` gives the rules for a number, the best first: the longest prefix, and within it the highest
priority, then the order of the table.

Source: OpenSIPS manual, module drouting, "Routing Rules" and "Routing Rule Processing".
"""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple, TypeAlias

from ...values import decode, encode

MAX_GROUPS: Final = 1000
"""Groups of one rule."""

SHARDS: Final = 256
SPLIT_AT: Final = 4096
"""Prefixes of a group before they are spread over `SHARDS` dicts."""

MAX_KNOWN_TEXTS: Final = 4096
"""Texts that are recognised when they come again, so that they are kept once."""

PAGE: Final = 8192
"""Rules, or texts, that are kept in one piece of memory.  Pieces do not grow beyond that: memory that grows is copied,
and a copy of many megabytes takes milliseconds."""

COLUMNS: Final = 5
PRIORITY: Final = 1
"""A rule's numbers: its id, its priority, the numbers of its list, of its attributes and of its manner."""

FREED_AT_ONCE: Final = 2000
"""Entries whose memory is given back in one step: a fraction of a millisecond."""

MAX_DIGITS: Final = 10
"""Digits of a group."""

_GROUP = re.compile(rf"\s*([0-9]{{1,{MAX_DIGITS}}})\s*", re.ASCII)

LONG: Final = 32
"""Rules of one prefix from which on their places are an array: a new one then moves bytes, and copies nothing."""

Entry: TypeAlias = "int | tuple[int, ...] | array[int]"
"""The place of one rule, or of several with the same prefix, the best first."""


class Manner(NamedTuple):
    """How a rule is used: what few rules have of their own, and is kept once for all that have the same."""

    sorting: str = "N"
    route: str = ""
    time_recurrence: str = ""


PLAIN: Final = Manner()


class BadRule(ValueError):
    """A row that makes no rule; says why."""


class Rule(NamedTuple):
    """One rule and the prefix by which it was found; the texts are those of the table, "" for none."""

    id: int
    prefix: str
    priority: int
    gwlist: str
    attributes: str
    sorting: str
    route: str
    time_recurrence: str


def parse_groups(text: str) -> tuple[int, ...]:
    """The column `groupid`: numbers with commas between them.  Raises `BadRule`."""
    if text.isascii() and text.isdecimal() and len(text) <= MAX_DIGITS:
        return (int(text),)
    groups = []
    for part in text.split(","):
        found = _GROUP.fullmatch(part)
        if found is None:
            raise BadRule(f"groupid is '{text}', expected numbers with commas between them")
        groups.append(int(found[1]))
    if len(groups) > MAX_GROUPS:
        raise BadRule(f"more than {MAX_GROUPS} groups in one rule")
    return tuple(dict.fromkeys(groups))


@dataclass(slots=True)
class _Page:
    """Some texts, one behind the other; text number n ends at `ends[n + 1]`."""

    data: bytearray = field(default_factory=bytearray)
    ends: array[int] = field(default_factory=lambda: array("I", [0]))


class Texts:
    """A column of texts; what is equal and near is kept once.  Number 0 is the empty text."""

    __slots__ = ("_count", "_known", "_pages", "_read")

    def __init__(self) -> None:
        self._pages: list[_Page] = []
        self._count = 0
        self._known: dict[str, int] = {}
        self._read: dict[int, str] = {}
        self.add("")

    def add(self, text: str) -> int:
        """Keep a text; gives its number."""
        number = self._known.get(text)
        if number is None:
            number = self._count
            if not number % PAGE:
                self._pages.append(_Page())
            page = self._pages[-1]
            page.data += encode(text)
            page.ends.append(len(page.data))
            self._count += 1
            if len(self._known) >= MAX_KNOWN_TEXTS:
                self._known = {"": 0}
            self._known[text] = number
        return number

    def __getitem__(self, number: int) -> str:
        text = self._read.get(number)
        if text is None:
            page, place = self._pages[number // PAGE], number % PAGE
            text = decode(bytes(page.data[page.ends[place] : page.ends[place + 1]]))
            if len(self._read) >= MAX_KNOWN_TEXTS:
                self._read = {}
            self._read[number] = text
        return text

    def close(self) -> None:
        """No more will be added: forget what is only needed for that."""
        self._known = {}

    def dismantle(self) -> Iterator[None]:
        """Let go of everything, with a pause after each small step."""
        while self._pages:
            self._pages.pop()
            yield


class PrefixIndex:
    """The prefixes of one group, and the lengths that they have, the greatest first."""

    __slots__ = ("_shards", "lengths", "size")

    def __init__(self) -> None:
        self._shards: list[dict[str, Entry]] = [{}]
        self.size = 0
        self.lengths: tuple[int, ...] = ()

    def shard(self, prefix: str) -> dict[str, Entry]:
        """The dict that holds a prefix, or would."""
        shards = self._shards
        return shards[hash(prefix) % len(shards)]

    def add(self, prefix: str, place: int) -> Entry | None:
        """Put a rule in; when there is one with the same prefix, only give what is there."""
        known = self.shard(prefix).setdefault(prefix, place)
        if known is not place:
            return known
        self.size += 1
        if len(prefix) not in self.lengths:
            self.lengths = tuple(sorted((*self.lengths, len(prefix)), reverse=True))
        if self.size > SPLIT_AT and len(self._shards) == 1:
            self._split()
        return None

    def _split(self) -> None:
        whole = self._shards[0]
        self._shards = [{} for _ in range(SHARDS)]
        for prefix, entry in whole.items():
            self._shards[hash(prefix) % SHARDS][prefix] = entry

    def of(self, number: str, *, whole: bool = False) -> Iterator[tuple[str, Entry]]:
        """The prefixes of a number that have rules, the longest first; `whole`: only the number itself."""
        shards = self._shards
        count, most = len(shards), len(number)
        for length in (most,) if whole else self.lengths:
            if length <= most:
                prefix = number[:length]
                entry = shards[hash(prefix) % count].get(prefix)
                if entry is not None:
                    yield prefix, entry

    def dismantle(self) -> Iterator[None]:
        """Let go of everything, with a pause after each small step; the index is empty afterwards."""
        while self._shards:
            shard = self._shards.pop()
            while shard:
                for _ in range(min(FREED_AT_ONCE, len(shard))):
                    shard.popitem()
                yield
        self._shards = [{}]


class RuleTable:
    """All rules of a partition.  `prefix_characters` are those that prefixes may have beside digits."""

    def __init__(self, prefix_characters: str = "") -> None:
        self._groups: dict[int, PrefixIndex] = {}
        self._bad_prefix = re.compile(f"[^0-9{re.escape(prefix_characters)}]" if prefix_characters else "[^0-9]")
        self._pages: list[array[int]] = []
        self._count = 0
        self._texts = Texts()
        self._all_manners: list[Manner] = []
        self._manner_numbers: dict[Manner, int] = {}

    def __len__(self) -> int:
        return self._count

    @property
    def groups(self) -> list[int]:
        return list(self._groups)

    def add(
        self,
        id: int,
        groups: tuple[int, ...],
        prefix: str,
        priority: int,
        gwlist: str,
        attributes: str = "",
        manner: Manner = PLAIN,
    ) -> None:
        """A new rule, behind those of the same prefix and priority.

        Raises `BadRule` for a prefix with other characters; the rest of it is right.
        """
        if not (prefix.isascii() and prefix.isdecimal()):
            bad = self._bad_prefix.search(prefix)
            if bad is not None:
                raise BadRule(f"the prefix '{prefix}' has '{bad[0]}' in it, expected digits and extra_prefix_chars")
        number = self._manner_numbers.get(manner)
        if number is None:
            number = self._manner_numbers[manner] = len(self._all_manners)
            self._all_manners.append(manner)
        place = self._count
        if not place % PAGE:
            self._pages.append(array("q"))
        self._pages[-1].extend((id, priority, self._texts.add(gwlist), self._texts.add(attributes), number))
        self._count += 1
        for group in groups:
            index = self._groups.get(group)
            if index is None:
                index = self._groups[group] = PrefixIndex()
            known = index.add(prefix, place)
            if known is not None:
                index.shard(prefix)[prefix] = self._inserted(known, place)

    def _inserted(self, known: Entry, place: int) -> Entry:
        """The places with a new one among them: the highest priority first, equal ones as they came."""
        places = (known,) if isinstance(known, int) else known
        at = bisect_right(places, -self._priority(place), key=lambda other: -self._priority(other))
        if isinstance(places, tuple) and len(places) < LONG:
            return (*places[:at], place, *places[at:])
        grown = array("I", places) if isinstance(places, tuple) else places
        grown.insert(at, place)
        return grown

    def close(self) -> None:
        """No more rules will be added."""
        self._texts.close()

    def matches(self, group: int, number: str, *, whole: bool = False) -> Iterator[Rule]:
        """The rules of a group for a number, the best first; `whole`: the prefix must be all of the number."""
        index = self._groups.get(group)
        if index is None:
            return
        for prefix, entry in index.of(number, whole=whole):
            for place in (entry,) if isinstance(entry, int) else entry:
                yield self._rule(place, prefix)

    def _priority(self, place: int) -> int:
        return self._pages[place // PAGE][place % PAGE * COLUMNS + PRIORITY]

    def _rule(self, place: int, prefix: str) -> Rule:
        page, first, texts = self._pages[place // PAGE], place % PAGE * COLUMNS, self._texts
        id, priority, gwlist, attributes, manner = page[first : first + COLUMNS]
        return Rule(id, prefix, priority, texts[gwlist], texts[attributes], *self._all_manners[manner])

    def dismantle(self) -> Iterator[None]:
        """Let go of everything, with a pause after each small step.  The table is empty afterwards."""
        while self._groups:
            _, index = self._groups.popitem()
            yield from index.dismantle()
        self._count = 0
        while self._pages:
            self._pages.pop()
            yield
        yield from self._texts.dismantle()
