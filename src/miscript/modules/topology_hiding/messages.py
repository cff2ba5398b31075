"""What is done to messages: ends and routers taken out of requests, replies given back what they need.

The Via, Record-Route and Contact fields of a request are left out when it is passed on; its replies, which come with
our Via alone, get those of the request again.  Both are edits: scripts go on seeing the message as it came.

Source: RFC 3261 sections 12.2.1.1, 16.6, 16.7 and 18.2; OpenSIPS manual, module topology_hiding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.replies import marked_via
from ...sip.sockets import DEFAULT_PORTS, ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri

HIDDEN_FIELDS: Final = ("Via", "Record-Route", "Contact")

Telling = Callable[[ListeningSocket], str]
"""The header field to be told to who is reached by this socket of ours; "" for none."""

Answering = Callable[[Message, ListeningSocket], str]
"""The Contact in place of that of a reply, which goes out by this socket; "" for none."""


@dataclass(frozen=True, slots=True, eq=False)
class Hidden:
    """Stands in `Message.hop_headers` of a request, so that each branch and each copy knows of it.

    `strips` tells that the request goes without its Via fields; a trusted receiver gets to see them.
    """

    tell: Telling
    answer: Answering
    strips: bool = True

    def text(self, request: Message, socket: ListeningSocket) -> str:
        return self.tell(socket)


def hidden_in(message: Message) -> Hidden | None:
    """What is hidden in a request; None when nothing is."""
    return next((header for header in message.hop_headers if isinstance(header, Hidden)), None)


def hide(request: Message, hidden: Hidden) -> None:
    """Let a request go without its sender's way, and without being recorded (`record_route()`)."""
    if not hidden.strips:
        request.hop_headers = [*request.hop_headers, hidden]
        return
    for name in HIDDEN_FIELDS:
        request.remove_hf(name)
    request.hop_headers = [hidden]


def give_back(reply: Message, request: Message, hidden: Hidden, socket: ListeningSocket | None) -> None:
    """Let a reply go to who sent `request`, by `socket`."""
    own = reply.field("Via")
    if hidden.strips and own is not None:
        via, more = marked_via(request)
        for number, value in enumerate(request.headers("Via")):
            reply.append_hf(f"Via: {f'{via}{more}' if number == 0 else value}", before=own)
    reply.remove_hf("Record-Route")
    status = reply.status or 0
    if 100 < status < 300:
        for value in request.headers("Record-Route"):
            reply.append_hf(f"Record-Route: {value}", before=own)
        if reply.field("Contact") is not None and socket is not None:
            text = hidden.answer(reply, socket)
            reply.remove_hf("Contact")
            if text:
                reply.append_hf(text)


def follow(request: Message, contact: str, routes: Sequence[str]) -> None:
    """Let a request in a dialog go to `contact` by way of `routes`.  Raises `SipSyntaxError`."""
    request.remove_hf("Route")
    request.uri = contact
    request.branch.destination = None
    if not routes:
        return
    first = NameAddr.parse(routes[0])
    if first.sip_uri().lr is not None:
        request.branch.destination = first.uri
        left = routes
    else:  # a strict router is told the next hop in the Request-URI, and the end in the last Route
        request.uri = first.uri
        left = (*routes[1:], f"<{contact}>")
    request.append_hf(f"Route: {','.join(left)}", before=request.field("Via"))


def recorded_routes(message: Message) -> list[str]:
    """All values of Record-Route in their order.  Raises `SipSyntaxError`."""
    return [str(value) for text in message.headers("Record-Route") for value in NameAddr.parse_many(text)]


def routes_to_answerer(reply: Message, is_own: Callable[[SipUri], bool]) -> tuple[str, ...]:
    """The Route set to who sent a reply: what was recorded between him and us.  Raises `SipSyntaxError`."""
    found: list[str] = []
    for text in recorded_routes(reply):
        if is_own(NameAddr.parse(text).sip_uri()):
            break
        found.append(text)
    return tuple(reversed(found))


def first_contact(message: Message) -> NameAddr | None:
    """The first Contact; None when there is none with a SIP URI."""
    value = message.header("Contact")
    try:
        if value is None or value.strip() == "*":
            return None
        contact = NameAddr.parse_many(value)[0]
        contact.sip_uri()
    except SipSyntaxError:
        return None
    return contact


def user_of(contact: NameAddr | None) -> str:
    """The user of a Contact, "" without one."""
    try:
        return "" if contact is None else contact.sip_uri().user or ""
    except SipSyntaxError:
        return ""


@dataclass(frozen=True, slots=True)
class Passed:
    """Names, in lower case, of what a Contact of ours takes over from the one that it stands for."""

    in_uri: frozenset[str] = frozenset()
    in_field: frozenset[str] = frozenset()

    @classmethod
    def of(cls, in_uri: str, in_field: str) -> Passed:
        """Read lists with semicolons between."""
        return cls(_names(in_uri), _names(in_field))

    def uri_part(self, contact: NameAddr | None) -> str:
        return "" if contact is None else _chosen(contact.sip_uri().parameters, self.in_uri)

    def field_part(self, contact: NameAddr | None) -> str:
        return "" if contact is None else _chosen(contact.parameters, self.in_field)


def _names(text: str) -> frozenset[str]:
    return frozenset(name.strip().lower() for name in text.split(";") if name.strip())


def _chosen(parameters: Iterable[object], names: frozenset[str]) -> str:
    texts = map(str, parameters) if names else ()
    return "".join(f";{text}" for text in texts if text.partition("=")[0].lower() in names)


def own_uri(socket: ListeningSocket, user: str, more: str) -> str:
    """A URI of ours; `more` are parameters, each with its semicolon."""
    default = socket.told_port == DEFAULT_PORTS.get(socket.transport)
    port = "" if default else f":{socket.told_port}"
    transport = "" if socket.transport == "udp" else f";transport={socket.transport}"
    return f"sip:{f'{user}@' if user else ''}{socket.host}{port}{transport}{more}"
