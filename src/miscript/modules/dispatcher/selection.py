"""Choosing a destination: hashes over parts of the request, round robin, chance, loads; and who follows if it fails.

Everything is a function of a set, of numbers and of texts; what the texts are, `request_keys` tells of a request.

Source: OpenSIPS manual, module dispatcher ("ds_select_dst", questions about weights); observed choices of OpenSIPS 4.1,
which this module repeats: the same set and the same request lead to the same destination.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from enum import IntEnum
from itertools import islice

from ...name_hash import mixed_hash
from ...sip.uri import SipUri
from .destinations import Destination, DestinationSet, InService


class Algorithm(IntEnum):
    """The second parameter of `ds_select_dst`; every other number means `FIRST`."""

    CALL_ID = 0
    FROM_URI = 1
    TO_URI = 2
    REQUEST_URI = 3
    ROUND_ROBIN = 4
    AUTH_USER = 5
    RANDOM = 6
    VARIABLES = 7
    FIRST = 8
    LOAD = 9
    ROUTE = 10


HASHED = frozenset(
    {
        Algorithm.CALL_ID,
        Algorithm.FROM_URI,
        Algorithm.TO_URI,
        Algorithm.REQUEST_URI,
        Algorithm.AUTH_USER,
        Algorithm.VARIABLES,
    }
)
"""Those that hash a text of the request."""

RANKED = frozenset({Algorithm.LOAD, Algorithm.ROUTE})
"""Those that ask a number of each destination, the lowest being the best."""


def algorithm_of(number: int) -> Algorithm | None:
    """The algorithm of that number, None for an unknown one."""
    try:
        return Algorithm(number)
    except ValueError:
        return None


# -- what is hashed -------------------------------------------------------------------------------------------------


def uri_keys(uri: SipUri, user_only: bool) -> tuple[str, ...]:
    """What counts of a URI: its user, and host and port; port 5060 of a `sip` URI is as good as none."""
    user = uri.user or ""
    if user_only or not uri.host:
        return (user,)
    port = uri.port
    host = uri.host if port is None or (port == 5060 and not uri.is_secure) else f"{uri.host}:{port}"
    return (user, host)


# -- choosing one ---------------------------------------------------------------------------------------------------


def by_number(number: int, among: InService) -> Destination | None:
    """The destination that a number means, by weight.

    All destinations have their share whether they are in service or not, so that one that fails does not move the
    others'; what would have gone to it is shared by those that are left.
    """
    chosen = _shared(number, among.all, among.all_weights)
    if chosen is not None and not chosen.active:
        chosen = _shared(number, among.active, among.active_weights)
    return chosen


def _shared(number: int, destinations: Sequence[Destination], sums: Sequence[int]) -> Destination | None:
    if not destinations:
        return None
    total = sums[-1]
    return destinations[bisect_right(sums, number % total) if total else number % len(destinations)]


def by_hash(keys: Sequence[str], among: InService) -> Destination | None:
    """The destination that texts of a request mean, the same each time."""
    return by_number(mixed_hash(*keys), among)


def by_chance(pick: Callable[[int], int], among: InService) -> Destination | None:
    """One of those in service, the heavier the more often; `pick(n)` is a number from 0 to n - 1."""
    if not among.active:
        return None
    total = among.active_weights[-1]
    return _shared(pick(total or len(among.active)), among.active, among.active_weights)


def by_turns(within: DestinationSet, among: InService) -> Destination | None:
    """Round robin: the one chosen last as often as its weight says, then the next in service."""
    if not among.active:
        return None
    start = within.last if within.last < len(among.all) else 0
    last = among.all[start]
    if last.active and last.used < last.weight:
        last.used += 1
        return last
    last.used = 0
    following = (among.all[(start + step) % len(among.all)] for step in range(1, len(among.all) + 1))
    chosen = next(one for one in following if one.active)
    chosen.used += 1
    return chosen


def first(among: InService) -> Destination | None:
    """The one of the highest priority."""
    return among.active[0] if among.active else None


# -- who follows ----------------------------------------------------------------------------------------------------


def ranked(among: InService, loads: Sequence[int | None]) -> list[Destination]:
    """Those in service, the lowest load first; a destination without one (None) is left out.

    `loads` are those of `among.active`.
    """
    known = [(load, number) for number, load in enumerate(loads) if load is not None]
    return [among.active[number] for _, number in sorted(known)]


def followed(chosen: Destination, among: InService, limit: int | None) -> list[Destination]:
    """The one chosen and those to try after it: the others in service in their order, round from its place.

    `limit` is how many there are at most; one that is kept for the end comes on top of that.
    """
    count = len(among.all)
    others = (among.all[(chosen.number + step) % count] for step in range(1, count))
    more = count if limit is None else max(limit, 1) - 1
    return with_spare([chosen, *islice((one for one in others if one.active), more)], among)


def with_spare(found: list[Destination], among: InService) -> list[Destination]:
    """The same, and at its end the destination that is kept for that."""
    return found if among.spare is None else [*found, among.spare]
