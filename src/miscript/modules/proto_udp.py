"""Module proto_udp: SIP over UDP.

The host opens the sockets; what is left for the module is the port that is not written.

Source: OpenSIPS manual, module proto_udp.
"""

from __future__ import annotations

from ..errors import ConfigurationError
from ..exports import Module, parameter
from ..sip_service import sip_service

__all__ = ["ProtoUdp"]


class ProtoUdp(Module):
    """SIP over UDP."""

    name = "proto_udp"
    early = True

    udp_port = parameter(5060, "The port of sockets and destinations of UDP that have none.")

    def init(self) -> None:
        if not 0 < self.udp_port < 65536:
            raise ConfigurationError(f"'{self.udp_port}' is no port", parameter="udp_port")
        if self.udp_port != 5060:
            sip_service(self.services).set_default_port("udp", self.udp_port)
