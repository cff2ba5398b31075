"""Command and parameters of a `mi()` call: from the words of its text, or from AVPs."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final

from ...errors import MIError
from ...mi.command import Command
from ...mi.jsonrpc import Params
from ...values import Value, plain_text

log = logging.getLogger("miscript.mi_script")

INTERNAL: Final = -1
BAD_AVPS: Final = -2
BAD_AVPS_TEXT: Final = "could not parse script params!"
AROUND_WORDS: Final = "\t\r\n"


@dataclass(frozen=True, slots=True)
class Refused(Exception):
    """The call never reaches a command: its return code and text."""

    code: int
    text: str
    command: Command | None = None
    """The command that was named, when only its parameters are at fault: such a call is traced."""
    name: str = ""
    """How it was named."""


def split_words(text: str) -> tuple[str, Params]:
    """The command's name and its parameters in the text of `mi()`.

    Only blanks separate; there is no quoting.  One blank behind a lone command is nothing, more than that is an
    empty list, which is not the same as none.
    """
    name, blank, rest = text.partition(" ")
    name = name.strip(AROUND_WORDS)
    if not blank or not rest:
        return name, None
    words = (word.lstrip(AROUND_WORDS) for word in rest.split(" "))
    return name, [word for word in words if word]


def array_or_text(value: str) -> str | list[str]:
    """`__array(a b)` as a list; every blank separates, a last one adds nothing."""
    if not (value.startswith("__array(") and value.endswith(")")):
        return value
    items = value[len("__array(") : -1].split(" ")
    if len(items) > 1 and items[-1] == "":
        items.pop()
    return items


def positional(values: list[Value]) -> list[object]:
    """AVP values as parameters by position: numbers as decimal text."""
    return [plain_text(value) for value in values if value is not None]


def named(names: list[Value], values: list[Value]) -> dict[str, object]:
    """AVP values as parameters by name.  Raises `Refused` when there are fewer values than names."""
    if len(values) < len(names):
        raise Refused(BAD_AVPS, BAD_AVPS_TEXT)
    if len(values) > len(names):
        log.warning("mi(): %d values for %d names; the last ones are left out", len(values), len(names))
    found: dict[str, object] = {
        plain_text(name): array_or_text(value) if isinstance(value, str) else value
        for name, value in zip(names, values, strict=False)
        if name is not None and value is not None
    }
    if len(found) < len(names):
        raise MIError(-32602, "Invalid params", "a parameter is named twice")
    return found


@dataclass(slots=True)
class Call:
    """One call of a command from the script, ready to be run."""

    command: Command
    name: str
    params: Params
