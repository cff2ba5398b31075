"""The operators of the script, in one table: spelling, kind, precedence.

The parser asks for precedences, the compiler for kinds; nobody else spells operators out.  A higher precedence
binds tighter; operators of one precedence go from left to right.  Two things surprise: `+ - * / %` share one
level, and so do `and` and `or`.

Source: OpenSIPS manual, "Script Operators"; observed precedences in docs/language.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

OperatorKind = Literal["logic", "bitwise", "arithmetic", "comparison", "assignment"]


@dataclass(frozen=True, slots=True)
class Operator:
    """One operator: how it is written, what it works on, how tightly it binds."""

    symbol: str
    kind: OperatorKind
    precedence: int


def _table() -> dict[str, Operator]:
    levels: list[tuple[OperatorKind, str]] = [
        ("assignment", "= := += -= *= /= %= &= |= ^="),
        ("logic", "and && or ||"),
        ("bitwise", "& | ^ << >>"),
        ("arithmetic", "+ - * / %"),
        ("comparison", "== != < <= > >= =~ !~"),
    ]
    return {
        symbol: Operator(symbol, kind, precedence)
        for precedence, (kind, symbols) in enumerate(levels)
        for symbol in symbols.split()
    }


OPERATORS = _table()
"""Every operator with two operands, by its spelling.  `~` and `!` (`not`) stand before one operand."""


def _of(kind: OperatorKind) -> frozenset[str]:
    return frozenset(o.symbol for o in OPERATORS.values() if o.kind == kind)


ASSIGNMENTS = _of("assignment")
BITWISE = _of("bitwise")
ARITHMETIC = _of("arithmetic")
COMPARISONS = _of("comparison")

LOGIC: dict[str, Literal["and", "or"]] = {"and": "and", "&&": "and", "or": "or", "||": "or"}
"""The spellings of the two logical operators."""

MISSPELT = {"===": "==", "!==": "!=", "=>": ">=", "=<": "<=", "<>": "!=", "=!": "!=", "~=": "=~", "!=~": "!~"}
"""What people write for a comparison, and what they mean."""
