"""The fixture `miscript`, in a project of somebody else."""

import subprocess
import sys

pytest_plugins = ["pytester"]


def test_a_test_runs_a_script_and_asks_it(pytester):
    pytester.makepyfile(
        '''
        def test_gate(miscript):
            script = miscript("""
                loadmodule "cachedb_local.so"
                route[gate] {
                    if (cache_fetch("local", "blocked_$param(1)", $var(v)))
                        return(-1);
                    return(1);
                }
                timer_route[clean, 60] { cache_remove("local", "blocked_bob"); xlog("cleaned\\\\n"); }
            """)
            assert script.route("gate", "bob").code == 1
            assert script.mi("cache_store", "local", "blocked_bob", "yes") == "OK"
            assert script.route("gate", "bob").code == -1
            script.advance(60)
            assert script.take() == "cleaned\\n"
            assert script.route("gate", "bob").code == 1
        '''
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=1)


def test_a_script_from_a_file_is_named_in_the_error(pytester):
    pytester.makefile(".cfg", broken="route { nothing(); }")
    pytester.makepyfile(
        """
        from pathlib import Path

        def test_it(miscript):
            miscript(Path("broken.cfg"))
        """
    )
    result = pytester.runpytest_inprocess()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*broken.cfg:1:9: error?E301?: there is no function 'nothing'*"])


def test_scripts_are_stopped_behind_the_test(pytester):
    pytester.makepyfile(
        """
        started = []

        def test_two(miscript):
            started.append(miscript("timer_route[a, 1] { exit; }"))
            started.append(miscript("timer_route[b, 1] { exit; }"))

        def test_they_are_stopped():
            assert all(not script.host.tasks._services for script in started)
        """
    )
    pytester.runpytest_inprocess().assert_outcomes(passed=2)


def test_the_plugin_imports_nothing_heavy_until_it_is_used():
    code = (
        "import sys, miscript.testing.pytest_plugin; "
        "print([m for m in sys.modules if m.startswith('miscript.') and not m.startswith('miscript.testing')])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
