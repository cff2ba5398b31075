"""A module that exists only for a test: scripts can load it as if another package offered it."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

from miscript.catalog import module_class
from miscript.exports import Module


@contextmanager
def offered(cls: type[Module]) -> Iterator[None]:
    """Inside the `with`, `loadmodule "NAME.so"` finds `cls`."""
    entry = mock.Mock(load=lambda: cls)

    def entry_points(*, group: str, name: str):
        if (group, name) == ("miscript.modules", cls.name):
            return [entry]
        return importlib.metadata.entry_points(group=group, name=name)

    module_class.cache_clear()
    with mock.patch("importlib.metadata.entry_points", entry_points):
        yield
    module_class.cache_clear()
