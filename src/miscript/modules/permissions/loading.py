"""The table `address`: rows become entries.

A table that is not as it should be (its version, NULL where a value must be, a text that is no address, a mask that
is too long, a transport that does not exist) is refused as a whole: a row that is left out could be the one that keeps
somebody out.  Bits of a network behind its mask are dropped, with a line in the log.

Source: OpenSIPS manual, module permissions; the table of OpenSIPS 4.1 (version 5).
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ...database import Cell, Database, DatabaseError, check_version
from ...table_cells import Turns, number_cell, reading, text_cell
from ...values import INT_MAX
from .addresses import NONE, AddressBook, Entry, network_of, packed_address, transport_named

log = logging.getLogger("miscript.permissions")

TABLE_VERSION: Final = 5
CHUNK: Final = 500
MAX_PORT: Final = 65535


@dataclass(frozen=True, slots=True)
class Columns:
    """What the columns are called."""

    group: str
    ip: str
    mask: str
    port: str
    transport: str
    pattern: str
    info: str

    @property
    def names(self) -> tuple[str, ...]:
        """In the order in which a row has them."""
        return self.group, self.ip, self.mask, self.port, self.transport, self.pattern, self.info


async def load(database: Database, table: str, columns: Columns) -> AddressBook:
    """Read a table whole; others have their turn every few rows.  Raises DatabaseError."""
    await check_version(database, table, TABLE_VERSION)
    book, turns, number, cut = AddressBook(), Turns(), 0, 0
    async with reading(database.rows(table, columns.names, chunk=CHUNK)) as chunks:
        async for rows in chunks:
            for row in rows:
                await turns.next()
                number += 1
                found = _entry(f"table '{table}', row {number}", columns, row)
                if found is None:
                    continue
                network = network_of(found.address, found.prefix)
                if network != found.address:
                    cut += 1
                    found = found._replace(address=network)
                book.add(found)
    if cut:
        log.warning("table '%s': %d networks have bits behind their masks, which do not count", table, cut)
    return book


async def let_go(book: AddressBook) -> None:
    """Nobody needs a book any more."""
    turns = Turns()
    for _ in book.dismantle():
        await turns.next()


def _entry(where: str, columns: Columns, row: Sequence[Cell]) -> Entry | None:
    """A row as an entry; None for one of the transport `none`, which nothing meets.  Raises DatabaseError."""
    group = number_cell(where, columns.group, row[0], 0, INT_MAX)
    for column, cell in ((columns.ip, row[1]), (columns.transport, row[4])):
        if cell is None:
            raise DatabaseError(f"{where}: '{column}' is NULL, expected a text")
    transport = text_cell(row[4])
    try:
        address = packed_address(text_cell(row[1]))
        transport = transport if transport.lower() == NONE else transport_named(transport)
    except ValueError as error:
        raise DatabaseError(f"{where}: {error}") from None
    prefix = number_cell(where, columns.mask, row[2], 0, 8 * len(address))
    port = number_cell(where, columns.port, row[3], 0, MAX_PORT)
    if transport.lower() == NONE:
        return None
    return Entry(group, address, prefix, port, transport, text_cell(row[5]), text_cell(row[6]))
