"""Addresses and networks by group: which entry of the table an address belongs to.

Single addresses are found by hash; networks by one look for each length of prefix that occurs, the shortest first.
Among entries of one place the one that came last is tried first; with any group, the lowest group that has one wins.

Source: OpenSIPS manual, module permissions, "Address Permissions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import socket
from bisect import insort
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from ...glob_pattern import glob_matcher

ANY_GROUP: Final = 0
ANY_PORT: Final = 0
ANY: Final = "any"
NONE: Final = "none"

TRANSPORTS: Final = frozenset(
    {ANY, "udp", "tcp", "tls", "sctp", "ws", "wss", "bin", "bins", "hep_udp", "hep_tcp", "smpp", "msrp", "msrps"}
)


class Entry(NamedTuple):
    """A row of the table.  `address` is in network byte order, without the bits that `prefix` leaves out."""

    group: int
    address: bytes
    prefix: int
    port: int
    transport: str
    pattern: str
    info: str

    @property
    def is_host(self) -> bool:
        """Whether it is a single address."""
        return self.prefix == 8 * len(self.address)


class Query(NamedTuple):
    """What is asked for; port 0 and transport "any" meet all, and so does a `pattern` that is None."""

    address: bytes
    port: int = ANY_PORT
    transport: str = ANY
    pattern: str | None = None


def packed_address(text: str) -> bytes:
    """An IPv4 or IPv6 address, with or without brackets, as 4 or 16 bytes.  Raises ValueError."""
    bare = text[1:-1] if text[:1] == "[" and text[-1:] == "]" else text
    try:
        return socket.inet_pton(socket.AF_INET6 if ":" in bare else socket.AF_INET, bare)
    except (OSError, ValueError):
        raise ValueError(f"'{text}' is no IP address") from None


def network_of(address: bytes, prefix: int) -> bytes:
    """`address` without the bits behind its first `prefix` ones."""
    bits = 8 * len(address)
    host_bits = bits - prefix
    return (int.from_bytes(address) >> host_bits << host_bits).to_bytes(len(address))


def transport_named(text: str) -> str:
    """A transport, or "any", in lower case; an empty text is any.  Raises ValueError for one that does not exist."""
    found = text.lower() or ANY
    if found not in TRANSPORTS:
        raise ValueError(f"'{text}' is no transport, expected one of {', '.join(sorted(TRANSPORTS))}")
    return found


@dataclass(slots=True)
class AddressSet:
    """Entries by place."""

    hosts: dict[bytes, list[Entry]] = field(default_factory=dict)
    networks: dict[tuple[int, int], dict[int, list[Entry]]] = field(default_factory=dict)
    """Bytes of the address, bits of the prefix → the bits of the prefix as a number → entries."""
    _prefixes: dict[int, list[int]] = field(default_factory=lambda: {4: [], 16: []})

    def add(self, entry: Entry) -> None:
        if entry.is_host:
            self.hosts.setdefault(entry.address, []).append(entry)
            return
        size = len(entry.address)
        by_bits = self.networks.get((size, entry.prefix))
        if by_bits is None:
            by_bits = self.networks[size, entry.prefix] = {}
            insort(self._prefixes[size], entry.prefix)
        by_bits.setdefault(int.from_bytes(entry.address) >> (8 * size - entry.prefix), []).append(entry)

    def holding(self, address: bytes) -> Iterator[Entry]:
        """The entries that an address belongs to, in the order in which they count."""
        yield from reversed(self.hosts.get(address, ()))
        size = len(address)
        prefixes = self._prefixes[size]
        if prefixes:
            number = int.from_bytes(address)
            for prefix in prefixes:
                yield from reversed(self.networks[size, prefix].get(number >> (8 * size - prefix), ()))


@dataclass(slots=True)
class AddressBook:
    """All entries of a table.  It is filled once and then only read."""

    groups: dict[int, AddressSet] = field(default_factory=dict)
    entries: list[Entry] = field(default_factory=list)
    """In the order in which they came."""
    _all: AddressSet = field(default_factory=AddressSet)
    _globs: dict[str, Callable[[str], bool]] = field(default_factory=dict)

    def add(self, entry: Entry) -> None:
        group = self.groups.get(entry.group)
        if group is None:
            group = self.groups[entry.group] = AddressSet()
        group.add(entry)
        self._all.add(entry)
        self.entries.append(entry)

    def find(self, group: int, query: Query) -> Entry | None:
        """The entry of a group, or of any with group 0, that meets a query."""
        if group != ANY_GROUP:
            members = self.groups.get(group)
            return None if members is None else next(self._meeting(members, query), None)
        # the first of the lowest group: `min` keeps the first of those that are equal
        return min(self._meeting(self._all, query), key=lambda entry: entry.group, default=None)

    def dismantle(self) -> Iterator[None]:
        """Empty it piece by piece: so many objects are not let go of at once."""
        for members in (*self.groups.values(), self._all):
            yield from _emptied(members.hosts)
            for by_bits in members.networks.values():
                yield from _emptied(by_bits)
        yield from _emptied(self.groups)
        while self.entries:
            self.entries.pop()
            yield

    def _meeting(self, members: AddressSet, query: Query) -> Iterator[Entry]:
        for entry in members.holding(query.address):
            if self._meets(entry, query):
                yield entry

    def _meets(self, entry: Entry, query: Query) -> bool:
        return (
            (entry.transport == ANY or query.transport in (ANY, entry.transport))
            and (entry.port == ANY_PORT or query.port in (ANY_PORT, entry.port))
            and (query.pattern is None or not entry.pattern or self._glob(entry.pattern)(query.pattern))
        )

    def _glob(self, pattern: str) -> Callable[[str], bool]:
        found = self._globs.get(pattern)
        if found is None:
            found = self._globs[pattern] = glob_matcher(pattern)
        return found


def _emptied(entries: dict[Any, Any]) -> Iterator[None]:
    while entries:
        entries.popitem()
        yield
