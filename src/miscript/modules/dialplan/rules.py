r"""The rules of a dialplan: what matches, and what comes of it.

A rule matches a text that is equal to its expression, or one that a Perl-compatible regular expression finds something
in.  Its output is the replacement, in which `\0` to `\9` stand for what the substitution expression found; without a
substitution expression the replacement is taken as it is; without a replacement there is no output.

Source: OpenSIPS manual, module dialplan; observed results of OpenSIPS 4.1.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import Final, TypeAlias

from ...pcre import PcreError, PcreMatch, PcreOption, PcrePattern
from ...time_recurrence import TimeCondition
from ...values import decode, encode

MAX_OUTPUT: Final = 1024
"""Bytes of an output."""

Template: TypeAlias = tuple[bytes | int, ...]
"""What a replacement is made of: bytes, and numbers of groups."""


class TranslationError(ValueError):
    """A rule matches, and nothing can be made of it."""


def replacement(text: str) -> Template:
    r"""The pieces of a replacement; a backslash before anything but a digit makes that character an ordinary one."""
    pieces: list[bytes | int] = []
    for plain, escaped in re.findall(r"([^\\]+)|\\(.?)", text, re.DOTALL):
        if plain:
            pieces.append(encode(plain))
        elif escaped in set("0123456789"):
            pieces.append(int(escaped))
        else:
            pieces.append(encode(escaped or "\\"))
    return tuple(pieces)


@dataclass(frozen=True, slots=True)
class Rule:
    """One row.  `match` is a pattern, or the text that must be equal (folded, when `caseless`)."""

    number: int
    priority: int
    match: PcrePattern | bytes
    caseless: bool
    subst: PcrePattern | None
    template: Template | None
    attributes: str
    when: TimeCondition | None

    @property
    def order(self) -> tuple[int, int]:
        return self.priority, self.number

    def matches(self, data: bytes, now: float) -> bool:
        """Whether a text matches at this time.  Raises TranslationError for a match that takes too long."""
        if isinstance(self.match, bytes):
            found = (data.lower() if self.caseless else data) == self.match
        else:
            found = _search(self.match, data) is not None
        return found and (self.when is None or self.when.matches(now))

    def output(self, data: bytes) -> str | None:
        """What a text that matches becomes; None when the rule says nothing of it.  Raises TranslationError."""
        if self.template is None:
            return None
        groups = [data]
        if self.subst is not None:
            found = _search(self.subst, data)
            if found is None:
                raise TranslationError(f"'{decode(data)}' matches, but not the substitution '{self.subst.pattern}'")
            groups = [found.group(number) for number in range(self.subst.groups + 1)]
        made = b"".join([piece if isinstance(piece, bytes) else groups[piece] for piece in self.template])
        if len(made) > MAX_OUTPUT:
            raise TranslationError(f"the output has {len(made)} bytes, at most {MAX_OUTPUT} are made")
        return decode(made)


def _search(pattern: PcrePattern, data: bytes) -> PcreMatch | None:
    try:
        return pattern.search(data)
    except PcreError as error:
        raise TranslationError(str(error)) from error


@dataclass(slots=True)
class RuleSet:
    """The rules of one dialplan id.  Equal texts are found at once, patterns are tried in their order."""

    patterns: list[Rule] = field(default_factory=list)
    texts: dict[bytes, list[Rule]] = field(default_factory=dict)
    folded: dict[bytes, list[Rule]] = field(default_factory=dict)

    def add(self, rule: Rule) -> None:
        """One more rule; they come in their order."""
        if isinstance(rule.match, bytes):
            (self.folded if rule.caseless else self.texts).setdefault(rule.match, []).append(rule)
        else:
            self.patterns.append(rule)

    def find(self, text: str, now: float) -> Rule | None:
        """The rule of the smallest priority, then number, that matches.  Raises TranslationError."""
        data = encode(text)
        equal = next((rule for rule in self._equal(data) if rule.matches(data, now)), None)
        for rule in self.patterns:
            if equal is not None and equal.order < rule.order:
                break
            if rule.matches(data, now):
                return rule
        return equal

    def _equal(self, data: bytes) -> Iterator[Rule]:
        found = chain(self.texts.get(data, ()), self.folded.get(data.lower(), ()))
        return iter(sorted(found, key=lambda rule: rule.order))


def compiled(text: str, caseless: bool) -> PcrePattern:
    """A pattern of a rule.  Raises ValueError."""
    return PcrePattern(text, PcreOption.CASELESS if caseless else PcreOption.NONE)
