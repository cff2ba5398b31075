"""docs/embedding.md: every program on the page prints what stands below it."""

import re
import subprocess
import sys

import pytest

from pages import ROOT

PAGE = (ROOT / "docs" / "embedding.md").read_text()
EXAMPLE = re.compile(r"^```python\n# (\w+)\.py\n(.*?)^```\n\n```\n(.*?)^```$", re.MULTILINE | re.DOTALL)
EXAMPLES = [pytest.param(code, output, id=name) for name, code, output in EXAMPLE.findall(PAGE)]


def test_every_program_of_the_page_has_its_output_below():
    assert len(EXAMPLES) == PAGE.count("```python") == 5


@pytest.mark.parametrize(("code", "output"), EXAMPLES)
def test_an_example_prints_what_the_page_says(code, output, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.stderr == ""
    wanted = re.escape(output).replace("…", ".*")
    assert re.fullmatch(wanted, done.stdout), done.stdout
