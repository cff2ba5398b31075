"""`import miscript`: the public names are there, come when asked for, and nothing else is loaded before."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import miscript

PUBLIC = {
    "Budget",
    "Command",
    "ConfigurationError",
    "DeclarationError",
    "Diagnostic",
    "Host",
    "MIError",
    "MiscriptError",
    "Registry",
    "ScriptError",
    "Source",
    "call_command",
    "check",
    "render",
    "run_once",
    "running",
}


def test_the_public_names_are_these():
    assert set(miscript.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PUBLIC))
def test_each_name_is_what_it_is_called_and_documented(name):
    found = getattr(miscript, name)
    assert found.__name__ == name
    assert found.__doc__


def test_type_checkers_and_the_interpreter_see_the_same_names_in_the_same_homes():
    tree = ast.parse(Path(miscript.__file__).read_text())
    shown = {
        alias.name: node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    for name in miscript.__all__:
        assert getattr(miscript, name).__module__ == f"miscript.{shown[name]}"


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="'miscript' has no attribute 'Hots'"):
        miscript.Hots  # noqa: B018  # looking is the test


def loaded_after(code):
    program = f"import sys\nbefore = set(sys.modules)\n{code}\nprint(*sorted(set(sys.modules) - before))"
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()


def test_importing_the_package_loads_nothing_of_it():
    assert [name for name in loaded_after("import miscript") if name.startswith("miscript")] == ["miscript"]


def test_asking_for_an_error_does_not_load_the_host():
    loaded = loaded_after("from miscript import MIError")
    assert "miscript.errors" in loaded
    assert not [name for name in loaded if name.startswith("miscript.host")]
    assert "asyncio" not in loaded
