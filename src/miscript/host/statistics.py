"""All counters of the host, by group and name.

A counter counts by itself, or reads its value from elsewhere each time that it is asked.  Groups are listed in the
order in which they came, between the core's own in front and `load` and `pkmem` at the end, as OpenSIPS does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

FIRST_GROUPS: Final = ("shmem", "rpmem", "core", "net", "dynamic")
LAST_GROUPS: Final = ("load", "pkmem")


class Statistic:
    """One counter of the host.

    `resettable` ones count up and may go back to 0; the others show a state.
    """

    __slots__ = ("_read", "group", "name", "number", "resettable")

    def __init__(self, group: str, name: str, resettable: bool, read: Callable[[], int] | None) -> None:
        self.group = group
        self.name = name
        self.resettable = resettable
        self.number = 0
        self._read = read

    @property
    def value(self) -> int:
        """What it shows now."""
        return self.number if self._read is None else self._read()

    def add(self, amount: int = 1) -> None:
        """Count `amount`, which may be negative."""
        self.number += amount

    def reset(self) -> None:
        """Go back to 0; a counter that reads its value elsewhere cannot."""
        self.number = 0


class StatisticsTable:
    """The statistics of one host."""

    def __init__(self) -> None:
        self._groups: dict[str, dict[str, Statistic]] = {}
        self._names: dict[str, Statistic] = {}

    def register(
        self, group: str, name: str, resettable: bool = True, read: Callable[[], int] | None = None
    ) -> Statistic:
        """A new counter, or the one that is there.  With `read` its value is asked for each time."""
        counters = self._groups.setdefault(group, {})
        counter = counters.get(name)
        if counter is None:
            counter = counters[name] = Statistic(group, name, resettable and read is None, read)
            self._names.setdefault(name, counter)
        return counter

    def find(self, name: str) -> Statistic | None:
        """The counter `name` or `group:name`; of several with one name the one that came first."""
        found = self._names.get(name)
        if found is None and ":" in name:
            group, _, short = name.partition(":")
            found = self._groups.get(group, {}).get(short)
        return found

    def group(self, name: str) -> Sequence[Statistic]:
        """The counters of a group in the order that MI lists them; empty when there is no such group."""
        return list(self._groups.get(name, {}).values())

    def all(self) -> Sequence[Statistic]:
        """Every counter, group by group."""
        others = [name for name in self._groups if name not in FIRST_GROUPS + LAST_GROUPS]
        return [counter for name in (*FIRST_GROUPS, *others, *LAST_GROUPS) for counter in self.group(name)]
