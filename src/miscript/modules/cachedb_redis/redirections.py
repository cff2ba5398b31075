"""Errors by which a server of a cluster says that another one has a key.

Source: Redis Cluster specification, "Redirection and resharding" (MOVED, ASK).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from .connection import Place
from .topology import SLOTS

_REDIRECTION: Final = re.compile(r"(MOVED|ASK) ([0-9]{1,5}) (\S*):([0-9]{1,5})").fullmatch


@dataclass(frozen=True, slots=True)
class Moved:
    """The slot is at another place for good."""

    slot: int
    place: Place


@dataclass(frozen=True, slots=True)
class Ask:
    """The slot is on its way to another place, where this key may be already."""

    place: Place


def redirection(text: str, asked: Place) -> Moved | Ask | None:
    """What an error says; None for any other error.  A place without a host has that of the server that was asked."""
    found = _REDIRECTION(text)
    if found is None:
        return None
    kind, slot, host, port = found[1], int(found[2]), found[3], int(found[4])
    if slot >= SLOTS or not 0 < port < 65536:
        return None
    place = (host if host not in ("", "?") else asked[0], port)
    return Moved(slot, place) if kind == "MOVED" else Ask(place)
