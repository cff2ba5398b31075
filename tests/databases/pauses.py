"""How long the loop is held up, in time of its own thread: what a loaded machine does to it does not count."""

from __future__ import annotations

import asyncio
import gc
import time
from contextlib import asynccontextmanager


@asynccontextmanager
async def pauses():
    """A list that fills with the pauses between two turns of someone else, in seconds.

    The collector of garbage waits: its pauses depend on all that the process holds.
    """
    found: list[float] = []

    async def ticks():
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            found.append(now - last)
            last = now

    gc.collect()
    gc.disable()
    ticking = asyncio.ensure_future(ticks())
    try:
        yield found
    finally:
        ticking.cancel()
        gc.enable()
