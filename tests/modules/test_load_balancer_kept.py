"""Loads of load_balancer after a restart, with dialogs in a database."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dialog_calls import Call, call
from kept_tables import KeptTables, until
from miscript.modules.load_balancer.balancer import Call as Counted
from miscript.modules.load_balancer.balancer import Session
from miscript.modules.load_balancer.destinations import Wishes
from miscript.modules.load_balancer.kept import call_of, call_text

PLACES = (("sip:10.0.0.3:5060", "pstn=2;vm=1"), ("sip:10.0.0.4:5060", "pstn=1"))
CHOOSE = 'lb_start(1, "pstn;vm");'


@pytest.fixture
def tables(tmp_path: Path) -> KeptTables:
    found = KeptTables(tmp_path, "dialog", "load_balancer")
    for uri, resources in PLACES:
        found.ask("INSERT INTO load_balancer (group_id, dst_uri, resources) VALUES (1, ?, ?)", uri, resources)
    return found


def established(tables: KeptTables, calls: list[Call], initial: str = CHOOSE, db_mode: int = 3, **parts: str) -> Call:
    lines = f'loadmodule "db_sqlite.so"\n{tables.loaded_by("dialog", db_mode=db_mode)}\nloadmodule "load_balancer.so"\n'
    one = call(parameters=lines + tables.loaded_by("load_balancer"), initial=initial, **parts)
    calls.append(one)
    one.established()
    return one


def loads(one: Call) -> dict[str, int]:
    return {
        f"{destination['id']} {resource['name']}": resource["load"]
        for destination in one.script.mi("lb_list")["Destinations"]  # type: ignore[index]  # JSON
        for resource in destination["Resources"]
        if resource["load"]
    }


@pytest.mark.parametrize("db_mode", [1, 2, 3])
def test_a_running_call_counts_again_after_a_restart_until_it_ends(tables, calls, db_mode: int):
    one = established(tables, calls, db_mode=db_mode)
    assert loads(one) == {"1 pstn": 1, "1 vm": 1}
    for _ in range(2):
        one.restart()
        assert loads(one) == {"1 pstn": 1, "1 vm": 1}
    one.request("BYE")
    one.bob.reply(one.bob.only("BYE"), 200)
    assert loads(one) == {}


def test_the_next_call_finds_no_room_that_a_call_from_before_the_restart_takes(tables, calls):
    one = established(tables, calls)
    one.restart(text=one.text.replace(CHOOSE, CHOOSE + ' xlog("$rc");'))
    second = Call(one.script, one.alice, one.bob, "call-2", text=one.text)
    second.request("INVITE")
    assert one.script.output == "-2"


def test_what_a_call_was_counted_for_can_be_undone_after_a_restart(tables, calls):
    count = 'lb_count_call("10.0.0.3", 5060, 1, "pstn;vm"); lb_count_call("10.0.0.4", 0, -1, "pstn");'
    undo = 'lb_count_call("10.0.0.3", 5060, 1, "vm", 1);'
    one = established(tables, calls, count, sequential=f'if (is_method("INFO")) {undo}')
    assert loads(one) == {"1 pstn": 1, "1 vm": 1, "2 pstn": 1}
    one.restart()
    assert loads(one) == {"1 pstn": 1, "1 vm": 1, "2 pstn": 1}
    one.request("INFO")
    assert loads(one) == {"1 pstn": 1, "2 pstn": 1}
    one.restart()
    assert loads(one) == {"1 pstn": 1, "2 pstn": 1}


def test_what_is_counted_within_a_call_is_written_with_it(tables, calls):
    count = 'if (is_method("INFO")) lb_count_call("10.0.0.4", 0, -1, "pstn");'
    one = established(tables, calls, "$var(unused) = 1;", db_mode=1, sequential=count)
    one.request("INFO")
    until(one.script, lambda: any(b"pstn" in (row[0] or b"") for row in tables.ask("SELECT vars FROM dialog")))
    one.restart()
    assert loads(one) == {"2 pstn": 1}


def test_a_dialog_goes_on_when_what_stands_with_it_is_no_call(tables, calls, caplog):
    one = established(tables, calls)
    one.script.close()
    tables.ask("UPDATE dialog SET vars = ?", b'miscript:load_balancer#1#{"session":7,"counted":[]}|')
    one.restart(text=one.text.replace("log_level=-3", "log_level=1", 1))
    assert loads(one) == {} and one.state == 4
    assert "'load_balancer'" in caplog.text


NUMBERS = st.integers(-(2**40), 2**40)
RESOURCES = st.lists(st.text(max_size=5), max_size=5).map(tuple)
SESSIONS = st.builds(
    Session,
    NUMBERS,
    RESOURCES,
    st.builds(Wishes, st.booleans(), st.booleans(), st.booleans()),
    st.lists(NUMBERS, max_size=5),
    st.none() | NUMBERS,
)


@given(st.builds(Counted, st.none() | SESSIONS, st.lists(st.tuples(NUMBERS, RESOURCES), max_size=5)))
def test_a_call_is_read_as_it_was_written(one: Counted):
    assert call_of(call_text(one)) == one


JSON = st.recursive(
    st.none() | st.booleans() | NUMBERS | st.text(max_size=5), lambda inner: st.lists(inner, max_size=4)
)
NAMES = ("group", "resources", "wishes", "tried", "current")


@given(
    st.text(max_size=30)
    | st.fixed_dictionaries(
        {
            "session": JSON | st.fixed_dictionaries({name: JSON | st.dictionaries(st.text(), JSON) for name in NAMES}),
            "counted": JSON,
        }
    )
)
def test_any_text_is_a_call_or_a_value_error(told: object):
    try:
        assert isinstance(call_of(told if isinstance(told, str) else json.dumps(told)), Counted)
    except ValueError:
        pass
