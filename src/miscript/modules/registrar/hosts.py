"""Which contacts are behind an address: the next hop of a contact as a host and a port."""

from __future__ import annotations

from collections.abc import Iterable

from ...sip.location import Contact
from ...sip.sockets import DEFAULT_PORTS, ip_address
from ...sip.uri import SipUri
from ...sip_service import SipService


def place_of(uri: SipUri) -> tuple[str, int]:
    """Host (an address in its shortest form) and port that a URI names."""
    transport = "tls" if uri.is_secure else "udp"
    host = uri.host.lower()
    return ip_address(host) or host, uri.port or DEFAULT_PORTS[transport]


def registered_place(contact: Contact) -> tuple[str, int] | None:
    """Where a contact came from: what the registrar received, else its own host."""
    try:
        return place_of(SipUri.parse(contact.received or contact.uri))
    except ValueError:
        return None


async def addresses_of(host: str, sip: SipService) -> set[str]:
    """The addresses of a host; an address is its own."""
    own = ip_address(host)
    if own is not None:
        return {own}
    try:
        targets = await sip.resolve(SipUri.parse(f"sip:{host}"))
    except ValueError:
        return set()
    return {target.address for target in targets}


async def behind(contacts: Iterable[Contact], addresses: set[str], port: int | None, sip: SipService) -> list[Contact]:
    """The contacts whose next hop has one of these addresses, and that port where it is given."""
    known: dict[str, set[str]] = {}
    found: list[Contact] = []
    for contact in contacts:
        hop = contact.next_hop
        if hop is None:
            continue
        host, its_port = place_of(hop)
        if host not in known:
            known[host] = await addresses_of(host, sip)
        if known[host] & addresses and port in (None, its_port):
            found.append(contact)
    return found
