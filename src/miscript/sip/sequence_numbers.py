"""Other sequence numbers in CSeq and RAck: for requests that are sent once more, and for what follows them in a dialog.

A request that is sent again with changes (credentials, say) needs a higher CSeq than before.  Who sent it knows nothing
of that: all its later requests to the same end need higher ones too, replies get theirs back, and what names the
request by its number (the CSeq of its ACK, the RAck of a PRACK) has to follow it.

Source: RFC 3261 sections 8.1.1.5, 12.2.1.1 and 22.2; RFC 3262 section 7.2 (RAck).
"""

from __future__ import annotations

import re
from typing import Final

from ..late_pattern import late_pattern
from .dialogs import MAX_CSEQ
from .message import Message

_CSEQ: Final = late_pattern(r"([0-9]{1,10})\s+(\S+)", re.ASCII)
_RACK: Final = late_pattern(r"([0-9]{1,10})\s+([0-9]{1,10})\s+(\S+)", re.ASCII)


def written_cseq(message: Message) -> int | None:
    """The number of CSeq as it will be written; None when there is none that can be read."""
    found = _cseq(message)
    return None if found is None else int(found[1])


def renumber(message: Message, number: int) -> bool:
    """Let a message be sent with another number in its CSeq; False when it has none, or this can be none."""
    field, found = message.field("CSeq"), _cseq(message)
    if field is None or found is None or not 0 <= number <= MAX_CSEQ:
        return False
    message.replace_hf(field, f"{number} {found[2]}")
    return True


def _cseq(message: Message) -> re.Match[str] | None:
    field = message.field("CSeq")
    return None if field is None else _CSEQ.fullmatch(message.written_value(field) or "")


def acknowledged_cseq(message: Message) -> int | None:
    """The number of the request whose reply a PRACK acknowledges, as it came; None without a RAck that can be read."""
    found = _RACK.fullmatch(message.header("RAck") or "")
    return None if found is None else int(found[2])


def renumber_acknowledged(message: Message, number: int) -> None:
    """Let a PRACK name its request by another number; nothing happens without a RAck that can be read."""
    field = message.field("RAck")
    found = None if field is None else _RACK.fullmatch(field.value)
    if field is not None and found is not None:
        message.replace_hf(field, f"{found[1]} {number} {found[3]}")
