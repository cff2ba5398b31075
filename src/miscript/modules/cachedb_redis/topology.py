"""Which server of a cluster has which slot.

Source: Redis Cluster specification; commands CLUSTER SHARDS (Redis 7) and CLUSTER SLOTS (Redis 3).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from redis.crc import key_slot

from .client import Place, Reply

SLOTS: Final = 16384
SHARDS_COMMAND: Final = (b"CLUSTER", b"SHARDS")
SLOTS_COMMAND: Final = (b"CLUSTER", b"SLOTS")


def slot_of(key: bytes) -> int:
    """The slot of a key; of `a{b}c` that of `b`."""
    return key_slot(key)


def slots_in_shards(reply: Reply, asked: Place) -> dict[int, Place]:
    """Slot → master, of a reply to CLUSTER SHARDS.  `asked` stands for a server that does not know its own host."""
    found: dict[int, Place] = {}
    for shard in _maps(reply):
        ranges = list(shard.get("slots", ()))
        for node in _maps(shard.get("nodes", ())):
            if _text(node.get("role")) != "master" or _text(node.get("health", b"online")) != "online":
                continue
            host = _text(node.get("endpoint")) or _text(node.get("ip"))
            port = int(node.get("port") or node.get("tls-port") or 0)
            place = (host if host not in ("", "?") else asked[0], port)
            for first, last in zip(ranges[::2], ranges[1::2], strict=False):
                found |= dict.fromkeys(range(int(first), int(last) + 1), place)
    return found


def slots_in_ranges(reply: Reply, asked: Place) -> dict[int, Place]:
    """The same of a reply to CLUSTER SLOTS."""
    found: dict[int, Place] = {}
    for first, last, master, *_ in reply:
        host = _text(master[0])
        place = (host if host not in ("", "?") else asked[0], int(master[1]))
        found |= dict.fromkeys(range(int(first), int(last) + 1), place)
    return found


def _maps(reply: Reply) -> Iterator[dict[str, Reply]]:
    """Maps of RESP, which an older protocol writes as lists of names and values."""
    for one in reply:
        pairs = one.items() if isinstance(one, dict) else zip(one[::2], one[1::2], strict=False)
        yield {_text(name): value for name, value in pairs}


def _text(value: Reply) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
