"""What a cache keeps from one run to the next: a file with one entry a line.

The first line says what the file is; each other one is `[collection, key, value, end]` in JSON, `end` being seconds
since the epoch or null.  A file is written beside the old one and takes its place as a whole, readable for its owner
alone.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

HEAD: Final = {"miscript": "cachedb_local", "version": 1}
DEFAULT_FILE: Final = ".restart_persistency.cache"


class Entry(NamedTuple):
    """An entry of a collection; `end` in seconds since the epoch, None for one that is kept for good."""

    collection: str
    key: str
    value: str
    end: float | None


def write_entries(path: Path, entries: Iterable[Entry]) -> None:
    """Write a file.  Raises OSError, and the old file stays."""
    descriptor, beside = tempfile.mkstemp(prefix=f"{path.name}.", dir=path.parent)  # new, whatever stands there
    try:
        with open(descriptor, "w", encoding="ascii") as file:
            file.write(json.dumps(HEAD) + "\n")
            for entry in entries:
                file.write(json.dumps(entry) + "\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


def read_entries(path: Path) -> Iterator[Entry]:
    """The entries of a file; none when there is no file.  Raises OSError, ValueError for a file that is none."""
    try:
        file = path.open(encoding="ascii")
    except FileNotFoundError:
        return
    with file:
        if json.loads(file.readline() or "null") != HEAD:
            raise ValueError("it is no file of cachedb_local")
        for number, line in enumerate(file, 2):
            match json.loads(line):
                case [str(collection), str(key), str(value), int() | float() | None as end]:
                    yield Entry(collection, key, value, end)
                case _:
                    raise ValueError(f"line {number} is no entry")
