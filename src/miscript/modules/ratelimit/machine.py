"""How busy the machine is: its processor, and what waits to be read from its sockets (Linux, /proc)."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

PROCESSOR = Path("/proc/stat")
SOCKET_TABLES = tuple(Path("/proc/net", name) for name in ("udp", "udp6", "tcp", "tcp6"))

_IDLE = (3, 4)
"""Places of the times without work in the first line: idle, waiting for a device."""


def processor_times(text: str) -> tuple[int, int] | None:
    """All ticks and those without work, of the text of `/proc/stat`; None when it is something else."""
    words = text.partition("\n")[0].split()
    numbers = [int(word) for word in words[1:] if word.isdecimal()]
    if not words or words[0] != "cpu" or len(numbers) < 5:
        return None
    return sum(numbers[:8]), sum(numbers[place] for place in _IDLE)


def waiting_bytes(tables: Iterable[str]) -> int:
    """Bytes received that nobody has read, of the texts of `/proc/net/udp` and the like."""
    total = 0
    for text in tables:
        for line in text.splitlines()[1:]:
            words = line.split()
            queues = words[4].split(":") if len(words) > 4 else []
            try:
                total += int(queues[1], 16) if len(queues) == 2 else 0
            except ValueError:
                continue
    return total


class Processor:
    """How busy the processor has been since the last question."""

    def __init__(self, path: Path = PROCESSOR) -> None:
        self._path = path
        self._last = self._read()

    def _read(self) -> tuple[int, int] | None:
        try:
            return processor_times(self._path.read_text("ascii", "replace"))
        except OSError:
            return None

    def busy(self) -> float:
        """0 to 1; 0 where it cannot be told."""
        before, now = self._last, self._read()
        self._last = now
        if before is None or now is None or now[0] <= before[0]:
            return 0.0
        return 1 - (now[1] - before[1]) / (now[0] - before[0])


def network_backlog(paths: Iterable[Path] = SOCKET_TABLES) -> int:
    """Bytes that wait in the sockets of this machine."""
    texts = []
    for path in paths:
        try:
            texts.append(path.read_text("ascii", "replace"))
        except OSError:
            continue
    return waiting_bytes(texts)
