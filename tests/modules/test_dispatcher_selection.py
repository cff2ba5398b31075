"""The algorithms of dispatcher; numbers that stand for themselves were told by OpenSIPS 4.1."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.dispatcher.destinations import Destination, DestinationSet, State, set_of, state_named
from miscript.modules.dispatcher.selection import (
    by_chance,
    by_hash,
    by_number,
    by_turns,
    first,
    followed,
    ranked,
    uri_keys,
)
from miscript.name_hash import mixed_hash
from miscript.sip import SipUri


def some(*weights: int, states: dict[int, State] | None = None) -> DestinationSet:
    """A set of destinations with these weights; `states` by number."""
    made = []
    for number, weight in enumerate(weights):
        text = f"sip:127.0.0.1:{7000 + number}"
        state = (states or {}).get(number, State.ACTIVE)
        made.append(Destination(1, text, weight=weight, state=state))
    return set_of(1, made)


def numbers(found: list[Destination]) -> list[int]:
    return [one.number for one in found]


@pytest.mark.parametrize(
    ("call_id", "number"),
    [
        ("a", 12),
        ("ab", 62),
        ("abc", 92),
        ("abcd", 32),
        ("abcde", 40),
        ("call-1@x", 76),
        ("some-long-call-id@host.example.com", 66),
    ],
)
def test_a_call_id_leads_where_the_server_sends_it(call_id, number):
    within = some(*[1] * 97)
    assert by_hash((call_id,), within.in_service(False)).number == number


@pytest.mark.parametrize(
    ("uri", "whole", "user_only"),
    [
        ("sip:alice@a.com", 12, 58),
        ("sip:Alice@A.com", 54, 79),
        ("sip:alice@a.com:5060", 12, 58),
        ("sip:alice:pw@a.com;p=1?h=x", 12, 58),
        ("sip:alice@a.com:5070;transport=tcp", 9, 58),
        ("sips:alice@a.com", 12, 58),
        ("sips:alice@a.com:5061", 77, 58),
        ("sips:alice@a.com:5060", 76, 58),
        ("sip:alice@[::1]:5061", 81, 58),
        ("sip:a.com", 50, 1),
        ("tel:+123", 15, 15),
    ],
)
def test_user_host_and_port_of_a_uri_are_hashed(uri, whole, user_only):
    parsed = SipUri.parse(uri)
    assert mixed_hash(*uri_keys(parsed, False)) % 97 == whole
    assert mixed_hash(*uri_keys(parsed, True)) % 97 == user_only


def test_weights_are_shares_of_a_hash():
    among = some(1, 2, 3, 0, 2).in_service(False)
    assert [by_number(n, among).number for n in range(9)] == [0, 1, 1, 2, 2, 2, 4, 4, 0]


def test_without_weights_all_have_the_same_share():
    among = some(0, 0, 0).in_service(False)
    assert [by_number(n, among).number for n in range(4)] == [0, 1, 2, 0]


def test_a_destination_out_of_service_moves_only_its_own_share():
    among = some(1, 2, 3, 0, 2, states={1: State.INACTIVE}).in_service(False)
    # 1 and 2 are its own share: they are shared by number modulo 6
    assert [by_number(n, among).number for n in (0, 1, 2, 3, 6, 9, 10)] == [0, 2, 2, 2, 4, 2, 4]


def test_round_robin_gives_each_as_many_turns_in_a_row_as_its_weight():
    within = some(1, 2, 3, 0, 2)
    chosen = []
    for _ in range(18):
        one = by_turns(within, within.in_service(False))
        within.last = one.number
        chosen.append(one.number)
    assert chosen == [0, 1, 1, 2, 2, 2, 3, 4, 4] * 2


def test_round_robin_passes_over_who_is_out_of_service_and_goes_on_behind_it():
    within = some(1, 3, 1, states={2: State.PROBING})
    chosen = []
    for turn in range(6):
        if turn == 2:
            within.destinations[1].state = State.INACTIVE
            within.destinations[2].state = State.ACTIVE
            within.changed()
        one = by_turns(within, within.in_service(False))
        within.last = one.number
        chosen.append(one.number)
    assert chosen == [0, 1, 2, 0, 2, 0]


def test_chance_follows_the_weights():
    among = some(1, 2, 0, 3, states={1: State.INACTIVE}).in_service(False)
    found = Counter(by_chance(lambda n, k=k: k % n, among).number for k in range(400))
    assert found == {0: 100, 3: 300}


def test_nobody_is_chosen_when_nobody_is_in_service():
    within = some(1, 2, states={0: State.INACTIVE, 1: State.PROBING})
    for keep_last in (False, True):
        among = within.in_service(keep_last)
        assert by_number(5, among) is None
        assert by_turns(within, among) is None
        assert by_chance(lambda n: 0, among) is None
        assert first(among) is None


def test_the_others_follow_in_their_order_round_from_the_chosen_one():
    within = some(1, 1, 1, 1, 1, states={3: State.INACTIVE})
    among = within.in_service(False)
    chosen = within.destinations[2]
    assert numbers(followed(chosen, among, None)) == [2, 4, 0, 1]
    assert numbers(followed(chosen, among, 2)) == [2, 4]
    assert numbers(followed(chosen, among, 0)) == numbers(followed(chosen, among, -2)) == [2]


def test_the_last_one_is_kept_for_the_end_even_when_it_is_out_of_service():
    within = some(1, 1, 1, 1, states={3: State.INACTIVE})
    among = within.in_service(True)
    assert numbers(followed(within.destinations[1], among, None)) == [1, 2, 0, 3]
    assert numbers(followed(within.destinations[1], among, 2)) == [1, 2, 3]


def test_the_last_one_is_not_kept_when_there_is_no_other():
    within = some(1, 1, states={0: State.INACTIVE})
    assert numbers(followed(first(within.in_service(True)), within.in_service(True), None)) == [1]
    assert numbers(followed(first(some(1).in_service(True)), some(1).in_service(True), None)) == [0]


def test_the_lowest_load_comes_first_and_who_has_none_is_left_out():
    among = some(1, 1, 1, 1, 1).in_service(False)
    assert numbers(ranked(among, [7, 7, 3, None, -1])) == [4, 2, 0, 1]


def test_the_highest_priority_comes_first():
    text = "sip:127.0.0.1"
    made = [Destination(1, f"{text}:{n}", priority=p) for n, p in enumerate([4, 2, 2, 4, 0, 3, 1, 0])]
    assert [one.text[-1] for one in set_of(1, made).destinations] == list("03512647")


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("a", State.ACTIVE),
        ("1", State.ACTIVE),
        ("Inactive", State.INACTIVE),
        ("0", State.INACTIVE),
        ("P", State.PROBING),
    ],
)
def test_the_first_letter_names_a_state(text, state):
    assert state_named(text) is state


@pytest.mark.parametrize("text", ["", "x", "3", " a"])
def test_other_letters_name_none(text):
    assert state_named(text) is None


SETS = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(State)), min_size=1, max_size=12)


@given(SETS, st.integers(0, 2**32 - 1), st.booleans(), st.integers(-2, 15) | st.none())
def test_whoever_is_chosen_is_in_service_and_nobody_is_tried_twice(spec, number, keep_last, limit):
    within = some(*(weight for weight, _ in spec), states={n: state for n, (_, state) in enumerate(spec)})
    among = within.in_service(keep_last)
    for chosen in (by_number(number, among), by_turns(within, among), by_chance(lambda n: number % n, among)):
        assert (chosen is None) == (not among.active)
        if chosen is not None:
            found = followed(chosen, among, limit)
            assert chosen.active and found[0] is chosen
            assert len(set(numbers(found))) == len(found)
            assert all(one.active for one in found if one is not among.spare)


@given(SETS)
def test_many_turns_of_the_round_robin_follow_the_weights(spec):
    within = some(*(max(weight, 1) for weight, _ in spec))
    total = sum(one.weight for one in within.destinations)
    counts = Counter[int]()
    for _ in range(total):
        one = by_turns(within, within.in_service(False))
        within.last = one.number
        counts[one.number] += 1
    assert counts == {one.number: one.weight for one in within.destinations}
