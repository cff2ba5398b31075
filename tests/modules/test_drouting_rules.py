"""Rules by group and prefix: which is found, in what order, and that a table lets go of all it has."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.drouting.rules import (
    LONG,
    PAGE,
    SPLIT_AT,
    BadRule,
    Manner,
    RuleTable,
    Texts,
    parse_groups,
)
from miscript.modules.drouting.seen_ids import SeenIds


def table(*rules: tuple[str, int]) -> RuleTable:
    """Rules of group 0, by prefix and priority; their ids count from 1."""
    found = RuleTable()
    for id, (prefix, priority) in enumerate(rules, 1):
        found.add(id, (0,), prefix, priority, f"gw{id}")
    found.close()
    return found


def ids(rules: RuleTable, number: str, group: int = 0, *, whole: bool = False) -> list[int]:
    return [rule.id for rule in rules.matches(group, number, whole=whole)]


def test_the_longest_prefix_comes_first_and_the_empty_one_last():
    rules = table(("49", 0), ("4930", 0), ("", 0), ("5", 0))
    assert ids(rules, "493012") == [2, 1, 3]
    assert [rule.prefix for rule in rules.matches(0, "493012")] == ["4930", "49", ""]
    assert ids(rules, "") == [3]
    assert ids(rules, "x49") == [3]


def test_within_a_prefix_the_highest_priority_comes_first_then_the_order_of_the_table():
    assert ids(table(("1", 0), ("1", 5), ("1", 0), ("1", -3), ("1", 5)), "1") == [2, 5, 1, 3, 4]


def test_many_rules_of_one_prefix_keep_their_order_too():
    priorities = [number * 7 % 11 for number in range(LONG * 3)]
    expected = [number + 1 for number in sorted(range(LONG * 3), key=lambda number: -priorities[number])]
    assert ids(table(*(("1", priority) for priority in priorities)), "12") == expected


def test_the_whole_number_can_be_wanted():
    rules = table(("49", 0), ("4930", 0), ("", 0))
    assert ids(rules, "4930", whole=True) == [2]
    assert ids(rules, "49301", whole=True) == []
    assert ids(rules, "", whole=True) == [3]


def test_a_rule_belongs_to_each_of_its_groups_and_to_no_other():
    rules = RuleTable()
    rules.add(7, parse_groups("1, 2,1"), "4", 0, "gw1")
    assert [ids(rules, "4", group) for group in (0, 1, 2)] == [[], [7], [7]]


def test_a_rule_says_what_its_row_says():
    rules = RuleTable("+")
    rules.add(-5, (3,), "+49", 9, "gw1,#c\u00e9", "r\u00fcle", Manner("W", "r1", "20200101T000000"))
    (rule,) = rules.matches(3, "+4930")
    assert rule == (-5, "+49", 9, "gw1,#c\u00e9", "r\u00fcle", "W", "r1", "20200101T000000")


@pytest.mark.parametrize("prefix", ["4x", "+49", " 4", "4 ", "\u0664"])
def test_other_signs_in_a_prefix_are_refused_and_leave_no_trace(prefix):
    rules = RuleTable()
    with pytest.raises(BadRule, match="prefix"):
        rules.add(1, (0,), prefix, 0, "gw1")
    assert len(rules) == 0
    assert rules.groups == []


@pytest.mark.parametrize("text", ["", "x", "1,", ",1", "-1", "1 2", "1;2", "12345678901", ",".join("1" * 1001)])
def test_what_is_no_list_of_groups_is_refused(text):
    with pytest.raises(BadRule):
        parse_groups(text)


numbers = st.text("0123", max_size=5)


@given(st.lists(st.tuples(numbers, st.integers(-2, 2), st.sets(st.integers(0, 2), min_size=1)), max_size=60), numbers)
def test_the_rules_for_a_number_are_those_that_a_search_through_all_finds(rows, number):
    rules = RuleTable()
    for id, (prefix, priority, groups) in enumerate(rows):
        rules.add(id, tuple(groups), prefix, priority, "gw1")
    for group in range(3):
        fitting = [(-len(p), -priority, id) for id, (p, priority, gs) in enumerate(rows) if group in gs]
        expected = [id for length, _, id in sorted(fitting) if number.startswith(rows[id][0])]
        assert ids(rules, number, group) == expected


def test_a_large_group_is_spread_over_many_dicts_and_still_whole():
    rules = table(*((f"{number}", 0) for number in range(SPLIT_AT * 2)))
    assert all(ids(rules, str(number))[0] == number + 1 for number in range(0, SPLIT_AT * 2, 17))
    assert ids(rules, "8191") == [8192, 820, 82, 9]


def test_a_table_lets_go_of_everything_in_small_steps():
    rules = table(*((f"{number}", 0) for number in range(SPLIT_AT * 2)))
    steps = sum(1 for _ in rules.dismantle())
    assert steps > 100
    assert (len(rules), rules.groups, ids(rules, "1")) == (0, [], [])


@given(st.lists(st.text(max_size=5), max_size=50))
def test_texts_come_back_as_they_were_and_equal_ones_are_kept_once(texts):
    column = Texts()
    places = [column.add(text) for text in texts]
    assert [column[place] for place in places] == texts
    assert len(set(places)) == len(set(texts))
    assert column[0] == ""


def test_texts_and_rules_beyond_a_page_come_back():
    column, rules = Texts(), RuleTable()
    for number in range(PAGE * 2 + 5):
        assert column.add(f"text {number}") == number + 1
        rules.add(number, (0,), f"{number}", number % 3 - 1, f"gw{number}")
    for number in (0, PAGE - 2, PAGE - 1, PAGE, PAGE + 1, PAGE * 2, PAGE * 2 + 4):
        assert column[number + 1] == f"text {number}"
        found = next(rules.matches(0, f"{number}", whole=True))
        assert found[:4] == (number, f"{number}", number % 3 - 1, f"gw{number}")


def test_texts_that_cannot_be_utf_8_come_back():
    column = Texts()
    assert column[column.add("a\udcff")] == "a\udcff"


@given(st.lists(st.integers(-(2**31), 2**31)))
def test_an_id_is_new_once(numbers):
    seen = SeenIds()
    assert [seen.add(number) for number in numbers] == [
        number not in numbers[:place] for place, number in enumerate(numbers)
    ]
    assert sum(1 for _ in seen.dismantle()) > 0
    assert all(seen.add(number) for number in set(numbers))
