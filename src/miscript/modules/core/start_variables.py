"""The core's variables that tell how the host was started: `$argv` and `$TS`.

Source: OpenSIPS 4.1's list of variables and its option `-o`.
"""

from __future__ import annotations

from ...exports import variable
from ...script.runtime import Run
from ...values import Value
from .part import CorePart


class StartVariables(CorePart):
    """Variables that keep their value as long as the host runs."""

    @variable("argv", inner="required")
    def option(self, run: Run, inner: str) -> Value:
        """The value of an option of the command line: with `miscript run FILE -o city=berlin`, `$argv(city)` is
        `berlin`.  NULL for options that are not given, or have no value.

        Programs that start a host of their own provide them as `options`, a dict of texts.
        """
        options = self.services.find("options") or {}
        return options.get(inner) or None

    @variable("TS")
    def started(self, run: Run) -> Value:
        """When the host was started, in seconds since the epoch."""
        return int(self.services.started)
