"""A message on its way, and what its failures mean: what both clients have in common."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Final

from ..errors import AnswerTimeout, ClientError, ConnectError, ProtocolError

DEADLINE: Final = 10.0
RETRIES: Final = 2
FIRST_PAUSE: Final = 0.05
MAX_ANSWER: Final = 1 << 28


@dataclass(slots=True)
class Exchange:
    """A message on its way.

    `wants_answer` is false for notifications.  `sent` is set when the first byte may have left: before that, trying
    again is safe.
    """

    message: bytes
    wants_answer: bool = True
    sent: bool = False

    def failure(self, where: str, error: OSError) -> ClientError:
        """What to raise when the system refused to go on with this exchange."""
        if not self.sent:
            return ConnectError(f"{where}: {reason(error)}")
        return ProtocolError(f"{where}: no answer, the command may have been run: {reason(error)}")

    def late(self, where: str, seconds: float) -> ClientError:
        """What to raise when the deadline passed."""
        if self.sent:
            return AnswerTimeout(f"{where}: no answer within {seconds:g} seconds")
        return ConnectError(f"{where}: no connection within {seconds:g} seconds")


def reason(error: OSError) -> str:
    """An error of the system in words."""
    if isinstance(error, ConnectionError) and error.errno:  # the event loops have longer words for these
        return os.strerror(error.errno)
    return error.strerror or str(error) or type(error).__name__
