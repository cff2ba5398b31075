"""Whether a message comes from behind a NAT.

Source: RFC 1918, RFC 6598 and RFC 6333 (addresses); OpenSIPS manual, module nathelper (`nat_uac_test`).
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from ...sip.message import Message
from ...sip.name_addr import NameAddr
from ...sip.sockets import DEFAULT_PORTS, ip_address
from ...sip.syntax import SipSyntaxError
from ...sip.uri import SipUri
from .sdp import connection_addresses

CARRIER_GRADE: Final = "carrier-grade-nat"

PRIVATE: Final = tuple(
    ipaddress.IPv4Network(text)
    for text in ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8")
)
"""RFC 1918, RFC 6598, and the loopback network, which the server counts too."""

DUAL_STACK_LITE: Final = ipaddress.IPv4Network("192.0.0.0/29")
"""RFC 6333 section 5.7."""


def is_private(host: str, carrier_grade: bool) -> bool:
    """Whether a host is an address that nobody outside can reach; a name is not."""
    text = ip_address(host)
    if text is None or ":" in text:
        return False
    address = ipaddress.IPv4Address(text)
    return any(address in network for network in PRIVATE) or (carrier_grade and address in DUAL_STACK_LITE)


def contacts_of(message: Message) -> list[SipUri]:
    """The URIs of all Contacts that can be read and have a host; a telephone number tells nothing about addresses."""
    found: list[SipUri] = []
    for value in message.headers("Contact"):
        if value.strip() == "*":
            continue
        try:
            uris = [contact.sip_uri() for contact in NameAddr.parse_many(value)]
        except SipSyntaxError:
            continue
        found += [uri for uri in uris if uri.host]
    return found


def _private_contact(message: Message, carrier_grade: bool) -> bool:
    return any(is_private(uri.host, carrier_grade) for uri in contacts_of(message))


def _private_via(message: Message, carrier_grade: bool) -> bool:
    via = message.first_via
    return via is not None and is_private(via.host, carrier_grade)


def _private_sdp(message: Message, carrier_grade: bool) -> bool:
    found = connection_addresses(message.header("Content-Type"), message.body)
    return any(is_private(address, carrier_grade) for address in found)


def _other_ip_in_via(message: Message, carrier_grade: bool) -> bool:
    via = message.first_via
    return via is not None and not _is_address(via.host, message.source[0])


def _other_port_in_via(message: Message, carrier_grade: bool) -> bool:
    via = message.first_via
    return via is not None and (via.port or DEFAULT_PORTS.get(via.transport.lower(), 5060)) != message.source[1]


def _other_ip_in_contact(message: Message, carrier_grade: bool) -> bool:
    return any(not _is_address(uri.host, message.source[0]) for uri in contacts_of(message)[:1])


def _other_port_in_contact(message: Message, carrier_grade: bool) -> bool:
    return any((uri.port or _default_port(uri)) != message.source[1] for uri in contacts_of(message)[:1])


def _default_port(uri: SipUri) -> int:
    try:
        transport = uri.transport
    except SipSyntaxError:
        transport = None
    return DEFAULT_PORTS.get((transport or ("tls" if uri.is_secure else "udp")).lower(), 5060)


def _is_address(host: str, address: str) -> bool:
    return ip_address(host) == address


CHECKS: Final[Mapping[str, Callable[[Message, bool], bool]]] = {
    "private-contact": _private_contact,
    "diff-ip-src-via": _other_ip_in_via,
    "private-via": _private_via,
    "private-sdp": _private_sdp,
    "diff-port-src-via": _other_port_in_via,
    "diff-ip-src-contact": _other_ip_in_contact,
    "diff-port-src-contact": _other_port_in_contact,
}
"""What `nat_uac_test()` can check, by name."""

CHECK_FLAGS: Final = frozenset({*CHECKS, CARRIER_GRADE})


def parse_flags(text: str, known: Iterable[str]) -> frozenset[str]:
    """Flags separated by commas.  Raises ValueError for one that is not known."""
    names = frozenset(known)
    found = [word.strip() for word in text.split(",")]
    for word in found:
        if word not in names:
            raise ValueError(f"unknown flag '{word}', expected some of {', '.join(sorted(names))}")
    return frozenset(found)


def is_behind_nat(message: Message, flags: frozenset[str]) -> bool:
    """Whether one of the checks says so."""
    return any(check(message, CARRIER_GRADE in flags) for name, check in CHECKS.items() if name in flags)
