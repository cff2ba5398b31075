"""Module freeswitch: connections to the event sockets of FreeSWITCH servers.

It has no functions of its own.  Others get `freeswitch` from the services (miscript.freeswitch_service): one
connection for each server, however many modules and scripts use it, with counted subscriptions and the heartbeat's
figures.  A connection that is lost comes back by itself.

Source: OpenSIPS manual, module freeswitch; FreeSWITCH documentation, "mod_event_socket".
"""

from __future__ import annotations

from ...errors import ConfigurationError
from ...exports import Module, parameter
from .link import Limits
from .table import LinkTable

__all__ = ["Freeswitch"]


class Freeswitch(Module):
    """Connections to the event sockets of FreeSWITCH servers."""

    name = "freeswitch"
    early = True

    event_heartbeat_interval = parameter(1, "Seconds between two HEARTBEAT events, as they are expected.")
    esl_connect_timeout = parameter(5000, "Milliseconds that a connection with its login may take.")
    esl_cmd_timeout = parameter(5000, "Milliseconds that a command may take, without the time to connect.")
    esl_cmd_polling_itv = parameter(1000, "Accepted; nothing polls here, replies are waited for.")

    table: LinkTable | None = None

    def init(self) -> None:
        for name in ("event_heartbeat_interval", "esl_connect_timeout", "esl_cmd_timeout"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive, found {getattr(self, name)}", parameter=name)
        limits = Limits(self.esl_connect_timeout / 1000, self.esl_cmd_timeout / 1000)
        self.table = LinkTable(self.services, self.event_heartbeat_interval, limits)
        self.services.provide("freeswitch", self.table)

    async def stop(self) -> None:
        if self.table is not None:
            await self.table.close()
