"""A reload of many rules never holds up other routes.

What is measured is processor time of the thread that all routes share, so that a loaded machine does not count; the
collector of garbage waits, as its pauses depend on what the whole test run holds.  `python -m benchmarks drouting`
does the same with 1,000,000 rules and with the collector.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import time
from pathlib import Path

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.modules.drouting import Drouting
from miscript.modules.drouting.rules import SPLIT_AT
from miscript.sip.message import dummy_message

RULES = SPLIT_AT * 4
LONGEST = 0.005
"""Seconds that a route may be held up."""

SCRIPT = """log_level=-1
loadmodule "db_sqlite.so"
loadmodule "drouting.so"
loadmodule "mi_script.so"
modparam("drouting", "db_url", "sqlite://{path}")
modparam("drouting", "persistent_state", 0)
modparam("drouting", "probing_interval", 0)
route {{ exit; }}
route[reload] {{ async(mi("dr_reload", $var(r)), after_reload); }}
route[after_reload] {{ xlog("$rc $var(r)\\n"); }}
route[call] {{ $ru = "sip:" + $param(1) + "@example.com"; do_routing(0); xlog("$rc $avp(___dr_gw_id__)\\n"); }}
"""


def make_database(path: Path, gateway: str) -> None:
    """Tables with a gateway, and rules for it that cover two groups."""
    with sqlite3.connect(path) as database:
        database.executescript("""
            DROP TABLE IF EXISTS version; DROP TABLE IF EXISTS dr_rules; DROP TABLE IF EXISTS dr_gateways;
            DROP TABLE IF EXISTS dr_carriers;
            CREATE TABLE version (table_name TEXT, table_version INTEGER);
            INSERT INTO version VALUES ('dr_gateways', 6), ('dr_carriers', 3), ('dr_groups', 2), ('dr_rules', 4);
            CREATE TABLE dr_gateways (id INTEGER, gwid TEXT, type INTEGER, address TEXT, strip INTEGER,
                pri_prefix TEXT, attrs TEXT, probe_mode INTEGER, socket TEXT, state INTEGER);
            CREATE TABLE dr_carriers (id INTEGER, carrierid TEXT, gwlist TEXT, flags INTEGER, sort_alg TEXT,
                attrs TEXT, state INTEGER);
            CREATE TABLE dr_rules (ruleid INTEGER, groupid TEXT, prefix TEXT, timerec TEXT, priority INTEGER,
                routeid TEXT, gwlist TEXT, sort_alg TEXT, attrs TEXT);
        """)
        database.execute("INSERT INTO dr_gateways VALUES (1, ?, 0, '10.0.1.1', 0, NULL, NULL, 0, NULL, 0)", (gateway,))
        database.executemany(
            "INSERT INTO dr_rules VALUES (?, ?, ?, NULL, 0, NULL, ?, 'N', ?)",
            [(n, str(n % 2), str(100_000 + n), f"{gateway}={n % 999 + 1}", f"rate={n}") for n in range(RULES)],
        )


async def held_up(done: asyncio.Future[object]) -> list[float]:
    """Processor time between two turns of somebody else, in seconds, until something is done."""
    found, last = [], time.thread_time()
    while not done.done():
        await asyncio.sleep(0)
        now = time.thread_time()
        found.append(now - last)
        last = now
    return found


async def test_no_route_is_held_up_by_a_reload_and_none_sees_half_of_it(tmp_path):
    path, printed = tmp_path / "dr.db", list[str]()
    make_database(path, "old")
    host = Host(Source("pauses.cfg", SCRIPT.format(path=path)), printed.append)
    host.load()
    await host.start()
    (module,) = (one for one in host.catalog if isinstance(one, Drouting))
    partition = module.partitions["Default"]

    async def routed() -> None:
        while partition.data is None or partition.reloads:
            number = str(100_000 + len(printed) * 2 % RULES)
            await host.run_route("route", "call", parameters=(number,), message=dummy_message())
            await asyncio.sleep(0.002)

    try:
        await partition_ready(host)
        printed.clear()
        make_database(path, "new")
        gc.collect()
        gc.disable()
        reload = asyncio.ensure_future(host.run_route("route", "reload", message=dummy_message()))
        measured = asyncio.ensure_future(held_up(reload))
        await asyncio.sleep(0)
        await routed()
        pauses = await measured
        await host.run_route("route", "call", parameters=("100002",), message=dummy_message())
    finally:
        gc.enable()
        await host.stop()
    assert printed.count('1 "OK"\n') == 1
    calls = [line for line in printed if line != '1 "OK"\n']
    assert calls == sorted(calls, reverse=True)  # first the old gateway alone, then the new one alone
    assert set(calls) == {"1 old\n", "1 new\n"}
    assert len(pauses) > 100
    assert sorted(pauses)[-3] < LONGEST  # the clock of a thread may itself be late


async def partition_ready(host: Host) -> None:
    """Wait for the first load."""
    tasks = [task for task in asyncio.all_tasks() if task.get_name() == "the first load of drouting"]
    if tasks:
        await asyncio.wait(tasks)
