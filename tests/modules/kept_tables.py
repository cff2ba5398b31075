"""A database of SQLite for scripts that keep something in it, and a look at what stands there."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

from click.testing import CliRunner

from miscript.cli.db import command
from miscript.testing import RunningScript

PATIENCE_SECONDS = 5.0


def make_tables(url: str, *modules: str) -> None:
    """What `miscript db create` does."""
    done = CliRunner().invoke(command, ["create", url, *modules])
    assert done.exit_code == 0, done.output


class KeptTables:
    """Tables in a file."""

    def __init__(self, folder: Path, *modules: str) -> None:
        self.path = folder / "kept.sqlite"
        self.url = f"sqlite://{self.path}"
        make_tables(self.url, *modules)

    def ask(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        """The rows that a query gives; what it changes is written."""
        connection = sqlite3.connect(self.path)
        try:
            with connection:
                return connection.execute(sql, values).fetchall()
        finally:
            connection.close()

    def loaded_by(self, module: str, **parameters: object) -> str:
        """The lines of a script that let a module keep its tables here."""
        given = {"db_url": self.url, **parameters}
        lines = [f'modparam("{module}", "{name}", {_written(value)})' for name, value in given.items()]
        return "\n".join(lines)


def _written(value: object) -> str:
    return f'"{value}"' if isinstance(value, str) else str(value)


def until(script: RunningScript, there: Callable[[], object]) -> None:
    """Wait for a database, which works in a thread; the script's own time stands still."""
    end = time.monotonic() + PATIENCE_SECONDS
    script.settle()
    while not there():
        assert time.monotonic() < end, f"not there after {PATIENCE_SECONDS:g} seconds"
        time.sleep(0.002)
        script.settle()
