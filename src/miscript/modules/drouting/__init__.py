"""Module drouting: gateways and carriers by prefix, group, time and priority.

`rules` holds the rules, `gateways` what can be routed to, `routing_data` both as they were loaded together, `loading`
reads them from the tables, `partitions` puts them in force; `applying` writes a choice into the request, `probing`
asks gateways whether they are there.  `functions`, `recognising` and `commands` are what scripts and MI call.

The first load begins when the startup route has ended; a script that wants data there calls `dr_reload`.  Whoever can
measure the quality of gateways offers a sorter for `Q` (see `sorting`).

Not here: clusters (`cluster_id` and the like are refused); the file of `enable_restart_persistency`, so that the
tables are read at each start.

Source: OpenSIPS manual, module drouting; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import cast

from ...blacklist_service import blacklist_service
from ...database import Database, DatabaseError, check_version, database_at
from ...errors import ConfigurationError
from ...exports import Module
from ...probing import Probe, Prober
from ...script.runtime import Run
from ...services import Services
from ...sip.sockets import ListeningSocket
from ...sip_service import sip_service
from ...transaction_service import transaction_service
from .cells import LoadError
from .commands import DroutingCommands
from .functions import RoutingFunctions
from .loading import Options, check_tables
from .parameters import DroutingParameters
from .partitions import COLUMNS, DEFAULT, EVENT, GROUP, PARTITIONS_VERSION, Partition, partition_row
from .probing import Probing
from .recognising import GatewayRecognition
from .settings import Settings
from .sorting import SORTER, Sorter

__all__ = ["Drouting"]

log = logging.getLogger("miscript.drouting")

STORE_SECONDS = 30
"""Between two times that changed states are written to the tables."""


class Drouting(DroutingCommands, GatewayRecognition, RoutingFunctions, DroutingParameters, Module):
    """Routing by prefix, caller's group, time and priority, to gateways and carriers that are watched."""

    name = "drouting"
    events = (EVENT,)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.partitions: dict[str, Partition] = {}
        self.probing = True
        self._databases: list[Database] = []

    # -- life ---------------------------------------------------------------------------------------------------

    def init(self) -> None:
        self.settings = Settings.of(self, self.services.parameters)
        tm = transaction_service(self.services)
        if self.probing_interval and tm is None:
            raise ConfigurationError("probes need module tm, or probing_interval 0", parameter="probing_interval")
        self._prober = None if tm is None else Prober(tm, self.services.tasks, self.settings.reply_codes)
        blacklists = blacklist_service(self.services)
        for wanted in self.settings.blacklists:
            blacklists.replace(wanted.name, GROUP, ())
        if not self.use_partitions:
            database = self._open(self.settings.url, "db_url")
            self._add(Partition(DEFAULT, database, self.settings.tables, self.settings.avps, self.services))

    async def prepare(self) -> None:
        """Check the tables, as they must be right for a start.  Raises ConfigurationError."""
        try:
            await self._make_partitions()
            for partition in self.partitions.values():
                await check_tables(partition.database, partition.names)
        except DatabaseError as error:
            raise ConfigurationError(str(error)) from error

    async def start(self) -> None:
        tasks = self.services.tasks
        tasks.spawn(self._first_load(), "the first load of drouting")
        if self.persistent_state:
            tasks.every(STORE_SECONDS, self._store_states, "the states of gateways")
        if self.probing_interval and self._prober is not None:
            socket = self._socket_of_probes()
            self._probes = Probing(self._prober, Probe(self.probing_method, self.probing_from), socket)
            tasks.every(self.probing_interval, self._probe, "the probes of gateways")

    def _socket_of_probes(self) -> ListeningSocket | None:
        if not self.probing_socket:
            return None
        socket = sip_service(self.services).socket_named(self.probing_socket)
        if socket is None:
            raise ConfigurationError(
                f"probing_socket: we do not listen on '{self.probing_socket}'", parameter="probing_socket"
            )
        return socket

    async def stop(self) -> None:
        if self.persistent_state:
            await self._store_states()
        for database in self._databases:
            await database.close()
        self._databases.clear()

    async def _first_load(self) -> None:
        for partition in self.partitions.values():
            try:
                if partition.data is None:
                    await self.reload(partition, inherit=True)
            except (DatabaseError, LoadError):
                continue  # it has been logged, and reported

    async def _store_states(self) -> None:
        for partition in self.partitions.values():
            try:
                await partition.store_states()
            except DatabaseError as error:
                log.error("states of partition '%s' are not written: %s", partition.name, error)

    def _probe(self) -> None:
        if self.probing:
            self._probes.turn(self.partitions.values())

    # -- partitions ---------------------------------------------------------------------------------------------

    def _open(self, url: str, parameter: str) -> Database:
        database = database_at(self.services.find, url, parameter)
        self._databases.append(database)
        return database

    def _add(self, partition: Partition) -> None:
        partition.changed = self._changed
        partition.register()
        self.partitions[partition.name] = partition

    async def _make_partitions(self) -> None:
        """Read the table of partitions.  Raises DatabaseError and ConfigurationError."""
        if not self.use_partitions or self.partitions:
            return
        database = self._open(self.settings.url, "db_partitions_url")
        table = self.db_partitions_table
        await check_version(database, table, PARTITIONS_VERSION)
        found = await database.select(table, COLUMNS)
        for row in found.rows:
            try:
                name, url, names, avps = partition_row(row)
            except ValueError as error:
                raise ConfigurationError(f"the table '{table}': {error}") from error
            if name in self.partitions:
                raise ConfigurationError(f"the table '{table}' has the partition '{name}' twice")
            names = replace(names, rule_tables=self.settings.rule_queries.get(names.rules, ""))
            self._add(Partition(name, self._open(url, "db_url"), names, avps, self.services))
        if not self.partitions:
            raise ConfigurationError(f"the table '{table}' of {database.url} has no partition")

    def partition_for(self, name: str | None, function: str) -> Partition | None:
        if name is None and self.use_partitions:
            log.error("%s: use_partitions is set, so the name of a partition is needed", function)
            return None
        found = self.partitions.get(DEFAULT if name is None else name)
        if found is None:
            log.error("%s: there is no partition '%s'", function, name)
        return found

    def tell_partition(self, run: Run, partition: Partition) -> None:
        variable = self.settings.partition_variable
        if variable is not None and not variable.set(run, partition.name):
            log.error("partition_id_pvar: '%s' cannot be written", variable.text)

    # -- loading ------------------------------------------------------------------------------------------------

    def options(self) -> Options:
        sip = sip_service(self.services)
        return Options(
            sip.socket_named,
            sip.resolve,
            self.has_route,
            with_state=bool(self.persistent_state),
            force_dns=bool(self.force_dns),
            socket_filter=self.gw_socket_filter_mode,
            prefix_characters=self.extra_prefix_chars,
            id_characters=self.extra_id_chars,
            checksum=bool(self.generate_data_checksum),
        )

    async def reload(self, partition: Partition, *, inherit: bool) -> None:
        await partition.reload(self.options(), inherit=inherit, concurrent=not self.no_concurrent_reload)

    def _changed(self, partition: Partition) -> None:
        """Other data are in force: the blacklists hold their gateways."""
        if partition.data is None:
            return
        for wanted in self.settings.blacklists:
            if wanted.partition == partition.name:
                targets = wanted.targets(partition.data)
                blacklist_service(self.services).replace(wanted.name, GROUP, targets)

    def has_route(self, name: str) -> bool:
        return ("route", name) in self.services.routes.script.routes

    def sorter(self, algorithm: str) -> Sorter | None:
        return cast("Sorter | None", self.services.find(f"{SORTER}{algorithm}"))
