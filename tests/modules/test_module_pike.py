"""Addresses that send too much."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, MIError
from miscript.modules.pike import Pike
from miscript.modules.pike.tree import AddressTree, Verdict
from miscript.testing import MemoryNetwork, RunningScript
from module_services import module_services

HOST = ("10.0.0.9", 5060)


def packed(text: str) -> bytes:
    return ipaddress.ip_address(text).packed


def first_blocked(tree: AddressTree, address: str, *, tries: int = 1000) -> int:
    """Which request of an address is the first that is blocked."""
    return next(n for n in range(1, tries) if tree.count(packed(address), 0) is Verdict.NEWLY_BLOCKED)


# What OpenSIPS 4.1 was seen to do.
@pytest.mark.parametrize(
    ("density", "expected"),
    [(1, 5), (4, 8), (10, 14), (11, 15), (12, 17), (15, 20), (16, 22), (18, 24), (24, 32), (30, 39), (60, 77)],
)
def test_an_address_is_blocked_with_the_request_of_the_server(density: int, expected: int):
    assert first_blocked(AddressTree(density), "127.0.0.1") == expected


def test_neighbours_of_a_flood_are_known_sooner():
    tree = AddressTree(10)
    for _ in range(120):
        tree.count(packed("127.0.0.1"), 0)
    assert [first_blocked(tree, a) for a in ("127.0.0.2", "127.0.3.1", "127.9.9.9")] == [11, 12, 13]


def test_the_manuals_limits_hold_for_ipv6():
    assert 30 <= first_blocked(AddressTree(30), "2001:db8::1") <= 8 * 30


def test_an_address_is_free_after_a_quiet_interval():
    tree = AddressTree(4)
    first_blocked(tree, "10.0.0.1")
    assert tree.count(packed("10.0.0.1"), 0) is Verdict.BLOCKED and tree.blocked() == [packed("10.0.0.1")]
    assert tree.end_interval() == []  # it flooded in the interval before this one
    assert tree.count(packed("10.0.0.1"), 0) is Verdict.BLOCKED
    assert tree.end_interval() == [packed("10.0.0.1")] and tree.blocked() == []
    assert tree.count(packed("10.0.0.1"), 0) is Verdict.FINE


def test_what_sends_nothing_is_forgotten_in_portions():
    tree = AddressTree(30)
    for last in range(10):
        tree.count(bytes((last, 0, 0, 1)), float(last))
    assert tree.forget(4.0, 3) == 3 and tree.forget(4.0, 3) == 2 and len(tree) == 5


def test_families_do_not_share_nodes():
    tree = AddressTree(1)
    first_blocked(tree, "32.1.13.184")
    assert tree.count(packed("2001:db8::1"), 0) is Verdict.FINE and len(tree) == 5


@given(st.lists(st.one_of(st.binary(min_size=4, max_size=4), st.integers(0, 9)), max_size=60), st.integers(1, 5))
def test_blocked_addresses_are_always_among_the_nodes(steps: list[bytes | int], density: int):
    tree = AddressTree(density)
    for now, step in enumerate(steps):
        if isinstance(step, bytes):
            tree.count(step, now)
        elif step < 3:
            tree.end_interval()
        else:
            tree.forget(now - step, 2)
        assert len(tree.blocked()) <= len(tree)
        assert all(tree.remove(address) for address in tree.blocked()[:1])


# -- the module in a script ----------------------------------------------------------------------------------------


def script(body: str, parameters: str = "") -> RunningScript:
    loads = "".join(f'loadmodule "{name}.so"\n' for name in ("sl", "event_routing", "pike"))
    text = f'log_level=1\nsocket=udp:{HOST[0]}:{HOST[1]}\n{loads}modparam("pike", "reqs_density_per_unit", 4)\n'
    return RunningScript(f"{text}{parameters}\n{body}\n", network=MemoryNetwork())


def options(number: int) -> str:
    return (
        f"OPTIONS sip:x@example.com SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1;branch=z9hG4bK{number}\nFrom: <sip:a@b>;tag=1\n"
        f"To: <sip:x@example.com>\nCall-ID: c{number}\nCSeq: 1 OPTIONS\nContent-Length: 0\n\n"
    )


CHECKED = """
route { $var(c) = pike_check_req(); xlog("$var(c) "); exit; }
event_route[E_PIKE_BLOCKED] { xlog("[$param(ip)] "); }
"""


def test_codes_event_list_and_report():
    with script(CHECKED) as running:
        peer = running.network.peer("udp:10.0.0.1:5060")
        for number in range(9):
            peer.send(options(number), *HOST)
            running.settle()
        assert running.take() == "1 1 1 1 1 1 1 -2 [10.0.0.1] -1 "
        assert running.mi("pike:list") == {"IPs": ["10.0.0.1"]}
        assert running.mi("sr_list_reports", "pike", "main")[0]["Log"] == "IP 10.0.0.1 detected as flooding"
        assert running.mi("sr_get_status", "pike") == {"Readiness": True, "Status": 1}
        assert running.mi("pike:rm", "10.0.0.1") == "OK" and running.mi("pike_list") == {"IPs": []}
        for address, error in (("10.0.0.1", "404 Match not found"), ("xx", "500 Bad IP")):
            with pytest.raises(MIError, match=error):
                running.mi("pike:rm", address)


def test_time_frees_an_address_and_forgets_it():
    with script(CHECKED) as running:
        peer = running.network.peer("udp:10.0.0.1:5060")
        for number in range(9):
            peer.send(options(number), *HOST)
            running.settle()
        running.advance(2.1)
        assert running.mi("pike:list") == {"IPs": ["10.0.0.1"]}
        running.advance(2.1)
        assert running.mi("pike:list") == {"IPs": []}
        module = running.host.catalog.modules["pike"]
        assert isinstance(module, Pike) and len(module.tree) == 4
        running.advance(121)
        assert len(module.tree) == 0


def test_with_a_route_all_that_comes_is_counted_and_floods_are_dropped():
    body = """
    route { xlog("in "); sl_send_reply(200, "OK"); exit; }
    route[pike] { if ($si == "10.0.0.2") drop; }
    """
    with script(body, 'modparam("pike", "check_route", "pike")') as running:
        flood, trusted = running.network.peer("udp:10.0.0.1:5060"), running.network.peer("udp:10.0.0.2:5060")
        for number in range(20):
            flood.send(options(number), *HOST)
            running.settle()
        assert running.take().split() == ["in"] * 7
        for number in range(20):
            trusted.send(options(100 + number).replace("10.0.0.1", "10.0.0.2"), *HOST)
            running.settle()
        assert running.take().split() == ["in"] * 20


def test_a_route_that_is_not_there_stops_the_start():
    with pytest.raises(ConfigurationError, match="no route 'pike'"):
        script("route { exit; }", 'modparam("pike", "check_route", "pike")')


def test_parameters_must_be_positive_and_latency_covers_an_interval():
    module = Pike(module_services())
    module.set_parameter("remove_latency", 1)
    module.init()
    assert module.remove_latency == 3
    module.set_parameter("reqs_density_per_unit", 0)
    with pytest.raises(ConfigurationError, match="must be positive"):
        module.init()
