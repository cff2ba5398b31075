"""Module `rr`: staying in the way of a dialog, and following the way that was recorded.

Other modules find it as `rr`, a `record_routing.RecordRouting`.
Source: OpenSIPS manual, module rr; RFC 3261 section 16.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final

from ...exports import Module, Pattern, parameter, script_function, variable
from ...record_routing import Routed as RoutedCallback
from ...script.runtime import Run
from ...services import Services
from ...sip import Message, SipSyntaxError, SipUri
from ...sip_service import sip_service
from ...values import Value, encode
from .recording import RecordRoute, record, recorded
from .routing import route

log = logging.getLogger("miscript.rr")

PARAMETERS: Final = "rr"
"""Where a run keeps the parameters of the Route value that it came by."""


class Rr(Module):
    """Record-Route and Route."""

    append_fromtag = parameter(1, "Whether Record-Route tells the From tag, for is_direction().")
    enable_double_rr = parameter(1, "Whether there are two Record-Routes between two sockets.")
    add_username = parameter(0, "Whether Record-Route has the user of the Request-URI.")
    ignore_user = parameter("", "Has no effect here.")
    enable_socket_mismatch_warning = parameter(1, "Has no effect here.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.sip = sip_service(services)
        self._routed: list[RoutedCallback] = []
        services.provide("rr", self)

    # -- Record-Route -----------------------------------------------------------------------------------------

    @script_function(routes="request failure branch")
    def record_route(self, run: Run, parameters: str | None = None) -> int:
        """Record us in the way of the dialog; `parameters` (`;name=value`) are added to the URI."""
        return self._record(run, parameters or "", ())

    @script_function(routes="request failure branch")
    def record_route_preset(self, run: Run, outbound: str, inbound: str | None = None) -> int:
        """Record these hosts (`host:port;parameters`) instead of our sockets."""
        return self._record(run, "", (outbound,) if inbound is None else (outbound, inbound))

    def _record(self, run: Run, own: str, preset: tuple[str, ...]) -> int:
        message: Message | None = run.message
        if message is None or not message.is_request:
            return -1
        before = recorded(message)
        if before.active:
            log.error("the request has a Record-Route of ours already")
            return -1
        new = replace(
            before,
            active=True,
            own=own,
            preset=preset,
            from_tag=_from_tag(message) if self.append_fromtag else None,
            user=_user(message) if self.add_username else "",
            double=bool(self.enable_double_rr),
        )
        if not _is_writable(new):
            return -1
        record(message, new)
        return 1

    @script_function(routes="request failure branch")
    def add_rr_param(self, run: Run, parameter: str) -> int:
        """Add `;name=value` to the URI of Record-Route, whether it is there already or not."""
        if run.message is None or not _is_writable(RecordRoute(parameters=parameter)):
            return -1
        self.add_parameter(run.message, parameter)
        return 1

    def add_parameter(self, message: Message, text: str) -> None:
        """Add `;name=value` to the Record-Route that a request has or will have."""
        before = recorded(message)
        record(message, replace(before, parameters=before.parameters + text))

    def put_parameter(self, message: Message, name: str, value: str) -> None:
        """Let the Record-Route of a request have `;name=value`, in place of what it has under this name so far."""
        before = recorded(message)
        first, *others = before.parameters.split(";")
        kept = [text for text in others if text.partition("=")[0] != name]
        record(message, replace(before, parameters=";".join([first, *kept, f"{name}={value}"])))

    @property
    def tells_direction(self) -> bool:
        """Whether Record-Route tells the From tag."""
        return bool(self.append_fromtag)

    # -- Route ------------------------------------------------------------------------------------------------

    @script_function(routes="request")
    def loose_route(self, run: Run) -> int:
        """Route the request by its Route fields; false when it has none, or is an initial one that was for us."""
        message: Message | None = run.message
        if message is None or not message.is_request:
            return -1
        try:
            to = message.to
            routed = route(message, self.sip, in_dialog=to is not None and bool(to.tag))
        except SipSyntaxError as error:
            log.error("a Route cannot be read: %s", error)
            return -1
        if routed.parameters is not None:
            run.data[PARAMETERS] = routed.parameters
            for call in self._routed:
                try:
                    call(run, routed.parameters)
                except Exception:
                    log.exception("a listener for routes failed")
        return 1 if routed.driven else -1

    @script_function(routes="request")
    def check_route_param(self, run: Run, pattern: Pattern) -> int:
        """Whether the parameters of the Route value that the request came by match."""
        found = self.own_route(run)
        return 1 if found is not None and pattern.search(encode(f";{found}")) else -1

    @script_function(routes="request")
    def is_direction(self, run: Run, direction: str) -> int:
        """Whether the request goes `downstream`, the way of the first one, or `upstream`."""
        wanted = direction.lower()
        if wanted not in ("upstream", "downstream"):
            return -1
        return 1 if self.is_downstream(run) is (wanted == "downstream") else -1

    def is_downstream(self, run: Run) -> bool:
        """Whether a request goes the way of the first one; the From tag in our Route value tells."""
        found = self.own_route(run)
        for text in (found or "").split(";"):
            name, _, value = text.partition("=")
            if name.lower() == "ftag":
                return run.message is None or value == _from_tag(run.message)
        return True

    def own_route(self, run: Run) -> str | None:
        """The parameters of our own Route value that `loose_route()` found."""
        return run.data.get(PARAMETERS)

    def on_route(self, routed: RoutedCallback) -> None:
        """Call `routed(run, parameters)` whenever a request came by a Route of ours."""
        self._routed.append(routed)

    @variable("rr_params")
    def route_parameters(self, run: Run) -> Value:
        """The parameters of the Route value that the request came by; NULL before loose_route()."""
        return self.own_route(run)


def _from_tag(message: Message) -> str | None:
    try:
        address = message.from_
    except SipSyntaxError:
        return None
    return None if address is None else address.tag


def _user(message: Message) -> str:
    try:
        user = SipUri.parse(message.uri or "").user
    except SipSyntaxError:
        return ""
    return f"{user}@" if user else ""


def _is_writable(header: RecordRoute) -> bool:
    """Whether what a script gave can stand inside the angle brackets of a URI."""
    texts = (header.own, header.parameters, *header.preset)
    return not any(sign in text for text in texts for sign in "<>\r\n \t")
