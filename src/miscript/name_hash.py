"""The order in which OpenSIPS lists what it keeps by name: `name_hash(name) % buckets`, from the lowest.

Scripts and clients see that order in lists of shared variables and of cached keys.
Source: observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from .values import encode


def name_hash(name: str) -> int:
    """The number that the server files a name under: groups of four bytes, each mixed with its own upper bits."""
    data = encode(name)
    whole = len(data) // 4 * 4
    groups = [data[at : at + 4] for at in range(0, whole, 4)] + [data[whole:]]
    numbers = (int.from_bytes(group, "big") for group in groups)
    mixed = sum(number ^ number >> 3 for number in numbers) & 0xFFFFFFFF
    return mixed + (mixed >> 11) + (mixed >> 13) + (mixed >> 23)
