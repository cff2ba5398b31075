"""The core's statistics and the commands that read and reset them."""

from __future__ import annotations

import pytest

from core_parts import CoreHost
from miscript.catalog import facts
from miscript.modules.core.processor_use import ProcessorUse

NOT_FOUND = (404, "Statistics Not Found")


@pytest.fixture
def host():
    host = CoreHost()
    host.statistics.register("script", "calls").add(5)
    host.statistics.register("script", "errors").add(2)
    host.statistics.register("script", "keep", resettable=False).add(1)
    return host


def test_the_core_has_every_statistic_that_opensips_has(host):
    for group, names in facts()["core"]["statistics"].items():
        assert {counter.name for counter in host.statistics.group(group)} == set(names), group


def test_values_come_in_the_order_of_asking_and_unknown_names_are_left_out(host):
    assert host.mi("get_statistics", [["errors", "nosuch", "calls"]]) == {"script:errors": 2, "script:calls": 5}
    assert list(host.mi("get_statistics", [["errors", "calls"]])) == ["script:errors", "script:calls"]


def test_a_colon_in_a_name_is_part_of_it_and_no_group(host):
    host.services.statistics.register("script", "grp:two")
    assert host.mi("get_statistics", [["grp:two", "script:calls"]]) == {"script:grp:two": 0}
    assert host.mi("reset_statistics", [["script:calls"]]) == (404, "Statistics Not Found")


def test_a_name_with_its_group_is_no_name(host):
    assert host.mi("get_statistics", [["script:calls"]]) == NOT_FOUND


def test_nothing_found_is_an_error(host):
    assert host.mi("get_statistics", [["nosuch", "nogroup:"]]) == NOT_FOUND


def test_all_are_every_group_with_the_load_at_the_end(host):
    found = list(host.mi("get_statistics", [["all"]]))
    assert found[0] == "shmem:total_size"
    assert found[-1] == "load:processes_number"
    assert "script:calls" in found


def test_readings_are_those_of_the_host(host):
    host.clock.now += 7
    found = host.mi("get_statistics", [["timestamp", "processes_number", "real_used_size", "max_used_size"]])
    assert found["core:timestamp"] == 7
    assert found["load:processes_number"] == 2
    assert found["shmem:real_used_size"] > 1_000_000
    assert found["shmem:max_used_size"] > 1_000_000


def test_a_list_names_groups_only_when_they_were_asked_for(host):
    assert host.mi("list_statistics", [["calls", "keep"]]) == {"calls": "incremental", "keep": "non-incremental"}
    assert host.mi("list_statistics", [["script:", "calls"]]) == {
        "script:keep": "non-incremental",
        "script:errors": "incremental",
        "script:calls": "incremental",
        "calls": "incremental",
    }
    assert host.mi("list_statistics", [["all"]]) == NOT_FOUND  # no group is called so
    everything = host.mi("list_statistics")
    assert everything["core:timestamp"] == "non-incremental"
    assert everything["script:calls"] == "incremental"


def test_reset_takes_names_and_leaves_what_shows_a_state(host):
    assert host.mi("reset_statistics", [["calls", "keep"]]) == "OK"
    assert host.mi("get_statistics", [["calls", "keep", "errors"]]) == {
        "script:calls": 0,
        "script:keep": 1,
        "script:errors": 2,
    }
    assert host.mi("reset_statistics", [["script:"]]) == NOT_FOUND
    assert host.mi("reset_statistics", [["nosuch"]]) == NOT_FOUND


def test_reset_all_resets_what_can_be(host):
    assert host.mi("reset_all_statistics") == "OK"
    assert host.mi("get_statistics", [["calls", "errors", "keep"]]) == {
        "script:calls": 0,
        "script:errors": 0,
        "script:keep": 1,
    }


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        ({"statistics": "calls"}, "Bad type for parameter 'statistics'"),
        ([[]], "Empty array in parameter 'statistics'"),
        ([[None]], "Bad type for array item in parameter 'statistics'"),
        (None, "Too few or too many parameters"),
    ],
)
def test_names_must_be_an_array(host, params, reason):
    assert host.mi("get_statistics", params) == (-32602, "Invalid params", reason)


def test_processor_use_is_the_share_of_the_period_asked_for():
    now, used = 0.0, 0.0
    use = ProcessorUse(lambda: now, lambda: used)
    assert use.percent(1) == 0
    now, used = 10.0, 5.0
    assert use.percent(1) == 50
    now, used = 12.0, 7.0
    assert use.percent(1) == 100
    assert use.percent(60) == round(100 * 7 / 12)
