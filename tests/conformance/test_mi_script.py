"""`mi()`: what OpenSIPS 4.1 printed for 88 scripts, printed by us, byte for byte.

A script that uses a module which miscript does not have yet waits for it.  That is found out by trying, so a script
whose modules are there cannot wait.
"""

import pytest

from miscript.catalog import facts, module_class
from recorded_scripts import loaded_modules, play, recorded, run_program

SCRIPTS = recorded("mi-script")
WHOLE_PROGRAM = ("launch", "named_params", "events_subscribed")


@pytest.fixture(scope="module")
def played():
    """Every script, played once."""
    return {str(script): play(script) for script in SCRIPTS}


def test_all_recordings_are_there():
    assert len(SCRIPTS) == 88


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_script_prints_what_opensips_prints_or_waits_for_a_module(script, played):
    result = played[str(script)]
    if result.missing:
        assert sorted(result.missing) == sorted(name for name in result.missing if waited_for(name))
        return
    assert result.output == script.expected
    assert (result.broken, result.left) == (0, ())


def test_a_script_waits_only_for_modules_that_it_loads_and_that_are_not_there(played):
    waiting = {str(script): script for script in SCRIPTS if played[str(script)].missing}
    for name, script in waiting.items():
        missing = played[name].missing
        print(f"{name} waits for {', '.join(sorted(missing))}")
        assert missing <= set(loaded_modules(script)), name
        assert all(waited_for(module) for module in missing), name


def test_what_needs_only_the_modules_of_this_step_does_not_wait(played):
    assert sum(not result.missing for result in played.values()) >= 62


@pytest.mark.e2e
@pytest.mark.parametrize("name", WHOLE_PROGRAM)
def test_the_program_prints_the_same_for_mi(name, tmp_path):
    (script,) = (s for s in SCRIPTS if str(s) == name)
    done = run_program(script, tmp_path)
    assert done.stdout == script.expected
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr


def waited_for(module):
    """OpenSIPS has it, miscript does not."""
    return module in facts()["modules"] and module_class(module) is None
