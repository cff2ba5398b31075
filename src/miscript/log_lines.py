"""One line of a log for each thing that is said, whatever the network has put into it.

Who can send a message must not be able to write lines of the log that look like ours, nor to move the cursor of the
terminal that shows it: control characters, line ends of Unicode and what turns the direction of writing round are
written as escapes (`\\n`, `\\x1b`).
"""

from __future__ import annotations

import logging
import re
from typing import Final

_UNSAFE: Final = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SHORT: Final = {"\n": "\\n", "\r": "\\r"}


def one_line(text: str) -> str:
    """`text` with everything escaped that would end its line or do something to a terminal."""
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    character = found[0]
    code = ord(character)
    return _SHORT.get(character) or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}")


class OneLine(logging.Formatter):
    """Formats records so that the message has one line; the traceback of an exception follows it as it is."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802  # the name that logging asks for
        record.message = one_line(record.message)
        return super().formatMessage(record)
