"""Requests that we send: passed on with a Via of ours, made from another one (ACK, CANCEL), or new.

Source: RFC 3261 sections 8.1.1, 9.1, 16.6 and 17.1.1.3; RFC 3327 (Path).
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from ..late_pattern import late_pattern
from ..values import encode
from .branch import Branch
from .edits import Edit, appended, replaced
from .headers import header_key, scan_headers
from .message import Message
from .replies import marked_via
from .sockets import ListeningSocket
from .syntax import SipSyntaxError

MAX_FORWARDS = 70
"""Hops that a new request may take (RFC 3261 section 8.1.1.6)."""

_EMPTY_LINE = late_pattern(r"(?:\A|\n)\r?\n")
_NOT_IN_URIS = late_pattern(r"[\x00-\x20\x7f]")
_SIGNS = frozenset("0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-.!%*_+`'~")


def new_token() -> str:
    """Something unique for Call-IDs and tags: 96 bits of chance."""
    return secrets.token_hex(12)


def via_line(socket: ListeningSocket, branch: str, request: Message | None = None) -> str:
    """The value of our own Via; `request` may hold wishes of the script for it."""
    host, port, rport = socket.host, socket.told_port, ""
    if request is not None:
        wishes = request.via_wishes
        host, port = wishes.host or host, wishes.port or port
        rport = ";rport" if wishes.own_rport else ""
    return f"SIP/2.0/{socket.transport.upper()} {host}:{port};branch={branch}{rport}"


def passed_on(request: Message, branch: Branch, via: str, socket: ListeningSocket, *, reliable: bool = False) -> bytes:
    """A request as it goes to one branch: our Via on top, the one below marked, the branch's URI and its path.

    It is sent from `socket`; over a `reliable` transport it gets the Content-Length that it lacks.  Raises
    `SipSyntaxError`: a URI that is none, no Via.
    """
    top = request.field("Via")
    if top is None:
        raise SipSyntaxError("the request has no Via", 0)
    edits: list[Edit] = []
    marked, more = marked_via(request)
    if marked is not request.first_via and request.written_value(top) is not None:  # nobody has hidden it
        edits.append(replaced(top, f"{marked}{more}"))
    for hop_header in request.hop_headers:
        if text := hop_header.text(request, socket):
            edits.append(appended(text, top))
    edits.append(appended(f"Via: {via}", top))
    if branch.path:
        edits.append(appended(f"Route: {branch.path}", request.field("Route") or top))
    if reliable and request.content_length is None:
        edits.append(appended(f"Content-Length: {len(request.written_body)}"))
    return request.to_bytes(edits, branch)


def make_ack(sent: bytes, reply: Message, headers: Sequence[str] = ()) -> bytes:
    """The ACK for a negative reply to an INVITE, as it was `sent`: of the same hop.

    `headers` are more fields, each with its line end.
    """
    request = Message.parse(sent)
    to = reply.header("To") or request.header("To")
    return _of_same_hop(request, "ACK", to, headers)


def make_cancel(sent: bytes, headers: Sequence[str] = ()) -> bytes:
    """The CANCEL of a request, as it was `sent`; `headers` are more fields, each with its line end."""
    request = Message.parse(sent)
    return _of_same_hop(request, "CANCEL", request.header("To"), headers)


def _of_same_hop(request: Message, method: str, to: str | None, headers: Sequence[str]) -> bytes:
    number = request.cseq[0] if request.cseq else 1
    lines = [
        f"{method} {request.original_uri} SIP/2.0",
        f"Via: {request.first_via}",
        f"From: {request.header('From')}",
        f"To: {to}",
        f"Call-ID: {request.call_id}",
        f"CSeq: {number} {method}",
        *(f"Route: {value}" for value in request.headers("Route")),
        f"Max-Forwards: {MAX_FORWARDS}",
    ]
    return encode("\r\n".join(lines) + "\r\n" + "".join(headers) + "Content-Length: 0\r\n\r\n")


def make_request(
    method: str,
    uri: str,
    *,
    via: str,
    from_: str,
    to: str,
    call_id: str,
    cseq: int = 1,
    headers: str = "",
    body: bytes = b"",
    user_agent: str | None = None,
) -> bytes:
    """A new request.  `headers` is the text of more header fields with their line ends.

    Raises `SipSyntaxError` when a part would break the message: a line end in a value, a method that is none.
    """
    if not method or not _SIGNS.issuperset(method):
        raise SipSyntaxError(f"'{method}' is no method", 0)
    if not uri or _NOT_IN_URIS.search(uri):
        raise SipSyntaxError(f"'{uri}' is no URI", 0)
    if headers and (not headers.endswith("\n") or _EMPTY_LINE.search(headers)):
        raise SipSyntaxError("the header fields have an empty line in them, or no line end behind them", 0)
    values = {"Via": via, "From": from_, "To": to, "Call-ID": call_id, "CSeq": f"{cseq} {method}"}
    for name, value in values.items():
        if "\r" in value or "\n" in value:
            raise SipSyntaxError(f"{name} has a line end in it", 0)
    text = [f"{method} {uri} SIP/2.0\r\n", *(f"{name}: {value}\r\n" for name, value in values.items())]
    present = header_names(headers)
    if "max-forwards" not in present:
        text.append(f"Max-Forwards: {MAX_FORWARDS}\r\n")
    if user_agent and "user-agent" not in present:
        text.append(f"User-Agent: {user_agent}\r\n")
    text.append(headers)
    if "content-length" not in present:
        text.append(f"Content-Length: {len(body)}\r\n")
    data = encode("".join(text)) + b"\r\n" + body
    Message.parse(data)
    return data


def whole_headers(text: str) -> str:
    """A text of header fields that can stand in a message, with the line end that it may lack.

    Raises `SipSyntaxError` for a text that is no header fields, or that has an empty line in it.
    """
    headers = text if text.endswith("\n") else f"{text}\r\n"
    data = encode(headers)
    fields = list(scan_headers(data, 0, len(data)))
    if not fields or sum(field.end - field.start for field in fields) != len(data) or _EMPTY_LINE.search(headers):
        raise SipSyntaxError("expected header fields, each with its line end", 0)
    return headers


def header_names(headers: str) -> set[str]:
    """The fields in a text of header fields, by the names under which they are looked up."""
    data = encode(headers)
    return {header_key(field.name) for field in scan_headers(data, 0, len(data))}
