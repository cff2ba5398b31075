"""MI commands of module drouting.

Source: OpenSIPS manual, module drouting, "Exported MI Functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final, TypeVar

from ...database import DatabaseError
from ...errors import MIError
from ...exports import mi_command
from ...mi.command import Raw, Unread
from ...mi.parameters import text_or_none
from .cells import LoadError
from .destinations import Listed
from .gateways import Carrier, Gateway, State
from .partitions import DEFAULT, Partition, ReloadRefused
from .routing_data import RoutingData

if TYPE_CHECKING:
    from .functions import RoutingFunctions
    from .module_base import PartitionedModule

    class Base(RoutingFunctions, PartitionedModule):
        pass

else:
    Base = object

T = TypeVar("T")

OK: Final = "OK"
BY_MI: Final = "MI command"
NO_MATCH: Final = "No match"


class DroutingCommands(Base):
    """The group `drouting` of the Management Interface."""

    @mi_command("reload", "", "inherit_state", "partition_name", "partition_name inherit_state", aliases=["dr_reload"])
    async def mi_reload(self, partition_name: Unread[str] | None = None, inherit_state: Raw = "y") -> str:
        """loads the tables again, of all partitions or of one, in the background; with inherit_state n the states of
        gateways and carriers are those of the tables"""
        if partition_name is None:
            wanted = list(self.partitions.values())
        else:
            wanted = [self._partition(partition_name)]
        inherit = not (text_or_none(inherit_state) or "y").startswith(("n", "N"))
        try:
            for partition in wanted:
                await self.reload(partition, inherit=inherit)
        except (DatabaseError, LoadError, ReloadRefused) as error:
            raise MIError(500, "Failed to reload", str(error)) from error
        return OK

    @mi_command(
        "gw_status",
        "",
        "partition_name",
        "gw_id",
        "gw_id status",
        "partition_name gw_id",
        "partition_name gw_id status",
        aliases=["dr_gw_status"],
        named_only=True,
    )
    def mi_gw_status(
        self,
        partition_name: Unread[str] | None = None,
        gw_id: Unread[str] | None = None,
        status: Unread[int] | None = None,
    ) -> dict[str, object] | str:
        """tells the state of all gateways or of one, or switches one off (0) or on (1)"""
        partition = self._partition(partition_name)
        wanted, switch = _optional(gw_id), _optional(status)
        data = _data(partition)
        if wanted is None:
            return {"Gateways": [{"ID": id, "IP": g.address} | _gateway(g) for id, g in data.gateways.items()]}
        gateway = data.gateways.get(wanted)
        if gateway is None:
            raise MIError(404, "GW ID not found")
        if switch is None:
            return _gateway(gateway)
        partition.set_gateway(gateway, State.ACTIVE if switch else State.DISABLED, BY_MI)
        return OK

    @mi_command(
        "carrier_status",
        "",
        "partition_name",
        "carrier_id",
        "carrier_id status",
        "partition_name carrier_id",
        "partition_name carrier_id status",
        aliases=["dr_carrier_status"],
        named_only=True,
    )
    def mi_carrier_status(
        self,
        partition_name: Unread[str] | None = None,
        carrier_id: Unread[str] | None = None,
        status: Unread[int] | None = None,
    ) -> dict[str, object] | str:
        """tells whether all carriers or one are on, or switches one off (0) or on (1)"""
        partition = self._partition(partition_name)
        wanted, switch = _optional(carrier_id), _optional(status)
        data = _data(partition)
        if wanted is None:
            return {"Carriers": [{"ID": id} | _carrier(carrier) for id, carrier in data.carriers.items()]}
        carrier = data.carriers.get(wanted)
        if carrier is None:
            raise MIError(404, "Carrier ID not found")
        if switch is None:
            return _carrier(carrier)
        partition.set_carrier(carrier, not switch, BY_MI)
        return OK

    @mi_command("reload_status", "", "partition_name", aliases=["dr_reload_status"], read_only=True)
    def mi_reload_status(self, partition_name: Unread[str] | None = None) -> dict[str, object]:
        """tells when the tables have been loaded, of all partitions or of one"""
        if partition_name is None and self.use_partitions:
            return {"Partitions": [{"name": p.name} | _loaded(p) for p in self.partitions.values()]}
        partition = self._partition(partition_name)
        return ({"name": partition.name} if self.use_partitions else {}) | _loaded(partition)

    @mi_command(
        "number_routing",
        "number",
        "group_id number",
        "partition_name number",
        "partition_name group_id number",
        aliases=["dr_number_routing"],
        read_only=True,
        named_only=True,
    )
    def mi_number_routing(
        self, number: Unread[str], group_id: Unread[int] | None = None, partition_name: Unread[str] | None = None
    ) -> dict[str, object] | str:
        """tells the rule that a number of a group leads to, and its gateways and carriers"""
        partition = self._partition(partition_name)
        group = _optional(group_id)
        digits = number.read()
        data = _data(partition)
        rule = self.first_rule(data, -1 if group is None else group, digits)
        if rule is None:
            return NO_MATCH
        listed = [one for one in data.destinations(rule.gwlist) if data.knows(one)]
        shown: dict[str, object] = {"Matched Prefix": rule.prefix, "GW List": [_listed(one) for one in listed]}
        return shown | _attributes(rule.attributes)

    @mi_command("enable_probing", "", "status", aliases=["dr_enable_probing"])
    def mi_enable_probing(self, status: int | None = None) -> dict[str, object] | str:
        """tells whether gateways are probed, or switches that on (1) or off (0)"""
        if status is None:
            return {"Status": int(self.probing)}
        self.probing = bool(status)
        return OK

    def _partition(self, parameter: Unread[str] | None) -> Partition:
        """The partition that a command means.  Raises MIError."""
        if not self.use_partitions:
            if parameter is not None:
                raise MIError(
                    400,
                    "Invalid parameter: 'partition_name'",
                    "'partition_name' supported only when 'use_partitions' is set",
                )
            return self.partitions[DEFAULT]
        if parameter is None:
            raise MIError(
                400,
                "Missing parameter: 'partition_name'",
                "'partition_name' is required when 'use_partitions' is set",
            )
        found = self.partitions.get(parameter.read())
        if found is None:
            raise MIError(404, "Partition not found")
        return found


def _optional(parameter: Unread[T] | None) -> T | None:
    return None if parameter is None else parameter.read()


def _data(partition: Partition) -> RoutingData:
    if partition.data is None:
        raise MIError(404, "No Data available yet")
    return partition.data


def _gateway(gateway: Gateway) -> dict[str, object]:
    return _attributes(gateway.attributes) | {"State": gateway.shown_state}


def _carrier(carrier: Carrier) -> dict[str, object]:
    return _attributes(carrier.attributes) | {"Enabled": "no " if carrier.off else "yes"}


def _attributes(text: str) -> dict[str, object]:
    return {"ATTRS": text} if text else {}


def _listed(one: Listed) -> dict[str, str]:
    return {"CARRIER" if one.is_carrier else "GATEWAY": one.id}


def _loaded(partition: Partition) -> dict[str, object]:
    data = partition.data
    shown: dict[str, object] = {"Date": "" if data is None else time.ctime(data.loaded_at)}
    return shown | {"Checksum": data.checksum} if data is not None and data.checksum else shown
