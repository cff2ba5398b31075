"""What `miscript check --explain CODE` shows: the wrong script is wrong in that way, the right one is right."""

import pytest

from miscript.host.embedding import check
from miscript.script.explain import EXPLANATIONS

COMMAND_LINES = {"E100", "E109"}
"""Explained with a command line, not with a script."""

FOR_RUN = {"E309"}
"""Found only by `miscript run`."""


def codes(folder, text, code):
    """What is found in a script that stands in a folder with the files that the explanations name."""
    for number in range(1, 31):
        (folder / f"{number}.cfg").write_text(f'include_file "{number + 1}.cfg"\n' if number < 30 else "")
    (folder / "opensips.cfg").write_text(text + "\n")
    return {found.code for found in check(folder / "opensips.cfg", run=code in FOR_RUN)}


@pytest.mark.parametrize("code", [code for code in EXPLANATIONS if code not in COMMAND_LINES])
def test_the_wrong_script_has_the_mistake(code, tmp_path):
    assert code in codes(tmp_path, EXPLANATIONS[code].wrong, code)


@pytest.mark.parametrize("code", [code for code in EXPLANATIONS if code not in COMMAND_LINES | {"E108"}])
def test_the_right_script_has_no_mistake_at_all(code, tmp_path):
    assert codes(tmp_path, EXPLANATIONS[code].right, code) == set()
