"""A million contacts: how long usrloc reads them at the start, what they take, and what they do to other routes.

The table is a file of SQLite with 1,000,000 contacts of 900,000 users.  When they are read, phones register again
while the timer looks for what is over and writes what has changed.  The *pause* is how late another route starts that
was due: by the clock it has in it whatever else runs on the machine; the other figure counts only processor time of the
thread that all routes share.

    python -m benchmarks contacts [CONTACTS]
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from miscript.cli import COLLECTIONS
from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.sip.message import dummy_message
from miscript.testing import MemoryNetwork

from .drouting import Pauses, resident
from .loop import run_in_loop

CONTACTS = 1_000_000
USERS_OF_TEN = 9
"""So many users have ten contacts between them."""

LOOKUPS = 50_000
REGISTRATIONS = 20_000
EXPIRES_SECONDS = 100_000

SCRIPT = """\
log_level=-1
xlog_level=3
socket=udp:10.0.0.1:5060
loadmodule "db_sqlite.so"
loadmodule "sl.so"
loadmodule "signaling.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "mi_script.so"
modparam("usrloc", "db_url", "sqlite://{database}")
modparam("usrloc", "working_mode_preset", "single-instance-sql-write-back")
modparam("usrloc", "timer_interval", 1000000)
route {{ exit; }}
route[beat] {{ $var(n) = 1; while ($var(n) < 20) $var(n) = $var(n) + 1; }}
route[flush] {{ mi("ul_flush", $var(r)); }}
"""


def make_database(path: Path, contacts: int) -> None:
    """The table, by `miscript db create`, and its rows."""
    program = Path(sys.executable).with_name("miscript")
    subprocess.run([program, "db", "create", f"sqlite://{path}", "usrloc"], check=True, stdout=subprocess.DEVNULL)
    names = "contact_id, username, domain, contact, expires, q, callid, cseq, user_agent, received, methods, socket"
    with sqlite3.connect(path) as database:
        database.executemany(
            f"INSERT INTO location ({names}) VALUES (?, ?, NULL, ?, ?, -1, ?, ?, 'Some phone/1.2.3', ?, 8191, NULL)",
            rows(contacts),
        )


def rows(contacts: int) -> Iterator[tuple[object, ...]]:
    """Phones behind NATs that registered in the last hour; some users have two of them."""
    now = int(time.time())
    for number in range(contacts):
        user = user_of(number)
        uri = f"sip:{user}@192.168.{number >> 8 & 255}.{number & 255}:5060;transport=udp"
        received = f"sip:100.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}:40000"
        call_id = f"{number:08x}-7d31-4f0c-{number * 7919 & 0xFFFF:04x}@192.168.1.10"
        yield number + 1, user, uri, now + EXPIRES_SECONDS + number % 3600, call_id, 1 + number % 100, received


def user_of(number: int) -> str:
    return f"user{number // 10 * USERS_OF_TEN + number % 10 % USERS_OF_TEN:07d}"


class Watched:
    """What some work takes, and what it does to another route."""

    def __init__(self, host: Host) -> None:
        self._host = host

    async def measure(self, what: str, work: Any) -> None:
        pauses, began, processor = Pauses(), time.perf_counter(), time.process_time()
        done = asyncio.ensure_future(work)
        runs = await pauses.watch(self._host, done)
        await done
        print(
            f"{what}: {time.perf_counter() - began:.1f} s, {time.process_time() - processor:.1f} s of processor time, "
            f"longest pause {pauses.by_clock:.1f} ms, {pauses.by_processor:.1f} ms of processor time ({runs} runs)",
            flush=True,
        )


async def registered_again(host: Host, contacts: int) -> None:
    """Contacts of many users are changed."""
    location = host.services.find("usrloc")
    table = location.table("location")
    for number in range(0, contacts, max(1, contacts // REGISTRATIONS)):
        user = user_of(number)
        record = table.record(user)
        table.update(user, record.contacts[0], record.contacts[0])
        await asyncio.sleep(0)


async def all_again(host: Host) -> None:
    """All contacts are put in place anew, as an hour of registrations does; the database is not told."""
    table = host.services.find("usrloc").table("location")
    for done, record in enumerate(table):
        for contact in record.contacts:
            table.measured(record.aor, contact, 1)
        if done % 10 == 0:
            await asyncio.sleep(0)


async def measure(database: Path, contacts: int) -> None:
    gc.set_threshold(*COLLECTIONS)
    host = Host(Source("benchmark.cfg", SCRIPT.format(database=database)), str, network=MemoryNetwork())
    host.load()
    location = host.services.find("usrloc")
    table = location.table("location")
    empty = resident()
    watched = Watched(host)
    gc.disable()  # as `miscript run` does while it starts
    await watched.measure("the start", host.start())
    gc.enable()
    print(f"{table.contacts:,} contacts of {table.users:,} users: {(resident() - empty) / 1e6:.0f} MB")
    gc.freeze()
    await watched.measure("nothing, three seconds", asyncio.sleep(3))
    began = time.perf_counter()
    for number in range(LOOKUPS):
        table.valid(user_of(number * 19 % contacts), location.now())
    print(f"lookups in the table: {LOOKUPS / (time.perf_counter() - began):,.0f} a second")
    await watched.measure("a look for contacts that are over", location._expire())
    await watched.measure(f"{REGISTRATIONS:,} contacts change", registered_again(host, contacts))
    await watched.measure("their writing", host.run_route("route", "flush", message=dummy_message()))
    await watched.measure("all contacts change, ten at a time", all_again(host))
    began = time.perf_counter()
    await host.stop()
    print(f"the end: {time.perf_counter() - began:.1f} s")


def main() -> None:
    logging.disable(logging.WARNING)
    contacts = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CONTACTS
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "location.db"
        make_database(path, contacts)
        run_in_loop(measure(path, contacts))
