"""The parts of the core do not get in each other's way."""

from __future__ import annotations

from collections import Counter

from miscript.exports import Module
from miscript.modules.core import Core


def test_no_two_parts_of_the_core_have_a_name_in_common():
    meant = {"__init__", "__module__", "__doc__", "init", "__annotations__"}
    parts = [part for part in Core.__mro__[1:] if part not in (Module, object)]
    names = Counter(name for part in parts for name in vars(part) if not name.startswith("__") or name in meant)
    assert {name for name, count in names.items() if count > 1} <= meant
