"""Locks of the script, by name: a route that waits for one suspends itself and nobody else.

A lock belongs to the run that holds it, also while that run waits in `async()`, and is given back when the run ends,
however it ends.  It goes to those who wait in the order they came.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from ...script.runtime import Run


class AlreadyHeld(Exception):
    """The run holds the lock: waiting for it would never end."""


@dataclass(slots=True)
class _Held:
    owner: Run
    waiting: deque[tuple[Run, asyncio.Future[None]]] = field(default_factory=deque)


class Locks:
    """All locks of one kind; a name that nobody holds takes no memory."""

    def __init__(self) -> None:
        self._held: dict[str, _Held] = {}

    def owner(self, name: str) -> Run | None:
        """The run that holds the lock `name`."""
        held = self._held.get(name)
        return None if held is None else held.owner

    async def acquire(self, name: str, run: Run) -> None:
        """Wait until `run` has the lock.  Raises `AlreadyHeld` when it has it already."""
        held = self._held.get(name)
        if held is None:
            self._held[name] = _Held(run)
        elif held.owner is run:
            raise AlreadyHeld(name)
        else:
            await self._wait(name, held, run)
        at_end: list[Callable[[], None]] = run.data.setdefault("at_end", [])
        at_end.append(lambda: self._give_back(name, run))

    def release(self, name: str, run: Run) -> bool:
        """Give the lock back; False, and nothing else, when another run holds it.  One that is free stays so."""
        held = self._held.get(name)
        if held is not None and held.owner is not run:
            return False
        self._give_back(name, run)
        return True

    async def _wait(self, name: str, held: _Held, run: Run) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        held.waiting.append((run, turn))
        try:
            await turn
        except asyncio.CancelledError:
            if held.owner is run:  # it became ours in the same moment
                self._give_back(name, run)
            elif (run, turn) in held.waiting:
                held.waiting.remove((run, turn))
            raise

    def _give_back(self, name: str, run: Run) -> None:
        held = self._held.get(name)
        if held is None or held.owner is not run:
            return
        while held.waiting:
            held.owner, turn = held.waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        del self._held[name]
