"""Module proto_tls: SIP over TLS.

The host opens the sockets and keeps the connections, as for TCP; certificates and rules are those of the domains of
`tls_mgm`.  Sending and handshakes never hold up anything else here, so the timeouts of the server, which are meant for
a worker that waits, are limits of a longer kind: a handshake may always take three seconds, what is sent may wait ten.

Source: OpenSIPS manual, module proto_tls; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

from typing import Final

from ..errors import ConfigurationError, MIError
from ..exports import Module, mi_command, parameter
from ..sip_service import take_default_port
from ..tls_service import TlsBehaviour

__all__ = ["ProtoTls"]

LEAST_HANDSHAKE: Final = 3.0
LEAST_SEND: Final = 10.0
"""Seconds."""


class ProtoTls(Module):
    """SIP over TLS."""

    name = "proto_tls"
    needs = ("tls_mgm",)
    early = True

    tls_port = parameter(5061, "The port of sockets and destinations of TLS that have none.")
    tls_crlf_pingpong = parameter(1, "1: CRLF CRLF is answered with CRLF.")
    tls_crlf_drop = parameter(0, "Without meaning here: a line end between messages is always dropped.")
    tls_max_msg_chunks = parameter(4, "Pieces that a message may come in; one that comes in more ends its connection.")
    tls_send_timeout = parameter(
        100, "Milliseconds that a peer may leave what was sent unread; less than 10000 counts as 10000."
    )
    tls_handshake_timeout = parameter(
        100, "Milliseconds that a handshake may take; less than 3000 counts as 3000, because nobody waits for it."
    )
    tls_async = parameter(1, "Without meaning here: connecting and sending never hold up anything else.")
    tls_async_max_postponed_chunks = parameter(
        32, "Without meaning here: at most 1 MiB may wait for a peer, then its connection ends."
    )
    cert_check_on_conn_reusage = parameter(
        0, "1: a connection that we opened is used again only for messages of the same client domain."
    )
    trace_destination = parameter("", "A `hep_id`; nothing here traces connections.")
    trace_on = parameter(0, "Whether tracing of connections is on at the start: what `tls_trace` shows.")
    trace_filter_route = parameter("", "Route that chooses which connections are traced; it is not called.")

    def init(self) -> None:
        take_default_port(self.services, "tls", self.tls_port, "tls_port")
        if self.tls_max_msg_chunks < 1:
            raise ConfigurationError(
                f"a message cannot come in {self.tls_max_msg_chunks} pieces, expected 1 or more",
                parameter="tls_max_msg_chunks",
            )
        self.services.provide(
            "tls behaviour",
            TlsBehaviour(
                handshake=max(self.tls_handshake_timeout / 1000, LEAST_HANDSHAKE),
                send=max(self.tls_send_timeout / 1000, LEAST_SEND),
                pieces=self.tls_max_msg_chunks,
                answers_pings=bool(self.tls_crlf_pingpong),
                same_domain=bool(self.cert_check_on_conn_reusage),
            ),
        )

    @mi_command("trace", "", "trace_mode", aliases=["tls_trace"], module="tls")
    def mi_trace(self, trace_mode: str | None = None) -> object:
        """shows whether connections are traced, or switches that on or off"""
        if trace_mode is None:
            return {"TLS tracing": "on" if self.trace_on else "off"}
        mode = trace_mode.lower()
        if not mode.startswith(("on", "off")):
            raise MIError(500, "Bad parameter value", "trace_mode should be 'on' or 'off'")
        self.trace_on = int(mode.startswith("on"))
        return "OK"
