"""Requests that are not as RFC 3261 wants them, and the status that they get before any script sees them.

`refusal` looks at what every element depends on: version, mandatory header fields, each of them once and readable, the
length of the body.  What can be passed on without being understood is left to the script (`validation` helps it).
`salvaged` reads as much of a request with a wrong first line as is needed to answer it.

Source: RFC 3261 sections 8.1.1, 8.2.2, 16.3, 18.3 and 21.5.6; RFC 4475 section 3.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from ..late_pattern import late_pattern
from .message import DEFAULT_LIMITS, VERSION, Message
from .syntax import SipSyntaxError


class Refusal(NamedTuple):
    """Status and reason of the reply."""

    status: int
    reason: str


MAX_CSEQ: Final = 2**31 - 1
"""The largest number of CSeq (RFC 3261 section 8.1.1.5)."""

_MANDATORY: Final = ("From", "To", "Call-ID", "CSeq")
_ONCE: Final = frozenset({"from", "to", "call-id", "cseq", "max-forwards", "content-length"})
_BAD_FIRST_LINE = late_pattern(
    rb"(?:\r?\n)*([A-Za-z0-9.!%*_+`'~-]+)[ \t]+[^\r\n]*[ \t]SIP/[0-9.]+[ \t]*\r?\n", re.IGNORECASE
)


def refusal(request: Message) -> Refusal | None:
    """Why a request with a readable Via is refused; None for one that the script may see."""
    if request.version.upper() != VERSION:
        return Refusal(505, "Version Not Supported")
    if (request.original_uri or "").startswith("<"):
        return Refusal(400, "Bad Request-URI")
    for name in _MANDATORY:
        if request.header(name) is None:
            return Refusal(400, f"Missing {name}")
    cseq = request.cseq
    if cseq is None or cseq[0] > MAX_CSEQ or cseq[1] != request.method:
        return Refusal(400, "Bad CSeq")
    repeated = request.repeated_field(_ONCE)
    if repeated is not None:
        return Refusal(400, f"Several {repeated}")
    return _unreadable(request)


def _unreadable(request: Message) -> Refusal | None:
    if request.content_length is None:
        if request.header("Content-Length") is not None:
            return Refusal(400, "Bad Content-Length")
    elif request.is_truncated:
        return Refusal(400, "Body Shorter Than Content-Length")
    for name, read in _ADDRESSES:
        try:
            read(request)
        except SipSyntaxError:
            return Refusal(400, f"Bad {name}")
    return None


_ADDRESSES: Final[tuple[tuple[str, Callable[[Message], object]], ...]] = (
    ("From", lambda request: request.from_),
    ("To", lambda request: request.to),
)


def salvaged(data: bytes) -> Message | None:
    """A request whose first line is wrong, read for a reply: its Request-URI is one that means nothing.

    None for what does not look like a request, and for one whose header fields cannot be read either.
    """
    found = _BAD_FIRST_LINE.match(data, 0, DEFAULT_LIMITS.start_line)
    if found is None:
        return None
    try:
        return Message.parse(found[1] + b" sip:invalid SIP/2.0\r\n" + data[found.end() :])
    except SipSyntaxError:
        return None
