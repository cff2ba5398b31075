"""Script functions of the core that need no message: printing, flags, time, texts.

Source: OpenSIPS manual, "Core Functions".
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from ...exports import (
    BoundConstant,
    BoundLiteral,
    BoundText,
    Writable,
    WritableAvp,
    bound_function,
    script_function,
    variable,
)
from ...script.access import SimpleAccess, name_of
from ...script.nodes import Template
from ...script.runtime import Run
from ...script.signatures import Argument, Binder, VariableAccess
from ...trace_service import route_tracing
from ...values import NumberWithText, Value, text_of
from .part import CorePart

XLOG_LEVELS = {"A": -3, "C": -2, "E": -1, "W": 1, "N": 2, "I": 3, "D": 4}
"""The server looks at the third letter of `L_ERR` alone."""

LEVEL_WORDS = {-3: "ALERT", -2: "CRITICAL", -1: "ERROR", 1: "WARNING", 2: "NOTICE", 3: "INFO", 4: "DBG"}
"""What traces of xlog call a level."""

DEFAULT_XLOG_LEVEL = 2
DEBUG = 4

script_log = logging.getLogger("miscript.script")


class ScriptFunctions(CorePart):
    """Printing, flags and the like."""

    flag_numbers: dict[str, int]

    # -- printing -------------------------------------------------------------------------------------------------

    @bound_function()
    def xlog(self, level: BoundText, text: BoundText | None = None) -> Callable[[Run], int]:
        """Print a text with its variables filled in: `xlog("text")` or `xlog("L_INFO", "text")`.

        Nothing is added, no newline either.  The text is printed when its level (L_NOTICE when left out) is not
        above `$xlog_level`.  A level held in a variable is a number; with anything else the call fails.
        """
        if text is None:
            return self._printer(level, lambda run: DEFAULT_XLOG_LEVEL)
        if level.is_constant:
            number = level_number(level.constant)
            return self._printer(text, lambda run: number)
        return self._printer(text, level.alone or level.get)

    @bound_function()
    def xdbg(self, text: BoundText) -> Callable[[Run], int]:
        """Print a text at level L_DBG."""
        return self._printer(text, lambda run: DEBUG)

    def _printer(self, text: Argument, level: Callable[[Run], Value]) -> Callable[[Run], int]:
        levels, write, get = self.services.levels, self.services.print, text.get
        tracing = route_tracing(self.services)

        def printer(run: Run) -> int:
            own = run.space.xlog_level
            number = level(run)
            if not isinstance(number, int):
                script_log.error("the level of xlog is no number but %s", text_of(number))
                return -1
            if number <= (levels.xlog if own is None else own):
                printed = text_of(get(run))
                write(printed)
                if tracing is not None and tracing.wants(run, "xlog"):
                    here = run.message.destination
                    fields = [("Event", LEVEL_WORDS.get(number, LEVEL_WORDS[DEBUG])), ("text", printed)]
                    tracing.tell(run, "xlog", fields, here, here)
            return 1

        return printer

    @bound_function()
    def log(self, level: BoundLiteral, text: BoundLiteral | None = None) -> Callable[[Run], int]:
        """Write a text to the host's log: `log("text")` or `log(level, "text")`."""
        message = text or level

        def write(run: Run) -> int:
            script_log.warning("%s", text_of(message.get(run)).rstrip("\n"))
            return 1

        return write

    @script_function()
    def pv_printf(self, run: Run, variable: Writable, text: str) -> int:
        """Fill the variables into a text and store it in a variable."""
        return 1 if variable.set(run, text) else -1

    @script_function()
    def script_trace(self, run: Run, level: int = 3, text: str = "", info: str | None = None) -> int:
        """Accepted for scripts that have it; `miscript show python` and Python's own tools trace better."""
        return 1

    @script_function()
    def avp_print(self, run: Run) -> int:
        """Write all AVPs of the run to the host's log."""
        for name, values in run.avps.items():
            script_log.info("$avp(%s) = %s", name, ", ".join(text_of(v) for v in reversed(values)))
        return 1

    # -- flags ----------------------------------------------------------------------------------------------------

    def _know_flag(self, flag: Argument) -> str:
        return self._know_flag_named(text_of(flag.constant))

    def _know_flag_named(self, name: str) -> str:
        self.flag_numbers.setdefault(name, len(self.flag_numbers))
        return name

    @bound_function()
    def setflag(self, flag: BoundConstant) -> Callable[[Run], int]:
        """Set a flag of the message."""
        name = self._know_flag(flag)

        def set_flag(run: Run) -> int:
            run.flags.add(name)
            return 1

        return set_flag

    @bound_function()
    def resetflag(self, flag: BoundConstant) -> Callable[[Run], int]:
        """Clear a flag of the message."""
        name = self._know_flag(flag)

        def reset_flag(run: Run) -> int:
            run.flags.discard(name)
            return 1

        return reset_flag

    @bound_function()
    def isflagset(self, flag: BoundConstant) -> Callable[[Run], int]:
        """Whether a flag of the message is set."""
        name = self._know_flag(flag)
        return lambda run: 1 if name in run.flags else -1

    @variable("mf")
    def message_flags(self, run: Run) -> Value:
        """The flags that are set, the one named last in the script first."""
        return " ".join(sorted(run.flags, key=lambda name: -self.flag_numbers.get(name, 0)))

    @variable("msg.flag", inner="required", binds=True)
    def message_flag(self, inner: Template, index: None, binder: Binder) -> VariableAccess:
        """Whether a flag is set: 1 or 0, which print as true and false; 0 clears it, any other number sets it."""
        if inner.constant is not None:
            self._know_flag_named(inner.constant)
        name = name_of(binder.template_pieces(inner))

        def read(run: Run) -> Value:
            return NumberWithText(1, "true") if name(run) in run.flags else NumberWithText(0, "false")

        def write(run: Run, value: Value, operator: str) -> bool:
            flag = name(run)
            if flag is None or not isinstance(value, int):
                return False
            (run.flags.add if value else run.flags.discard)(flag)
            return True

        return SimpleAccess(read, write)

    # -- time and texts ---------------------------------------------------------------------------------------

    @script_function()
    def get_timestamp(self, run: Run, seconds: WritableAvp, microseconds: WritableAvp) -> int:
        """Store the time, in seconds since the epoch and microseconds of the second."""
        now = self.services.clock.time()
        stored = seconds.set(run, int(now)) and microseconds.set(run, int(now * 1_000_000) % 1_000_000)
        return 1 if stored else -1

    @script_function()
    def construct_uri(
        self,
        run: Run,
        scheme: str,
        user: str | None,
        domain: str,
        port: str | None,
        parameters: str | None,
        result: WritableAvp,
    ) -> int:
        """Make a URI of its parts and store it; empty parts are left out."""
        if not scheme or not domain:
            return -1
        uri = f"{scheme}:{user}@{domain}" if user else f"{scheme}:{domain}"
        uri += (f":{port}" if port else "") + (f";{parameters}" if parameters else "")
        return 1 if result.set(run, uri) else -1


def level_number(word: Value) -> int:
    """The number of an xlog level; its third letter says it."""
    return XLOG_LEVELS.get(text_of(word)[2:3], DEFAULT_XLOG_LEVEL)
