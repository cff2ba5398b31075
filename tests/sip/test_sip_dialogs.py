"""Dialogs without a host: states, ids, matching, numbers of requests, profiles."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip.dialog_profiles import Profiles
from miscript.sip.dialogs import (
    MAX_LEGS,
    MAX_SHIFTS,
    Dialog,
    DialogEvent,
    DialogId,
    DialogState,
    DialogTable,
    Direction,
    Leg,
    MatchMode,
    next_state,
)


def dialog(table: DialogTable | None = None, call_id: str = "call-1") -> Dialog:
    made = (DialogTable() if table is None else table).create(
        call_id, "sip:alice@a.test", "sip:bob@b.test", Leg("al", "sip:alice@10.0.0.9"), now=100.0, lifetime=60
    )
    assert made is not None
    return made


def answered(table: DialogTable | None = None) -> Dialog:
    made = dialog(table)
    leg = made.add_callee("bo", 1)
    assert leg is not None
    made.answer(leg)
    made.handle(DialogEvent.SUCCESS, 110.0)
    return made


# -- states ---------------------------------------------------------------------------------------------------------


def test_a_call_goes_from_unconfirmed_to_deleted():
    call = dialog()
    states = [call.state]
    for event in (DialogEvent.PROVISIONAL, DialogEvent.SUCCESS, DialogEvent.ACK, DialogEvent.END):
        assert call.handle(event, 120.0)
        states.append(call.state)
    assert [int(state) for state in states] == [1, 2, 3, 4, 5]


@given(st.lists(st.sampled_from(DialogEvent), max_size=20))
def test_states_never_go_back(events: list[DialogEvent]):
    state = DialogState.UNCONFIRMED
    for event in events:
        after = next_state(state, event)
        assert after >= state
        state = after
    assert next_state(DialogState.DELETED, DialogEvent.SUCCESS) is DialogState.DELETED


def test_a_negative_reply_behind_the_answer_changes_nothing():
    call = answered()
    assert not call.handle(DialogEvent.FAILURE, 111.0)
    assert call.is_confirmed


def test_the_lifetime_begins_with_the_answer_and_can_be_changed():
    call = dialog()
    assert call.seconds_left(105.0) == 60
    call.live_for(30, 105.0)
    call.handle(DialogEvent.SUCCESS, 110.0)
    assert (call.ends, call.seconds_left(115.0), call.duration(115.0)) == (140.0, 25, 5)
    call.live_for(100, 120.0)
    assert call.seconds_left(120.0) == 100
    call.handle(DialogEvent.END, 125.0)
    assert (call.seconds_left(130.0), call.duration(999.0)) == (0, 15)


# -- ids ------------------------------------------------------------------------------------------------------------


@given(st.integers(0, 2**31 - 1), st.integers(0, 2**31 - 1))
def test_an_id_is_read_from_its_text(entry: int, number: int):
    assert DialogId.parse(str(DialogId(entry, number))) == DialogId(entry, number)


@given(st.text(max_size=30))
def test_any_text_is_an_id_or_none(text: str):
    found = DialogId.parse(text)
    assert found is None or (found.entry >= 0 and found.number >= 0)


def test_the_text_of_an_id_has_the_lowest_digit_first():
    assert str(DialogId(0xF67, 0x59DA62B1)) == "76f.1b26ad95"
    assert DialogId(0xF67, 0x59DA62B1).as_number == 16936563532465


# -- finding --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("from_tag", "to_tag", "way"),
    [("al", "bo", Direction.DOWNSTREAM), ("bo", "al", Direction.UPSTREAM), ("al", "xx", None), ("xx", "al", None)],
)
def test_the_tags_tell_the_way_of_a_request(from_tag: str, to_tag: str, way: Direction | None):
    table = DialogTable()
    call = answered(table)
    for did in (call.did, None):
        found = table.match(did, "call-1", from_tag, to_tag, MatchMode.DID_FALLBACK)
        assert (None if found is None else found.direction) is way


def test_modes_choose_between_route_and_tags():
    table = DialogTable()
    call = answered(table)
    assert table.match(None, "call-1", "al", "bo", MatchMode.DID_ONLY) is None
    assert table.match("1.1", "call-1", "al", "bo", MatchMode.DID_ONLY) is None
    assert table.match("1.1", "call-1", "al", "bo", MatchMode.DID_FALLBACK) is not None
    assert table.match(call.did, "another", "al", "bo", MatchMode.DID_ONLY) is None
    assert table.match("rubbish", "call-1", "al", "bo", MatchMode.DID_NONE) is not None


def test_a_dialog_is_found_by_its_id_or_call_id_until_it_is_removed():
    table = DialogTable()
    call = dialog(table)
    assert table.named(call.did) is call
    assert table.named("call-1") is call
    assert table.with_call_id("call-1", "other tag") is None
    table.remove(call)
    table.remove(call)
    assert (table.named(call.did), table.named("call-1"), len(table)) == (None, None, 0)


def test_of_two_dialogs_of_a_call_the_living_one_is_found():
    table = DialogTable()
    first, second = dialog(table), dialog(table)
    first.handle(DialogEvent.FAILURE, 101.0)
    assert table.with_call_id("call-1") is second
    assert [str(first.id) == str(second.id), first.id.entry == second.id.entry] == [False, True]


def test_a_full_table_takes_no_more():
    table = DialogTable(limit=1)
    dialog(table)
    assert table.create("c", "sip:a@b", "sip:c@d", Leg("t"), now=0.0, lifetime=1) is None


def test_a_dialog_has_as_many_callees_as_a_request_has_branches():
    call = dialog()
    assert all(call.add_callee(f"t{n}", 1) for n in range(MAX_LEGS))
    assert call.add_callee("one more", 1) is None
    assert call.add_callee("t3", 1) is call.callees[3]


def test_the_first_callee_that_answers_stays_the_callee():
    call = dialog()
    first, second = call.add_callee("t1", 1), call.add_callee("t2", 1)
    assert first is not None
    assert second is not None
    assert call.callee is first
    call.answer(second)
    call.answer(first)
    assert call.callee is second


# -- numbers --------------------------------------------------------------------------------------------------------


def test_requests_of_ours_shift_the_numbers_of_later_ones():
    leg = Leg("bo", cseq=1)
    assert leg.next_cseq() == 2
    assert leg.next_cseq() == 3
    assert leg.passed_on(2, "INFO") == 4
    assert leg.cseq == 2


def test_an_ack_gets_the_number_of_its_invite():
    leg = Leg("bo", cseq=1)
    leg.next_cseq()
    assert leg.passed_on(2, "INVITE") == 3
    leg.next_cseq()
    assert leg.passed_on(2, "ACK") == 3
    assert leg.passed_on(1, "ACK") == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 50)), max_size=40))
def test_numbers_that_are_sent_only_grow(steps: list[tuple[bool, int]]):
    leg, sent, number = Leg("bo", cseq=1), [1], 1
    for ours, step in steps:
        if ours:
            sent.append(leg.next_cseq())
        else:
            number += step
            sent.append(leg.passed_on(number, "INFO"))
    assert sent == sorted(set(sent))


@given(st.lists(st.tuples(st.sampled_from(["ours", "INVITE", "INFO", "again"]), st.integers(1, 50)), max_size=80))
def test_numbers_grow_whatever_is_sent_again_and_acks_follow_their_invites(steps: list[tuple[str, int]]):
    leg, sent, number, method = Leg("bo", cseq=1), [1], 1, "INVITE"
    for what, step in steps:
        if what == "ours":
            sent.append(leg.next_cseq())
        elif what == "again":
            sent.append(leg.next_cseq())
            leg.sent_as(number, sent[-1], method)
        else:
            number, method = number + step, what
            sent.append(leg.passed_on(number, method))
        if method == "INVITE" and what != "ours":
            assert leg.passed_on(number, "ACK") == sent[-1]
    assert sent == sorted(set(sent))


def test_the_shift_of_so_many_invites_is_kept_and_the_oldest_goes():
    leg = Leg("bo", cseq=1)
    leg.next_cseq()
    for number in range(2, MAX_SHIFTS + 3):
        leg.passed_on(number, "INVITE")
    assert len(leg.shifts) == MAX_SHIFTS
    assert (leg.invite_sent_as(2), leg.invite_sent_as(3)) == (2, 4)


# -- profiles -------------------------------------------------------------------------------------------------------


def test_profiles_without_values_come_first():
    profiles = Profiles("inbound; outbound", "caller ; callee/s;")
    assert [(name, profile.has_value) for name, profile in profiles.items()] == [
        ("inbound", False),
        ("outbound", False),
        ("caller", True),
        ("callee", True),
    ]
    assert profiles.shared == ["callee"]


@pytest.mark.parametrize("names", [("a; a", ""), ("a", "a"), ("/s", "")])
def test_a_profile_has_one_name(names: tuple[str, str]):
    with pytest.raises(ValueError, match="is no name, or comes twice"):
        Profiles(*names)


def test_a_dialog_may_be_in_a_profile_several_times():
    profile = Profiles("", "caller")["caller"]
    call, other = dialog(), dialog(call_id="call-2")
    for value in ("bob", "bob", "eve"):
        profile.add(call, value)
    profile.add(other, "bob")
    assert (profile.size(), profile.size("bob"), profile.size("zz")) == (4, 3, 0)
    assert profile.dialogs("bob") == [call, other]
    assert profile.dialogs() == [call, other]
    assert profile.remove(call, "bob")
    assert profile.has(call, "bob")
    assert not profile.remove(call, "zz")
    profile.remove_all(call)
    assert (profile.size(), profile.has(call), profile.counts) == (1, False, {"bob": 1})


def test_a_profile_without_values_ignores_them():
    profile = Profiles("inbound", "")["inbound"]
    call = dialog()
    profile.add(call, "some value")
    assert (profile.size("another"), profile.has(call, "another"), call.profiles) == (1, True, [("inbound", "")])


@given(st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from(["x", "y"]), st.booleans()), max_size=30))
def test_sizes_are_what_the_dialogs_say(steps: list[tuple[str, str, bool]]):
    profiles = Profiles("a", "b")
    calls = [dialog(), dialog()]
    for number, (name, value, adds) in enumerate(steps):
        if adds:
            profiles[name].add(calls[number % 2], value)
        else:
            profiles[name].remove(calls[number % 2], value)
    for name in "ab":
        assert profiles[name].size() == sum(own == name for call in calls for own, _ in call.profiles)
    for call in calls:
        profiles.leave(call)
    assert [profile.size() for profile in profiles.values()] == [0, 0]
