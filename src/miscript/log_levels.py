"""Log levels of OpenSIPS: their numbers, and the levels of Python's logging that they stand for.

The numbers grow with the amount of text: -3 (`L_ALERT`) to 4 (`L_DBG`).  A level lets through everything up to its
own number.  Source: OpenSIPS manual, "Core Parameters", `log_level`; "Core Functions", `xlog`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Final


class LogLevel(IntEnum):
    """The levels that have a name."""

    ALERT = -3
    CRIT = -2
    ERR = -1
    WARN = 1
    NOTICE = 2
    INFO = 3
    DBG = 4


SILENT: Final = 60
"""A level of Python's logging above all that miscript writes."""

PYTHON_LEVELS: Final[dict[int, int]] = {-3: 55, -2: 50, -1: 40, 0: 40, 1: 30, 2: 25, 3: 20, 4: 10}
"""Level of OpenSIPS → level of Python's logging.  Alerts and notices have none of that name and stand between."""


def python_level(number: int) -> int:
    """The level of Python's logging for a `log_level` of any number: below -3 nothing passes, above 4 everything."""
    if number < LogLevel.ALERT:
        return SILENT
    return PYTHON_LEVELS[min(number, LogLevel.DBG)]
