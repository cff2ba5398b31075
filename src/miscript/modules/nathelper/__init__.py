"""Module nathelper: phones behind NATs, which tell addresses that nobody can reach.

Addresses in Contacts (`contacts`) and media (`sdp`) are replaced by the one that a message came from; `checks` tells
whether that is needed; `pinging` keeps the way to registered phones open.  Relaying media is not a part of it.

Source: OpenSIPS manual, module nathelper.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeVar

from ...errors import ConfigurationError, MIError
from ...exports import BoundText, Module, bound_function, mi_command, parameter, script_function
from ...location_service import location_service
from ...mi.command import Unread
from ...read_arguments import read_once, told
from ...script.runtime import Run
from ...script.signatures import Argument
from ...services import Services
from ...sip.message import Message
from ...sip.sockets import ListeningSocket
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from ...sip_service import sip_service
from ...values import text_of
from ...variable_spec import VariableSpec
from .checks import CHECK_FLAGS, is_behind_nat, parse_flags
from .contacts import (
    PRESERVE,
    are_changed,
    each_contact,
    from_source,
    received_in_field,
    received_in_uri,
    restored,
    source_uri,
)
from .pinging import Pinger, PingOptions
from .sdp import SDP_FLAGS, SdpChanges, changed_body

__all__ = ["NatHelper"]

log = logging.getLogger("miscript.nathelper")

WITH_MESSAGE = "request failure reply branch local"
MAX_PARTITIONS = 8

T = TypeVar("T")


class NatHelper(Module):
    """Phones behind NATs."""

    name = "nathelper"

    natping_interval = parameter(0, "Seconds from one ping of a contact to the next; 0 for none.")
    ping_nated_only = parameter(0, "1: only contacts with usrloc's nat_bflag are pinged.")
    natping_partitions = parameter(1, "In how many parts contacts are pinged, spread over the interval; at most 8.")
    natping_socket = parameter("", "Socket of ours that UDP pings are sent from.")
    received_avp = parameter("", "AVP for the URI that a REGISTER came from, as in module registrar.")
    force_socket = parameter("", "Socket of ours to ping contacts from that came to none which is there now.")
    sipping_bflag = parameter("", "Name of the branch flag of contacts that are pinged with a request.")
    remove_on_timeout_bflag = parameter("", "Name of the branch flag of contacts that are removed without answers.")
    sipping_latency_flag = parameter("", "Name of the branch flag of contacts whose time to answer is measured.")
    sipping_ignore_rpl_codes = parameter("", "Status codes that are no answers, with commas between.")
    sipping_from = parameter("", "URI in From of pings that are requests; without it there are none of them.")
    sipping_method = parameter("OPTIONS", "Method of pings that are requests.")
    nortpproxy_str = parameter("a=nortpproxy:yes\r\n", "Line that marks media as dealt with.")
    natping_tcp = parameter(0, "1: contacts with a connection are pinged too, with requests.")
    oldip_skip = parameter("", "o, c or both: old addresses that are not told in a=oldoip, a=oldcip.")
    ping_threshold = parameter(3, "Seconds behind which a ping is lost.")
    max_pings_lost = parameter(3, "How many lost pings in a row remove a contact.")
    cluster_id = parameter(0, "Number of a cluster; not available, must be 0.")
    cluster_sharing_tag = parameter("", "For clusters; it means nothing here.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self._sip = sip_service(services)
        self._received: VariableSpec | None = None
        self._pinger: Pinger | None = None

    def init(self) -> None:
        if self.received_avp:
            self._received = _checked("received_avp", VariableSpec.parse_avp, self.received_avp)
        if self.cluster_id:
            raise _wrong("cluster_id", self.cluster_id, "clusters are not available yet")
        if unknown := self.oldip_skip.strip("oc"):
            raise _wrong("oldip_skip", unknown, "expected o, c or oc")
        if self.natping_interval < 0:
            raise _wrong("natping_interval", self.natping_interval, "expected 0 or seconds")
        if self.natping_interval:
            self._pinger = self._made()

    def _made(self) -> Pinger:
        location = location_service(self.services)
        if location is None:
            raise _wrong("natping_interval", self.natping_interval, "pinging needs module usrloc")
        if not 1 <= self.natping_partitions <= MAX_PARTITIONS:
            raise _wrong("natping_partitions", self.natping_partitions, f"expected 1 to {MAX_PARTITIONS}")
        for name in ("ping_threshold", "max_pings_lost"):
            if getattr(self, name) < 1:
                raise _wrong(name, getattr(self, name), "expected at least 1")
        if self.sipping_from:
            _checked("sipping_from", SipUri.parse, self.sipping_from)
        ignored = _checked("sipping_ignore_rpl_codes", _status_codes, self.sipping_ignore_rpl_codes)
        return Pinger(
            self.services,
            location,
            PingOptions(
                interval=self.natping_interval,
                partitions=self.natping_partitions,
                nated_only=bool(self.ping_nated_only),
                over_streams=bool(self.natping_tcp),
                from_uri=self.sipping_from,
                method=self.sipping_method,
                request_flag=self.sipping_bflag,
                remove_flag=self.remove_on_timeout_bflag,
                latency_flag=self.sipping_latency_flag,
                ignored=ignored,
                threshold=self.ping_threshold,
                max_lost=self.max_pings_lost,
                socket=self._own("force_socket"),
                udp_socket=self._own("natping_socket"),
            ),
        )

    def _own(self, name: str) -> ListeningSocket | None:
        """The socket of ours that a parameter names; its `udp:` may be left out."""
        text: str = getattr(self, name)
        if not text:
            return None
        found = self._sip.socket_named(text) or self._sip.socket_named(f"udp:{text}")
        if found is None:
            raise _wrong(name, text, "expected a socket of this script")
        return found

    async def start(self) -> None:
        if self._pinger is not None:
            self._pinger.start()

    # -- Contacts -------------------------------------------------------------------------------------------------

    @bound_function(routes="request reply branch local")
    def fix_nated_contact(
        self, uri_params: BoundText | None = None, flags: BoundText | None = None
    ) -> Callable[[Run], int]:
        """Let Contacts have the address that the message came from, and more URI parameters (`;name=value`).

        `flags`: `preserve-uri` keeps the old host and port in the parameter `org`, for restore_nated_ruri().
        """
        wanted = _flags("fix_nated_contact", flags, (PRESERVE,))

        def fix(run: Run) -> int:
            message, chosen = run.message, wanted(run)
            if not isinstance(message, Message) or chosen is None:
                return -1
            if are_changed(message):
                log.error("fix_nated_contact: Contact has been changed already")
                return -1
            change = from_source(message, _text(run, uri_params), PRESERVE in chosen)
            return _done("fix_nated_contact", each_contact, message, change)

        return fix

    @script_function(routes="request branch local")
    def restore_nated_ruri(self, run: Run) -> int:
        """Let the Request-URI have host and port that fix_nated_contact() has kept, and be sent to where it led.

        -1 when it keeps none.
        """
        message = run.message
        if not isinstance(message, Message) or not message.is_request:
            return -1
        try:
            found = restored(message.uri or "")
        except SipSyntaxError as error:
            log.error("restore_nated_ruri: %s", error)
            return -1
        if found is None:
            return -1
        message.uri, message.branch.destination = found
        return 1

    @script_function(routes="request")
    def add_rcv_param(self, run: Run, flag: int = 0) -> int:
        """Add `received`, the URI that the message came from, to Contacts, or with `flag` 1 to their URIs."""
        message = run.message
        if not isinstance(message, Message):
            return -1
        change = received_in_uri(message) if flag else received_in_field(message)
        return _done("add_rcv_param", each_contact, message, change)

    @script_function(routes="request")
    def fix_nated_register(self, run: Run) -> int:
        """Write the URI that the message came from to the AVP of `received_avp`, for registrar."""
        message = run.message
        if not isinstance(message, Message) or self._received is None:
            log.error("fix_nated_register: received_avp is not set")
            return -1
        return 1 if self._received.set(run, source_uri(message)) else -1

    # -- media ----------------------------------------------------------------------------------------------------

    @bound_function(routes=WITH_MESSAGE)
    def fix_nated_sdp(
        self, flags: BoundText, ip_address: BoundText | None = None, sdp_fields: BoundText | None = None
    ) -> Callable[[Run], int]:
        """Change the description of media: a list of add-dir-active, rewrite-media-ip, add-no-rtpproxy,
        rewrite-origin-ip and rewrite-null-ips.

        `ip_address` is put in, the address that the message came from without it.  `sdp_fields` are lines to be added,
        each behind a line end.  -1 without a body.
        """
        wanted = _flags("fix_nated_sdp", flags, SDP_FLAGS)

        def fix(run: Run) -> int:
            message, chosen = run.message, wanted(run)
            if not isinstance(message, Message) or chosen is None:
                return -1
            body = message.written_body
            if not body:
                log.error("fix_nated_sdp: the message has no body")
                return -1
            address = _text(run, ip_address) or message.source[0]
            changes = SdpChanges(chosen, address, self.nortpproxy_str, self.oldip_skip, _text(run, sdp_fields))
            content_type = message.header("Content-Type")
            return _done("fix_nated_sdp", lambda: message.replace_body(changed_body(content_type, body, changes)))

        return fix

    # -- checks ---------------------------------------------------------------------------------------------------

    @bound_function(routes=WITH_MESSAGE)
    def nat_uac_test(self, flags: BoundText) -> Callable[[Run], int]:
        """Whether one of the checks says that the message comes from behind a NAT.

        A list of private-contact, diff-ip-src-via, private-via, private-sdp, diff-port-src-via, diff-ip-src-contact,
        diff-port-src-contact, and carrier-grade-nat, which widens the first ones.
        """
        wanted = _flags("nat_uac_test", flags, CHECK_FLAGS)

        def test(run: Run) -> int:
            message, chosen = run.message, wanted(run)
            return 1 if isinstance(message, Message) and chosen is not None and is_behind_nat(message, chosen) else -1

        return test

    # -- pings ----------------------------------------------------------------------------------------------------

    @mi_command("enable_ping", "", "status")
    def mi_enable_ping(self, status: Unread[int] | None = None) -> object:
        """tells whether contacts are pinged, or turns that on (1) or off (0)"""
        if self._pinger is None:
            raise MIError(400, "NATping disabled from script")
        if status is None:
            return {"Status": int(self._pinger.enabled)}
        self._pinger.enabled = status.read() != 0
        return "OK"


def _wrong(name: str, value: object, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{name} is '{value}': {expected}", parameter=name)


def _checked(name: str, read: Callable[[str], T], text: str) -> T:
    """The value of a parameter.  Raises ConfigurationError."""
    try:
        return read(text)
    except ValueError as error:
        raise _wrong(name, text, str(error)) from error


def _status_codes(text: str) -> frozenset[int]:
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not all(word.isascii() and word.isdecimal() and 200 <= int(word) < 700 for word in words):
        raise ValueError("expected status codes from 200 to 699, with commas between")
    return frozenset(map(int, words))


def _flags(function: str, argument: Argument | None, known: Iterable[str]) -> Callable[[Run], frozenset[str] | None]:
    """The flags of a call, checked when the script is compiled where they are written out."""
    if argument is None:
        return lambda run: frozenset()

    return read_once(argument, lambda text: parse_flags(text, known), told(log, function))


def _text(run: Run, argument: Argument | None) -> str:
    """The text of an argument, "" when it is left out or NULL."""
    value = None if argument is None else argument.get(run)
    return "" if value is None else text_of(value)


def _done(function: str, change: Callable[..., object], *arguments: object) -> int:
    """Change a message; -1, with a line in the log, when that cannot be done."""
    try:
        change(*arguments)
    except SipSyntaxError as error:
        log.error("%s: %s", function, error)
        return -1
    return 1
