"""The table `freeswitch`: event sockets and their events, one row for each socket.

A table is read and checked as a whole before anything of it is used.

Source: OpenSIPS manual, module freeswitch_scripting; database schema 4.1 (table version 1).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ...database import Cell, Database, DatabaseError, check_version
from ...esl import EslError, EventSocketAddress, subscriptions
from ...esl.address import DEFAULT_PORT

TABLE_VERSION: Final = 1
MAX_ROWS: Final = 1000
"""Sockets of a table."""


@dataclass(frozen=True, slots=True)
class Columns:
    """What the script's parameters call the columns."""

    username: str
    password: str
    ip: str
    port: str
    events: str

    def names(self) -> tuple[str, ...]:
        return (self.username, self.password, self.ip, self.port, self.events)


async def read_table(database: Database, table: str, columns: Columns) -> Sequence[EventSocketAddress]:
    """The rows of the table, each socket once.  Raises DatabaseError, naming the row, when one cannot be used."""
    await check_version(database, table, TABLE_VERSION)
    found: list[EventSocketAddress] = []
    async for rows in database.rows(table, columns.names()):
        if len(found) + len(rows) > MAX_ROWS:
            raise DatabaseError(f"the table '{table}' has more than {MAX_ROWS} rows")
        for row in rows:
            found.append(_address(row, table, len(found) + 1))
    return _merged(found)


def _address(row: Sequence[Cell], table: str, number: int) -> EventSocketAddress:
    user, password, ip, port, events = row
    where = f"row {number} of the table '{table}'"
    if not ip or not password:
        raise DatabaseError(f"{where}: expected an ip and a password, found NULL or nothing")
    host = _text(ip).strip().removeprefix("[").removesuffix("]")
    names = tuple(name for item in _text(events).split(",") if (name := item.strip()))
    try:
        address = EventSocketAddress(host, _port(port), _text(user), _text(password), names)
        EventSocketAddress.parse(str(address))  # the host is one
        for name in names:
            subscriptions(name)
    except (EslError, ValueError) as error:
        raise DatabaseError(f"{where}: {error}") from None
    return address


def _text(cell: Cell) -> str:
    if isinstance(cell, bytes):
        return cell.decode("utf-8", "surrogateescape")
    return "" if cell is None else str(cell)


def _port(cell: Cell) -> int:
    return int(_text(cell) or 0) or DEFAULT_PORT


def _merged(addresses: Iterable[EventSocketAddress]) -> list[EventSocketAddress]:
    """One address for each socket: the first row's login, the events of all."""
    merged: dict[tuple[str, int], EventSocketAddress] = {}
    for each in addresses:
        first = merged.get((each.host, each.port))
        if first is None:
            merged[each.host, each.port] = each
        else:
            events = tuple(dict.fromkeys(first.events + each.events))
            merged[each.host, each.port] = EventSocketAddress(
                first.host, first.port, first.user, first.password, events
            )
    return list(merged.values())
