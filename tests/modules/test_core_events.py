"""The commands of the group evi, and raise_event and subscribe_event."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_parts import CoreHost, a_run
from miscript.errors import MIError
from miscript.modules.core.events import CORE_EVENTS, attributes_from, paired
from miscript.script.access import AvpAccess
from miscript.script.signatures import Argument
from miscript.values import INT_MAX, INT_MIN


class Datagrams:
    """A transport whose addresses are names; `heard` is what each of them was told."""

    endless = False

    def __init__(self):
        self.heard = []

    def subscriber(self, address):
        if not address.isidentifier():
            raise ValueError(f"'{address}' is no name")
        return Listener(address, self.heard)


class Listener:
    def __init__(self, name, heard):
        self.name, self.heard = name, heard

    def deliver(self, event, attributes):
        self.heard.append((self.name, event, list(attributes)))


@pytest.fixture
def host():
    host = CoreHost()
    host.transport = Datagrams()
    host.services.provide("event transport:udp", host.transport)
    return host


def test_the_events_of_the_core_are_listed_with_their_numbers(host):
    assert host.mi("events_list") == {
        "Events": [{"name": name, "id": number} for number, name in enumerate(CORE_EVENTS)]
    }


def test_a_subscription_is_listed_until_its_time_is_over(host):
    assert host.mi("event_subscribe", ["E_CORE_LOG", "udp:a", 10]) == "OK"
    host.clock.now += 4
    subscriber = {"socket": "udp:a", "expire": 10, "ttl": 6}
    number = CORE_EVENTS.index("E_CORE_LOG")
    event = {"name": "E_CORE_LOG", "id": number}
    assert host.mi("subscribers_list") == {"Events": [event | {"Subscribers": [subscriber]}]}
    assert host.mi("subscribers_list", ["E_CORE_LOG"]) == {"Event": event | {"Subscribers": [subscriber]}}
    assert host.mi("subscribers_list", ["E_CORE_LOG", "udp:a"]) == {"Event": event | {"Subscriber": subscriber}}
    host.clock.now += 7
    assert host.mi("subscribers_list") == {"Events": []}
    assert host.mi("subscribers_list", ["E_CORE_LOG"]) == {"Event": {}}
    assert host.mi("subscribers_list", ["E_CORE_LOG", "udp:a"]) == (404, "Subscriber does not exist")


def test_subscribing_again_replaces_the_time(host):
    host.mi("event_subscribe", ["E_CORE_LOG", "udp:a", 0])
    assert host.mi("subscribers_list", ["E_CORE_LOG"])["Event"]["Subscribers"] == [
        {"socket": "udp:a", "expire": 0, "ttl": "expired"}
    ]
    host.mi("event_subscribe", ["E_CORE_LOG", "udp:a"])
    assert host.mi("subscribers_list", ["E_CORE_LOG"])["Event"]["Subscribers"] == [
        {"socket": "udp:a", "expire": 3600, "ttl": 3600}
    ]


@pytest.mark.parametrize(
    ("params", "error"),
    [
        (["E_NONE", "udp:a"], (400, "Bad parameter value")),
        (["E_CORE_LOG", "xyz:a"], (400, "Bad parameter value")),
        (["E_CORE_LOG", ""], (-32602, "Invalid params", "Bad type for parameter 'socket'")),
        (["E_CORE_LOG", "udp"], (400, "Bad parameter value")),
        (["E_CORE_LOG", "udp:1"], (400, "Bad parameter value")),
        (["E_CORE_LOG", "xyz:a", -5], (-32602, "Invalid params", "Negative expire value")),
        (["E_CORE_LOG", "udp:a", "soon"], (-32602, "Invalid params", "Bad type for parameter 'expire'")),
    ],
)
def test_wrong_subscriptions_are_refused(host, params, error):
    assert host.mi("event_subscribe", params) == error
    assert host.mi("subscribers_list") == {"Events": []}


def test_subscribers_of_an_unknown_event_are_an_error(host):
    assert host.mi("subscribers_list", ["E_NONE"]) == (404, "Event not published")


def test_event_routes_are_subscribed_for_good_and_hear_attributes(host):
    host.events.set_routes(["E_MINE"])
    assert host.mi("subscribers_list", ["E_MINE"])["Event"]["Subscribers"] == [
        {"socket": "route:E_MINE", "expire": "never"}
    ]
    assert host.mi("raise_event", ["E_MINE", ["x", 2]]) == "OK"
    assert host.mi("event_subscribe", ["E_CORE_LOG", "route:E_MINE", 5]) == "OK"
    assert host.mi("event_subscribe", ["E_CORE_LOG", "route:E_OTHER"]) == (400, "Bad parameter value")
    assert host.mi("raise_event", {"event": "E_CORE_LOG", "params": '{"a":"one","b":2}'}) == "OK"
    assert host.routes.started == [("E_MINE", [("", "x"), ("", 2)]), ("E_MINE", [("a", "one"), ("b", 2)])]


def test_raising_needs_an_event_then_a_subscriber_then_good_parameters(host):
    assert host.mi("raise_event", ["E_NONE", "x"]) == (404, "Event not registered")
    assert host.mi("raise_event", ["E_CORE_LOG", "x"]) == (480, "Temporarily Unavailable")
    host.mi("event_subscribe", ["E_CORE_LOG", "udp:a"])
    assert host.mi("raise_event", ["E_CORE_LOG", "x"]) == (400, "Bad Params")
    assert host.transport.heard == []
    assert host.mi("raise_event", ["E_CORE_LOG"]) == "OK"
    assert host.transport.heard == [("a", "E_CORE_LOG", [])]


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ([], []),
        (["a", 1, 2.9], [("", "a"), ("", 1), ("", 2)]),
        ('{"a":"one","b":2}', [("a", "one"), ("b", 2)]),
        ('{"a":99999999999,"b":-99999999999}', [("a", INT_MAX), ("b", INT_MIN)]),
        ('{"a":null,"b":true,"c":[1],"d":{}}', [("a", "null"), ("b", "true"), ("c", "[1]"), ("d", "{}")]),
        ("{}", []),
    ],
)
def test_attributes_come_as_an_array_or_as_json_in_a_text(params, expected):
    assert list(attributes_from(params)) == expected


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"a": 1}, "No Params"),
        (None, "No Params"),
        (True, "No Params"),
        ("plain", "Bad Params"),
        ("[1]", "Bad Params"),
        ('{"a":1}x', "Bad Params"),
        (5, "Bad Params"),
        ([["x"]], "Bad Params"),
        ([None], "Bad Params"),
    ],
)
def test_other_parameters_are_refused(params, message):
    with pytest.raises(MIError, match=message) as caught:
        attributes_from(params)
    assert caught.value.code == 400


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(JSON | st.text())
def test_any_parameters_are_attributes_or_an_error_of_mi(params):
    try:
        attributes = attributes_from(params)
    except MIError:
        return
    for name, value in attributes:
        assert isinstance(name, str)
        assert isinstance(value, str) or INT_MIN <= value <= INT_MAX


def test_names_and_values_are_paired_from_the_newest_on():
    assert paired(["c", "b", "a"], [2, "1"]) == [("c", 2), ("b", "1")]
    assert paired(["x"], []) == []
    with pytest.raises(ValueError, match="2 values for 1 names"):
        paired(["x"], [1, 2])
    with pytest.raises(ValueError, match="must be a text"):
        paired([1], ["v"])


def text(value):
    return Argument(lambda run: value, True, value)


def changing(value):
    return Argument(lambda run: value)


def avp(name):
    access = AvpAccess(name, None)
    return Argument(access.get, variable=access)


def test_raise_event_of_the_script_gives_the_newest_value_the_newest_name(host):
    host.events.set_routes(["E_MINE"])
    run = a_run()
    run.avps = {"n": ["a", "b"], "v": ["1", 2]}
    assert host.core.raise_event(text("E_MINE"), avp("n"), avp("v"))(run) == 1
    assert host.routes.started == [("E_MINE", [("b", 2), ("a", "1")])]
    assert run.avps == {"n": ["a", "b"], "v": ["1", 2]}
    assert host.core.raise_event(text("E_MINE"), avp("none"), avp("v"))(run) == -1


def test_raise_event_makes_an_event_known_and_needs_no_subscriber(host):
    bound = host.core.raise_event(text("E_NEW"))
    assert "E_NEW" in host.events.published()
    assert bound(a_run()) == 1
    assert host.core.raise_event(changing("E_LATE"))(a_run()) == 1
    assert "E_LATE" in host.events.published()
    assert host.core.raise_event(changing(None))(a_run()) == -1


def test_subscribe_event_lasts_for_good_unless_told_otherwise(host):
    run = a_run()
    assert host.core.subscribe_event(text("E_MINE"), text("udp:a"))(run) == 1
    assert host.core.subscribe_event(text("E_MINE"), text("udp:b"), changing(7))(run) == 1
    assert host.core.subscribe_event(text("E_MINE"), text("udp:c"), changing(-7))(run) == -1
    assert host.core.subscribe_event(text("E_MINE"), text("nonsense"))(run) == -1
    assert host.mi("subscribers_list", ["E_MINE"])["Event"]["Subscribers"] == [
        {"socket": "udp:b", "expire": 7, "ttl": 7},
        {"socket": "udp:a", "expire": "never"},
    ]
