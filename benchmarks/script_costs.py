"""What script statements and `mi()` cost, in steps.

A *step* is one turn of `while i < n: i = i + 1` in the same CPython on the same machine in the same minute, so the
figures can be compared between machines.  A turn is the statement plus `$var(i) = $var(i) + 1` and the loop's test.

The figures of the C server (OpenSIPS 4.1-dev, gcc -O3, its fast allocator) were taken with the same scripts.
"""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass

from miscript.host.host import Host
from miscript.host.loading import Source

from .loop import run_in_loop

ROUNDS = 31

SCRIPT = """\
log_level=-1
xlog_level=3
max_while_loops=100000000
loadmodule "cachedb_local.so"
loadmodule "json.so"
loadmodule "mi_script.so"
route {{ exit; }}
startup_route {{ {setup} exit; }}
route[turns] {{
  $var(i) = 0;
  while ($var(i) < {turns}) {{ {turn} $var(i) = $var(i) + 1; }}
  xlog("$var(i) $var(r)\\n");
}}
route[inc] {{ $var(b) = $param(1) + 1; return(1); }}
"""


@dataclass(frozen=True)
class Row:
    """One statement: what it costs the C server, in steps, and what we want to stay within."""

    name: str
    setup: str
    turn: str
    turns: int
    server: float
    wanted: float
    result: str = "<null>"


STORE = 'cache_store("local", "k", "v");'
FETCHED = '"value":"v"'
ROWS = [
    Row("an empty turn", "", "", 50_000, 8.5, 12.8),
    Row("arithmetic", "", "$var(a) = ($var(i) * 3) + 7 - ($var(i) / 2);", 30_000, 24, 36),
    Row(
        "a regex match and {s.toupper}",
        '$var(t) = "sip:alice@example.com;transport=udp";',
        'if ($var(t) =~ "transport=(udp|tcp)") $var(s) = $(var(t){s.toupper});',
        20_000,
        17,
        26,
    ),
    Row("a route call with a parameter", "", "route(inc, $var(i));", 20_000, 15.5, 31),
    Row(
        "two AVP pushes, a read, a delete",
        "",
        '$avp(x) = $var(i); $avp(x) = "b"; $var(a) = $(avp(x)[1]); $avp(x) := NULL;',
        10_000,
        112,
        56,
    ),
    Row(
        "parse JSON and read a path",
        "",
        '$json(k) := "{{\\"a\\": {{\\"b\\": [1,2,3]}}}}"; $var(x) = $json(k/a/b[1]);'.replace("{{", "{").replace(
            "}}", "}"
        ),
        5_000,
        86,
        86,
    ),
    Row('mi("cache_fetch local k", $var(r))', STORE, 'mi("cache_fetch local k", $var(r));', 10_000, 66, 33, FETCHED),
    Row(
        "the same, two parameters in an AVP",
        STORE,
        '$avp(p) := NULL; $avp(p) = "local"; $avp(p) = "k"; mi("cache_fetch", $var(r), $avp(p));',
        5_000,
        148,
        74,
        FETCHED,
    ),
    Row('mi("which", $var(r))', "", 'mi("which", $var(r));', 1_000, 500, 250, '["'),
]


def step(turns: int = 200_000) -> float:
    """Seconds of one step."""
    began = time.perf_counter()
    i = 0
    while i < turns:
        i = i + 1
    return (time.perf_counter() - began) / turns


def measure(row: Row) -> tuple[float, float]:
    """Microseconds and steps of one turn: the middle of many short rounds, each between two looks at the step.

    Processors change their speed from one moment to the next; what is measured within the same few milliseconds
    can be compared.
    """
    printed: list[str] = []
    text = SCRIPT.format(setup=row.setup, turn=row.turn, turns=row.turns)
    host = Host(Source("benchmark.cfg", text=text), printed.append)

    async def rounds() -> list[tuple[float, float]]:
        host.load()
        await host.start()
        found = []
        for _ in range(ROUNDS):
            before = step()
            began = time.perf_counter()
            await host.run_route("route", "turns")
            cost = (time.perf_counter() - began) / row.turns
            found.append((cost / ((before + step()) / 2), cost * 1e6))
        await host.stop()
        return found

    found = run_in_loop(rounds())
    if not printed or not printed[-1].startswith(f"{row.turns} ") or row.result not in printed[-1]:
        raise RuntimeError(f"{row.name}: printed {printed[-1:]!r}")
    steps, microseconds = sorted(found)[ROUNDS // 2]
    return microseconds, steps


def main() -> None:
    logging.disable(logging.WARNING)
    print(f"{'a turn':40} {'µs':>8} {'steps':>8} {'C server':>10} {'wanted':>8}")
    for row in ROWS:
        microseconds, steps = measure(row)
        mark = "" if steps <= row.wanted else "  more than wanted"
        print(f"{row.name:40} {microseconds:8.2f} {steps:8.1f} {row.server:10} {row.wanted:8}{mark}", flush=True)


if __name__ == "__main__":
    main()
