"""The host's log on standard error."""

from __future__ import annotations

import logging
import sys
import time
import traceback

from ..log_levels import LogLevel, python_level
from ..log_lines import OneLine
from ..script.runtime import place_in_script

SAME_LINES_PER_SECOND = 20


class Repeats(logging.Filter):
    """Lets the same line through a few times a second: a loop that fails each time must not fill a disk.

    What was left out is counted and told with the next line that gets through.
    """

    def __init__(self) -> None:
        super().__init__()
        self._second = 0
        self._seen: dict[tuple[str, int, str], int] = {}
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        now = int(time.monotonic())
        if now != self._second:
            self._second = now
            self._seen.clear()
        key = (record.name, record.lineno, record.msg)
        count = self._seen[key] = self._seen.get(key, 0) + 1
        if count > SAME_LINES_PER_SECOND:
            self._left_out += 1
            return False
        if self._left_out:
            record.msg, record.args = f"{record.getMessage()}  ({self._left_out} lines like others were left out)", None
            self._left_out = 0
        return True


class InScript(OneLine):
    """Adds to warnings and errors the line of the script that was being run, as " (file:line)"."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name that logging asks for
        if record.levelno >= logging.WARNING:
            record.message += place_in_script(traceback.walk_stack(sys._getframe()))
        return super().formatMessage(record)


def log_to_stderr() -> None:
    """Send the log of this process to standard error."""
    for level in (LogLevel.ALERT, LogLevel.NOTICE):  # Python's logging has no names for those
        logging.addLevelName(python_level(level), level.name)
    handler = logging.StreamHandler()
    handler.setFormatter(InScript("%(asctime)s %(levelname)s %(name)s: %(message)s", "%H:%M:%S"))
    handler.addFilter(Repeats())
    logging.getLogger("miscript").addHandler(handler)
    logging.captureWarnings(True)
