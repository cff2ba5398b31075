"""mi() and cache functions of a script with an engine that answers later."""

from __future__ import annotations

import asyncio

import pytest

from miscript.host.host import Host
from miscript.host.loading import Source


class Remote:
    """An engine behind a network."""

    def __init__(self):
        self.values = {}

    async def store(self, key, value, expires):
        await asyncio.sleep(0)
        self.values[key] = value

    async def fetch(self, key):
        await asyncio.sleep(0)
        return self.values.get(key)


@pytest.mark.parametrize("command", ['"cache_fetch remote k"', "$var(command)"])
def test_mi_waits_for_an_engine_that_answers_later(command):
    script = f"""
    loadmodule "mi_script.so"
    startup_route {{
        $var(command) = "cache_fetch remote k";
        mi({command}, $var(r)); xlog("$rc [$var(r)]\\n");
        mi("cache_store remote k v"); xlog("$rc\\n");
        mi({command}, $var(r)); xlog("$rc [$var(r)]\\n");
        cache_fetch("remote", "k", $var(v)); xlog("$rc $var(v)\\n");
    }}
    """
    written = []

    async def run():
        host = Host(Source("test.cfg", script), written.append)
        host.services.provide("cachedb:remote", Remote())
        host.load()
        await host.start()
        await host.stop()

    asyncio.run(run())
    assert "".join(written).splitlines() == [
        "-400 [Value not found]",
        "1",
        '1 [{"key":"k","value":"v"}]',
        "1 v",
    ]
