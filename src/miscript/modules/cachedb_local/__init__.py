"""Module cachedb_local: a cache in the memory of this host.

Keys live in collections, one of which is `default`; each `cachedb_url` gives a collection the name that scripts use:
`local:///second` is `local`, `local:two:///second` is `local:two`.  Without any, `local` is the collection
`default`.  The engines are offered as `cachedb:local` and `cachedb:local:GROUP` (miscript.cachedb).

Source: OpenSIPS manual, module cachedb_local; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import re
from typing import Final

from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter, script_function
from ...glob_pattern import glob_matcher
from ...mi.jsonrpc import invalid_params
from ...script.runtime import Run
from ...services import Services
from .engine import BUCKETS, LocalCache

__all__ = ["CachedbLocal"]

log = logging.getLogger("miscript.cachedb_local")

DEFAULT: Final = "default"

_COLLECTION = re.compile(r"(?P<name>[^=;/]*[^=;/\s])(?P<replicated>/r)?\s*(?:=\s*(?P<size>[0-9]+))?", re.ASCII)
_URL = re.compile(r"local:(?:(?P<group>[^:/@]*):)?//[^/]*(?:/(?P<collection>.*))?", re.DOTALL)

MOST_BITS: Final = 30
SWEEP: Final = 10_000
"""Entries that are dropped at once; then others have their turn."""


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
    enable_restart_persistency = parameter(0, "Accepted with a warning: entries do not outlive the host.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.collections: dict[str, LocalCache] = {}

    def init(self) -> None:
        if self.cache_clean_period <= 0:
            raise ConfigurationError("cache_clean_period must be positive", parameter="cache_clean_period")
        if self.cluster_id:
            raise ConfigurationError("replication to a cluster is not available", parameter="cluster_id")
        if self.enable_restart_persistency:
            log.warning("enable_restart_persistency: entries are not kept from one run to the next")
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

    async def start(self) -> None:
        self.services.tasks.every(self.cache_clean_period, self._drop_overdue, "cachedb_local: drop what is expired")

    async def _drop_overdue(self) -> None:
        for cache in self.collections.values():
            overdue = cache.overdue()
            for begin in range(0, len(overdue), SWEEP):
                for key in overdue[begin : begin + SWEEP]:
                    cache.fetch(key)  # drops it, unless it has been stored anew meanwhile
                await self.services.clock.sleep(0)

    def _remove_chunk(self, collection: str, glob: str) -> bool:
        cache = self.collections.get(collection)
        if cache is None:
            log.error("there is no collection '%s'", collection)
            return False
        for key, _ in cache.matching(glob_matcher(glob)):
            cache.remove(key)
        return True

    @script_function(routes="request failure reply branch local startup")
    def cache_remove_chunk(self, run: Run, collection: str | None, glob: str) -> int:
        """Remove all entries of a collection (`default` when it is left out) whose key matches `glob`."""
        return 1 if self._remove_chunk(DEFAULT if collection is None else collection, glob) else -1

    @mi_command("remove_chunk", "glob", "glob collection", aliases=["cache_remove_chunk"])
    def mi_remove_chunk(self, glob: str, collection: str = DEFAULT) -> str:
        """removes all entries of a collection whose key matches a glob pattern"""
        if not self._remove_chunk(collection, glob):
            raise MIError(500, "Internal error")
        return "OK"

    @mi_command("fetch_chunk", "glob", "glob collection", aliases=["cache_fetch_chunk"], read_only=True)
    def mi_fetch_chunk(self, glob: str, collection: str = DEFAULT) -> dict[str, list[dict[str, str]]]:
        """tells all entries of a collection whose key matches a glob pattern"""
        cache = self.collections.get(collection)
        if cache is None:
            raise invalid_params(f"Unknown collection '{collection}'")
        return {"keys": [{"name": key, "value": value} for key, value in cache.matching(glob_matcher(glob))]}
