"""Module cachedb_local: a cache in the memory of this host.

Keys live in collections, one of which is `default`; each `cachedb_url` gives a collection the name that scripts use:
`local:///second` is `local`, `local:two:///second` is `local:two`.  Without any, `local` is the collection
`default`.  The engines are offered as `cachedb:local` and `cachedb:local:GROUP` (miscript.cachedb).

Work on many entries lets others have their turn.  With `enable_restart_persistency` entries are written to a file at
the end and each time expired ones are dropped, and taken over at the next start.

Source: OpenSIPS manual, module cachedb_local; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path
from typing import Final

from ...cachedb import Answer
from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter, script_function
from ...glob_pattern import glob_matcher
from ...mi.command import Later
from ...mi.jsonrpc import invalid_params
from ...script.runtime import Run
from ...services import Services
from .engine import BUCKETS, LocalCache
from .persistence import DEFAULT_FILE, Entry, read_entries, write_entries

__all__ = ["CachedbLocal"]

log = logging.getLogger("miscript.cachedb_local")

DEFAULT: Final = "default"

_COLLECTION = re.compile(r"(?P<name>[^=;/]*[^=;/\s])(?P<replicated>/r)?\s*(?:=\s*(?P<size>[0-9]+))?", re.ASCII)
_URL = re.compile(r"local:(?:(?P<group>[^:/@]*):)?//[^/]*(?:/(?P<collection>.*))?", re.DOTALL)

MOST_BITS: Final = 30
SWEEP: Final = 2_000
"""Entries that are looked at in one go; then others have their turn."""


class CachedbLocal(Module):
    """A cache in the memory of this host."""

    name = "cachedb_local"

    cachedb_url: list[str] = parameter(
        [], "Name of a collection in scripts: local:[GROUP:]///COLLECTION.", kinds="string", repeatable=True
    )
    cache_collections: list[str] = parameter(
        [],
        "Collections: NAME[=SIZE]; …  The size, a power of 2, decides the order of keys in lists.",
        kinds="string",
        repeatable=True,
    )
    cache_clean_period = parameter(600, "Seconds from one removal of expired entries to the next.")
    exec_threshold = parameter(0, "Accepted; nothing here takes long enough to be worth a warning.")
    cluster_id = parameter(0, "Replication to a cluster; not available, must be 0.")
    cluster_persistency = parameter("sync-from-cluster", "Accepted; without a cluster it means nothing.")
    enable_restart_persistency = parameter(
        0, "1: entries are kept for the next run, in a file beside the global restart_persistency_cache_file."
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.collections: dict[str, LocalCache] = {}
        self._kept_in: Path | None = None
        """The file with what is kept from one run to the next."""

    def init(self) -> None:
        if self.cache_clean_period <= 0:
            raise ConfigurationError("cache_clean_period must be positive", parameter="cache_clean_period")
        if self.cluster_id:
            raise ConfigurationError("replication to a cluster is not available", parameter="cluster_id")
        if self.enable_restart_persistency:
            name = str(self.services.parameters.get("restart_persistency_cache_file", DEFAULT_FILE))
            self._kept_in = Path(self.services.working_folder, f"{name}.{self.name}")
        self._make_collections()
        for url in self.cachedb_url or ["local://"]:
            name, collection = self._name_and_collection(url)
            self.services.provide(f"cachedb:{name}", self.collections[collection])

    def _make_collections(self) -> None:
        defined: set[str] = set()
        sizes = {DEFAULT: BUCKETS}
        for piece in ";".join(self.cache_collections).split(";"):
            piece = piece.strip()
            if not piece:
                continue
            matched = _COLLECTION.fullmatch(piece)
            if matched is None:
                raise ConfigurationError(
                    f"expected NAME[=SIZE] in cache_collections, found '{piece}'", parameter="cache_collections"
                )
            if matched["replicated"]:
                log.warning("collection '%s' is marked for replication, which is not available", matched["name"])
            if matched["name"] in defined:
                raise ConfigurationError(
                    f"collection '{matched['name']}' is defined more than once", parameter="cache_collections"
                )
            defined.add(matched["name"])
            sizes[matched["name"]] = 1 << min(int(matched["size"]), MOST_BITS) if matched["size"] else BUCKETS
        now = self.services.clock.monotonic
        self.collections = {name: LocalCache(now, buckets) for name, buckets in sizes.items()}

    def _name_and_collection(self, url: str) -> tuple[str, str]:
        """What scripts call the cache, and the collection that it is."""
        matched = _URL.fullmatch(url)
        if matched is None:
            raise ConfigurationError(f"expected local:[GROUP:]///COLLECTION, found '{url}'", parameter="cachedb_url")
        collection = matched["collection"] or DEFAULT
        if collection not in self.collections:
            raise ConfigurationError(
                f"there is no collection '{collection}'",
                parameter="cachedb_url",
                help="define it with the parameter cache_collections",
            )
        return "local" + (f":{matched['group']}" if matched["group"] else ""), collection

    # -- life ---------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Take over what the run before has kept."""
        if self._kept_in is None:
            return
        ahead = self._wall_ahead()
        try:
            entries = await asyncio.to_thread(lambda path: list(read_entries(path)), self._kept_in)
        except (OSError, ValueError) as error:
            log.error("the entries in '%s' are not taken over: %s", self._kept_in, error)
            return
        for begin in range(0, len(entries), SWEEP):
            for entry in entries[begin : begin + SWEEP]:
                cache = self.collections.get(entry.collection)
                if cache is not None:
                    cache.put(entry.key, entry.value, None if entry.end is None else entry.end - ahead)
            await self.services.clock.sleep(0)

    async def start(self) -> None:
        self.services.tasks.every(self.cache_clean_period, self._clean_up, "cachedb_local: drop what is expired")

    async def stop(self) -> None:
        await self._keep()

    async def _clean_up(self) -> None:
        for cache in self.collections.values():
            keys = cache.keys()
            for begin in range(0, len(keys), SWEEP):
                cache.drop_overdue(keys[begin : begin + SWEEP])
                await self.services.clock.sleep(0)
        await self._keep()

    async def _keep(self) -> None:
        """Write all entries to the file for the next run."""
        if self._kept_in is None:
            return
        ahead = self._wall_ahead()
        found = [(name, cache.entries()) for name, cache in self.collections.items()]
        entries = (
            Entry(name, key, value, None if end is None else end + ahead)
            for name, kept in found
            for key, value, end in kept
        )
        try:
            await asyncio.to_thread(write_entries, self._kept_in, entries)
        except OSError as error:
            log.error("the entries are not kept in '%s': %s", self._kept_in, error.strerror or error)

    def _wall_ahead(self) -> float:
        """What the time of day is ahead of the monotonic clock: only that means something to the next run."""
        return self.services.clock.time() - self.services.clock.monotonic()

    # -- chunks -------------------------------------------------------------------------------------------------------

    def _matching(self, cache: LocalCache, glob: str) -> Answer[list[str]]:
        """The keys that match, at once when there are few to look through."""
        matches, keys = glob_matcher(glob), cache.keys()
        return [key for key in keys if matches(key)] if len(keys) <= SWEEP else self._sought(keys, matches)

    async def _sought(self, keys: list[str], matches: Callable[[str], bool]) -> list[str]:
        found: list[str] = []
        for begin in range(0, len(keys), SWEEP):
            found += [key for key in keys[begin : begin + SWEEP] if matches(key)]
            await self.services.clock.sleep(0)
        return found

    def _remove_chunk(self, collection: str, glob: str) -> Answer[bool]:
        cache = self.collections.get(collection)
        if cache is None:
            log.error("there is no collection '%s'", collection)
            return False
        found = self._matching(cache, glob)
        return self._removed_later(cache, found) if isinstance(found, Awaitable) else _removed(cache, found)

    async def _removed_later(self, cache: LocalCache, keys: Awaitable[list[str]]) -> bool:
        found = await keys
        for begin in range(0, len(found), SWEEP):
            _removed(cache, found[begin : begin + SWEEP])
            await self.services.clock.sleep(0)
        return True

    @script_function(routes="request failure reply branch local startup")
    def cache_remove_chunk(self, run: Run, collection: str | None, glob: str) -> int | Awaitable[int]:
        """Remove all entries of a collection (`default` when it is left out) whose key matches `glob`."""

        async def later(removed: Awaitable[bool]) -> int:
            return 1 if await removed else -1

        removed = self._remove_chunk(DEFAULT if collection is None else collection, glob)
        return later(removed) if isinstance(removed, Awaitable) else 1 if removed else -1

    @mi_command("remove_chunk", "glob", "glob collection", aliases=["cache_remove_chunk"], read_first="collection")
    def mi_remove_chunk(self, glob: str, collection: str = DEFAULT) -> object:
        """removes all entries of a collection whose key matches a glob pattern"""

        async def later(removed: Awaitable[bool]) -> str:
            await removed
            return "OK"

        removed = self._remove_chunk(collection, glob)
        if isinstance(removed, Awaitable):
            return Later(later(removed))
        if not removed:
            raise MIError(500, "Internal error")
        return "OK"

    @mi_command(
        "fetch_chunk",
        "glob",
        "glob collection",
        aliases=["cache_fetch_chunk"],
        read_only=True,
        read_first="collection",
    )
    def mi_fetch_chunk(self, glob: str, collection: str = DEFAULT) -> object:
        """tells all entries of a collection whose key matches a glob pattern"""
        cache = self.collections.get(collection)
        if cache is None:
            log.error("cache_fetch_chunk: there is no collection '%s'", collection)
            raise invalid_params("Bad type for parameter 'glob'")  # as OpenSIPS has it

        async def later(keys: Awaitable[list[str]]) -> object:
            return _shown(cache, await keys)

        found = self._matching(cache, glob)
        return Later(later(found)) if isinstance(found, Awaitable) else _shown(cache, found)


def _removed(cache: LocalCache, keys: Iterable[str]) -> bool:
    for key in keys:
        cache.remove(key)
    return True


def _shown(cache: LocalCache, keys: Iterable[str]) -> dict[str, list[dict[str, str]]]:
    return {"keys": [{"name": key, "value": value} for key, value in cache.in_order(keys)]}
