"""The table `dialplan`: rows become rules.

A table of another version, or without one of the columns, is refused as a whole.  A row that cannot be used (an
expression that cannot be compiled, NULL where there must be a value, a time that is none) is left out and counted,
with a line in the log that names it.  Other work has its turn every few rows.

Source: OpenSIPS manual, module dialplan; the table of OpenSIPS 4.1 (version 5).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from ...database import Cell, Database, DatabaseError, Where, check_version
from ...pcre import PcrePattern
from ...table_cells import Turns, number_cell, text_cell
from ...time_recurrence import TimeCondition, TimeRecurrenceError, parse_time_recurrence
from ...values import INT_MAX, INT_MIN, encode
from .rules import Rule, RuleSet, Template, compiled, replacement

log = logging.getLogger("miscript.dialplan")

TABLE_VERSION: Final = 5
EQUAL, REGEX = 0, 1
CASELESS: Final = 1


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are called, in the order in which a row has them."""

    dpid: str
    priority: str
    match_op: str
    match_exp: str
    match_flags: str
    subst_exp: str
    repl_exp: str
    attributes: str
    timerec: str
    disabled: str
    number: str = "id"

    @property
    def names(self) -> tuple[str, ...]:
        return (
            self.number,
            self.dpid,
            self.priority,
            self.match_op,
            self.match_exp,
            self.match_flags,
            self.subst_exp,
            self.repl_exp,
            self.attributes,
            self.timerec,
        )


@dataclass(slots=True)
class Loaded:
    """What a table had: rules by dialplan id, and how many were taken and left out."""

    sets: dict[int, RuleSet] = field(default_factory=dict)
    taken: int = 0
    discarded: int = 0


async def load_rules(database: Database, table: str, columns: Columns) -> Loaded:
    """Read a table whole.  Raises DatabaseError."""
    await check_version(database, table, TABLE_VERSION)
    found, turns = Loaded(), Turns()
    rules: list[tuple[int, Rule]] = []
    async for chunk in database.rows(table, columns.names, [Where(columns.disabled, 0)]):
        for row in chunk:
            await turns.next()
            where = f"table '{table}', row {text_cell(row[0])}"
            try:
                rules.append(_rule(where, columns, row))
            except (DatabaseError, ValueError) as error:
                log.error("%s; the rule is left out", error)
                found.discarded += 1
    rules.sort(key=lambda pair: pair[1].order)
    for dpid, rule in rules:
        await turns.next()
        found.sets.setdefault(dpid, RuleSet()).add(rule)
    found.taken = len(rules)
    return found


def _rule(where: str, columns: Columns, row: Sequence[Cell]) -> tuple[int, Rule]:
    """Dialplan id and rule of a row.  Raises DatabaseError or ValueError, whose message names the row."""
    number, dpid, priority, match_op, flags = (
        number_cell(where, name, row[at], INT_MIN, INT_MAX)
        for name, at in (
            (columns.number, 0),
            (columns.dpid, 1),
            (columns.priority, 2),
            (columns.match_op, 3),
            (columns.match_flags, 5),
        )
    )
    expression, subst, repl = (text_cell(row[at]) for at in (4, 6, 7))
    caseless = bool(flags & CASELESS)
    if not expression:
        raise DatabaseError(f"{where}: '{columns.match_exp}' is empty, expected what the rule matches")
    if match_op not in (EQUAL, REGEX):
        raise DatabaseError(
            f"{where}: '{columns.match_op}' is {match_op}, expected 0 (equal) or 1 (regular expression)"
        )
    try:
        data = encode(expression)
        match = compiled(expression, caseless) if match_op == REGEX else data.lower() if caseless else data
        pattern = compiled(subst, caseless) if subst else None
        template = _template(repl, pattern) if repl else None
        when = _time(text_cell(row[9]))
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error
    return dpid, Rule(number, priority, match, caseless, pattern, template, text_cell(row[8]), when)


def _template(text: str, pattern: PcrePattern | None) -> Template:
    """A replacement, which names groups only where there is a substitution expression.  Raises ValueError."""
    if pattern is None:
        return (encode(text),)
    template = replacement(text)
    most = max((piece for piece in template if isinstance(piece, int)), default=0)
    if most > pattern.groups:
        raise ValueError(f"the replacement names group {most}, the substitution expression has {pattern.groups}")
    return template


def _time(text: str) -> TimeCondition | None:
    try:
        return parse_time_recurrence(text) if text else None
    except TimeRecurrenceError as error:
        raise ValueError(str(error)) from error
