"""The file that audit lines go to.

Lines are appended whole, by one write for all that came in one turn of the loop; the file is made with mode 0600.
After `logrotate` moved it, a new one is begun within `CHECK_SECONDS`.  An audit that cannot be written never stops
a command: what is lost is counted, and said once when it begins and once when it ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import stat
import time
from typing import Final

from .errors import ConfigurationError

log = logging.getLogger("miscript.audit")

CHECK_SECONDS: Final = 1.0
MAX_WAITING: Final = 1024 * 1024
"""Bytes of lines that may wait to be written."""


class AuditLog:
    """One audit; `target` is the path of a file, or `log` for the host's log."""

    def __init__(self, target: str) -> None:
        self.target = target
        self.lost = 0
        """Lines that could not be written."""
        self._file = -1
        self._identity = (0, 0)
        self._lines: list[bytes] = []
        self._size = 0
        self._checked = 0.0
        self._failing = False

    def open(self) -> None:
        """Open the file.  Raises ConfigurationError."""
        if self.target == "log":
            return
        try:
            self._open()
        except OSError as error:
            reason = error.strerror or str(error)
            raise ConfigurationError(
                f"'audit': '{self.target}' cannot be opened: {reason}", parameter="audit"
            ) from None

    def write(self, line: bytes) -> None:
        """Take a line; it is written when the loop's turn is over."""
        if self.target == "log":
            log.info("%s", line.decode("ascii").rstrip())
            return
        if self._size > MAX_WAITING:
            self.lost += 1
            return
        if not self._lines:
            asyncio.get_running_loop().call_soon(self.flush)
        self._lines.append(line)
        self._size += len(line)

    def flush(self) -> None:
        """Write what waits."""
        lines, self._lines, self._size = self._lines, [], 0
        if not lines:
            return
        try:
            self._open_again_if_moved()
            data = memoryview(b"".join(lines))
            while data:
                data = data[os.write(self._file, data) :]
        except OSError as error:
            self.lost += len(lines)
            if not self._failing:
                log.error("audit '%s' cannot be written: %s", self.target, error.strerror)
            self._failing = True
            return
        if self._failing:
            log.warning("audit '%s' is written again; %d lines are lost", self.target, self.lost)
            self._failing = False

    def close(self) -> None:
        """Write what waits and close the file."""
        self.flush()
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def _open(self) -> None:
        flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        file = os.open(self.target, flags, 0o600)
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            os.close(file)
            raise OSError(f"'{self.target}' is no regular file")
        if self._file >= 0:
            os.close(self._file)
        self._file = file
        self._identity = (found.st_dev, found.st_ino)

    def _open_again_if_moved(self) -> None:
        now = time.monotonic()
        if now - self._checked < CHECK_SECONDS and self._file >= 0:
            return
        self._checked = now
        try:
            found = os.lstat(self.target)
        except FileNotFoundError:
            self._open()
            return
        if (found.st_dev, found.st_ino) != self._identity or self._file < 0:
            self._open()
