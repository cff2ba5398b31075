"""Statistics that the script defines, counts and reads.

A name is `name` or `group:name`; groups must be declared with `stat_groups`, those of the core and of modules are
there.  What the parameter `variable` names belongs to the group `script`, a colon in it is part of the name.  A
statistic without a group that nobody knows is made in the group `dynamic` when it is first counted.
The MI commands for statistics are the core's.  Source: OpenSIPS manual, module statistics.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from typing import cast

from ...errors import ConfigurationError
from ...exports import BoundNumber, BoundText, Module, Writable, bound_function, parameter, script_function, variable
from ...script.access import join
from ...script.nodes import Index, Template
from ...script.operations import number_argument, text_argument
from ...script.runtime import Run
from ...script.signatures import Argument, Binder, VariableAccess
from ...services import Counter, Services
from ...values import Value, wrap
from .series import Profile, Series, read_profile

log = logging.getLogger("miscript.statistics")

NOT_ERROR_ROUTE = "request failure reply branch local startup timer event"
DECLARED, COUNTED = "script", "dynamic"
"""The groups of statistics that `variable` names, and of those that are made by counting them."""
MAX_STATISTICS = 100_000
"""Statistics that scripts may make: names come from variables, and may come from the network."""

ITERATORS = "statistics iterators"


class StatisticAccess:
    """`$stat(name)`: reads a statistic; whatever is assigned sets it to 0."""

    __slots__ = ("known", "name", "owner")

    def __init__(self, owner: StatisticsModule, name: str | Callable[[Run], str]) -> None:
        self.owner = owner
        self.name = name
        self.known: Counter | None = None

    def _counter(self, run: Run) -> Counter | None:
        if self.known is not None:
            return self.known
        if not isinstance(self.name, str):
            return self.owner.found(self.name(run))
        self.known = self.owner.services.statistics.find(self.name)
        return self.known

    def get(self, run: Run) -> Value:
        counter = self._counter(run)
        return None if counter is None else wrap(counter.value)

    def set(self, run: Run, value: Value, operator: str = "=") -> bool:
        if value not in (0, None):
            log.warning("a statistic can only be set to 0, so it is")
        return self.owner.reset(self.name if isinstance(self.name, str) else self.name(run))

    def values(self, run: Run) -> Sequence[Value]:
        value = self.get(run)
        return () if value is None else (value,)


class StatisticsModule(Module):
    """Statistics that the script defines, counts and reads."""

    name = "statistics"

    declared: list[str] = parameter(
        [], "`name` or `name/no_reset`: a statistic to have from the start.", repeatable=True, name="variable"
    )
    stat_groups: list[str] = parameter([], "Names of groups, with commas between them.", repeatable=True)
    stat_series_profile: list[str] = parameter(
        [], "`name: algorithm=average window=60 slots=60 …`: how a series counts.", repeatable=True
    )

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.groups: set[str] = {DECLARED, COUNTED}
        self.profiles: dict[str, Profile] = {}
        self.series: dict[tuple[str, str], Series] = {}
        self.made = 0

    def init(self) -> None:
        self.groups.update(name.strip() for text in self.stat_groups for name in text.split(",") if name.strip())
        for text in self.stat_series_profile:
            profile = read_profile(text)
            self.profiles[profile.name] = profile
            self.groups.add(profile.group)
        for text in reversed(self.declared):  # the server lists the last one first
            name, slash, flag = text.partition("/")
            if not name or (slash and flag != "no_reset"):
                raise ConfigurationError(f"'{text}' is neither 'name' nor 'name/no_reset'", parameter="variable")
            self.services.statistics.register(DECLARED, name, resettable=not slash)

    # -- counting -------------------------------------------------------------------------------------------------

    def counter(self, name: str) -> Counter | None:
        """The statistic of that name, made when nobody has it; None, with a line in the log, when it may not be."""
        found = self.found(name)
        if found is not None:
            return found
        group, colon, rest = name.partition(":")
        if not colon:
            group, rest = COUNTED, name
        if group not in self.groups and not self.services.statistics.group(group):
            log.error("statistic '%s': the group '%s' is not declared with stat_groups", name, group)
            return None
        if not self._may_make(name):
            return None
        return self.services.statistics.register(group, rest)

    def found(self, name: str) -> Counter | None:
        """The statistic of a name that is told when it is counted; None when there is none."""
        group, colon, rest = name.partition(":")
        if colon and group in self.groups:  # also when a name that `variable` gives looks the same
            return next((one for one in self.services.statistics.group(group) if one.name == rest), None)
        return self.services.statistics.find(name)

    def _may_make(self, name: str) -> bool:
        if self.made >= MAX_STATISTICS:
            log.error("statistic '%s': the script has made %d already, no more are made", name, self.made)
            return False
        self.made += 1
        return True

    def _counter_of(self, name: Argument) -> Callable[[Run], Counter | None]:
        if not name.is_constant:
            return lambda run: self.counter(text_argument(name.get(run)))
        text, known = text_argument(name.constant), cast(list[Counter], [])

        def constant(run: Run) -> Counter | None:
            if not known:
                found = self.counter(text)
                if found is None:
                    return None
                known.append(found)
            return known[0]

        return constant

    @bound_function(routes=NOT_ERROR_ROUTE)
    def update_stat(self, name: BoundText, amount: BoundNumber) -> Callable[[Run], int]:
        """Add a number, which may be negative, to a statistic; it is made when nobody has it."""
        counter_of = self._counter_of(name)

        def update(run: Run) -> int:
            number = number_argument(amount.get(run))
            counter = counter_of(run)
            if counter is None:
                return -1
            counter.add(number)
            return 1

        return update

    @script_function(routes=NOT_ERROR_ROUTE)
    def reset_stat(self, run: Run, name: str) -> int:
        """Set a statistic to 0, unless it is one that cannot be reset."""
        return 1 if self.reset(name) else -1

    def reset(self, name: str) -> bool:
        """Set a statistic to 0 where that is allowed; False when there can be none of that name."""
        counter = self.counter(name)
        if counter is None:
            return False
        if counter.resettable:
            counter.reset()
        return True

    @variable("stat", inner="required", binds=True)
    def stat(self, inner: Template | None, index: Index | None, binder: Binder) -> VariableAccess:
        """The value of a statistic; NULL when there is none of that name.  Any assignment sets it to 0."""
        if inner is None:
            raise ValueError("$stat wants a name, as in $stat(core:rcv_requests)")
        name = inner.constant
        return StatisticAccess(self, join(binder.template_pieces(inner)) if name is None else name)

    # -- series -----------------------------------------------------------------------------------------------------

    @script_function()
    def update_stat_series(self, run: Run, profile: str, name: str, value: int) -> int:
        """Add a value to a series; what it amounts to is read like any statistic, as `$stat(profile:name)`."""
        series = self.series.get((profile, name)) or self._new_series(profile, name)
        if series is None:
            return -1
        series.add(value, self.services.clock.monotonic())
        return 1

    def _new_series(self, profile: str, name: str) -> Series | None:
        settings = self.profiles.get(profile)
        if settings is None:
            log.error("there is no series profile '%s', declare it with stat_series_profile", profile)
            return None
        if not self._may_make(name):
            return None
        series = self.series[profile, name] = Series(settings)
        clock = self.services.clock
        self.services.statistics.register(
            settings.group, name, resettable=False, read=lambda: series.value(clock.monotonic())
        )
        return series

    # -- walking through a group --------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    def stat_iter_init(self, run: Run, group: str, iterator: str) -> int:
        """Let `iterator` walk through the statistics of a group."""
        counters = self.services.statistics.group(group)
        if not counters and group not in self.groups:
            log.error("there is no group of statistics '%s'", group)
            return -1
        _iterators(run)[iterator] = iter(list(counters))
        return 1

    @script_function(routes=NOT_ERROR_ROUTE)
    def stat_iter_next(self, run: Run, name: Writable, value: Writable, iterator: str) -> int:
        """The next statistic's name and value; -1 when there are no more."""
        counter = next(_iterators(run).get(iterator, iter(())), None)
        if counter is None:
            return -1
        return 1 if name.set(run, counter.name) and value.set(run, wrap(counter.value)) else -1


def _iterators(run: Run) -> dict[str, Iterator[Counter]]:
    """Iterators belong to the worker, so that two runs that use the same name do not meet."""
    return cast(dict[str, Iterator[Counter]], run.space.data.setdefault(ITERATORS, {}))
