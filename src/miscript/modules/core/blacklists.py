"""Blacklists: destinations that nothing is sent to.

The script declares them (`dst_blacklist = NAME/flags:{rules}`); MI and the script look into them, and change those
that are not read-only.  A list without flags is read-only; `expire` lists take rules that last for some seconds,
`default` ones count without being asked for.

Source: OpenSIPS manual, "Core Parameters" (`dst_blacklist`), "Core Functions", "Management Interface"; observed
answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from ...errors import ConfigurationError, MIError
from ...exports import mi_command, script_function
from ...script.runtime import Run
from ...services import Services
from .blacklist_rules import (
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


@dataclass(slots=True)
class Entry:
    """A rule in a list, until `ends` (of the monotonic clock) or for good; `lifetime` is what was asked for."""

    rule: Rule
    lifetime: int = 0
    ends: float | None = None

    def shown(self) -> dict[str, object]:
        """The entry as MI shows it."""
        return self.rule.shown() | ({"Expire": self.lifetime} if self.lifetime else {})


@dataclass(slots=True)
class Blacklist:
    """One list, its rules in the order in which they came."""

    name: str
    flags: tuple[str, ...]
    entries: dict[Rule, Entry] = field(default_factory=dict)
    owner: str = "script"

    def alive(self, now: float) -> list[Entry]:
        """The entries whose time is not over; the others are forgotten."""
        for rule in [rule for rule, entry in self.entries.items() if entry.ends is not None and entry.ends <= now]:
            del self.entries[rule]
        return list(self.entries.values())

    def shown(self, now: float) -> dict[str, object]:
        """The list as MI shows it."""
        return {
            "name": self.name,
            "owner": self.owner,
            "flags": list(self.flags),
            "Rules": [entry.shown() for entry in self.alive(now)],
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
            found.entries[rule] = Entry(rule)
    return found


class CoreBlacklists(CorePart):
    """The group `blacklists` of the Management Interface, and the functions that need no message."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.blacklists: dict[str, Blacklist] = {}

    def init(self) -> None:
        """Read the lists of the script.  Raises ConfigurationError."""
        super().init()
        self.blacklists = {name: declared_list(name, options) for name, options in self.services.blacklists}

    def _blacklist_time(self) -> float:
        return self.services.clock.monotonic()

    # -- commands -------------------------------------------------------------------------------------------------

    @mi_command("list", "", "name", aliases=["list_blacklists"], module="blacklists", read_only=True)
    def mi_list_blacklists(self, name: str | None = None) -> object:
        """lists the rules of all blacklists, or of one"""
        if name is None:
            return {"Lists": [found.shown(self._blacklist_time()) for found in self.blacklists.values()]}
        found = self.blacklists.get(name)
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
    def mi_check_blacklists(self, ip: str, proto: str | None = None, port: int = 0, pattern: str = "") -> object:
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
        self, name: str, ip: str, proto: str | None = None, port: int = 0, pattern: str = ""
    ) -> object:
        """shows the rule of a blacklist that forbids a destination"""
        _address(ip)
        found = self._blacklist(name)
        entry = found.match(_destination(ip, proto, port, pattern), self._blacklist_time())
        if entry is None:
            raise MIError(404, "Not Matched")
        return entry.shown()

    @mi_command("add_rule", "name rule", "name rule expire", aliases=["add_blacklist_rule"], module="blacklists")
    def mi_add_blacklist_rule(self, name: str, rule: str, expire: int | None = None) -> object:
        """adds a rule to a blacklist, for good or for as many seconds as given"""
        found = self._changeable_blacklist(name)
        if expire is not None:
            if EXPIRE not in found.flags:
                raise MIError(404, "Blacklist without expire support")
            if expire <= 0:
                raise MIError(404, "Bad expire value")
        if not self._add_rule(found, _rule(rule), expire or 0):
            raise MIError(500, "Too many rules")
        return OK

    @mi_command("del_rule", "name rule", aliases=["del_blacklist_rule"], module="blacklists")
    def mi_del_blacklist_rule(self, name: str, rule: str) -> object:
        """removes a rule from a blacklist"""
        found = self._changeable_blacklist(name)
        if found.entries.pop(_rule(rule), None) is None:
            raise MIError(404, "Rule not found")
        return OK

    def _blacklist(self, name: str) -> Blacklist:
        found = self.blacklists.get(name)
        if found is None:
            raise MIError(400, "Missing or bad blacklist name")
        return found

    def _changeable_blacklist(self, name: str) -> Blacklist:
        found = self._blacklist(name)
        if READ_ONLY in found.flags:
            raise MIError(403, "Cannot modify read-only blacklist")
        return found

    def _add_rule(self, found: Blacklist, rule: Rule, lifetime: int) -> bool:
        """Add a rule; one that is there stays as it is.  False when the list is full."""
        now = self._blacklist_time()
        if rule not in found.entries and len(found.alive(now)) >= MAX_RULES:
            log.error("blacklist '%s' has %d rules; no more are taken", found.name, MAX_RULES)
            return False
        found.entries.setdefault(rule, Entry(rule, lifetime, now + lifetime if lifetime else None))
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
        return 1 if found.entries.pop(rule, None) else -1

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


def _address(ip: str) -> None:
    try:
        parse_address(ip)
    except ValueError as error:
        raise MIError(400, "Missing or bad IP") from error


def _destination(ip: str, proto: str | None, port: int, pattern: str) -> Destination:
    _address(ip)
    try:
        protocol = None if proto is None else parse_protocol(proto)
    except ValueError as error:
        raise MIError(404, "Bad params") from error
    return Destination(parse_address(ip), protocol, port, pattern)


def _rule(text: str) -> Rule:
    try:
        return parse_mi_rule(text)
    except ValueError as error:
        raise MIError(404, "Bad rule") from error
