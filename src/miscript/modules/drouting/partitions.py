"""Partitions: routing data that are loaded, put in force and watched apart from each other.

Without `use_partitions` there is one, called `Default`, made of the module's own parameters; with it each row of the
table `dr_partitions` is one.

Source: OpenSIPS manual, module drouting, "use_partitions" and "Exported Status/Report Identifiers".
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...database import Cell, Database, DatabaseError, Where
from ...script.runtime import Run
from ...services import Services
from ...status_report import StatusReport
from ...variable_spec import VariableSpec
from .cells import LoadError, text_of_cell
from .gateways import Carrier, Gateway, State
from .loading import Loader, Options, Pace, TableNames
from .routing_data import RoutingData

log = logging.getLogger("miscript.drouting")

GROUP: Final = "drouting"
DEFAULT: Final = "Default"
EVENT: Final = "E_DROUTING_STATUS"
EVENTS_KEPT: Final = 200

PARTITIONS_VERSION: Final = 1
COLUMNS: Final = (
    "partition_name",
    "db_url",
    "drd_table",
    "drr_table",
    "drg_table",
    "drc_table",
    "ruri_avp",
    "gw_id_avp",
    "gw_priprefix_avp",
    "gw_sock_avp",
    "rule_id_avp",
    "rule_prefix_avp",
    "carrier_id_avp",
)
"""The columns of `dr_partitions`."""


class ReloadRefused(Exception):
    """A reload is under way, and `no_concurrent_reload` allows no second one."""


@dataclass(frozen=True, slots=True)
class AvpNames:
    """The AVPs of a partition, by their names; "" for one that nobody asked for.

    `rule_attributes`, `gateway_attributes`, `carrier_attributes` and `fallback` are the module's own: what
    `use_next_gw` tells, and where it goes on when all gateways of a rule have failed.
    """

    ruri: str
    gateway: str
    socket: str
    prefix: str = ""
    rule: str = ""
    rule_prefix: str = ""
    carrier: str = ""
    rule_attributes: str = ""
    gateway_attributes: str = ""
    carrier_attributes: str = ""
    fallback: str = ""

    @classmethod
    def of(cls, texts: Sequence[str], partition: str) -> AvpNames:
        """The AVPs that `texts` name: R-URI, gateway, PRI prefix, socket, rule, prefix of the rule, carrier.

        Raises ValueError for one that is no AVP.
        """
        tail = "" if partition == DEFAULT else partition
        ruri, gateway, prefix, socket, rule, rule_prefix, carrier = (
            VariableSpec.parse_avp(text).name if text else "" for text in texts
        )
        return cls(
            ruri or f"___dr_ruri__{tail}",
            gateway or f"___dr_gw_id__{tail}",
            socket or f"___dr_sock__{tail}",
            prefix,
            rule,
            rule_prefix,
            carrier,
            f"___dr_rl_att__{tail}",
            f"___dr_gw_att__{tail}",
            f"___dr_cr_att__{tail}",
            f"___dr_fb__{tail}",
        )

    def clear(self, run: Run) -> None:
        """Forget what an earlier routing has left."""
        if run.avps:
            for name in self.all_names:
                run.avps.pop(name, None)

    @property
    def all_names(self) -> tuple[str, ...]:
        return (
            self.ruri, self.gateway, self.socket, self.prefix, self.rule, self.rule_prefix, self.carrier,
            self.rule_attributes, self.gateway_attributes, self.carrier_attributes, self.fallback,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Partition:
    """One partition.  `data` is what is in force, None before the first load has ended."""

    name: str
    database: Database
    names: TableNames
    avps: AvpNames
    services: Services
    data: RoutingData | None = None
    reloads: int = 0
    """How many are under way or wait."""
    loading: asyncio.Lock = field(default_factory=asyncio.Lock)
    changed: Callable[[Partition], None] = lambda partition: None
    """Called when other data are in force."""

    # -- statuses -----------------------------------------------------------------------------------------------

    @property
    def _statuses(self) -> StatusReport | None:
        return self.services.find("status_report")

    @property
    def _events_identifier(self) -> str:
        return f"{self.name};events"

    def register(self) -> None:
        """Show this partition among the statuses."""
        statuses = self._statuses
        if statuses is None:
            return
        for identifier, status, details in ((self._events_identifier, 1, ""), (self.name, -2, "no data loaded")):
            statuses.register(GROUP, identifier, status=status, details=details, reports=EVENTS_KEPT).reports.clear()

    def _status(self, status: int, details: str, report: str) -> None:
        statuses = self._statuses
        if statuses is not None:
            statuses.set_status(GROUP, self.name, status, details, report)

    def _report(self, text: str, identifier: str | None = None) -> None:
        statuses = self._statuses
        if statuses is not None:
            statuses.report(GROUP, identifier or self.name, text)

    # -- reloading ----------------------------------------------------------------------------------------------

    async def reload(self, options: Options, *, inherit: bool = True, concurrent: bool = True) -> None:
        """Load everything anew and put it in force; `inherit` keeps the states that gateways and carriers have.

        Reloads of one partition come one after the other.  Raises DatabaseError and LoadError, the old data staying
        in force, and `ReloadRefused` when one is under way and they may not be `concurrent`.
        """
        if self.reloads and not concurrent:
            raise ReloadRefused(f"a reload of partition '{self.name}' is in progress")
        self.reloads += 1
        try:
            async with self.loading:
                await self._reload(options, inherit)
        finally:
            self.reloads -= 1

    async def _reload(self, options: Options, inherit: bool) -> None:
        if self.data is None:
            self._status(-1, "no data, initial loading in progress", "starting DB data loading")
        else:
            self._status(2, "data available, a reload in progress", "starting DB data loading")
        loader = Loader(self.database, self.names, options)
        try:
            new = await loader.load()
        except BaseException as error:
            if isinstance(error, DatabaseError | LoadError):
                log.error("the tables of partition '%s' are not loaded: %s", self.name, error)
            self._status(*self._standing, "DB data loading failed, discarding")
            await loader.abandon()
            raise
        new.loaded_at = self.services.clock.time()
        old, self.data = self.data, new
        if old is not None and inherit:
            _inherit_states(old, new)
        self._status(*self._standing, "DB data loading successfully completed")
        self._report(loader.summary + (f", checksum {new.checksum}" if new.checksum else ""))
        self.changed(self)
        if old is not None:
            await Pace().through(old.dismantle())

    @property
    def _standing(self) -> tuple[int, str]:
        """Status and details while nothing is under way."""
        return (-2, "no data loaded") if self.data is None else (1, "data available")

    # -- states -------------------------------------------------------------------------------------------------

    def set_gateway(self, gateway: Gateway, state: State, reason: str) -> bool:
        """Give a gateway another state and tell of it; False when it has that state already."""
        if gateway.state is state:
            return False
        gateway.state = state
        told = gateway.told_state
        self._report(
            f"GW <{gateway.id}>/{gateway.address} switched to [{told}] due to {reason}\n", self._events_identifier
        )
        self.services.events.raise_event(
            EVENT,
            [
                ("partition", self.name),
                ("gwid", gateway.id),
                ("address", gateway.address),
                ("status", told),
                ("reason", reason),
            ],
        )
        return True

    def set_carrier(self, carrier: Carrier, off: bool, reason: str) -> None:
        """Switch a carrier on or off."""
        if carrier.off is off:
            return
        carrier.off = off
        told = "disabled MI" if off else "active"
        self._report(f"CARRIER <{carrier.id}> switched to [{told}] due to {reason}\n", self._events_identifier)

    async def store_states(self) -> None:
        """Write the states that have changed to the tables.  Raises DatabaseError; what is not written stays due."""
        data = self.data
        if data is None:
            return
        for gateway in list(data.gateways.values()):
            state = gateway.state
            if state is not gateway.stored:
                await self.database.update(self.names.gateways, {"state": int(state)}, [Where("gwid", gateway.id)])
                gateway.stored = state
        for carrier in list(data.carriers.values()):
            off = carrier.off
            if off is not carrier.stored_off:
                await self.database.update(self.names.carriers, {"state": int(off)}, [Where("carrierid", carrier.id)])
                carrier.stored_off = off


def _inherit_states(old: RoutingData, new: RoutingData) -> None:
    for id, gateway in new.gateways.items():
        before = old.gateways.get(id)
        if before is not None:
            gateway.state = before.state
    for id, carrier in new.carriers.items():
        earlier = old.carriers.get(id)
        if earlier is not None:
            carrier.off = earlier.off


def partition_row(row: Sequence[Cell]) -> tuple[str, str, TableNames, AvpNames]:
    """Name, database URL, tables and AVPs of a row of `dr_partitions`.  Raises ValueError."""
    name, url, gateways, rules, groups, carriers, *avps = (text_of_cell(cell).strip() for cell in row)
    if not name or name == "*":
        raise ValueError(f"'{name}' is no name of a partition")
    if not url:
        raise ValueError(f"the partition '{name}' has no db_url")
    names = TableNames(gateways or "dr_gateways", carriers or "dr_carriers", rules or "dr_rules", groups or "dr_groups")
    return name, url, names, AvpNames.of(avps, name)
