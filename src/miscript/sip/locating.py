"""Where a request for a URI is sent: transport, addresses and ports, the best first.

`locate` decides which names are asked and in which order; who answers them is given as `Lookup`, so that nothing here
waits for a network of its own.  Records of one priority are shuffled by their weight with the given random numbers.

Source: RFC 3263 section 4 (finding the server), RFC 2782 (priority and weight of SRV), RFC 3403 (NAPTR).
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol

from .sockets import DEFAULT_PORTS, ListeningSocket, Target, ip_address
from .uri import SipUri

MAX_TARGETS: Final = 32
"""Targets that one URI can have; what a zone lists beyond is not tried."""

SERVICES: Final = {
    "sip+d2u": "udp",
    "sip+d2t": "tcp",
    "sips+d2t": "tls",
    "sip+d2s": "sctp",
    "sip+d2w": "ws",
    "sips+d2w": "wss",
}
"""Service field of a NAPTR record, in lower case → transport."""

SRV_NAMES: Final = {
    "udp": "_sip._udp.",
    "tcp": "_sip._tcp.",
    "tls": "_sips._tcp.",
    "sctp": "_sip._sctp.",
    "ws": "_sip._ws.",
    "wss": "_sips._ws.",
}
"""Transport → what stands in front of a domain."""

ANY_PORT: Final = 5060
"""The port of transports that have no default one."""

SECURE: Final = frozenset({"tls", "wss"})


@dataclass(frozen=True, slots=True)
class Naptr:
    """A NAPTR record; `replacement` is a name without the last dot."""

    order: int
    preference: int
    flags: str
    service: str
    replacement: str


@dataclass(frozen=True, slots=True)
class Srv:
    """An SRV record; a `target` of `.` says that there is no such service."""

    priority: int
    weight: int
    port: int
    target: str


class Lookup(Protocol):
    """Who knows names.  A name that does not exist, or that nobody answers for, has no records."""

    async def naptr(self, domain: str) -> Sequence[Naptr]: ...

    async def srv(self, name: str) -> Sequence[Srv]: ...

    async def addresses(self, host: str) -> Sequence[str]:
        """IP addresses without brackets, the preferred first."""


async def locate(
    uri: SipUri,
    lookup: Lookup,
    transports: Collection[str],
    random: Callable[[], float],
    *,
    naptr: bool = True,
    ports: Mapping[str, int] = DEFAULT_PORTS,
) -> Sequence[Target]:
    """The targets of `uri`, in the order in which they are to be tried; none when nothing is known of its host.

    `transports` are those that we can send with, in the order of our preference; `random` gives numbers from 0 to 1;
    without `naptr` those records are not asked for; `ports` are those of transports where none is written.
    """
    host = uri.maddr or uri.host
    if not host:
        return ()
    written = uri.transport.lower() if uri.transport else None
    address = ip_address(host)
    usual = _usual(uri, written)
    if address is not None:
        return (Target(usual, address, uri.port or ports.get(usual, ANY_PORT)),)
    if uri.port:
        return await _at([(usual, host, uri.port)], lookup)
    if written is not None:
        services = [(usual, SRV_NAMES[usual] + host)] if usual in SRV_NAMES else []
    else:
        services = await _services(host, lookup, transports, uri.is_secure) if naptr else []
        services = services or _by_preference(host, transports, uri.is_secure)
    found: list[tuple[str, str, int]] = []
    for transport, name in services:
        records = await lookup.srv(name)
        found += [(transport, record.target, record.port) for record in in_order(records, random)]
    return await _at(found, lookup) if found else await _at([(usual, host, ports.get(usual, ANY_PORT))], lookup)


def sent_from(uri: SipUri, socket: ListeningSocket | None) -> SipUri:
    """`uri` with the transport of the socket that a script has chosen, where it names none itself."""
    if socket is None or uri.transport is not None or uri.scheme.lower() != "sip":
        return uri
    params = f"transport={socket.transport}"
    return replace(uri, params=f"{uri.params};{params}" if uri.params else params)


def in_order(records: Iterable[Srv], random: Callable[[], float]) -> list[Srv]:
    """SRV records in the order in which they are tried (RFC 2782, "Usage rules")."""
    waiting = sorted(
        (record for record in records if record.target not in ("", ".")),
        key=lambda record: (record.priority, record.weight),
    )
    ordered: list[Srv] = []
    while waiting:
        same = [record for record in waiting if record.priority == waiting[0].priority]
        mark = random() * sum(record.weight for record in same)
        chosen, total = same[-1], 0
        for record in same:
            total += record.weight
            if total >= mark:
                chosen = record
                break
        waiting.remove(chosen)
        ordered.append(chosen)
    return ordered


def _usual(uri: SipUri, written: str | None) -> str:
    """The transport without any record (RFC 3263 section 4.1)."""
    if uri.is_secure:
        return {"ws": "wss", "wss": "wss"}.get(written or "", "tls")
    return written or "udp"


async def _services(host: str, lookup: Lookup, transports: Collection[str], secure: bool) -> list[tuple[str, str]]:
    """Transports and SRV names that the domain's NAPTR records offer, its favourite first."""
    records = sorted(await lookup.naptr(host), key=lambda record: (record.order, record.preference))
    offered = [
        (transport, record.replacement)
        for record in records
        if record.flags.lower() == "s"
        and (transport := SERVICES.get(record.service.lower())) in transports
        and transport is not None
        and (not secure or transport in SECURE)
    ]
    return list(dict.fromkeys(offered))


def _by_preference(host: str, transports: Collection[str], secure: bool) -> list[tuple[str, str]]:
    return [
        (transport, SRV_NAMES[transport] + host)
        for transport in transports
        if transport in SRV_NAMES and (transport in SECURE if secure else transport not in SECURE)
    ]


async def _at(places: Iterable[tuple[str, str, int]], lookup: Lookup) -> Sequence[Target]:
    """The targets at hosts, each host with all its addresses."""
    targets: dict[Target, None] = {}
    for transport, host, port in places:
        address = ip_address(host)
        for found in [address] if address is not None else await lookup.addresses(host):
            targets[Target(transport, found, port)] = None
        if len(targets) >= MAX_TARGETS:
            break
    return tuple(targets)[:MAX_TARGETS]
