"""When to connect again: soon at first, less and less often while it fails.

Source: observed behaviour of OpenSIPS 4.1.
"""

from __future__ import annotations

from typing import Final

PAUSES: Final = (1.0, 5.0, 10.0, 30.0, 90.0)
"""Seconds from the start of one attempt to the start of the next."""

ATTEMPTS: Final = 20
"""Attempts with one pause before the next longer one."""


def pause_after(failures: int) -> float:
    """Seconds between two attempts when so many have failed in a row."""
    return PAUSES[min(failures // ATTEMPTS, len(PAUSES) - 1)]
