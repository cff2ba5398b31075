"""What assignments to the message of the startup route do, each as a real OpenSIPS 4.1 prints it."""

import pytest

from miscript.errors import ScriptError
from miscript.host.loading import Source, check_source
from miscript.script.diagnostics import Diagnostics
from miscript.testing import run_script


def printed(body, declarations=""):
    """What the startup route `body` prints; it may not break."""
    ran = run_script(f'loadmodule "cfgutils.so"\n{declarations}\nstartup_route {{\n$var(i) = 7;\n{body}\n}}')
    assert (ran.host.runner.broken, ran.host.tasks.failures) == (0, 0)
    return ran.output


@pytest.mark.parametrize(
    ("assignment", "uri"),
    [
        ("$rU = $var(i)", "1 sip:7@dummy.com"),
        ("$rd = $var(i)", "1 sip:user@7"),
        ("$msg.branch.uri = $var(i)", "1 <null>"),
        ("$rU = 7", "-1 sip:user@dummy.com"),
        ("$rU = $var(i) + 1", "-1 sip:user@dummy.com"),
        ("$rd = 7", "-1 sip:user@dummy.com"),
        ("$rU += $var(i)", "-1 sip:user@dummy.com"),
        ('$msg.branch.uri = ""', "-1 sip:user@dummy.com"),
    ],
)
def test_the_number_of_a_variable_is_a_text_for_the_request_uri(assignment, uri):
    assert printed(rf'{assignment}; xlog("$rc $ru");') == uri


def test_the_number_of_a_variable_is_a_text_for_destinations_and_branches():
    assert printed('$du = $var(i); xlog("$rc $du"); $du = 5; xlog(" $rc $du");') == "1 7 -1 7"
    body = '$branch = $var(i); $branch = 5; xlog("$rc "); $branch = ""; xlog("$rc $(branch(uri)[*])");'
    assert printed(body) == "-1 -1 7"
    assert printed('$msg.branch.path = $var(i); xlog("$rc $msg.branch.path");') == "1 7"


@pytest.mark.parametrize(("value", "code"), [('"x"', 1), ("$var(i)", 1), ("NULL", 1), ('""', -1), ("5", -1)])
def test_a_socket_that_is_not_ours_changes_nothing(value, code):
    assert printed(rf'$socket_out = {value}; xlog("$rc $socket_out");') == f"{code} <null>"


@pytest.mark.parametrize("flag", ["$msg.flag(F)", "$msg.branch.flag(F)"])
@pytest.mark.parametrize(
    ("value", "shown"),
    [("5", "1 true"), ("-1", "1 true"), ("0", "1 false"), ('"true"', "-1 false"), ("NULL", "-1 false")],
)
def test_a_flag_takes_numbers_alone(flag, value, shown):
    assert printed(rf'{flag} = 0; {flag} = {value}; xlog("$rc {flag}");') == shown


def test_flags_are_listed_last_named_first():
    assert printed('$msg.flag(A) = 1; $msg.flag(B) = 1; setflag("C"); xlog("$mf");') == "C B A"
    body = '$msg.branch.flag(A) = 1; setbflag("B"); xlog("$bf, $msg.branch.flags");'
    assert printed(body) == "B A, B A"


def test_variables_that_may_have_no_name():
    assert printed('if ($ctime >= 0 && $ctime < 62) xlog("second ");  xlog("$env");') == "second <null>"


@pytest.mark.parametrize(
    ("pair", "codes"), [("rx", "0;31;49"), ("Sb", "1;30;44"), ("xx", "0;39;49"), ("xr", "0;39;41"), ("Wg", "1;37;42")]
)
def test_colours(pair, codes):
    assert printed(f'xlog("$C({pair})");', "xlog_force_color=yes") == f"\x1b[{codes}m"
    assert printed(f'xlog("$C({pair})");') == ""


@pytest.mark.parametrize("variable", ["$C(x)", "$C(Xr)", "$C(rX)", "$C(dx)", "$C(rxx)", "$ctime(x)"])
def test_what_a_variable_does_not_know_stops_the_start(variable):
    found = Diagnostics()
    check_source(Source("a.cfg", f'loadmodule "cfgutils.so"\nroute {{ xlog("a {variable}"); }}'), found)
    assert [d.code for d in found] == ["E303"]


@pytest.mark.parametrize("expression", ["/user/x", "x", "", "/(/x/", "/a/b/q"])
def test_a_substitution_that_is_none_is_found_without_running(expression):
    found = Diagnostics()
    check_source(Source("a.cfg", f"loadmodule \"textops.so\"\nroute {{\n  subst_user('{expression}');\n}}"), found)
    assert [(d.code, d.span.line, d.span.column) for d in found] == [("E410", 3, 14)]


@pytest.mark.parametrize("function", ["use_blacklist", "unuse_blacklist"])
def test_a_blacklist_that_there_is_not_stops_the_start(function):
    with pytest.raises(ScriptError, match="there is no blacklist 'x'"):
        run_script(f'startup_route {{ {function}("x"); }}')
