"""`python -m benchmarks mi_client`: `miscript.client` beside python-opensips, on one host's FIFO, UDP and HTTP.

Both ask `uptime` of the same miscript host in turns, call by call, so that what else the machine does meets both.
Each does what its users do: `connect_blocking` once and many calls; `OpenSIPSMI` once and many calls of `execute`.

The time of a call is the mean of the quickest nine tenths.  On the FIFO python-opensips opens its reply FIFO after it
has sent its request: when the server is quicker, the server tries again 80 ms later, as OpenSIPS does.  How often that
happens depends on what else the machine does, so the middle of the calls stands beside the mean.

Processor time is that of this process alone: what a call costs the client, whatever else the machine does.

A *bare socket* sends the same bytes on a socket that stays open, and reads what comes: no client takes less.
"""

from __future__ import annotations

import logging
import socket
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import mean

from miscript.client import connect_blocking

from .door_host import Doors, door_host, middle, timed

WANTED = {"FIFO": 20, "UDP": 2, "HTTP": 5}
"""How many times as fast as python-opensips."""
CALLS = {"FIFO": 60, "UDP": 600, "HTTP": 600}
WARM_UP = 5


REQUEST = b'{"jsonrpc":"2.0","method":"uptime","id":1}'
HEAD = b"POST /mi HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(REQUEST)


def quickest(times: list[float]) -> float:
    """The mean of all but the slowest tenth."""
    return mean(sorted(times)[: len(times) * 9 // 10])


@contextmanager
def bare_socket(doors: Doors, door: str) -> Iterator[Callable[[], object]]:
    """A call with nothing around it; of the FIFO there is none."""
    if door == "FIFO":
        yield lambda: None
        return
    kind, port, head = (socket.SOCK_DGRAM, doors.udp, b"") if door == "UDP" else (socket.SOCK_STREAM, doors.http, HEAD)
    with socket.socket(type=kind) as bare:
        bare.connect(("127.0.0.1", port))

        def ask() -> object:
            bare.send(head + REQUEST)
            return bare.recv(65536)

        yield ask


Times = tuple[list[float], list[float], list[float]]


def measure(doors: Doors, door: str) -> tuple[Times, Times]:
    """Seconds of each call by python-opensips, miscript.client and a bare socket, which take turns; by clock, used."""
    from opensips.mi import OpenSIPSMI  # type: ignore[import-untyped]  # it has no types

    kind, about = doors.opensips(door)
    theirs = OpenSIPSMI(kind, **about)
    times: Times = ([], [], [])
    used: Times = ([], [], [])
    with connect_blocking(doors.url(door)) as ours, bare_socket(doors, door) as bare:
        calls = (lambda: theirs.execute("uptime"), lambda: ours.call("uptime"), bare)
        for number in range(CALLS[door] + WARM_UP):
            for found, processor, call in zip(times, used, calls, strict=True):
                began = time.process_time()
                seconds = timed(call)
                if number >= WARM_UP:
                    processor.append(time.process_time() - began)
                    found.append(seconds)
    return times, used


def main() -> None:
    logging.disable(logging.WARNING)
    print(
        "| door | python-opensips, ms a call (middle) | miscript.client, ms (middle) | times as fast | wanted", end=""
    )
    print(" | bare socket, ms | µs of processor: theirs, ours, bare socket |\n|---|---:|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as folder, door_host(Path(folder)) as doors:
        for door, wanted in WANTED.items():
            found, used = measure(doors, door)
            theirs, ours, bare = map(quickest, found)
            mark = "" if theirs / ours >= wanted else " not reached"
            print(
                f"| {door} | {1e3 * theirs:.2f} ({1e3 * middle(found[0]):.2f}) "
                f"| {1e3 * ours:.2f} ({1e3 * middle(found[1]):.2f}) | {theirs / ours:.1f} | {wanted} "
                f"| {'' if door == 'FIFO' else f'{1e3 * bare:.2f}'} "
                f"| {', '.join(f'{1e6 * quickest(one):.0f}' for one in used)} |{mark}",
                flush=True,
            )


if __name__ == "__main__":
    main()
