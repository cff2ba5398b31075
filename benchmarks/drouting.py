"""A million rules: `do_routing` per second, and what a reload in the background does to other routes.

The table is a file of SQLite with 1,000,000 rules, 1,000 gateways and 100 carriers.  While `dr_reload` runs, another
route is run again and again; the *pause* is how late a route starts that was due.  One figure is by the clock, and has
in it whatever else runs on the machine; the other counts only processor time of the thread that all routes share, so
it is what the reload itself takes from them.

    python -m benchmarks drouting [RULES]
"""

from __future__ import annotations

import asyncio
import gc
import logging
import random
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.sip.message import dummy_message

from .loop import run_in_loop

RULES = 1_000_000
GATEWAYS = 1_000
CARRIERS = 100
GROUPS = 4
LOOKUPS = 20_000
BEAT = 0.001
"""Seconds from one run of the other route to the next."""

SCRIPT = """\
log_level=-1
xlog_level=3
max_while_loops=100000000
loadmodule "db_sqlite.so"
loadmodule "tm.so"
loadmodule "cfgutils.so"
loadmodule "drouting.so"
loadmodule "mi_script.so"
modparam("drouting", "db_url", "sqlite://{database}")
modparam("drouting", "persistent_state", 0)
modparam("drouting", "probing_interval", 0)
route {{ exit; }}
route[beat] {{ $var(n) = 1; while ($var(n) < 20) $var(n) = $var(n) + 1; }}
route[reload] {{ async(mi("dr_reload", $var(r)), reloaded); }}
route[reloaded] {{ xlog("reloaded $rc\\n"); }}
startup_route {{
  mi("dr_reload", $var(r));
  xlog("loaded $rc\\n");
}}
route[turns] {{
  $var(i) = 0; $var(found) = 0;
  while ($var(i) < $param(1)) {{
    $var(number) = ($var(i) * 47 % $param(2)) + 1000000;
    $ru = "sip:" + $var(number) + "1234@example.com";
    $var(g) = ($var(number) - 1000000) % 4;
    do_routing($var(g));
    if ($rc > 0) $var(found) = $var(found) + 1;
    $var(i) = $var(i) + 1;
  }}
  xlog("found $var(found)\\n");
}}
route[empty] {{
  $var(i) = 0; $var(found) = 0;
  while ($var(i) < $param(1)) {{
    $var(number) = ($var(i) * 47 % $param(2)) + 1000000;
    $ru = "sip:" + $var(number) + "1234@example.com";
    $var(i) = $var(i) + 1;
  }}
}}
"""


def make_database(path: Path, rules: int) -> None:
    """The tables, by `miscript db create`, and their rows."""
    program = Path(sys.executable).with_name("miscript")
    subprocess.run([program, "db", "create", f"sqlite://{path}"], check=True, stdout=subprocess.DEVNULL)
    names = "ruleid, groupid, prefix, priority, gwlist, sort_alg, attrs"
    with sqlite3.connect(path) as database:
        database.executemany(
            "INSERT INTO dr_gateways (gwid, type, address, strip, probe_mode, state) VALUES (?, 0, ?, 0, 0, 0)",
            [(f"gw{n}", f"sip:10.{n >> 8}.{n & 255}.1") for n in range(GATEWAYS)],
        )
        database.executemany(
            "INSERT INTO dr_carriers (carrierid, gwlist, flags, sort_alg, state) VALUES (?, ?, 0, 'W', 0)",
            [(f"c{n}", ",".join(f"gw{(n * 7 + m) % GATEWAYS}={m + 1}" for m in range(8))) for n in range(CARRIERS)],
        )
        database.executemany(f"INSERT INTO dr_rules ({names}) VALUES (?, ?, ?, 0, ?, 'N', ?)", rows(rules))


def rows(rules: int) -> Iterator[tuple[int, str, str, str, str]]:
    """Prefixes of seven digits, in groups; lists of gateways and attributes that often come again."""
    draw = random.Random(1)
    for number in range(rules):
        gwlist = f"#c{draw.randrange(CARRIERS)},gw{draw.randrange(GATEWAYS)}"
        yield number + 1, str(number % GROUPS), str(1_000_000 + number), gwlist, f"rate={draw.randrange(5000)}"


def resident() -> int:
    """Bytes of memory that this process has now."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("there is no VmRSS")


@dataclass
class Pauses:
    """The longest that another route had to wait, in milliseconds."""

    by_clock: float = 0.0
    by_processor: float = 0.0

    async def watch(self, host: Host, until: asyncio.Future[Any]) -> int:
        """Run the other route until something is done; how often it ran."""
        runs = 0
        while not until.done():
            clock, processor = time.perf_counter(), time.thread_time()
            await asyncio.sleep(BEAT)
            await host.run_route("route", "beat")
            self.by_clock = max(self.by_clock, (time.perf_counter() - clock - BEAT) * 1e3)
            self.by_processor = max(self.by_processor, (time.thread_time() - processor - BEAT) * 1e3)
            runs += 1
        return runs


async def measure(host: Host, printed: list[str], rules: int) -> None:
    host.load()
    empty = resident()
    began = time.perf_counter()
    await host.start()
    await asyncio.sleep(0.1)
    gc.freeze()  # as `miscript run` does
    print(f"the first load: {time.perf_counter() - began:.1f} s, {(resident() - empty) / 1e6:.0f} MB")
    await lookups(host, rules)

    quiet = Pauses()
    await quiet.watch(host, asyncio.ensure_future(asyncio.sleep(3)))
    print(f"longest pause without a reload: {quiet.by_clock:.1f} ms, {quiet.by_processor:.1f} ms of processor time")

    busy = Pauses()
    began, processor = time.perf_counter(), time.process_time()
    done = asyncio.ensure_future(host.run_route("route", "reload"))
    runs = await busy.watch(host, done)
    most = resident()
    print(
        f"a reload: {time.perf_counter() - began:.1f} s, {time.process_time() - processor:.1f} s of processor time, "
        f"{(most - empty) / 1e6:.0f} MB at its end"
    )
    print(
        f"longest pause during it: {busy.by_clock:.1f} ms, {busy.by_processor:.1f} ms of processor time "
        f"({runs} runs of the other route)"
    )
    await host.stop()
    if [line.split()[0] for line in printed] != ["loaded", "found", "reloaded"] or not printed[-1].endswith(" 1\n"):
        raise RuntimeError(f"printed {printed!r}")


async def lookups(host: Host, rules: int) -> None:
    began = time.perf_counter()
    await host.run_route("route", "empty", parameters=(LOOKUPS, rules), message=dummy_message())
    between = time.perf_counter()
    await host.run_route("route", "turns", parameters=(LOOKUPS, rules), message=dummy_message())
    cost = time.perf_counter() - between - (between - began)
    print(f"do_routing: {LOOKUPS / cost:,.0f} a second")


def main() -> None:
    logging.disable(logging.WARNING)
    rules = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else RULES
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "routing.db"
        make_database(path, rules)
        print(f"{rules:,} rules, {GATEWAYS:,} gateways, {CARRIERS} carriers")
        printed: list[str] = []
        host = Host(Source("benchmark.cfg", SCRIPT.format(database=path)), printed.append)
        run_in_loop(measure(host, printed, rules))
