"""How busy the host is: the share of a processor that it used lately."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from typing import Final

LONGEST: Final = 600.0
"""Seconds that can be looked back."""


class ProcessorUse:
    """Processor time of the process, noted each time that it is asked for, at most once a second.

    Between two questions nothing is measured: a period is as long as asked for when the questions come about that
    often (a monitor), and goes back to the last question otherwise.
    """

    def __init__(self, monotonic: Callable[[], float], process_time: Callable[[], float] = time.process_time) -> None:
        self._monotonic = monotonic
        self._process_time = process_time
        self._notes: deque[tuple[float, float]] = deque([(monotonic(), process_time())])

    def percent(self, seconds: float) -> int:
        """The share of one processor over the last `seconds`, in percent."""
        now, used = self._monotonic(), self._process_time()
        notes = self._notes
        while len(notes) > 1 and notes[1][0] <= now - LONGEST:
            notes.popleft()
        since, used_then = next((note for note in reversed(notes) if note[0] <= now - seconds), notes[0])
        if now - notes[-1][0] >= 1:
            notes.append((now, used))
        return round(100 * (used - used_then) / (now - since)) if now > since else 0
