"""Partitions: tables of addresses that are loaded and asked apart from each other.

A `partition` parameter is `name: db_url = …; table_name = …`; what it leaves out it has from the parameters of the
module, which are those of the partition `default`.

Source: OpenSIPS manual, module permissions, "partition".
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from ...database import Database
from ...errors import ConfigurationError
from .addresses import AddressBook
from .loading import Columns, let_go, load

DEFAULT: Final = "default"
KEYS: Final = ("db_url", "table_name")
_NAME = re.compile(r"[A-Za-z0-9_.-]+")


@dataclass(frozen=True, slots=True)
class PartitionSettings:
    """One partition as the parameters describe it."""

    name: str
    db_url: str
    table_name: str


def partition_settings(own_url: str, inherited_url: str, table: str, lines: Sequence[str]) -> list[PartitionSettings]:
    """All partitions: `default` first where `own_url`, that of the module, is set, then those of the lines.

    `inherited_url` is for lines that set none.  Raises ConfigurationError.
    """
    found = {DEFAULT: PartitionSettings(DEFAULT, own_url, table)} if own_url else {}
    for line in lines:
        name, _, rest = (part.strip() for part in line.partition(":"))
        if _NAME.fullmatch(name) is None:
            raise _wrong(f"expected 'name: db_url = ...; table_name = ...', found '{line}'")
        made = found.get(name) or PartitionSettings(name, own_url or inherited_url, table)
        for part in filter(str.strip, rest.split(";")):
            key, sign, value = (each.strip() for each in part.partition("="))
            if not sign or key not in KEYS or not value:
                raise _wrong(f"partition '{name}': '{part.strip()}' is not one of {', '.join(KEYS)} with a value")
            made = replace(made, db_url=value) if key == "db_url" else replace(made, table_name=value)
        if not made.db_url:
            raise _wrong(f"partition '{name}' has no db_url, and there is none to take over")
        found[name] = made
    return list(found.values())


def _wrong(message: str) -> ConfigurationError:
    return ConfigurationError(message, parameter="partition")


@dataclass(slots=True, eq=False)
class Partition:
    """One partition; `book` is what is in force."""

    name: str
    database: Database
    table: str
    columns: Columns
    book: AddressBook = field(default_factory=AddressBook)
    readers: int = 0
    """How many go through the book at the moment, with pauses."""
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def reload(self) -> None:
        """Read the table and put it in force; raises DatabaseError, and then the old one stays."""
        async with self._loading:
            new = await load(self.database, self.table, self.columns)
            old, self.book = self.book, new
            if not self.readers:
                await let_go(old)
