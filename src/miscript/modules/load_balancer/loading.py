"""The table `load_balancer`: rows become destinations.

A table that is not as it should be (its version, NULL where a value must be, an id twice) is refused as a whole.
A destination that is wrong by itself (no URI, no address, no resources) is left out, with a line in the log.

Source: OpenSIPS manual, module load_balancer; the table of OpenSIPS 4.1 (version 3).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

from ...database import Cell, Database, DatabaseError, check_version
from ...sip.sockets import Target
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...table_cells import Turns, number_cell, text_cell
from ...values import INT_MAX
from .destinations import Destination, ProbeMode, parse_capacities

log = logging.getLogger("miscript.load_balancer")

TABLE_VERSION: Final = 3
COLUMNS: Final = ("id", "group_id", "dst_uri", "resources", "probe_mode", "attrs", "description")
CHUNK: Final = 500
AT_A_TIME: Final = 32
"""Destinations whose addresses are looked up at the same time."""

Resolve = Callable[[SipUri], Awaitable[Sequence[Target]]]


async def load(database: Database, table: str, resolve: Resolve, freeswitch: int | None) -> dict[int, Destination]:
    """Read a table; id → destination, in the order of the ids.  Raises DatabaseError.

    `freeswitch` is what resources have at first that FreeSWITCH servers tell, None when none is to be asked.
    """
    await check_version(database, table, TABLE_VERSION)
    found: list[tuple[Destination, SipUri]] = []
    turns = Turns()
    ids: set[int] = set()
    async for rows in database.rows(table, COLUMNS, order="id", chunk=CHUNK):
        for row in rows:
            await turns.next()
            id = number_cell(f"table '{table}'", "id", row[0], 0, INT_MAX)
            if id in ids:
                raise DatabaseError(f"table '{table}': the id {id} is there twice")
            ids.add(id)
            one = _destination(f"table '{table}', id {id}", id, row, freeswitch)
            uri = None if one is None else _uri(one)
            if one is not None and uri is not None:
                found.append((one, uri))
    for at in range(0, len(found), AT_A_TIME):
        portion = found[at : at + AT_A_TIME]
        results = await asyncio.gather(*(resolve(uri) for _, uri in portion), return_exceptions=True)
        for (one, _), targets in zip(portion, results, strict=True):
            if isinstance(targets, BaseException) or not targets:
                log.error("destination %d ('%s') has no address, it is left out", one.id, one.uri)
            else:
                one.places = tuple(dict.fromkeys((target.transport, target.address, target.port) for target in targets))
    return {one.id: one for one, _ in found if one.places}


def _destination(where: str, id: int, row: Sequence[Cell], freeswitch: int | None) -> Destination | None:
    """A row as a destination; None, with a line in the log, when its resources are none.

    Raises DatabaseError for a row that should not be there.
    """
    group = number_cell(where, "group_id", row[1], 0, INT_MAX)
    probe_mode = ProbeMode(number_cell(where, "probe_mode", row[4], 0, 2))
    uri = text_cell(row[2])
    if not uri:
        raise DatabaseError(f"{where}: 'dst_uri' is empty, expected the URI of a destination")
    try:
        capacities = parse_capacities(text_cell(row[3]), freeswitch)
    except ValueError as error:
        log.error("%s: %s; the destination is left out", where, error)
        return None
    return Destination(
        id,
        group,
        uri,
        capacities.numbers,
        event_sockets=capacities.event_sockets,
        probe_mode=probe_mode,
        attributes=text_cell(row[5]),
        description=text_cell(row[6]),
    )


def _uri(one: Destination) -> SipUri | None:
    try:
        found = SipUri.parse(one.uri)
    except SipSyntaxError as error:
        log.error("destination %d: '%s' is no SIP URI, it is left out: %s", one.id, one.uri, error)
        return None
    if not found.host or found.scheme.lower() not in ("sip", "sips"):
        log.error("destination %d: nothing can be sent to '%s', it is left out", one.id, one.uri)
        return None
    return found
