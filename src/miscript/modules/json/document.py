"""What a `$json` variable holds, and how it becomes a value of the script.

A document is made of dict, list, str, int, bool and None; a number with a fraction or an exponent is a `NumberText`,
because it keeps its source text and counts as a text.  Documents never hold a cycle: `json_link` sees to it.

Source: OpenSIPS manual, module json; RFC 8259.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from ...values import INT_MAX, INT_MIN, NumberWithText, Value

MAX_DEPTH: Final = 100
"""Levels of a text that is parsed; RFC 8259 section 9 leaves the limit to the parser."""

MAX_ELEMENTS: Final = 1_000_000
"""Elements of an array that a script appends to."""


class NumberText(str):
    """A number that is no plain integer, as it was written: `1.50`, `2e3`, `NaN`."""

    __slots__ = ()


Json: TypeAlias = "dict[str, Json] | list[Json] | str | int | bool | None"


class BadJson(ValueError):
    """A text that is no JSON, or nests too deep."""


def from_value(value: int | str) -> Json:
    """A script's value as `=` stores it: a number or a text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, NumberWithText):
        return _whole_number(value)
    return int(value)


def _whole_number(value: NumberWithText) -> int:
    """A number read from another document may be larger than the 32 bits the script calculates with."""
    text = value.text
    digits = text.removeprefix("-")
    exact = int(text) if digits.isascii() and digits.isdigit() and len(digits) <= 4000 else int(value)
    return exact if NumberWithText(exact, text) == value else int(value)


def number_value(number: int, as_text: bool) -> Value:
    """An integer of a document; one beyond 32 bits keeps its text, or is one (`enable_long_quoting`)."""
    if INT_MIN <= number <= INT_MAX:
        return number
    return str(number) if as_text else NumberWithText(number, str(number))


def children(container: Json) -> Iterable[Json]:
    """What stands directly inside an object or array."""
    if container.__class__ is dict:
        return container.values()
    return container if isinstance(container, list) else ()


def holds(document: Json, wanted: Json) -> bool:
    """Whether `wanted` (this very object or array, not an equal one) is `document` or somewhere inside it."""
    waiting, seen = [document], {id(document)}
    while waiting:
        container = waiting.pop()
        if container is wanted:
            return True
        for child in children(container):
            if isinstance(child, dict | list) and id(child) not in seen:
                seen.add(id(child))
                waiting.append(child)
    return False


def merged(target: Json, patch: Json) -> Json:
    """JSON Merge Patch, RFC 7396 section 2: `target` is changed where it can be."""
    if not isinstance(patch, dict):
        return patch
    result: dict[str, Json] = target if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
