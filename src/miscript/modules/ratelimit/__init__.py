"""Module ratelimit: how often something may happen, by a name that the script gives it.

The first `rl_check()` of a name makes its pipe.  Counters start again each `timer_interval`; pipes that nobody asks
for any more are dropped after `expire_time`.

Not here yet: sharing pipes with other hosts, by a cache or a cluster; the suffixes `/s`, `/r` and `/b` of names are
accepted and mean nothing.

Source: OpenSIPS manual, module ratelimit; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Iterable
from fnmatch import translate
from typing import Final

from ...errors import ConfigurationError, MIError
from ...exports import Module, Pattern, Writable, mi_command, parameter, script_function, variable
from ...script.runtime import Run
from ...services import Services
from ...values import Value, encode
from .machine import Processor, network_backlog
from .pipes import Algorithm, Controller, Load, Pipe, Settings

__all__ = ["RateLimit"]

log = logging.getLogger("miscript.ratelimit")

ROUTES = "request failure reply branch error local timer event"
MAX_PIPES: Final = 100_000
"""Pipes at a time: scripts make their names of what the network sends."""

MAX_NAME: Final = 512
MAX_FILTER: Final = 256
_SHARED = re.compile(r"/[srb]\Z")


class RateLimit(Module):
    """How often something may happen."""

    name = "ratelimit"

    timer_interval = parameter(10, "Seconds from one start of all counters to the next.")
    limit_per_interval = parameter(0, "1: limits of TAILDROP and RED are for an interval; 0: for a second.")
    expire_time = parameter(3600, "Seconds after which a pipe that nobody asks for is dropped.")
    hash_size = parameter(1024, "Has no effect here.")
    default_algorithm = parameter("TAILDROP", "Algorithm of pipes whose call names none.")
    window_size = parameter(10, "Seconds that SBT looks back.")
    slot_period = parameter(200, "Milliseconds of one slot of SBT.")
    cachedb_url = parameter("", "Sharing by a cache; not available.")
    db_prefix = parameter("rl_pipe_", "Sharing by a cache; it means nothing here.")
    repl_buffer_threshold = parameter(32767, "Sharing in a cluster; it means nothing here.")
    repl_timer_interval = parameter(200, "Sharing in a cluster; it means nothing here.")
    repl_timer_expire = parameter(10, "Sharing in a cluster; it means nothing here.")
    pipe_replication_cluster = parameter(0, "Sharing in a cluster; not available, must be 0.")
    bridge_replication = parameter(0, "Sharing in a cluster; it means nothing here.")
    bridge_repl_timer_interval = parameter(500, "Sharing in a cluster; it means nothing here.")
    bridge_repl_timer_expire = parameter(20, "Sharing in a cluster; it means nothing here.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.pipes: dict[str, Pipe] = {}
        self.load = Load()
        self.controller = Controller()
        self._settings = Settings()
        self._default = Algorithm.TAILDROP
        self._wanted = 0.0
        self._processor: Processor | None = None

    def init(self) -> None:
        if self.pipe_replication_cluster > 0:
            raise ConfigurationError("sharing in a cluster is not available", parameter="pipe_replication_cluster")
        if self.cachedb_url not in ("", "disabled"):
            raise ConfigurationError("sharing by a cache is not available", parameter="cachedb_url")
        for name in ("timer_interval", "expire_time", "window_size", "slot_period"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive", parameter=name)
        slots = self.window_size * 1000 // self.slot_period
        if not 0 < slots <= 10_000:
            raise ConfigurationError("window_size must have 1 to 10,000 slots of slot_period", parameter="slot_period")
        algorithm = _algorithm(self.default_algorithm)
        if algorithm is None:
            raise ConfigurationError(
                f"unknown algorithm '{self.default_algorithm}', expected one of {', '.join(Algorithm.__members__)}",
                parameter="default_algorithm",
            )
        self._default = algorithm
        self._settings = Settings(self.timer_interval, bool(self.limit_per_interval), slots, self.slot_period / 1000)

    async def start(self) -> None:
        self.services.tasks.every(self.timer_interval, self._tick, "the intervals of ratelimit")

    def _now(self) -> float:
        return self.services.clock.monotonic()

    def _tick(self) -> None:
        """An interval ends: counters start again, loads are measured, unused pipes go."""
        now = self._now()
        for name in [pipe.name for pipe in self.pipes.values() if now - pipe.used > self.expire_time]:
            del self.pipes[name]
        algorithms = {pipe.algorithm for pipe in self.pipes.values()}
        for pipe in self.pipes.values():
            pipe.tick()
        if Algorithm.NETWORK in algorithms:
            self.load.waiting_bytes = network_backlog()
        if Algorithm.FEEDBACK in algorithms and self._processor is not None:
            self.load.drop_rate = self.controller.drop_rate(self._wanted, self._processor.busy())

    # -- functions ------------------------------------------------------------------------------------------------

    @script_function(routes=ROUTES)
    def rl_check(self, run: Run, name: str, limit: int, algorithm: str | None = None) -> int:
        """Count one more for a name and tell whether it is within the limit: 1 or -1.

        Algorithms: TAILDROP (so many a second, measured over an interval), RED (the same, spread evenly), SBT (so
        many in a window that moves), NETWORK (so many bytes waiting in sockets), FEEDBACK (so many percent of the
        processor).  A pipe keeps the algorithm that it was made with.
        """
        pipe = self._pipe(name, limit, algorithm)
        if pipe is None:
            return -1
        if pipe.algorithm is Algorithm.FEEDBACK:
            self._wanted = min(100, max(0, limit)) / 100
        return 1 if pipe.check(limit, self._now(), self.load) else -1

    def _pipe(self, name: str, limit: int, algorithm: str | None) -> Pipe | None:
        """The pipe of a name, made where it is new; None when no more are made."""
        key = _SHARED.sub("", name)
        found = self.pipes.get(key)
        if found is not None:
            return found
        if len(self.pipes) >= MAX_PIPES or len(encode(key)) > MAX_NAME:
            log.error("no pipe is made for '%.40s': there are %d, or its name is too long", key, len(self.pipes))
            return None
        chosen = self._default if algorithm is None else _algorithm(algorithm)
        if chosen is None:
            log.error("unknown algorithm '%s', %s is used", algorithm, self._default.value)
            chosen = self._default
        if chosen is Algorithm.FEEDBACK and self._processor is None:
            self._processor = Processor()
        pipe = self.pipes[key] = Pipe(key, chosen, limit, self._settings, used=self._now())
        return pipe

    def _known(self, function: str, name: str) -> Pipe | None:
        found = self.pipes.get(_SHARED.sub("", name))
        if found is None:
            log.error("%s: there is no pipe '%s'", function, name)
        return found

    @script_function(routes=ROUTES)
    def rl_dec_count(self, run: Run, name: str) -> int:
        """Count one less, for what was not let through; -1 when there is no such pipe."""
        pipe = self._known("rl_dec_count", name)
        if pipe is None:
            return -1
        pipe.take_back(self._now())
        return 1

    @script_function(routes=ROUTES)
    def rl_reset_count(self, run: Run, name: str) -> int:
        """Count from 0 again; -1 when there is no such pipe."""
        pipe = self._known("rl_reset_count", name)
        if pipe is None:
            return -1
        pipe.reset()
        return 1

    @script_function()
    def rl_values(self, run: Run, ret_avp: Writable, regexp: Pattern | None = None) -> int:
        """Add the names of all pipes, or of those that match, to an AVP."""
        for name in self.pipes:
            if regexp is None or regexp.search(encode(name)):
                ret_avp.set(run, name)
        return 1

    @variable("rl_count")
    def rl_count(self, run: Run, name: str) -> Value:
        """The number that a pipe has counted; NULL when there is no such pipe."""
        pipe = self.pipes.get(_SHARED.sub("", name))
        return None if pipe is None else pipe.count(self._now())

    # -- MI ---------------------------------------------------------------------------------------------------------

    @mi_command("list", "", "pipe", "filter", "filter_out", aliases=["rl_list"], read_only=True)
    def mi_list(
        self, pipe: str | None = None, filter: str | None = None, filter_out: str | None = None
    ) -> dict[str, object]:
        """tells all pipes, one, or those that a pattern with * and ? chooses or leaves out"""
        if pipe:
            found = self.pipes.get(pipe)
            if found is None:
                raise MIError(404, "Pipe Not Found")
            return {"Pipe": _listed(found), "drop_rate": self.load.drop_rate}
        chosen = self._chosen(filter, filter_out)
        return {"Pipes": [_listed(each) for each in chosen], "drop_rate": self.load.drop_rate}

    def _chosen(self, wanted: str | None, unwanted: str | None) -> Iterable[Pipe]:
        pattern = wanted if wanted is not None else unwanted
        if pattern is None:
            return self.pipes.values()
        if len(pattern) > MAX_FILTER:
            raise MIError(400, "Bad parameter value", f"a pattern has at most {MAX_FILTER} characters")
        matches = re.compile(translate(re.sub(r"\*+", "*", pattern))).match
        return [pipe for pipe in self.pipes.values() if (matches(pipe.name) is not None) is (wanted is not None)]

    @mi_command("dump_pipe", "pipe", aliases=["rl_dump_pipe"], read_only=True)
    def mi_dump_pipe(self, pipe: str) -> dict[str, object]:
        """tells all about a pipe, with the slots of SBT"""
        found = self.pipes.get(pipe)
        if found is None:
            raise MIError(404, "Pipe not found")
        count = found.count(self._now())
        shown: dict[str, object] = {}
        if found.window is not None:
            counts = found.window.counts
            shown["Window"] = {
                "Buckets": [{"Index": number, "Count": each} for number, each in enumerate(counts)],
                "Window Size": len(counts),
                "Status": "OK",
                "Bucket Total": found.window.total,
            }
        return shown | {
            "Pipe": found.name,
            "Algorithm": found.algorithm.value,
            "Counter": found.counter,
            "Replication Nodes": [],
            "Total": count,
        }

    @mi_command("reset_pipe", "pipe", aliases=["rl_reset_pipe"])
    def mi_reset_pipe(self, pipe: str) -> str:
        """counts a pipe from 0 again"""
        found = self.pipes.get(pipe)
        if found is None:
            raise MIError(500, "Internal error")
        found.reset()
        return "OK"

    @mi_command("set_pid", "ki kp kd", aliases=["rl_set_pid"])
    def mi_set_pid(self, ki: str, kp: str, kd: str) -> str:
        """sets the weights of the controller of FEEDBACK: sum of errors, error, its change"""
        try:
            numbers = [float(text) for text in (ki, kp, kd)]
        except ValueError as error:
            raise MIError(400, "Bad parameter value") from error
        if not all(math.isfinite(number) for number in numbers):
            raise MIError(400, "Bad parameter value")
        self.controller = Controller(*numbers)
        return "OK"

    @mi_command("get_pid", aliases=["rl_get_pid"], read_only=True)
    def mi_get_pid(self) -> dict[str, object]:
        """tells the weights of the controller of FEEDBACK"""
        own = self.controller
        return {"PID": {"ki": f"{own.ki:.3f}", "kp": f"{own.kp:.3f}", "kd": f"{own.kd:.3f}"}}


def _algorithm(name: str) -> Algorithm | None:
    try:
        return Algorithm(name.strip().upper())
    except ValueError:
        return None


def _listed(pipe: Pipe) -> dict[str, object]:
    """A pipe in a list; its number is that of the last whole interval."""
    return {"id": pipe.name, "algorithm": pipe.algorithm.value, "limit": pipe.limit, "counter": pipe.last_counter}
