"""The table `tls_mgm`: rows become settings of domains.

Certificates, keys, lists of CAs and Diffie-Hellman parameters are in the table as they are; directories are paths.

Source: OpenSIPS manual, module tls_mgm; the table of OpenSIPS 4.1 (version 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ...database import Cell, Database, check_version
from ...table_cells import number_cell, text_cell
from .settings import DomainSettings

TABLE_VERSION: Final = 3
CLIENT, SERVER = 1, 2
TYPE: Final = "type"
MAX_DOMAINS: Final = 10_000
"""Rows that are taken; what a table has beyond is not read."""

FILES: Final = ("certificate", "private_key", "ca_list", "dh_params")
"""Parameters whose cells hold what a file would."""

SetText = Callable[[DomainSettings, str, str], None]
"""Sets a parameter of a domain to a text; raises ConfigurationError."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Parameter → its column."""

    by_parameter: Mapping[str, str]

    @classmethod
    def of(cls, by_parameter: Mapping[str, str]) -> Columns:
        return cls({**by_parameter, TYPE: TYPE})


async def load_settings(database: Database, table: str, columns: Columns, set_text: SetText) -> list[DomainSettings]:
    """The domains of a table.  Raises DatabaseError for a table, ConfigurationError for a domain that is wrong."""
    await check_version(database, table, TABLE_VERSION)
    names = tuple(columns.by_parameter)
    result = await database.select(table, tuple(columns.by_parameter.values()), order="id", limit=MAX_DOMAINS)
    return [
        _settings(f"row {number}", dict(zip(names, row, strict=True)), set_text)
        for number, row in enumerate(result.rows, 1)
    ]


def _settings(where: str, row: Mapping[str, Cell], set_text: SetText) -> DomainSettings:
    kind = number_cell(where, TYPE, row[TYPE], CLIENT, SERVER)
    settings = DomainSettings(text_cell(row["domain"]), kind == SERVER, from_table=True)
    for name, cell in row.items():
        if name in (TYPE, "domain") or cell is None or cell in ("", b""):
            continue
        if name in FILES:
            setattr(settings, name, cell if isinstance(cell, bytes) else text_cell(cell).encode())
        else:
            set_text(settings, name, text_cell(cell))
    return settings
