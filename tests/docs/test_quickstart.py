"""What `make run` shows, and what the pages say of the language's tables."""

import re
import subprocess
import sys

import miscript
from miscript.script.operators import OPERATORS
from pages import ROOT

SCRIPT = ROOT / "examples" / "quickstart" / "opensips.cfg"
PROGRAM = "from miscript.cli import main; main()"


def test_the_first_script_is_clean():
    assert miscript.check(SCRIPT, run=True) == ()


def test_the_first_script_shows_each_use_of_mi_with_its_answer():
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, "run", str(SCRIPT), "--once"],
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    assert re.findall(r"^(\d)\. ", done.stdout, re.MULTILINE) == list("12345678")
    codes = [int(code) for code in re.findall(r"\bcode (-?\d+)", done.stdout)]
    assert codes == [1, 1, 1, -400, -1, 1, 1, 1, 1, 1]
    assert '{"script:calls_answered":3,"core:rcv_requests":0}' in done.stdout
    assert done.stdout.rstrip().endswith("statistics")


def test_the_page_of_the_language_has_the_precedences_of_the_table():
    page = (ROOT / "docs" / "language.md").read_text()
    rows = re.findall(r"^[1-4]\. (`.*?): ", page, re.MULTILINE)
    shown = [set(re.findall(r"`([^`]+)`", row)) for row in rows]
    levels = {operator.precedence for operator in OPERATORS.values() if operator.kind != "assignment"}
    table = [{symbol for symbol, op in OPERATORS.items() if op.precedence == level} for level in sorted(levels)]
    assert shown == table
