import json
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.script.diagnostics import Diagnostic, Note
from miscript.script.excerpt import LINE_WIDTH, safe
from miscript.script.explain import EXPLANATIONS
from miscript.script.render import FORMATS, render, summary
from miscript.script.source import SourceFile, Span

SCRIPT = SourceFile(
    "opensips.cfg",
    'loadmodule "mi_script.so"\n\nroute {\n\txlog("hi\\n")\n\tif (!dlg_end_dlg("$var(id)")) {\n\t\texit;\n\t}\n}\n',
)


def at(line, column, end_line=None, end_column=None, file=SCRIPT):
    return Span(file, line, column, end_line or line, end_column or column)


def found(message="something is wrong", span=None, code="E301", help=None, notes=()):
    return Diagnostic(code, message, span or at(3, 1, 3, 6), help, tuple(notes))


NOT_LOADED = found(
    "'dlg_end_dlg' belongs to module 'dialog', which is not loaded",
    at(5, 7, 5, 18),
    "E302",
    'add  loadmodule "dialog.so"  before line 3',
)
SEMICOLON = found("';' is missing behind a statement", at(4, 14), "E205")
LEVEL = found("'NONSENSE' is no level of xlog", at(4, 2, 4, 6), "W604")


def one_line_file(text):
    return SourceFile("f.cfg", text)


def shown(text, start, end):
    """The source line and the caret line of a mark from column `start` up to `end`."""
    lines = render([found(span=at(1, start, 1, end, one_line_file(text)))]).split("\n")
    return lines[3], lines[4]


# -- full -----------------------------------------------------------------------------------------------------------


def test_full_shows_message_place_source_caret_help_and_a_count():
    assert (
        render([NOT_LOADED])
        == """\
error[E302]: 'dlg_end_dlg' belongs to module 'dialog', which is not loaded
 --> opensips.cfg:5:7
  |
5 |     if (!dlg_end_dlg("$var(id)")) {
  |          ^^^^^^^^^^^
  = help: add  loadmodule "dialog.so"  before line 3

1 error
"""
    )


def test_the_line_numbers_of_a_diagnostic_share_one_width():
    file = SourceFile("long.cfg", "\n" * 8 + "route {\n" + "\n" * 31 + "    exit;\n")
    brace = Note("the brace was opened here", at(9, 7, 9, 8, file))
    assert (
        render([found("the file ends inside a block", at(41, 10, file=file), "E203", "add '}'", [brace])])
        == """\
error[E203]: the file ends inside a block
  --> long.cfg:41:10
   |
41 |     exit;
   |          ^
   = help: add '}'
note: the brace was opened here
  --> long.cfg:9:7
   |
 9 | route {
   |       -

1 error
"""
    )


def test_a_note_without_a_place_and_a_help_of_two_lines():
    note = Note("the core has no function of this name")
    assert (
        render([found(help="did you mean 'xlog'?\nor load a module", notes=[note])])
        == """\
error[E301]: something is wrong
 --> opensips.cfg:3:1
  |
3 | route {
  | ^^^^^
  = note: the core has no function of this name
  = help: did you mean 'xlog'?
          or load a module

1 error
"""
    )


def test_several_diagnostics_keep_their_order_and_are_counted():
    assert (
        render([NOT_LOADED, SEMICOLON, LEVEL])
        == """\
error[E302]: 'dlg_end_dlg' belongs to module 'dialog', which is not loaded
 --> opensips.cfg:5:7
  |
5 |     if (!dlg_end_dlg("$var(id)")) {
  |          ^^^^^^^^^^^
  = help: add  loadmodule "dialog.so"  before line 3

error[E205]: ';' is missing behind a statement
 --> opensips.cfg:4:14
  |
4 |     xlog("hi\\n")
  |                 ^

warning[W604]: 'NONSENSE' is no level of xlog
 --> opensips.cfg:4:2
  |
4 |     xlog("hi\\n")
  |     ^^^^

2 errors, 1 warning
"""
    )


def test_a_span_of_two_lines_marks_both():
    assert (
        render([found(span=at(5, 32, 6, 7))])
        == """\
error[E301]: something is wrong
 --> opensips.cfg:5:32
  |
5 |     if (!dlg_end_dlg("$var(id)")) {
  |                                   ^
6 |         exit;
  |         ^^^^

1 error
"""
    )


def test_a_span_of_three_lines_shows_the_one_between():
    assert (
        render([found(span=at(5, 2, 7, 3))])
        == """\
error[E301]: something is wrong
 --> opensips.cfg:5:2
  |
5 |     if (!dlg_end_dlg("$var(id)")) {
  |     ^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^^
6 |         exit;
  |         ^^^^^
7 |     }
  |     ^

1 error
"""
    )


def test_a_longer_span_shows_its_ends():
    assert (
        render([found(span=at(3, 1, 8, 2))])
        == """\
error[E301]: something is wrong
 --> opensips.cfg:3:1
  |
3 | route {
  | ^^^^^^^
...
8 | }
  | ^

1 error
"""
    )


def test_a_span_that_ends_with_the_line_end_does_not_reach_into_the_next_line():
    assert "4 |     xlog" in render([found(span=at(4, 2, 5, 1))])
    assert "5 |" not in render([found(span=at(4, 2, 5, 1))])


def test_a_place_behind_the_last_line_is_an_empty_line_with_a_caret():
    assert (
        render([found("the file ends inside a block", at(9, 1), "E203")])
        == """\
error[E203]: the file ends inside a block
 --> opensips.cfg:9:1
  |
9 |
  | ^

1 error
"""
    )


def test_the_line_end_of_windows_is_not_shown():
    file = SourceFile("dos.cfg", "route {\r\n}\r\n")
    assert "1 | route {\n" in render([found(span=at(1, 1, 1, 6, file))])


def test_tabs_take_four_columns_wherever_they_stand():
    assert shown("\ta\tb", 4, 5) == ("1 |     a    b", "  |          ^")
    assert shown("a\tb", 2, 3) == ("1 | a    b", "  |  ^^^^")


def test_wide_and_combining_characters_keep_the_caret_in_place():
    assert shown('"電話" x', 6, 7) == ('1 | "電話" x', "  |        ^")
    assert shown('"e\u0301" x', 6, 7) == ('1 | "e\u0301" x', "  |     ^")
    assert shown('"電話"', 2, 4) == ('1 | "電話"', "  |  ^^^^")


def test_what_a_terminal_would_obey_or_hide_is_shown_as_an_escape():
    assert shown("a\x1b[31mb\udcff\u202e", 8, 9) == (r"1 | a\x1b[31mb\xff\u202e", "  |           ^^^^")
    assert shown("a\xa0b", 2, 3) == (r"1 | a\xa0b", "  |  ^^^^")


def test_messages_help_and_file_names_cannot_reach_the_terminal_either():
    file = SourceFile("a\x1b\n.cfg", "x")
    text = render([found("bad\x1b\nname", at(1, 1, 1, 2, file), help="say\x07")])
    assert "bad\\x1b\\nname" in text
    assert "--> a\\x1b\\n.cfg:1:1" in text
    assert "say\\x07" in text


def test_a_long_line_is_cut_around_the_caret():
    text = "a" * 500 + "XYZ" + "b" * 500
    source, carets = shown(text, 501, 504)
    assert source == "1 | ..." + "a" * 33 + "XYZ" + "b" * 64 + "..."
    assert carets == "  | " + " " * 36 + "^^^"


def test_a_long_line_is_cut_on_one_side_only_where_its_end_is_near():
    assert shown("X" + "b" * 200, 1, 2)[0] == "1 | X" + "b" * (LINE_WIDTH - 1) + "..."
    assert shown("a" * 200 + "X", 201, 202) == (
        "1 | ..." + "a" * (LINE_WIDTH - 1) + "X",
        "  | " + " " * (LINE_WIDTH + 2) + "^",
    )


def test_a_mark_longer_than_what_is_shown_ends_with_the_line():
    source, carets = shown("x" * 1000, 1, 1001)
    assert source == "1 | " + "x" * LINE_WIDTH + "..."
    assert carets == "  | " + "^" * LINE_WIDTH


def test_a_line_that_fits_exactly_is_not_cut():
    assert shown("x" * LINE_WIDTH, 50, 51)[0] == "1 | " + "x" * LINE_WIDTH


def test_a_line_of_ten_million_characters_costs_no_more_than_a_short_one():
    assert len(render([found(span=at(1, 5_000_000, 1, 5_000_003, one_line_file("x" * 10_000_000)))])) < 500


def test_colours_are_plain_ansi_and_change_nothing_else():
    coloured = render([NOT_LOADED, LEVEL], color=True)
    assert coloured.startswith("\x1b[1;31merror[E302]\x1b[0m\x1b[1m: 'dlg_end_dlg' belongs")
    assert "\x1b[1;31m^^^^^^^^^^^\x1b[0m" in coloured
    assert "\x1b[1;33mwarning[W604]\x1b[0m" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([NOT_LOADED, LEVEL])


def test_the_summary_counts_in_words():
    assert summary([]) == "no errors"
    assert summary([LEVEL]) == "1 warning"
    assert summary([LEVEL, NOT_LOADED, LEVEL]) == "1 error, 2 warnings"


# -- concise, JSON, GitHub ------------------------------------------------------------------------------------------


def test_concise_is_one_line_each():
    assert (
        render([NOT_LOADED, LEVEL], "concise")
        == """\
opensips.cfg:5:7: error[E302]: 'dlg_end_dlg' belongs to module 'dialog', which is not loaded
opensips.cfg:4:2: warning[W604]: 'NONSENSE' is no level of xlog
"""
    )


def test_json_is_a_list_of_objects():
    assert json.loads(render([NOT_LOADED, SEMICOLON], "json")) == [
        {
            "code": "E302",
            "severity": "error",
            "message": "'dlg_end_dlg' belongs to module 'dialog', which is not loaded",
            "help": 'add  loadmodule "dialog.so"  before line 3',
            "file": "opensips.cfg",
            "line": 5,
            "column": 7,
            "end_line": 5,
            "end_column": 18,
        },
        {
            "code": "E205",
            "severity": "error",
            "message": "';' is missing behind a statement",
            "help": None,
            "file": "opensips.cfg",
            "line": 4,
            "column": 14,
            "end_line": 4,
            "end_column": 14,
        },
    ]


def test_github_gets_one_workflow_command_each():
    assert render([NOT_LOADED, LEVEL], "github") == (
        "::error file=opensips.cfg,line=5,col=7,endLine=5,endColumn=18,title=miscript E302::"
        "'dlg_end_dlg' belongs to module 'dialog', which is not loaded"
        '%0Ahelp: add  loadmodule "dialog.so"  before line 3\n'
        "::warning file=opensips.cfg,line=4,col=2,endLine=4,endColumn=6,title=miscript W604::"
        "'NONSENSE' is no level of xlog\n"
    )


def test_github_properties_and_messages_are_escaped():
    file = SourceFile("50%,a:b.cfg", "x")
    assert render([found("100%: a, b::c", at(1, 1, 1, 2, file))], "github") == (
        "::error file=50%25%2Ca%3Ab.cfg,line=1,col=1,endLine=1,endColumn=2,title=miscript E301::100%25: a, b::c\n"
    )


def test_github_gets_no_columns_for_several_lines():
    assert render([found(span=at(3, 1, 8, 2))], "github").startswith(
        "::error file=opensips.cfg,line=3,endLine=8,title=miscript E301::"
    )


def test_nothing_found_is_empty_text_or_an_empty_list():
    assert [render([], name) for name in ("full", "concise", "github")] == ["", "", ""]
    assert render([], "json") == "[]\n"


def test_an_unknown_format_is_refused():
    with pytest.raises(ValueError, match="'xml', known are full, concise, json, github, sarif"):
        render([], "xml")


# -- SARIF ----------------------------------------------------------------------------------------------------------


def sarif_run(diagnostics):
    log = json.loads(render(diagnostics, "sarif"))
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    [run] = log["runs"]
    return run


def check_location(location):
    physical = location["physicalLocation"]
    assert re.fullmatch(r"[\w./%~-]+(:///?[\w./%~-]*)?", physical["artifactLocation"]["uri"])
    region = physical["region"]
    assert set(region) == {"startLine", "startColumn", "endLine", "endColumn"}
    assert all(isinstance(number, int) and number >= 1 for number in region.values())
    assert (region["startLine"], region["startColumn"]) <= (region["endLine"], region["endColumn"])


def test_sarif_has_everything_that_the_standard_requires():
    opened = Note("opened here", at(3, 7, 3, 8))
    diagnostics = [NOT_LOADED, LEVEL, found("again", code="E302", notes=[opened, Note("no place")])]
    run = sarif_run(diagnostics)

    driver = run["tool"]["driver"]
    assert driver["name"] == "miscript"
    assert [rule["id"] for rule in driver["rules"]] == ["E302", "W604"]
    assert driver["rules"][0]["shortDescription"]["text"] == EXPLANATIONS["E302"].title
    assert [rule["defaultConfiguration"]["level"] for rule in driver["rules"]] == ["error", "warning"]
    assert not any("helpUri" in rule for rule in driver["rules"])
    assert run["columnKind"] == "unicodeCodePoints"

    assert len(run["results"]) == len(diagnostics)
    for result, diagnostic in zip(run["results"], diagnostics, strict=True):
        assert driver["rules"][result["ruleIndex"]]["id"] == result["ruleId"] == diagnostic.code
        assert result["level"] == diagnostic.severity
        assert result["message"]["text"].startswith(diagnostic.message)
        [location] = result["locations"]
        check_location(location)
    assert [r["message"]["text"] for r in run["results"][2]["relatedLocations"]] == ["opened here"]
    assert "relatedLocations" not in run["results"][0]


def test_sarif_columns_count_code_points():
    file = one_line_file('"😀" x')
    [result] = sarif_run([found(span=at(1, 5, 1, 6, file))])["results"]
    region = result["locations"][0]["physicalLocation"]["region"]
    assert (region["startColumn"], region["endColumn"]) == (5, 6)


@pytest.mark.parametrize(
    ("name", "uri"),
    [
        ("conf/opensips.cfg", "conf/opensips.cfg"),
        ("/etc/opensips/opensips.cfg", "file:///etc/opensips/opensips.cfg"),
        ("my file#1.cfg", "my%20file%231.cfg"),
        ("c:x.cfg", "c%3Ax.cfg"),
        ("caf\udce9.cfg", "caf%E9.cfg"),
    ],
)
def test_sarif_names_files_as_uris(name, uri):
    [result] = sarif_run([found(span=at(1, 1, file=SourceFile(name, "x")))])["results"]
    assert result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"] == uri


def test_sarif_of_a_clean_script_is_a_run_without_results():
    run = sarif_run([])
    assert run["results"] == []
    assert run["tool"]["driver"]["rules"] == []


# -- anything at all ------------------------------------------------------------------------------------------------

any_text = st.text(st.characters(), max_size=300)
numbers = st.integers(1, 400)


@given(any_text, any_text, any_text, numbers, numbers, numbers, numbers, st.sampled_from(FORMATS))
def test_every_diagnostic_can_be_shown_in_every_format(text, message, help, line, column, more, end_column, format):
    file = SourceFile("f.cfg", text)
    span = at(line, column, line + more - 1, max(end_column, column) if more == 1 else end_column, file)
    rendered = render([found(message, span, help=help, notes=[Note(message, span), Note(help)])], format)
    rendered.encode()
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f\u202e\ud800-\udfff]", rendered)
    if format == "concise":
        assert rendered.count("\n") == 1
    if format == "full":
        assert max(map(len, rendered.split("\n"))) <= max(3 * LINE_WIDTH, 8 * len(message) + 8 * len(help) + 20)


@given(any_text)
def test_safe_text_is_printable_and_leaves_printable_ascii_alone(text):
    assert all(char.isprintable() for char in safe(text))
    assert safe("plain 'text'") == "plain 'text'"
