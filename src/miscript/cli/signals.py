"""SIGINT, SIGTERM and SIGHUP of a running host.

The first SIGINT or SIGTERM stops it in order.  A route that computes without end keeps the event loop from noticing;
after `PATIENCE_SECONDS` it is broken off where it stands.  The second one ends the process at once.

SIGHUP lets it read its files again, as it does with other servers.  It also comes when the terminal is closed that the
host was started in: then the host stops.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable
from types import FrameType

from ..script.runtime import BudgetExceeded

PATIENCE_SECONDS = 2.0


class Signals:
    """Handlers of the main thread; Python runs them between two instructions, whatever the event loop does."""

    def __init__(self, stopping: asyncio.Event, reread: Callable[[], None]) -> None:
        self._stopping = stopping
        self._reread = reread
        self._in_terminal = _has_terminal()
        self._loop = asyncio.get_running_loop()
        self._received = False

    def install(self) -> None:
        """Take the signals over."""
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._hang_up)
        signal.signal(signal.SIGALRM, self._break_off)

    def noticed(self) -> None:
        """The event loop runs: nothing has to be broken off."""
        signal.setitimer(signal.ITIMER_REAL, 0)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        if self._received:
            raise KeyboardInterrupt
        self._received = True
        signal.setitimer(signal.ITIMER_REAL, PATIENCE_SECONDS, PATIENCE_SECONDS)
        self._loop.call_soon_threadsafe(self._stopping.set)

    def _hang_up(self, number: int, frame: FrameType | None) -> None:
        if self._in_terminal and not _has_terminal():
            self._stop(number, frame)
        else:
            self._loop.call_soon_threadsafe(self._reread)

    def _break_off(self, number: int, frame: FrameType | None) -> None:
        raise BudgetExceeded(f"{PATIENCE_SECONDS:g} seconds to end when the host was stopped")


def _has_terminal() -> bool:
    """Whether there is a terminal behind standard input; not any more once it is closed."""
    return os.isatty(0)
