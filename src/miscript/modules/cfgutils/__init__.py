"""Chance, locks, pauses, shared variables and times for scripts.

`sleep`, `usleep` and the locks suspend the route that calls them, never the host.  `abort()` ends the run and writes
to the log; the host goes on.  Source: OpenSIPS manual, module cfgutils.
"""

from __future__ import annotations

import hashlib
import logging
import os
import random
import re
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from ...errors import ConfigurationError, MIError
from ...exports import Constant, Module, Writable, async_function, mi_command, parameter, script_function, variable
from ...mi.parameters import Raw, integer_reader, text_reader
from ...script.access import AvpAccess, SimpleAccess, join
from ...script.nodes import Index, Template
from ...script.runtime import Run
from ...script.signatures import Binder, VariableAccess
from ...services import Services
from ...values import INT_MAX, Value, text_of, wrap
from .locks import AlreadyHeld, Locks
from .shared_variables import SharedVariables

log = logging.getLogger("miscript.cfgutils")

NOT_ERROR_ROUTE = "request failure reply branch local startup timer event"
MICROSECONDS = 1_000_000
LARGEST_BUCKETS = 65536

Avp = Annotated[VariableAccess, "avp"]

_SETTING = re.compile(r"(?P<name>[^=]+)=(?P<type>[sSiI]):(?P<value>.*)", re.DOTALL)
_INTEGER = re.compile(r"[+-]?[0-9]{1,10}")

_CLOCK = {
    "sec": lambda now: now.tm_sec,
    "min": lambda now: now.tm_min,
    "hour": lambda now: now.tm_hour,
    "mday": lambda now: now.tm_mday,
    "mon": lambda now: now.tm_mon,
    "year": lambda now: now.tm_year,
    "wday": lambda now: (now.tm_wday + 1) % 7 + 1,
    "yday": lambda now: now.tm_yday,
    "isdst": lambda now: now.tm_isdst,
}
"""What `$ctime` knows; Sunday is weekday 1."""


def read_setting(text: str, parameter: str) -> tuple[str, int | str]:
    """Name and value of `name=s:text` or `name=i:number`.  Raises ConfigurationError naming the parameter."""
    found = _SETTING.fullmatch(text)
    if found is None:
        raise ConfigurationError(f"'{text}' is not 'name=s:text' or 'name=i:number'", parameter=parameter)
    if found["type"] in "sS":
        return found["name"], found["value"]
    if not _INTEGER.fullmatch(found["value"]):
        raise ConfigurationError(f"'{found['value']}' of '{found['name']}' is no number", parameter=parameter)
    return found["name"], wrap(int(found["value"]))


class CfgUtils(Module):
    """Chance, locks, pauses, shared variables and times for scripts."""

    name = "cfgutils"

    initial_probability = parameter(10, "Probability in percent that `rand_event()` starts with.")
    hash_file: str | None = parameter(
        None, "File whose MD5 is kept at startup, for `check_config_hash`.", kinds="string"
    )
    shv_hash_size = parameter(64, "Decides the order in which `shv_get` lists the variables.")
    lock_pool_size = parameter(32, "Accepted; here each dynamic lock is one of its own and no pool is needed.")
    shvset: list[str] = parameter([], "`name=i:number` or `name=s:text`: a `$shv` to start with.", repeatable=True)
    varset: list[str] = parameter([], "`name=i:number` or `name=s:text`: a `$var` to start with.", repeatable=True)

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.shared = SharedVariables()
        self.static_locks = Locks()
        self.dynamic_locks = Locks()
        self.probability = 10
        self.file_hash: str | None = None
        self.chance = random.Random()

    def init(self) -> None:
        self.probability = self.initial_probability
        if self.probability > 100:
            raise ConfigurationError(f"{self.probability} is more than 100 percent", parameter="initial_probability")
        if self.lock_pool_size < 1:
            raise ConfigurationError(f"expected at least 1, found {self.lock_pool_size}", parameter="lock_pool_size")
        if not 0 < self.shv_hash_size <= LARGEST_BUCKETS:
            raise ConfigurationError(f"expected a number up to {LARGEST_BUCKETS}", parameter="shv_hash_size")
        self.shared.buckets = self.shv_hash_size
        for text in self.shvset:
            name, value = read_setting(text, "shvset")
            self.shared.variable(name).value = value
        self.services.provide("preset:var", dict(read_setting(text, "varset") for text in self.varset))
        if self.hash_file is not None:
            self.file_hash = self._hash_of_file()
            if self.file_hash is None:
                raise ConfigurationError(f"'{self.hash_file}' cannot be read", parameter="hash_file")

    # -- chance -------------------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    def rand_event(self, run: Run, probability: int | None = None) -> int:
        """True with a probability in percent: the one given, or the one that `rand_set_prob` set."""
        wanted = self.probability if probability is None else probability
        return 1 if self.chance.random() * 100 < wanted else -1

    @script_function(routes=NOT_ERROR_ROUTE)
    def rand_set_prob(self, run: Run, probability: int) -> int:
        """Set the probability of `rand_event()` in percent."""
        self.probability = probability
        return 1

    @script_function(routes=NOT_ERROR_ROUTE)
    def rand_reset_prob(self, run: Run) -> int:
        """Set the probability of `rand_event()` back to `initial_probability`."""
        self.probability = self.initial_probability
        return 1

    @script_function(routes=NOT_ERROR_ROUTE)
    def rand_get_prob(self, run: Run) -> int:
        """The probability of `rand_event()` as return code; 0 ends the script, as any function's 0 does."""
        return self.probability

    @mi_command("rand_set_prob", "prob_proc")
    def mi_set_probability(self, prob_proc: int) -> object:
        """Set the probability in percent."""
        if prob_proc > 100:
            raise MIError(400, "Bad parameter value")
        self.probability = prob_proc
        return "OK"

    @mi_command("rand_reset_prob")
    def mi_reset_probability(self) -> object:
        """Set the probability back to what the script's file says."""
        self.probability = self.initial_probability
        return "OK"

    @mi_command("rand_get_prob", read_only=True)
    def mi_get_probability(self) -> object:
        """The probability in percent."""
        return {"actual probability percent": self.probability}

    @variable("RANDOM")
    def random_number(self, run: Run) -> Value:
        """A random number from 0 to 2147483647."""
        return self.chance.randint(0, INT_MAX)

    # -- pauses ---------------------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    async def sleep(self, run: Run, seconds: int) -> int:
        """Let the route wait; everything else goes on."""
        return await self._pause(seconds, "seconds", 1)

    @script_function(routes=NOT_ERROR_ROUTE)
    async def usleep(self, run: Run, microseconds: int) -> int:
        """Let the route wait for microseconds; everything else goes on."""
        return await self._pause(microseconds, "microseconds", MICROSECONDS)

    @async_function(name="sleep")
    async def sleep_beside(self, run: Run, seconds: int) -> int:
        """Go on with the resume route after some seconds."""
        return await self._pause(seconds, "seconds", 1)

    @async_function(name="usleep")
    async def usleep_beside(self, run: Run, microseconds: int) -> int:
        """Go on with the resume route after some microseconds."""
        return await self._pause(microseconds, "microseconds", MICROSECONDS)

    async def _pause(self, amount: int, unit: str, divisor: int) -> int:
        if amount < 0:
            log.error("%d %s cannot be waited for", amount, unit)
            return -1
        await self.services.clock.sleep(amount / divisor)
        return 1

    # -- locks ----------------------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    async def get_static_lock(self, run: Run, key: Constant[str]) -> int:
        """Wait for the lock of that name; it is given back at the latest when the run ends.

        -1 when the run has it already, which in the server is a deadlock.
        """
        return await self._acquire(self.static_locks, key, run)

    @script_function(routes=NOT_ERROR_ROUTE)
    def release_static_lock(self, run: Run, key: Constant[str]) -> int:
        """Give a lock back; nothing happens when it is free, -1 when another run holds it."""
        return self._release(self.static_locks, key, run)

    @script_function(routes=NOT_ERROR_ROUTE)
    async def get_dynamic_lock(self, run: Run, key: str) -> int:
        """Wait for the lock of a name that is known only now, as `get_static_lock` does."""
        return await self._acquire(self.dynamic_locks, key, run)

    @script_function(routes=NOT_ERROR_ROUTE)
    def release_dynamic_lock(self, run: Run, key: str) -> int:
        """Give a dynamic lock back."""
        return self._release(self.dynamic_locks, key, run)

    @script_function(routes=NOT_ERROR_ROUTE)
    def strings_share_lock(self, run: Run, key1: str, key2: str | None = None) -> int:
        """Whether two names have one dynamic lock: here only equal ones do, there is no pool to share.

        The server's tables take one argument by mistake; its manual has two.
        """
        if key2 is None:
            log.error("strings_share_lock() compares two names, one was given")
            return -1
        return 1 if key1 == key2 else -1

    async def _acquire(self, locks: Locks, name: str, run: Run) -> int:
        try:
            await locks.acquire(name, run)
        except AlreadyHeld:
            log.error("the lock '%s' is held by this very run: waiting for it would never end", name)
            return -1
        return 1

    def _release(self, locks: Locks, name: str, run: Run) -> int:
        if locks.release(name, run):
            return 1
        log.error("the lock '%s' is held by another run and stays held", name)
        return -1

    # -- what AVPs hold -------------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    def set_count(self, run: Run, counted: VariableAccess, result: Writable) -> int:
        """Count the values of a variable."""
        return 1 if result.set(run, len(_all_values(counted, run))) else -1

    @script_function(routes=NOT_ERROR_ROUTE)
    def set_select_weight(self, run: Run, weights: VariableAccess) -> int:
        """Draw one of the values, each with a chance like its own size; the return code is its index, 0 the newest.

        As in the server, the index 0 ends the script.  -1 when there is nothing to draw from.
        """
        found = _all_values(weights, run)
        values = [value for value in found if isinstance(value, int) and value >= 0]
        if len(values) != len(found) or not sum(values):
            log.error("set_select_weight() wants numbers that are not negative, and one above 0")
            return -1
        return self.chance.choices(range(len(values)), weights=values)[0]

    @script_function()
    def shuffle_avps(self, run: Run, avp: Avp) -> int:
        """Put the values of an AVP into random order."""
        if isinstance(avp, AvpAccess):
            self.chance.shuffle(avp.all(run))
        return 1

    # -- time -----------------------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    def get_accurate_time(
        self, run: Run, seconds: Writable, microseconds: Writable, text: Writable | None = None
    ) -> int:
        """The time since the epoch as seconds and microseconds, and as text with both."""
        now, fraction = divmod(round(self.services.clock.time() * MICROSECONDS), MICROSECONDS)
        done = seconds.set(run, wrap(now)) and microseconds.set(run, fraction)
        return 1 if done and (text is None or text.set(run, f"{now}.{fraction:06d}")) else -1

    @script_function(routes=NOT_ERROR_ROUTE)
    def ts_usec_delta(
        self,
        run: Run,
        t1_sec: int,
        t1_usec: int,
        t2_sec: int,
        t2_usec: int,
        delta_text: Writable | None = None,
        delta_number: Writable | None = None,
    ) -> int:
        """The difference of two times in microseconds, never negative, as text and as number.

        -1 when the number is too large for 32 bits, about 35 minutes.
        """
        delta = abs((t1_sec - t2_sec) * MICROSECONDS + t1_usec - t2_usec)
        if delta_text is not None and not delta_text.set(run, str(delta)):
            return -1
        if delta_number is None:
            return 1
        if delta > INT_MAX:
            log.error("%d microseconds are more than a number holds, take the text", delta)
            return -1
        return 1 if delta_number.set(run, delta) else -1

    @script_function()
    def check_time_rec(self, run: Run, recurrence: str, timestamp: int = 0) -> int:
        """Whether now, or `timestamp`, lies in a time recurrence: 1, else -1, or -2 when it cannot be read."""
        if not recurrence.strip():
            return -1
        from ...time_recurrence import TimeRecurrenceError, parse_time_recurrence

        try:
            condition = parse_time_recurrence(recurrence)
        except TimeRecurrenceError as error:
            log.error("check_time_rec: %s", error)
            return -2
        return 1 if condition.matches(timestamp if timestamp > 0 else self.services.clock.time()) else -1

    @variable("ctime", inner="optional", binds=True)
    def clock_time(self, inner: Template | None, index: Index | None, binder: Binder) -> VariableAccess:
        """A part of the local time: sec (also without a name), min, hour, mday, mon (from 1), year, wday (Sunday is 1),
        yday, isdst.
        """
        part = _CLOCK.get("sec" if inner is None else inner.constant or "")
        if part is None:
            raise ValueError(f"$ctime knows {', '.join(_CLOCK)}")
        return SimpleAccess(lambda run: part(time.localtime(self.services.clock.time())))

    # -- debugging ------------------------------------------------------------------------------------------------

    @script_function(routes=NOT_ERROR_ROUTE)
    def abort(self, run: Run) -> int:
        """End the run, with a line in the log; the host goes on, where the server would die."""
        log.critical("abort() in %s: the run ends here", run.route)
        return run.stop()

    @script_function(routes=NOT_ERROR_ROUTE)
    def pkg_status(self, run: Run) -> int:
        """Write the memory in use to the log."""
        return self._memory_status()

    @script_function(routes=NOT_ERROR_ROUTE)
    def shm_status(self, run: Run) -> int:
        """Write the memory in use to the log; there is one memory for everything."""
        return self._memory_status()

    def _memory_status(self) -> int:
        import resource  # only POSIX has it

        log.warning("memory: at most %d kB so far", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
        return 1

    # -- variables --------------------------------------------------------------------------------------------------

    @variable("env", inner="optional")
    def environment(self, run: Run, inner: str | None) -> Value:
        """A variable of the environment; NULL when it is not set, or no name is given."""
        return None if inner is None else os.environ.get(inner)

    @variable("shv", inner="required", binds=True)
    def shared_variable(self, inner: Template | None, index: Index | None, binder: Binder) -> VariableAccess:
        """A variable that all routes share; 0 until it is written."""
        if inner is None:
            raise ValueError("$shv wants a name, as in $shv(calls)")
        name = inner.constant
        return self.shared.access(join(binder.template_pieces(inner)) if name is None else name)

    @mi_command("shv_set", "name type value")
    def mi_shared_set(self, name: str, type: str, value: Raw) -> object:
        """Set a shared variable; a type that begins with `s` is text, any other a number."""
        if not type:
            raise MIError(500, "type not found")
        read = text_reader("value") if type[0] in "sS" else integer_reader("value")
        found = read(value)
        assert isinstance(found, int | str)
        self.shared.variable(name).value = found
        return "OK"

    @mi_command("shv_get", "", "name", read_only=True)
    def mi_shared_get(self, name: str | None = None) -> object:
        """One shared variable, or the list of all of them (inside another list, as the server has it)."""
        if name is None:
            return [[{"name": variable.name, **_typed(variable.value)} for variable in self.shared]]
        found = self.shared.find(name)
        if found is None:
            raise MIError(404, "Not found")
        return {"VAR": _typed(found.value)}

    # -- the hash of a file -----------------------------------------------------------------------------------------

    @mi_command("get_config_hash", read_only=True)
    def mi_get_hash(self) -> object:
        """The MD5 of `hash_file` as it was at startup."""
        if self.file_hash is None:
            raise MIError(404, "Functionality disabled")
        return self.file_hash

    @mi_command("check_config_hash", read_only=True)
    def mi_check_hash(self) -> object:
        """Whether `hash_file` is still what it was at startup."""
        if self.mi_get_hash() != self._hash_of_file():
            raise MIError(400, "The actual config file hash is not identical to the stored one.")
        return "The actual config file hash is identical to the stored one."

    def _hash_of_file(self) -> str | None:
        """The MD5 (to find changes, not attacks), or None when the file cannot be read."""
        try:
            return hashlib.md5(Path(self.hash_file or "").read_bytes(), usedforsecurity=False).hexdigest()
        except OSError as error:
            log.error("'%s' cannot be read: %s", self.hash_file, error.strerror)
            return None


def _all_values(variable: VariableAccess, run: Run) -> Sequence[Value]:
    """All values of a variable, the newest first; those of an AVP also when it is written without an index."""
    return variable.all(run)[::-1] if isinstance(variable, AvpAccess) else variable.values(run)


def _typed(value: int | str) -> dict[str, Value]:
    return (
        {"type": "integer", "value": value} if isinstance(value, int) else {"type": "string", "value": text_of(value)}
    )
