"""What `$rc` is behind branches and loops and at the end of routes, each as a real OpenSIPS 4.1 prints it."""

import pytest

from miscript.testing import run_script

ROUTES = r"""
route[neg] { return(-4); }
route[pos] { return(6); }
route[count] { $var(c) = $var(c) + 1; if ($var(c) > 2) return(-1); return(1); }
route[unknown] { route("a$var(none)"); }
route[errs] { if ($var(s) == 5) ; }
route[nested_errs] { if (1) { if ($var(s) == 5) xlog("no"); } }
"""
SET = r'$var(s) = "abc"; $var(i) = 7; $var(c) = 0; $var(r) = 0; $var(x) = "kept"; $avp(l) = 1; $avp(l) = 2; '


def printed(body, declarations=""):
    """What the startup route `body` prints; it may not break."""
    ran = run_script(f'{declarations}\n{ROUTES}\nroute {{ xlog("main"); }}\nstartup_route {{\n{SET}{body}\n}}')
    assert (ran.host.runner.broken, ran.host.tasks.failures) == (0, 0)
    return ran.output


@pytest.mark.parametrize(
    ("statements", "output"),
    [
        (r'while ($var(c) < 2) { $var(c) = $var(c) + 1; route(neg); } xlog("$rc");', "1"),
        (r'while (route(count)) { route(neg); } xlog("$rc");', "1"),
        (r'while ($var(c) < 2) { $var(c) = $var(c) + 1; route(neg); break; } xlog("$rc $var(c)");', "-5 1"),
        (r'for ($var(x) in $(avp(l)[*])) { route(neg); } xlog("$rc");', "-4"),
        (r'if ($var(s) == 5) xlog("no"); xlog("$rc");', "-1"),
        (r'if ([$var(s) - 5]) xlog("no"); xlog("$rc");', "0"),
        (r'if (1) { if ($var(s) == 5) xlog("no"); } xlog("$rc");', "1"),
        (r'if ($var(i) == 7) { } xlog("$rc");', "1"),
        (r'if ($var(x) = "a" - 1) { } xlog("$rc");', "0"),
        (r'switch ($var(i)) { case 7: if ($var(s) == 5) xlog("no"); } xlog("$rc");', "1"),
    ],
)
def test_rc_behind_loops_and_branches(statements, output):
    assert printed(statements) == output


def test_a_loop_that_reaches_its_limit_leaves_what_its_last_turn_left():
    assert printed(r'while (1) { route(neg); } xlog("$rc");', "max_while_loops = 3") == "-4"


def test_no_turns_at_all_are_allowed_with_a_limit_of_zero():
    assert printed(r'while (route(count)) { route(neg); } xlog("$rc $var(c)");', "max_while_loops = 0") == "-5 0"


@pytest.mark.parametrize("block", ["{ }", ";", "{ ; }"])
def test_a_loop_without_statements_takes_no_turns(block):
    assert printed(rf'while (route(count)) {block} xlog("$rc $var(c)");') == "1 1"
    assert printed(rf'for ($var(x) in $(avp(l)[*])) {block} xlog("$rc $var(x)");') == "1 kept"


@pytest.mark.parametrize(("route", "code"), [("unknown", "-5"), ("errs", "1"), ("nested_errs", "1")])
def test_the_value_at_the_end_of_a_route(route, code):
    assert printed(rf'route({route}); xlog("$rc");') == code


@pytest.mark.parametrize("name", ["$var(none)", "$var(empty)", "$var(zero)", '"$var(empty)"'])
def test_a_name_that_is_empty_null_or_zero_is_not_the_main_route(name):
    setting = '$var(empty) = ""; $var(zero) = 0; route(pos); '
    assert printed(rf'{setting}route({name}); xlog("$rc;"); $var(r) = route({name}) + 3; xlog("$var(r)");') == "6;-2"


def test_an_assert_that_is_not_enabled_leaves_its_mark_in_rc():
    assert printed('assert(0, "text"); xlog("$rc");') == "-5"


def test_only_route_shows_all_callers():
    assert printed('xlog("$(route[*]) $(route.name[*]) $(route.type[*])");') == "startup_route <null> <null>"


def test_the_error_route_knows_the_routes_that_led_to_it():
    script = (
        "enable_asserts=yes\nstartup_route { route(a); }\nroute[a] { assert($var(none) == 1, 'x'); }\n"
        'error_route { xlog("$route, $(route[*]), $route.name, "); route(b); }\nroute[b] { xlog("$(route[*])"); }'
    )
    chain = "startup_route > route[a] > error_route"
    assert run_script(script).output == f"error_route, {chain}, , {chain} > route[b]"


@pytest.mark.parametrize(("value", "seen"), [("3", "<3>"), ('"[1]"', "<[ 1 ]>"), ('"two"', ""), ("-7", "<-7>")])
def test_json_as_an_iterator_parses_the_text_of_numbers_too(value, seen):
    body = rf'$avp(m) = {value}; for ($json(x) in $(avp(m)[*])) xlog("<$json(x)>");'
    assert printed(body, 'loadmodule "json.so"') == seen
