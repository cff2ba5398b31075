"""What an MI result looks like on paper: headings, lists and tables, before anything is drawn.

A list of objects becomes a table, an object's plain values a table of two columns; what is nested deeper gets a
table of its own, whose heading says where it belongs: `PARTITIONS › default › SETS › 1 › Destinations`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

SEPARATOR: Final = " › "
NAMING: Final = ("name", "Name", "id", "ID", "group", "event", "callid", "AOR", "uri", "URI")
"""Members that tell which of several objects one is; the first that is there."""

MAX_DEPTH: Final = 32


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a heading; `columns` is empty for pairs of a name and a value, and for single values."""

    heading: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def layout(result: object) -> Iterator[Table]:
    """The tables of a result, from the outside in."""
    return _tables(result, "", 0)


def _tables(value: object, heading: str, depth: int) -> Iterator[Table]:
    if depth > MAX_DEPTH:
        yield Table(heading, (), (("…",),))
    elif isinstance(value, dict):
        yield from _object(value, heading, depth)
    elif isinstance(value, list):
        yield from _list(value, heading, depth)
    else:
        yield Table(heading, (), ((plain(value),),))


def _object(value: Mapping[str, object], heading: str, depth: int) -> Iterator[Table]:
    pairs = [(plain(name), plain(member)) for name, member in value.items() if _is_plain(member)]
    if pairs or not value:
        yield Table(heading, (), tuple(pairs))
    for name, member in value.items():
        if not _is_plain(member):
            yield from _tables(member, _below(heading, name), depth + 1)


def _list(items: Sequence[object], heading: str, depth: int) -> Iterator[Table]:
    if not items:
        yield Table(heading, (), ())
    elif all(isinstance(item, dict) for item in items):
        yield from _objects([item for item in items if isinstance(item, dict)], heading, depth)
    elif all(_is_plain(item) for item in items):
        yield Table(heading, (), tuple((plain(item),) for item in items))
    elif all(isinstance(item, list) and all(_is_plain(part) for part in item) for item in items):
        rows = tuple(tuple(plain(part) for part in item) for item in items if isinstance(item, list))
        yield Table(heading, (), tuple((" ".join(row),) for row in rows))
    else:
        for number, item in enumerate(items, 1):
            yield from _tables(item, _below(heading, str(number)), depth + 1)


def _objects(items: Sequence[Mapping[str, object]], heading: str, depth: int) -> Iterator[Table]:
    columns = tuple(dict.fromkeys(name for item in items for name, member in item.items() if _is_plain(member)))
    if columns:
        rows = tuple(tuple(plain(item[name]) if _has(item, name) else "" for name in columns) for item in items)
        yield Table(heading, tuple(map(plain, columns)), rows)
    for number, item in enumerate(items, 1):
        called = next((plain(item[name]) for name in NAMING if _has(item, name)), str(number))
        for name, member in item.items():
            if not _is_plain(member):
                yield from _tables(member, _below(_below(heading, called), name), depth + 1)


def _has(item: Mapping[str, object], name: str) -> bool:
    return name in item and _is_plain(item[name])


def _is_plain(value: object) -> bool:
    return not isinstance(value, dict | list) or not value


def plain(value: object) -> str:
    """A value without structure as a text; what would move a terminal's cursor is written as `\\x1b`."""
    match value:
        case None:
            return ""
        case True:
            return "true"
        case False:
            return "false"
        case dict() | list():
            return "none"
        case float():
            return f"{value:g}"
    text = str(value)
    return text if text.isprintable() else "".join(c if c.isprintable() else _escaped(c) for c in text)


def _escaped(character: str) -> str:
    return f"\\x{ord(character):02x}" if ord(character) < 0x100 else f"\\u{ord(character):04x}"


def _below(heading: str, name: str) -> str:
    return f"{heading}{SEPARATOR}{plain(name)}" if heading else plain(name)
