"""A miscript host with all doors in a process of its own, and where its doors are, for benchmarks of clients."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SCRIPT = """
log_level=1
loadmodule "mi_fifo.so"
modparam("mi_fifo", "fifo_name", "{folder}/fifo")
modparam("mi_fifo", "reply_dir", "{folder}/")
loadmodule "mi_datagram.so"
modparam("mi_datagram", "socket_name", "udp:127.0.0.1:{udp}")
loadmodule "httpd.so"
modparam("httpd", "port", {http})
loadmodule "mi_http.so"
startup_route {{ xlog("up\\n"); }}
route {{ exit; }}
"""


@dataclass(frozen=True, slots=True)
class Doors:
    """Where the doors of the host are."""

    folder: Path
    udp: int
    http: int

    def url(self, door: str) -> str:
        """How `miscript.client` names a door."""
        match door:
            case "FIFO":
                return f"fifo:{self.folder}/fifo?reply_dir={self.folder}/"
            case "UDP":
                return f"udp:127.0.0.1:{self.udp}"
            case _:
                return f"http://127.0.0.1:{self.http}/mi"

    def opensips(self, door: str) -> tuple[str, dict[str, str]]:
        """How python-opensips is told of a door: the kind, and what belongs to it."""
        fifo = str(self.folder / "fifo")
        match door:
            case "FIFO":
                return "fifo", {
                    "fifo_file": fifo,
                    "fifo_file_fallback": fifo,
                    "fifo_reply_dir": str(self.folder),
                }
            case "UDP":
                return "datagram", {"datagram_ip": "127.0.0.1", "datagram_port": str(self.udp)}
            case _:
                return "http", {"url": self.url(door)}


def free_port(kind: socket.SocketKind) -> int:
    with socket.socket(type=kind) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def door_host(folder: Path) -> Iterator[Doors]:
    """Run the host while the block lasts."""
    doors = Doors(folder, free_port(socket.SOCK_DGRAM), free_port(socket.SOCK_STREAM))
    script = folder / "doors.cfg"
    script.write_text(SCRIPT.format(folder=folder, udp=doors.udp, http=doors.http))
    program = Path(sys.executable).with_name("miscript")
    with subprocess.Popen([program, "run", script], stdout=subprocess.PIPE, text=True) as host:
        assert host.stdout is not None
        try:
            if host.stdout.readline() != "up\n":
                raise RuntimeError("the host did not start")
            yield doors
        finally:
            host.terminate()


def middle(times: list[float]) -> float:
    """The median, in seconds."""
    return sorted(times)[len(times) // 2]


def timed(work: object) -> float:
    """Seconds that calling `work` takes."""
    began = time.perf_counter()
    assert callable(work)
    work()
    return time.perf_counter() - began
