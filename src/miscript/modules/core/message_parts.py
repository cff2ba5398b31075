"""How the variables of a message are declared and read.

What stands in a message is parsed once a text, however many variables ask for it; a text that is not what it should
be gives None, so that its variables are NULL.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

from ...exports import VariableExport, variable
from ...script.access import SimpleAccess
from ...script.nodes import Index
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...sip import Message, NameAddr, SipSyntaxError, SipUri
from ...sip.digest import parse_digest
from ...values import Value, plain_text

LONGEST = 16384
"""Longest header field in characters that is read; the same for URIs that a script made."""

_CACHED = 512  # texts of the messages that are under way

Read: TypeAlias = Callable[[Message], Value]
Write: TypeAlias = Callable[[Message, Value], bool]

MESSAGE_VARIABLES: dict[str, VariableExport] = {}
"""All variables declared with `message_variable`, by name."""


PLAIN_ASSIGNMENTS: Final = ("=", ":=")
"""`reads_texts` of variables that are texts of a message."""


def message_variable(
    *names: str, write: Write | None = None, reads_texts: tuple[str, ...] = ()
) -> Callable[[Read], Read]:
    """Declare a variable, and its other names, by a function of the message; without a message it is NULL.

    `reads_texts` is that of `variable`.
    """

    def declare(read: Read) -> Read:
        def reader(part: object, run: Run) -> Value:
            message = run.message
            return None if message is None else read(message)

        reader.__doc__ = read.__doc__
        for name in names:
            MESSAGE_VARIABLES[name] = variable(name, reads_texts=reads_texts)(reader)
            if write is not None:
                MESSAGE_VARIABLES[name].setter(_writer(write))
        return read

    return declare


def _writer(write: Write) -> Callable[[object, Run, Value], bool]:
    return lambda part, run, value: run.message is not None and write(run.message, value)


def list_access(
    items: Callable[[Run], Sequence[Value]], index: Index | None, binder: Binder, separator: str = ", "
) -> VariableAccess:
    """A variable of several values: the first one, that of an index, or with `[*]` all of them in one text."""
    if index == "*":

        def joined(run: Run) -> Value:
            values = items(run)
            return separator.join("" if v is None else plain_text(v) for v in values) if values else None

        return SimpleAccess(joined, walk=items)
    position = binder.index(0 if index is None or index == "append" else index)

    def one(run: Run) -> Value:
        number, values = position(run), items(run)
        return values[number] if isinstance(number, int) and -len(values) <= number < len(values) else None

    return SimpleAccess(one)


# -- parsed texts ---------------------------------------------------------------------------------------------------


@lru_cache(_CACHED)
def sip_uri(text: str) -> SipUri | None:
    """A URI, None when it is none."""
    try:
        return SipUri.parse(text)
    except SipSyntaxError:
        return None


@lru_cache(_CACHED)
def _address(text: str) -> NameAddr | None:
    try:
        return NameAddr.parse_at(text, 0)[0]
    except SipSyntaxError:
        return None


@lru_cache(_CACHED)
def _addresses(text: str) -> tuple[NameAddr, ...] | None:
    try:
        return NameAddr.parse_many(text)
    except SipSyntaxError:
        return None


@lru_cache(_CACHED)
def _digest(text: str) -> dict[str, str] | None:
    try:
        return parse_digest(text)
    except SipSyntaxError:
        return None


def _field(message: Message, name: str) -> str | None:
    """The first field `name`, unless it is too long to be looked at."""
    value = message.header(name)
    return None if value is None or len(value) > LONGEST else value


def address_in(message: Message, name: str) -> NameAddr | None:
    """The first address in the first field `name`."""
    value = _field(message, name)
    return None if value is None else _address(value)


def addresses_in(message: Message, name: str) -> Sequence[NameAddr]:
    """All addresses in all fields `name`; none when one of the fields is wrong."""
    found: list[NameAddr] = []
    for value in message.headers(name):
        addresses = _addresses(value) if len(value) <= LONGEST else None
        if addresses is None:
            return ()
        found += addresses
    return found


def digest_in(message: Message, name: str) -> dict[str, str] | None:
    """The fields of the digest credentials or challenge in the first field `name`."""
    value = _field(message, name)
    return None if value is None else _digest(value)
