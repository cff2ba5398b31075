"""Blacklists: destinations that nothing is sent to.

The script declares them (`dst_blacklist = NAME/flags:{rules}`); MI and the script look into them, and change those
that are not read-only.  A list without flags is read-only; `expire` lists take rules that last for some seconds,
`default` ones count without being asked for.

Source: OpenSIPS manual, "Core Parameters" (`dst_blacklist`), "Core Functions", "Management Interface"; observed
answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...errors import ConfigurationError, MIError
from ...exports import mi_command, script_function
from ...mi.command import NO_RESULT
from ...mi.parameters import Raw, integer_or_none, text_or_none
from ...script.runtime import Run
from ...services import Services
from ...sip.sockets import Target
from .blacklist_rules import (
    Address,
    Destination,
    Rule,
    parse_address,
    parse_mi_rule,
    parse_network,
    parse_port,
    parse_protocol,
    parse_script_rule,
)
from .part import CorePart

OK: Final = "OK"
READ_ONLY, EXPIRE, DEFAULT = "read-only", "expire", "default"
MAX_RULES: Final = 100_000
"""Rules of one list: scripts can make them out of what the network sends."""

log = logging.getLogger("miscript.blacklists")

_LEFT_OUT: Final = object()


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

    def alive(self, now: float) -> list[Entry]:
        """The entries whose time is not over; the others are forgotten."""
        if any(entry.ends is not None and entry.ends <= now for entry in self.entries):
            self.entries = [entry for entry in self.entries if entry.ends is None or entry.ends > now]
            self._rules = {entry.rule for entry in self.entries}
        return self.entries

    def __contains__(self, rule: Rule) -> bool:
        return rule in self._rules

    def declare(self, rule: Rule) -> None:
        """Add a rule of the script; those stay in the script's order."""
        self._rules.add(rule)
        self.entries.append(Entry(rule))

    def add(self, entry: Entry) -> None:
        """Add a rule that is not there, in its place."""
        self._rules.add(entry.rule)
        self.entries.insert(self._place(entry.ends), entry)

    def remove(self, rule: Rule) -> bool:
        """Remove a rule; False when it is not there."""
        if rule not in self._rules:
            return False
        self._rules.remove(rule)
        self.entries = [entry for entry in self.entries if entry.rule != rule]
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


class CoreBlacklists(CorePart):
    """The group `blacklists` of the Management Interface, and the functions that need no message."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.blacklists: dict[str, Blacklist] = {}
        services.provide("blacklists", self)

    def init(self) -> None:
        """Read the lists of the script.  Raises ConfigurationError."""
        super().init()
        self.blacklists = {name: declared_list(name, options) for name, options in self.services.blacklists}

    def replace(self, name: str, owner: str, targets: Sequence[Target]) -> None:
        """Let a list of a module hold just these places (see `miscript.blacklist_service`).

        Raises ConfigurationError when the list belongs to somebody else.
        """
        known = self.blacklists.get(name)
        if known is not None and known.owner != owner:
            raise ConfigurationError(f"the blacklist '{name}' of {owner} is there already, of {known.owner}")
        found = Blacklist(name, (), owner=owner)
        for target in targets[:MAX_RULES]:
            rule = Rule(parse_network(target.address), target.transport, target.port)
            if rule not in found:
                found.declare(rule)
        self.blacklists[name] = found

    def _blacklist_time(self) -> float:
        return self.services.clock.monotonic()

    # -- commands -------------------------------------------------------------------------------------------------

    @mi_command("list", "", "name", aliases=["list_blacklists"], module="blacklists", read_only=True)
    def mi_list_blacklists(self, name: Raw = _LEFT_OUT) -> object:
        """lists the rules of all blacklists, or of one"""
        if name is _LEFT_OUT:
            return {"Lists": [found.shown(self._blacklist_time()) for found in self.blacklists.values()]}
        wanted = text_or_none(name)
        if wanted is None:
            return NO_RESULT
        found = self.blacklists.get(wanted)
        if found is None:
            raise MIError(404, "Unknown name")
        return found.shown(self._blacklist_time())

    @mi_command(
        "check_all",
        "ip",
        "proto ip",
        "proto ip port",
        "proto ip port pattern",
        aliases=["check_blacklists"],
        module="blacklists",
        read_only=True,
    )
    def mi_check_blacklists(self, ip: Raw, proto: Raw = _LEFT_OUT, port: Raw = 0, pattern: Raw = "") -> object:
        """lists the blacklists that forbid a destination"""
        destination = _destination(ip, proto, port, pattern)
        return [name for name, found in self.blacklists.items() if found.match(destination, self._blacklist_time())]

    @mi_command(
        "check",
        "name ip",
        "name proto ip",
        "name proto ip port",
        "name proto ip port pattern",
        aliases=["check_blacklist"],
        module="blacklists",
        read_only=True,
    )
    def mi_check_blacklist(
        self, name: Raw, ip: Raw, proto: Raw = _LEFT_OUT, port: Raw = 0, pattern: Raw = ""
    ) -> object:
        """shows the rule of a blacklist that forbids a destination"""
        _address(ip)
        found = self._blacklist(name)
        now = self._blacklist_time()
        entry = found.match(_destination(ip, proto, port, pattern), now)
        if entry is None:
            raise MIError(404, "Not Matched")
        return entry.shown(now)

    @mi_command("add_rule", "name rule", "name rule expire", aliases=["add_blacklist_rule"], module="blacklists")
    def mi_add_blacklist_rule(self, name: Raw, rule: Raw, expire: Raw = _LEFT_OUT) -> object:
        """adds a rule to a blacklist, for good or for as many seconds as given"""
        found = self._changeable_blacklist(name)
        parsed = _rule(rule)
        lifetime = 0
        if expire is not _LEFT_OUT:
            seconds = integer_or_none(expire)
            if seconds is None:
                return NO_RESULT
            lifetime = seconds
            if lifetime <= 0:
                raise MIError(404, "Bad expire value")
            if EXPIRE not in found.flags:
                raise MIError(404, "Blacklist without expire support")
        if not self._add_rule(found, parsed, lifetime):
            raise MIError(500, "Too many rules")
        return OK

    @mi_command("del_rule", "name rule", aliases=["del_blacklist_rule"], module="blacklists")
    def mi_del_blacklist_rule(self, name: Raw, rule: Raw) -> object:
        """removes a rule from a blacklist"""
        found = self._changeable_blacklist(name)
        if not found.remove(_rule(rule)):
            raise MIError(404, "Rule not found")
        return OK

    def _blacklist(self, name: Raw) -> Blacklist:
        found = self.blacklists.get(text_or_none(name) or "")
        if found is None:
            raise MIError(400, "Missing or bad blacklist name")
        return found

    def _changeable_blacklist(self, name: Raw) -> Blacklist:
        found = self._blacklist(name)
        if READ_ONLY in found.flags:
            raise MIError(403, "Cannot modify read-only blacklist")
        return found

    def _add_rule(self, found: Blacklist, rule: Rule, lifetime: int) -> bool:
        """Add a rule; one that is there stays as it is.  False when the list is full."""
        now = self._blacklist_time()
        count = len(found.alive(now))
        if rule in found:
            return True
        if count >= MAX_RULES:
            log.error("blacklist '%s' has %d rules; no more are taken", found.name, MAX_RULES)
            return False
        found.add(Entry(rule, int(now) + lifetime if lifetime else None))
        return True

    # -- functions ------------------------------------------------------------------------------------------------

    @script_function()
    def check_blacklist_rule(
        self, run: Run, name: str, ip: str, port: int = 0, proto: str | None = None, pattern: str | None = None
    ) -> int:
        """Whether a blacklist forbids a destination."""
        found = self.blacklists.get(name)
        try:
            destination = Destination(parse_address(ip), _protocol(proto), port, pattern or "")
        except ValueError as error:
            return self._rule_refused("check_blacklist_rule", name, error)
        if found is None:
            return self._rule_refused("check_blacklist_rule", name, "there is no such list")
        return 1 if found.match(destination, self._blacklist_time()) else -1

    @script_function()
    def add_blacklist_rule(
        self,
        run: Run,
        name: str,
        network: str,
        port: int = 0,
        proto: str | None = None,
        pattern: str | None = None,
        expire: int = 0,
    ) -> int:
        """Add a rule to a blacklist, for good or for `expire` seconds."""
        found = self.blacklists.get(name)
        if found is None or READ_ONLY in found.flags:
            return self._rule_refused("add_blacklist_rule", name, "there is no such list, or it is read-only")
        if expire < 0 or (expire and EXPIRE not in found.flags):
            return self._rule_refused("add_blacklist_rule", name, f"its rules cannot expire after {expire} seconds")
        try:
            rule = _rule_of(network, port, proto, pattern)
        except ValueError as error:
            return self._rule_refused("add_blacklist_rule", name, error)
        return 1 if self._add_rule(found, rule, expire) else -1

    @script_function()
    def del_blacklist_rule(
        self, run: Run, name: str, network: str, port: int = 0, proto: str | None = None, pattern: str | None = None
    ) -> int:
        """Remove a rule from a blacklist."""
        found = self.blacklists.get(name)
        if found is None or READ_ONLY in found.flags:
            return self._rule_refused("del_blacklist_rule", name, "there is no such list, or it is read-only")
        try:
            rule = _rule_of(network, port, proto, pattern)
        except ValueError as error:
            return self._rule_refused("del_blacklist_rule", name, error)
        return 1 if found.remove(rule) else -1

    def _rule_refused(self, what: str, name: str, why: object) -> int:
        log.error("%s('%s'): %s", what, name, why)
        return -1


def _rule_of(network: str, port: int, proto: str | None, pattern: str | None) -> Rule:
    return Rule(
        parse_network(network.removeprefix("!")),
        _protocol(proto) or "any",
        parse_port(str(port)),
        pattern or "",
        network.startswith("!"),
    )


def _protocol(text: str | None) -> str | None:
    return parse_protocol(text) if text and text.lower() != "any" else None


def _address(ip: Raw) -> Address:
    try:
        return parse_address(text_or_none(ip) or "")
    except ValueError as error:
        raise MIError(400, "Missing or bad IP") from error


def _destination(ip: Raw, proto: Raw, port: Raw, pattern: Raw) -> Destination:
    address = _address(ip)
    number, text = integer_or_none(port), text_or_none(pattern)
    try:
        protocol = None if proto is _LEFT_OUT else parse_protocol(text_or_none(proto) or "")
    except ValueError as error:
        raise MIError(404, "Bad params") from error
    if number is None or text is None:
        raise MIError(404, "Bad params")
    return Destination(address, protocol, number, text)


def _rule(text: Raw) -> Rule:
    try:
        return parse_mi_rule(text_or_none(text) or "")
    except ValueError as error:
        raise MIError(404, "Bad rule") from error
