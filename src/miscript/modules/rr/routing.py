"""Route: taking our own values off, and finding the next hop, of loose and of strict routers.

Source: RFC 3261 sections 16.4, 16.5, 16.6 step 6 and 16.12; OpenSIPS manual, module rr (`loose_route`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ...sip.headers import HeaderField
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.sockets import DEFAULT_PORTS
from ...sip.uri import SipUri
from ...sip_service import SipService


@dataclass(slots=True)
class RouteSet:
    """The Route values of a request in their order, each with the field that it is in."""

    message: Message
    values: list[tuple[HeaderField, NameAddr]] = field(default_factory=list)

    @classmethod
    def of(cls, message: Message) -> RouteSet:
        """Read all Route fields.  Raises `SipSyntaxError`."""
        found = cls(message)
        for header in message.all_fields("Route"):
            found.values += [(header, value) for value in NameAddr.parse_many(header.value)]
        return found

    def uri(self, place: int) -> SipUri | None:
        """The URI of a value; None when there is none.  Raises `SipSyntaxError`."""
        return self.values[place][1].sip_uri() if -len(self.values) <= place < len(self.values) else None

    def write(self, kept: list[tuple[HeaderField, NameAddr]], more: str | None = None) -> None:
        """Let the request have only the values `kept`, and `more` as the last one."""
        last = kept[-1][0] if kept else None
        for header in {id(header): header for header, _ in self.values}.values():
            texts = [str(value) for own, value in kept if own is header]
            if header is last and more is not None:
                texts.append(more)
            if texts:
                self.message.replace_hf(header, ", ".join(texts))
            else:
                self.message.remove_field(header)
        if last is None and more is not None:
            self.message.append_hf(f"Route: {more}")


@dataclass(frozen=True, slots=True)
class Routed:
    """What came of a route set: whether the request is routed by it, and the parameters of our own value."""

    driven: bool
    parameters: str | None = None


def route(message: Message, sip: SipService, *, in_dialog: bool) -> Routed:
    """Deal with the Route fields of a request.  Raises `SipSyntaxError` for values that cannot be read."""
    routes = RouteSet.of(message)
    top = routes.uri(0)
    if top is None:
        return Routed(False)
    if in_dialog and _came_by_strict_router(message, sip, top):
        return _after_strict(message, sip, routes)
    return _after_loose(message, sip, routes, in_dialog)


def _is_mine(sip: SipService, uri: SipUri | None) -> bool:
    if uri is None or not uri.host:
        return False
    transport = (uri.transport or ("tls" if uri.is_secure else "udp")).lower()
    return sip.is_myself(uri.host, uri.port or DEFAULT_PORTS.get(transport, 5060))


def _came_by_strict_router(message: Message, sip: SipService, top: SipUri) -> bool:
    """Whether the previous hop put our Record-Route value into the Request-URI."""
    uri = SipUri.parse(message.uri or "")
    return uri.lr is not None and _is_mine(sip, uri) and not _is_mine(sip, top)


def _after_loose(message: Message, sip: SipService, routes: RouteSet, in_dialog: bool) -> Routed:
    left = routes.values
    parameters: str | None = None
    mine = routes.uri(0)
    if _is_mine(sip, mine) and mine is not None:
        parameters, left = mine.params or "", left[1:]
        if mine.r2 is not None and left and _is_mine(sip, second := left[0][1].sip_uri()) and second.r2 is not None:
            left = left[1:]
            transport = (second.transport or "udp").lower()
            port = second.port or DEFAULT_PORTS.get(transport, 5060)
            message.branch.socket = sip.socket_named(f"{transport}:{second.host}:{port}")
        if not left:
            routes.write([])
            return Routed(in_dialog, parameters)
    following = left[0][1].sip_uri()
    if following.lr is not None:
        message.branch.destination = left[0][1].uri
        routes.write(left)
    else:
        routes.write(left[1:], f"<{message.uri}>")
        message.uri = left[0][1].uri
    return Routed(True, parameters)


def _after_strict(message: Message, sip: SipService, routes: RouteSet) -> Routed:
    """RFC 3261 section 16.4: the last Route value is what the Request-URI was."""
    parameters = SipUri.parse(message.uri or "").params or ""
    kept, (_, last) = routes.values[:-1], routes.values[-1]
    message.uri = last.uri
    if kept:
        following = kept[0][1].sip_uri()
        if following.lr is not None:
            message.branch.destination = kept[0][1].uri
            routes.write(kept)
        else:
            routes.write(kept[1:], f"<{message.uri}>")
            message.uri = kept[0][1].uri
    else:
        routes.write([])
    return Routed(True, parameters)
