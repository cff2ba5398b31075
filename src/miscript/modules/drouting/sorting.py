"""The order in which the gateways of a rule or of a carrier are tried.

`N` keeps the order of the table, `W` draws by weight.  `Q`, by quality, is the work of the module qrouting: a module
that can measure offers a `Sorter` as `drouting sorter:Q`; without one the order of the table stays.

Source: OpenSIPS manual, module drouting, columns `sort_alg` of `dr_carriers` and `dr_rules`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

AS_LISTED: Final = "N"
BY_WEIGHT: Final = "W"
BY_QUALITY: Final = "Q"
ALGORITHMS: Final = frozenset((AS_LISTED, BY_WEIGHT, BY_QUALITY))

SORTER: Final = "drouting sorter:"
"""What a sorter is offered as (`services.provide`), with the letter of its algorithm behind the colon."""

Sorter: TypeAlias = Callable[[str, str, Sequence[str]], Sequence[int]]
"""Gets partition, name (`rule 17`, `carrier c1`) and the ids as they are listed, a carrier with `#` in front; gives
their places in the order in which they are to be tried.  Places left out are not tried at all."""


def by_weight(weights: Sequence[int], draw: Callable[[], float] = random.random) -> list[int]:
    """Places in random order, each drawn as often as its share of the weights that are left.

    Those without a weight come last, as they are listed.  `draw` gives numbers from 0 to below 1.
    """
    left = [place for place, weight in enumerate(weights) if weight]
    total = sum(weights)
    order: list[int] = []
    while len(left) > 1:
        point = draw() * total
        number, reached = 0, weights[left[0]]
        while reached <= point and number < len(left) - 1:
            number += 1
            reached += weights[left[number]]
        total -= weights[left[number]]
        order.append(left.pop(number))
    return order + left + [place for place, weight in enumerate(weights) if not weight]


def usable_order(order: Sequence[int], count: int) -> list[int]:
    """The places of a foreign sorter that exist, each once."""
    return [place for place in dict.fromkeys(order) if 0 <= place < count]
