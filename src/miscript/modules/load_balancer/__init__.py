"""Module load_balancer: sends calls where most room is left, by what each call needs and each destination can take.

The load is counted in dialogs: a call is on its destination until its dialog ends.  `destinations` are rows and their
room, `loading` the table, `balancer` the calls, `kept` what is written of them where dialogs are kept in a database;
the rest is what scripts and MI see.

Not here: clusters.

Source: OpenSIPS manual, module load_balancer; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from functools import partial
from typing import Final

from ...blacklist_service import blacklist_service, named_numbers
from ...database import DatabaseError, database_at, url_or_default
from ...dialog_service import dialog_service
from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter
from ...freeswitch_figures import freeswitch_figures
from ...freeswitch_service import freeswitch_service
from ...probing import Heard, Probe, Prober, checked_probe, reply_codes
from ...services import Services
from ...sip_service import sip_service
from ...transaction_service import transaction_service
from .balancer import EVENT, Balancer
from .destinations import MAX_CAPACITY, Destination, ProbeMode
from .functions import LoadBalancerFunctions
from .kept import LoadPart

__all__ = ["LoadBalancer"]

log = logging.getLogger("miscript.load_balancer")

OK: Final = "OK"
UNKNOWN_ID: Final = "Destination ID not found"


class LoadBalancer(LoadBalancerFunctions, Module):
    """Sends calls where most room is left."""

    name = "load_balancer"
    needs = ("dialog",)
    events = (EVENT,)

    db_url = parameter("", "Database with the table; the global db_default_url without it.")
    db_table = parameter("load_balancer", "The table.")
    probing_interval = parameter(30, "Seconds from one turn of probes to the next; 0: there are none.")
    probing_verbose = parameter(0, "1: destinations that are taken in and out of service are logged.")
    probing_method = parameter("OPTIONS", "Method of probes.")
    probing_from = parameter("sip:prober@localhost", "URI of From in probes.")
    probing_reply_codes = parameter("", "Statuses that are as good as 200, with commas between.")
    lb_define_blacklist: list[str] = parameter(
        [], "`name = group, group`: a blacklist of the places of these groups.", kinds="string", repeatable=True
    )
    cluster_id = parameter(0, "Clusters; not available, must be 0.")
    cluster_sharing_tag = parameter("", "Of clusters, which are not here.")
    fetch_freeswitch_stats = parameter(0, "1: a capacity may be the URL (fs://:password@host) of a FreeSWITCH server.")
    initial_freeswitch_load = parameter(1000, "Capacity of such a resource until its server has told one.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._prober: Prober | None = None

    # -- life ---------------------------------------------------------------------------------------------------------

    def init(self) -> None:
        if self.cluster_id:
            raise ConfigurationError("clusters are not available, cluster_id must be 0", parameter="cluster_id")
        if not 0 < self.initial_freeswitch_load <= MAX_CAPACITY:
            raise ConfigurationError("initial_freeswitch_load must be positive", parameter="initial_freeswitch_load")
        if self.probing_interval < 0:
            raise ConfigurationError("probing_interval must not be negative", parameter="probing_interval")
        dialogs = dialog_service(self.services)
        if dialogs is None:
            raise ConfigurationError("load_balancer needs module dialog")
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        database = database_at(self.services.find, url)
        blacklists = [named_numbers(line, "lb_define_blacklist") for line in self.lb_define_blacklist]
        for name, _ in blacklists:
            blacklist_service(self.services).replace(name, self.name, ())
        self.balancer = Balancer(
            self.services,
            database,
            self.db_table,
            sip_service(self.services).resolve,
            figures=freeswitch_figures(self.services, self.fetch_freeswitch_stats, self.name),
            first_capacity=self.initial_freeswitch_load,
            blacklists=blacklists,
        )
        self.dialogs = dialogs
        dialogs.watch(self.balancer.follow)
        dialogs.keep_with(self.name, LoadPart(self.balancer.loads))
        codes = reply_codes(self.probing_reply_codes, "probing_reply_codes")
        checked_probe(
            self.probing_method, self.probing_from, method_parameter="probing_method", from_parameter="probing_from"
        )
        tm = transaction_service(self.services)
        if self.probing_interval and tm is not None:
            self._prober = Prober(tm, self.services.tasks, codes)

    async def prepare(self) -> None:
        """Load the table.  Raises ConfigurationError."""
        try:
            await self.balancer.reload()
        except DatabaseError as error:
            raise ConfigurationError(f"module 'load_balancer': {error}") from error

    async def start(self) -> None:
        if self._prober is not None:
            self.services.tasks.every(self.probing_interval, self._probe, "the probes of load_balancer")

        freeswitch = freeswitch_service(self.services) if self.fetch_freeswitch_stats else None
        if freeswitch is not None:
            self.services.tasks.every(
                freeswitch.heartbeat_interval, self.balancer.refresh_capacities, "the capacities of load_balancer"
            )

    async def stop(self) -> None:
        await self.balancer.close()

    # -- probing ------------------------------------------------------------------------------------------------------

    def _probe(self) -> None:
        probe = Probe(self.probing_method, self.probing_from)
        for one in filter(_is_probed, self.balancer):
            if self._prober is not None:
                self._prober.ask(one.id, one.uri, probe, partial(self._heard, one.id))

    def _heard(self, id: int, heard: Heard) -> None:
        one = self.balancer.find(id)
        if one is None or not _is_probed(one) or one.enabled is heard.is_there:
            return
        if self.probing_verbose:
            log.info("probing: '%s' is %s", one.uri, "enabled" if heard.is_there else "disabled")
        self.balancer.set_enabled(one, heard.is_there)

    # -- MI -----------------------------------------------------------------------------------------------------------

    @mi_command("reload", "", aliases=["lb_reload"])
    async def mi_reload(self) -> str:
        """reads the table again; status and loads are kept"""
        try:
            await self.balancer.reload()
        except DatabaseError as error:
            log.error("lb_reload: %s; what was loaded before stays in force", error)
            raise MIError(500, "Failed to reload", str(error)) from error
        return OK

    @mi_command("resize", "destination_id res_name new_capacity", aliases=["lb_resize"])
    def mi_resize(self, destination_id: int, res_name: str, new_capacity: int) -> str:
        """changes how many calls a resource of a destination takes"""
        one = self._destination(destination_id)
        if res_name not in one.capacities:
            raise MIError(404, "Destination has no such resource")
        if new_capacity < 0:
            raise MIError(400, "Bad parameter value")
        one.capacities[res_name] = new_capacity
        return OK

    @mi_command("list", "", aliases=["lb_list"], read_only=True)
    def mi_list(self) -> dict[str, object]:
        """lists all destinations with the capacity and the load of each resource"""
        return {"Destinations": [self._shown(one) for one in self.balancer]}

    @mi_command("status", "destination_id", "destination_id new_status", aliases=["lb_status"])
    def mi_status(self, destination_id: int, new_status: int | None = None) -> object:
        """tells whether a destination is in service, or takes it in (1) or out (0), then without probes"""
        one = self._destination(destination_id)
        if new_status is None:
            shown = {"enable": "yes" if one.enabled else "no"}
            return shown | ({"attrs": one.attributes} if one.attributes else {})
        one.enables_itself = bool(new_status)
        if self.probing_verbose:
            log.info("MI: '%s' is %s", one.uri, "enabled" if new_status else "disabled")
        self.balancer.set_enabled(one, bool(new_status))
        return OK

    def _destination(self, id: int) -> Destination:
        found = self.balancer.find(id)
        if found is None:
            raise MIError(404, UNKNOWN_ID)
        return found

    def _shown(self, one: Destination) -> dict[str, object]:
        shown: dict[str, object] = {
            "uri": one.uri,
            "id": one.id,
            "group": one.group,
            "enabled": "yes" if one.enabled else "no",
            "auto-reenable": "on" if one.enables_itself else "off",
            "Resources": [
                {"name": name, "max": capacity, "load": self.balancer.loads.of(one.id, name)}
                for name, capacity in one.capacities.items()
            ],
        }
        return shown | ({"attrs": one.attributes} if one.attributes else {})


def _is_probed(one: Destination) -> bool:
    match one.probe_mode:
        case ProbeMode.NEVER:
            return False
        case ProbeMode.DISABLED:
            return not one.enabled and one.enables_itself
        case _:
            return one.enables_itself
