"""The order in which OpenSIPS lists what it keeps by name: `name_hash(name) % buckets`, from the lowest.

Scripts and clients see that order in lists of shared variables and of cached keys.  The same sums choose destinations
(module dispatcher).
Source: observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from .values import encode


def name_hash(name: str) -> int:
    """The number that the server files a name under: groups of four bytes, each mixed with its own upper bits."""
    return _spread(_mixed(name))


def mixed_hash(*texts: str) -> int:
    """The number of 32 bits by which the server chooses a destination for texts of a request; never 0."""
    return _spread(sum(map(_mixed, texts)) & 0xFFFFFFFF) & 0xFFFFFFFF or 1


def _mixed(text: str) -> int:
    data = encode(text)
    whole = len(data) // 4 * 4
    groups = [data[at : at + 4] for at in range(0, whole, 4)] + [data[whole:]]
    numbers = (int.from_bytes(group, "big") for group in groups)
    return sum(number ^ number >> 3 for number in numbers) & 0xFFFFFFFF


def _spread(mixed: int) -> int:
    return mixed + (mixed >> 11) + (mixed >> 13) + (mixed >> 23)
