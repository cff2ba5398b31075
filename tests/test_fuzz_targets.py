"""The targets of `make fuzz` hold for the inputs they begin with, and for some made from them without a guide."""

import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.targets import TARGETS


@pytest.mark.parametrize("name", TARGETS)
def test_the_target_holds_for_what_it_begins_with(name):
    for seed in TARGETS[name].seeds:
        TARGETS[name].run(seed)


@st.composite
def changed(draw, name):
    """A seed with a piece of it replaced by words of its language."""
    target = TARGETS[name]
    seed = draw(st.sampled_from(target.seeds))
    start = draw(st.integers(0, len(seed)))
    end = draw(st.integers(start, min(len(seed), start + 40)))
    piece = b"".join(draw(st.lists(st.sampled_from(target.words) | st.binary(max_size=3), max_size=5)))
    return seed[:start] + piece + seed[end:]


@pytest.mark.parametrize("name", TARGETS)
@settings(max_examples=50)
@given(data=st.data())
def test_the_target_holds_for_changed_inputs(name, data):
    TARGETS[name].run(data.draw(changed(name)))


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("jsonrpc", "parse"),
        ("hep", "codec"),
        ("policy", "parse_policy"),
        ("sip", "Message"),
        ("script", "parse_text"),
        ("http", "RequestReader"),
        ("fifo", "FifoReader"),
    ],
)
def test_the_target_sees_a_parser_that_breaks(name, broken, monkeypatch):
    monkeypatch.setattr(f"fuzz.targets.{broken}", None)
    with pytest.raises((TypeError, AttributeError)):
        TARGETS[name].run(TARGETS[name].seeds[0])
