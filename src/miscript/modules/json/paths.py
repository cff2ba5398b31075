"""The inner name of `$json(…)`, read once when the script is compiled: `parse_path(template)`.

    path  = name *( "/" key | "[" index "]" ) [ ".keys" | ".values" ]
    key   = text and variables          a key that holds "/", "[" or "." must come from a variable
    index = integer | variable | ""     the empty one appends

Source: OpenSIPS manual, module json, "Accessing the $json(id) variable".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeAlias

from ...script.access import name_of
from ...script.nodes import Template, Variable
from ...script.runtime import Run
from ...script.signatures import Binder
from ...values import Value


class Append:
    """The step `[]`."""


APPEND: Final = Append()

Step: TypeAlias = str | int | Append
"""A key, an index (negative ones count from the end), or the place behind the last element."""

_MARK: Final = "\0"  # stands for a variable while the path is taken apart; no script's name holds one
_name = re.compile(r"[^/\[.]*").match
_step = re.compile(r"/(?P<key>[^/\[.]*)|\[(?P<index>[^\]]*)\]").match
_suffix = re.compile(r"\.(keys|values)\Z").match
_integer = re.compile(r"[+-]?[0-9]{1,10}").fullmatch


@dataclass(frozen=True, slots=True)
class Path:
    """A parsed path; the name of the document is its first step.

    `steps` is a tuple when no variable stands in the path, else None.  `resolve` gives the steps in a run, or None
    when a variable in them is NULL or an index is no integer.  `suffix` is "keys", "values" or "".
    """

    steps: tuple[Step, ...] | None
    resolve: Callable[[Run], tuple[Step, ...] | None]
    suffix: str


def parse_path(template: Template, binder: Binder) -> Path:
    """The path that `template` spells.  Raises ValueError."""
    if any(isinstance(piece, str) and _MARK in piece for piece in template.pieces):
        raise ValueError("a NUL character in the path of a JSON variable")
    text = "".join(piece if isinstance(piece, str) else _MARK for piece in template.pieces)
    getters = iter([getter for getter in binder.template_pieces(template) if not isinstance(getter, str)])
    shown = "".join(piece.text or "$…" if isinstance(piece, Variable) else piece for piece in template.pieces)
    steps: list[Step | _DynamicStep] = []
    matched = _name(text)
    assert matched is not None  # it may be empty
    steps.append(_key(matched.group(), getters))
    position = matched.end()
    while (matched := _step(text, position)) is not None:
        key, index = matched.group("key", "index")
        steps.append(_key(key, getters) if index is None else _index(index, getters, shown))
        position = matched.end()
    suffix = _suffix(text, position)
    if suffix is None and position < len(text):
        raise ValueError(_complaint(text[position], shown))
    return _path(steps, suffix.group(1) if suffix is not None else "")


def _complaint(found: str, shown: str) -> str:
    match found:
        case ".":
            return f"a '.' in '{shown}' begins '.keys' or '.values'; a key with a '.' must come from a variable"
        case "[":
            return f"a '[' in '{shown}' is not closed"
        case _:
            return f"expected '/', '[' or the end in '{shown}', found '{found}'"


_DynamicStep: TypeAlias = Callable[[Run], Step | None]
_Getters: TypeAlias = "Iterator[Callable[[Run], Value]]"


def _key(text: str, getters: _Getters) -> Step | _DynamicStep:
    if _MARK not in text:
        return text
    pieces: list[str | Callable[[Run], Value]] = []
    for piece in re.split(f"({_MARK})", text):
        if piece == _MARK:
            pieces.append(next(getters))
        elif piece:
            pieces.append(piece)
    return name_of(pieces)


def _index(text: str, getters: _Getters, shown: str) -> Step | _DynamicStep:
    text = text.strip(" \t")
    if not text:
        return APPEND
    if text == _MARK:
        getter = next(getters)

        def index(run: Run) -> int | None:
            value = getter(run)
            return int(value) if isinstance(value, int) else None

        return index
    if _integer(text) is None:
        raise ValueError(f"an index in '{shown}' must be an integer or a variable")
    return int(text)


def _path(steps: list[Step | _DynamicStep], suffix: str) -> Path:
    constant = tuple(step for step in steps if isinstance(step, str | int | Append))
    if len(constant) == len(steps):
        return Path(constant, lambda run: constant, suffix)

    def resolve(run: Run) -> tuple[Step, ...] | None:
        found: list[Step] = []
        for step in steps:
            now = step(run) if callable(step) else step
            if now is None:
                return None
            found.append(now)
        return tuple(found)

    return Path(None, resolve, suffix)
