"""Module proto_tcp: SIP over TCP.

The host opens the sockets and keeps the connections; what is left for the module is the switch for tracing them,
which clients read and set.  It is kept, nothing here traces connections.

Source: OpenSIPS manual, module proto_tcp; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from ..exports import Module, mi_command, parameter
from ..mi.jsonrpc import invalid_params

__all__ = ["ProtoTcp"]


class ProtoTcp(Module):
    """SIP over TCP."""

    name = "proto_tcp"

    trace_on = parameter(0, "Whether tracing of connections is on at the start: what `tcp_trace` shows.")

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
