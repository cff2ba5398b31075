"""Module dispatcher: shares requests among the destinations of a set, and keeps away from those that fail.

`destinations` are sets and states, `selection` and `choosing` the algorithms, `failover` the list that a request goes
through, `loading` and `partition` the tables, `probing` the questions whether somebody is there; the rest is what
scripts and MI see.

Not here: clusters.

Source: OpenSIPS manual, module dispatcher; observed answers and choices of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from typing import Final

from ...blacklist_service import blacklist_service, named_numbers, numbers_in
from ...database import DatabaseError, database_at, url_or_default
from ...errors import ConfigurationError
from ...exports import Module, parameter
from ...freeswitch_figures import freeswitch_figures
from ...freeswitch_service import freeswitch_service
from ...probing import Prober, checked_probe, reply_codes
from ...services import Services
from ...sip_service import sip_service
from ...transaction_service import transaction_service
from ...variable_spec import VariableSpec
from .choosing import Chooser
from .commands import DispatcherCommands
from .functions import DispatcherFunctions
from .loading import MAX_WEIGHT, Columns, Loader
from .partition import EVENT, GROUP, Partition, Partitions
from .probing import Probing
from .settings import Settings, partitions

__all__ = ["Dispatcher"]

log = logging.getLogger("miscript.dispatcher")

SAVE_SECONDS: Final = 30.0
"""Seconds from one writing of states to the next."""

UNSET: Final = -1


class Dispatcher(DispatcherFunctions, DispatcherCommands, Module):
    """Shares requests among destinations."""

    name = "dispatcher"
    events = (EVENT,)

    partition: list[str] = parameter(
        [], "`name: key = value; ...`, a table with AVPs of its own.", kinds="string", repeatable=True
    )
    db_url = parameter("", "Database of the partition `default`, and of those that name none.")
    table_name = parameter("dispatcher", "Its table.")
    setid_col = parameter("setid", "Column with the set.")
    destination_col = parameter("destination", "Column with the URI.")
    socket_col = parameter("socket", "Column with the socket to send from.")
    state_col = parameter("state", "Column with the state: 0 active, 1 inactive, 2 probing.")
    weight_col = parameter("weight", "Column with the weight.")
    priority_col = parameter("priority", "Column with the priority, the highest first.")
    attrs_col = parameter("attrs", "Column with the attributes.")
    description_col = parameter("description", "Column with the description, which `ds_list` shows.")
    probe_mode_col = parameter("probe_mode", "Column that is 1 for destinations that are always probed.")
    dst_avp = parameter("", "AVP with the destinations; without one $avp(ds_dst_failover).")
    grp_avp = parameter("", "AVP with the set; without one $avp(ds_grp_failover).")
    cnt_avp = parameter("", "AVP with the number of destinations; without one $avp(ds_cnt_failover).")
    sock_avp = parameter("", "AVP with the sockets; without one $avp(ds_sock_failover).")
    attrs_avp = parameter("", "AVP that gets the attributes of the current destination.")
    script_attrs_avp = parameter("", "AVP that gets what `ds_push_script_attrs` noted with it.")
    algo_route = parameter("", "Route that algorithm 10 calls with URI, attributes and script attributes.")
    hash_pvar = parameter("", "Text with variables that algorithm 7 hashes.")
    setid_pvar = parameter("", "Variable that gets the set when `ds_is_in_list()` looked into all of them.")
    pvar_algo_pattern = parameter("", "Variable with the load for algorithm 9; %u is the URI, %i the set.")
    ds_probing_threshhold = parameter(3, "The same as ds_probing_threshold, as it was spelled once.")
    ds_probing_threshold = parameter(3, "Failures in a row that take a destination out of service.")
    ds_ping_method = parameter("OPTIONS", "Method of probes.")
    ds_ping_from = parameter("sip:dispatcher@localhost", "URI of From in probes.")
    ds_ping_interval = parameter(0, "Seconds from one turn of probes to the next; 0: there are none.")
    ds_ping_maxfwd = parameter(UNSET, "Max-Forwards of probes; not negative.")
    ds_probing_mode = parameter(0, "1: destinations in service are probed too.")
    ds_probing_sock = parameter("", "Socket that probes are sent from.")
    ds_probing_list = parameter("", "Sets that are probed, with commas between; all without it.")
    options_reply_codes = parameter("", "Statuses that are as good as 200, with commas between.")
    ds_define_blacklist: list[str] = parameter(
        [],
        "`name = set, set`: a blacklist of the places of these sets of the partition `default`.",
        kinds="string",
        repeatable=True,
    )
    persistent_state = parameter(1, "1: states are read from the table, and written back.")
    fetch_freeswitch_stats = parameter(
        0, "1: a weight may be the URL (fs://:password@host) of a FreeSWITCH server that tells it."
    )
    max_freeswitch_weight = parameter(100, "Weight of a FreeSWITCH server that is idle, or has not told anything yet.")
    cluster_id = parameter(0, "Clusters; not available, must be 0.")
    cluster_sharing_tag = parameter("", "Of clusters, which are not here.")
    cluster_probing_mode = parameter("all", "Of clusters, which are not here.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.partitions = Partitions()
        self.chooser = Chooser("", "", "")
        self.set_id_variable: VariableSpec | None = None
        self._columns = Columns("", "", "", "", "", "", "", "", "")
        self._probing: Probing | None = None

    def set_parameter(self, name: str, value: int | str) -> None:
        super().set_parameter(name, value)
        if name == "ds_probing_threshhold":
            self.ds_probing_threshold = self.ds_probing_threshhold

    # -- parameters ---------------------------------------------------------------------------------------------------

    def init(self) -> None:
        self._check()
        self.chooser = Chooser(self.hash_pvar, self.pvar_algo_pattern, self.algo_route)
        self.set_id_variable = self._written("setid_pvar")
        self._columns = Columns(
            self.setid_col,
            self.destination_col,
            self.socket_col,
            self.state_col,
            self.probe_mode_col,
            self.weight_col,
            self.priority_col,
            self.attrs_col,
            self.description_col,
        )
        sip = sip_service(self.services)
        wanted = self.fetch_freeswitch_stats
        most = self.max_freeswitch_weight if wanted else None
        loader = Loader(self._columns, sip.resolve, sip.socket_named, most)
        for settings in partitions(self._default(), self.partition):
            self.partitions[settings.name] = Partition(
                self.services,
                settings,
                database_at(self.services.find, settings.db_url),
                loader,
                self.ds_probing_threshold,
                freeswitch_figures(self.services, wanted, self.name),
            )
            for name, _ in settings.blacklists:
                blacklist_service(self.services).replace(name, GROUP, ())
        if self.ds_ping_interval:
            self._probing = self._make_probing()

    def _make_probing(self) -> Probing:
        tm = transaction_service(self.services)
        if tm is None:
            raise ConfigurationError("ds_ping_interval needs module tm", parameter="ds_ping_interval")
        socket = sip_service(self.services).socket_named(self.ds_probing_sock) if self.ds_probing_sock else None
        if self.ds_probing_sock and socket is None:
            raise ConfigurationError(
                f"ds_probing_sock: we do not listen at '{self.ds_probing_sock}'", parameter="ds_probing_sock"
            )
        for each in self.partitions.values():
            checked_probe(
                each.settings.ping_method,
                each.settings.ping_from,
                method_parameter="ds_ping_method",
                from_parameter="ds_ping_from",
            )
        return Probing(
            Prober(tm, self.services.tasks, reply_codes(self.options_reply_codes, "options_reply_codes")),
            bool(self.ds_probing_mode),
            numbers_in(self.ds_probing_list, "ds_probing_list") if self.ds_probing_list else None,
            socket,
            None if self.ds_ping_maxfwd == UNSET else self.ds_ping_maxfwd,
        )

    def _check(self) -> None:
        if self.cluster_id:
            raise ConfigurationError("clusters are not available, cluster_id must be 0", parameter="cluster_id")
        if not 0 < self.max_freeswitch_weight <= MAX_WEIGHT:
            raise ConfigurationError(
                f"max_freeswitch_weight must be 1 to {MAX_WEIGHT}", parameter="max_freeswitch_weight"
            )
        if self.ds_probing_threshold < 1:
            raise ConfigurationError("ds_probing_threshold must be positive", parameter="ds_probing_threshold")
        if self.ds_ping_interval < 0:
            raise ConfigurationError("ds_ping_interval must not be negative", parameter="ds_ping_interval")
        if self.ds_ping_maxfwd < UNSET or self.ds_ping_maxfwd > 255:
            raise ConfigurationError("ds_ping_maxfwd must be 0 to 255", parameter="ds_ping_maxfwd")

    def _written(self, name: str) -> VariableSpec | None:
        text = getattr(self, name)
        if not text:
            return None
        try:
            found = VariableSpec.parse(text)
        except ValueError as error:
            raise ConfigurationError(f"{name}: {error}", parameter=name) from error
        if not found.kind:
            raise ConfigurationError(f"{name}: expected $var(name) or $avp(name), found '{text}'", parameter=name)
        return found

    def _default(self) -> Settings | None:
        """The partition `default` as the parameters describe it.

        None when no parameter of it is set and there are others.
        """
        url = url_or_default(self.db_url, self.services.parameters)
        own = Settings(
            "default",
            db_url=url,
            table_name=self.table_name,
            dst_avp=self.dst_avp,
            grp_avp=self.grp_avp,
            cnt_avp=self.cnt_avp,
            sock_avp=self.sock_avp,
            attrs_avp=self.attrs_avp,
            script_attrs_avp=self.script_attrs_avp,
            blacklists=tuple(named_numbers(line, "ds_define_blacklist") for line in self.ds_define_blacklist),
            ping_from=self.ds_ping_from,
            ping_method=self.ds_ping_method,
            persistent_state=bool(self.persistent_state),
        )
        untouched = own == Settings("default", db_url=url) and not self.db_url
        if untouched and self.partition:
            return None
        if not url and not self.partition:
            raise ConfigurationError("db_url must be set, or the global db_default_url", parameter="db_url")
        return own

    # -- life ---------------------------------------------------------------------------------------------------------

    async def prepare(self) -> None:
        """Load the tables.  Raises ConfigurationError."""
        for each in self.partitions.values():
            try:
                await each.load()
            except DatabaseError as error:
                raise ConfigurationError(f"module 'dispatcher', partition '{each.name}': {error}") from error

    async def start(self) -> None:
        if any(each.settings.persistent_state for each in self.partitions.values()):
            self.services.tasks.every(SAVE_SECONDS, self._save, "the states of dispatcher")
        if self._probing is not None:
            self.services.tasks.every(self.ds_ping_interval, self._probe, "the probes of dispatcher")

    def _probe(self) -> None:
        if self._probing is not None:
            self._probing.turn(self.partitions.values())

        if self.fetch_freeswitch_stats:
            freeswitch = freeswitch_service(self.services)
            seconds = freeswitch.heartbeat_interval if freeswitch is not None else 1
            self.services.tasks.every(seconds, self._weigh, "the weights of dispatcher")

    def _weigh(self) -> None:
        for each in self.partitions.values():
            each.refresh_weights(self.max_freeswitch_weight)

    async def stop(self) -> None:
        await self._save()
        for each in self.partitions.values():
            await each.close()

    async def _save(self) -> None:
        for each in self.partitions.values():
            try:
                await each.save(self._columns)
            except DatabaseError as error:
                log.error("states of partition '%s' are not written: %s", each.name, error)
