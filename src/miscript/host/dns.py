"""DNS for SIP: NAPTR and SRV records through dnspython, addresses through the system's resolver.

Answers are kept as long as their TTL says.  Without dnspython (the extra `miscript[dns]`) names have addresses only,
which is said once.  A name server that does not answer costs `timeout` seconds, then the name has no records.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

from ..sip.locating import Naptr, Srv

if TYPE_CHECKING:
    from dns.asyncresolver import Resolver

log = logging.getLogger("miscript.dns")

CACHED_NAMES: Final = 10_000
Addresses = Callable[[str], Awaitable[Sequence[str]]]


class DnsLookup:
    """`sip.locating.Lookup` over the network.

    `addresses` gives those of a host; `timeout` is in seconds; `name_servers` are addresses that replace the
    system's, all at `port`.
    """

    def __init__(
        self, addresses: Addresses, *, timeout: float = 5.0, name_servers: Sequence[str] = (), port: int = 53
    ) -> None:
        self._addresses = addresses
        self._timeout = timeout
        self._name_servers = name_servers
        self._port = port
        self._resolver: Resolver | None = None
        self._missing = False

    async def addresses(self, host: str) -> Sequence[str]:
        """The addresses of `host`."""
        return await self._addresses(host)

    async def naptr(self, domain: str) -> Sequence[Naptr]:
        """The NAPTR records of `domain`."""
        return [
            Naptr(r.order, r.preference, _text(r.flags), _text(r.service), _name(r.replacement))
            for r in await self._ask(domain, "NAPTR")
        ]

    async def srv(self, name: str) -> Sequence[Srv]:
        """The SRV records of `name`."""
        return [Srv(r.priority, r.weight, r.port, _name(r.target)) for r in await self._ask(name, "SRV")]

    async def _ask(self, name: str, kind: str) -> Sequence[Any]:
        resolver = self._made()
        if resolver is None:
            return ()
        from dns.exception import DNSException, Timeout

        try:
            return list(await resolver.resolve(name, kind, search=False))
        except Timeout:
            log.warning("no name server answers for %s %s within %g seconds", kind, name, self._timeout)
        except (DNSException, OSError, ValueError) as error:
            log.debug("%s %s: %s", kind, name, error)
        return ()

    def _made(self) -> Resolver | None:
        if self._resolver is not None or self._missing:
            return self._resolver
        try:
            from dns.asyncresolver import Resolver
            from dns.exception import DNSException
            from dns.resolver import LRUCache
        except ImportError:
            log.info("NAPTR and SRV records are not asked for: install miscript[dns]")
            self._missing = True
            return None
        try:
            resolver = Resolver(configure=not self._name_servers)
        except (DNSException, OSError) as error:  # no resolv.conf
            log.info("NAPTR and SRV records are not asked for: %s", error)
            self._missing = True
            return None
        if self._name_servers:
            resolver.nameservers = list(self._name_servers)
            resolver.port = self._port
        resolver.lifetime = self._timeout
        resolver.cache = LRUCache(CACHED_NAMES)
        self._resolver = resolver
        return resolver


def _text(value: bytes) -> str:
    return value.decode("ascii", "replace")


def _name(name: Any) -> str:
    return str(name.to_text(omit_final_dot=True))
