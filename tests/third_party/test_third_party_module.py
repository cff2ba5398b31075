"""A package that knows nothing of this project's tree brings a module, found by its entry point."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

HERE = Path(__file__).parent
PACKAGE = HERE / "call_gate"
PROGRAM = Path(sys.executable).with_name("miscript")

SCRIPT = """
loadmodule "mi_script.so"
loadmodule "/usr/lib/opensips/modules/call_gate.so"
modparam("call_gate", "max_calls", 2)

startup_route {
    gate_enter("bob");
    gate_enter("bob");
    if (!gate_enter("bob"))
        xlog("bob has $gate_calls(bob) calls, that is enough\\n");
    mi("gate_list bob", $var(r));
    xlog("$rc $var(r)\\n");
    mi("call_gate:list nobody", $var(r));
    xlog("$rc $var(r)\\n");
    $avp(p) = "statistics"; $avp(v) = "__array(refused)";
    mi("get_statistics", $var(r), $avp(p), $avp(v));
    xlog("$var(r)\\n");
    launch(gate_wait("bob"), admitted, "bob");
    gate_leave("bob");
}
route[admitted] { xlog("$param(1) is in again: $rc, $gate_calls(bob) calls\\n"); }
event_route[E_GATE_FULL] { xlog("gate full for $param(caller) at $param(calls)\\n"); }
"""

PRINTED = """\
bob has 2 calls, that is enough
1 {"caller":"bob","calls":2}
-404 No such caller
{"call_gate:refused":1}
gate full for bob at 2
bob is in again: 1, 2 calls
"""


@pytest.fixture
def installed(tmp_path) -> dict[str, str]:
    """The environment of a Python that has the package: its file and what an installer writes beside it."""
    project = tomllib.loads((PACKAGE / "pyproject.toml").read_text())["project"]
    site = tmp_path / "site"
    information = site / f"call_gate-{project['version']}.dist-info"
    information.mkdir(parents=True)
    shutil.copy(PACKAGE / "src" / "call_gate.py", site)
    (information / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {project['name']}\nVersion: {project['version']}\n"
    )
    groups = project["entry-points"].items()
    (information / "entry_points.txt").write_text(
        "\n".join(f"[{group}]\n" + "\n".join(f"{k} = {v}" for k, v in entries.items()) for group, entries in groups)
    )
    others = os.environ.get("PYTHONPATH", "")
    return os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [str(site), others]))}


def miscript(command, script, folder, environment, *options):
    path = folder / "gate.cfg"
    path.write_text(script)
    return subprocess.run(
        [PROGRAM, command, path, *options], env=environment, capture_output=True, text=True, timeout=30, check=False
    )


@pytest.mark.e2e
def test_a_script_uses_the_module_of_another_package(installed, tmp_path):
    done = miscript("run", SCRIPT, tmp_path, installed, "--once")
    assert sorted(done.stdout.splitlines()) == sorted(PRINTED.splitlines()), done.stderr
    assert done.returncode == 0


@pytest.mark.e2e
def test_its_names_are_checked_like_any_others(installed, tmp_path):
    script = SCRIPT.replace('gate_leave("bob")', "gate_leave()").replace("max_calls", "max_cals", 1)
    done = miscript("check", script, tmp_path, installed, "--format", "concise")
    assert done.returncode == 1
    lines = [line.partition("gate.cfg:")[2] for line in done.stdout.splitlines()]
    assert lines == [
        "4:23: error[E307]: module 'call_gate' has no parameter 'max_cals'",
        "19:5: error[E402]: 'gate_leave' needs at least 1 argument, 0 are given",
    ]


@pytest.mark.e2e
def test_a_value_that_it_refuses_is_shown_at_its_line(installed, tmp_path):
    done = miscript("run", SCRIPT.replace('"max_calls", 2', '"max_calls", 0'), tmp_path, installed, "--once")
    assert done.returncode == 1
    assert "error[E410]: module 'call_gate': max_calls must be 1 or more, found 0" in done.stderr
    assert "gate.cfg:4:36" in done.stderr


@pytest.mark.e2e
def test_without_the_package_the_module_is_unknown(tmp_path):
    done = miscript("check", SCRIPT, tmp_path, dict(os.environ), "--format", "concise")
    assert done.returncode == 1
    assert "error[E305]: there is no module 'call_gate' in miscript nor in OpenSIPS 4.1" in done.stdout
