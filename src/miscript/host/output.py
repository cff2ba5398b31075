"""Where the text of the script goes."""

from __future__ import annotations

import asyncio
import time
from typing import BinaryIO

from ..values import encode

QUIET_SECONDS = 0.05


class Output:
    """Writes what `xlog` prints to a binary file, bare.

    What comes after a quiet moment is flushed at once, so that it is seen even if the route then computes for long;
    what follows quickly is flushed together, once in a turn of the event loop.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._flush_due = False
        self._last_flush = 0.0

    def write(self, text: str) -> None:
        self._file.write(encode(text))
        if self._flush_due:
            return
        if time.monotonic() - self._last_flush > QUIET_SECONDS:
            self.flush()
        else:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self._flush_due = False
        self._last_flush = time.monotonic()
        self._file.flush()
