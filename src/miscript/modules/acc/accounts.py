"""What a script wants accounted of one transaction or call, and the values that it adds.

Source: OpenSIPS manual, module acc ("Extra accounting", "Multi Call-Legs accounting", `do_accounting`).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from ...sip.dialogs import Dialog
from ...values import Value

MAX_LEGS: Final = 64
"""Legs of one call."""


class BackEnd(Enum):
    """Where records go, by the names that scripts give them."""

    LOG = "log"
    DATABASE = "db"
    AAA = "aaa"
    EVENT = "evi"


class Flag(Enum):
    """What is accounted beside transactions that succeed."""

    CDR = "cdr"
    MISSED = "missed"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Field:
    """A value that a script adds: its `tag` in the script, and the name that it has in records."""

    tag: str
    name: str


def parse_fields(text: str) -> tuple[BackEnd, tuple[Field, ...]]:
    """Read `backend: tag->name; tag`.  Raises ValueError."""
    word, colon, rest = text.partition(":")
    known = {backend.value: backend for backend in BackEnd}
    backend = known.get(word.strip().lower())
    if not colon or backend is None:
        raise ValueError(f"'{text}' does not begin with one of {', '.join(known)} and a colon")
    fields = []
    for part in rest.split(";"):
        tag, arrow, name = (piece.strip() for piece in part.partition("->"))
        if not tag and not arrow and not name:
            continue
        if not tag or (arrow and not name) or any(sign in f"{tag}{name}" for sign in " \t\r\n"):
            raise ValueError(f"'{part.strip()}' is no field, expected TAG or TAG->NAME")
        fields.append(Field(tag, name or tag))
    return backend, tuple(fields)


class Fields:
    """The fields of all back ends, those of a record (`extra`) or of its legs."""

    def __init__(self, texts: Iterable[str] = ()) -> None:
        """Read the values of a parameter.  Raises ValueError."""
        self._of: dict[BackEnd, tuple[Field, ...]] = {}
        for text in texts:
            backend, found = parse_fields(text)
            self._of[backend] = self._of.get(backend, ()) + found
        self.tags = frozenset(one.tag for fields in self._of.values() for one in fields)

    def of(self, backend: BackEnd) -> Sequence[Field]:
        return self._of.get(backend, ())


@dataclass(slots=True, eq=False)
class Account:
    """What is to be accounted, and the values of fields by their tags.

    `created` (seconds since the epoch) is when the script first asked; `table` the one that it named, "" for that of
    the module.  `answer` is status, reason and To tag of the 2xx, for the record of a call.
    """

    created: float
    wanted: dict[BackEnd, set[Flag]] = field(default_factory=dict)
    table: str = ""
    extra: dict[str, Value] = field(default_factory=dict)
    legs: list[dict[str, Value]] = field(default_factory=lambda: [{}])
    answer: tuple[int, str, str] = (0, "", "")

    def want(self, backends: Iterable[BackEnd], flags: Iterable[Flag]) -> None:
        """Account to these as well, with these flags as well."""
        chosen = set(flags)
        for backend in backends:
            self.wanted.setdefault(backend, set()).update(chosen)

    def drop(self, backends: Iterable[BackEnd], flags: Iterable[Flag]) -> None:
        """Take flags back, or, without any, stop accounting to these."""
        chosen = set(flags)
        for backend in backends:
            if not chosen:
                self.wanted.pop(backend, None)
            elif backend in self.wanted:
                self.wanted[backend] -= chosen

    def with_flag(self, flag: Flag) -> list[BackEnd]:
        """Where `flag` is wanted."""
        return [backend for backend, flags in self.wanted.items() if flag in flags]

    def without_flag(self, flag: Flag) -> list[BackEnd]:
        """Where something is wanted, but not `flag`."""
        return [backend for backend, flags in self.wanted.items() if flag not in flags]


class AccountPart:
    """Accounts of calls in the database of dialogs.  `name` is where dialogs keep their `Account`."""

    def __init__(self, name: str) -> None:
        self._name = name

    def written(self, dialog: Dialog) -> str | None:
        account = dialog.data.get(self._name)
        return account_text(account) if isinstance(account, Account) else None

    def read(self, dialog: Dialog, text: str) -> None:
        dialog.data[self._name] = account_of(text)


def account_text(account: Account) -> str:
    """An account as text, for a database."""
    told = {
        "created": account.created,
        "wanted": {backend.value: sorted(flag.value for flag in flags) for backend, flags in account.wanted.items()},
        "table": account.table,
        "extra": account.extra,
        "legs": account.legs,
        "answer": account.answer,
    }
    return json.dumps(told, separators=(",", ":"))


def account_of(text: str) -> Account:
    """The account that `account_text` has written.  Raises ValueError, KeyError and TypeError."""
    told = json.loads(text)
    status, reason, to_tag = told["answer"]
    return Account(
        float(told["created"]),
        {BackEnd(name): {Flag(flag) for flag in flags} for name, flags in told["wanted"].items()},
        str(told["table"]),
        _values(told["extra"]),
        [_values(leg) for leg in told["legs"][:MAX_LEGS]],
        (int(status), str(reason), str(to_tag)),
    )


def _values(told: Mapping[str, object]) -> dict[str, Value]:
    return {name: value if value is None or type(value) is int else str(value) for name, value in told.items()}


def parse_backends(text: str) -> frozenset[BackEnd]:
    """Read `log|db`.  Raises ValueError."""
    return frozenset(BackEnd(word) for word in _words(text, [backend.value for backend in BackEnd]))


def parse_flags(text: str) -> frozenset[Flag]:
    """Read `cdr|missed`.  Raises ValueError."""
    return frozenset(Flag(word) for word in _words(text, [flag.value for flag in Flag]))


def _words(text: str, known: Sequence[str]) -> list[str]:
    words = [word.strip().lower() for word in text.split("|")]
    for word in words:
        if word not in known:
            raise ValueError(f"unknown word '{word}', expected some of {', '.join(known)} with '|' between")
    return words
