"""The words of `miscript mi COMMAND WORD...` as parameters of the command."""

from __future__ import annotations

import re
from typing import Final

NAMED = re.compile(r"([A-Za-z_]\w*)=(.*)", re.DOTALL)

ARRAYS: Final[dict[str, tuple[int, str]]] = {
    "statistics:get": (0, "statistics"),
    "get_statistics": (0, "statistics"),
    "statistics:list": (0, "statistics"),
    "list_statistics": (0, "statistics"),
    "statistics:reset": (0, "statistics"),
    "reset_statistics": (0, "statistics"),
    "evi:raise": (1, "params"),
    "raise_event": (1, "params"),
    "freeswitch_scripting:subscribe": (1, "events"),
    "fs_subscribe": (1, "events"),
    "freeswitch_scripting:unsubscribe": (1, "events"),
    "fs_unsubscribe": (1, "events"),
    "dialog:push_var": (2, "DID"),
    "dlg_push_var": (2, "DID"),
    "tracer:start": (2, "filter"),
    "trace_start": (2, "filter"),
}
"""Commands with a parameter that is a list: its place among the words, and its name.  A node does not tell."""


class MixedWordsError(ValueError):
    """Some words have names and some have not."""


def parameters(
    command: str, words: tuple[str, ...], *, json: bool, positional: bool
) -> dict[str, object] | list[object] | None:
    """`NAME=VALUE` words as parameters by name, others by position; None for no words.

    With `json` a value that is JSON is taken as that, with `positional` no word has a name.  A name given twice is a
    list.  Raises `MixedWordsError`.
    """
    if not words:
        return None
    pairs = [None if positional else NAMED.fullmatch(word) for word in words]
    if all(pairs):
        return _named(command, [(pair[1], _value(pair[2], json)) for pair in pairs if pair])
    if any(pairs):
        bare = next(word for word, pair in zip(words, pairs, strict=True) if pair is None)
        raise MixedWordsError(f"'{bare}' has no name and other words have one; name all of them, or give --positional")
    return _positional(command, [_value(word, json) for word in words])


def _named(command: str, pairs: list[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, list[object]] = {}
    for name, value in pairs:
        found.setdefault(name, []).append(value)
    array = ARRAYS.get(command, (0, ""))[1]
    if array in found:
        found[array] = [item for value in found[array] for item in _items(value)]
    return {name: values if len(values) > 1 or name == array else values[0] for name, values in found.items()}


def _items(value: object) -> list[object]:
    """What the value of a list's name holds: its words, as a shell would part them."""
    if isinstance(value, list):
        return value
    if not isinstance(value, str):
        return [value]
    import shlex

    try:
        return list(shlex.split(value))
    except ValueError:  # a quotation mark without its second
        return [value]


def _positional(command: str, values: list[object]) -> list[object] | dict[str, object]:
    """From the place of a list on, all words are its items."""
    if command not in ARRAYS:
        return values
    place, name = ARRAYS[command]
    if len(values) <= place or isinstance(values[place], list):
        return values
    items: list[object] = values[place:]
    return {name: items} if place == 0 else [*values[:place], items]


def _value(word: str, json: bool) -> object:
    if not json:
        return word
    import orjson

    try:
        return orjson.loads(word)
    except orjson.JSONDecodeError:
        return word
