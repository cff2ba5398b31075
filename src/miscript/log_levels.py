"""Log levels of OpenSIPS: their names, their numbers, and the levels of Python's logging that they stand for.

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

_NAMES: Final = {f"L_{level.name}": int(level) for level in LogLevel}


def python_level(number: int) -> int:
    """The level of Python's logging for a `log_level` of any number: below -3 nothing passes, above 4 everything."""
    if number < LogLevel.ALERT:
        return SILENT
    return PYTHON_LEVELS[min(number, LogLevel.DBG)]


def level_name(number: int) -> str:
    """`L_INFO` for 3; the digits of a number that has no name."""
    return next((name for name, level in _NAMES.items() if level == number), str(number))


def parse_level(text: str) -> int:
    """The number of `L_INFO`, `info` or `3`.  Raises ValueError naming what was expected."""
    word = text.strip().upper()
    named = _NAMES.get(word if word.startswith("L_") else f"L_{word}")
    if named is not None:
        return named
    if word.lstrip("+-").isdecimal() and word.isascii():
        return int(word)
    raise ValueError(f"'{text}' is no log level; expected one of {', '.join(_NAMES)} or a number")
