"""Module proto_udp: SIP over UDP.

The host opens the sockets; what is left for the module is the port that is not written.

Source: OpenSIPS manual, module proto_udp.
"""

from __future__ import annotations

from ..exports import Module, parameter
from ..sip_service import take_default_port

__all__ = ["ProtoUdp"]


class ProtoUdp(Module):
    """SIP over UDP."""

    name = "proto_udp"
    early = True

    udp_port = parameter(5060, "The port of sockets and destinations of UDP that have none.")

    def init(self) -> None:
        take_default_port(self.services, "udp", self.udp_port, "udp_port")
