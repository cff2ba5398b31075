"""Which ids have been seen: a million of them in little memory, whether they are near each other or not.

Ids are kept as bits of numbers, 64 neighbours in one, spread over many small dicts, so that none of them ever grows or
goes in one long step.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

SHARDS: Final = 256


class SeenIds:
    """A set of numbers that only grows."""

    __slots__ = ("_shards",)

    def __init__(self) -> None:
        self._shards: list[dict[int, int]] = [{} for _ in range(SHARDS)]

    def add(self, id: int) -> bool:
        """Note an id; False when it was there."""
        page, bit = id >> 6, 1 << (id & 63)
        shard = self._shards[page % SHARDS]
        bits = shard.get(page, 0)
        shard[page] = bits | bit
        return not bits & bit

    def dismantle(self) -> Iterator[None]:
        """Let go of everything, with a pause after each small step; nothing has been seen afterwards."""
        for number in range(SHARDS):
            self._shards[number] = {}
            yield
