"""MI commands of module dispatcher.

Source: OpenSIPS manual, module dispatcher, "Exported MI Functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final

from ...database import DatabaseError
from ...errors import MIError
from ...exports import mi_command
from ...mi.command import Raw, Unread
from ...mi.parameters import text_or_none
from ...sip.sockets import bracketed, ip_address
from .destinations import Destination, DestinationSet, state_named
from .partition import Partition, Partitions, UnknownPartition

if TYPE_CHECKING:
    from ...exports import Module as Base
else:
    Base = object

log = logging.getLogger("miscript.dispatcher")

OK: Final = "OK"
BY_MI: Final = "MI command"
LEFT_OUT: Final = object()
NOT_INHERITED: Final = ("n", "N", "0")
PORTION: Final = 200
"""Destinations shown before others have their turn."""

_SET = re.compile(r"[0-9]{1,10}")


class DispatcherCommands(Base):
    """The group `dispatcher` of the Management Interface."""

    partitions: Partitions

    @mi_command("set_state", "state group address", aliases=["ds_set_state"])
    def mi_set_state(self, state: str, group: Unread[str], address: Unread[str]) -> str:
        """gives a destination of a set (`[partition:]set`) another state: a active, i inactive, p probing"""
        wanted = state_named(state)
        if wanted is None:
            raise MIError(500, "Bad state value")
        name, number = _split(group.read())
        found = self._named(name, 404)
        if not _SET.fullmatch(number):
            raise MIError(500, "bad group value")
        if not found.set_state(int(number), address.read(), wanted, BY_MI):
            raise MIError(404, "destination not found")
        return OK

    @mi_command("list", "", "partition", "full", "full partition", aliases=["ds_list"], read_only=True)
    async def mi_list(self, full: int = 0, partition: Raw = LEFT_OUT) -> object:
        """lists the destinations of all partitions or of one; `full` (not 0) with weight, priority, description"""
        chosen = list(self.partitions.values())
        if partition is not LEFT_OUT:
            chosen = [self._named(text_or_none(partition), 500)]
        return {"PARTITIONS": [await _shown_partition(each, full != 0) for each in chosen]}

    @mi_command("reload", "", "inherit_state", "partition", "partition inherit_state", aliases=["ds_reload"])
    async def mi_reload(self, partition: str | None = None, inherit_state: Raw = LEFT_OUT) -> str:
        """reads the table of a partition, or of all, again; states are kept unless inherit_state is n or 0"""
        chosen = list(self.partitions.values())
        if partition is not None:
            chosen = [self._named(partition, 500)]
        inherit = inherit_state is LEFT_OUT or text_or_none(inherit_state) not in NOT_INHERITED
        try:
            for each in chosen:
                await each.load(inherit=inherit)
        except DatabaseError as error:
            log.error("ds_reload: %s; what was loaded before stays in force", error)
            raise MIError(500, "Failed to reload", str(error)) from error
        return OK

    @mi_command(
        "push_script_attrs",
        "attrs ip port set",
        "attrs ip port set partition",
        aliases=["ds_push_script_attrs"],
    )
    def mi_push_script_attrs(
        self,
        attrs: str,
        ip: Unread[str],
        port: Unread[int],
        set: Unread[int],
        partition: Unread[str] | None = None,
    ) -> str:
        """notes a text with the destinations at an address of a set; the script finds it in script_attrs_avp"""
        if not attrs:
            raise MIError(500, "Bad attrs value")
        address, number, within = ip_address(ip.read()), port.read(), set.read()
        found = self._named(None if partition is None else partition.read(), 404)
        if address is None:
            raise MIError(404, "destination not found")
        found.push_attributes(attrs, address, number, within)
        return OK

    def _named(self, name: str | None, code: int) -> Partition:
        try:
            return self.partitions.named(name)
        except UnknownPartition as error:
            raise MIError(code, "ERROR Unknown partition") from error


def _split(group: str) -> tuple[str | None, str]:
    """Partition and set of `[partition:]set`; a colon with nothing or a slash behind it separates nothing."""
    name, _, number = group.partition(":")
    if number[:1] in ("", "/"):
        return None, group
    return name, number.lstrip(" \n")


async def _shown_partition(partition: Partition, full: bool) -> dict[str, object]:
    shown: dict[str, object] = {"name": partition.name}
    sets = [await _shown_set(each, full) for each in partition.sets]
    return shown | ({"SETS": sets} if sets else {})


async def _shown_set(within: DestinationSet, full: bool) -> dict[str, object]:
    destinations = list(within.destinations)
    shown: list[dict[str, object]] = []
    for at in range(0, len(destinations), PORTION):
        shown += [_shown(one, full) for one in destinations[at : at + PORTION]]
        if at:
            await asyncio.sleep(0)
    return {"id": within.id, "Destinations": shown}


def _shown(one: Destination, full: bool) -> dict[str, object]:
    shown: dict[str, object] = {"URI": one.text, "state": one.state.shown, "first_hit_counter": one.first_hits}
    if one.socket is not None:
        shown["socket"] = str(one.socket)
    if one.attributes:
        shown["attr"] = one.attributes
    if one.script_attributes:
        shown["script_attr"] = one.script_attributes
    if full:
        shown |= {"weight": one.weight, "priority": one.priority}
        if one.description:
            shown["description"] = one.description
    shown["resolved_addresses"] = [f"{bracketed(address)}:{port}" for _, address, port in one.places]
    return shown
