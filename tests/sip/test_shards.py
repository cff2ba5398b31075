"""Large mappings that never make anybody wait."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import shards
from miscript.sip.shards import SHARDS, SMALL, Shards

KEYS = st.integers(0, 30)


@given(st.lists(st.tuples(st.sampled_from(["set", "del"]), KEYS), max_size=200), st.sampled_from([4, 1000]))
def test_it_holds_what_a_dict_would(steps: list[tuple[str, int]], small: int):
    ours: Shards[int, int] = Shards()
    theirs: dict[int, int] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shards, "SMALL", small)
        patch.setattr(shards, "SHARDS", 8)
        for number, (what, key) in enumerate(steps):
            if what == "set":
                ours[key] = theirs[key] = number
            elif key in theirs:
                del ours[key], theirs[key]
            else:
                with pytest.raises(KeyError):
                    del ours[key]
    assert len(ours) == len(theirs) and sorted(ours) == sorted(theirs.values())
    for key in range(31):
        assert ours.get(key) == theirs.get(key) and (key in ours) is (key in theirs)


def test_a_small_one_keeps_the_order_and_a_large_one_is_many_dicts():
    some: Shards[str, int] = Shards()
    for number in range(SMALL):
        some[f"k{number}"] = number
    assert list(some) == list(range(SMALL))
    some["one more"] = SMALL
    assert sorted(some) == list(range(SMALL + 1)) and len(some) == SMALL + 1
    assert len(some._shards) == SHARDS and max(map(len, some._shards)) < 50


@pytest.mark.parametrize("size", [10, SMALL + 10])
def test_entries_may_come_and_go_while_somebody_looks(size: int):
    some: Shards[int, int] = Shards()
    for number in range(size):
        some[number] = number
    seen = []
    for value in some:
        if value >= 0:
            seen.append(value)
            del some[value]
            some[-value - 1] = -1
    assert sorted(seen) == list(range(size))
    assert len(some) == size
    with pytest.raises(KeyError):
        some[0]
