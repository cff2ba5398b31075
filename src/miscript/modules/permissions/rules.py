"""Rules of the files `NAME.allow` and `NAME.deny`: who may call, or register, what.

```
from_list [EXCEPT from_list] : uri_list [EXCEPT uri_list]   # comment
```

A list is `ALL`, or expressions in double quotes with commas between: POSIX extended regular expressions that are
looked for anywhere in a URI, whatever the case of letters.

Source: OpenSIPS manual, module permissions; the comments of its sample file `permissions.allow`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...script.posix_regex import PatternError, compile_search

MAX_RULES: Final = 10_000

_TOKEN = re.compile(r'\s*(?:"(?P<quoted>[^"]*)"|(?P<word>[A-Za-z]+)|(?P<sign>[,:])|(?P<end>#.*|\Z))', re.DOTALL)

Search: TypeAlias = Callable[[str], bool]


class RuleError(ValueError):
    """A line that is no rule; its message says which and why."""


@dataclass(frozen=True, slots=True)
class Side:
    """One side of a rule; `expressions` None is ALL."""

    expressions: tuple[Search, ...] | None
    exceptions: tuple[Search, ...] | None = ()

    def matches(self, text: str) -> bool:
        return _any(self.expressions, text) and not _any(self.exceptions, text)


def _any(expressions: tuple[Search, ...] | None, text: str) -> bool:
    return expressions is None or any(search(text) for search in expressions)


@dataclass(frozen=True, slots=True)
class Rule:
    """A line: who, and what."""

    who: Side
    what: Side

    def matches(self, who: str, what: str) -> bool:
        return self.who.matches(who) and self.what.matches(what)


@dataclass(frozen=True, slots=True)
class Rules:
    """What the two files of one name say.  One that does not exist says nothing."""

    allow: tuple[Rule, ...] = ()
    deny: tuple[Rule, ...] = ()

    def permit(self, who: str, what: Iterable[str]) -> bool:
        """Whether `who` may have all of `what`: all are in the allow file, or none is in the deny file."""
        wanted = list(what)
        if self.allow and all(_matched(self.allow, who, one) for one in wanted):
            return True
        return not any(_matched(self.deny, who, one) for one in wanted)


def _matched(rules: tuple[Rule, ...], who: str, what: str) -> bool:
    return any(rule.matches(who, what) for rule in rules)


def parse_rules(text: str) -> tuple[Rule, ...]:
    """The rules of a file.  Raises RuleError."""
    found: list[Rule] = []
    for number, line in enumerate(text.splitlines(), 1):
        try:
            rule = parse_rule(line)
        except RuleError as error:
            raise RuleError(f"line {number}: {error}") from None
        if rule is not None:
            found.append(rule)
        if len(found) > MAX_RULES:
            raise RuleError(f"more than {MAX_RULES} rules")
    return tuple(found)


def parse_rule(line: str) -> Rule | None:
    """A rule; None for an empty line or one with a comment only.  Raises RuleError."""
    tokens = list(_tokens(line))
    if not tokens:
        return None
    at = tokens.index((":", "")) if (":", "") in tokens else len(tokens)
    who, what = tokens[:at], tokens[at + 1 :]
    if at == len(tokens):
        raise RuleError(f"expected 'FROM : URI', found no ':' in '{line.strip()}'")
    return Rule(_side(who, "before the ':'"), _side(what, "behind the ':'"))


Token: TypeAlias = tuple[str, str]
"""What it is (`quoted`, ALL, EXCEPT or a sign) and its text."""


def _tokens(line: str) -> Iterator[Token]:
    at = 0
    while True:
        found = _TOKEN.match(line, at)
        if found is None:
            raise RuleError(f"expected ALL, EXCEPT, ',', ':' or a text in double quotes at '{line[at:].strip()}'")
        if found["end"] is not None:
            return
        at = found.end()
        if found["quoted"] is not None:
            yield "quoted", found["quoted"]
        elif found["sign"]:
            yield found["sign"], ""
        elif (word := found["word"].upper()) in ("ALL", "EXCEPT"):
            yield word, ""
        else:
            raise RuleError(f"'{found['word']}' is neither ALL nor EXCEPT, and expressions stand in double quotes")


def _side(tokens: list[Token], where: str) -> Side:
    if ("EXCEPT", "") not in tokens:
        return Side(_expressions(tokens, where))
    at = tokens.index(("EXCEPT", ""))
    return Side(_expressions(tokens[:at], where), _expressions(tokens[at + 1 :], f"{where} and EXCEPT"))


def _expressions(tokens: list[Token], where: str) -> tuple[Search, ...] | None:
    """A list; None for ALL."""
    if tokens == [("ALL", "")]:
        return None
    between = all(kind == "," for kind, _ in tokens[1::2])
    if len(tokens) % 2 == 0 or not between or any(kind != "quoted" for kind, _ in tokens[::2]):
        raise RuleError(f"expected ALL, or texts in double quotes with commas between, {where}")
    return tuple(_search(text) for _, text in tokens[::2])


def _search(text: str) -> Search:
    try:
        return compile_search(text)
    except PatternError as error:
        raise RuleError(f"bad regular expression '{text}': {error}") from None
