"""CONTRIBUTING.md: its steps are followed in a copy of the package."""

import os
import re
import shutil
import subprocess
import sys
import textwrap

import pytest

from pages import ROOT

CODE = re.compile(r"^   ```\w*\n   # ([\w-]+\.(?:cfg|py))\n(.*?)^   ```$", re.MULTILINE | re.DOTALL)
PROGRAM = "import sys; from miscript.cli import main; sys.argv[0] = 'miscript'; main()"


@pytest.fixture(scope="module")
def shown():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    return {name: textwrap.dedent(f"   # {name}\n{code}") for name, code in CODE.findall(text)}


@pytest.fixture(scope="module")
def copy(shown, tmp_path_factory):
    folder = tmp_path_factory.mktemp("copy")
    shutil.copytree(ROOT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "tests").mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", folder / "tests")
    modules = folder / "src" / "miscript" / "modules"
    (modules / "call_gate.py").write_text(shown["call_gate.py"])
    gflags = modules / "gflags.py"
    gflags.write_text(gflags.read_text() + "\n" + textwrap.indent(shown["gflags_list.py"], "    "))
    for name, code in shown.items():
        target = folder / "tests" if name.startswith("test_") else folder
        (target / name).write_text(code)
    return folder


def run(copy, *arguments):
    return subprocess.run(
        [sys.executable, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy / "src"), "PYTHONDONTWRITEBYTECODE": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_script_of_the_command_prints_what_the_page_says(copy):
    assert run(copy, "-c", PROGRAM, "run", "try.cfg", "--once").stdout == "1 [1,3]\n-400 Bad parameter value\n"


def test_the_checker_says_of_the_new_module_what_the_page_says(copy):
    said = run(copy, "-c", PROGRAM, "check", "gate.cfg", "--format", "concise").stdout.strip().splitlines()
    page = (ROOT / "CONTRIBUTING.md").read_text()
    assert said == [line.strip() for line in page.splitlines() if line.startswith("   gate.cfg:")]


def test_the_example_of_the_new_module_has_no_mistake(copy):
    done = run(copy, "-c", PROGRAM, "check", "--run", "call_gate.cfg")
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("name", ["test_gflags_list.py", "test_module_call_gate.py"])
def test_the_tests_that_the_page_shows_pass(copy, name):
    done = run(copy, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"tests/{name}")
    assert done.returncode == 0, done.stdout
    assert " passed" in done.stdout or "[100%]" in done.stdout
