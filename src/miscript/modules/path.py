"""Module path: Path header fields that lead later requests back through us to who registered.

Source: OpenSIPS manual, module path; RFC 3327.
"""

from __future__ import annotations

import logging
from urllib.parse import quote

from ..errors import ConfigurationError
from ..exports import Module, parameter, script_function
from ..record_routing import record_routing
from ..script.runtime import Run
from ..sip.message import Message
from ..sip.parameters import Parameters
from ..sip.registration import unescaped
from ..sip.sockets import DEFAULT_PORTS, ListeningSocket
from ..sip.syntax import SipSyntaxError
from ..sip.uri import SipUri

__all__ = ["Path"]

log = logging.getLogger("miscript.path")


class Path(Module):
    """Path header fields for registrations that we pass on."""

    name = "path"

    use_received = parameter(0, "1: a request that comes by our Path goes to the address in its 'received'.")
    enable_double_path = parameter(1, "Whether there are two Path fields when it leaves by another socket.")

    def init(self) -> None:
        if not self.use_received:
            return
        rr = record_routing(self.services)
        if rr is None:
            raise ConfigurationError("use_received needs module rr", parameter="use_received")
        rr.on_route(self._routed)

    def _routed(self, run: Run, parameters: str) -> None:
        """A request came by a Route of ours."""
        message = run.message
        if not isinstance(message, Message):
            return
        try:
            received = Parameters.parse(parameters.lstrip(";")).get("received")
            if received:
                message.branch.destination = str(SipUri.parse(unescaped(received)))
        except SipSyntaxError as error:
            log.error("the 'received' of a Route of ours cannot be used: %s", error)

    @script_function(routes="request")
    def add_path(self, run: Run, user: str | None = None) -> int:
        """Add Path with our address, and a user where one is given."""
        return self._add(run, user, received=False)

    @script_function(routes="request")
    def add_path_received(self, run: Run, user: str | None = None) -> int:
        """The same with the address that the request came from as 'received'."""
        return self._add(run, user, received=True)

    def _add(self, run: Run, user: str | None, *, received: bool) -> int:
        message = run.message
        if not isinstance(message, Message) or message.received.socket is None:
            return -1
        came_to, leaves_by = message.received.socket, message.branch.socket
        double = self.enable_double_path and leaves_by not in (None, came_to)
        sockets = [leaves_by, came_to] if double and leaves_by is not None else [came_to]
        more = ";r2=on" if double else ""
        source = f";received={_source(message)}" if received else ""
        try:
            for socket in sockets:
                uri = f"{_own_uri(socket, user)};lr{more}{source}"
                SipUri.parse(uri)
                message.append_hf(f"Path: <{uri}>", message.field("Path"))
        except SipSyntaxError as error:
            log.error("Path cannot be added: %s", error)
            return -1
        return 1


def _own_uri(socket: ListeningSocket, user: str | None) -> str:
    """Our URI without `lr`."""
    port = "" if socket.told_port == DEFAULT_PORTS["udp"] else f":{socket.told_port}"
    transport = "" if socket.transport == "udp" else f";transport={socket.transport}"
    return f"sip:{f'{user}@' if user else ''}{socket.host}{port}{transport}"


def _source(message: Message) -> str:
    """The URI that a message came from, as the value of a parameter."""
    back = message.received.back()
    transport = "" if back.transport == "udp" else f";transport={back.transport}"
    return quote(f"sip:{back.host}:{back.port}{transport}", safe=":[]")
