"""Many things at once, things that never end, and stopping in the middle of them."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from extra_module import offered
from miscript.errors import MIError
from miscript.exports import Module, mi_command
from miscript.host.runs import Budget
from miscript.testing import RunningScript

PROGRAM = Path(sys.executable).with_name("miscript")

CALLS = 10_000


class Slow(Module):
    """A command whose answers come in another order than the calls."""

    name = "slow"
    under_way = 0
    most = 0

    @mi_command("echo", "key")
    async def echo(self, key: str) -> object:
        """says its key, after a time that depends on it"""
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.services.clock.sleep(1 + int(key) * 7919 % 97)
        finally:
            self.under_way -= 1
        if int(key) % 10 == 3:
            raise MIError(500 + int(key), "refused")
        return {"key": key}


MODULES = """
loadmodule "cfgutils.so"
loadmodule "mi_script.so"
loadmodule "slow.so"
max_while_loops = 20000
"""


def answer(key: int) -> str:
    return f"-{500 + key} refused" if key % 10 == 3 else f'1 {{"key":"{key}"}}'


def expected() -> list[str]:
    return sorted(f"{key}: {answer(key)}" for key in range(CALLS))


# -- ten thousand at once -------------------------------------------------------------------------------------------


def test_of_10000_launched_calls_none_is_lost_and_none_is_crossed():
    script = f"""
        {MODULES}
        route[start] {{
            $var(i) = 0;
            while ($var(i) < {CALLS}) {{
                launch(mi("echo $var(i)", $avp(answer)), done, "$var(i)");
                $var(i) += 1;
            }}
        }}
        route[done] {{ xlog("$param(1): $rc $avp(answer)\\n"); }}
    """
    with offered(Slow), RunningScript(script) as running:
        running.route("start")
        assert running.finish(200)
        assert sorted(running.output.splitlines()) == expected()
        assert running.host.catalog.modules["slow"].most == CALLS
        assert running.host.tasks.failures == 0


def test_of_10000_runs_that_suspend_each_goes_on_with_its_own_answer_and_its_own_avps():
    script = f"""
        {MODULES}
        event_route[E_CALL] {{
            $avp(key) = $param(key);
            $var(key) = $param(key);
            async(mi("echo $avp(key)", $var(answer)), done);
        }}
        route[done] {{
            xlog("$avp(key): $rc $var(answer)\\n");
            if ($var(key) != $avp(key)) xlog("crossed\\n");
        }}
    """
    with offered(Slow), RunningScript(script) as running:
        raise_all(running)
        assert running.finish(200)
        assert sorted(running.output.splitlines()) == expected()
        assert running.host.catalog.modules["slow"].most == CALLS


def test_of_10000_calls_that_routes_wait_for_each_gets_its_own_answer():
    script = f"""
        {MODULES}
        event_route[E_CALL] {{
            $var(key) = $param(key);
            mi("echo $var(key)", $var(answer));
            xlog("$var(key): $rc $var(answer)\\n");
        }}
    """
    with offered(Slow), RunningScript(script) as running:
        raise_all(running)
        assert running.finish(200)
        assert sorted(running.output.splitlines()) == expected()


def raise_all(running: RunningScript) -> None:
    """Raise one event for each call, all in one turn of the loop."""

    async def all_of_them() -> None:
        for key in range(CALLS):
            running.host.services.events.raise_event("E_CALL", [("key", str(key))])

    running.wait(all_of_them())


# -- variables of their own -----------------------------------------------------------------------------------------


def test_two_runs_under_way_never_see_each_others_variables():
    script = """
        loadmodule "cfgutils.so"
        event_route[E_GO] {
            $var(mine) = $param(who);
            $avp(mine) = $param(who);
            $var(turn) = 0;
            while ($var(turn) < 20) {
                sleep(1);
                if ($var(mine) != $param(who) or $avp(mine) != $param(who))
                    xlog("$param(who) saw $var(mine) and $(avp(mine)[*])\\n");
                $avp(mine) := $param(who);
                $var(turn) += 1;
            }
            xlog("$param(who) $var(turn)\\n");
        }
    """
    with RunningScript(script) as running:
        for number in range(50):
            running.raise_event("E_GO", {"who": f"run{number}"})
        assert running.finish(100)
        assert sorted(running.output.splitlines()) == sorted(f"run{number} 20" for number in range(50))


def test_a_var_stays_with_its_worker_when_nothing_runs_beside_it():
    script = """
        event_route[E_GO] { $var(seen) = $var(seen) + 1; xlog("$var(seen)\\n"); }
        event_route[E_SET] { $var(seen) = 0; }
    """
    with RunningScript(script) as running:
        running.raise_event("E_SET")
        for _ in range(3):
            running.raise_event("E_GO")
        assert running.output == "1\n2\n3\n"


def test_timers_and_events_do_not_see_what_startup_left():
    script = """
        startup_route { $var(left) = "by startup"; }
        timer_route[t, 1] { xlog("timer $var(left)\\n"); }
        event_route[E_GO] { xlog("event $var(left)\\n"); }
        route[r] { xlog("route $var(left)\\n"); }
    """
    with RunningScript(script) as running:
        running.raise_event("E_GO")
        running.advance(1)
        running.route("r")
        assert running.output == "event <null>\ntimer <null>\nroute by startup\n"


# -- what never ends ------------------------------------------------------------------------------------------------

ENDLESS = {
    "a while loop": "max_while_loops = 2000000000\nroute[r] { while (1) { $var(i) = 1; } }",
    "a for loop that feeds itself": "route[r] { $avp(x) = 1; for ($avp(x) in $(avp(x)[*])) { $var(i) = 1; } }",
    "loops in loops": """
        max_while_loops = 2000000000
        route[r] { while (1) { while ($var(i) < 10) { $var(i) += 1; } $var(i) = 0; } }
    """,
    "routes that call each other": "route[r] { route(s); route(s); }\nroute[s] { route(r); route(r); }",
}


@pytest.mark.parametrize("what", ENDLESS)
@pytest.mark.parametrize("budget", [Budget(steps=20_000), Budget(seconds=0.3)], ids=["steps", "seconds"])
def test_an_endless_script_is_stopped_by_its_limit(what, budget, caplog):
    with RunningScript(ENDLESS[what] + '\nroute[after] { xlog("alive\\n"); }', budget=budget) as running:
        started = time.monotonic()
        running.route("r")
        assert time.monotonic() - started < 5
        assert "it took more than" in caplog.text
        assert running.route("after").output == "alive\n"


def test_an_endless_script_lets_the_others_run():
    script = """
        max_while_loops = 2000000000
        event_route[E_ENDLESS] { while ($shv(stop) == 0) { $var(i) = 1; } xlog("stopped\\n"); }
        event_route[E_STOP] { $shv(stop) = 1; }
    """
    with RunningScript('loadmodule "cfgutils.so"\n' + script, budget=Budget(seconds=10)) as running:
        events = running.host.services.events

        async def both() -> None:
            events.raise_event("E_ENDLESS", [])
            events.raise_event("E_STOP", [])
            await running.host.tasks.idle(None)

        running.wait(both())
        assert running.output == "stopped\n"


# -- the program ----------------------------------------------------------------------------------------------------


def program(folder: Path, script: str, *options: str) -> subprocess.Popen[str]:
    path = folder / "load.cfg"
    path.write_text(script)
    return subprocess.Popen(
        [PROGRAM, "run", path, *options], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ
    )


@pytest.mark.e2e
def test_limit_stops_an_endless_script_of_the_program(tmp_path):
    script = "max_while_loops = 2000000000\nstartup_route { while (1) { $var(i) = 1; } }"
    done = program(tmp_path, script, "--once", "--limit", "0.5")
    _, errors = done.communicate(timeout=20)
    assert done.returncode == 1
    assert re.search(r"stopped in startup_route \(.*load.cfg:2\): it took more than 0.5 seconds", errors)


@pytest.mark.e2e
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize(
    "body",
    [
        'xlog("up\\n");',
        'xlog("up\\n"); sleep(600);',
        'launch(sleep(600)); xlog("up\\n");',
        'xlog("up\\n"); while (1) { $var(i) = 1; }',
    ],
    ids=["at rest", "in a sleep", "with launched work", "in an endless loop"],
)
def test_a_signal_stops_the_program_in_bounded_time(tmp_path, number, body):
    script = f'max_while_loops = 2000000000\nloadmodule "cfgutils.so"\nstartup_route {{ {body} }}'
    running = program(tmp_path, script)
    assert running.stdout is not None
    assert running.stdout.readline() == "up\n"
    running.send_signal(number)
    started = time.monotonic()
    _, errors = running.communicate(timeout=20)
    assert time.monotonic() - started < 5
    assert running.returncode == 0
    assert "Traceback" not in errors


@pytest.mark.e2e
def test_once_that_leaves_work_behind_exits_1_and_says_what(tmp_path):
    script = """
        loadmodule "cfgutils.so"
        startup_route { launch(sleep(600)); raise_event("E_LONG"); xlog("up\\n"); }
        event_route[E_LONG] { sleep(600); }
    """
    done = program(tmp_path, script, "--once", "--limit", "1")
    output, errors = done.communicate(timeout=20)
    assert output == "up\n"
    assert done.returncode == 1
    assert re.search(r"still under way after 1 seconds?: a launched job, event_route\[E_LONG\]", errors)


@pytest.mark.e2e
def test_for_cancels_what_is_in_flight_at_its_end(tmp_path):
    script = """
        loadmodule "cfgutils.so"
        startup_route { launch(sleep(600), done); xlog("up\\n"); }
        route[done] { xlog("never\\n"); }
    """
    started = time.monotonic()
    done = program(tmp_path, script, "--for", "0.5")
    output, _ = done.communicate(timeout=20)
    assert output == "up\n"
    assert done.returncode == 0
    assert time.monotonic() - started < 5
