"""What the JSON texts of `sql_select` and its like say: columns, values, conditions.  Pure.

`["a", "b"]` names columns, `[{"a": 1}, {"b": null}]` gives columns values, and `[{"a": "x"}, {"b": {">": 3}}]` are
conditions that must all be met.

Source: OpenSIPS manual, module sqlops, `sql_select`, `sql_update`, `sql_insert`.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final

import orjson

from ...database import Cell, Where
from ...values import encode

MOST_PARTS: Final = 1000

OPERATORS: Final = {"<>": "!=", "==": "=", "IS": "=", "IS NOT": "!="}
"""Other spellings of what a database knows."""


class NotStructured(ValueError):
    """A text is not the JSON that is expected."""


def columns(text: str) -> list[str]:
    """The columns that a text names."""
    found = _list(text, "columns")
    for column in found:
        if not isinstance(column, str):
            raise NotStructured(f"columns: expected names, found {column!r}")
    return [str(column) for column in found]


def values(text: str) -> dict[str, Cell]:
    """The values that a text gives to columns."""
    given: dict[str, Cell] = {}
    for name, value in _pairs(text, "columns"):
        if name in given:
            raise NotStructured(f"columns: '{name}' has two values")
        given[name] = _cell(name, value)
    if not given:
        raise NotStructured("columns: there are none")
    return given


def conditions(text: str) -> list[Where]:
    """The conditions that a text sets."""
    found: list[Where] = []
    for name, value in _pairs(text, "filter"):
        operator = "="
        if isinstance(value, dict):
            if len(value) != 1:
                raise NotStructured(f'filter: \'{name}\' takes one operator: {{"{name}": {{">": 3}}}}')
            operator, value = next(iter(value.items()))
        operator = operator.strip().upper()
        found.append(Where(name, _cell(name, value), OPERATORS.get(operator, operator)))
    return found


def _list(text: str, what: str) -> list[object]:
    try:
        found = orjson.loads(encode(text))
    except orjson.JSONDecodeError as error:
        raise NotStructured(f"{what}: no JSON: {error}") from None
    if not isinstance(found, list) or len(found) > MOST_PARTS:
        raise NotStructured(f"{what}: expected a list of at most {MOST_PARTS} parts")
    return found


def _pairs(text: str, what: str) -> Iterator[tuple[str, object]]:
    for part in _list(text, what):
        if not isinstance(part, dict) or len(part) != 1:
            raise NotStructured(f'{what}: expected parts such as {{"column": "value"}}, found {part!r}')
        yield next(iter(part.items()))


def _cell(name: str, value: object) -> Cell:
    if isinstance(value, bool):
        return int(value)
    if value is None or isinstance(value, str | int) or (isinstance(value, float) and math.isfinite(value)):
        return value
    raise NotStructured(f"'{name}': expected a text, a number or null, found {value!r}")
