"""From one traced half of an MI exchange to the HEP packet that tells of it.

OpenSIPS calls the protocol TCP whatever the command came by, and so do we: receivers may filter by it.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address

from ..trace import NOWHERE, Address, TraceEvent
from .packet import IpAddress, IpProtocol, Packet, ProtocolType
from .payload import DEFAULT_DELIMITER, write_payload


def mi_packet(
    event: TraceEvent, *, capture_id: int = 1, homer5: bool = True, delimiter: str = DEFAULT_DELIMITER
) -> Packet:
    """The version 3 packet of `event`.

    An address that is not an IP address (the path of a UNIX socket) is written as 127.0.0.1, port 0; when one
    address is IPv6, an IPv4 one beside it becomes IPv4-mapped (RFC 4291, section 2.5.5.2).
    """
    (source, source_port), (destination, destination_port) = endpoints(event.source, event.destination)
    return Packet(
        source=source,
        destination=destination,
        source_port=source_port,
        destination_port=destination_port,
        protocol=IpProtocol.TCP,
        time=divmod(round(event.time * 1_000_000), 1_000_000),
        protocol_type=ProtocolType.MI,
        capture_id=capture_id,
        payload=write_payload(event.fields, homer5=homer5, delimiter=delimiter),
        correlation_id=event.correlation,
    )


def endpoints(source: Address, destination: Address) -> tuple[tuple[IpAddress, int], tuple[IpAddress, int]]:
    """Both ends of an event as a packet can tell them: IP addresses of one family, with their ports."""
    (here, here_port), (there, there_port) = _endpoint(source), _endpoint(destination)
    if here.version != there.version:
        here, there = _mapped(here), _mapped(there)
    return (here, here_port), (there, there_port)


def _endpoint(address: Address) -> tuple[IpAddress, int]:
    host, port = address
    try:
        return ip_address(host), port
    except ValueError:
        return ip_address(NOWHERE[0]), NOWHERE[1]


def _mapped(address: IpAddress) -> IPv6Address:
    return IPv6Address(f"::ffff:{address}") if isinstance(address, IPv4Address) else address
