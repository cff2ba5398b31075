"""Workers: in OpenSIPS a process each, here a space of variables that one run holds at a time.

A run takes the space that was used last, so that as few as possible are in use and `$var` keeps its value from one
run to the next, as it does in a quiet OpenSIPS.  Startup and requests share one pool; events and timers have one each.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..script.runtime import Symbols, VariableSpace
from ..values import Value


class Workers:
    """A pool of variable spaces."""

    def __init__(self, name: str, symbols: Symbols, start: Mapping[str, Value]) -> None:
        self.name = name
        self.made = 0
        self._symbols = symbols
        self._start = start
        self._idle: list[VariableSpace] = []

    def take(self) -> VariableSpace:
        """The idle space that was used last, or a new one."""
        if self._idle:
            return self._symbols.fit(self._idle.pop())
        self.made += 1
        return self._symbols.space(self._start)

    def give_back(self, space: VariableSpace) -> None:
        self._idle.append(space)
