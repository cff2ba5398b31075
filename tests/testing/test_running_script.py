"""Scripts that run inside a test."""

import logging

import pytest

from miscript.errors import MIError, ScriptError
from miscript.host.runs import Budget
from miscript.testing import ManualClock, RunningScript, run_script

HEARTBEAT = """
loadmodule "cfgutils.so"
timer_route[beat, 30] { xlog("beat\\n"); }
event_route[E_CALL] { xlog("call of $param(caller)\\n"); }
route[greet] { $avp(seen) = "one"; $avp(seen) = "two"; xlog("hello $param(1)\\n"); return(7); }
route[method] { xlog("$rm $rU $hdr(Subject)\\n"); }
route[nap] { sleep(40); xlog("awake\\n"); }
startup_route { xlog("up\\n"); }
"""


@pytest.fixture
def heartbeat():
    with RunningScript(HEARTBEAT) as script:
        yield script


def test_the_startup_route_has_run(heartbeat):
    assert heartbeat.output == "up\n"


def test_take_gives_what_came_since_the_last_time(heartbeat):
    assert heartbeat.take() == "up\n"
    assert heartbeat.take() == ""
    heartbeat.route("greet", "you")
    assert heartbeat.take() == "hello you\n"
    assert heartbeat.output == "up\nhello you\n"


def test_a_route_gives_its_code_its_print_and_its_avps(heartbeat):
    call = heartbeat.route("greet", "alice")
    assert (call.code, call.output) == (7, "hello alice\n")
    assert list(call.avps["seen"]) == ["one", "two"]


def test_a_route_that_is_not_there_is_a_lookup_error(heartbeat):
    with pytest.raises(LookupError, match="nowhere"):
        heartbeat.route("nowhere")


def test_a_route_gets_a_message_as_text_or_bytes(heartbeat):
    text = """
        INVITE sip:bob@example.com SIP/2.0
        Subject: lunch
    """
    lines = "\n".join(line.strip() for line in text.strip().splitlines())
    assert heartbeat.route("method", message=lines).output == "INVITE bob lunch\n"
    wire = b"INVITE sip:bob@example.com SIP/2.0\r\nSubject: lunch\r\n\r\n"
    assert heartbeat.route("method", message=wire).output == "INVITE bob lunch\n"


def test_a_route_that_sleeps_moves_the_clock(heartbeat):
    assert heartbeat.route("nap").output == "beat\nawake\n"
    assert heartbeat.clock.monotonic() == 40


def test_timers_tick_when_the_time_passes(heartbeat):
    heartbeat.take()
    heartbeat.advance(29)
    assert heartbeat.take() == ""
    heartbeat.advance(1)
    assert heartbeat.take() == "beat\n"
    heartbeat.advance(60)
    assert heartbeat.take() == "beat\nbeat\n"


def test_an_event_runs_its_route(heartbeat):
    heartbeat.take()
    assert heartbeat.raise_event("E_CALL", {"caller": "bob"}) == 1
    assert heartbeat.take() == "call of bob\n"
    assert heartbeat.raise_event("E_NOBODY") == 0


def test_a_command_is_called_by_position_and_by_name(heartbeat):
    assert heartbeat.mi("shv_set", "limit", "int", 3) == "OK"
    assert heartbeat.mi("shv_get", name="limit") == {"VAR": {"type": "integer", "value": 3}}
    with pytest.raises(MIError) as refused:
        heartbeat.mi("shv_get", "nothing")
    assert refused.value.code == 404


def test_finish_waits_for_what_was_launched():
    with RunningScript(
        'loadmodule "cfgutils.so"\n'
        "startup_route { launch(sleep(5), done); launch(sleep(2), done); }\n"
        'route[done] { xlog("done\\n"); }'
    ) as script:
        assert script.output == ""
        assert script.busy == ("a launched job", "a launched job")
        assert script.finish()
        assert script.output == "done\ndone\n"
        assert script.clock.monotonic() == 5


def test_finish_says_when_the_work_takes_longer():
    with RunningScript('loadmodule "cfgutils.so"\nstartup_route { launch(sleep(50)); }') as script:
        assert not script.finish(seconds=10)
        assert script.clock.monotonic() == 10


def test_a_broken_script_raises_all_its_diagnostics():
    with pytest.raises(ScriptError) as error:
        RunningScript("startup_route { nothing(); $nothing = 1; }")
    assert [d.code for d in error.value.diagnostics] == ["E301", "E303"]
    assert error.value.diagnostics[0].span.file.name == "test.cfg"


def test_the_log_level_of_the_script_is_gone_when_it_is_closed():
    before = logging.getLogger("miscript").level
    run_script("log_level=4\nstartup_route { exit; }")
    assert logging.getLogger("miscript").level == before


def test_run_script_runs_to_the_end_of_what_was_started():
    ran = run_script(HEARTBEAT)
    assert ran.output == "up\n"
    assert ran.left == ()


def test_run_script_for_some_time_lets_timers_tick():
    assert run_script(HEARTBEAT, seconds=90).output == "up\nbeat\nbeat\nbeat\n"


def test_run_script_of_a_file(tmp_path):
    path = tmp_path / "mine.cfg"
    path.write_text('startup_route { xlog("$cfg_file\\n"); }'.replace("$cfg_file", "from a file"))
    assert run_script(path).output == "from a file\n"


def test_a_budget_bounds_each_run():
    ran = run_script("startup_route { while (1) { $var(i) = 1; } } route { exit; }", budget=Budget(steps=100))
    assert ran.host.runner.broken == 1


def test_stubs_do_nothing_and_succeed():
    ran = run_script(
        """
        loadmodule "rtpengine.so"
        route[media] { if (rtpengine_offer()) xlog("offered\\n"); if (rtpengine_answer("a", )) xlog("answered\\n"); }
        startup_route { route(media); }
        """,
        stubs=["rtpengine"],
    )
    assert ran.output == "offered\nanswered\n"


def test_the_clock_may_be_given():
    clock = ManualClock(start=86_400)
    assert run_script('startup_route { xlog("$Ts\\n"); }', clock=clock).output == "86400\n"
