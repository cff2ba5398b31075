"""Corners of functions of modules, each as a real OpenSIPS 4.1 prints it."""

import pytest

from miscript.testing import run_script

DECLARATIONS = r"""
loadmodule "cachedb_local.so"
loadmodule "json.so"
loadmodule "mathops.so"
loadmodule "statistics.so"
modparam("statistics", "stat_groups", "mine")
modparam("statistics", "variable", "mine:calls")
"""


@pytest.mark.parametrize(
    ("statements", "output"),
    [
        (r'cache_store("local", "", "v"); xlog("$rc");', "-1"),
        (r'cache_store("local", "k", "v", -1); cache_fetch("local", "k", $var(v)); xlog("$rc $var(v)");', "1 v"),
        (r'cache_store("local", "k", "abc"); cache_counter_fetch("local", "k", $var(v)); xlog("$rc");', "-3"),
        (r'cache_counter_fetch("local", "none", $var(v)); xlog("$rc");', "-2"),
        (r'math_round("1234.5678", $var(v), -1); xlog("$rc $var(v)");', "1 1234.567800"),
        (r'math_round_sf("7", $var(v), 0); xlog("$rc $var(v)");', "1 10.000000"),
        (r'math_round_sf("-2.5", $var(v), 0); xlog("$rc $var(v)");', "1 -0.000000"),
        (r"$json(j) := '[9999999999]'; for ($var(v) in $(json(j)[*])) xlog(" + '"$var(v)");', "1410065407"),
    ],
)
def test_a_call(statements, output):
    assert run_script(f"{DECLARATIONS}\nstartup_route {{\n{statements}\n}}").output == output


def test_a_group_comes_before_a_declared_name_that_looks_the_same():
    body = r'update_stat("mine:calls", 3); xlog("$stat(mine:calls) $stat(calls)");'
    assert run_script(f"{DECLARATIONS}\nstartup_route {{\n{body}\n}}").output == "0 3"
