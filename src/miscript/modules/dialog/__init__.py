"""Module `dialog`: knowing the calls that pass, and having a say in them.

`Calls` (calls) is the table of dialogs with states, times and statistics; `Tracking` (tracking) tells it what `tm` and
`rr` see, `Numbers` (numbers) keeps the CSeqs that each end gets in order; `DialogRequests` (requests) sends BYEs and
other requests in dialogs, `Pings` (pings) and `Pracks` (prack) those that nobody has asked for; `shown` is how dialogs
look from outside; `DialogStore` (store) keeps them in a database; the rest is what scripts and MI call.  State itself
is pure and lives in `miscript.sip.dialogs`.

Not here: caches and clusters.

Source: OpenSIPS manual, module dialog; RFC 3261 section 12.
"""

from __future__ import annotations

import logging

from ...database import DatabaseError, database_at, url_or_default
from ...dialog_service import DialogPart, RequestWatcher, StateWatcher
from ...errors import ConfigurationError
from ...exports import Module, parameter, statistic
from ...script.runtime import Run
from ...services import Services
from ...sip.dialog_profiles import Profiles
from ...sip.dialogs import Dialog, DialogTable, Direction, MatchMode
from ...sip.message import Message
from ...sip_service import sip_service
from .calls import STATE_CHANGED, Calls, Counters
from .commands import DialogCommands
from .functions import DialogFunctions
from .lookups import DialogLookups
from .parameters import StoreParameters
from .pings import Pings
from .prack import Pracks
from .requests import DialogRequests
from .rows import COLUMN_PARAMETERS, NAMES, RowFormat
from .store import DialogStore, OwnPart, StoreMode
from .tracking import Tracking
from .variables import DialogVariables

log = logging.getLogger("miscript.dialog")


class DialogModule(DialogFunctions, DialogLookups, DialogVariables, DialogCommands, StoreParameters, Module):
    """Dialogs: calls that are followed, listed, grouped, limited in time and ended."""

    name = "dialog"
    needs = ("tm",)
    events = (STATE_CHANGED,)

    hash_size = parameter(4096, "How many values the first half of a dialog's id has; a power of two.")
    rr_param = parameter("did", "Name of the parameter in Record-Route by which dialogs are found again.")
    default_timeout = parameter(43200, "Seconds that a dialog may last from its answer on, unless a script says else.")
    options_ping_interval = parameter(30, "Seconds between two OPTIONS that ask an end whether it is alive.")
    reinvite_ping_interval = parameter(300, "Seconds between two re-INVITEs that ask an end whether it is alive.")
    delete_delay = parameter(0, "Seconds that a dialog which has ended is kept, for late requests.")
    race_condition_timeout = parameter(
        5, "Seconds until a call ends that was answered and given up at once (`end-on-race-condition`)."
    )
    auto_prack_hangup_on_failure = parameter(0, "1: a PRACK of ours that fails ends the call with a 502.")
    auto_prack_fr_timeout = parameter(3, "Seconds that a PRACK of ours waits for its answer.")
    dlg_extra_hdrs = parameter("", "Header fields, each with its line end, for the requests that are sent here.")
    dlg_match_mode = parameter(1, "How requests find their dialog: 0 by Route, 1 by Route or tags, 2 by tags.")
    profiles_with_value = parameter("", "Names of profiles with values, `;` between them.")
    profiles_no_value = parameter("", "Names of profiles without values, `;` between them.")

    active_dialogs = statistic("active_dialogs", "Calls that have been answered and go on.", resettable=False)
    early_dialogs = statistic("early_dialogs", "Calls that ring.", resettable=False)
    processed_dialogs = statistic("processed_dialogs", "Dialogs that there have been.")
    expired_dialogs = statistic("expired_dialogs", "Dialogs that ended because their time was over.")
    failed_dialogs = statistic("failed_dialogs", "Dialogs that never were answered.")
    create_sent = statistic("create_sent", "Of clusters, which are not here.")
    update_sent = statistic("update_sent", "Of clusters, which are not here.")
    delete_sent = statistic("delete_sent", "Of clusters, which are not here.")
    create_recv = statistic("create_recv", "Of clusters, which are not here.")
    update_recv = statistic("update_recv", "Of clusters, which are not here.")
    delete_recv = statistic("delete_recv", "Of clusters, which are not here.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.calls = Calls(
            services,
            Counters(
                self.active_dialogs,
                self.early_dialogs,
                self.processed_dialogs,
                self.expired_dialogs,
                self.failed_dialogs,
            ),
        )
        self.requests = DialogRequests(services, self.calls)
        self.tracking = Tracking(services, self.calls)
        self.pings = Pings(services, self.calls, self.requests)
        self.pracks = Pracks(services, self.calls, self.requests)
        self.tracking.prack = self.pracks.provisional
        self.tracking.set_interval = self.pings.set_interval
        self.store: DialogStore | None = None
        self.parts: dict[str, DialogPart] = {"dialog": OwnPart(self.calls)}
        services.provide("dialog", OfferedDialogs(self))

    def init(self) -> None:
        self._check_parameters()
        try:
            profiles = Profiles(self.profiles_no_value, self.profiles_with_value)
        except ValueError as error:
            raise ConfigurationError(f"'profiles_no_value': {error}", parameter="profiles_no_value") from error
        for shared in profiles.shared:
            log.warning("profile '%s' is not shared with others here", shared)
        self.calls.profiles = profiles
        self.calls.table = DialogTable(self.hash_size, self.calls.table.first_number)
        self.calls.default_lifetime = self.default_timeout
        self.calls.delete_delay = self.delete_delay
        extra = self.dlg_extra_hdrs.strip()
        self.requests.extra_headers = f"{extra}\r\n" if extra else ""
        self.tracking.mode = MatchMode(self.dlg_match_mode)
        self.tracking.parameter = self.rr_param
        self.calls.race_seconds = self.race_condition_timeout
        self.pracks.seconds = self.auto_prack_fr_timeout
        self.pracks.hangs_up = bool(self.auto_prack_hangup_on_failure)
        self.tracking.init()
        if self.db_mode:
            self.store = self._open()

    def _open(self) -> DialogStore:
        url = url_or_default(self.db_url, self.services.parameters)
        if not url:
            raise ConfigurationError("'db_url' must be set, or the global db_default_url", parameter="db_url")
        database = database_at(self.services.find, url)
        columns = {name: getattr(self, COLUMN_PARAMETERS.get(name, ""), name) for name in NAMES}
        format = RowFormat(columns, sip_service(self.services).socket_named)
        with_values = bool(self.db_flush_vals_profiles)
        store = DialogStore(self.calls, database, self.table_name, format, with_values=with_values)
        store.parts = self.parts
        self.services.statistics.register(self.name, "db_waiting", False, lambda: len(store.mirror))
        self.services.statistics.register(self.name, "db_failures", False, lambda: store.mirror.failures)
        return store

    def _check_parameters(self) -> None:
        if self.hash_size < 1 or self.hash_size & (self.hash_size - 1):
            raise _wrong("hash_size", self.hash_size, "expected a power of two")
        if self.dlg_match_mode not in set(MatchMode):
            raise _wrong("dlg_match_mode", self.dlg_match_mode, "expected 0, 1 or 2")
        for name in ("dialog_replication_cluster", "profile_replication_cluster", "cachedb_url"):
            if value := getattr(self, name):
                raise _wrong(name, value, "which is not available yet")
        for name in (
            "default_timeout",
            "options_ping_interval",
            "reinvite_ping_interval",
            "race_condition_timeout",
            "auto_prack_fr_timeout",
        ):
            if (value := getattr(self, name)) < 1:
                raise _wrong(name, value, "expected at least 1")
        if self.db_mode not in set(StoreMode):
            raise _wrong("db_mode", self.db_mode, "expected 0, 1, 2 or 3")
        if self.db_update_period < 1:
            raise _wrong("db_update_period", self.db_update_period, "expected at least 1")
        if self.delete_delay < 0:
            raise _wrong("delete_delay", self.delete_delay, "expected at least 0")

    async def prepare(self) -> None:
        """Let the calls of the database go on.  Raises ConfigurationError when it cannot be read."""
        if self.store is not None:
            try:
                await self.store.load()
            except DatabaseError as error:
                raise ConfigurationError(f"the dialogs cannot be read: {error}") from error

    async def start(self) -> None:
        tasks = self.services.tasks
        tasks.spawn(self.calls.deadlines.run(), "the times of dialogs")
        if self.store is None:
            return
        match StoreMode(self.db_mode):
            case StoreMode.REALTIME:
                tasks.spawn(self.store.mirror.run(), "the writing of dialogs")
            case StoreMode.DELAYED:
                tasks.every(self.db_update_period, self.store.mirror.flush_if_it_can, "the writing of dialogs")
            case StoreMode.SHUTDOWN | StoreMode.NONE:
                pass

    async def stop(self) -> None:
        if self.store is not None:
            await self.store.close()


def _wrong(name: str, value: int | str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"'{name}' is {value!r}, {expected}", parameter=name)


class OfferedDialogs:
    """What other modules see of `dialog`."""

    def __init__(self, module: DialogModule) -> None:
        self._module = module

    @property
    def parameter(self) -> str:
        return self._module.rr_param

    def match(self, run: Run, mode: MatchMode, did: str | None = None) -> bool:
        return self._module.tracking.match(run, mode, did)

    def current(self, run: Run) -> Dialog | None:
        here = self._module.tracking.here(run)
        return None if here is None else here.dialog

    def direction(self, run: Run) -> Direction | None:
        return self._module.tracking.direction(run)

    def number_again(self, run: Run) -> int | None:
        here = self._module.tracking.here(run)
        if here is None or not isinstance(run.message, Message):
            return None
        return self._module.tracking.numbers.again(run.message, here)

    def create(self, run: Run) -> Dialog | None:
        return self._module.tracking.begin(run)

    def watch(self, watcher: StateWatcher) -> None:
        self._module.calls.watchers.append(watcher)

    def watch_requests(self, watcher: RequestWatcher) -> None:
        self._module.tracking.watchers.append(watcher)

    def keep_with(self, name: str, part: DialogPart) -> None:
        self._module.parts[name] = part

    def terminate(self, dialog: Dialog, reason: str, extra_headers: str = "") -> bool:
        return self._module.requests.terminate(dialog, reason, extra_headers)
