"""Corners of assignments to lists and JSON, each as a real OpenSIPS 4.1 prints it."""

import pytest

from miscript.host.loading import Source, check_source
from miscript.script.diagnostics import Diagnostics
from miscript.testing import run_script

SET = (
    r'$avp(l) := 1; $avp(l) = "two"; $avp(l) = 3; $var(i) = 7; $var(s) = "abc"; '
    r"""$json(j) := '{"a":1,"s":"t","l":[1,2],"big":9999999999}'; """
)


def printed(body):
    """What the startup route `body` prints; it may not break."""
    declarations = 'loadmodule "json.so"\nroute[five] { return(5); }'
    ran = run_script(f"{declarations}\nstartup_route {{\n{SET}{body}\n}}")
    assert (ran.host.runner.broken, ran.host.tasks.failures) == (0, 0)
    return ran.output


@pytest.mark.parametrize(
    ("assignment", "code", "values"),
    [
        ("$(avp(l)[0]) := 5", "-1", "<null>"),
        ("$(avp(l)[-1]) := NULL", "1", "<null>"),
        ("$(avp(l)[append]) := 5", "1", "5"),
        ("$(avp(l)[9]) = 5", "-1", "3, two, 1"),
        ("$(avp(l)[9]) = NULL", "1", "3, two, 1"),
        ("$(avp(l)[append]) += 5", "-1", "3, two, 1"),
    ],
)
def test_an_index_and_what_it_does_to_the_list(assignment, code, values):
    assert printed(rf'{assignment}; xlog("$rc $(avp(l)[*])");') == f"{code} {values}"


@pytest.mark.parametrize("value", ["5", "$var(i) + 1", "route(five)", "($var(i) == 7)", "$var(s) - 1"])
def test_json_takes_no_number_that_has_no_text_and_stays_as_it_is(value):
    assert printed(rf'$json(j/s) := {value}; xlog("$rc $json(j/s)");') == "-1 t"


@pytest.mark.parametrize(("value", "code", "found"), [('"{"', "-1", "<null>"), ('"nul"', "-1", "<null>")])
def test_json_that_does_not_parse_takes_the_place_away(value, code, found):
    assert printed(rf'$json(j/s) := {value}; xlog("$rc $json(j/s)");') == f"{code} {found}"


@pytest.mark.parametrize(("value", "text"), [("$var(i)", "7"), ("$json(j/a)", "1"), ("$json(j/big)", "9999999999")])
def test_json_takes_the_text_of_a_number_in_a_variable(value, text):
    assert printed(rf'$json(new) := {value}; xlog("$rc $json(new)");') == f"1 {text}"
    assert printed(rf'if ($json(j/l[]) := {value}) xlog("$json_compact(j/l)");') == f"[1,2,{text}]"


def test_all_elements_of_json_are_for_loops_only():
    assert printed('xlog("$(json(j/l)[*])"); for ($var(x) in $(json(j/l)[*])) xlog(" $var(x)");') == "<null> 1 2"


def test_a_flag_is_a_number_that_prints_as_a_word():
    body = r'setflag("A"); $var(a) = $msg.flag(A); $var(b) = $msg.flag(B); xlog("$msg.flag(A) $var(a) $var(b)");'
    assert printed(body + ' if ($msg.flag(B)) xlog("no"); ') == "true 1 0"


@pytest.mark.parametrize(
    ("value", "output"), [("2", "p1"), ("5", "1"), ('"1"', "-1"), ('"L_ERR"', "-1"), ("NULL", "-1")]
)
def test_a_level_of_xlog_in_a_variable_is_a_number(value, output):
    assert printed(rf'$var(l) = {value}; xlog("$var(l)", "p"); xlog("$rc");') == output


@pytest.mark.parametrize("variable", ["$json(a[x])", "$json(a[1)", "$return(x)", "$var($var(n))"])
def test_what_cannot_be_read_is_found_without_running(variable):
    source = Source("test.cfg", f'loadmodule "json.so"\nroute {{ xlog("{variable}"); }}')
    found = Diagnostics()
    check_source(source, found)
    assert [d.code for d in found] == ["E303"]
