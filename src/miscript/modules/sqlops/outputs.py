"""Where the rows of a query go: lists of AVPs, or variables for one row.

Source: OpenSIPS manual, module sqlops, `sql_query`, `sql_query_one`; OpenSIPS 4.1 for doubles (eight decimals).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from ...database import Cell, Result
from ...errors import ConfigurationError
from ...script.access import AvpAccess
from ...script.runtime import Run
from ...script.signatures import Argument, VariableAccess, VariableInText
from ...values import INT_MAX, INT_MIN, Value, decode, wrap

log = logging.getLogger("miscript.sqlops")

NO_ROWS: Final = -2
FAILED: Final = -1
NULL: Final = "<null>"
"""What an AVP holds for a NULL: AVPs of one name are a list, in which every row has its place."""


@dataclass(frozen=True, slots=True)
class Numbers:
    """How numbers become values of the script; `long_as_text`: one that fits no integer becomes a text."""

    long_as_text: bool = False

    def value(self, cell: Cell) -> Value:
        """A cell as a value of the script; NULL is NULL."""
        match cell:
            case int():
                if INT_MIN <= cell <= INT_MAX:
                    return cell
                return str(cell) if self.long_as_text else wrap(cell)
            case float():
                return f"{cell:.8f}"
            case bytes():
                return decode(cell)
            case _:
                return cell


def variables_in(argument: Argument | None, where: str) -> list[VariableAccess] | None:
    """The variables that a text lists, `$avp(a);$avp(b)`; None when it is left out.  Raises ConfigurationError."""
    if argument is None or argument.constant == "":
        return None
    if not argument.pieces:
        raise ConfigurationError(f"{where}: expected variables such as $avp(a);$avp(b), found '{argument.constant}'")
    found: list[VariableAccess] = []
    for piece in argument.pieces:
        if isinstance(piece, VariableInText):
            found.append(piece.access)
        elif piece.strip(" \t\r\n,;"):
            raise ConfigurationError(f"{where}: expected variables with ; between them, found '{piece}'")
    return found


def avps_in(argument: Argument | None, where: str) -> Sequence[AvpAccess]:
    """The AVPs that a text lists.  Raises ConfigurationError for other variables."""
    found = variables_in(argument, where) or []
    for access in found:
        if not isinstance(access, AvpAccess):
            raise ConfigurationError(f"{where}: expected AVPs, found another variable")
    return [access for access in found if isinstance(access, AvpAccess)]


def into_avps(avps: Sequence[AvpAccess], numbers: Numbers) -> Callable[[Run, Result], int]:
    """What puts all rows into AVPs, the first row being the newest value; columns without one go to $avp(1) …"""

    def store(run: Run, result: Result) -> int:
        if not result.rows:
            return NO_ROWS
        for place in range(len(result.columns)):
            name = avps[place].name_in(run) if place < len(avps) else str(place + 1)
            if name is None:
                log.error("the variable that names the AVP for column '%s' is NULL", result.columns[place])
                continue
            cells = [row[place] for row in reversed(result.rows)]
            run.avps.setdefault(name, []).extend([NULL if c is None else numbers.value(c) for c in cells])
        return 1

    return store


def into_variables(variables: Sequence[VariableAccess], numbers: Numbers) -> Callable[[Run, Result], int]:
    """What puts the first row into variables, one for each column."""

    def store(run: Run, result: Result) -> int:
        if not result.rows:
            return NO_ROWS
        if len(variables) < len(result.columns):
            log.error(
                "the query gives %d columns, for which %d variables are named", len(result.columns), len(variables)
            )
            return FAILED
        for variable, cell, column in zip(variables, result.rows[0], result.columns, strict=False):
            if not variable.set(run, numbers.value(cell)):
                log.error("the variable for column '%s' cannot be written", column)
                return FAILED
        return 1

    return store
