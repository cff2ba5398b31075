"""What the documentation shows is what happens: every script on a page is run as the page says."""

import shlex
import subprocess
import sys

import pytest

from miscript.host.embedding import check
from miscript.host.loading import Source
from pages import ROOT, Page

PAGES = [Page.read(path) for path in (ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")))]
SESSIONS = [
    pytest.param(page, command, output, id=f"{page.name}: {command}")
    for page in PAGES
    for command, output in page.sessions
    if command.startswith("miscript ")
]
SCRIPTS = [
    pytest.param(script, id=f"{page.name}: {number}") for page in PAGES for number, script in enumerate(page.scripts, 1)
]
PROGRAM = "import sys; from miscript.cli import main; sys.argv[0] = 'miscript'; main()"


def test_the_first_page_shows_a_run_and_a_check():
    assert [command for command, _ in PAGES[0].sessions] == [
        "miscript run hello.cfg --once",
        "miscript check broken.cfg",
    ]


@pytest.mark.parametrize(("page", "command", "output"), SESSIONS)
def test_a_shown_command_prints_what_the_page_says(page, command, output, tmp_path):
    for name, code in page.files.items():
        (tmp_path / name).write_text(code)
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *shlex.split(command)[1:]],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.stdout.strip() == output.strip()


@pytest.mark.parametrize("script", SCRIPTS)
def test_a_script_that_a_page_shows_whole_has_no_mistake(script):
    assert [diagnostic.one_line() for diagnostic in check(Source("shown.cfg", script), run=True)] == []
