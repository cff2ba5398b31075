"""The table of statistics."""

from __future__ import annotations

from miscript.host.statistics import StatisticsTable


def names(counters):
    return [f"{counter.group}:{counter.name}" for counter in counters]


def test_registering_twice_gives_the_same_counter():
    table = StatisticsTable()
    counter = table.register("g", "n")
    counter.add(3)
    assert table.register("g", "n") is counter
    assert table.find("n") is table.find("g:n") is counter
    assert table.find("n").value == 3


def test_of_two_counters_with_one_name_the_first_is_found_by_it():
    table = StatisticsTable()
    first, second = table.register("a", "n"), table.register("b", "n")
    assert table.find("n") is first
    assert table.find("b:n") is second
    assert table.find("nosuch") is table.find("b:nosuch") is None


def test_a_reading_is_asked_each_time_and_cannot_be_reset():
    table = StatisticsTable()
    values = iter([7, 8])
    counter = table.register("g", "n", read=lambda: next(values))
    assert (counter.value, counter.value) == (7, 8)
    assert not counter.resettable


def test_a_counter_counts_in_both_directions_and_goes_back_to_zero():
    counter = StatisticsTable().register("g", "n")
    counter.add()
    counter.add(5)
    counter.add(-2)
    assert counter.value == 4
    counter.reset()
    assert counter.value == 0


def test_groups_come_in_the_order_of_registration_between_the_cores_own_and_the_load():
    table = StatisticsTable()
    for group, name in (("load", "l"), ("core", "a"), ("script", "one"), ("shmem", "s"), ("core", "b"), ("tm", "t")):
        table.register(group, name)
    assert names(table.all()) == ["shmem:s", "core:a", "core:b", "script:one", "tm:t", "load:l"]
    assert names(table.group("core")) == ["core:a", "core:b"]
    assert names(table.group("nosuch")) == []
