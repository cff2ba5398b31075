"""Blacklists: destinations that nothing is sent to.

The script declares them (`dst_blacklist = NAME/flags:{rules}`); MI and the script look into them, and change those
that are not read-only.  A list without flags is read-only; `expire` lists take rules that last for some seconds,
`default` ones count without being asked for, others where `use_blacklist` asks.  Who sends requests asks before it
does (`miscript.blacklist_service`).  With `disable_dns_blacklist = no` there is one more list, `dns`: places that
could not be reached stay in it for `DNS_SECONDS`.

Source: OpenSIPS manual, "Core Parameters" (`dst_blacklist`), "Core Functions", "Management Interface"; observed
answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from ipaddress import IPv6Address
from typing import Final

from ...blacklist_service import CHOSEN
from ...errors import ConfigurationError, MIError
from ...exports import BoundText, bound_function, mi_command, script_function
from ...mi.command import NO_RESULT
from ...mi.parameters import Raw, integer_or_none, text_or_none
from ...script.runtime import Run
from ...services import Services
from ...sip.sockets import Target
from ...values import decode
from .blacklist import DEFAULT, EXPIRE, READ_ONLY, Blacklist, Entry, declared_list
from .blacklist_rules import (
    Address,
    Destination,
    Rule,
    parse_address,
    parse_mi_rule,
    parse_network,
    parse_port,
    parse_protocol,
)
from .part import CorePart

OK: Final = "OK"
MAX_RULES: Final = 100_000
"""Rules of one list: scripts can make them out of what the network sends."""

DNS: Final = "dns"
DNS_SECONDS: Final = 240
MAX_UNREACHABLE: Final = 10_000
"""The list of what could not be reached, how long a place stays in it, and how many it takes."""

ALL: Final = "all"
"""In place of a name: every list, or for `check_blacklist_rule` every list in use."""

log = logging.getLogger("miscript.blacklists")

_LEFT_OUT: Final = object()


class CoreBlacklists(CorePart):
    """The group `blacklists` of the Management Interface, and the functions that need no message."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.blacklists: dict[str, Blacklist] = {}
        self._default: frozenset[str] = frozenset()
        services.provide("blacklists", self)

    def init(self) -> None:
        """Read the lists of the script.  Raises ConfigurationError."""
        super().init()
        self.blacklists = {name: declared_list(name, options) for name, options in self.services.blacklists}
        if not self.services.parameters.get("disable_dns_blacklist", 1):
            if DNS in self.blacklists:
                raise ConfigurationError(
                    f"dst_blacklist '{DNS}': the name is that of the list of disable_dns_blacklist"
                )
            self.blacklists[DNS] = Blacklist(DNS, (EXPIRE, DEFAULT), owner=DNS)
        self._default = frozenset(name for name, found in self.blacklists.items() if DEFAULT in found.flags)

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

    def chosen(self, run: Run | None = None) -> frozenset[str]:
        """The names of the lists that `run` uses; without one those that count without being asked for."""
        if run is None:
            return self._default
        found: frozenset[str] = run.data.get(CHOSEN, self._default)
        return found

    def without_learnt(self, chosen: frozenset[str]) -> frozenset[str]:
        """Those of the `chosen` lists that are not the list `dns` of ours."""
        learnt = self.blacklists.get(DNS)
        return chosen - {DNS} if learnt is not None and learnt.owner == DNS else chosen

    def forbids(self, chosen: frozenset[str], target: Target, data: bytes) -> bool:
        """Whether one of the lists forbids to send `data` to `target`."""
        used = [found for name in chosen if (found := self.blacklists.get(name)) is not None and found.entries]
        if not used:
            return False
        text = decode(data) if any(found.looks_at_text for found in used) else ""
        destination = Destination(_reached(target.address), target.transport, target.port, text)
        now = self._blacklist_time()
        forbidding = next((found.name for found in used if found.forbids(destination, now)), None)
        if forbidding is None:
            return False
        log.info("nothing is sent to %s: the blacklist '%s' forbids it", target, forbidding)
        return True

    def unreachable(self, target: Target) -> None:
        """Keep a place that could not be reached in the list `dns`, where there is one."""
        found = self.blacklists.get(DNS)
        if found is not None and found.owner == DNS:
            rule = Rule(parse_network(target.address), target.transport, target.port)
            self._add_rule(found, rule, DNS_SECONDS, MAX_UNREACHABLE)

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

    def _add_rule(self, found: Blacklist, rule: Rule, lifetime: int, most: int = MAX_RULES) -> bool:
        """Add a rule; one that is there stays as it is.  False when the list is full."""
        now = self._blacklist_time()
        count = len(found.alive(now))
        if rule in found:
            return True
        if count >= most:
            log.error("blacklist '%s' has %d rules; no more are taken", found.name, most)
            return False
        found.add(Entry(rule, int(now) + lifetime if lifetime else None))
        return True

    # -- functions ------------------------------------------------------------------------------------------------

    @bound_function()
    def use_blacklist(self, name: BoundText) -> Callable[[Run], int]:
        """Send nothing to what a list forbids, or with `all` any list, from here on and for this message only."""
        return self._choice("use_blacklist", name, frozenset.union)

    @bound_function()
    def unuse_blacklist(self, name: BoundText) -> Callable[[Run], int]:
        """Let a list, or with `all` every list, forbid nothing for this message, even one that counts by default."""
        return self._choice("unuse_blacklist", name, frozenset.difference)

    def _choice(
        self, function: str, name: BoundText, change: Callable[[frozenset[str], frozenset[str]], frozenset[str]]
    ) -> Callable[[Run], int]:
        if name.constant is not None and not self._lists_named(str(name.constant)):
            raise ConfigurationError(
                f"there is no blacklist '{name.constant}'; there are {', '.join(self.blacklists) or 'none'}"
            )

        def choose(run: Run) -> int:
            wanted = str(name.get(run) or "")
            names = self._lists_named(wanted)
            if not names:
                return self._rule_refused(function, wanted, "there is no such list")
            run.data[CHOSEN] = change(self.chosen(run), names)
            return 1

        return choose

    def _lists_named(self, name: str) -> frozenset[str]:
        if name.lower() == ALL:
            return frozenset((ALL, *self.blacklists))
        return frozenset((name,)) if name in self.blacklists else frozenset()

    @script_function()
    def check_blacklist_rule(
        self, run: Run, name: str, ip: str, port: int = 0, proto: str | None = None, pattern: str | None = None
    ) -> int:
        """Whether a blacklist, or with `all` one that the message uses, forbids a destination."""
        names = self.chosen(run) if name.lower() == ALL else self._lists_named(name)
        try:
            destination = Destination(parse_address(ip), _protocol(proto), port, pattern or "")
        except ValueError as error:
            return self._rule_refused("check_blacklist_rule", name, error)
        if not names and name.lower() != ALL:
            return self._rule_refused("check_blacklist_rule", name, "there is no such list")
        lists = [found for each in names if (found := self.blacklists.get(each)) is not None]
        return 1 if any(found.forbids(destination, self._blacklist_time()) for found in lists) else -1

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


def _reached(text: str) -> Address:
    """The address that is reached; an IPv4 address written as IPv6 is itself, lest it get around its rules."""
    address = parse_address(text)
    mapped = address.ipv4_mapped if isinstance(address, IPv6Address) else None
    return address if mapped is None else mapped


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
