"""Log levels of OpenSIPS and those of Python."""

from __future__ import annotations

import logging

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.log_levels import LogLevel, level_name, parse_level, python_level


@pytest.mark.parametrize("level", list(LogLevel))
def test_names_and_numbers_are_read_and_written(level):
    assert parse_level(f"L_{level.name}") == parse_level(level.name.lower()) == parse_level(str(int(level))) == level
    assert level_name(level) == f"L_{level.name}"


def test_a_number_without_a_name_is_its_digits():
    assert level_name(0) == "0"
    assert parse_level(level_name(0)) == 0


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


@given(st.text())
def test_any_text_is_a_level_or_a_value_error(text):
    try:
        assert isinstance(parse_level(text), int)
    except ValueError as error:
        assert "log level" in str(error)
