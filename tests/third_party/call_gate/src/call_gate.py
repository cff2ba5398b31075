"""`loadmodule "call_gate.so"`: limit how many calls one caller has at a time.

    if (!gate_enter("$fU")) {
        send_reply(486, "Busy Here");
        exit;
    }

A caller who is in leaves with `gate_leave`.  `async(gate_wait("$fU"), resume)` goes on when there is room.
"""

from __future__ import annotations

import asyncio
from collections import Counter

from miscript.errors import ConfigurationError, MIError
from miscript.exports import (
    Module,
    async_function,
    mi_command,
    parameter,
    script_function,
    statistic,
    variable,
)
from miscript.script.runtime import Run
from miscript.services import Services
from miscript.values import Value


class CallGate(Module):
    """Limit how many calls one caller has at a time."""

    name = "call_gate"
    events = ("E_GATE_FULL",)

    max_calls = parameter(10, "Calls one caller may have at a time.")
    refused = statistic("refused", "Calls that were refused.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._calls: Counter[str] = Counter()
        self._left = asyncio.Event()

    def init(self) -> None:
        if self.max_calls < 1:
            raise ConfigurationError(f"max_calls must be 1 or more, found {self.max_calls}", parameter="max_calls")

    @script_function(routes="request failure startup")
    def gate_enter(self, run: Run, caller: str, weight: int = 1) -> int:
        """Let a caller in; -1 when there are too many calls already."""
        if self._calls[caller] + weight > self.max_calls:
            self.refused.add()
            self.services.events.raise_event("E_GATE_FULL", [("caller", caller), ("calls", self._calls[caller])])
            return -1
        self._calls[caller] += weight
        return 1

    @script_function()
    def gate_leave(self, run: Run, caller: str, weight: int = 1) -> int:
        """One call of the caller has ended."""
        self._calls[caller] = max(0, self._calls[caller] - weight)
        self._left.set()
        return 1

    @async_function()
    async def gate_wait(self, run: Run, caller: str) -> int:
        """Wait until the caller may come in, and let it in."""
        while self._calls[caller] >= self.max_calls:
            self._left.clear()
            await self._left.wait()
        self._calls[caller] += 1
        return 1

    @variable("gate_calls")
    def gate_calls(self, run: Run, caller: str) -> Value:
        """The calls that a caller has: `$gate_calls(bob)`."""
        return self._calls[caller]

    @mi_command("list", "", "caller", aliases=["gate_list"], read_only=True)
    def mi_list(self, caller: str | None = None) -> object:
        """lists callers with their calls"""
        if caller is None:
            return [{"caller": name, "calls": count} for name, count in self._calls.items() if count]
        if not self._calls[caller]:
            raise MIError(404, "No such caller")
        return {"caller": caller, "calls": self._calls[caller]}
