"""The table of events."""

from __future__ import annotations

import pytest

from miscript.host import events
from miscript.host.events import EventTable, published_before_the_script


class Clock:
    now = 100.0

    def monotonic(self):
        return self.now

    def time(self):
        return self.now

    async def sleep(self, seconds):
        self.now += seconds


class Listener:
    def __init__(self, heard=None, failure=None):
        self.heard = [] if heard is None else heard
        self.failure = failure

    def deliver(self, event, attributes):
        if self.failure:
            raise self.failure
        self.heard.append((event, list(attributes), self))


@pytest.fixture
def started():
    return []


@pytest.fixture
def table(started):
    return EventTable(Clock(), lambda name, attributes: started.append((name, list(attributes))))


def test_publishing_twice_keeps_the_number(table):
    table.publish("A")
    table.publish("B")
    table.publish("A")
    assert table.published() == ["A", "B"]


def test_the_newest_subscriber_hears_first_and_all_are_counted(table):
    heard = []
    first, second = Listener(heard), Listener(heard)
    table.subscribe("A", first)
    table.subscribe("A", second)
    assert table.raise_event("A", [("x", 1)]) == 2
    assert heard == [("A", [("x", 1)], second), ("A", [("x", 1)], first)]


def test_a_subscriber_that_fails_does_not_keep_others_from_hearing(table, caplog):
    listener = Listener()
    table.subscribe("A", listener)
    table.subscribe("A", Listener(failure=RuntimeError("broken")))
    assert table.raise_event("A", []) == 2
    assert len(listener.heard) == 1
    assert "broken" in caplog.text


def test_who_subscribed_without_a_socket_is_told_but_not_shown(table):
    listener = Listener()
    table.subscribe("A", listener)
    table.subscribe("A", listener)
    assert table.subscriptions("A") == []
    assert table.raise_event("A", []) == 1
    table.unsubscribe("A", listener)
    assert table.raise_event("A", []) == 0


def test_nobody_hears_of_an_unknown_event(table):
    assert table.raise_event("NOBODY", []) == 0
    assert table.published() == []


def test_event_routes_come_and_go_with_the_script(table, started):
    table.set_routes(["A", "B"])
    table.set_routes(["B", "C"])
    assert table.published() == ["A", "B", "C"]
    assert [len(table.subscriptions(name)) for name in "ABC"] == [0, 1, 1]
    for name in "ABC":
        table.raise_event(name, [("", name)])
    assert started == [("B", [("", "B")]), ("C", [("", "C")])]
    with pytest.raises(ValueError, match="event_route"):
        table.routes.subscriber("A")


def test_a_route_that_is_lost_hears_of_no_event_any_more(table, started):
    table.set_routes(["A"])
    table.subscribe("OTHER", table.routes.subscriber("A"), socket="route:A")
    table.set_routes([])
    assert table.raise_event("OTHER", []) == 0
    assert started == []


def test_there_is_a_limit_to_how_many_events_are_known(table, monkeypatch):
    monkeypatch.setattr(events, "MAX_EVENTS", 2)
    assert table.publish("A") and table.publish("B")
    assert not table.publish("C")
    assert table.publish("A")
    table.subscribe("C", Listener())
    assert table.published() == ["A", "B"]


def test_events_of_routes_stand_behind_the_cores_first_ones_and_that_of_the_log_waits_for_the_script():
    known = ["E_CORE_THRESHOLD", "E_PROFILING_SCRIPT", "E_CORE_LOG", "E_UL_AOR_INSERT"]
    routes = ["E_MINE", "E_UL_AOR_INSERT"]
    assert published_before_the_script(known, routes) == [
        "E_CORE_THRESHOLD",
        "E_MINE",
        "E_UL_AOR_INSERT",
        "E_PROFILING_SCRIPT",
    ]
