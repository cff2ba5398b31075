"""How many commands of each source wait, and which sources are refused more.

A source is an address or a UNIX user.  That one is refused is told once, with how many of its commands were not run
once it has room again: addresses can be forged, and the log shall not be theirs.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Final

log = logging.getLogger("miscript.mi_datagram")

LOOK_SECONDS: Final = 1.0
"""How long a source is told to be refused at least."""

MAX_TOLD: Final = 16
"""Sources that are told to be refused at a time; further ones are only counted."""


class Sources:
    """Counts the commands that wait, by source; each may have `limit` of them."""

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.waiting: dict[str, int] = {}
        self._refused: dict[str, int] = {}
        """How many commands of the sources that are told to be refused were not run."""
        self._timer: asyncio.TimerHandle | None = None

    def has_room(self, source: str) -> bool:
        """Whether one more command of `source` may wait; if not, it is counted as refused."""
        if self.waiting.get(source, 0) < self.limit:
            return True
        if source in self._refused:
            self._refused[source] += 1
        elif len(self._refused) < MAX_TOLD:
            self._refused[source] = 1
            log.warning("%d commands of %s wait: more are refused (max_per_source)", self.limit, source)
            self._look_later()
        return False

    def begin(self, source: str) -> None:
        """One more command of `source` waits."""
        self.waiting[source] = self.waiting.get(source, 0) + 1

    def end(self, source: str) -> None:
        """One less does."""
        left = self.waiting[source] - 1
        if left:
            self.waiting[source] = left
        else:
            del self.waiting[source]

    def stop(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _look_later(self) -> None:
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Tell which sources have room again: half of what they may have, lest they come and go."""
        self._timer = None
        for source in [one for one in self._refused if self.waiting.get(one, 0) <= self.limit // 2]:
            count = self._refused.pop(source)
            log.warning("commands of %s are taken again; %d were refused", source, count)
        if self._refused:
            self._look_later()
