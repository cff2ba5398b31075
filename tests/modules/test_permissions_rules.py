"""Module permissions: lines of rule files, and addresses of tables, whatever stands there."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.permissions.addresses import AddressBook, Entry, Query, network_of, packed_address
from miscript.modules.permissions.rules import MAX_RULES, RuleError, parse_rule, parse_rules


@pytest.mark.parametrize(
    ("line", "who", "what", "matches"),
    [
        ("ALL : ALL", "", "", True),
        ("all:ALL # a comment", "x", "y", True),
        ('"a", "b" : ALL', "xbx", "", True),
        ('"a", "b" : ALL', "c", "", False),
        ('"^a" : "c" EXCEPT "d", "e"', "A", "c", True),
        ('"^a" : "c" EXCEPT "d", "e"', "a", "ce", False),
        ('ALL EXCEPT "a" : ALL', "a", "", False),
        ("ALL EXCEPT ALL : ALL", "b", "", False),
        ('"#:," : ALL', "#:,", "", True),
    ],
)
def test_a_rule_matches_who_and_what(line, who, what, matches):
    rule = parse_rule(line)
    assert rule is not None and rule.matches(who, what) is matches


@pytest.mark.parametrize("line", ["", "   ", "# ALL : ALL", "\t# x"])
def test_some_lines_say_nothing(line):
    assert parse_rule(line) is None


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("bad line", "'bad' is neither ALL nor EXCEPT"),
        ("ALL", "found no ':' in 'ALL'"),
        ('"a" : ', "expected ALL, or texts in double quotes with commas between, behind the ':'"),
        (": ALL", "before the ':'"),
        ('"a : ALL', "'\"a : ALL'"),
        ('"[" : ALL', r"bad regular expression '\['"),
        ("ALL : ALL EXCEPT", "behind the ':' and EXCEPT"),
        ('"a" "b" : ALL', "commas between"),
        ('"a" : ALL : ALL', "commas between"),
        ('ALL, "a" : ALL', "commas between"),
        ('"a", : ALL', "commas between"),
    ],
)
def test_a_line_that_is_no_rule_is_told_with_its_number(line, complaint):
    with pytest.raises(RuleError, match=complaint) as failed:
        parse_rules(f"ALL : ALL\n{line}\n")
    assert str(failed.value).startswith("line 2: ")


def test_there_are_only_so_many_rules():
    with pytest.raises(RuleError, match="more than"):
        parse_rules("ALL : ALL\n" * (MAX_RULES + 1))


@given(st.text(max_size=60) | st.text('"ALEXCPT:,# a[', max_size=40))
def test_any_line_is_a_rule_or_a_rule_error(line):
    try:
        rule = parse_rule(line)
    except RuleError:
        return
    assert rule is None or isinstance(rule.matches("a", "b"), bool)


@given(st.text(max_size=30) | st.ip_addresses().map(str))
def test_any_text_is_an_address_or_a_value_error(text):
    try:
        packed = packed_address(text)
    except ValueError:
        return
    assert ipaddress.ip_address(packed) is not None


NETWORKS = st.lists(
    st.tuples(st.integers(1, 3), st.integers(0, 255), st.integers(24, 32)).map(
        lambda row: (row[0], bytes([10, 0, 0, row[1]]), row[2])
    ),
    max_size=12,
)


@given(NETWORKS, st.integers(0, 255), st.integers(0, 3))
def test_an_entry_is_found_where_going_through_all_of_them_finds_one(rows, last, group):
    book = AddressBook()
    for number, (of_group, address, prefix) in enumerate(rows):
        book.add(Entry(of_group, network_of(address, prefix), prefix, 0, "any", "", str(number)))
    wanted = ipaddress.ip_address(bytes([10, 0, 0, last]))
    fitting = [
        entry
        for entry in book.entries
        if wanted in ipaddress.ip_network((entry.address, entry.prefix)) and group in (0, entry.group)
    ]
    # hosts count before networks, shorter prefixes before longer ones, later entries before earlier ones
    fitting.sort(key=lambda entry: (entry.group, entry.prefix % 32, -int(entry.info)))
    found = book.find(group, Query(bytes([10, 0, 0, last])))
    assert found == (fitting[0] if fitting else None)


@given(NETWORKS)
def test_a_book_that_is_taken_apart_is_empty(rows):
    book = AddressBook()
    for group, address, prefix in rows:
        book.add(Entry(group, network_of(address, prefix), prefix, 0, "any", "", ""))
    for _ in book.dismantle():
        pass
    assert not book.groups and not book.entries
    assert book.find(0, Query(bytes([10, 0, 0, 1]))) is None
