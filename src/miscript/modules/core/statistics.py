"""The core's own statistics, and the MI commands that read and reset all of them.

Groups and names are those of OpenSIPS, so that what watches a server finds them.  Those that mean nothing here (the
core's message counters until SIP is there, shared memory's fragments) are 0.  Memory is that of the whole host.

Source: OpenSIPS manual, "Statistics" and "Management Interface"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from ...errors import MIError
from ...exports import mi_command
from ...services import Counter, Services
from .part import CorePart
from .processor_use import ProcessorUse

OK: Final = "OK"
ALL: Final = "all"

PLAIN_COUNTERS: Final[dict[str, tuple[str, ...]]] = {
    "core": (
        "rcv_requests",
        "rcv_replies",
        "fwd_requests",
        "fwd_replies",
        "drop_requests",
        "drop_replies",
        "err_requests",
        "err_replies",
        "bad_URIs_rcvd",
        "bad_msg_hdr",
        "slow_messages",
    ),
    "dns": ("dns_total_queries", "dns_slow_queries"),
    "sql": ("sql_total_queries", "sql_slow_queries"),
    "cdb": ("cdb_total_queries", "cdb_slow_queries"),
}
"""Group → what others count up."""


class CoreStatistics(CorePart):
    """The group `statistics` of the Management Interface."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._register_readings()

    # -- what the core itself has to tell -------------------------------------------------------------------------

    def _register_readings(self) -> None:
        """Make all statistics of the core, in the server's order of groups."""
        clock = self.services.clock
        use = ProcessorUse(clock.monotonic)
        self._readings("shmem", _MEMORY)
        self._readings("rpmem", dict.fromkeys((f"rpm_{name}" for name in _RESTART_MEMORY), _nothing))
        self._plain("core")
        self._readings("core", {"timestamp": lambda: int(clock.time() - self.services.started)})
        self._readings("net", dict.fromkeys(("waiting_udp", "waiting_tcp", "waiting_tls"), _nothing))
        for group in ("dns", "sql", "cdb"):
            self._plain(group)
        loads = {f"load{name}": lambda seconds=seconds: use.percent(seconds) for name, seconds in _PERIODS.items()}
        self._readings("load", loads | {f"{name}-all": read for name, read in loads.items()})
        self._readings("load", {"processes_number": lambda: len(self.services.processes)})

    def _plain(self, group: str) -> None:
        for name in PLAIN_COUNTERS[group]:
            self.services.statistics.register(group, name)

    def _readings(self, group: str, readings: dict[str, Callable[[], int]]) -> None:
        for name, read in readings.items():
            self.services.statistics.register(group, name, resettable=False, read=read)

    # -- commands -------------------------------------------------------------------------------------------------

    @mi_command("get", "statistics", aliases=["get_statistics"], module="statistics", read_only=True)
    def mi_get_statistics(self, statistics: list[str]) -> object:
        """tells the values of statistics: names, `group:` for a whole group, `all`"""
        found = {full_name(counter): counter.value for counter, _ in self._asked_for(statistics, ALL)}
        if not found:
            raise _not_found()
        return found

    @mi_command("list", "", "statistics", aliases=["list_statistics"], module="statistics", read_only=True)
    def mi_list_statistics(self, statistics: list[str] | None = None) -> object:
        """lists statistics and whether they can be reset: names, `group:` for a whole group, without any all"""
        if statistics is None:
            return {full_name(counter): _kind(counter) for counter in self.services.statistics.all()}
        found = {
            full_name(counter) if by_group else counter.name: _kind(counter)
            for counter, by_group in self._asked_for(statistics)
        }
        if not found:
            raise _not_found()
        return found

    @mi_command("reset", "statistics", aliases=["reset_statistics"], module="statistics")
    def mi_reset_statistics(self, statistics: list[str]) -> object:
        """sets statistics to 0, by their names; those that cannot be reset stay as they are"""
        found = [counter for name in statistics if (counter := self._named(name)) is not None]
        if not found:
            raise _not_found()
        _reset(found)
        return OK

    @mi_command("reset_all", aliases=["reset_all_statistics"], module="statistics")
    def mi_reset_all_statistics(self) -> object:
        """sets all statistics to 0 that can be reset"""
        _reset(self.services.statistics.all())
        return OK

    def _asked_for(self, names: Iterable[str], everything: str | None = None) -> Iterator[tuple[Counter, bool]]:
        """The statistics that `names` mean, and whether each was named by its group; unknown names are left out."""
        counters = self.services.statistics
        for name in names:
            if name == everything:
                yield from ((counter, True) for counter in counters.all())
            elif name.endswith(":"):
                yield from ((counter, True) for counter in counters.group(name[:-1]))
            elif (counter := self._named(name)) is not None:
                yield counter, False

    def _named(self, name: str) -> Counter | None:
        """The statistic of that name, not one of a group: a colon is part of the name, as in a script's own."""
        counter = self.services.statistics.find(name)
        return counter if counter is not None and counter.name == name else None


def full_name(counter: Counter) -> str:
    """`group:name`."""
    return f"{counter.group}:{counter.name}"


def _kind(counter: Counter) -> str:
    return "incremental" if counter.resettable else "non-incremental"


def _reset(counters: Iterable[Counter]) -> None:
    for counter in counters:
        if counter.resettable:
            counter.reset()


def _not_found() -> MIError:
    return MIError(404, "Statistics Not Found")


# -- readings ------------------------------------------------------------------------------------------------------


def _nothing() -> int:
    return 0


def _page_count(name: str) -> int:
    """Bytes of physical memory that the system counts under `name`; 0 where it does not tell."""
    try:
        return os.sysconf(name) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError):
        return 0


def _resident() -> int:
    """Bytes of memory that the host holds now; where the system does not tell, the most it has held."""
    try:
        with open("/proc/self/statm", "rb") as file:
            return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return _most_resident()


def _most_resident() -> int:
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


_MEMORY: Final[dict[str, Callable[[], int]]] = {
    "total_size": lambda: _page_count("SC_PHYS_PAGES"),
    "max_used_size": _most_resident,
    "free_size": lambda: _page_count("SC_AVPHYS_PAGES"),
    "used_size": _resident,
    "real_used_size": _resident,
    "fragments": _nothing,
}
_RESTART_MEMORY: Final = ("total_size", "used_size", "real_used_size", "fragments", "max_used_size", "free_size")
_PERIODS: Final = {"": 1.0, "1m": 60.0, "10m": 600.0}
"""Suffix of a `load` statistic → the seconds that it looks back."""
