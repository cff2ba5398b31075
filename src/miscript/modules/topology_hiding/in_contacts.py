"""Hiding without dialogs: the way to an end stands, encrypted, in the Contact that the other one gets.

Towards a trusted network nothing is hidden; a Record-Route of ours then brings later requests back, and tells the
socket by which the other side is reached.

Source: OpenSIPS manual, module topology_hiding.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from typing import Final

from ...script.runtime import Run
from ...services import Services
from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from .contact_info import HidingParameter, Way
from .in_dialogs import Names
from .messages import (
    Answering,
    Hidden,
    Passed,
    Telling,
    first_contact,
    follow,
    hide,
    own_uri,
    recorded_routes,
    routes_to_answerer,
    user_of,
)

log = logging.getLogger("miscript.topology_hiding")

DECODED: Final = "topology_hiding"
"""Where a run keeps the `Way` that its request came with."""


@dataclass(frozen=True, slots=True)
class Trust:
    """Tags of sockets: those where nothing is hidden, and the one to leave by where the right one is unknown."""

    internal: str = ""
    external: str = ""
    record: bool = True

    def covers(self, socket: ListeningSocket | None) -> bool:
        """Whether who is reached by a socket may see everything."""
        return bool(self.internal) and socket is not None and socket.tag == self.internal


class ContactHiding:
    """Hides the ends of requests that begin a dialog, and of those inside.

    `parameter` is written, `known` are read.
    """

    def __init__(self, services: Services) -> None:
        self.services = services
        self.parameter = HidingParameter()
        self.known: tuple[HidingParameter, ...] = (self.parameter,)
        self.passed = Passed()
        self.trust = Trust()
        self._sip = sip_service(services)

    def begin(self, run: Run, flags: frozenset[str], names: Names) -> bool:
        """Hide the sender of a request outside of dialogs; False when that cannot be done."""
        message: Message = run.message
        about = Way(
            "", flags="".join(sorted(flags)), caller_name=names.to_callee or "", callee_name=names.to_caller or ""
        )
        return self._hide(message, about)

    def match(self, run: Run) -> bool:
        """Send a request that came to a Contact of ours, or by a Route of ours, to the end that it stands for."""
        message: Message = run.message
        try:
            uri = SipUri.parse(message.uri or "")
            way = self._read(uri)
            if way is not None and way.contact:
                follow(message, way.contact, way.routes)
            else:
                way = self._by_route(message)
        except SipSyntaxError as error:
            log.error("the way that a request tells cannot be read: %s", error)
            return False
        if way is None:
            return False
        run.data[DECODED] = way
        socket = self._sip.socket_named(way.socket) if way.socket else None
        if socket is None:
            socket = next((s for s in self._sip.sockets if self.trust.external and s.tag == self.trust.external), None)
        if socket is not None:
            message.branch.socket = socket
        return self._hide(message, replace(way, of_caller=not way.of_caller))

    def _read(self, uri: SipUri) -> Way | None:
        if not self._sip.is_myself(uri.host, uri.port):
            return None
        parameters = uri.parameters
        for known in self.known:
            value = parameters.get(known.name)
            if value and (way := known.way(value)) is not None:
                return way
        return None

    def _by_route(self, message: Message) -> Way | None:
        """The way in our own Route value, which is taken off."""
        values = [(f, value) for f in message.all_fields("Route") for value in NameAddr.parse_many(f.value)]
        way = self._read(values[0][1].sip_uri()) if values else None
        if way is None:
            return None
        contact = message.uri or ""
        follow(message, contact, [str(value) for _, value in values[1:]])
        return way

    def _hide(self, message: Message, about: Way) -> bool:
        """Hide the sender of a request; `about` tells whose end it is, and what the script wants."""
        sender = first_contact(message)
        try:
            if self.trust.covers(message.branch.socket):
                hide(message, Hidden(self._recording(message, about), self._answering(about), strips=False))
                return True
            way = replace(
                about,
                contact="" if sender is None else sender.uri,
                routes=tuple(recorded_routes(message)),
                socket=_named(message.received.socket),
            )
            hide(message, Hidden(self._telling(way, sender), self._answering(about)))
        except (SipSyntaxError, ValueError) as error:
            log.error("the sender of a request cannot be hidden: %s", error)
            return False
        return True

    def _telling(self, way: Way, contact: NameAddr | None) -> Telling:
        if contact is None:
            return lambda socket: ""
        value = self.parameter.text(way)
        return lambda socket: self._contact(way, value, contact, socket)

    def _recording(self, message: Message, about: Way) -> Telling:
        """A Record-Route that tells by which socket the request came."""
        if not self.trust.record:
            return lambda socket: ""
        way = replace(about, contact="", routes=(), socket=_named(message.received.socket))
        value = self.parameter.text(way)
        return lambda socket: f"Record-Route: <{own_uri(socket, '', f';{self.parameter.name}={value};lr')}>"

    def _answering(self, about: Way) -> Answering:
        def answer(reply: Message, socket: ListeningSocket) -> str:
            contact = first_contact(reply)
            try:
                if contact is None:
                    return ""
                way = replace(
                    about,
                    contact=contact.uri,
                    routes=routes_to_answerer(reply, self._is_own),
                    socket=_named(reply.received.socket),
                    of_caller=not about.of_caller,
                )
                return self._contact(way, self.parameter.text(way), contact, socket)
            except (SipSyntaxError, ValueError) as error:
                log.error("the sender of a reply cannot be hidden, it goes without a Contact: %s", error)
                return ""

        return answer

    def _contact(self, way: Way, value: str, contact: NameAddr, socket: ListeningSocket) -> str:
        user = ""
        if "U" in way.flags:
            user = (way.caller_name if way.of_caller else way.callee_name) or user_of(contact)
        uri = own_uri(socket, user, f";{self.parameter.name}={value}{self.passed.uri_part(contact)}")
        return f"Contact: <{uri}>{self.passed.field_part(contact)}"

    def _is_own(self, uri: SipUri) -> bool:
        return self._sip.is_myself(uri.host, uri.port)


def _named(socket: ListeningSocket | None) -> str:
    return "" if socket is None else str(socket)
