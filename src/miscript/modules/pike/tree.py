"""Who sends how much: a tree of addresses that grows where requests come from.

A node stands for the first bytes of addresses.  A request is counted at the deepest node that its address has; a node
that has been hit often enough gets a child for the next byte, so that one that sends little costs one node, and only
one that sends much is known in full.  A whole address that is hit more than `density` times in an interval, or on
average of two, floods, until an interval passes in which it does not.

Source: OpenSIPS manual, module pike; observed limits of OpenSIPS 4.1.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

MAX_NODES: Final = 1_000_000
"""Nodes at a time; when there are so many, requests from elsewhere are not counted."""

_EXPANDS: Final = 4
"""A node gets a child after this part of `density`."""


class Verdict(Enum):
    """What a request means for its address."""

    FINE = auto()
    NEWLY_BLOCKED = auto()
    BLOCKED = auto()


@dataclass(slots=True)
class Node:
    """Hits in the interval of the last one and in the one before that; `used` is when the last one came."""

    hits: int
    used: float
    interval: int
    before: int = 0
    blocked: bool = False

    def enter(self, interval: int) -> None:
        """`interval` is the one of now; hits of older ones move on."""
        if self.interval != interval:
            self.before = self.hits if self.interval == interval - 1 else 0
            self.hits, self.interval = 0, interval

    def is_flooded(self, density: int) -> bool:
        return self.hits > density or self.before > density or (self.hits + self.before) // 2 > density


class AddressTree:
    """Addresses as packed bytes, 4 or 16 of them.  `density` requests in an interval are fine."""

    def __init__(self, density: int) -> None:
        self._density = density
        self._interval = 0
        self._nodes: OrderedDict[bytes, Node] = OrderedDict()  # the one that was hit longest ago first
        self._blocked: dict[bytes, Node] = {}

    def __len__(self) -> int:
        return len(self._nodes)

    def count(self, address: bytes, now: float) -> Verdict:
        """A request came from `address`."""
        width = len(address)
        path = bytes((width,)) + address  # the families do not share nodes
        length, node = 2, None
        while length <= width + 1:
            key = path[:length]
            found = self._nodes.get(key)
            if found is None:
                break
            found.used = now
            self._nodes.move_to_end(key)
            node, length = found, length + 1
        if node is None:
            self._grow(path[:2], 1, now)
            return Verdict.FINE
        node.enter(self._interval)
        node.hits += 1
        if length > width + 1:
            return self._verdict(address, node)
        if node.hits >= self._density // _EXPANDS:
            self._grow(path[:length], 1 if length == width + 1 else node.hits, now)
        return Verdict.FINE

    def _grow(self, key: bytes, hits: int, now: float) -> None:
        if len(self._nodes) < MAX_NODES:
            self._nodes[key] = Node(hits, now, self._interval)

    def _verdict(self, address: bytes, node: Node) -> Verdict:
        if node.blocked:
            return Verdict.BLOCKED
        if not node.is_flooded(self._density):
            return Verdict.FINE
        node.blocked = True
        self._blocked[address] = node
        return Verdict.NEWLY_BLOCKED

    def end_interval(self) -> list[bytes]:
        """An interval is over; gives the addresses that are not blocked any more."""
        self._interval += 1
        freed: list[bytes] = []
        for address, node in self._blocked.items():
            node.enter(self._interval)
            if not node.is_flooded(self._density):
                node.blocked = False
                freed.append(address)
        for address in freed:
            del self._blocked[address]
        return freed

    def forget(self, before: float, most: int) -> int:
        """Drop nodes that were hit last at `before` or earlier, at most so many; how many there were."""
        dropped = 0
        while self._nodes and dropped < most:
            key, node = next(iter(self._nodes.items()))
            if node.used > before:
                break
            del self._nodes[key]
            self._blocked.pop(key[1:], None)
            dropped += 1
        return dropped

    def remove(self, address: bytes) -> bool:
        """Forget an address that is blocked; False when it is not."""
        if self._blocked.pop(address, None) is None:
            return False
        del self._nodes[bytes((len(address),)) + address]
        return True

    def blocked(self) -> list[bytes]:
        """The addresses that are blocked, the one that was blocked first first."""
        return list(self._blocked)
