"""Lists of gateways and carriers, the order in which they are tried, and what rows say of gateways."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.drouting.blacklists import GatewayBlacklist
from miscript.modules.drouting.cells import BadRow, LoadError, flag_of, integer, required
from miscript.modules.drouting.destinations import (
    MAX_ENTRIES,
    BadList,
    Listed,
    bad_id,
    parse_destinations,
    plain_lists,
)
from miscript.modules.drouting.gateways import Probe, numeric_target, parse_address, parse_prefix
from miscript.modules.drouting.routing_data import Orders
from miscript.modules.drouting.sorting import by_weight
from miscript.sip.syntax import SipSyntaxError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("gw1", [Listed("gw1")]),
        ("gw1,gw4=10,#cr3=80", [Listed("gw1"), Listed("gw4", 10), Listed("cr3", 80, True)]),
        (" gw1 , # c , gw_2.x-y = 7 ,", None),
        (" gw1 , #c , gw_2.x-y = 7 ,", [Listed("gw1"), Listed("c", 0, True), Listed("gw_2.x-y", 7)]),
    ],
)
def test_lists_are_read_as_the_manual_writes_them(text, expected):
    if expected is None:
        with pytest.raises(BadList):
            parse_destinations(text)
    else:
        assert list(parse_destinations(text)) == expected


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("gw1;gw2", "';' in it"),
        ("gw1,,gw2", "nothing at 5"),
        (",", "nothing at 1"),
        ("gw1=x", "weight is 'x'"),
        ("gw1=", "weight is ''"),
        ("gw1=-1", "weight is '-1'"),
        ("gw1=99999999999", "weight"),
        ("gw1 gw2", "found 'g' at 5"),
        ("g\u00e4", "\u00e4"),
        (",".join(["g"] * (MAX_ENTRIES + 1)), "more than"),
    ],
)
def test_what_is_no_list_is_refused_with_what_was_found(text, told):
    with pytest.raises(BadList) as raised:
        parse_destinations(text)
    assert told in str(raised.value)


entries = st.builds(Listed, st.text("aZ09_-.", min_size=1, max_size=4), st.integers(0, 2**31 - 1), st.booleans())


@given(st.lists(entries, max_size=8))
def test_a_list_that_is_written_is_read_back(listed):
    assert list(parse_destinations(",".join(map(str, listed)))) == listed


@given(st.text("g1#=,; _-.x\n\u00e9", max_size=20))
def test_any_text_is_a_list_or_a_mistake_and_what_looks_plain_is_a_list(text):
    try:
        parse_destinations(text)
    except BadList:
        assert plain_lists().fullmatch(text) is None


def test_what_ids_may_have_can_be_set():
    assert bad_id("a:b") is not None
    assert bad_id("a:b", ":") is None
    assert bad_id("a-b", "") is not None
    assert parse_destinations("a:b=3", ":") == (Listed("a:b", 3),)


# -- order ------------------------------------------------------------------------------------------------------------


@given(st.lists(st.integers(0, 100), max_size=12), st.integers())
def test_each_place_comes_once_and_those_without_weight_come_last(weights, seed):
    order = by_weight(weights, random.Random(seed).random)
    assert sorted(order) == list(range(len(weights)))
    assert [weights[place] > 0 for place in order] == sorted((weight > 0 for weight in weights), reverse=True)


def test_the_first_place_is_drawn_as_often_as_its_weight_says():
    draw = random.Random(7).random
    firsts = Counter(by_weight([1, 0, 3], draw)[0] for _ in range(4000))
    assert set(firsts) == {0, 2}
    assert 0.7 < firsts[2] / 4000 < 0.8


def test_who_measures_quality_gives_the_order_and_may_leave_some_out():
    listed = parse_destinations("gw1,#c1,gw2")
    asked = []

    def sorter(*question):
        asked.append(question)
        return [2, 0, 2, 9]

    ordered = Orders("Default", lambda algorithm: sorter if algorithm == "Q" else None).ordered(listed, "Q", "rule 7")
    assert [one.id for one in ordered] == ["gw2", "gw1"]
    assert asked == [("Default", "rule 7", ["gw1", "#c1", "gw2"])]


def test_without_one_who_measures_the_order_of_the_table_stays(caplog):
    listed = parse_destinations("gw1,gw2")
    assert Orders("Default", lambda algorithm: None).ordered(listed, "Q", "rule 7") == listed
    assert "nobody sorts by 'Q'" in caplog.text


# -- rows -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "shown", "target"),
    [
        ("10.0.0.1", "10.0.0.1", "udp:10.0.0.1:5060"),
        ("sip:10.0.0.1:5070;transport=tcp", "10.0.0.1:5070;transport=tcp", "tcp:10.0.0.1:5070"),
        ("SIPS:user@10.0.0.1", "10.0.0.1", "tls:10.0.0.1:5061"),
        ("sip:[::1]:5062", "[::1]:5062", "udp:[::1]:5062"),
        ("example.com", "example.com", "None"),
    ],
)
def test_addresses_are_uris_whose_scheme_may_be_missing(text, shown, target):
    uri, told = parse_address(text)
    assert (told, str(numeric_target(uri))) == (shown, target)


@pytest.mark.parametrize("text", ["", "sip:", "tel:127.0.0.13", "10.0.0.1:99999", "a b", "sip:a@"])
def test_other_addresses_are_refused(text):
    with pytest.raises(SipSyntaxError):
        parse_address(text)


@given(st.text(max_size=12))
def test_any_address_is_one_or_a_mistake(text):
    try:
        uri, shown = parse_address(text)
    except SipSyntaxError:
        return
    assert shown
    assert uri.host


@pytest.mark.parametrize("prefix", ["@", "a@b", "1:2", "<", " "])
def test_a_pri_prefix_that_would_be_another_part_of_the_uri_is_refused(prefix):
    with pytest.raises(SipSyntaxError):
        parse_prefix(prefix)
    assert parse_prefix("+49") == "+49"


def test_null_ends_a_load_and_what_is_only_wrong_ends_a_row():
    with pytest.raises(LoadError, match="NULL in the column 'gwid' of row 7"):
        required(None, "gwid", "dr_gateways", 7)
    with pytest.raises(BadRow, match="'gwid' is empty"):
        required("", "gwid", "dr_gateways", 7)
    with pytest.raises(LoadError, match="NULL"):
        integer(None, "strip", "dr_gateways", 7)
    with pytest.raises(BadRow, match="'x', expected a number"):
        integer("x", "strip", "dr_gateways", 7)
    with pytest.raises(BadRow, match="32 bits"):
        integer(2**31, "strip", "dr_gateways", 7)
    with pytest.raises(BadRow, match="expected one of 0, 1, 2"):
        flag_of(Probe, 3, "probe_mode")
    assert (required(5, "a", "t", 1), integer("12", "a", "t", 1), integer(b"3", "a", "t", 1)) == ("5", 12, 3)


def test_blacklists_of_parameters_are_read():
    assert GatewayBlacklist.parse("bl_name= 3,5,25") == GatewayBlacklist("Default", "bl_name", frozenset({3, 5, 25}))
    assert GatewayBlacklist.parse("pstn:list2 = -5") == GatewayBlacklist("pstn", "list2", frozenset({-5}))
    for text in ("", "a", "a=", "a=x", "=1"):
        with pytest.raises(ValueError, match="no blacklist"):
            GatewayBlacklist.parse(text)
