"""Real time."""

from __future__ import annotations

import asyncio
import time


class SystemClock:
    """The clock of a host in production; tests use `miscript.testing.ManualClock`."""

    def monotonic(self) -> float:
        return time.monotonic()

    def time(self) -> float:
        return time.time()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    def timeout(self, seconds: float | None) -> asyncio.Timeout:
        return asyncio.timeout(seconds)
