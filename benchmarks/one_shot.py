"""`python -m benchmarks one_shot`: `miscript mi uptime` beside `opensips-cli -x mi core:uptime`, from start to end.

The programs take turns.  A Python that does nothing is in the table too: nothing written in Python takes less.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from .door_host import Doors, door_host, middle, timed

ROUNDS = 5
WANTED = 0.25
"""Of opensips-cli's time."""


def commands(doors: Doors, door: str) -> list[list[str]]:
    """opensips-cli, and ours."""
    programs = Path(sys.executable).parent
    kind, about = doors.opensips(door)
    options = {"communication_type": kind, "history_file": str(doors.folder / "history"), **about}
    words = [part for name, value in options.items() for part in ("-o", f"{name}={value}")]
    return [
        [str(programs / "opensips-cli"), *words, "-x", "mi", "core:uptime"],
        [str(programs / "miscript"), "mi", "--at", doors.url(door), "uptime"],
    ]


def run(command: list[str], folder: Path) -> None:
    environment = {"HOME": str(folder), "PATH": os.environ["PATH"]}
    output = subprocess.run(command, check=True, stdin=subprocess.DEVNULL, capture_output=True, env=environment).stdout
    if len(command) > 3 and b"Up time" not in output:
        raise RuntimeError(f"{command[0]} printed {output!r}")


def main() -> None:
    nothing = [sys.executable, "-c", ""]
    print("| door | opensips-cli, ms | miscript mi, ms | of its time | wanted | python -c '', ms |")
    print("|---|---:|---:|---:|---:|---:|")
    with tempfile.TemporaryDirectory() as name, door_host(Path(name)) as doors:
        for door in ("FIFO", "UDP", "HTTP"):
            programs = [*commands(doors, door), nothing]
            times: list[list[float]] = [[] for _ in programs]
            for number in range(ROUNDS + 1):
                for found, program in zip(times, programs, strict=True):
                    seconds = timed(lambda program=program: run(program, doors.folder))
                    if number:  # the first ones read the disk
                        found.append(seconds)
            theirs, ours, least = map(middle, times)
            print(
                f"| {door} | {theirs * 1e3:.0f} | {ours * 1e3:.0f} | {ours / theirs:.2f} | {WANTED} "
                f"| {least * 1e3:.0f} |"
                f"{'' if ours / theirs <= WANTED else ' not reached'}",
                flush=True,
            )


if __name__ == "__main__":
    main()
