"""Real servers for tests: PostgreSQL and MariaDB, each on a free port of the loopback, as an ordinary user.

A server lives in a folder of its own, which goes with it.  `kill` is what a crash is, `pause` what a machine is that
no longer answers.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Sequence
from pathlib import Path

PASSWORD = "s3cret"
READY_SECONDS = 60


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        return listening.getsockname()[1]


def ordinary_user() -> dict[str, object]:
    """Servers refuse to run as root: `nobody` runs them then."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


def children(parent: int) -> list[int]:
    found = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[1]) == parent:
            found.append(int(status.parent.name))
    return found


class Server:
    """A server process; who derives says what its files are and how it is started."""

    ready: str
    program: str

    def __init__(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="miscript-server-"))
        if os.geteuid() == 0:
            shutil.chown(self.folder, "nobody", "nogroup")
        self.port = free_port()
        self.process: subprocess.Popen[str] | None = None
        self.make()
        self.start()

    def make(self) -> None:
        raise NotImplementedError

    def command(self) -> Sequence[str]:
        raise NotImplementedError

    def run(self, *command: str) -> None:
        done = subprocess.run(
            command, check=False, capture_output=True, text=True, timeout=READY_SECONDS, **ordinary_user()
        )
        assert done.returncode == 0, done.stdout + done.stderr

    def start(self) -> None:
        """Start it and wait until it says that it is ready."""
        self.process = subprocess.Popen(
            self.command(),
            stderr=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            text=True,
            errors="replace",
            start_new_session=True,
            cwd=self.folder,
            **ordinary_user(),
        )
        said: list[str] = []
        ready = threading.Event()
        threading.Thread(target=self._listen, args=(self.process.stderr, said, ready), daemon=True).start()
        assert ready.wait(READY_SECONDS), f"{self.program} is not ready: {''.join(said[-20:])}"
        assert self.process.poll() is None, f"{self.program} has ended: {''.join(said[-20:])}"

    def _listen(self, lines, said, ready) -> None:
        for line in lines:
            said.append(line)
            if self.ready in line:
                ready.set()
        ready.set()
        lines.close()

    def _signal(self, number: int) -> None:
        """To all its processes: PostgreSQL has one for each connection."""
        for pid in [self.process.pid, *children(self.process.pid)]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass

    def kill(self) -> None:
        self._signal(signal.SIGKILL)
        self.process.wait(READY_SECONDS)

    def pause(self) -> None:
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    def end(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class PostgresServer(Server):
    """PostgreSQL, its user `opensips` being asked for a password."""

    ready = "database system is ready to accept connections"
    program = "postgres"

    @staticmethod
    def folder_of_programs() -> Path | None:
        found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"))
        return found[-1].parent if found else None

    def make(self) -> None:
        self.data = self.folder / "data"
        secret = self.folder / "secret"
        secret.write_text(PASSWORD)
        secret.chmod(0o644)
        self.run(
            str(self.folder_of_programs() / "initdb"),
            *("-D", str(self.data), "-U", "opensips", "--pwfile", str(secret), "-A", "scram-sha-256"),
            *("--no-sync", "--encoding=UTF8", "--locale=C"),
        )

    def command(self) -> Sequence[str]:
        settings = ["fsync=off", f"unix_socket_directories={self.folder}", "listen_addresses=127.0.0.1"]
        options = [option for setting in settings for option in ("-c", setting)]
        return [str(self.folder_of_programs() / "postgres"), "-D", str(self.data), "-p", str(self.port), *options]

    @property
    def url(self) -> str:
        return f"postgres://opensips:{PASSWORD}@127.0.0.1:{self.port}/postgres"

    @property
    def socket_url(self) -> str:
        return f"postgres://opensips:{PASSWORD}@unix({self.folder}):{self.port}/postgres"


class MariadbServer(Server):
    """MariaDB, with a user `opensips` and a database of that name."""

    ready = "ready for connections"
    program = "mariadbd"

    def make(self) -> None:
        self.data = self.folder / "data"
        self.run(
            "mariadb-install-db",
            *("--no-defaults", f"--datadir={self.data}", "--auth-root-authentication-method=normal"),
            *("--skip-test-db", "--skip-name-resolve"),
        )
        first = self.folder / "first.sql"
        first.write_text(
            "CREATE DATABASE IF NOT EXISTS opensips CHARACTER SET utf8mb4;\n"
            f"CREATE USER IF NOT EXISTS opensips@'%' IDENTIFIED BY '{PASSWORD}';\n"
            "GRANT ALL ON opensips.* TO opensips@'%';\n"
        )
        first.chmod(0o644)
        self.first = first

    def command(self) -> Sequence[str]:
        return [
            shutil.which("mariadbd") or "/usr/sbin/mariadbd",
            *("--no-defaults", f"--datadir={self.data}", f"--port={self.port}", "--bind-address=127.0.0.1"),
            *(f"--socket={self.folder}/s", f"--pid-file={self.folder}/pid", f"--init-file={self.first}"),
            *("--innodb-flush-log-at-trx-commit=2", "--skip-name-resolve", "--innodb-buffer-pool-size=32M"),
        ]

    @property
    def url(self) -> str:
        return f"mysql://opensips:{PASSWORD}@127.0.0.1:{self.port}/opensips"

    @property
    def socket_url(self) -> str:
        return f"mysql://opensips:{PASSWORD}@unix({self.folder}/s)/opensips"
