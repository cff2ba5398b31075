"""Replies of our own, and the way that replies take: built from the request, passed on without their first Via.

Source: RFC 3261 sections 8.2.6, 16.7, 18.2 and 20; RFC 3581 (`received`, `rport`).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from typing import Final

from ..values import encode
from .branch import q_text
from .edits import Edit, replaced
from .message import Message
from .name_addr import NameAddr
from .sockets import DEFAULT_PORTS, Target, ip_address, is_for_many
from .syntax import SipSyntaxError
from .via import Via

_LINE_ENDS: Final = re.compile(r"[\r\n\0]+")
_COPIED = ("via", "from", "to", "call-id", "cseq")


def marked_via(request: Message) -> tuple[Via, str]:
    """The first Via value of a request with `received` and `rport` as its receiver writes them, and what follows it
    in its field (a comma and more values, or nothing).

    Raises `SipSyntaxError` when there is no Via that can be read.
    """
    found = request.first_via_and_end
    field = request.field("Via")
    if found is None or field is None:
        raise SipSyntaxError("the request has no Via that can be read", 0)
    via, end = found
    address, port = request.source
    asks = via.rport is not None or request.via_wishes.rport
    if port and (asks or (ip_address(via.host) or via.host) != address):
        if asks:
            via = via.with_parameter("rport", str(port))
        via = via.with_parameter("received", address)
    return via, field.value[end:]


def reply_target(request: Message) -> Target:
    """Where replies to a request go: back over its connection, or to the port that its Via names or asks for; to the
    address in its Via where the script wants that.

    Raises `SipSyntaxError` when there is no Via that can be read.
    """
    via = request.first_via
    if via is None:
        raise SipSyntaxError("the request has no Via that can be read", 0)
    received, wishes = request.received, request.via_wishes
    usual = DEFAULT_PORTS.get(received.transport, 5060)
    if via.rport is not None or wishes.rport:
        return received.back()
    if wishes.to_via and (address := ip_address(via.host)) is not None and not is_for_many(address):
        return Target(received.transport, address, via.port or usual)
    return received.back(via.port or usual)


def next_target(reply: Message) -> Target | None:
    """Where a reply goes that is passed on without a transaction: what its second Via says.

    None when it has none, or one that names a host (whoever wrote it did not hear of us) or is not that of one host.
    """
    try:
        vias = reply.vias
    except SipSyntaxError:
        return None
    if len(vias) < 2:
        return None
    via = vias[1]
    address = ip_address(via.received or via.host)
    if address is None or is_for_many(address):
        return None
    transport = via.transport.lower()
    port = via.rport if via.rport and via.rport.isdecimal() else via.port or DEFAULT_PORTS.get(transport, 5060)
    return Target(transport, address, int(port))


def make_reply(
    request: Message,
    status: int,
    reason: str,
    *,
    to_tag: str | None = None,
    headers: Sequence[str] = (),
    body: bytes = b"",
    server: str | None = None,
) -> bytes:
    """A reply to `request`: its Via, From, To, Call-ID, CSeq and, where a dialog may begin, Record-Route.

    `to_tag` is added to a To without a tag, except in a 100.  `headers` are texts of whole header fields with their
    line ends.  `server` is the value of Server.  Line ends in `reason` become blanks: it may come from the network, and
    must begin no header field.  Raises `SipSyntaxError` for a request without a Via.
    """
    if not reason.isprintable():
        reason = _LINE_ENDS.sub(" ", reason)
    via, more = marked_via(request)
    lines = [f"SIP/2.0 {status} {reason}\r\n".encode("utf-8", "surrogateescape")]
    first_via = True
    dialog = 100 < status < 300
    for field in request.fields:
        key = field.key
        if key == "via":
            value = f"{via}{more}" if first_via else field.value
            first_via = False
        elif key == "to":
            value = _tagged(field.value, to_tag) if status > 100 and to_tag else field.value
        elif key in _COPIED or (key == "record-route" and dialog) or (key == "timestamp" and status == 100):
            value = field.value
        else:
            continue
        lines.append(encode(f"{field.name}: {value}\r\n"))
    lines += [encode(text) for text in headers]
    if server:
        lines.append(encode(f"Server: {server}\r\n"))
    lines.append(b"Content-Length: %d\r\n\r\n" % len(body))
    return b"".join(lines) + body


def _tagged(value: str, tag: str) -> str:
    try:
        return value if NameAddr.parse(value).tag else f"{value};tag={tag}"
    except SipSyntaxError:
        return f"{value};tag={tag}"


def redirection(request: Message) -> str | None:
    """The Contact header field that tells where a request may go instead, without its line end: the Request-URI when
    it was changed, and the branches.  None without any."""
    places = [request.branch] if request.branch.uri is not None else []
    places += request.branches
    found = [f"<{place.uri}>{f';q={q_text(place.q)}' if place.q >= 0 else ''}" for place in places]
    return f"Contact: {', '.join(found)}" if found else None


def wanted_headers(request: Message, status: int) -> Sequence[str]:
    """The header fields that a reply gets: those that the script asked for, and in a 3xx where to go instead."""
    contact = redirection(request) if 300 <= status < 400 else None
    return request.reply_headers if contact is None else [*request.reply_headers, f"{contact}\r\n"]


def local_tag(secret: str, request: Message) -> str:
    """A To tag that is the same each time that a request comes, without remembering it (RFC 3261 section 8.2.7)."""
    text = f"{secret}\0{request.first_via}\0{request.call_id}\0{request.header('From')}"
    return hashlib.blake2b(encode(text), digest_size=10).hexdigest()


def passed_back(reply: Message) -> bytes:
    """A reply as it goes on: with its edits, and without its first Via value."""
    found, field = reply.first_via_and_end, reply.field("Via")
    if found is None or field is None:
        return reply.to_bytes()
    rest = field.value[found[1] :].lstrip(", \t")
    return reply.to_bytes([replaced(field, rest) if rest else Edit(field.start, field.end, b"")])
