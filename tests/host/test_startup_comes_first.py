"""What the startup route raises and launches runs when it has ended, and `async()` that cannot start fails."""

import pytest

from miscript.testing import RunningScript, run_script

CFGUTILS = 'loadmodule "cfgutils.so"\n'


def test_events_and_launched_routes_wait_for_the_end_of_the_startup_route():
    script = (
        'startup_route { launch(usleep(1), later); raise_event("E_MINE"); sleep(5); xlog("started "); }\n'
        'route[later] { xlog("later "); }\nevent_route[E_MINE] { xlog("event "); }\n'
    )
    with RunningScript(CFGUTILS + script) as running:
        running.settle()
        assert running.output.startswith("started ")
        assert sorted(running.output.split()) == ["event", "later", "started"]


def test_they_run_too_when_the_startup_route_breaks_off():
    script = 'startup_route { raise_event("E_MINE"); exit; }\nevent_route[E_MINE] { xlog("event"); }\n'
    assert run_script(script).output == "event"


@pytest.mark.parametrize("argument", ["$var(none)", "$var(text)"])
@pytest.mark.parametrize("statement", ["async(usleep({}), later)", "launch(usleep({}), later)", "launch(usleep({}))"])
def test_an_argument_that_does_not_fit_fails_the_statement(statement, argument):
    body = f'$var(text) = "1000"; {statement.format(argument)}; xlog("on $rc");'
    script = f'startup_route {{ {body} }}\nroute[later] {{ xlog("later"); }}\n'
    ran = run_script(CFGUTILS + script)
    assert (ran.output, ran.host.runner.broken) == ("on -1", 0)


def test_a_resume_route_that_there_is_not_ends_the_run():
    script = 'startup_route { async(usleep(1), "later$var(x)"); xlog("on"); }\nroute[later] { xlog("later"); }\n'
    ran = run_script(CFGUTILS + script)
    assert (ran.output, ran.host.runner.broken) == ("", 0)


def test_a_launched_route_that_waits_loses_its_parameters():
    script = (
        'startup_route { launch(usleep(1), first, "p"); }\nroute[second] { xlog("$param(1)"); }\n'
        'route[first] { xlog("$param(1) "); async(usleep(1), second); }\n'
    )
    assert run_script(CFGUTILS + script).output == "p <null>"


def test_the_parameters_of_a_route_that_waits_are_there_when_it_resumes():
    script = (
        'startup_route { route(first, "p"); }\nroute[first] { async(usleep(1), second); }\n'
        'route[second] { xlog("$param(1) "); route(third); async(usleep(1), third); }\n'
        'route[third] { xlog("$param(1) "); }\n'
    )
    assert run_script(CFGUTILS + script).output == "p <null> p "
