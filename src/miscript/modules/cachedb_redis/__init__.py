"""Module cachedb_redis: a cache that many hosts share, in Redis.

Each `cachedb_url` is an engine that scripts call `redis` or `redis:GROUP` (miscript.cachedb): one server, several of
which the first that answers is used, or a Redis Cluster, which is recognised.  Raw queries are commands of Redis.

Not here: the JSON documents of Redis Stack, on which the server keeps registrations (`ftsearch_…`).

Source: OpenSIPS manual, module cachedb_redis; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import ssl
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from ...cachedb import CacheError
from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter, statistic
from ...services import Services
from ...tls_service import TlsDomains
from .urls import RedisUrl, parse_url

if TYPE_CHECKING:
    from .client import Login
    from .engine import RedisEngine
    from .nodes import Node

__all__ = ["CachedbRedis"]

log = logging.getLogger("miscript.cachedb_redis")

NEVER: Final = -1
NOT_A_CLUSTER: Final = "skipped (not cluster mode)"


class CachedbRedis(Module):
    """A cache that many hosts share, in Redis."""

    name = "cachedb_redis"

    cachedb_url: list[str] = parameter(
        [], "Servers of a group: redis:[GROUP:]//[[user]:password@]host[:port],…/[database].",
        kinds="string", repeatable=True,
    )  # fmt: skip
    connect_timeout = parameter(5000, "Milliseconds that connecting may take.")
    query_timeout = parameter(5000, "Milliseconds that a reply may take.")
    shutdown_on_error = parameter(0, "1: the host does not start when a group cannot be reached.")
    lazy_connect = parameter(0, "1: nothing is connected before the first call.")
    use_tls = parameter(0, "1: URLs may name a client domain of tls_mgm: ?tls_domain=NAME.")
    redis_keepalive = parameter(10, "Seconds between probes of idle connections; 0: none.")
    ftsearch_index_name = parameter("idx:usrloc", "Of JSON documents; it means nothing here.")
    ftsearch_json_prefix = parameter("usrloc:", "Of JSON documents; it means nothing here.")
    ftsearch_max_results = parameter(10000, "Of JSON documents; it means nothing here.")
    ftsearch_json_mset_expire = parameter(3600, "Of JSON documents; it means nothing here.")

    redis_queries = statistic("redis_queries", "Queries that were answered.")
    redis_queries_failed = statistic("redis_queries_failed", "Queries that were not, or with an error.")
    redis_moved = statistic("redis_moved", "Keys that were found to have moved to another server of a cluster.")
    redis_topology_refreshes = statistic("redis_topology_refreshes", "How often a cluster told its topology.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.engines: dict[str, RedisEngine] = {}

    def init(self) -> None:
        require_redis()
        from .engine import Figures, RedisEngine  # redis-py comes along, which only scripts with this module need

        for name in ("connect_timeout", "query_timeout"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive", parameter=name)
        if self.redis_keepalive < 0:
            raise ConfigurationError("redis_keepalive must not be negative", parameter="redis_keepalive")
        figures = Figures(
            self.redis_queries, self.redis_queries_failed, self.redis_moved, self.redis_topology_refreshes
        )
        for text in self.cachedb_url:
            url = parse_url(text)
            engine = RedisEngine(url, self._login(url), self.services.clock, figures)
            self.engines[url.group] = engine
            self.services.provide(f"cachedb:{url.name}", engine)

    def _login(self, url: RedisUrl) -> Login:
        from .client import Login

        tls: Callable[[], ssl.SSLContext] | None = None
        if url.tls_domain:
            if url.socket:
                log.warning("'%s': tls_domain means nothing for a socket of this machine", url.shown)
            elif not self.use_tls:
                raise ConfigurationError(f"'{url.shown}': tls_domain needs use_tls=1", parameter="cachedb_url")
            else:
                tls = self._tls(url.tls_domain)
        return Login(
            url.user,
            url.password,
            url.database,
            self.connect_timeout / 1000,
            self.query_timeout / 1000,
            self.redis_keepalive,
            tls,
        )

    def _tls(self, name: str) -> Callable[[], ssl.SSLContext]:
        domains: TlsDomains | None = self.services.find("tls domains")
        if domains is None:
            raise ConfigurationError("use_tls needs module tls_mgm", parameter="use_tls")

        def context() -> ssl.SSLContext:
            domain = domains.named_client(name)
            if domain is None:
                raise OSError(f"there is no TLS client domain '{name}'")
            return domain.context

        return context

    async def prepare(self) -> None:
        """Connect to all groups, unless that is to wait.  Raises ConfigurationError with shutdown_on_error."""
        if self.lazy_connect:
            return
        for engine in self.engines.values():
            try:
                await engine.check()
            except CacheError as error:
                if self.shutdown_on_error:
                    raise ConfigurationError(f"module 'cachedb_redis': {error}", parameter="cachedb_url") from error
                log.error("%s; it is tried again with each call", error)

    async def stop(self) -> None:
        for engine in self.engines.values():
            await engine.close()

    # -- commands -----------------------------------------------------------------------------------------------------

    def _chosen(self, group: str | None) -> Sequence[RedisEngine]:
        if group is None:
            return list(self.engines.values())
        if group not in self.engines:
            raise MIError(404, "Group not found")
        return [self.engines[group]]

    @mi_command("redis_cluster_info", "", "group", named_only=True, read_only=True)
    def mi_cluster_info(self, group: str | None = None) -> list[dict[str, object]]:
        """tells all connections, and the topology of clusters"""
        return [self._info(engine) for engine in self._chosen(group)]

    def _info(self, engine: RedisEngine) -> dict[str, object]:
        command = engine.cluster_command
        told: dict[str, object] = {
            "group": engine.url.group,
            "url": engine.url.shown,
            "mode": "single" if command is None else "cluster",
        }
        if command is not None:
            told["cluster_command"] = command
        told["topology_refreshes"] = engine.refreshes
        told["last_topology_refresh"] = int(engine.refreshed or 0)
        told["nodes"] = [self._node(engine, node) for node in engine.nodes.values()]
        if command is not None:
            told["total_slots_mapped"] = engine.mapped
        return told

    def _node(self, engine: RedisEngine, node: Node) -> dict[str, object]:
        told = _place(node) | {"status": "connected" if node.reachable else "disconnected"}
        if engine.cluster_command is not None:
            told["slots_assigned"] = sum(place == node.place for place in engine.slots.values())
        used = node.last_used
        since = NEVER if used is None else int(self.services.clock.monotonic() - used)
        return told | {"queries": node.queries, "errors": node.errors, "moved": node.moved, "last_activity": since}

    @mi_command("redis_cluster_refresh", "", "group", named_only=True)
    async def mi_cluster_refresh(self, group: str | None = None) -> list[dict[str, str]]:
        """asks clusters for their topology now"""
        return [{"group": engine.url.group, "status": await self._refreshed(engine)} for engine in self._chosen(group)]

    async def _refreshed(self, engine: RedisEngine) -> str:
        if engine.cluster_command is None:
            return NOT_A_CLUSTER
        return "ok" if await engine.refresh() else "error"

    @mi_command("redis_ping_nodes", "", "group", named_only=True, read_only=True)
    async def mi_ping_nodes(self, group: str | None = None) -> list[dict[str, object]]:
        """asks each server for a sign of life"""
        return [
            {"group": engine.url.group, "nodes": [await self._pinged(engine, node) for node in nodes]}
            for engine, nodes in [(engine, list(engine.nodes.values())) for engine in self._chosen(group)]
        ]

    async def _pinged(self, engine: RedisEngine, node: Node) -> dict[str, object]:
        began = time.perf_counter()
        answered = await engine.ping(node)
        taken = int((time.perf_counter() - began) * 1_000_000)
        status = "reachable" if answered else "unreachable"
        return _place(node) | {"status": status, "latency_us": taken if answered else NEVER}


def _place(node: Node) -> dict[str, object]:
    if node.path:
        return {"transport": "unix", "socket": node.path}
    return {"ip": node.place[0], "port": node.place[1]}


def require_redis() -> None:
    """Raises ConfigurationError when redis-py is missing."""
    import importlib.util

    if importlib.util.find_spec("redis") is None:
        raise ConfigurationError("cachedb_redis needs the package redis", help="pip install 'miscript[redis]'")
