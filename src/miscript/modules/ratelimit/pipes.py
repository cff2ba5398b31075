"""Pipes: how often something may happen, by five algorithms.  Time is passed in, as seconds of a clock that only
goes on; `tick` ends an interval.

Source: OpenSIPS manual, module ratelimit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum
from typing import assert_never


class Algorithm(Enum):
    """What decides whether one more is allowed."""

    TAILDROP = "TAILDROP"
    RED = "RED"
    SBT = "SBT"
    NETWORK = "NETWORK"
    FEEDBACK = "FEEDBACK"


@dataclass(frozen=True, slots=True)
class Settings:
    """`interval` is in seconds; with `per_interval`, limits are for it and not for a second.

    The window of SBT has `slots` slots of `slot_seconds`.
    """

    interval: int = 10
    per_interval: bool = False
    slots: int = 50
    slot_seconds: float = 0.2

    def limit_of_interval(self, limit: int) -> int:
        """How many a limit lets through in one interval."""
        return limit if self.per_interval else limit * self.interval


class Window:
    """Counts of the last slots; the oldest falls out when a new one begins."""

    def __init__(self, slots: int, seconds: float) -> None:
        self._seconds = seconds
        self._slot = 0
        self.counts = [0] * slots

    def move(self, now: float) -> None:
        """Come to the slot of `now`."""
        slot = int(now / self._seconds)
        for new in range(max(self._slot + 1, slot - len(self.counts) + 1), slot + 1):
            self.counts[new % len(self.counts)] = 0
        self._slot = max(slot, self._slot)

    def add(self, now: float) -> None:
        self.move(now)
        self.counts[self._slot % len(self.counts)] += 1

    def take_back(self, now: float) -> None:
        """One less in the newest slot that has any."""
        self.move(now)
        for back in range(len(self.counts)):
            place = (self._slot - back) % len(self.counts)
            if self.counts[place]:
                self.counts[place] -= 1
                return

    def reset(self) -> None:
        self.counts = [0] * len(self.counts)

    @property
    def total(self) -> int:
        return sum(self.counts)


@dataclass(slots=True)
class Load:
    """What the dynamic algorithms go by: bytes that wait in the network, and percent to drop."""

    waiting_bytes: int = 0
    drop_rate: int = 0


@dataclass(slots=True)
class Pipe:
    """One thing that is limited; `counter` is that of this interval, `last_counter` that of the one before."""

    name: str
    algorithm: Algorithm
    limit: int
    settings: Settings
    counter: int = 0
    last_counter: int = 0
    used: float = 0.0
    window: Window | None = field(default=None)

    def __post_init__(self) -> None:
        if self.algorithm is Algorithm.SBT:
            self.window = Window(self.settings.slots, self.settings.slot_seconds)

    def check(self, limit: int, now: float, load: Load) -> bool:
        """Count one more; whether it is within `limit`, which holds from now on."""
        self.limit, self.used = limit, now
        self.counter += 1
        if self.window is not None:
            self.window.add(now)
        match self.algorithm:
            case Algorithm.TAILDROP:
                return self.counter <= self.settings.limit_of_interval(limit)
            case Algorithm.RED:
                return self._early(self.settings.limit_of_interval(limit))
            case Algorithm.SBT:
                return self.count(now) <= limit
            case Algorithm.NETWORK:
                return load.waiting_bytes <= limit
            case Algorithm.FEEDBACK:
                return (self.counter - 1) * 37 % 100 >= load.drop_rate  # 37: spreads what is dropped over the hundred
            case _:
                assert_never(self.algorithm)

    def _early(self, limit: int) -> bool:
        """As many of the last interval's number as the limit lets through, spread evenly."""
        if limit <= 0:
            return False
        if self.last_counter <= limit:
            return True
        before = (self.counter - 1) * limit // self.last_counter
        return self.counter * limit // self.last_counter > before

    def count(self, now: float) -> int:
        """What `$rl_count` tells: the number of this interval, or of the window."""
        if self.window is None:
            return self.counter
        self.window.move(now)
        return self.window.total

    def take_back(self, now: float) -> None:
        """Count one less."""
        self.counter = max(0, self.counter - 1)
        if self.window is not None:
            self.window.take_back(now)

    def reset(self) -> None:
        """Count from 0 again."""
        self.counter = 0
        if self.window is not None:
            self.window.reset()

    def tick(self) -> None:
        """An interval ends."""
        self.last_counter, self.counter = self.counter, 0


@dataclass(slots=True)
class Controller:
    """The PID controller of FEEDBACK: from how busy the processor is to how much is dropped.

    `ki`, `kp` and `kd` weigh the sum of the errors, the error and its change; an error is what is wanted less what
    is, both between 0 and 1.
    """

    ki: float = -25.0
    kp: float = 0.0
    kd: float = 0.0
    _sum: float = 0.0
    _last: float = 0.0

    def drop_rate(self, wanted: float, busy: float) -> int:
        """Percent to drop in the next interval."""
        error = wanted - busy
        most = 100 / abs(self.ki) if self.ki else 0.0
        self._sum = max(-most, min(0.0 if self.ki < 0 else most, self._sum + error))
        found = self.ki * self._sum + self.kp * error + self.kd * (error - self._last)
        self._last = error
        return int(max(0.0, min(100.0, found)))
