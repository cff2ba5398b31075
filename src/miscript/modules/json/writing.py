"""Documents become texts, in the server's four forms.

* `SPACED`, what `$json` prints: `{ "a": 1, "b": [ 1, 2 ] }`, empty ones `{ }` and `[ ]`;
* `COMPACT` and `COMPACT_NOESCAPE`: `{"a":1,"b":[1,2]}`;
* `PRETTY`: one member a line, two blanks a level, no blank behind the colon; empty ones take two lines.

A slash is written `\\/`, except in `COMPACT_NOESCAPE`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from json.encoder import encode_basestring
from typing import Any, Final

import orjson

from .document import Json, NumberText

_quote: Callable[[str], str] = encode_basestring

MAX_WRITTEN_DEPTH: Final = 150
"""Levels of a document that is printed: more than a text may have, because a script can put one into another."""

MAX_WRITTEN: Final = 1_000_000
"""Values printed at once: links make it easy to write down a document that prints without end.  Nothing else runs
meanwhile, so it may take a second."""


class CannotPrint(ValueError):
    """A document that is too deep or too large to be printed."""


@dataclass(frozen=True, slots=True)
class Form:
    """How a document is laid out.  `blank` stands inside brackets, behind a comma and a colon."""

    blank: str
    indented: bool
    escapes_slash: bool


SPACED: Final = Form(" ", indented=False, escapes_slash=True)
COMPACT: Final = Form("", indented=False, escapes_slash=True)
COMPACT_NOESCAPE: Final = Form("", indented=False, escapes_slash=False)
PRETTY: Final = Form("", indented=True, escapes_slash=True)


def write(document: Json, form: Form, shared: bool = True) -> str:
    """The text of `document`.  `shared`: parts of it may stand in it several times.  Raises CannotPrint."""
    if not shared and not form.blank and not form.indented:
        try:
            written = orjson.dumps(document, default=_number_text, option=orjson.OPT_PASSTHROUGH_SUBCLASS).decode()
        except TypeError:  # numbers beyond 64 bits, bytes that are not UTF-8, or it is too deep
            pass
        else:
            return written.replace("/", "\\/") if form.escapes_slash else written
    try:
        return _Writer(form).value(document, 0)
    except RecursionError:
        raise CannotPrint("too many levels") from None


def _number_text(value: Any) -> orjson.Fragment:
    if isinstance(value, NumberText):
        return orjson.Fragment(str(value))
    raise TypeError(type(value))


class _Writer:
    """One document being written; `left` is how many values more may come."""

    __slots__ = ("blank", "colon", "comma", "form", "left", "string")

    def __init__(self, form: Form) -> None:
        self.form = form
        self.blank = form.blank
        self.colon = ":" + form.blank
        self.comma = "," + form.blank
        self.left = MAX_WRITTEN
        self.string = _quote_with_slash if form.escapes_slash else _quote

    def value(self, value: Json, level: int) -> str:
        kind = value.__class__
        if kind is str:
            return self.string(value)  # type: ignore[arg-type]  # its class says so
        if kind is int:
            return str(value)
        if isinstance(value, dict):
            self.spend(len(value), level)
            name, colon, write, inner = self.string, self.colon, self.value, level + 1
            return self.container("{", [name(k) + colon + write(v, inner) for k, v in value.items()], "}", level)
        if isinstance(value, list):
            self.spend(len(value), level)
            write, inner = self.value, level + 1
            return self.container("[", [write(v, inner) for v in value], "]", level)
        if value is None:
            return "null"
        if isinstance(value, bool):
            return "true" if value else "false"
        return str(value)  # a NumberText

    def spend(self, count: int, level: int) -> None:
        self.left -= count + 1
        if level >= MAX_WRITTEN_DEPTH:
            raise CannotPrint(f"more than {MAX_WRITTEN_DEPTH} levels")
        if self.left < 0:
            raise CannotPrint(f"more than {MAX_WRITTEN} values")

    def container(self, opening: str, parts: list[str], closing: str, level: int) -> str:
        if self.form.indented:
            outer, inner = "\n" + "  " * level, "\n" + "  " * (level + 1)
            return f"{opening}{inner if parts else ''}{f',{inner}'.join(parts)}{outer}{closing}"
        blank = self.blank
        if not parts:
            return opening + blank + closing
        return f"{opening}{blank}{self.comma.join(parts)}{blank}{closing}"


def _quote_with_slash(text: str) -> str:
    quoted = _quote(text)
    return quoted.replace("/", "\\/") if "/" in quoted else quoted
