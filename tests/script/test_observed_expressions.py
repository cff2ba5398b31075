"""Corners of expressions, `$rc` and `$return`, each as a real OpenSIPS 4.1 prints it."""

import pytest

from miscript.testing import run_script

ROUTES = r"""
route[lit] { return(-4, 8, "x"); }
route[var] { $var(eight) = 8; return(-4, $var(eight)); }
route[neg] { return(-4); }
route[seven] { return(7); }
route[inc] { $var(i) = $var(i) + 10; return(7); }
route[keep] { $var(x) = $param(1); }
"""


def printed(body):
    """What the startup route `body` prints; it may not break."""
    ran = run_script(f"{ROUTES}\nstartup_route {{\n{body}\n}}")
    assert (ran.host.runner.broken, ran.host.tasks.failures) == (0, 0)
    return ran.output


SET = r'$var(s) = "abc"; $var(i) = 7; $var(r) = "old"; '
SHOW = r'xlog("$var(r) $rc");'


@pytest.mark.parametrize(
    ("expression", "result"),
    [
        ("($var(s) == 5) + 1", "0 1"),
        ("10 - ($var(s) < 5)", "11 1"),
        ("1 + (2 + ($var(s) == 5))", "2 1"),
        ("~ ($var(s) == 5)", "0 1"),
        ("($var(s) == 5)", "old -1"),
        ("$var(s) == 5", "old -1"),
        ('"a" + ($var(s) == 5)', "old -1"),
    ],
)
def test_a_comparison_that_errs_counts_as_minus_one_inside_a_calculation_only(expression, result):
    assert printed(f"{SET}$var(r) = {expression}; {SHOW}") == result


@pytest.mark.parametrize(
    ("expression", "result"),
    [('"5" & $var(i)', "5 1"), ('"1" | $var(i)', "7 1"), ('"5" & 7', "old -1"), ('"5" << $var(i)', "old -1")],
)
def test_a_number_of_a_variable_is_a_text_beside_a_bitwise_operator_with_a_text(expression, result):
    assert printed(f"{SET}$var(r) = {expression}; {SHOW}") == result


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        ("$var(n) =~ $var(n)", "true"),
        ("$var(n) !~ $var(n)", "false"),
        ('$var(n) =~ "a*"', "false"),
        ("$var(s) =~ $var(n)", "false"),
        ("$var(s) !~ $var(n)", "true"),
    ],
)
def test_null_matches_the_pattern_null_and_nothing_else(condition, truth):
    assert printed(f'{SET}if ({condition}) xlog("true"); else xlog("false");') == truth


@pytest.mark.parametrize(
    ("route", "expression", "result"),
    [
        ("var", "$return(0) + 4", "12 1"),
        ("var", "4 + $return(0)", "12 1"),
        ("lit", "4 + $return(0)", "12 1"),
        ("lit", "$return(0) + 4", "old -1"),
        ("lit", "$return(0) + $var(i)", "87 1"),
        ("lit", "~ $return(0)", "-9 1"),
        ("lit", "$return(0) == 8", "1 1"),
        ("lit", "$return(0) < $var(ten)", "1 1"),
        ("lit", '"a" + $return(0)', "a8 1"),
    ],
)
def test_a_returned_number_that_was_written_out_is_a_text_on_the_left_and_a_number_elsewhere(route, expression, result):
    assert printed(f"{SET}$var(ten) = 10; route({route}); $var(r) = {expression}; {SHOW}") == result


def test_a_variable_keeps_only_the_text_of_such_a_number():
    assert printed(rf"{SET}route(lit); $var(r) = $return(0); $var(r) += 1; {SHOW}") == "8 -1"


def test_a_switch_takes_such_a_number_as_number_and_as_text():
    cases = r'{ case 8: xlog("number"); break; case "8": xlog("text"); }'
    assert printed(f"route(lit); switch ($return(0)) {cases}") == "number"


@pytest.mark.parametrize(
    ("statement", "output"),
    [
        (r'$var(r) = route(neg) + $rc; xlog("$var(r) $rc");', "-8 1"),
        (r'$var(r) = route(neg) + pv_printf($var(x), "b$rc"); xlog("$var(r) $var(x)");', "-3 b-4"),
        (r'if (route(neg) || xlog("$rc;")) xlog("$rc");', "-4;1"),
        (r'if (route(neg) || ($var(x) = $rc)) xlog("$rc $var(x)");', "1 -4"),
        (r'if (route(neg) || route(keep, $rc)) xlog("$rc $var(x)");', "1 -4"),
        (r'if (route(neg) || route("a$rc")) xlog("yes"); else xlog("$rc");', "-4"),
        (r'$var(i) = 1; $var(i) += route(inc); xlog("$var(i)");', "18"),
        (r'$avp(i) = 1; $avp(i) += route(seven); xlog("$(avp(i)[*])");', "8, 1"),
    ],
)
def test_rc_shows_the_last_call_of_an_expression_at_once(statement, output):
    assert printed(statement) == output


@pytest.mark.parametrize(
    ("condition", "truth"),
    [
        ("[$var(zero)]", "true"),
        ("[$var(none)]", "false"),
        ('[""]', "false"),
        ("[$var(s) - 1]", "false"),
        ("![$var(s) - 1]", "true"),
        ("[$var(s) == 1]", "false"),
        ("![$var(s) == 1]", "false"),
        ("[$var(s) - 1] || 1", "true"),
        ("[route(neg)]", "false"),
        ("[route(neg) + 4]", "false"),
        ('["abc" + ($var(s) - 1)]', "true"),
    ],
)
def test_square_brackets_hold_what_is_not_null_and_no_failure_of_a_calculation(condition, truth):
    assert printed(f'{SET}$var(zero) = 0; if ({condition}) xlog("true"); else xlog("false");') == truth
