"""Runs the cases of this folder (`case_files` tells how they are written)."""

from pathlib import Path

import pytest

from case_files import announcement, cases
from miscript.host.embedding import check
from miscript.host.loading import Source
from miscript.script.explain import EXPLANATIONS
from miscript.testing import RunningScript

HERE = Path(__file__).parent
CASES = list(cases(HERE))
FAMILIES = ("E3", "E4", "E5", "W6")
BY_OTHERS = {
    "E410": "needs a module that refuses a value when it is initialised: tests/host",
}


@pytest.mark.parametrize("case", CASES, ids=str)
def test_case(case):
    found = check(Source(str(case.file), case.text), run=case.run)
    unannounced = [d for d in found if not any(e.matches(d) for e in case.diagnostics)]
    missing = [e for e in case.diagnostics if not any(e.matches(d) for d in found)]
    assert not unannounced and not missing, "\n".join(["found:", *map(announcement, found), f"missing: {missing}"])
    if case.prints is not None:
        assert run(case) == list(case.prints)


def run(case):
    """The lines that a case prints."""
    with RunningScript(case.text) as script:
        script.finish()
        assert (script.host.runner.broken, script.host.tasks.failures, script.busy) == (0, 0, ())
        return script.output.removesuffix("\n").split("\n")


def test_every_code_that_the_checker_can_give_has_a_case():
    with_case = {expected.code for case in CASES for expected in case.diagnostics}
    wanted = {code for code in EXPLANATIONS if code.startswith(FAMILIES)}
    assert wanted - with_case - BY_OTHERS.keys() == set()


def test_names_of_cases_are_unique():
    names = [str(case) for case in CASES]
    assert sorted(names) == sorted(set(names))
