"""Putting a chosen gateway into a request, and the ones behind it into AVPs.

The AVPs are those that the module's parameters name; the newest value of each is that of the gateway in use, and the
AVP of R-URIs and that of sockets hold only those still to be tried.  They go with the transaction, so that a failure
route finds them.

Source: OpenSIPS manual, module drouting, `do_routing`, `use_next_gw`; observed values of OpenSIPS 4.1.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from ...script.runtime import Run
from ...script.signatures import VariableAccess
from ...sip.message import Message
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...values import Value, decode, encode
from .gateways import Gateway
from .partitions import AvpNames, Partition
from .routing_data import Hop
from .rules import Rule

log = logging.getLogger("miscript.drouting")


@dataclass(frozen=True, slots=True)
class Outputs:
    """The variables that a script wants the attributes in; None for those that it does not ask for."""

    rule: VariableAccess | None = None
    gateway: VariableAccess | None = None
    carrier: VariableAccess | None = None

    def write(self, run: Run, rule: str | None, gateway: str | None, carrier: str | None) -> None:
        """Write the attributes; None leaves a variable as it is."""
        for variable, text in ((self.rule, rule), (self.gateway, gateway), (self.carrier, carrier)):
            if variable is not None and text is not None:
                variable.set(run, text)


@dataclass(frozen=True, slots=True)
class Fallback:
    """Where `use_next_gw` goes on when all gateways of a rule have failed: behind this rule, for the R-URI that came
    to `do_routing`."""

    group: int
    uri: str
    prefix: str
    rule: int
    whitelist: str
    whole: bool

    def __str__(self) -> str:
        return json.dumps([self.group, self.uri, self.prefix, self.rule, self.whitelist, self.whole])

    @classmethod
    def read(cls, text: Value) -> Fallback | None:
        """What `str` wrote; None for anything else."""
        try:
            match json.loads(text) if isinstance(text, str) else None:
                case [int(group), str(uri), str(prefix), int(rule), str(whitelist), bool(whole)]:
                    return cls(group, uri, prefix, rule, whitelist, whole)
        except (ValueError, RecursionError):
            pass
        return None


def request_of(run: Run) -> Message | None:
    """The request of a run; None in routes of replies and where there is none."""
    message = run.message
    return message if isinstance(message, Message) and message.is_request else None


def uri_of(message: Message) -> SipUri | None:
    """The Request-URI as it is now; None when it is none."""
    try:
        return SipUri.parse(message.uri or "")
    except SipSyntaxError:
        return None


def user_for(user: str, gateway: Gateway, *, strip: bool = True, prefix: bool = True) -> str:
    """A dialled number as a gateway wants it."""
    if strip and gateway.strip:
        user = user[gateway.strip :] if user.isascii() else decode(encode(user)[gateway.strip :])
    return f"{gateway.prefix}{user}" if prefix else user


@dataclass(frozen=True, slots=True)
class Dialled:
    """What a Request-URI has beside the place it goes to: the user, and text to go behind user and place."""

    user: str
    password: str
    params: str
    headers: str | None

    @classmethod
    def of(cls, uri: SipUri) -> Dialled:
        return cls(
            uri.user or "",
            "" if uri.password is None else f":{uri.password}",
            f";{uri.params}" if uri.params else "",
            uri.headers,
        )

    def uri_for(self, gateway: Gateway) -> str:
        """The Request-URI for a gateway: its own address and parameters, the number and the parameters from here."""
        user = user_for(self.user, gateway) if gateway.strip or gateway.prefix else self.user
        at = f"{user}{self.password}@" if user else ""
        headers = gateway.uri.headers or self.headers
        tail = f"?{headers}" if headers else ""
        return f"{gateway.uri.scheme}:{at}{gateway.place}{self.params}{tail}"


def apply(run: Run, partition: Partition, base: SipUri, hops: Sequence[Hop], rule: Rule | None = None) -> bool:
    """Send the request of `run` to the first of `hops`, and keep the others; False when there is no request.

    What an earlier routing has left must have been cleared.
    """
    message = request_of(run)
    if message is None:
        return False
    dialled, first = Dialled.of(base), hops[0].gateway
    message.branch.uri = dialled.uri_for(first)  # a URI, as it is made of parts of two
    if first.socket is not None:
        message.branch.socket = first.socket
    names, avps = partition.avps, run.avps
    backwards = hops[::-1]
    if len(hops) > 1:
        later = backwards[:-1]
        avps[names.ruri] = [dialled.uri_for(hop.gateway) for hop in later]
        avps[names.socket] = [str(hop.gateway.socket or "") for hop in later]
    avps[names.gateway] = [hop.gateway.id for hop in backwards]
    avps[names.gateway_attributes] = [hop.gateway.attributes for hop in backwards]
    avps[names.carrier_attributes] = [hop.carrier.attributes if hop.carrier else "" for hop in backwards]
    if names.prefix:
        avps[names.prefix] = [hop.gateway.prefix for hop in backwards]
    if names.carrier:
        avps[names.carrier] = [hop.carrier.id if hop.carrier else "" for hop in backwards]
    if rule is not None:
        note_rule(run, names, rule)
        avps[names.rule_attributes] = [rule.attributes]
    return True


def note_rule(run: Run, names: AvpNames, rule: Rule) -> None:
    """Tell which rule was found."""
    if names.rule:
        run.avps[names.rule] = [rule.id]
    if names.rule_prefix:
        run.avps[names.rule_prefix] = [rule.prefix]


def next_hop(run: Run, partition: Partition) -> bool:
    """Send the request to the next gateway that an earlier `apply` has kept and that can be used now.

    False when there is none; nothing of the gateway that has been used is left then.
    """
    message, data = request_of(run), partition.data
    names, avps = partition.avps, run.avps
    while True:
        for name in (names.gateway, names.gateway_attributes, names.carrier_attributes, names.prefix, names.carrier):
            _pop(avps, name)
        uri, socket = _pop(avps, names.ruri), _pop(avps, names.socket)
        if message is None or not isinstance(uri, str):
            return False
        gateway = data.gateways.get(str(_last(avps, names.gateway))) if data is not None else None
        if gateway is None or not gateway.usable:
            continue
        sender = sip_service(partition.services).socket_named(socket) if socket and isinstance(socket, str) else None
        if _put(message, uri, sender):
            return True


def attributes_now(run: Run, names: AvpNames) -> tuple[str | None, str | None, str | None]:
    """The attributes of rule, gateway and carrier in use; None where there is no rule."""
    kept = (names.rule_attributes, names.gateway_attributes, names.carrier_attributes)
    found = [value if isinstance(value := _last(run.avps, name), str) else None for name in kept]
    return found[0], found[1], found[2]


def _put(message: Message, uri: str, socket: ListeningSocket | None) -> bool:
    try:
        message.uri = uri
    except SipSyntaxError as error:
        log.error("'%s' cannot be sent to: %s", uri, error)
        return False
    if socket is not None:
        message.branch.socket = socket
    return True


def _pop(avps: dict[str, list[Value]], name: str) -> Value:
    """Take the newest value of an AVP; one without values is not there."""
    values = avps.get(name)
    if not values:
        return None
    value = values.pop()
    if not values:
        del avps[name]
    return value


def _last(avps: dict[str, list[Value]], name: str) -> Value:
    values = avps.get(name)
    return values[-1] if values else None
