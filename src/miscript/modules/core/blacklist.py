"""One blacklist: rules in their order, those that expire among them, and how the script declares it.

Source: OpenSIPS manual, "Core Parameters" (`dst_blacklist`); observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from ...errors import ConfigurationError
from .blacklist_rules import Address, Destination, Rule, parse_script_rule

READ_ONLY, EXPIRE, DEFAULT = "read-only", "expire", "default"


@dataclass(frozen=True, slots=True)
class Entry:
    """A rule in a list, until `ends` (a whole second of the monotonic clock) or for good."""

    rule: Rule
    ends: int | None = None

    def shown(self, now: float) -> dict[str, object]:
        """The entry as MI shows it, with the seconds that it still has."""
        return self.rule.shown() | ({} if self.ends is None else {"Expire": self.ends - int(now)})


@dataclass(slots=True)
class Blacklist:
    """One list; the first of its rules that matches counts.

    Rules are added at the end.  In an `expire` list those for good stand in front, the latest first, and behind them
    those that expire, sorted by their end like the server does it: the first of the list is not looked at.
    """

    name: str
    flags: tuple[str, ...]
    entries: list[Entry] = field(default_factory=list)
    owner: str = "script"
    _rules: set[Rule] = field(default_factory=set)
    _sorted: tuple[dict[Address, list[Entry]], list[Entry]] | None = None
    """The entries by the one address that they forbid, and all others; None when it is to be made anew."""

    def alive(self, now: float) -> list[Entry]:
        """The entries whose time is not over; the others are forgotten."""
        if any(entry.ends is not None and entry.ends <= now for entry in self.entries):
            self.entries = [entry for entry in self.entries if entry.ends is None or entry.ends > now]
            self._rules = {entry.rule for entry in self.entries}
            self._sorted = None
        return self.entries

    def __contains__(self, rule: Rule) -> bool:
        return rule in self._rules

    def declare(self, rule: Rule) -> None:
        """Add a rule of the script; those stay in the script's order."""
        self._rules.add(rule)
        self.entries.append(Entry(rule))
        self._sorted = None

    def add(self, entry: Entry) -> None:
        """Add a rule that is not there, in its place."""
        self._rules.add(entry.rule)
        self.entries.insert(self._place(entry.ends), entry)
        if self._sorted is not None:
            _sort_in(entry, self._sorted)

    def remove(self, rule: Rule) -> bool:
        """Remove a rule; False when it is not there."""
        if rule not in self._rules:
            return False
        self._rules.remove(rule)
        self.entries = [entry for entry in self.entries if entry.rule != rule]
        self._sorted = None
        return True

    def _place(self, ends: int | None) -> int:
        entries = self.entries
        if not entries or EXPIRE not in self.flags:
            return len(entries)
        if ends is None:
            return 0
        for_good = sum(entry.ends is None for entry in entries)
        behind = range(max(for_good, 1), len(entries))
        later = (place for place in behind if (entries[place].ends or 0) >= ends)
        return len(entries) if (entries[-1].ends or 0) <= ends else next(later, len(entries))

    def shown(self, now: float) -> dict[str, object]:
        """The list as MI shows it."""
        return {
            "name": self.name,
            "owner": self.owner,
            "flags": list(self.flags),
            "Rules": [entry.shown(now) for entry in self.alive(now)],
        }

    def match(self, destination: Destination, now: float) -> Entry | None:
        """The first entry that forbids `destination`."""
        return next((entry for entry in self.alive(now) if entry.rule.matches(destination)), None)

    @property
    def looks_at_text(self) -> bool:
        """Whether a rule has a pattern for what is sent."""
        return any(rule.pattern for rule in self._rules)

    def forbids(self, destination: Destination, now: float) -> bool:
        """Whether any entry forbids `destination`; lists of single hosts are not gone through for each message."""
        if self._sorted is None:
            self._sorted = ({}, [])
            for entry in self.entries:
                _sort_in(entry, self._sorted)
        hosts, others = self._sorted
        return any(
            entry.rule.matches(destination)
            for candidates in (hosts.get(destination.address, ()), others)
            for entry in candidates
            if entry.ends is None or entry.ends > now
        )


def _sort_in(entry: Entry, place: tuple[dict[Address, list[Entry]], list[Entry]]) -> None:
    hosts, others = place
    network = entry.rule.network
    if entry.rule.negated or network.prefixlen != network.max_prefixlen:
        others.append(entry)
    else:
        hosts.setdefault(network.network_address, []).append(entry)


def declared_list(name: str, options: Iterable[tuple[str, str | int | None]]) -> Blacklist:
    """A `dst_blacklist` of the script; `options` are its flags and its rules, as the tree has them.

    Raises ConfigurationError.
    """
    flags = {option for option, value in options if value is None}
    if {"readonly", EXPIRE} <= flags:
        raise ConfigurationError(f"dst_blacklist '{name}': a read-only list has no rules that expire")
    read_only = "readonly" in flags or not flags
    shown = (READ_ONLY,) * read_only + tuple(flag for flag in (EXPIRE, DEFAULT) if flag in flags)
    found = Blacklist(name, shown)
    for option, value in options:
        if option == "rule":
            try:
                rule = parse_script_rule(str(value))
            except ValueError as error:
                raise ConfigurationError(f"dst_blacklist '{name}': {error}") from error
            if rule in found:
                raise ConfigurationError(f"dst_blacklist '{name}': the rule {value} is there twice")
            found.declare(rule)
    return found
