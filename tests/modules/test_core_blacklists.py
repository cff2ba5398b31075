"""Blacklists: their rules, their commands, their functions."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core_parts import CoreHost, a_run
from miscript.errors import ConfigurationError
from miscript.modules.core.blacklist import declared_list
from miscript.modules.core.blacklist_rules import (
    Destination,
    Rule,
    parse_address,
    parse_mi_rule,
    parse_network,
    parse_script_rule,
)
from miscript.testing import MemoryNetwork, RunningScript

NETS = (
    "nets",
    (("rule", '(any,192.0.2.0/255.255.255.0,0,"")'), ("rule", '(udp,198.51.100.7/255.255.255.255,5060,"")')),
)
NEG = ("neg", (("rule", '!(tcp,10.0.0.0/8,0,"abc")'), ("rule", "(any,2001:db8::/32,0)")))
NET_RULE = {"flags": 0, "IP": "192.0.2.0", "Mask": "255.255.255.0", "Proto": "any", "Port": 0}
ONE_RULE = {"flags": 0, "IP": "198.51.100.7", "Mask": "255.255.255.255", "Proto": "udp", "Port": 5060}


@pytest.fixture
def host():
    return CoreHost(blacklists=[NETS, NEG, ("rw", (("default", None),)), ("ex", (("expire", None),))])


def test_lists_are_shown_with_their_rules(host):
    nets = {"name": "nets", "owner": "script", "flags": ["read-only"], "Rules": [NET_RULE, ONE_RULE]}
    assert host.mi("blacklists:list", ["nets"]) == nets
    lists = host.mi("list_blacklists")["Lists"]
    assert [(found["name"], found["flags"]) for found in lists] == [
        ("nets", ["read-only"]),
        ("neg", ["read-only"]),
        ("rw", ["default"]),
        ("ex", ["expire"]),
    ]
    assert lists[1]["Rules"] == [
        {"flags": 1, "IP": "10.0.0.0", "Mask": "255.0.0.0", "Proto": "tcp", "Port": 0, "Match": "abc"},
        {"flags": 0, "IP": "2001:DB8:0:0:0:0:0:0", "Mask": "FFFF:FFFF:0:0:0:0:0:0", "Proto": "any", "Port": 0},
    ]
    assert host.mi("list_blacklists", ["none"]) == (404, "Unknown name")


@pytest.mark.parametrize(
    ("params", "answer"),
    [
        (["nets", "192.0.2.9"], NET_RULE),
        (["nets", "203.0.113.1"], (404, "Not Matched")),
        (["nets", "UDP", "198.51.100.7", 5060], ONE_RULE),
        (["nets", "udp", "198.51.100.7", 99], (404, "Not Matched")),
        (["nets", "udp", "198.51.100.7"], (404, "Not Matched")),
        (["nets", "198.51.100.7"], (404, "Not Matched")),
        (["nets", "tcp", "198.51.100.7", 5060], (404, "Not Matched")),
        (["nets", "xx", "192.0.2.1"], (404, "Bad params")),
        (["nets", "any", "192.0.2.1"], (404, "Bad params")),
        (["nosuch", "192.0.2.9"], (400, "Missing or bad blacklist name")),
        (["nosuch", "bad"], (400, "Missing or bad IP")),
        (["neg", "tcp", "10.1.2.3", 5060, "abc"], (404, "Not Matched")),
    ],
)
def test_check_shows_the_rule_that_forbids_a_destination(host, params, answer):
    assert host.mi("check_blacklist", params) == answer


def test_check_all_names_the_lists(host):
    assert host.mi("check_blacklists", ["10.1.2.3"]) == ["neg"]
    assert host.mi("check_blacklists", ["udp", "198.51.100.7", 5060]) == ["nets", "neg"]
    assert host.mi("check_blacklists", ["x"]) == (400, "Missing or bad IP")
    assert host.mi("check_blacklists", ["xx", "10.0.0.1"]) == (404, "Bad params")


def test_rules_are_added_and_removed(host):
    assert host.mi("add_blacklist_rule", ["rw", "udp,203.0.113.9/24,5060,foo*"]) == "OK"
    rule = {"flags": 0, "IP": "203.0.113.0", "Mask": "255.255.255.0", "Proto": "udp", "Port": 5060, "Match": "foo*"}
    assert host.mi("check_blacklist", ["rw", "udp", "203.0.113.1", 5060, "food"]) == rule
    assert host.mi("check_blacklist", ["rw", "udp", "203.0.113.1", 5060, "bar"]) == (404, "Not Matched")
    assert host.mi("del_blacklist_rule", ["rw", "203.0.113.0/24"]) == (404, "Rule not found")
    assert host.mi("del_blacklist_rule", ["rw", "udp,203.0.113.0/24,5060,foo*"]) == "OK"
    assert host.mi("list_blacklists", ["rw"])["Rules"] == []


def test_read_only_lists_stay_as_they_are(host):
    for command in ("add_blacklist_rule", "del_blacklist_rule"):
        assert host.mi(command, ["nets", "nonsense"]) == (403, "Cannot modify read-only blacklist")
        assert host.mi(command, ["nosuch", "x"]) == (400, "Missing or bad blacklist name")


def test_a_rule_that_expires_is_gone_when_its_time_is_over(host):
    assert host.mi("add_blacklist_rule", ["ex", "10.0.0.4", 5]) == "OK"
    assert host.mi("add_blacklist_rule", ["ex", "10.0.0.4", 100]) == "OK"
    assert host.mi("list_blacklists", ["ex"])["Rules"][0]["Expire"] == 5
    host.clock.now += 5
    assert host.mi("check_blacklists", ["ip"]) == (400, "Missing or bad IP")
    assert host.mi("list_blacklists", ["ex"])["Rules"] == []


def test_in_a_list_that_expires_rules_for_good_stand_in_front_and_the_others_by_their_end(host):
    for rule in (["1.0.0.1", 100], ["1.0.0.2", 50], ["1.0.0.3", 200], ["1.0.0.4"], ["1.0.0.5", 100], ["1.0.0.6"]):
        assert host.mi("add_blacklist_rule", ["ex", *rule]) == "OK"
    host.clock.now += 10
    shown = [(rule["IP"], rule.get("Expire")) for rule in host.mi("list_blacklists", ["ex"])["Rules"]]
    assert shown == [  # as observed: the first rule of all is not compared
        ("1.0.0.6", None),
        ("1.0.0.4", None),
        ("1.0.0.5", 90),
        ("1.0.0.1", 90),
        ("1.0.0.2", 40),
        ("1.0.0.3", 190),
    ]


def test_a_port_that_is_no_number_is_looked_at_after_address_and_list(host):
    assert host.mi("check_blacklist", ["nosuch", "tcp", "bad", "x"]) == (400, "Missing or bad IP")
    assert host.mi("check_blacklist", ["nosuch", "tcp", "10.0.0.1", "x"]) == (400, "Missing or bad blacklist name")
    assert host.mi("check_blacklist", ["nets", "tcp", "10.0.0.1", "x"]) == (404, "Bad params")
    assert host.mi("check_blacklists", ["tcp", "10.0.0.1", "x"]) == (404, "Bad params")


def test_parameters_of_a_wrong_type_are_answered_like_missing_values(host):
    assert host.mi("list_blacklists", [None])[:2] == (-32000, "Server error")
    assert host.mi("check_blacklists", [None]) == (400, "Missing or bad IP")
    assert host.mi("check_blacklists", ["udp", "10.0.0.1", 5060, None]) == (404, "Bad params")
    assert host.mi("check_blacklist", [None, "10.0.0.1"]) == (400, "Missing or bad blacklist name")
    assert host.mi("add_blacklist_rule", ["ex", None]) == (404, "Bad rule")
    assert host.mi("add_blacklist_rule", ["ex", "10.0.0.1", None])[:2] == (-32000, "Server error")


def test_a_pattern_may_hold_commas(host):
    assert host.mi("add_blacklist_rule", ["rw", "udp,10.0.0.9,5060,a,b"]) == "OK"
    assert host.mi("list_blacklists", ["rw"])["Rules"][0]["Match"] == "a,b"


def test_wrong_expiry_and_wrong_rules_are_refused(host):
    assert host.mi("add_blacklist_rule", ["rw", "10.0.0.1", 60]) == (404, "Blacklist without expire support")
    assert host.mi("add_blacklist_rule", ["ex", "10.0.0.1", 0]) == (404, "Bad expire value")
    assert host.mi("add_blacklist_rule", ["ex", "10.0.0.1", "soon"])[0] == -32000
    for rule in ("nonsense", "10.0.0.1/33", "any,10.5.0.0/16", "10.0.0.1,99999", "10.0.0.1,x", "xx,10.0.0.1,5", ""):
        assert host.mi("add_blacklist_rule", ["rw", rule]) == (404, "Bad rule"), rule


def test_functions_of_the_script_check_add_and_remove(host):
    run, core = a_run(), host.core
    assert core.check_blacklist_rule(run, "ex", "10.0.0.1") == -1
    assert core.add_blacklist_rule(run, "ex", "10.0.0.1") == 1
    assert core.add_blacklist_rule(run, "ex", "10.0.0.2", 5060, "udp", "pat", 30) == 1
    assert core.check_blacklist_rule(run, "ex", "10.0.0.1") == 1
    assert core.check_blacklist_rule(run, "ex", "10.0.0.2", 5060, "udp", "pat") == 1
    assert core.check_blacklist_rule(run, "ex", "bad") == -1
    assert core.del_blacklist_rule(run, "ex", "10.0.0.1") == 1
    assert core.del_blacklist_rule(run, "ex", "10.0.0.1") == -1
    assert core.add_blacklist_rule(run, "nets", "10.0.0.1") == -1
    assert core.add_blacklist_rule(run, "rw", "10.0.0.1", expire=5) == -1


def test_a_declaration_that_cannot_be_is_a_configuration_error():
    with pytest.raises(ConfigurationError, match="read-only"):
        declared_list("l", (("readonly", None), ("expire", None)))
    with pytest.raises(ConfigurationError, match="twice"):
        declared_list("l", (("rule", "(any,10.0.0.0/8,0)"), ("rule", "(any,10.9.0.0/8,0)")))
    with pytest.raises(ConfigurationError, match=r"'l'.*protocol"):
        declared_list("l", (("rule", "(xx,10.0.0.0/8,0)"),))


ADDRESSES = st.ip_addresses().map(str)
NETWORKS = st.builds(lambda address, bits: f"{address}/{bits}", ADDRESSES, st.integers(0, 32))
RULES = st.builds(
    Rule,
    NETWORKS.map(parse_network),
    st.sampled_from(["any", "udp", "tls"]),
    st.integers(0, 65535),
    st.text("ab*", max_size=5),
    st.booleans(),
)


@given(RULES)
def test_a_rule_of_the_script_is_read_back_as_it_was_written(rule):
    sign = "!" * rule.negated
    assert parse_script_rule(f'{sign}({rule.protocol},{rule.network},{rule.port},"{rule.pattern}")') == rule


@given(st.text() | st.text("!,/.:0123456789udp"))
def test_any_text_is_a_rule_or_a_value_error(text):
    for parse in (parse_mi_rule, parse_script_rule):
        try:
            rule = parse(text)
        except ValueError:
            continue
        assert isinstance(rule, Rule)


@given(RULES, ADDRESSES)
def test_a_rule_turned_round_matches_everything_else(rule, address):
    other = Rule(rule.network, rule.protocol, rule.port, rule.pattern, not rule.negated)
    destination = Destination(parse_address(address), "udp", 5060, "a")
    assert rule.matches(destination) is not other.matches(destination)


@pytest.fixture
def proxy():
    text = (
        'socket=udp:10.0.0.9:5060\nloadmodule "tm.so"\nloadmodule "sl.so"\n'
        'dst_blacklist = closed: {( udp, 10.0.0.2, 5060, "")}\n'
        'route { if ($rU == "free") unuse_blacklist("closed"); else use_blacklist("closed");'
        " t_relay(); }\n"
    )
    with RunningScript(text, network=MemoryNetwork()) as script:
        script.alice, script.bob = script.network.peer("udp:10.0.0.1:5060"), script.network.peer("udp:10.0.0.2:5060")
        yield script


def called(script, user):
    """What alice and bob get of a call to `user`."""
    script.alice.send(
        f"INVITE sip:{user}@10.0.0.2 SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{user}\nMax-Forwards: 9\n"
        f"From: <sip:alice@10.0.0.1>;tag=a\nTo: <sip:{user}@10.0.0.2>\nCall-ID: {user}\nCSeq: 1 INVITE\n"
        "Contact: <sip:alice@10.0.0.1>\nContent-Length: 0\n\n",
        "10.0.0.9",
        5060,
    )
    script.settle()
    return [message.status for message in script.alice.take()], [message.method for message in script.bob.take()]


def test_a_request_to_a_place_on_a_list_in_use_is_refused(proxy):
    assert called(proxy, "shut") == ([100, 473], [])


def test_a_list_that_the_script_takes_back_lets_requests_through(proxy):
    assert called(proxy, "free") == ([100], ["INVITE"])
