"""Routes that no message brings about have a dummy message of their own, as a real OpenSIPS 4.1 has it."""

import pytest

from miscript.testing import RunningScript, run_script

SHOW = 'route[show] { $rU = "x"; append_hf("A: b\\r\\n"); xlog("$param(1) $rm $ru $ci $si $rc\\n"); }\n'
MODULES = 'loadmodule "cfgutils.so"\nloadmodule "sipmsgops.so"\n'


def shown(who):
    return f"{who} DUMMY sip:x@dummy.com dummy-1 0.0.0.0 1\n"


def test_startup_events_and_launched_routes_have_a_message():
    script = (
        'event_route[E_MINE] { route(show, "event"); }\n'
        'route[later] { route(show, "launched"); }\n'
        'startup_route { raise_event("E_MINE"); route(show, "startup"); launch(usleep(1000), later); }\n'
    )
    printed = run_script(MODULES + SHOW + script).output
    assert sorted(printed.splitlines(keepends=True)) == [shown("event"), shown("launched"), shown("startup")]


def test_each_tick_has_a_message_of_its_own():
    with RunningScript(MODULES + SHOW + 'timer_route[t, 1] { xlog("$ru "); route(show, "tick"); }\n') as script:
        script.advance(1.1)
        script.advance(1)
        assert script.output == ("sip:user@dummy.com " + shown("tick")) * 2


@pytest.mark.parametrize(("text", "parameter"), [('""', "<null>"), ('"$var(e)"', ""), ('"$var(none)"', "<null>")])
def test_the_text_of_launch(text, parameter):
    script = f'startup_route {{ $var(e) = ""; launch(usleep(1), later, {text}); }}\n'
    assert run_script(MODULES + script + 'route[later] { xlog("[$param(1)]"); }').output == f"[{parameter}]"


def test_the_first_of_two_attributes_of_one_name_counts():
    script = (
        '$avp(n) = "x"; $avp(n) = "x"; $avp(v) = 1; $avp(v) = 2; raise_event("E_MINE", $avp(n), $avp(v)); }\n'
        'event_route[E_MINE] { xlog("$param(1) $param(2) $param(x)"); }'
    )
    assert run_script("startup_route { " + script).output == "2 1 2"
