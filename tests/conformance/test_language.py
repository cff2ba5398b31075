"""The language: what OpenSIPS 4.1 printed for 130 scripts, printed by us, byte for byte."""

import pytest

from recorded_scripts import play, recorded, run_program

SCRIPTS = recorded("language")
WHOLE_PROGRAM = ("arith_flat", "env_vars", "include_file", "launch_async", "tr_hex_bytes")


def test_all_recordings_are_there():
    assert len(SCRIPTS) == 130


@pytest.mark.parametrize("script", SCRIPTS, ids=str)
def test_a_script_prints_what_opensips_prints(script):
    played = play(script)
    assert not played.missing
    assert played.output == script.expected
    assert (played.broken, played.left) == (0, ())


@pytest.mark.e2e
@pytest.mark.parametrize("name", WHOLE_PROGRAM)
def test_the_program_prints_the_same(name, tmp_path):
    (script,) = (s for s in SCRIPTS if str(s) == name)
    done = run_program(script, tmp_path)
    assert done.stdout == script.expected
    assert done.returncode == 0
    assert b"Traceback" not in done.stderr
