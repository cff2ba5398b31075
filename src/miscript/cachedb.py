"""What a cache engine offers to the core's cache functions and MI commands.

A cachedb module (`cachedb_local`, `cachedb_redis` …) provides each of its engines to the other modules under the
name a script uses: `cachedb:local` for its first connection and `cachedb:local:GROUP` for a group
(`services.provide`, `services.find`, or `engine_named`).  An engine that asks a server may return an awaitable in
place of the value; one that lives in memory returns the value itself, so that a call need not wait.

Source: OpenSIPS manual, "Key-Value Interface" and "Core Functions" (`cache_store`, `cache_fetch`, `cache_add` …).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias, TypeVar, runtime_checkable

from .errors import MiscriptError
from .values import Value

T = TypeVar("T")

Answer: TypeAlias = T | Awaitable[T]
"""A value that is there now, or an awaitable of it."""


class CacheError(MiscriptError):
    """An engine cannot do what it is asked: a value that is no number, a full store, a server that is away."""


class NotANumber(CacheError):
    """What is there is no number."""


@runtime_checkable
class CacheEngine(Protocol):
    """A store of texts by key.  Every method may raise CacheError; an awaitable may raise it when awaited."""

    def store(self, key: str, value: str, expires: int) -> Answer[None]:
        """Keep `value` under `key` for `expires` seconds, or for good when that is 0."""

    def fetch(self, key: str) -> Answer[str | None]:
        """The value of `key`; None when there is none or its time is over."""

    def remove(self, key: str) -> Answer[None]:
        """Forget `key`; a key that is not there is fine."""

    def add(self, key: str, amount: int, expires: int) -> Answer[int]:
        """Add `amount`, which may be negative, to the number under `key` and return the sum.

        A key that is not there starts at 0.  `expires` is as for `store`.  Raises CacheError when the value there
        is no number.
        """

    def counter(self, key: str) -> Answer[int | None]:
        """The number under `key`; None when there is none, CacheError when it is no number."""


@dataclass(frozen=True, slots=True)
class Written:
    """A piece of a raw query that the script wrote; what its variables hold is data, and never syntax."""

    text: str


Rows: TypeAlias = Sequence[Sequence[Value]]


@runtime_checkable
class RawQueries(Protocol):
    """An engine that takes queries in the language of its server."""

    def raw_query(self, query: Sequence[str | Written]) -> Answer[Rows | None]:
        """The rows of an answer, the first one first; None when there is nothing under a key.  Raises CacheError."""


def engine_named(find: Callable[[str], Any | None], name: str) -> CacheEngine | None:
    """The engine that a script calls `name` ("local", "local:" or "local:GROUP"); None when no module provides it.

    `find` is `services.find`.
    """
    found: CacheEngine | None = find(f"cachedb:{name.removesuffix(':')}")
    return found
