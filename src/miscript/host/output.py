"""Where the text of the script goes."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from ..values import encode


class Output:
    """Writes what `xlog` prints to a binary file, bare, and flushes once for everything printed in one turn."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._flush_due = False

    def write(self, text: str) -> None:
        self._file.write(encode(text))
        if not self._flush_due:
            self._flush_due = True
            asyncio.get_running_loop().call_soon(self.flush)

    def flush(self) -> None:
        self._flush_due = False
        self._file.flush()
