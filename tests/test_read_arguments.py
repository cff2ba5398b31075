"""Arguments that are read once where the script writes them out."""

from __future__ import annotations

from pathlib import Path

import pytest

from miscript.errors import ConfigurationError, ScriptError
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
