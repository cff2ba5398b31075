"""Room of destinations and who has most of it; the choices are those of OpenSIPS 4.1."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.freeswitch_service import Heartbeat
from miscript.modules.load_balancer.destinations import (
    Destination,
    Loads,
    Wishes,
    candidates,
    most_room,
    parse_capacities,
    parse_resources,
    told_capacity,
)


def some(*texts: str, group: int = 1) -> list[Destination]:
    return [Destination(n, group, f"sip:10.0.0.{n}", parse_capacities(text).numbers) for n, text in enumerate(texts, 1)]


def chosen(among: list[Destination], resources: str, flags: str = "", calls: int = 1) -> list[int | None]:
    """The ids that so many calls get one after another, none of which ends."""
    loads, wishes, names, found = Loads(), Wishes.parse(flags), parse_resources(resources), []
    for _ in range(calls):
        one = most_room(candidates(among, 1, names, ()), names, loads, wishes, lambda n: n - 1)
        found.append(None if one is None else one.id)
        if one is not None:
            loads.add(one.id, names)
    return found


def test_calls_go_where_most_calls_can_still_go():
    among = some("pstn=3;vm=5", "pstn=10; vm=2", "pstn=4")
    assert chosen(among, "pstn", calls=18) == [2, 2, 2, 2, 2, 2, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3, None]


def test_or_where_the_largest_share_is_free():
    among = some("pstn=3", "pstn=10", "pstn=4")
    expected = [1, 2, 3, 2, 2, 3, 2, 1, 2, 2, 3, 2, 1, 2, 3, 2, 2, None]
    assert chosen(among, "pstn", "r", calls=18) == expected


def test_or_beyond_what_is_there_when_that_is_wished():
    assert chosen(some("pstn=1", "pstn=1", "conf=9"), "pstn", "n", calls=5) == [1, 2, 1, 2, 1]
    assert chosen(some("pstn=0"), "pstn") == [None]
    assert chosen(some("pstn=0"), "pstn", "nr") == [1]


def test_the_scarcest_resource_counts():
    assert chosen(some("pstn=9;vm=1", "pstn=2;vm=2"), "vm;pstn") == [2]


def test_any_of_the_best_when_that_is_wished():
    assert chosen(some("a=2", "a=2", "a=1"), "a", "s") == [2]


def test_only_those_of_the_group_in_service_that_have_everything_and_were_not_tried():
    among = some("a=1;b=1", "a=1", "a=1;b=1", "a=1;b=1")
    among[2].enabled = False
    among += some("a=1;b=1", group=2)
    assert [one.id for one in candidates(among, 1, ("a", "b"), (4,))] == [1]


def test_loads_end_where_they_began():
    loads = Loads()
    loads.add(1, ("a", "b"))
    loads.add(1, ("a",))
    loads.remove(1, ("a", "b"))
    loads.remove(2, ("a",))
    assert (loads.of(1, "a"), loads.of(1, "b"), loads.of(2, "a")) == (1, 0, 0)


def test_resources_are_names_with_semicolons_between():
    assert parse_resources(" vm; pstn ;") == ("vm", "pstn")
    assert parse_resources("a;a") == ("a",)
    assert parse_capacities("a=1; b = 20;").numbers == {"a": 1, "b": 20}


@pytest.mark.parametrize("text", ["", ";", ";a", "a;;b"])
def test_wrong_resources_are_refused(text):
    with pytest.raises(ValueError, match="resources"):
        parse_resources(text)


@pytest.mark.parametrize("text", ["", "a", "a=", "a=x", "a=-1", "=3", "a=1;b", "a=99999999999", "a=fs://:p@host"])
def test_wrong_capacities_are_refused(text):
    with pytest.raises(ValueError, match="resource"):
        parse_capacities(text)


def test_a_capacity_can_be_told_by_a_freeswitch_server():
    found = parse_capacities("a=fs://:pw@10.0.0.9; b=3", 1000)
    assert (found.numbers, found.event_sockets) == ({"a": 1000, "b": 3}, {"a": "fs://:pw@10.0.0.9"})
    assert told_capacity(Heartbeat(78.4, 0, 1000, 0.0), 0) == 784
    assert told_capacity(Heartbeat(50.0, 400, 1000, 0.0), 100) == 350
    assert told_capacity(Heartbeat(100.0, 1200, 1000, 0.0), 0) == 0


@given(st.text(max_size=40))
def test_any_text_is_resources_or_is_refused(text):
    for read in (parse_resources, parse_capacities):
        try:
            read(text)
        except ValueError:
            continue


@given(st.lists(st.integers(0, 6), min_size=1, max_size=6), st.booleans(), st.booleans())
def test_nobody_gets_more_than_it_can_take(capacities, relative, by_chance):
    among = some(*(f"a={capacity}" for capacity in capacities))
    flags = "r" * relative + "s" * by_chance
    found = chosen(among, "a", flags, calls=sum(capacities) + 1)
    assert found[-1] is None
    assert [found.count(one.id) for one in among] == capacities
