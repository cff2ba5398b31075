"""The pytest plugin: the fixture `miscript`.

It is installed with the package.  Nothing else of miscript is imported until a test asks for the fixture.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .scripts import RunningScript


@pytest.fixture
def miscript() -> Iterator[Callable[..., RunningScript]]:
    """Start a script: `miscript("text of a script")` or `miscript(Path("opensips.cfg"))`, as many as are wanted.

    Gives a `miscript.testing.RunningScript`, stopped behind the test.  Its time stands still until the test moves
    it.
    """
    from .scripts import RunningScript

    started: list[RunningScript] = []

    def start(*arguments: object, **options: object) -> RunningScript:
        running = RunningScript(*arguments, **options)  # type: ignore[arg-type]  # its own signature checks them
        started.append(running)
        return running

    yield start
    for running in reversed(started):
        running.close()
