"""Which domain a connection belongs to: the address it came to or goes to, then the name of a SIP domain.

Domains that name the very address come before those for any: when there are some, the others are not asked.  Of the
names that match, the most exact one counts: a whole name, then the longest pattern, `*` last.

Source: OpenSIPS manual, module tls_mgm (`match_ip_address`, `match_sip_domain`); observed choices of OpenSIPS 4.1.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import translate
from typing import Final

from ...sip.sockets import split_host
from ...tls_service import Place, TlsDomain
from .settings import ANY, NO_NAME, DomainSettings

Address = tuple[str, int] | None
"""An address and its port; None is any."""

WILD: Final = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class _Filter:
    """One name of `match_sip_domain`, the most exact first in the order of `rank`."""

    rank: tuple[int, int]
    pattern: re.Pattern[str] | None
    exact: str
    domain: TlsDomain

    @classmethod
    def of(cls, text: str, domain: TlsDomain) -> _Filter:
        if text == ANY:
            return cls((2, 0), None, ANY, domain)
        if WILD.search(text):
            return cls((1, -len(text)), re.compile(translate(text)), "", domain)
        return cls((0, 0), None, text, domain)

    def matches(self, name: str | None) -> bool:
        if self.exact == ANY:
            return True
        if name is None:
            return self.exact == NO_NAME
        return name == self.exact if self.pattern is None else self.pattern.fullmatch(name) is not None


@dataclass(slots=True)
class DomainTable:
    """Server domains or client domains, ready to be chosen from; of two with one filter the first counts."""

    _filters: dict[Address, list[_Filter]] = field(default_factory=dict)
    _names: dict[str, TlsDomain] = field(default_factory=dict)

    @classmethod
    def of(cls, domains: Iterable[tuple[DomainSettings, TlsDomain]]) -> DomainTable:
        """A table; raises ValueError for an address that is none."""
        table = cls()
        for settings, domain in domains:
            table._names.setdefault(domain.name, domain)
            for address in settings.addresses:
                filters = table._filters.setdefault(parse_address(address), [])
                filters.extend(_Filter.of(name.lower(), domain) for name in settings.sip_domains)
        for filters in table._filters.values():
            filters.sort(key=lambda one: one.rank)
        return table

    def named(self, name: str) -> TlsDomain | None:
        """The domain of that name."""
        return self._names.get(name)

    def choose(self, place: Place, name: str | None) -> TlsDomain | None:
        """The domain for a place and the name of a SIP domain, None when nobody named one."""
        filters = self._filters.get(place) or self._filters.get(None) or []
        wanted = None if name is None else name.lower()
        return next((one.domain for one in filters if one.matches(wanted)), None)


def parse_address(text: str) -> Address:
    """`address:port` or `*`.  Raises ValueError."""
    if text == ANY:
        return None
    host, port = split_host(text)
    if port is None:
        raise ValueError(f"'{text}' has no port, expected address:port or '*'")
    try:
        return str(ipaddress.ip_address(host)), port
    except ValueError:
        raise ValueError(f"'{host}' is no IP address, expected address:port or '*'") from None


def split_list(text: str) -> tuple[str, ...]:
    """Values with commas between.  Raises ValueError when there is none."""
    found = tuple(part.strip() for part in text.split(",") if part.strip())
    if not found:
        raise ValueError("a list without a value")
    return found
