"""A group of Redis servers as a cache engine: one server, several of which one answers, or a cluster.

Each call ends within its deadline, the time to connect and the time to answer together, whatever becomes of the
servers.  What may be asked twice without harm (fetch, store, remove) is asked once more when a connection breaks; a
counter is not, because nobody knows whether it was counted.  Connections are made anew as soon as a server is back.

Source: OpenSIPS manual, module cachedb_redis; observed commands and codes of OpenSIPS 4.1; Redis commands INCRBY,
EXPIRE, EVAL; Redis Cluster specification (MOVED, ASK).
"""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from redis.exceptions import AskError, MovedError, RedisError, ResponseError
from redis.exceptions import ConnectionError as Broken

from ...cachedb import CacheError, NotANumber, Rows, Written
from ...services import Clock, Counter
from ...values import Value, decode, encode, wrap
from .client import Login, Overloaded, Place, Reply, Unreachable, Word
from .nodes import Node
from .query_words import is_status, key_in, needs_own_connection, query_words
from .topology import SHARDS_COMMAND, SLOTS, SLOTS_COMMAND, slot_of, slots_in_ranges, slots_in_shards
from .urls import RedisUrl

log = logging.getLogger("miscript.cachedb_redis")

COUNT_AND_EXPIRE: Final = (
    b"local sum = redis.call('INCRBY', KEYS[1], ARGV[1]) redis.call('EXPIRE', KEYS[1], ARGV[2]) return sum"
)
MAX_REDIRECTIONS: Final = 5
MAX_CELLS: Final = 100_000
"""Values of one reply to a raw query."""

REFRESH_SECONDS: Final = 1.0
"""A topology is asked for again on its own no sooner."""

_integer = re.compile(rb"[+-]?[0-9]{1,4000}").fullmatch


class Figures:
    """The statistics of the module."""

    def __init__(self, queries: Counter, failed: Counter, moved: Counter, refreshes: Counter) -> None:
        self.queries, self.failed, self.moved, self.refreshes = queries, failed, moved, refreshes


@dataclass(slots=True)
class Tries:
    """One command on its way: what has been tried.  `again`: it may be sent twice; `alone`: see `Node.ask`."""

    key: bytes | None
    again: bool
    alone: bool
    redirections: int = 0
    away: int = 0


class RedisEngine:
    """A `miscript.cachedb.CacheEngine` that takes raw queries too."""

    def __init__(self, url: RedisUrl, login: Login, clock: Clock, figures: Figures) -> None:
        self.url = url
        self.nodes: dict[Place, Node] = {}
        self.cluster_command: str | None = None
        """The command that tells the topology; None for a server alone."""
        self.slots: dict[int, Place] = {}
        self.refreshes = 0
        self.refreshed: float | None = None
        """When the topology was asked for last, in seconds since the epoch."""
        self._places: tuple[Place, ...] = url.hosts or (("", 0),)
        self._login = login
        self._clock = clock
        self._figures = figures
        self._deadline = login.connect_seconds + login.query_seconds
        self._known = False
        self._first = 0
        self._refreshing = asyncio.Lock()
        self._refresh_asked = -REFRESH_SECONDS
        self._node(self._places[0])

    # -- the cache ----------------------------------------------------------------------------------------------------

    async def store(self, key: str, value: str, expires: int) -> None:
        more: tuple[Word, ...] = (b"EX", expires) if expires > 0 else ()
        await self._keyed(b"SET", encode(key), encode(value), *more, again=True)

    async def fetch(self, key: str) -> str | None:
        found = await self._keyed(b"GET", encode(key), again=True)
        return None if found is None else decode(found)

    async def remove(self, key: str) -> None:
        await self._keyed(b"DEL", encode(key), again=True)

    async def add(self, key: str, amount: int, expires: int) -> int:
        """Add to a number; with `expires`, its time begins anew each time, as in the server."""
        data = encode(key)
        if expires > 0:
            words: tuple[Word, ...] = (b"EVAL", COUNT_AND_EXPIRE, 1, data, amount, expires)
        else:
            words = (b"INCRBY", data, amount)
        return int(await self._ask(words, data))

    async def counter(self, key: str) -> int | None:
        found = await self._keyed(b"GET", encode(key), again=True)
        if found is None:
            return None
        if _integer(found) is None:
            raise NotANumber(f"the value of '{key}' is no number")
        return wrap(int(found))

    async def raw_query(self, query: Sequence[str | Written]) -> Rows | None:
        """A command of Redis, its words separated by blanks, one value a row.  None when there is nothing."""
        words = [encode(word) for word in query_words(query)]
        if len(words[0].split()) != 1 or words[0] != words[0].strip():  # redis-py would make several words of it
            raise CacheError(f"'{decode(words[0])}' is no command of Redis: it has blanks")
        reply = await self._ask(words, key_in(words), alone=needs_own_connection(words))
        if reply is None:
            return None
        if is_status(words, reply):
            return []
        return [(value,) for value in _cells(reply)]

    async def _keyed(self, command: bytes, key: bytes, *more: Word, again: bool) -> Reply:
        return await self._ask((command, key, *more), key, again=again)

    # -- asking -------------------------------------------------------------------------------------------------------

    async def _ask(
        self, words: Sequence[Word], key: bytes | None, *, again: bool = False, alone: bool = False
    ) -> Reply:
        """The reply to a command.  Raises CacheError."""
        try:
            async with self._clock.timeout(self._deadline):
                return await self._routed(words, Tries(key, again, alone))
        except TimeoutError:
            raise self._failed(f"no reply within {self._deadline:g} s") from None
        except (RedisError, OSError) as error:
            failure = self._failed(str(error) or type(error).__name__)
            raise (NotANumber(str(failure)) if "not an integer" in str(error) else failure) from error

    def _answered(self, node: Node, reply: Reply) -> Reply:
        node.queries += 1
        node.reachable = True
        node.last_used = self._clock.monotonic()
        self._figures.queries.add()
        return reply

    def _failed(self, why: str) -> CacheError:
        self._figures.failed.add()
        return CacheError(f"'{self.url.name}': {why}")

    async def _routed(self, words: Sequence[Word], tries: Tries) -> Reply:
        """Ask the right server, follow redirections, go to the next server when one is away.  Raises RedisError."""
        await self.connect()
        node, asking = await self._node_for(tries.key), False
        while True:
            try:
                return self._answered(node, await node.ask(words, asking=asking, alone=tries.alone))
            except (RedisError, OSError) as error:
                node, asking = await self._behind(node, error, tries)

    async def _behind(self, node: Node, error: Exception, tries: Tries) -> tuple[Node, bool]:
        """Whom to ask next, and whether with ASKING, when a try came to an error; raises that when nobody."""
        if isinstance(error, AskError) and tries.redirections < MAX_REDIRECTIONS and _leads_somewhere(error):
            tries.redirections += 1
            return await self._redirected(node, error), not isinstance(error, MovedError)
        if isinstance(error, ResponseError | Overloaded):
            node.errors += 1
            raise error
        self._lost(node)
        tries.away += 1
        harmless = isinstance(error, Unreachable) or (tries.again and isinstance(error, Broken | OSError))
        if not harmless or tries.away > len(self._places):
            raise error
        return await self._another(tries.key), False

    async def _redirected(self, node: Node, to: AskError) -> Node:
        """The server that has a key in place of `node`; a slot that has moved is noted."""
        host = node.place[0] if to.host in ("", "?") else to.host  # without one it is that of the server that was asked
        if isinstance(to, MovedError):
            node.moved += 1
            self._figures.moved.add()
            self.slots[to.slot_id] = (host, to.port)
            await self._refresh_soon()
        return self._node((host, to.port))

    def _lost(self, node: Node) -> None:
        node.errors += 1
        node.reachable = False

    async def _another(self, key: bytes | None) -> Node:
        """Whom to ask when a server was away: the next one, or the one that has taken over its slots."""
        if self.cluster_command is not None:
            await self._refresh_soon()
            return await self._node_for(key)
        self._first = (self._first + 1) % len(self._places)
        return self._node(self._places[self._first])

    async def _node_for(self, key: bytes | None) -> Node:
        if self.cluster_command is None:
            return self._node(self._places[self._first])
        if key is None:
            return next((node for node in self.nodes.values() if node.reachable), next(iter(self.nodes.values())))
        place = self.slots.get(slot_of(key))
        if place is None:
            await self._refresh_soon()
            place = self.slots.get(slot_of(key))
        return self._node(place) if place is not None else next(iter(self.nodes.values()))

    def _node(self, place: Place) -> Node:
        node = self.nodes.get(place)
        if node is None:
            node = self.nodes[place] = Node(self._login, place, self.url.socket)
        return node

    # -- the topology -------------------------------------------------------------------------------------------------

    async def connect(self) -> None:
        """Find out once whether this is a cluster.  Raises redis.RedisError, OSError when nobody answers."""
        if self._known:
            return
        async with self._refreshing:
            await self._find_out()

    async def _find_out(self) -> None:
        if self._known:  # somebody else has done it meanwhile
            return
        if self.url.socket:
            await self._node(self._places[0]).ask((b"PING",))
            self._known = True
        else:
            await self._find_topology()

    async def check(self) -> None:
        """Connect now.  Raises CacheError."""
        try:
            async with self._clock.timeout(self._deadline):
                await self.connect()
        except TimeoutError:
            raise CacheError(f"'{self.url.name}' cannot be reached within {self._deadline:g} s") from None
        except (RedisError, OSError) as error:
            raise CacheError(f"'{self.url.name}' cannot be reached: {error}") from error

    async def ping(self, node: Node) -> bool:
        """Whether a server answers."""
        try:
            async with self._clock.timeout(self._deadline):
                await node.ask((b"PING",))
        except (RedisError, OSError):
            self._lost(node)
            return False
        node.reachable = True
        return True

    async def _find_topology(self) -> None:
        failure: Exception | None = None
        for place in [*self._places[self._first :], *self._places[: self._first]]:
            try:
                await self._read_topology(self._node(place))
            except Exception as error:  # whatever is wrong with this one, the next may answer
                self._lost(self._node(place))
                failure = error
                continue
            self._first = self._places.index(place)
            self._known = True
            return
        assert failure is not None, "there is a place"
        raise failure

    async def _read_topology(self, node: Node) -> None:
        """Ask a server which one has which slot; one that is no cluster says so.  Raises RedisError, OSError."""
        for command, read in ((SHARDS_COMMAND, slots_in_shards), (SLOTS_COMMAND, slots_in_ranges)):
            try:
                reply = await node.ask(command)
            except ResponseError:
                continue
            node.reachable = True
            slots = read(reply, node.place)
            if slots:
                self.cluster_command, self.slots = decode(command[1]), slots
                self._keep_nodes()
                self._note_refresh()
                return
        await node.ask((b"PING",))
        node.reachable = True

    def _keep_nodes(self) -> None:
        """Forget servers that have no slots any more, but for those of the URL."""
        wanted = set(self.slots.values())
        for place in wanted:
            self._node(place).reachable = True
        for place in [place for place in self.nodes if place not in wanted]:
            gone = self.nodes.pop(place)
            if self.nodes:
                asyncio.ensure_future(gone.retire()).add_done_callback(
                    lambda done: done.cancelled() or done.exception()
                )

    def _note_refresh(self) -> None:
        self.refreshes += 1
        self.refreshed = self._clock.time()
        self._figures.refreshes.add()

    async def _refresh_soon(self) -> None:
        """Ask for the topology again, unless that was done a moment ago."""
        now = self._clock.monotonic()
        if now - self._refresh_asked >= REFRESH_SECONDS:
            self._refresh_asked = now
            await self.refresh()

    async def refresh(self) -> bool:
        """Ask all servers in turn for the topology until one tells; False when none does."""
        async with self._refreshing:
            for place in dict.fromkeys([*self.nodes, *self._places]):
                try:
                    async with self._clock.timeout(self._deadline):
                        await self._read_topology(self._node(place))
                    return True
                except Exception as error:  # whatever is wrong with this one, the next may tell
                    log.warning("'%s': %s:%d does not tell the topology: %s", self.url.name, *place, error)
            return False

    @property
    def mapped(self) -> int:
        """How many slots have a server; all 16384 in a cluster that is well."""
        return min(len(self.slots), SLOTS)

    async def close(self) -> None:
        for node in self.nodes.values():
            await node.close()


def _leads_somewhere(to: AskError) -> bool:
    """Whether a redirection (MovedError is an AskError, too) names a slot and a port that there may be."""
    return 0 <= to.slot_id < SLOTS and 0 < to.port < 65536


def _cells(reply: Reply, depth: int = 0) -> Iterator[Value]:
    """The values of a reply, lists in lists one behind the other; nothing in a list is an empty text."""
    for count, value in enumerate(_flat(reply, depth)):
        if count >= MAX_CELLS:
            raise CacheError(f"the reply has more than {MAX_CELLS} values")
        yield value


def _flat(reply: Reply, depth: int) -> Iterator[Value]:
    if isinstance(reply, bytes | str):
        yield decode(reply) if isinstance(reply, bytes) else reply
    elif reply is None:
        yield ""
    elif isinstance(reply, bool | int):
        yield wrap(int(reply))
    elif isinstance(reply, float):
        yield f"{reply:g}"
    elif isinstance(reply, ResponseError):
        yield str(reply)
    elif depth > 10:
        raise CacheError("the reply has lists in lists, deeper than 10")
    else:
        members = reply.items() if isinstance(reply, dict) else reply
        for one in members:
            yield from _flat(one, depth + 1)
