"""Includes and the external preprocessor: what is read, and where each token says it comes from."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from miscript.script import preprocess
from miscript.script.diagnostics import Diagnostics
from miscript.script.preprocess import load, load_text
from miscript.script.tokens import Token


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.cfg").write_text(text)
    return folder / "main.cfg"


def places(tokens: list[Token]) -> list[tuple[str, str, int]]:
    """Text, file and line of each token."""
    return [(t.text, Path(t.span.file.name).stem, t.span.line) for t in tokens[:-1]]


def loaded(path: Path, preprocessor: str | None = None) -> list[tuple[str, str, int]]:
    diagnostics = Diagnostics()
    tokens = load(path, diagnostics, preprocessor)
    assert list(diagnostics) == []
    return places(tokens)


def codes(path: Path, preprocessor: str | None = None) -> list[tuple[str, int]]:
    diagnostics = Diagnostics()
    load(path, diagnostics, preprocessor)
    return [(d.code, d.span.line) for d in diagnostics]


def python(program: str) -> str:
    return shlex.join([sys.executable, "-c", program])


@pytest.mark.parametrize("word", ["include_file", "import_file"])
@pytest.mark.parametrize("end", ["", ";", " # why"])
def test_an_include_is_put_in_where_it_stands(tmp_path: Path, word: str, end: str) -> None:
    main = write(tmp_path, main=f'a {{\n{word} "part.cfg"{end}\nb }}', part="x\ny;")
    assert loaded(main) == [
        ("a", "main", 1),
        ("{", "main", 1),
        ("x", "part", 1),
        ("y", "part", 2),
        (";", "part", 2),
        ("b", "main", 3),
        ("}", "main", 3),
    ]


def test_an_include_is_found_beside_the_file_that_includes_it(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.cfg").write_text("x")
    (tmp_path / "sub" / "outer.cfg").write_text("include_file 'inner.cfg'")
    assert loaded(write(tmp_path, main='include_file "sub/outer.cfg"')) == [("x", "inner", 1)]


def test_an_include_is_found_from_the_working_folder_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "part.cfg").write_text("working_folder")
    monkeypatch.chdir(tmp_path / "work")
    main = write(tmp_path, main='include_file "part.cfg"', part="beside")
    assert [text for text, _, _ in loaded(main)] == ["working_folder"]


def test_the_same_file_may_be_included_twice(tmp_path: Path) -> None:
    main = write(tmp_path, main='include_file "part.cfg"\ninclude_file "part.cfg"', part="x")
    assert loaded(main) == [("x", "part", 1), ("x", "part", 1)]


def test_a_comment_or_text_includes_nothing(tmp_path: Path) -> None:
    main = write(tmp_path, main='# include_file "none"\n/* include_file "none" */ "include_file \'none\'"')
    assert [text for text, _, _ in loaded(main)] == ["\"include_file 'none'\""]


@pytest.mark.parametrize("word", ["include_file", "import_file"])
def test_a_missing_include_is_an_error_on_its_line(tmp_path: Path, word: str) -> None:
    assert codes(write(tmp_path, main=f'a\n  {word} "none.cfg"\nb')) == [("E105", 2)]


@pytest.mark.parametrize("name", ["", ".", "\x00", "x" * 5000, "none\n.cfg"])
def test_an_odd_name_of_an_include_is_an_error(name: str) -> None:
    diagnostics = Diagnostics()
    load_text("test", f'include_file "{name}"', diagnostics)
    assert [d.code for d in diagnostics] == ["E105"]


def test_an_include_without_quotes_is_an_error(tmp_path: Path) -> None:
    assert codes(write(tmp_path, main="include_file part.cfg", part="x")) == [("E105", 1)]


def test_a_cycle_is_reported_once(tmp_path: Path) -> None:
    main = write(tmp_path, main='include_file "part.cfg"', part='\ninclude_file "main.cfg"')
    assert codes(main) == [("E107", 2)]


def test_includes_are_limited_in_depth(tmp_path: Path) -> None:
    files = {f"f{n}": f'include_file "f{n + 1}.cfg"' for n in range(preprocess.MAX_INCLUDE_DEPTH + 5)}
    main = write(tmp_path, main='include_file "f0.cfg"', **files)
    assert [code for code, _ in codes(main)] == ["E108"]


def test_includes_are_limited_in_number(tmp_path: Path) -> None:
    files = {f"f{n}": f'include_file "f{n + 1}.cfg"\n' * 10 for n in range(8)}
    main = write(tmp_path, main='include_file "f0.cfg"', f8="x", **files)
    assert [code for code, _ in codes(main)] == ["E108"]


def test_includes_are_limited_in_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "MAX_SIZE", 1000)
    main = write(tmp_path, main='include_file "part.cfg"\n' * 5, part="#" * 500)
    assert [code for code, _ in codes(main)] == ["E108"]


def test_a_script_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    assert codes(tmp_path / "main.cfg") == [("E100", 1)]
    assert codes(tmp_path) == [("E100", 1)]


def test_bytes_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    (tmp_path / "main.cfg").write_bytes(b'"\xff\xc3\xa9"')
    assert load(tmp_path / "main.cfg", Diagnostics())[0].value == "\udcffé"


def test_text_that_no_file_can_hold_is_read_all_the_same() -> None:
    assert len(load_text("test", '"\ud800" "\\x41\ud800"', Diagnostics())) == 3


# -- the external preprocessor ---------------------------------------------------------------------------------------


def test_the_preprocessor_gets_the_script_with_its_includes(tmp_path: Path) -> None:
    main = write(tmp_path, main='a\ninclude_file "part.cfg"\nc', part="b1\nb2")
    copy = python("import sys; sys.stdout.write(sys.stdin.read())")
    assert loaded(main, copy) == [("a", "main", 1), ("b1", "part", 1), ("b2", "part", 2), ("c", "main", 3)]


def test_changed_lines_keep_their_places(tmp_path: Path) -> None:
    main = write(tmp_path, main="log = 1\naddress = PRIVATE\nlast = 2")
    replace = python("import sys; sys.stdout.write(sys.stdin.read().replace('PRIVATE', '10.0.0.1'))")
    assert loaded(main, replace)[3:6] == [("address", "main", 2), ("=", "main", 2), ("10.0.0.1", "main", 2)]


def test_a_place_in_a_changed_line_is_the_whole_line(tmp_path: Path) -> None:
    main = write(tmp_path, main="  x = LONG_NAME;\n")
    replace = python("import sys; sys.stdout.write(sys.stdin.read().replace('LONG_NAME', '1'))")
    span = load(main, Diagnostics(), replace)[2].span
    assert (span.line, span.column, span.end_column) == (1, 3, 17)


def test_lines_that_are_added_or_left_out_move_nothing_else(tmp_path: Path) -> None:
    main = write(tmp_path, main="one\nloop\nthree\nfour")
    program = (
        "import sys\nfor l in sys.stdin.read().split():\n"
        "  if l == 'loop': print('x1\\nx2\\nx3')\n  elif l != 'three': print(l)"
    )
    found = loaded(main, python(program))
    assert found[0] == ("one", "main", 1)
    assert found[-1] == ("four", "main", 4)
    assert [text for text, _, line in found if line in (2, 3)] == ["x1", "x2", "x3"]


@pytest.mark.parametrize("mark", ["# {} {}", "#line {} {}", "# {} {} 1 3"])
def test_marks_of_the_preprocessor_are_followed(tmp_path: Path, mark: str) -> None:
    main = write(tmp_path, main="a\nb\nc\nd", other="1\n2\n3\n4\n5")
    lines = ["zero", mark.format(3, '"stdin"'), "three", mark.format(5, f'"{tmp_path / "other.cfg"}"'), "five"]
    program = f"print({chr(10).join(lines)!r})"
    assert loaded(main, python(program)) == [("zero", "main", 1), ("three", "main", 3), ("five", "other", 5)]


def test_marks_beyond_the_files_are_cut(tmp_path: Path) -> None:
    main = write(tmp_path, main="a")
    assert loaded(main, python("""print('# 99 "stdin"\\nx\\n# 7 "not there"\\ny')""")) == [
        ("x", "main", 1),
        ("y", "not there", 1),
    ]


def test_a_text_over_several_lines_comes_through(tmp_path: Path) -> None:
    main = write(tmp_path, main='x("a\nb \\\nc")')
    copy = python("import sys; sys.stdout.write(sys.stdin.read())")
    assert load(main, Diagnostics(), copy)[2].value == "a\nb c"


@pytest.mark.parametrize(
    "command",
    [
        "/no/such/program",
        "",
        "'unclosed",
        python("raise SystemExit(3)"),
        python("import sys; sys.stderr.write('bad'); sys.exit(1)"),
    ],
)
def test_a_preprocessor_that_fails_is_an_error(tmp_path: Path, command: str) -> None:
    assert codes(write(tmp_path, main="a"), command) == [("E109", 1)]


def test_a_preprocessor_that_hangs_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(preprocess, "PREPROCESSOR_TIMEOUT", 0.2)
    diagnostics = Diagnostics()
    load(write(tmp_path, main="a"), diagnostics, python("import time; time.sleep(60)"))
    assert ["no end after" in d.message for d in diagnostics] == [True]


def test_no_shell_sees_the_command(tmp_path: Path) -> None:
    main = write(tmp_path, main="a")
    assert codes(main, f"true; touch {tmp_path}/made") == [("E109", 1)]
    assert not (tmp_path / "made").exists()


def test_an_empty_output_is_an_empty_script(tmp_path: Path) -> None:
    assert loaded(write(tmp_path, main="a\nb"), python("pass")) == []


def test_a_byte_order_mark_is_no_part_of_a_file(tmp_path: Path) -> None:
    main = write(tmp_path, main='\ufeffroute\ninclude_file "part.cfg"\n', part="\ufeff{ }")
    assert loaded(main) == [("route", "main", 1), ("{", "part", 1), ("}", "part", 1)]
