"""Who may import whom: the levels of the house, held for every import of the package.

```
level 0   errors values trace …          things without dependencies
level 1   script/ mi/ hep/ sip/ http/ esl/  import level 0; never each other; no asyncio, no sockets
level 2   exports catalog client/ …      what modules and hosts share
level 3   modules/ host/                 import 0 to 2; modules and host never each other, a module never another one
level 4   cli/ testing/ __main__         import everything
```
"""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

import miscript

SOURCE = Path(miscript.__file__).parent

LEVEL_0 = {"errors", "values", "trace", "log_levels", "late_pattern"}
LEVEL_1 = {"script", "mi", "hep", "sip", "http", "esl"}
LEVEL_3 = {"modules", "host"}
LEVEL_4 = {"cli", "testing", "__main__"}

WITHOUT_IO = {"asyncio", "socket", "selectors", "ssl", "subprocess", "threading", "multiprocessing", "uvloop"}
"""What level 1 does without."""

RUNS_A_COMMAND = {("script/preprocess.py", "subprocess")}
"""The external preprocessor of `-p` is a command by its nature."""

FOR_A_TYPE = {("errors.py", "miscript.script.diagnostics")}
"""ScriptError says what it carries; nothing is imported at run time."""


@dataclass(frozen=True)
class Import:
    """One import: the file, relative to the package, its line, and the dotted name that is imported."""

    file: Path
    line: int
    target: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line} imports {self.target}"

    @property
    def room(self) -> str:
        return room_of(self.file.with_suffix("").parts)

    @property
    def target_room(self) -> str | None:
        """The room of ours that is imported; None for what is not ours."""
        parts = self.target.split(".")
        return room_of(tuple(parts[1:])) if parts[0] == "miscript" else None

    @property
    def module(self) -> str | None:
        """The module of miscript that the file belongs to."""
        return self.file.parts[1].removesuffix(".py") if self.file.parts[0] == "modules" else None


def room_of(parts: tuple[str, ...]) -> str:
    return parts[0] if parts else "__init__"


def level(room: str) -> int:
    if room in LEVEL_0:
        return 0
    if room in LEVEL_1:
        return 1
    if room in LEVEL_3:
        return 3
    if room in LEVEL_4 or room == "__init__":
        return 4
    return 2


def imports(source: Path) -> Iterator[Import]:
    """All imports of all files, also those inside functions and for type checkers."""
    for path in sorted(source.rglob("*.py")):
        file = path.relative_to(source)
        package = ["miscript", *file.parts[:-1]]
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                for name in node.names:
                    yield Import(file, node.lineno, name.name)
            elif isinstance(node, ast.ImportFrom):
                base = package[: len(package) - node.level + 1] if node.level else []
                origin = ".".join([*base, *([node.module] if node.module else [])])
                if node.module is None or is_package(source, origin):
                    for name in node.names:
                        yield Import(file, node.lineno, f"{origin}.{name.name}")
                else:
                    yield Import(file, node.lineno, origin)


def is_package(source: Path, name: str) -> bool:
    parts = name.split(".")
    return parts[0] == "miscript" and source.joinpath(*parts[1:]).is_dir()


IMPORTS = list(imports(SOURCE))


def test_every_import_is_of_the_same_level_or_a_lower_one():
    wrong = [
        i
        for i in IMPORTS
        if i.target_room is not None
        and level(i.target_room) > level(i.room)
        and (i.file.as_posix(), i.target) not in FOR_A_TYPE
    ]
    assert list(map(str, wrong)) == []


@pytest.mark.parametrize("room", sorted(LEVEL_1))
def test_a_pure_room_imports_level_0_and_itself(room):
    wrong = [i for i in IMPORTS if i.room == room and i.target_room not in {None, room, *LEVEL_0}]
    assert list(map(str, wrong)) == []


@pytest.mark.parametrize("room", sorted(LEVEL_1))
def test_a_pure_room_does_no_input_or_output(room):
    wrong = [
        i
        for i in IMPORTS
        if i.room == room
        and i.target.split(".")[0] in WITHOUT_IO
        and (i.file.as_posix(), i.target.split(".")[0]) not in RUNS_A_COMMAND
    ]
    assert list(map(str, wrong)) == []


def test_modules_and_host_do_not_know_each_other():
    wrong = [i for i in IMPORTS if i.room in LEVEL_3 and i.target_room in LEVEL_3 - {i.room}]
    assert list(map(str, wrong)) == []


def test_a_module_does_not_import_another_one():
    modules = {
        path.stem for path in (SOURCE / "modules").iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()
    }
    shared = {name for name in modules if not declares_a_module(name)} - {"__init__"}
    wrong = [
        i
        for i in IMPORTS
        if i.module is not None
        and i.target.startswith("miscript.modules.")
        and (other := i.target.split(".")[2]) != i.module
        and other not in shared
    ]
    assert list(map(str, wrong)) == []


def declares_a_module(name: str) -> bool:
    """Whether `modules/name` is an OpenSIPS module and not something that several of them use."""
    path = SOURCE / "modules" / f"{name}.py"
    tree = ast.parse((path if path.exists() else SOURCE / "modules" / name / "__init__.py").read_text())
    return any(isinstance(node, ast.ClassDef) for node in tree.body) or (SOURCE / "modules" / name).is_dir()


def test_level_2_does_not_import_what_is_above_it_at_run_time():
    """The catalog finds modules by name; nothing but `importlib` may know them."""
    wrong = [i for i in IMPORTS if level(i.room) == 2 and i.target_room in LEVEL_3 | LEVEL_4]
    assert list(map(str, wrong)) == []


def test_what_is_imported_from_others_is_declared_or_optional():
    """A dependency is a decision: pyproject.toml names each."""
    declared = {"click", "httptools", "orjson", "uvloop"}
    optional = {"pytest", "rich", "prometheus_client", "sqlalchemy", "aiosqlite", "redis", "httpx", "dns"}
    found = {i.target.split(".")[0] for i in IMPORTS} - sys.stdlib_module_names - {"miscript"}
    assert found <= declared | optional


def test_the_test_sees_what_it_is_to_see():
    assert len(IMPORTS) > 500
    assert any(i.file.as_posix() == "host/host.py" and i.target == "miscript.script.runtime" for i in IMPORTS)
    assert any(i.file.as_posix() == "script/check_calls.py" and i.target == "miscript.script.nodes" for i in IMPORTS)
