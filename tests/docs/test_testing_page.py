"""The code that docs/testing.md shows is run."""

import re
from pathlib import Path

pytest_plugins = ["pytester"]

PAGE = (Path(__file__).parents[2] / "docs" / "testing.md").read_text()
BLOCKS = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)

SCRIPT = """
loadmodule "cachedb_local.so"
route[gate] { if (cache_fetch("local", "blocked_$param(1)", $var(v))) return(-1); return(1); }
"""


def test_the_fixture_is_used_as_shown(pytester):
    pytester.makefile(".cfg", opensips=SCRIPT)
    pytester.makepyfile(BLOCKS[0])
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_what_needs_no_fixture_runs_as_shown():
    exec(BLOCKS[1], {})


async def test_what_is_a_coroutine_runs_as_shown():
    names = {}
    exec(BLOCKS[2], names)
    await names["test_in_a_loop_of_ones_own"]()
