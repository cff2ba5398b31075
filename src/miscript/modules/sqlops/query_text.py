"""The text of a query: SQL as the script writes it, with what stands in quotes bound as values.

`WHERE user='$tU'` sends `user=:v1` and the value of `$tU`, whatever it holds: no quote in it ends the text.  A
variable that a script has escaped itself, `'$(tU{s.escape.common})'`, is bound as it was before.  A variable outside
quotes is a part of the SQL, for a script that makes up its query; only numbers are safe there.

A variable in a text of JSON stays the text it is in the same way.

Source: OpenSIPS manual, module sqlops, `sql_query`, `sql_select`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeAlias

from ...database import Cell
from ...script.runtime import Run
from ...script.signatures import Argument, VariableInText
from ...values import text_of

Fill: TypeAlias = Callable[[Run], str]

_LOOKS_BOUND: Final = re.compile(r"(?<![:\w\\]):(?=\w)")
_ESCAPED: Final = re.compile(r"\{\s*s\.escape\.common\s*\}\)$", re.IGNORECASE)
_JSON_QUOTE: Final = re.compile(r'(?<!\\)(?:\\\\)*"')
_BACKSLASH: Final = re.compile(r"\\(.)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value stands."""

    name: str


@dataclass(slots=True)
class QueryText:
    """SQL with places for values: its pieces, and under each name what fills the value in."""

    pieces: list[str | Fill | Place] = field(default_factory=list)
    values: dict[str, list[str | Fill]] = field(default_factory=dict)

    def filled(self, run: Run) -> tuple[str, dict[str, Cell] | None]:
        """The SQL and its values in this run; None without any, the SQL then being sent as it stands."""
        if not self.values:
            return "".join([_text(piece, run) for piece in self.pieces if not isinstance(piece, Place)]), None
        # what looks like a place for a value and is none must not become one
        sql = "".join(
            [f":{p.name}" if isinstance(p, Place) else _LOOKS_BOUND.sub(r"\\:", _text(p, run)) for p in self.pieces]
        )
        return sql, {name: "".join([_text(p, run) for p in pieces]) for name, pieces in self.values.items()}


def _text(piece: str | Fill, run: Run) -> str:
    return piece if isinstance(piece, str) else piece(run)


def query_text(argument: Argument, backslashes: bool) -> QueryText:
    """What the argument of `sql_query` says; `backslashes`: the database reads `\\'` in a text as a quote."""
    if argument.pieces:
        return _Reader(backslashes).read(argument.pieces)
    return QueryText([lambda run: text_of(argument.get(run))])


def json_text(argument: Argument | None) -> Fill:
    """What fills in a text of JSON: a variable in quotes cannot end them.  "" for an argument that is left out."""
    if argument is None:
        return lambda run: ""
    if not argument.pieces:
        return lambda run: "" if (value := argument.get(run)) is None else str(value)
    pieces: list[str | Fill] = []
    inside = False
    for piece in argument.pieces:
        if isinstance(piece, str):
            pieces.append(piece)
            inside ^= len(_JSON_QUOTE.findall(piece)) % 2 == 1
        else:
            pieces.append(_quoted(_value_of(piece)) if inside else _part_of(piece))
    return lambda run: "".join([_text(piece, run) for piece in pieces])


def _quoted(fill: Fill) -> Fill:
    return lambda run: json.dumps(fill(run))[1:-1]


class _Reader:
    """Goes through the pieces of a text, knowing whether a quote is open."""

    def __init__(self, backslashes: bool) -> None:
        self._backslashes = backslashes
        self._quotes = "'\"" if backslashes else "'"
        self._text = QueryText()
        self._open = ""
        self._inside: list[str | Fill] = []

    def read(self, pieces: Sequence[str | VariableInText]) -> QueryText:
        for piece in pieces:
            if isinstance(piece, str):
                self._literal(piece)
            elif self._open:
                self._inside.append(_value_of(piece))
            else:
                self._text.pieces.append(_part_of(piece))
        if self._open:  # it never ends: the database says what is wrong with it
            self._text.pieces += [self._open, *self._inside]
        return self._text

    def _literal(self, text: str) -> None:
        at = 0
        while at < len(text):
            at = self._in_quotes(text, at) if self._open else self._outside(text, at)

    def _outside(self, text: str, at: int) -> int:
        end = next((i for i in range(at, len(text)) if text[i] in self._quotes), len(text))
        if end > at:
            self._text.pieces.append(text[at:end])
        if end < len(text):
            self._open, self._inside = text[end], []
        return end + 1

    def _in_quotes(self, text: str, at: int) -> int:
        letter = text[at]
        if letter == "\\" and self._backslashes and at + 1 < len(text):
            self._inside.append(text[at : at + 2])
            return at + 2
        if letter != self._open:
            end = at + 1
            while end < len(text) and text[end] not in (self._open, "\\"):
                end += 1
            self._inside.append(text[at:end])
            return end
        if text[at + 1 : at + 2] == self._open:
            self._inside.append(self._open * 2)
            return at + 2
        self._close()
        return at + 1

    def _close(self) -> None:
        quote, inside = self._open, self._inside
        self._open, self._inside = "", []
        if all(isinstance(piece, str) for piece in inside):
            self._text.pieces.append(quote + "".join(map(str, inside)) + quote)
            return
        name = f"v{len(self._text.values) + 1}"
        self._text.pieces.append(Place(name))
        self._text.values[name] = [self._meaning(piece, quote) if isinstance(piece, str) else piece for piece in inside]

    def _meaning(self, text: str, quote: str) -> str:
        """What a part of a text in quotes means."""
        text = text.replace(quote * 2, quote)
        return _BACKSLASH.sub(r"\1", text) if self._backslashes else text


def _part_of(piece: VariableInText) -> Fill:
    access = piece.access
    return lambda run: text_of(access.get(run))


def _value_of(piece: VariableInText) -> Fill:
    access = piece.access
    if _ESCAPED.search(piece.text) is None:
        return lambda run: text_of(access.get(run))
    return lambda run: _BACKSLASH.sub(_unescaped, text_of(access.get(run)))


def _unescaped(matched: re.Match[str]) -> str:
    return "\0" if matched[1] == "0" else matched[1]
