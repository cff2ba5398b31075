"""Module proto_tcp: SIP over TCP.

The host opens the sockets and keeps the connections; the module says how they behave.  The switch for tracing them,
which clients read and set, is kept; nothing here traces connections.

Source: OpenSIPS manual, module proto_tcp; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from ..errors import ConfigurationError
from ..exports import Module, mi_command, parameter
from ..mi.jsonrpc import invalid_params
from ..sip_service import take_default_port
from ..tcp_behaviour import TcpBehaviour

__all__ = ["ProtoTcp"]


class ProtoTcp(Module):
    """SIP over TCP."""

    name = "proto_tcp"
    early = True

    tcp_port = parameter(5060, "The port of sockets and destinations of TCP that have none.")
    tcp_crlf_pingpong = parameter(1, "1: CRLF CRLF is answered with CRLF.")
    tcp_crlf_drop = parameter(0, "Without meaning here: a line end between messages is always dropped.")
    tcp_max_msg_chunks = parameter(
        0, "Pieces that a message may come in, 0: any number within `tcp_max_msg_time`; with more its connection ends."
    )
    tcp_send_timeout = parameter(100, "Without meaning here: sending never holds up anything else.")
    tcp_async = parameter(1, "Without meaning here: connecting and sending never hold up anything else.")
    tcp_async_max_postponed_chunks = parameter(
        32, "Without meaning here: at most 1 MiB may wait for a peer, then its connection ends."
    )
    tcp_async_local_write_timeout = parameter(10, "Without meaning here.")
    trace_destination = parameter("", "A `hep_id`; nothing here traces connections.")
    trace_on = parameter(0, "Whether tracing of connections is on at the start: what `tcp_trace` shows.")
    trace_filter_route = parameter("", "Route that chooses which connections are traced; it is not called.")

    def init(self) -> None:
        take_default_port(self.services, "tcp", self.tcp_port, "tcp_port")
        if self.tcp_max_msg_chunks < 0:
            raise ConfigurationError(
                f"a message cannot come in {self.tcp_max_msg_chunks} pieces", parameter="tcp_max_msg_chunks"
            )
        behaviour = TcpBehaviour(bool(self.tcp_crlf_pingpong), self.tcp_max_msg_chunks)
        self.services.provide("tcp behaviour", behaviour)

    @mi_command("trace", "", "trace_mode", aliases=["tcp_trace"])
    def mi_trace(self, trace_mode: str | None = None) -> object:
        """shows whether connections are traced, or switches that on or off"""
        if trace_mode is None:
            return {"TCP tracing": "on" if self.trace_on else "off"}
        mode = trace_mode.lower()
        if not mode.startswith(("on", "off")):
            raise invalid_params("trace_mode should be 'on' or 'off'")
        self.trace_on = int(mode.startswith("on"))
        return "OK"
