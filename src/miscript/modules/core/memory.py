"""MI commands about memory: what OpenSIPS dumps of its allocators, here written to the log by the host's own means.

Source: OpenSIPS manual, "Management Interface", "Core MI functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import gc
import logging
from typing import Final

from ...errors import MIError
from ...exports import mi_command
from ...log_levels import LogLevel, python_level
from .part import CorePart

OK: Final = "OK"

log = logging.getLogger("miscript.memory")


class CoreMemory(CorePart):
    """The group `mem` of the Management Interface."""

    @mi_command("pkg_dump", "pid", "pid log_level", aliases=["mem_pkg_dump"], module="mem", read_first="log_level")
    def mi_pkg_dump(self, pid: int, log_level: int = LogLevel.DBG) -> object:
        """writes to the log how much memory a process holds"""
        if all(process.pid != pid for process in self.services.processes):
            raise MIError(404, "Process not found")
        self._dump(log_level)
        return OK

    @mi_command("shm_dump", "", "log_level", aliases=["mem_shm_dump"], module="mem")
    def mi_shm_dump(self, log_level: int = LogLevel.DBG) -> object:
        """writes to the log how much memory the host holds"""
        self._dump(log_level)
        return OK

    @mi_command("rpm_dump", "", "log_level", aliases=["mem_rpm_dump"], module="mem")
    def mi_rpm_dump(self, log_level: int = LogLevel.DBG) -> object:
        """does nothing: there is no memory that survives a restart"""
        return OK

    @mi_command("shm_check", aliases=["mem_shm_check"], module="mem", read_only=True, extra=True)
    def mi_shm_check(self) -> object:
        """looks for torn shared memory; there is none that could be"""
        return {"total_fragments": 0}

    def _dump(self, level: int) -> None:
        sizes = {counter.name: counter.value for counter in self.services.statistics.group("shmem")}
        log.log(
            python_level(level),
            "memory: %d bytes held, %d at most; %d objects that are collected in turns, %s collections by generation",
            sizes.get("real_used_size", 0),
            sizes.get("max_used_size", 0),
            len(gc.get_objects()),
            [generation["collections"] for generation in gc.get_stats()],
        )
