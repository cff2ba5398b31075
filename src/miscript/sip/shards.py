"""A mapping that may hold millions without ever making anybody wait.

A plain dict moves all of its entries when it grows, and has to be copied before a loop in which it may change: with a
million entries each takes some 40 ms.  This one is many dicts once it is large; no piece of work is longer than one of
them.  As long as it is small it keeps the order of a dict.

Source: measured with CPython 3.11 (docs/performance.md, "A million contacts").
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator
from typing import Final, Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")

SMALL: Final = 4096
"""Entries that one dict holds."""

SHARDS: Final = 1024
"""Dicts of a large mapping."""


class Shards(Generic[K, V]):
    """Values by key; loops go over the values that are there when they come by, in no order once it is large."""

    def __init__(self) -> None:
        self._shards: list[dict[K, V]] = [{}]
        self._mask = 0
        self._count = 0

    def __len__(self) -> int:
        return self._count

    def __contains__(self, key: K) -> bool:
        return key in self._shards[hash(key) & self._mask]

    def get(self, key: K) -> V | None:
        return self._shards[hash(key) & self._mask].get(key)

    def __getitem__(self, key: K) -> V:
        return self._shards[hash(key) & self._mask][key]

    def __setitem__(self, key: K, value: V) -> None:
        if self._count >= SMALL and not self._mask:
            self._split()
        shard = self._shards[hash(key) & self._mask]
        before = len(shard)
        shard[key] = value
        self._count += len(shard) - before

    def __delitem__(self, key: K) -> None:
        del self._shards[hash(key) & self._mask][key]
        self._count -= 1

    def _split(self) -> None:
        (small,), self._mask = self._shards, SHARDS - 1
        self._shards = [{} for _ in range(SHARDS)]
        for key, value in small.items():
            self._shards[hash(key) & self._mask][key] = value

    def __iter__(self) -> Iterator[V]:
        """The values; entries may come and go meanwhile."""
        for portion in self.portions():
            yield from portion

    def portions(self) -> Iterator[list[V]]:
        """The values, as many at a time as one dict holds; entries may come and go meanwhile."""
        for shard in self._shards:
            if shard:
                yield list(shard.values())
