"""Cache calls to a Redis on this machine: 10,000 from routes of a script, one after the other and many at a time.

A redis-server is started on a free port of the loopback and ended again.  Beside the calls stand the limits that the
machine sets: GET by redis-benchmark, which is written in C, and by redis-py alone, and bytes that are sent to an echo
and back.

    python -m benchmarks redis [CALLS]
"""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.sip.message import dummy_message

from .loop import run_in_loop

CALLS = 10_000
TOGETHER = 32
READY_SECONDS = 10.0

SCRIPT = """\
log_level=-1
loadmodule "cachedb_redis.so"
loadmodule "cachedb_local.so"
modparam("cachedb_redis", "cachedb_url", "redis://127.0.0.1:{port}/")
route {{ exit; }}
route[store] {{ cache_store("redis", "key", "value"); }}
route[fetch] {{ cache_fetch("redis", "key", $var(v)); }}
route[add] {{ cache_add("redis", "counter", 1, 0, $var(n)); }}
route[add_for_a_minute] {{ cache_add("redis", "limited", 1, 60, $var(n)); }}
route[local] {{ cache_fetch("local", "key", $var(v)); }}
"""
ROUTES = ("store", "fetch", "add", "add_for_a_minute", "local")


@dataclass(frozen=True, slots=True)
class Figure:
    """How many calls a second, with `together` at a time; `processor` are the seconds of this process for one call."""

    what: str
    together: int
    per_second: float
    processor: float | None = None

    def __str__(self) -> str:
        processor = "" if self.processor is None else f"  {self.processor * 1e6:>6,.0f} µs of processor time each"
        return f"{self.what:<28} {self.together:>3} at a time  {self.per_second:>10,.0f} calls/s{processor}"


@contextmanager
def redis_server() -> Iterator[int]:
    """A server on a free port, as an ordinary user."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    folder = tempfile.mkdtemp(prefix="miscript-redis-")
    root = os.geteuid() == 0
    if root:
        shutil.chown(folder, "nobody", "nogroup")
    process = subprocess.Popen(
        ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--dir", folder],
        stdout=subprocess.DEVNULL,
        user="nobody" if root else None,
        group="nogroup" if root else None,
        extra_groups=[] if root else None,
    )
    try:
        end = time.monotonic() + READY_SECONDS
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
                break
            except OSError:
                time.sleep(0.05)
        yield port
    finally:
        process.kill()
        process.wait()
        shutil.rmtree(folder, ignore_errors=True)


async def rate(what: str, call: Callable[[], Awaitable[object]], calls: int, together: int) -> Figure:
    """Make `calls` calls, `together` at a time."""

    async def some(number: int) -> None:
        for _ in range(number):
            await call()

    began, used = time.perf_counter(), time.process_time()
    await asyncio.gather(*(some(calls // together) for _ in range(together)))
    made = calls // together * together
    return Figure(what, together, made / (time.perf_counter() - began), (time.process_time() - used) / made)


async def echo_rate(calls: int) -> Figure:
    """Round trips of a few bytes over the loopback, in this process."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(100):
            writer.write(data)
        writer.close()

    server = await asyncio.start_server(echo, "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

    async def trip() -> None:
        writer.write(b"*2\r\n$3\r\nGET\r\n$3\r\nkey\r\n")
        await reader.read(100)

    figure = await rate("echo on the loopback", trip, calls, 1)
    writer.close()
    server.close()
    return figure


async def program_rates(port: int, calls: int) -> list[Figure]:
    """GET by redis-benchmark: one connection, 32 connections, and one with 32 commands under way."""
    figures = []
    for connections, under_way in ((1, 1), (TOGETHER, 1), (1, TOGETHER)):
        options = ["-p", port, "-n", calls * 10, "-c", connections, "-P", under_way, "-t", "get", "--csv"]
        program = await asyncio.create_subprocess_exec("redis-benchmark", *map(str, options), stdout=subprocess.PIPE)
        output, _ = await program.communicate()
        line = next(line for line in output.decode().splitlines() if line.startswith('"GET"'))
        what = f"redis-benchmark -c {connections} -P {under_way}"
        figures.append(Figure(what, connections * under_way, float(line.split(",")[1].strip('"'))))
    return figures


async def client_rates(port: int, calls: int) -> list[Figure]:
    """GET by redis-py alone: one connection, 32 connections, and one with 32 commands in each pipeline."""
    from redis.asyncio import BlockingConnectionPool, Redis

    client = Redis(connection_pool=BlockingConnectionPool(max_connections=TOGETHER, host="127.0.0.1", port=port))

    async def pipeline() -> None:
        async with client.pipeline(transaction=False) as commands:
            for _ in range(TOGETHER):
                commands.get("key")
            await commands.execute()

    figures = [await rate("redis-py alone, GET", lambda: client.get("key"), calls, n) for n in (1, TOGETHER)]
    piped = await rate("redis-py alone, pipeline", pipeline, calls // TOGETHER, 1)
    assert piped.processor is not None
    figures.append(Figure(piped.what, TOGETHER, piped.per_second * TOGETHER, piped.processor / TOGETHER))
    await client.aclose()
    return figures


async def measure(calls: int) -> list[Figure]:
    figures = [await echo_rate(calls)]
    with redis_server() as port:
        host = Host(Source("benchmark.cfg", SCRIPT.format(port=port)), lambda text: None)
        host.load()
        await host.start()
        message = dummy_message()
        for name in ROUTES:
            for together in (1, TOGETHER):
                figures.append(
                    await rate(
                        f"route[{name}]",
                        lambda name=name: host.run_route("route", name, message=message),  # type: ignore[misc]  # bound now
                        calls,
                        together,
                    )
                )
        figures[1:1] = [*await program_rates(port, calls), *await client_rates(port, calls)]
        await host.stop()
    return figures


def main() -> None:
    calls = int(sys.argv[1]) if len(sys.argv) > 1 and sys.argv[1].isdecimal() else CALLS
    for figure in run_in_loop(measure(calls)):
        print(figure)
