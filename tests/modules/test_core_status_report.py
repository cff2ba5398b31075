"""Statuses and reports of the core and of modules."""

from __future__ import annotations

import pytest

from core_parts import CoreHost, a_run
from miscript.status_report import MAX_REPORTS, StatusReport
from miscript.values import INT_MIN

INITIALIZING = {"Readiness": False, "Status": -1, "Details": "initializing"}
RUNNING = {"Readiness": True, "Status": 1, "Details": "running"}


class Listener:
    def __init__(self):
        self.heard = []

    def deliver(self, event, attributes):
        self.heard.append((event, dict(attributes)))


@pytest.fixture
def host():
    return CoreHost()


def test_the_core_is_not_ready_before_the_startup_route_has_ended(host):
    assert host.mi("sr_get_status", ["core"]) == INITIALIZING
    assert host.mi("sr_get_status", ["core", "main"]) == INITIALIZING
    assert host.core.sr_check_status(a_run(), "core") == -1
    host.services.find("core is ready")()
    assert host.mi("sr_get_status", ["core"]) == RUNNING
    assert host.core.sr_check_status(a_run(), "core", "main") == 1


def test_lists_are_of_all_groups_or_of_one(host):
    main = {"Name": "main"} | INITIALIZING
    assert host.mi("sr_list_status") == [{"Name": "core", "Identifiers": [main]}]
    assert host.mi("sr_list_status", ["core"]) == [main]
    assert host.mi("sr_list_identifiers") == [{"Group": "core", "Identifiers": ["main"]}]
    assert host.mi("sr_list_identifiers", ["core"]) == {"Group": "core", "Identifiers": ["main"]}


def test_groups_are_listed_from_the_newest_to_the_oldest(host):
    host.core.status_report.register("drouting", status=1, details="")
    assert [one["Name"] for one in host.mi("sr_list_status")] == ["drouting", "core"]
    assert [one["Name"] for one in host.mi("sr_list_reports")] == ["drouting", "core"]
    assert [one["Group"] for one in host.mi("sr_list_identifiers")] == ["drouting", "core"]


def test_reports_tell_when_and_what(host):
    host.clock.now += 3
    host.core.core_is_ready()
    reports = host.mi("sr_list_reports", ["core", "main"])
    assert [(report["Timestamp"], report["Log"]) for report in reports] == [
        (1_000_000, "initializing"),
        (1_000_003, "initialization completed, ready now"),
    ]
    assert list(reports[0]) == ["Timestamp", "Date", "Log"]
    assert host.mi("sr_list_reports", ["core"]) == [{"Name": "main", "Reports": reports}]
    assert host.mi("sr_list_reports") == [{"Name": "core", "Identifiers": [{"Name": "main", "Reports": reports}]}]


def test_unknown_names_are_errors(host):
    assert host.mi("sr_get_status", ["nogroup"]) == (404, "Group not found")
    assert host.mi("sr_get_status", ["core", "noident"]) == (404, "Identity not found")
    assert host.mi("sr_list_status", ["nogroup"]) == (404, "Group not found")
    assert host.mi("sr_list_identifiers", ["nogroup"]) == (404, "Group not found")
    assert host.mi("sr_list_reports", ["nogroup"]) == (404, "Group not found")
    assert host.mi("sr_list_reports", ["core", "noident"]) == (404, "Identifier not found")
    assert host.core.sr_check_status(a_run(), "core", "noident") == INT_MIN


def test_a_module_brings_its_own_group(host):
    registry = host.services.find("status_report")
    registry.register("dispatcher", "default", status=2, details="data available")
    assert host.mi("sr_get_status", ["dispatcher", "default"])["Readiness"] is True
    assert host.mi("sr_get_status", ["dispatcher"]) == (404, "Identity not found")


def test_a_status_that_changes_raises_an_event_once(host):
    listener = Listener()
    host.events.subscribe("E_CORE_SR_STATUS_CHANGED", listener)
    host.core.core_is_ready()
    host.core.core_is_ready()
    assert listener.heard == [
        (
            "E_CORE_SR_STATUS_CHANGED",
            {"group": "core", "identifier": "main", "status": 1, "details": "running", "old_status": -1},
        )
    ]


def test_only_the_latest_reports_are_kept():
    registry = StatusReport(lambda: 0.0)
    found = registry.register("g", status=1, details="fine")
    few = registry.register("g", "few", status=1, details="fine", reports=2)
    for number in range(MAX_REPORTS + 5):
        registry.report("g", "main", str(number))
        registry.report("g", "few", str(number))
    assert len(found.reports) == MAX_REPORTS
    assert [report.text for report in few.reports] == [str(MAX_REPORTS + 3), str(MAX_REPORTS + 4)]


def test_registering_twice_keeps_the_first_and_removing_forgets():
    registry = StatusReport(lambda: 0.0)
    first = registry.register("g", "i", status=1, details="fine")
    assert registry.register("g", "i", status=-1, details="bad") is first
    registry.remove("g", "i")
    registry.remove("g", "i")
    with pytest.raises(LookupError):
        registry.find("g", "i")


def test_groups_and_identifiers_are_found_in_any_case():
    host = CoreHost()
    assert host.mi("sr_get_status", ["Core", "MAIN"]) == host.mi("sr_get_status", ["core"])
    assert host.mi("sr_list_identifiers", ["CORE"]) == {"Group": "core", "Identifiers": ["main"]}
    assert host.mi("sr_list_reports", ["CORE", "Main"]) == host.mi("sr_list_reports", ["core", "main"])


def test_what_may_be_left_out_counts_as_left_out_when_it_is_no_text():
    host = CoreHost()
    assert host.mi("sr_get_status", ["core", None]) == host.mi("sr_get_status", ["core"])
    assert host.mi("sr_list_status", [True]) == host.mi("sr_list_status")
    assert host.mi("sr_list_identifiers", [None]) == host.mi("sr_list_identifiers")
