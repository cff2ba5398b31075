"""What a HEARTBEAT tells of its server.

Source: FreeSWITCH documentation, "Event List" (HEARTBEAT: Idle-CPU, Session-Count, Max-Sessions).
"""

from __future__ import annotations

import math

from ...esl import Event
from ...freeswitch_service import Heartbeat

NAME = "HEARTBEAT"


def heartbeat_in(event: Event, now: float) -> Heartbeat:
    """The figures of a HEARTBEAT.  Raises ValueError, naming the header, when one of them is missing or no number."""
    idle = _number(event, "Idle-CPU")
    return Heartbeat(idle, int(_number(event, "Session-Count")), int(_number(event, "Max-Sessions")), now)


def _number(event: Event, header: str) -> float:
    text = event.header(header)
    try:
        number = float((text or "")[:40])
    except ValueError:
        number = math.nan
    if not math.isfinite(number) or number < 0:
        raise ValueError(f"expected a number in {header}, found {text!r:.60}")
    return number
