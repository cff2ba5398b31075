"""A watch over routes that hang inside one operation, where no loop turns that could look at the clock.

`(a+)+$` against forty letters keeps Python's `re` busy for hours: no statement ends, no event is served, not even
SIGTERM.  `re` does look for signals while it searches, though, so a timer of processor time (it costs nothing while
the host sleeps) interrupts it and asks which run is at work.  That run is ended as one that broke; the host goes on.

Source: setitimer(2), ITIMER_VIRTUAL; the manual of Python's module `signal`, "Execution of Python signal handlers".
"""

from __future__ import annotations

import signal
import time
from types import FrameType
from typing import Final, NoReturn

from ..script.runtime import BudgetExceeded, Run

TICK_SECONDS: Final = 0.25
"""Processor time from one look to the next."""

PATIENCE_SECONDS: Final = 5.0
"""Processor time that one operation of a script may take."""


class Watchdog:
    """Interrupts the operation of a run that has passed its time budget, or that computes without an end."""

    def __init__(self) -> None:
        self._place: tuple[int, int, int] | None = None
        self._ticks = 0

    def start(self) -> None:
        """Begin to watch; call it in the main thread, which is the one that gets signals."""
        signal.signal(signal.SIGVTALRM, self.look)
        signal.setitimer(signal.ITIMER_VIRTUAL, TICK_SECONDS, TICK_SECONDS)

    def stop(self) -> None:
        """Watch no longer."""
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, signal.SIG_DFL)

    def look(self, number: int, frame: FrameType | None) -> None:
        """The handler of the signal: what is at work in `frame`, and since when?"""
        run = _run_at_work(frame)
        if frame is None or run is None:
            self._place = None
            return
        place = (id(run), id(frame), frame.f_lasti)
        self._ticks = self._ticks + 1 if place == self._place else 0
        self._place = place
        if self._ticks and run.deadline is not None and time.monotonic() > run.deadline:
            self._interrupt(run.budget)
        if self._ticks * TICK_SECONDS >= PATIENCE_SECONDS:
            self._interrupt(f"{PATIENCE_SECONDS:g} seconds for one operation; does a regular expression backtrack?")

    def _interrupt(self, budget: str) -> NoReturn:
        self._place = None
        raise BudgetExceeded(budget)


def _run_at_work(frame: FrameType | None) -> Run | None:
    """The run that the interrupted code belongs to, if it belongs to one."""
    while frame is not None:
        if "run" in frame.f_code.co_varnames:
            run = frame.f_locals.get("run")
            if isinstance(run, Run):
                return run
        frame = frame.f_back
    return None
