"""The state of host and modules: the MI commands of the group `status_report`, and `sr_check_status` of the script.

The core itself is the group `core`: not ready while the startup route runs, ready afterwards.

Source: OpenSIPS manual, "Status/Report Framework"; observed answers of OpenSIPS 4.1.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from ...errors import MIError
from ...exports import mi_command, script_function
from ...mi.parameters import Raw, text_or_none
from ...script.runtime import Run
from ...services import Services
from ...status_report import MAIN, Identifier, StatusReport
from ...values import INT_MIN
from .part import CorePart

CORE: Final = "core"
INITIALIZING: Final = -1
READY: Final = 1


class CoreStatusReport(CorePart):
    """The group `status_report` of the Management Interface.

    A parameter that may be left out and is no text counts as left out, as in the server.
    """

    def __init__(self, services: Services) -> None:
        super().__init__(services)
        self.status_report = StatusReport(services.clock.time, self._status_changed)
        self.status_report.register(CORE, status=INITIALIZING, details="initializing")
        services.provide("status_report", self.status_report)
        services.provide("core is ready", self.core_is_ready)

    def core_is_ready(self) -> None:
        """The startup route has ended."""
        self.status_report.set_status(CORE, MAIN, READY, "running", "initialization completed, ready now")

    def _status_changed(self, group: str, identifier: Identifier, before: int) -> None:
        self.services.events.raise_event(
            "E_CORE_SR_STATUS_CHANGED",
            [
                ("group", group),
                ("identifier", identifier.name),
                ("status", identifier.status),
                ("details", identifier.details),
                ("old_status", before),
            ],
        )

    # -- commands -------------------------------------------------------------------------------------------------

    @mi_command("get", "group", "group identifier", aliases=["sr_get_status"], module="status_report", read_only=True)
    def mi_sr_get_status(self, group: str, identifier: Raw = None) -> object:
        """tells the status of a group, or of one of its identifiers"""
        name = text_or_none(identifier)
        found = _called(self._group(group)[1], MAIN if name is None else name)
        if found is None:
            raise MIError(404, "Identity not found")
        return _status(found)

    @mi_command("status", "", "group", aliases=["sr_list_status"], module="status_report", read_only=True)
    def mi_sr_list_status(self, group: Raw = None) -> object:
        """lists the statuses of all identifiers, of all groups or of one"""
        wanted = text_or_none(group)
        if wanted is not None:
            return _statuses(self._group(wanted)[1])
        groups = self.status_report.groups
        return [{"Name": name, "Identifiers": _statuses(found)} for name, found in _newest_first(groups)]

    @mi_command(
        "reports",
        "",
        "group",
        "group identifier",
        aliases=["sr_list_reports"],
        module="status_report",
        read_only=True,
    )
    def mi_sr_list_reports(self, group: Raw = None, identifier: Raw = None) -> object:
        """lists the latest reports, of all groups, of one, or of one identifier"""
        wanted, name = text_or_none(group), text_or_none(identifier)
        if wanted is None:
            groups = self.status_report.groups
            return [{"Name": name, "Identifiers": _all_reports(found)} for name, found in _newest_first(groups)]
        _, identifiers = self._group(wanted)
        if name is None:
            return _all_reports(identifiers)
        found = _called(identifiers, name)
        if found is None:
            raise MIError(404, "Identifier not found")
        return _reports(found)

    @mi_command("identifiers", "", "group", aliases=["sr_list_identifiers"], module="status_report", read_only=True)
    def mi_sr_list_identifiers(self, group: Raw = None) -> object:
        """lists what has a status, in all groups or in one"""
        wanted = text_or_none(group)
        if wanted is not None:
            name, found = self._group(wanted)
            return {"Group": name, "Identifiers": list(found)}
        groups = self.status_report.groups
        return [{"Group": name, "Identifiers": list(found)} for name, found in _newest_first(groups)]

    def _group(self, name: str) -> tuple[str, Mapping[str, Identifier]]:
        """The group of that name, in any case, as it calls itself."""
        for known, found in self.status_report.groups.items():
            if known.lower() == name.lower():
                return known, found
        raise MIError(404, "Group not found")

    # -- functions ------------------------------------------------------------------------------------------------

    @script_function()
    def sr_check_status(self, run: Run, group: str, identifier: str = MAIN) -> int:
        """The status of an identifier as the return code: negative while it is not ready."""
        try:
            status = self.status_report.find(group, identifier).status
        except LookupError:
            return INT_MIN
        return status or INITIALIZING  # 0 would end the script


def _newest_first(groups: Mapping[str, Mapping[str, Identifier]]) -> list[tuple[str, Mapping[str, Identifier]]]:
    return list(groups.items())[::-1]


def _called(identifiers: Mapping[str, Identifier], name: str) -> Identifier | None:
    return next((found for known, found in identifiers.items() if known.lower() == name.lower()), None)


def _status(found: Identifier) -> dict[str, object]:
    shown: dict[str, object] = {"Readiness": found.ready, "Status": found.status}
    return shown | {"Details": found.details} if found.details else shown


def _statuses(identifiers: Mapping[str, Identifier]) -> list[dict[str, object]]:
    return [{"Name": found.name} | _status(found) for found in identifiers.values()]


def _reports(found: Identifier) -> list[dict[str, object]]:
    return [
        {"Timestamp": int(report.time), "Date": time.ctime(report.time), "Log": report.text} for report in found.reports
    ]


def _all_reports(identifiers: Mapping[str, Identifier]) -> list[dict[str, object]]:
    return [{"Name": found.name, "Reports": _reports(found)} for found in identifiers.values()]
