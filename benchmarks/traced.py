"""`python -m benchmarks traced`: what tracing adds to a `mi()`, in microseconds.

`mi("cache_fetch local k", $var(r))` is run by a host that traces it, to a collector in another process over UDP or TCP,
and by one that does not, in turns.  A traced call makes two packets.  What is measured is processor time of this
process, sending and the system's work for it included, because that is what a call costs a host; other work on the
machine makes rounds slower, never faster, so the best round of each counts.
"""

from __future__ import annotations

import logging
import subprocess
import sys
import time

from miscript.host.host import Host
from miscript.host.loading import Source

from .loop import run_in_loop

TURNS = 2_000
ROUNDS = 31
WANTED = 10.0
"""Microseconds that a traced call may cost more."""

SCRIPT = """
log_level=-1
xlog_level=3
max_while_loops=100000000
socket=hep_udp:127.0.0.1:0
socket=hep_tcp:127.0.0.1:0
loadmodule "cachedb_local.so"
loadmodule "proto_hep.so"
modparam("proto_hep", "hep_id", "[c]127.0.0.1:{port};transport={transport};version=3")
loadmodule "mi_script.so"
{trace}
startup_route {{ cache_store("local", "k", "v"); }}
route[turns] {{
  $var(i) = 0;
  while ($var(i) < {turns}) {{ mi("cache_fetch local k", $var(r)); $var(i) = $var(i) + 1; }}
}}
route {{ exit; }}
"""
TRACE = 'modparam("mi_script", "trace_destination", "c")'

COLLECTOR = """
import socket, sys
kind = socket.SOCK_DGRAM if sys.argv[1] == "udp" else socket.SOCK_STREAM
here = socket.socket(type=kind)
here.bind(("127.0.0.1", 0))
print(here.getsockname()[1], flush=True)
if kind is socket.SOCK_STREAM:
    here.listen()
    here = here.accept()[0]
while here.recv(1 << 20):
    pass
"""


async def rounds(transport: str, port: int) -> tuple[float, float]:
    """Seconds of an untraced and of a traced call."""
    hosts = []
    for trace in ("", TRACE):
        text = SCRIPT.format(port=port, transport=transport, trace=trace, turns=TURNS)
        host = Host(Source("benchmark.cfg", text=text), lambda text: None)
        host.load()
        await host.start()
        hosts.append(host)
    times: list[list[float]] = [[], []]
    for _ in range(ROUNDS):
        for host, found in zip(hosts, times, strict=True):
            began = time.process_time()
            await host.run_route("route", "turns")
            found.append((time.process_time() - began) / TURNS)
    for host in hosts:
        await host.stop()
    sent = getattr(hosts[1].catalog.modules["proto_hep"], "sent").value  # noqa: B009  # a statistic, not of Module
    if sent < 2 * TURNS * ROUNDS * 0.99:
        raise RuntimeError(f"{sent} packets were sent of {2 * TURNS * ROUNDS}")
    return min(times[0]), min(times[1])


def main() -> None:
    logging.disable(logging.WARNING)
    print("| to | untraced mi(), µs | traced, µs | more, µs | wanted at most |")
    print("|---|---:|---:|---:|---:|")
    for transport in ("udp", "tcp"):
        command = [sys.executable, "-c", COLLECTOR, transport]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as collector:
            assert collector.stdout is not None
            untraced, traced = (1e6 * cost for cost in run_in_loop(rounds(transport, int(collector.stdout.readline()))))
            collector.kill()
        more = traced - untraced
        mark = "" if more <= WANTED else " not reached"
        print(f"| {transport.upper()} | {untraced:.2f} | {traced:.2f} | {more:.2f} | {WANTED:.0f} |{mark}", flush=True)


if __name__ == "__main__":
    main()
