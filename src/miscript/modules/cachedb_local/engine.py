"""A cache in memory: `LocalCache`, one collection of cachedb_local."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...cachedb import NotANumber
from ...name_hash import name_hash
from ...values import wrap

_integer = re.compile(r"[+-]?[0-9]{1,4000}", re.ASCII).fullmatch


BUCKETS: Final = 512


class LocalCache:
    """Texts by key, each with the time until which it is kept.  `now` gives the time, in seconds.

    `buckets` decides the order in which keys are listed, as in the server.  It is a `miscript.cachedb.CacheEngine`
    that never waits.
    """

    __slots__ = ("_buckets", "_entries", "_now")

    def __init__(self, now: Callable[[], float], buckets: int = BUCKETS) -> None:
        self._now = now
        self._buckets = buckets
        self._entries: dict[str, tuple[str, float | None]] = {}

    def store(self, key: str, value: str, expires: int) -> None:
        """Keep `value` under `key` for `expires` seconds, or for good when that is not positive."""
        self._entries.pop(key, None)  # what is stored again counts as new when keys are listed
        self._entries[key] = (value, self._now() + expires if expires > 0 else None)

    def fetch(self, key: str) -> str | None:
        """The value of `key`; None when there is none or its time is over."""
        try:
            value, end = self._entries[key]
        except KeyError:
            return None
        if end is None or self._now() < end:
            return value
        del self._entries[key]
        return None

    def remove(self, key: str) -> None:
        """Forget `key`; a key that is not there is fine."""
        self._entries.pop(key, None)

    def add(self, key: str, amount: int, expires: int) -> int:
        """Add `amount` to the number under `key`, in 32 bits, and return the sum.

        A number that is there keeps its time; `expires` is for a new one.  Raises CacheError when what is there is
        no number.
        """
        number = self.counter(key)
        if number is None:
            self.store(key, str(wrap(amount)), expires)
            return wrap(amount)
        total = wrap(number + amount)
        self._entries[key] = (str(total), self._entries[key][1])
        return total

    def counter(self, key: str) -> int | None:
        """The number under `key`, in 32 bits; None when there is none.  Raises CacheError when it is no number."""
        value = self.fetch(key)
        if value is None:
            return None
        if _integer(value) is None:
            raise NotANumber(f"the value of '{key}' is no number")
        return wrap(int(value))

    def keys(self) -> list[str]:
        """All keys, the newest first."""
        return list(reversed(self._entries))

    def in_order(self, keys: Iterable[str]) -> Iterator[tuple[str, str]]:
        """Key and value of some entries, in the server's order: by the bucket of the key.

        Keys of one bucket stay in their order; those that are gone meanwhile are left out.
        """
        for key in sorted(keys, key=lambda key: name_hash(key) % self._buckets):
            value = self.fetch(key)
            if value is not None:
                yield key, value

    def drop_overdue(self, keys: Iterable[str]) -> None:
        """Drop those of some keys whose time is over."""
        now, entries = self._now(), self._entries
        for key in keys:
            entry = entries.get(key)
            if entry is not None and entry[1] is not None and entry[1] <= now:
                del entries[key]

    def entries(self) -> list[tuple[str, str, float | None]]:
        """Key, value and end of all entries, the oldest first."""
        return [(key, value, end) for key, (value, end) in self._entries.items()]

    def put(self, key: str, value: str, end: float | None) -> None:
        """Keep an entry until `end`, of the time that `now` gives."""
        self._entries[key] = (value, end)

    def __len__(self) -> int:
        """How many entries take memory, those whose time is over included."""
        return len(self._entries)
