"""Series of values over a time window: their sum, average or percentage, which old values leave again.

Values are kept in slots of the window, so a series takes memory for its slots and not for its values.  Time is passed
in.  Source: OpenSIPS manual, module statistics, "Statistic Series".
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

from ...errors import ConfigurationError

log = logging.getLogger("miscript.statistics")

MAX_SLOTS = 86400
"""Slots of one window."""

PARAMETER = "stat_series_profile"


@dataclass(slots=True)
class Slot:
    """What came within one slot: its number, how many values, and the sums of those above and below 0."""

    number: int
    count: int = 0
    above: int = 0
    below: int = 0


def accumulated(slots: deque[Slot], factor: int) -> int:
    """The sum of all values."""
    return sum(slot.above + slot.below for slot in slots)


def average(slots: deque[Slot], factor: int) -> int:
    """The mean of all values, its fraction cut."""
    count = sum(slot.count for slot in slots)
    return int(accumulated(slots, factor) / count) if count else 0


def percentage(slots: deque[Slot], factor: int) -> int:
    """The part of the values above 0 in all, in `factor`ths."""
    above = sum(slot.above for slot in slots)
    all_values = above - sum(slot.below for slot in slots)
    return above * factor // all_values if all_values else 0


ALGORITHMS: dict[str, Callable[[deque[Slot], int], int]] = {
    "accumulate": accumulated,
    "average": average,
    "percentage": percentage,
}


@dataclass(frozen=True, slots=True)
class Profile:
    """How a series counts: `window` in seconds, cut into `slots`."""

    name: str
    group: str
    algorithm: str = "accumulate"
    window: int = 60
    slots: int = 0
    percentage_factor: int = 100

    @property
    def slot_seconds(self) -> float:
        return self.window / self.slots


def read_profile(text: str) -> Profile:
    """The profile of `name: attribute=value …`.

    What the server only warns of is warned of here; raises ConfigurationError for what cannot work.
    """
    name, _, settings = text.partition(":")
    name = name.strip()
    if not name:
        raise ConfigurationError(f"'{text}' names no profile", parameter=PARAMETER)
    profile = Profile(name, name)
    for setting in settings.split():
        profile = _with_setting(profile, setting)
    if profile.window < 1:
        raise ConfigurationError(f"the window of '{name}' is {profile.window} seconds", parameter=PARAMETER)
    slots = profile.slots or profile.window
    if not 0 < slots <= MAX_SLOTS:
        raise ConfigurationError(f"'{name}' has {slots} slots, up to {MAX_SLOTS} are kept", parameter=PARAMETER)
    return replace(profile, slots=slots)


def _with_setting(profile: Profile, setting: str) -> Profile:
    attribute, _, value = setting.partition("=")
    match attribute:
        case "algorithm" if value in ALGORITHMS:
            return replace(profile, algorithm=value)
        case "group" if value:
            return replace(profile, group=value)
        case "window" | "slots" | "percentage_factor" if value.isascii() and value.isdecimal() and len(value) < 10:
            return replace(profile, **{attribute: int(value)})  # type: ignore[arg-type]  # all three are numbers
        case "hash_size":
            return profile
        case _:
            log.warning("profile '%s': '%s' is not understood and left out", profile.name, setting)
            return profile


class Series:
    """The values of one statistic."""

    def __init__(self, profile: Profile) -> None:
        self.profile = profile
        self._slots: deque[Slot] = deque()

    def add(self, value: int, now: float) -> None:
        """Take a value at `now`, in seconds of a clock that never goes back."""
        number = self._expire(now)
        if not self._slots or self._slots[-1].number != number:
            self._slots.append(Slot(number))
        slot = self._slots[-1]
        slot.count += 1
        if value > 0:
            slot.above += value
        else:
            slot.below += value

    def value(self, now: float) -> int:
        """What the algorithm makes of the values in the window."""
        self._expire(now)
        return ALGORITHMS[self.profile.algorithm](self._slots, self.profile.percentage_factor)

    def _expire(self, now: float) -> int:
        """Forget slots that left the window; the number of the one that `now` is in."""
        number = int(now / self.profile.slot_seconds)
        while self._slots and self._slots[0].number <= number - self.profile.slots:
            self._slots.popleft()
        return number
