"""AVPs: lists of values that belong to a run.

Values are kept oldest first: pushing is an append, the newest is the last.  Source: docs/language.md.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Final, Literal

from ..values import Value, text_of

log = logging.getLogger("miscript.script")

MAX_AVP_VALUES: Final = 1_000_000
"""Values of one AVP: `for ($avp(x) in $(avp(x)[*]))` never ends by itself."""


def avp_text(values: Sequence[Value] | None) -> str | None:
    """`$(avp(x)[*])`: all values, the newest first."""
    if not values:
        return None
    return ", ".join(text_of(v) for v in reversed(values))


def avp_at(values: Sequence[Value] | None, index: Value) -> Value:
    """`$(avp(x)[i])`: 0 is the newest, -1 the oldest."""
    if not values or not isinstance(index, int):
        return None
    position = -1 - index
    return values[position] if -len(values) <= position < len(values) else None


def avp_assign(
    avps: dict[str, list[Value]],
    name: str,
    index: int | Literal["*", "append"] | None,
    operator: str,
    value: Value,
) -> bool:
    """Everything that `$avp(x) = …` can mean, with its index; False when there is no value of that index.

    `$(avp(x)[i]) := v` deletes all values first, and so finds none at `i`.
    """
    values = avps.get(name)
    if operator == ":=" or index == "*":
        if value is None or isinstance(index, int):
            avps.pop(name, None)
        else:
            avps[name] = [value]
        return value is None or not isinstance(index, int)
    if isinstance(index, int):
        position = -1 - index
        if not values or not -len(values) <= position < len(values):
            return value is None
        if value is None:
            del values[position]
        else:
            values[position] = value
        return True
    if value is None:
        if values:
            values.pop()
        return True
    if values is None:
        avps[name] = [value]
    elif len(values) >= MAX_AVP_VALUES:
        log.error("$avp(%s) has %d values; no more are taken", name, len(values))
        return False
    elif index == "append":
        values.insert(0, value)
    else:
        values.append(value)
    return True


class AvpWalk:
    """`for ($x in $(avp(y)[*]))`: by index, while the list may change."""

    __slots__ = ("avps", "index", "name")

    def __init__(self, avps: dict[str, list[Value]], name: str) -> None:
        self.avps = avps
        self.name = name
        self.index = 0

    def __iter__(self) -> AvpWalk:
        return self

    def __next__(self) -> Value:
        values = self.avps.get(self.name)
        if not values or self.index >= len(values):
            raise StopIteration
        self.index += 1
        return values[-self.index]
