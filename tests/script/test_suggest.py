from hypothesis import given
from hypothesis import strategies as st

from miscript.script.suggest import LONGEST_NAME, SHOWN_NAMES, edit_distance, near, near_names

FUNCTIONS = ["append_hf", "cache_fetch", "cache_store", "log", "send_reply", "t_relay", "t_reply", "xdbg", "xlog"]


def test_one_near_name_is_asked_for():
    assert near("xlgo", FUNCTIONS) == "did you mean 'xlog'?"


def test_two_and_three_equally_near_names_are_listed():
    assert near("t_rely", FUNCTIONS) == "did you mean 't_relay' or 't_reply'?"
    assert near("cat", ["bat", "car", "cut", "dog"]) == "did you mean 'bat', 'car' or 'cut'?"


def test_never_more_than_three_names_are_listed():
    assert near_names("aaa", ["aab", "aac", "aad", "aae"]) == ["aab", "aac", "aad"]


def test_the_nearest_name_hides_the_farther_ones():
    assert near_names("cache_stor", ["cache_store", "cache_sto"]) == ["cache_sto", "cache_store"]
    assert near_names("cache_fetc", ["cache_fetch", "cache_feed"]) == ["cache_fetch"]


def test_case_does_not_count():
    assert near("XLOG", FUNCTIONS) == "did you mean 'xlog'?"
    assert near("Append_HF", FUNCTIONS) == "did you mean 'append_hf'?"


def test_the_same_words_in_another_order_or_with_a_prefix_are_near():
    assert near("sl_send_reply", FUNCTIONS) == "did you mean 'send_reply'?"
    assert near("reply_send", FUNCTIONS) == "did you mean 'send_reply'?"


def test_nothing_is_suggested_when_nothing_is_near():
    assert near("frobnicate", FUNCTIONS) is None
    assert near("xlog", []) is None
    assert near("", FUNCTIONS) is None


def test_a_name_is_not_suggested_in_its_own_place():
    assert near("xlog", ["xlog"]) is None


def test_a_very_long_name_has_no_near_names():
    long_name = "a" * (LONGEST_NAME + 1)
    assert near(long_name, [long_name + "b"]) is None


def test_a_name_of_one_letter_is_near_to_its_other_case_only():
    assert near_names("x", ["X", "y", "z"]) == ["X"]
    assert near_names("fr", ["fu", "ru"]) == ["fu"]


def test_swapping_two_neighbours_is_one_error():
    assert edit_distance("xlgo", "xlog", 3) == 1
    assert edit_distance("abcd", "badc", 3) == 2


def test_a_distance_above_the_limit_is_not_worked_out():
    assert edit_distance("abc", "xyz", 1) == 2
    assert edit_distance("a", "abcdef", 2) == 3


words = st.text("abc_", max_size=8)


@given(words, words)
def test_the_distance_is_symmetric_and_zero_only_for_equal_names(left, right):
    distance = edit_distance(left, right, 10)
    assert distance == edit_distance(right, left, 10)
    assert (distance == 0) == (left == right)
    assert distance <= max(len(left), len(right))


@given(words, words, st.integers(0, 5))
def test_the_limit_changes_only_what_lies_beyond_it(left, right, limit):
    assert edit_distance(left, right, limit) == min(edit_distance(left, right, 20), limit + 1)


@given(st.text(max_size=80), st.lists(st.text(max_size=80), max_size=20))
def test_suggestions_come_from_the_candidates(name, candidates):
    found = near_names(name, candidates)
    assert len(found) <= SHOWN_NAMES
    assert set(found) <= set(candidates) - {name}
