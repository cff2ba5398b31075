"""MI commands of the core itself: names, processes, log levels, the end of the host.

They are declared in the order in which `which` shows them.
Source: OpenSIPS manual, "Management Interface", "Core MI functions"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import platform
import time
from functools import lru_cache
from typing import Final

from ...errors import MIError, ScriptError
from ...exports import mi_command
from ...log_levels import python_level
from ...mi.command import Raw
from ...mi.jsonrpc import invalid_params
from ...mi.origin import Origin
from ...mi.parameters import integer_or_none
from ...release import version
from ...services import Process, Services
from .log_consumers import LogConsumer, log_consumers
from .part import CorePart

OK: Final = "OK"
_NOT_GIVEN: Final = object()

log = logging.getLogger("miscript.core")


class CoreCommands(CorePart):
    """The group `core` of the Management Interface."""

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._profiling: dict[int, int] = {}
        self._consumers: dict[str, LogConsumer] | None = None

    # -- provisioning over HTTP, which miscript has not -----------------------------------------------------------

    @mi_command("pi_list", read_only=True)
    def mi_pi_list(self) -> object:
        """lists the tables of the provisioning interface; there is none here"""
        raise _no_provisioning()

    @mi_command("pi_reload")
    def mi_pi_reload(self) -> object:
        """reads the tables of the provisioning interface again; there is none here"""
        raise _no_provisioning()

    # -- about the host -------------------------------------------------------------------------------------------

    @mi_command("uptime", read_only=True)
    def mi_uptime(self) -> dict[str, str]:
        """tells the time, when the host was started and how long it runs"""
        now, started = self.services.clock.time(), self.services.started
        return {"Now": _ctime(int(now)), "Up since": _ctime(int(started)), "Up time": f"{int(now - started)} [sec]"}

    @mi_command("version", "", "revision", read_only=True)
    def mi_version(self, revision: Raw = _NOT_GIVEN) -> object:
        """tells name and version of the host; with any parameter also the revision it was built from"""
        server = {"Server": f"miscript ({version()} ({platform.machine()}/{platform.system().lower()}))"}
        return server if revision is _NOT_GIVEN else server | {"git": version().partition("+g")[2] or "unknown"}

    @mi_command("pwd", read_only=True)
    def mi_pwd(self) -> object:
        """prints the working directory of OpenSIPS"""
        return {"WD": self.services.working_folder}

    @mi_command("arg", read_only=True)
    def mi_arg(self) -> object:
        """lists the words of the command that started the host"""
        return self.services.command_line

    @mi_command("which", "", "command", read_only=True)
    def mi_which(self, command: str | None = None, origin: Origin | None = None) -> object:
        """lists all available MI commands"""
        # Clients at the doors take the words that they let people type from this list, so it has the old names too.
        return self.services.mi.which(command, old_names=origin is not None)

    @mi_command("ps", read_only=True)
    def mi_ps(self) -> object:
        """lists the groups of workers as processes; all have the PID of the host"""
        return {"Processes": [{"ID": p.number, "PID": p.pid, "Type": p.type} for p in self.services.processes]}

    @mi_command("kill")
    def mi_kill(self) -> object:
        """ends the host, after this answer"""
        log.warning("stopping: asked to by MI")
        self.services.stop()
        return OK

    # -- log levels -----------------------------------------------------------------------------------------------

    @mi_command("log_level", "", "level", "level pid", read_first="pid")
    def mi_log_level(self, level: int | None = None, pid: int | None = None) -> object:
        """shows the log level of each process, or sets that of all or of the process with a PID"""
        levels = self.services.levels
        if level is None:
            processes = self.services.processes
            return {"Processes": [{"PID": p.pid, "Log level": levels.log, "Type": p.type} for p in processes]}
        if pid == 0:  # means all of them
            pid = None
        if pid is not None:
            self._process_with_pid(pid)  # all processes are the host, so its level is that of all
        levels.log = level
        logging.getLogger("miscript").setLevel(python_level(level))
        return {"New global log level" if pid is None else "Log level": level}

    @mi_command("xlog_level", "", "level")
    def mi_xlog_level(self, level: int | None = None) -> object:
        """shows or sets the level up to which xlog prints"""
        levels = self.services.levels
        if level is None:
            return {"xLog Level": levels.xlog}
        levels.xlog = level
        return {"New xLog level": level}

    @mi_command("profiling_proc", "", "id", "pid", "level", "id level", "pid level")
    def mi_profiling_proc(self, id: Raw = None, pid: Raw = None, level: Raw = None) -> object:
        """shows or sets the profiling level of processes; it is kept, but nothing is profiled"""
        # As in the server, what is no integer counts as left out.
        found, wanted = self._processes(integer_or_none(id), integer_or_none(pid)), integer_or_none(level)
        if wanted is None:
            return {"Processes": [self._profile(process) for process in found]}
        self._profiling.update({process.number: wanted for process in found})
        return OK

    def _profile(self, process: Process) -> dict[str, object]:
        return {
            "ID": process.number,
            "PID": process.pid,
            "Profiling level": self._profiling.get(process.number, 0),
            "Type": process.type,
        }

    def _processes(self, number: int | None, pid: int | None) -> list[Process]:
        processes = self.services.processes
        if number is not None:
            processes = [process for process in processes if process.number == number]
            if not processes:
                raise invalid_params("Bad process ID")
        return processes if pid is None else self._process_with_pid(pid)

    def _process_with_pid(self, pid: int) -> list[Process]:
        found = [process for process in self.services.processes if process.pid == pid]
        if not found:
            raise invalid_params("Bad PID")
        return found

    # -- where the log goes ---------------------------------------------------------------------------------------

    @mi_command("log_level_filter", "consumer", "consumer level_filter")
    def mi_log_level_filter(self, consumer: str, level_filter: int | None = None) -> object:
        """shows or sets the level that a consumer of the log (stderror, syslog, event) takes at most; 0 for any"""
        found = self._consumer(consumer)
        if level_filter is None:
            return {"Log level filter": found.level_filter}
        found.level_filter = level_filter
        return OK

    @mi_command("log_mute_state", "consumer", "consumer mute_state")
    def mi_log_mute_state(self, consumer: str, mute_state: int | None = None) -> object:
        """shows or sets whether a consumer of the log (stderror, syslog, event) is silent"""
        found = self._consumer(consumer)
        if mute_state is None:
            return {"mute state": found.mute_state}
        found.mute_state = mute_state
        return OK

    def _consumer(self, name: str) -> LogConsumer:
        if self._consumers is None:
            self._consumers = log_consumers(self.services.parameters)
        found = self._consumers.get(name)
        if found is None:
            raise MIError(404, "Unknown log consumer")
        return found

    # -- the script -----------------------------------------------------------------------------------------------

    @mi_command("reload_routes")
    async def mi_reload_routes(self) -> object:
        """reads the routes of the script again; when it has a mistake the old ones stay"""
        try:
            await self.services.routes.reload()
        except ScriptError as error:
            found = [diagnostic.one_line() for diagnostic in error.diagnostics if diagnostic.severity == "error"]
            for line in found:
                log.error("reload_routes: %s", line)
            raise MIError(500, "reload failed", found[0] if found else None) from error
        return OK

    @mi_command("help", "", "mi_cmd", read_only=True)
    def mi_help(self, mi_cmd: str | None = None) -> object:
        """tells what a command does and which module has it"""
        if mi_cmd is None:
            return "Usage: help mi_cmd - returns information about 'mi_cmd'"
        return self.services.mi.help(mi_cmd)


@lru_cache(maxsize=8)
def _ctime(second: int) -> str:
    """The local time as `ctime` writes it; asking the C library takes longer than everything else in `uptime`."""
    return time.ctime(second)


def _no_provisioning() -> MIError:
    return MIError(503, "No PI transport is available")
