"""The cache's functions and commands, with an engine in memory and with one that answers later."""

from __future__ import annotations

import asyncio

import pytest

from core_parts import CoreHost, a_run
from miscript.cachedb import CacheError
from miscript.mi.command import Later
from miscript.script.access import VarAccess


class Memory:
    """An engine that answers at once."""

    def __init__(self):
        self.values = {}
        self.asked = 0

    def store(self, key, value, expires):
        self.values[key] = value

    def fetch(self, key):
        self.asked += 1
        return self.values.get(key)

    def remove(self, key):
        self.values.pop(key, None)

    def add(self, key, amount, expires):
        total = (self.counter(key) or 0) + amount
        self.values[key] = str(total)
        return total

    def counter(self, key):
        value = self.values.get(key)
        if value is None:
            return None
        try:
            return int(value)
        except ValueError:
            raise CacheError(f"'{value}' is no number") from None


class Remote:
    """The same engine behind a network."""

    def __init__(self):
        self.memory = Memory()
        self.values = self.memory.values

    def __getattr__(self, name):
        plain = getattr(self.memory, name)

        async def later(*arguments):
            await asyncio.sleep(0)
            return plain(*arguments)

        return later


@pytest.fixture(params=[Memory, Remote])
def host(request):
    host = CoreHost()
    host.engine = request.param()
    host.services.provide("cachedb:local", host.engine)
    return host


def outcome(code):
    """A return code, awaited where the function waits."""
    if isinstance(code, int):
        return code

    async def wait():
        return await code

    return asyncio.run(wait())


def test_a_value_is_stored_fetched_and_removed(host):
    assert host.mi("cache_store", ["local", "k", "v"]) == "OK"
    assert host.mi("cache:fetch", {"attr": "k", "system": "local"}) == {"key": "k", "value": "v"}
    assert host.mi("cache_remove", ["local", "k"]) == "OK"
    assert host.mi("cache_remove", ["local", "k"]) == "OK"
    assert host.mi("cache_fetch", ["local", "k"]) == (400, "Value not found")


@pytest.mark.parametrize(
    ("command", "params", "error"),
    [
        ("cache_store", ["", "k", "v"], (-32602, "Invalid params", "Empty memory cache id")),
        ("cache_store", ["local", "", "v"], (-32602, "Invalid params", "Empty attribute name")),
        ("cache_store", ["local", "k", ""], (-32602, "Invalid params", "Empty value")),
        ("cache_store", ["local", "k", "v", -1], (-32602, "Invalid params", "Negative expire value")),
        ("cache_store", ["redis", "k", "v"], (500, "Cache store command failed")),
        ("cache_fetch", ["", "k"], (-32602, "Invalid params", "Empty memory cache id")),
        ("cache_fetch", ["local", ""], (-32602, "Invalid params", "Empty attribute name")),
        ("cache_fetch", ["LOCAL", "k"], (500, "Cache fetch command failed")),
        ("cache_remove", ["local", ""], (-32602, "Invalid params", "Empty attribute name")),
        ("cache_remove", ["local:none", "k"], (500, "Cache remove command failed")),
    ],
)
def test_wrong_calls_are_refused(host, command, params, error):
    assert host.mi(command, params) == error


def test_script_functions_store_fetch_and_remove(host):
    run, result = a_run(), VarAccess(0)
    core = host.core
    assert outcome(core.cache_store(run, "local", "k", "v")) == 1
    assert outcome(core.cache_fetch(run, "local", "k", result)) == 1
    assert result.get(run) == "v"
    assert outcome(core.cache_fetch(run, "local", "missing", result)) == -2
    assert result.get(run) == "v"
    assert outcome(core.cache_remove(run, "local", "k")) == 1
    assert outcome(core.cache_fetch(run, "local", "k", result)) == -2


def test_script_functions_count(host):
    run, result = a_run(), VarAccess(0)
    core = host.core
    assert outcome(core.cache_add(run, "local", "n", 5, 100, result)) == 1
    assert result.get(run) == 5
    assert outcome(core.cache_sub(run, "local", "n", 2, 100, result)) == 1
    assert result.get(run) == 3
    assert outcome(core.cache_add(run, "local", "n", 1, 0)) == 1
    assert outcome(core.cache_counter_fetch(run, "local", "n", result)) == 1
    assert result.get(run) == 4
    assert outcome(core.cache_counter_fetch(run, "local", "missing", result)) == -2


def test_what_the_engine_cannot_do_is_a_failed_call(host):
    run, result = a_run(), VarAccess(0)
    host.engine.values["k"] = "text"
    assert outcome(host.core.cache_add(run, "local", "k", 1, 0, result)) == -1
    assert outcome(host.core.cache_counter_fetch(run, "local", "k", result)) == -1
    assert outcome(host.core.cache_store(run, "nosuch", "k", "v")) == -1
    assert host.engine.values["k"] == "text"
    assert outcome(host.core.cache_store(run, "local", "", "v")) == -1


def test_an_engine_in_memory_makes_nobody_wait():
    host = CoreHost()
    engine = Memory()
    host.services.provide("cachedb:local", engine)
    engine.values["k"] = "v"
    assert host.registry.bind("cache_fetch", ["local", "k"]).run() == {"key": "k", "value": "v"}
    assert host.core.cache_store(a_run(), "local", "k", "w") == 1
    assert engine.asked == 1


def test_a_call_that_waits_is_counted_when_it_ends():
    host = CoreHost()
    host.services.provide("cachedb:local", Remote())
    bound = host.registry.bind("cache_fetch", ["local", "k"])
    later = bound.run()
    assert isinstance(later, Later)
    assert bound.command.counters.calls == 0

    async def wait():
        return await later

    with pytest.raises(Exception, match="Value not found"):
        asyncio.run(wait())
    assert bound.command.counters.failed == {400: 1}
