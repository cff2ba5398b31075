"""Which transaction a message belongs to: keys to look it up by.

A request whose topmost Via has a branch with the magic cookie is matched by branch, sent-by and method (RFC 3261
section 17.2.3); an older one by Request-URI, tags, Call-ID, CSeq and Via.  An ACK has the key of its INVITE, and
`cancelled_key` gives that of the request that a CANCEL is about.  Replies are matched by the branch that we made.
"""

from __future__ import annotations

from typing import TypeAlias

from ..message import Message
from ..name_addr import NameAddr
from ..syntax import SipSyntaxError
from ..via import COOKIE

Key: TypeAlias = tuple[str, ...]


def server_key(request: Message) -> Key | None:
    """The key of a request; None when it has no Via that can be read, or is no request."""
    method = request.method
    if method is None:
        return None
    return _key(request, "INVITE" if method == "ACK" else method)


def cancelled_key(cancel: Message) -> Key | None:
    """The key of the INVITE that a CANCEL is about (RFC 3261 section 9.2)."""
    return _key(cancel, "INVITE")


def answered_key(reply: Message) -> Key | None:
    """The key of the request that a reply of ours answers; None where it does not tell, as in RFC 2543."""
    via, cseq = reply.first_via, reply.cseq
    if via is None or cseq is None or not (via.branch or "").startswith(COOKIE):
        return None
    return _key(reply, cseq[1])


def client_key(reply: Message) -> Key | None:
    """The key of a reply: branch of the topmost Via and method of CSeq; None when it has none."""
    via, cseq = reply.first_via, reply.cseq
    if via is None or cseq is None or not via.branch:
        return None
    return via.branch, cseq[1]


def _key(request: Message, method: str) -> Key | None:
    via = request.first_via
    if via is None:
        return None
    branch = via.branch
    if branch and branch.startswith(COOKIE) and len(branch) > len(COOKIE):
        return branch.lower(), f"{via.host.lower()}:{via.port or ''}", method
    return _old_key(request, method)


def _old_key(request: Message, method: str) -> Key | None:
    """RFC 2543: everything that stays the same when a request is repeated, cancelled or acknowledged.

    The To tag is left out, as the ACK has the one of the reply.
    """
    cseq = request.cseq
    if cseq is None:
        return None
    return (
        request.original_uri or "",
        _tag(request),
        request.call_id or "",
        str(cseq[0]),
        str(request.first_via),
        method,
    )


def _tag(request: Message) -> str:
    try:
        address: NameAddr | None = request.from_
    except SipSyntaxError:
        address = None
    return "" if address is None else address.tag or ""
