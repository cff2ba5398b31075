"""Log levels of OpenSIPS and those of Python."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.log_levels import python_level


@pytest.mark.parametrize(
    ("level", "expected"),
    [(4, logging.DEBUG), (3, logging.INFO), (1, logging.WARNING), (-1, logging.ERROR), (-2, logging.CRITICAL)],
)
def test_levels_of_both_have_the_same_meaning(level, expected):
    assert python_level(level) == expected


@given(st.integers(), st.integers())
def test_a_higher_level_lets_no_less_through(first, second):
    low, high = sorted((first, second))
    assert python_level(low) >= python_level(high)
