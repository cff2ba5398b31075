"""Module pike: addresses that send too much are told, so that the script can turn them away.

`pike_check_req()` counts a request for the address it came from.  With `check_route` every request and reply that can
be read is counted before anything else sees it: the route is run for it, a `drop` there means that its address is not
watched, and what comes from an address that floods is dropped without a word.

Source: OpenSIPS manual, module pike; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import ipaddress
import logging
import socket
from typing import Final

from ...errors import ConfigurationError, MIError
from ...exports import Module, mi_command, parameter, script_function
from ...log_levels import python_level
from ...script.runtime import Run
from ...services import Services
from ...sip.message import Message
from ...sip_service import sip_service
from ...status_report import MAIN, StatusReport
from .tree import AddressTree, Verdict

__all__ = ["Pike"]

log = logging.getLogger("miscript.pike")

EVENT: Final = "E_PIKE_BLOCKED"
GROUP: Final = "pike"
CODES: Final = {Verdict.FINE: 1, Verdict.BLOCKED: -1, Verdict.NEWLY_BLOCKED: -2}

FORGOTTEN_AT_ONCE: Final = 2000
"""Nodes that are dropped at a time; then others have their turn."""


class Pike(Module):
    """Finds addresses that send too much."""

    name = "pike"
    events = (EVENT,)

    sampling_time_unit = parameter(2, "Seconds of an interval.")
    reqs_density_per_unit = parameter(30, "Requests of one address in an interval that are fine.")
    remove_latency = parameter(120, "Seconds after which an address that sends nothing is forgotten.")
    pike_log_level = parameter(1, "Log level of lines about addresses that are blocked and freed.")
    check_route = parameter("", "Route that is run for each message; with it all messages are counted.")

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.tree = AddressTree(0)
        self._report: StatusReport | None = None

    def init(self) -> None:
        for name in ("sampling_time_unit", "reqs_density_per_unit", "remove_latency"):
            if getattr(self, name) <= 0:
                raise ConfigurationError(f"{name} must be positive", parameter=name)
        if self.remove_latency < self.sampling_time_unit:
            self.remove_latency = self.sampling_time_unit + 1  # freed addresses are told before they are forgotten
        self.tree = AddressTree(self.reqs_density_per_unit)
        self._report = self.services.find("status_report")
        if self._report is not None:
            self._report.register(GROUP, MAIN, status=1, details="").reports.clear()
        if self.check_route:
            sip_service(self.services).hooks.screens.append(self._screen)

    async def start(self) -> None:
        if self.check_route and ("route", self.check_route) not in self.services.routes.script.routes:
            raise ConfigurationError(f"there is no route '{self.check_route}'", parameter="check_route")
        self.services.tasks.every(self.sampling_time_unit, self._end_interval, "the intervals of pike")
        self.services.tasks.every(1, self._forget, "forgetting addresses in pike")

    # -- counting -----------------------------------------------------------------------------------------------------

    def _count(self, message: Message) -> Verdict:
        host = message.source[0]
        packed = _packed(host)
        if packed is None:
            return Verdict.FINE
        verdict = self.tree.count(packed, self.services.clock.monotonic())
        if verdict is Verdict.NEWLY_BLOCKED:
            log.log(python_level(self.pike_log_level), "%s is blocked", host)
            if self._report is not None:
                self._report.report(GROUP, MAIN, f"IP {host} detected as flooding")
            self.services.events.raise_event(EVENT, [("ip", host)])
        return verdict

    @script_function(routes="request")
    def pike_check_req(self, run: Run) -> int:
        """Count the request for its address: 1 when that is fine, -1 when the address floods, -2 when it begins to."""
        return 1 if run.message is None else CODES[self._count(run.message)]

    async def _screen(self, message: Message) -> bool:
        """Whether a message that came may go on."""
        ended = await self.services.routes.run_route("route", self.check_route, message=message)
        return ended.dropped or self._count(message) is Verdict.FINE

    def _end_interval(self) -> None:
        for address in self.tree.end_interval():
            log.log(python_level(self.pike_log_level), "%s is not blocked any more", ipaddress.ip_address(address))

    async def _forget(self) -> None:
        before = self.services.clock.monotonic() - self.remove_latency
        while self.tree.forget(before, FORGOTTEN_AT_ONCE) == FORGOTTEN_AT_ONCE:
            await self.services.clock.sleep(0)

    # -- commands -----------------------------------------------------------------------------------------------------

    @mi_command("list", "", aliases=["pike_list"], read_only=True)
    def mi_list(self) -> dict[str, list[str]]:
        """tells the addresses that are blocked"""
        return {"IPs": [str(ipaddress.ip_address(address)) for address in self.tree.blocked()]}

    @mi_command("rm", "ip", aliases=["pike_rm"])
    def mi_rm(self, ip: str) -> str:
        """frees an address that is blocked"""
        packed = _packed(ip)
        if packed is None:
            raise MIError(500, "Bad IP")
        if not self.tree.remove(packed):
            raise MIError(404, "Match not found")
        return "OK"


def _packed(host: str) -> bytes | None:
    """The bytes of an address, IPv6 with or without brackets; None when it is none."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.inet_pton(family, host.strip("[]"))
    except (OSError, UnicodeError, ValueError):
        return None
