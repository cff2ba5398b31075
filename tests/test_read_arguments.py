"""Arguments with a meaning: read once where the script writes them out, and what is wrong with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from miscript.errors import ConfigurationError, ScriptError
from miscript.read_arguments import flags_in, mistake_of, unknown_flag
from miscript.testing import RunningScript

PERMISSIONS = 'loadmodule "permissions.so"\nloadmodule "db_text.so"\nmodparam("permissions", "db_url", "text://{}")\n'


def script(folder: Path, body: str) -> RunningScript:
    (folder / "version").write_text("table_name(string) table_version(int) \naddress:5\n")
    (folder / "address").write_text(
        "id(int,auto) grp(int) ip(string) mask(int) port(int) proto(string) pattern(string,null) "
        "context_info(string,null) \n1:1:10.0.0.0:8:0:any::\n"
    )
    return RunningScript(f"log_level=-3\nxlog_level=3\n{PERMISSIONS.format(folder)}route {{ {body} }}")


def test_a_mistake_that_is_written_out_is_found_before_the_start(tmp_path: Path):
    with pytest.raises((ConfigurationError, ScriptError), match="nonsense"):
        script(tmp_path, 'check_address(1, "10.0.0.1", 5060, "nonsense");')


def test_one_in_a_variable_fails_the_call_and_a_right_one_does_not(tmp_path: Path):
    body = """
        $var(p) = "nonsense"; check_address(1, "10.0.0.1", 5060, $var(p)); xlog("$rc ");
        $var(p) = "udp"; check_address(1, "10.0.0.1", 5060, $var(p)); xlog("$rc ");
        check_address(1, "10.0.0.1", 5060, "udp"); xlog("$rc ");
    """
    with script(tmp_path, body) as running:
        assert running.route().output == "-1 1 1 "


def test_the_first_flag_that_nobody_knows_is_named_with_those_that_there_are():
    assert flags_in(" b, ,a ,x") == ["b", "a", "x"]
    assert unknown_flag(["b", "a"], {"a", "b"}) is None
    assert unknown_flag(["b", "y", "x"], {"b", "a"}) == "there is no flag 'y', expected some of a, b"


def test_what_a_reader_raises_is_what_is_wrong_with_a_text():
    mistake = mistake_of(int)
    assert mistake("12") is None
    assert mistake("x") == "invalid literal for int() with base 10: 'x'"
