"""Signals, limits and exit statuses of `miscript run`."""

import math
import os
import re
import signal
import socket
import subprocess
import sys

import pytest

from miscript.cli.watchdog import PATIENCE_SECONDS, TICK_SECONDS, Watchdog
from miscript.script.runtime import BudgetExceeded, Run, Script, Symbols, VariableSpace

pytestmark = pytest.mark.e2e

RUN = [sys.executable, "-c", "from miscript.cli import main; main()", "run"]
ENDLESS = """
max_while_loops=2000000000
route { exit; }
startup_route { xlog("begins\\n"); $var(i) = 0; while (1) $var(i) += 1; }
"""
BRANCHING = """
route { exit; }
startup_route { xlog("begins\\n"); route(a); }
route[a] { route(a); route(a); }
"""


BACKTRACKING = """
startup_route { $var(s) = "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaab";
  if ($var(s) =~ "^(a+)+$") { xlog("matches\\n"); }
}
timer_route[others, 1] { xlog("others go on\\n"); }
"""


def start(tmp_path, text, *options):
    path = tmp_path / "script.cfg"
    path.write_text(text)
    return subprocess.Popen([*RUN, str(path), *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("text", [ENDLESS, BRANCHING], ids=["a loop", "routes that call each other"])
def test_a_script_without_end_is_stopped_by_one_signal(tmp_path, text, number):
    with start(tmp_path, text) as running:
        assert running.stdout.readline() == "begins\n"
        running.send_signal(number)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.parametrize("limit", ["0.3", "1000steps"])
def test_a_run_that_takes_more_than_its_limit_is_ended_and_the_status_says_so(tmp_path, limit):
    with start(tmp_path, ENDLESS, "--once", "--limit", limit) as running:
        printed, errors = running.communicate(timeout=20)
    assert (printed, running.returncode) == ("begins\n", 1)
    assert re.search(r"stopped in startup_route \(.*script.cfg:4\): it took more than", errors)


def test_work_that_is_left_is_named(tmp_path):
    text = """
    loadmodule "cfgutils.so"
    route { exit; }
    startup_route { launch(sleep(60)); }
    """
    with start(tmp_path, text, "--once", "--limit", "0.3") as running:
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 1
    assert "still under way after 0.3 seconds: a launched job" in errors


def test_the_same_line_fills_no_disk(tmp_path):
    text = """
    max_while_loops=50000
    route { exit; }
    startup_route { while (1) $var(none) += 1; xlog("done\\n"); }
    """
    with start(tmp_path, text, "--once") as running:
        printed, errors = running.communicate(timeout=20)
    assert printed == "done\n"
    assert errors.count("cannot take NULL") < 200
    assert "lines like others were left out" in errors


POLICY = """
[roles.r]
commands = ["uptime"]
[[allow]]
role = "r"
"""
DOOR = """
log_level=3
loadmodule "httpd.so"
modparam("httpd", "port", {port})
loadmodule "mi_http.so"
modparam("mi_http", "policy", "{policy}")
startup_route {{ xlog("begins\\n"); }}
route {{ exit; }}
"""


def test_sighup_lets_policies_be_read_again_and_the_host_go_on(tmp_path):
    policy = tmp_path / "policy.toml"
    policy.write_text(POLICY)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with start(tmp_path, DOOR.format(port=port, policy=policy)) as running:
        assert running.stdout.readline() == "begins\n"
        running.send_signal(signal.SIGHUP)
        assert "is in force" in _line_with(running.stderr, "policy file")
        policy.write_text("=")
        running.send_signal(signal.SIGHUP)
        assert "stays in force" in _line_with(running.stderr, "policy file")
        running.send_signal(signal.SIGTERM)
        running.communicate(timeout=20)
    assert running.returncode == 0


def _line_with(stream, text):
    return next(line for line in stream if text in line)


def test_a_terminal_that_is_closed_stops_the_host(tmp_path):
    path = tmp_path / "script.cfg"
    path.write_text('startup_route { xlog("begins\\n"); } route { exit; }')
    ours, theirs = os.openpty()
    with subprocess.Popen([*RUN, str(path)], stdin=theirs, stdout=subprocess.PIPE, start_new_session=True) as running:
        os.close(theirs)
        assert running.stdout.readline() == b"begins\n"
        os.close(ours)
        running.send_signal(signal.SIGHUP)  # the kernel sends it where the terminal is the controlling one
        running.communicate(timeout=20)
    assert running.returncode == 0


def test_a_regular_expression_that_backtracks_is_interrupted_and_the_host_goes_on(tmp_path):
    with start(tmp_path, BACKTRACKING, "--limit", "0.3") as running:
        assert running.stdout.readline() == "others go on\n"
        running.send_signal(signal.SIGTERM)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 0
    assert "stopped in startup_route" in errors
    assert "script.cfg:3): it took more than 0.3 seconds" in errors
    assert "Traceback" not in errors


def test_one_operation_has_five_seconds_without_any_limit():
    looks = math.ceil(PATIENCE_SECONDS / TICK_SECONDS)
    run = Run(Script("t.cfg", Symbols()), VariableSpace(), "route")
    watchdog = Watchdog()
    frame = frame_that_works_for(run)
    for _ in range(looks):
        watchdog.look(signal.SIGVTALRM, frame)
    with pytest.raises(BudgetExceeded, match="5 seconds for one operation"):
        watchdog.look(signal.SIGVTALRM, frame)


def frame_that_works_for(run):
    return sys._getframe()


@pytest.mark.parametrize(
    ("options", "reached"), [((), 99), (("--limit", "300routes"), 299), (("--limit", "9routes"), 8)]
)
def test_routes_nest_as_deep_as_the_limit_says(tmp_path, options, reached):
    text = """
        startup_route { $var(i) = 0; route(a); xlog("$var(i)"); }
        route[a] { $var(i) += 1; if ($var(i) < 1000) { route(a); } }
    """
    with start(tmp_path, text, "--once", *options) as running:
        printed, errors = running.communicate(timeout=20)
    assert printed == str(reached)
    assert f"routes nest deeper than {reached + 1} in route[a]" in errors
