"""The destinations of a request: the AVPs that keep them, and the request on its way to the first of them.

The AVPs have a value for each destination, the current one being the newest; what was chosen with the flag `a` lies
in front of what was chosen before.

Source: OpenSIPS manual, module dispatcher (`dst_avp` and the like, "ds_next_dst").
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from ...script.runtime import Run
from ...sip.branch import NO_Q
from ...sip.message import Message
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import SipService
from ...values import plain_text
from .choosing import Wishes
from .destinations import Destination
from .settings import Avps

OURS: Final = "dispatcher socket"
"""In the data of a run: the socket that a destination asked for."""


def keep(run: Run, avps: Avps, found: Sequence[Destination], wishes: Wishes) -> None:
    """Note what was chosen; only the attributes of the first where no other is to be tried."""
    if not wishes.append:
        for name in avps.all:
            run.avps.pop(name, None)
    listed = list(reversed(found)) if wishes.failover else []
    told = listed or [found[0]]
    run.avps.setdefault(avps.set_id, []).append(found[0].set_id)
    run.avps.setdefault(avps.count, []).append(len(listed))
    if listed:
        run.avps.setdefault(avps.destinations, []).extend(one.text for one in listed)
        run.avps.setdefault(avps.sockets, []).extend("" if one.socket is None else str(one.socket) for one in listed)
    if avps.attributes is not None:
        run.avps.setdefault(avps.attributes, []).extend(one.attributes for one in told)
    if avps.script_attributes is not None:
        run.avps.setdefault(avps.script_attributes, []).extend(one.script_attributes for one in told)


def current(run: Run, avps: Avps) -> tuple[int, str] | None:
    """Set and URI of the current destination, None when there is none."""
    texts, ids = run.avps.get(avps.destinations), run.avps.get(avps.set_id)
    if not texts or not ids or not isinstance(ids[-1], int) or texts[-1] is None:
        return None
    return ids[-1], plain_text(texts[-1])


def go_on(run: Run, avps: Avps) -> tuple[str, str] | None:
    """Drop the current destination; URI and socket of the next one, None when none is left."""
    for name in avps.lists:
        values = run.avps.get(name)
        if values:
            values.pop()
    texts, sockets = run.avps.get(avps.destinations), run.avps.get(avps.sockets)
    if not texts or texts[-1] is None:
        return None
    return plain_text(texts[-1]), plain_text(sockets[-1]) if sockets and sockets[-1] is not None else ""


def aim(run: Run, message: Message, text: str, socket: ListeningSocket | None, domain: bool) -> None:
    """Send the request to a URI, or with `domain` to its host in place of that of the Request-URI.

    Raises SipSyntaxError when one of the URIs is none.
    """
    if domain:
        message.branch.uri = with_domain(message.uri or "", SipUri.parse(text))
        message.branch.q = NO_Q
    else:
        message.branch.destination = text
    if socket is not None or message.branch.socket is run.data.get(OURS):
        message.branch.socket = socket
    run.data[OURS] = socket


def with_domain(uri: str, destination: SipUri) -> str:
    """A Request-URI with the host and port of a destination, and with the transport that it asks for.

    Raises SipSyntaxError for one that has no host.
    """
    old = SipUri.parse(uri)
    if not old.host:
        raise SipSyntaxError(f"'{uri}' has no host that could be another", 0)
    new = replace(old, host=destination.host, port_text=destination.port_text)
    transport = destination.transport
    if transport is None:
        return str(new)
    kept = [part for part in (old.params or "").split(";") if part and not _is_transport(part)]
    return str(replace(new, params=";".join([f"transport={transport}", *kept])))


def _is_transport(parameter: str) -> bool:
    return parameter.partition("=")[0].lower() == "transport"


def socket_of(sip: SipService, text: str) -> ListeningSocket | None:
    """The socket that an AVP names, None for any."""
    return sip.socket_named(text) if text else None
