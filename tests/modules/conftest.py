"""Calls of `dialog_calls` that are closed at the end of a test."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from dialog_calls import Call


@pytest.fixture
def calls() -> Iterator[list[Call]]:
    """A list for the calls of a test, which are closed at its end."""
    made: list[Call] = []
    yield made
    for one in made:
        one.script.close()
