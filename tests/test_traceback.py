"""When Python code breaks below a script, the traceback quotes the script; what a script becomes can be printed."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from extra_module import offered
from miscript.errors import MIError
from miscript.exports import BoundText, Module, async_function, bound_function, mi_command, script_function, variable
from miscript.script.runtime import Run
from miscript.testing import RunningScript
from miscript.values import Value

PROGRAM = Path(sys.executable).with_name("miscript")
QUICKSTART = Path(__file__).parents[1] / "examples" / "quickstart" / "opensips.cfg"


class Broken(Module):
    """Breaks in every way that there is."""

    name = "broken"

    @script_function()
    def break_now(self, run: Run, text: str = "") -> int:
        raise LookupError(f"broken by {text}")

    @script_function()
    async def break_later(self, run: Run) -> int:
        raise LookupError("broken later")

    @bound_function()
    def break_bound(self, text: BoundText):
        def bound(run: Run) -> int:
            return len(text.get(run)) // 0

        return bound

    @async_function()
    async def break_async(self, run: Run) -> int:
        raise LookupError("broken in async")

    @variable("broken")
    def read(self, run: Run) -> Value:
        raise ZeroDivisionError("broken variable")

    @mi_command("break")
    def mi_break(self) -> object:
        """breaks"""
        raise LookupError("broken command")


SCRIPT = """\
loadmodule "broken.so"
loadmodule "mi_script.so"

route[statement] {
    $var(before) = 1;
    break_now("a statement");
    xlog("goes on with $rc\\n");
}

route[condition] {
    if ($var(before) == 1 and
        break_now("a condition") > 0)
        xlog("true\\n");
    else
        xlog("false\\n");
}

route[assignment] {
    $var(x) = "old";
    $var(x) = break_now("an assignment");
    xlog("$rc $var(x)\\n");
}

route[expression] {
    $var(x) = 1 +
        2 * $broken;
    xlog("not reached\\n");
}

route[text] {
    xlog("the value is $broken\\n");
}

route[later] {
    break_later();
    xlog("goes on with $rc\\n");
}

route[bound] {
    break_bound("text");
    xlog("goes on with $rc\\n");
}

route[nested] {
    route(expression);
}

route[suspended] {
    async(break_async(), resumed);
}

route[resumed] {
    xlog("resumed with $rc\\n");
}

route[command] {
    mi("break", $var(r));
    xlog("$rc $var(r)\\n");
}

route[fine] {
    xlog("fine\\n");
}
"""


@pytest.fixture
def script(tmp_path):
    path = tmp_path / "broken.cfg"
    path.write_text(SCRIPT.replace(' and\n        break_now("a condition") > 0)', ' and break_now("a condition"))'))
    with offered(Broken), RunningScript(path) as running:
        yield running


def quoted(caplog):
    """The lines of the script that the log's tracebacks quote."""
    return re.findall(r'broken\.cfg", line \d+, in .*\n +(.*)\n', caplog.text)


@pytest.mark.parametrize(
    ("route", "line"),
    [
        ("statement", 'break_now("a statement");'),
        ("condition", 'if ($var(before) == 1 and break_now("a condition"))'),
        ("assignment", '$var(x) = break_now("an assignment");'),
        ("expression", "2 * $broken;"),
        ("text", 'xlog("the value is $broken\\n");'),
        ("later", "break_later();"),
        ("bound", 'break_bound("text");'),
    ],
)
def test_the_traceback_quotes_the_line_of_the_script(script, caplog, route, line):
    if route == "condition":
        script.route("statement")
        caplog.clear()
    script.route(route)
    assert line in quoted(caplog)
    assert caplog.text.count("Traceback") == 1


def test_the_traceback_names_every_route_that_was_called(script, caplog):
    script.route("nested")
    assert quoted(caplog) == ["route(expression);", "2 * $broken;"]


@pytest.mark.parametrize("route", ["statement", "later", "bound"])
def test_for_the_script_a_broken_function_is_a_failed_call(script, route):
    assert script.route(route).output == "goes on with -1\n"


def test_in_a_condition_it_is_an_error_and_the_else_branch_runs(script):
    script.route("statement")
    assert script.route("condition").output == "false\n"


def test_in_an_assignment_it_leaves_the_variable_alone(script):
    assert script.route("assignment").output == "-1 old\n"


def test_a_broken_variable_ends_the_run_and_nothing_else(script):
    assert script.route("expression").output == ""
    assert script.host.runner.broken == 1
    assert script.route("fine").output == "fine\n"


def test_a_broken_function_in_async_runs_the_resume_route(script, caplog):
    assert script.route("suspended").output == "resumed with -1\n"
    assert "broken in async" in caplog.text


def test_a_broken_command_is_a_server_error_for_the_script_and_for_clients(script, caplog):
    assert script.route("command").output == "-32000 Server error\n"
    assert "broken command" in caplog.text
    with pytest.raises(MIError) as error:
        script.mi("break")
    assert error.value.code == -32000


# -- what a script becomes ------------------------------------------------------------------------------------------


@pytest.mark.e2e
@pytest.mark.parametrize("stage", ["tokens", "tree", "python"])
def test_every_stage_is_printed_the_same_each_time(stage):
    outputs = {
        subprocess.run(
            [PROGRAM, "show", stage, QUICKSTART], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1
    assert len(outputs.pop()) > 1000


def test_the_python_code_of_a_route_is_python(script):
    text = script.host.script.python()
    compile(text, "shown", "exec")
    assert "break_now" in text
    assert "async def" in text
