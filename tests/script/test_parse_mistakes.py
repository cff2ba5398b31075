"""What the parser says about mistakes: the code, the place, and no further noise."""

from __future__ import annotations

import pytest

from miscript.script import nodes as n
from miscript.script.diagnostics import Diagnostic, Diagnostics
from miscript.script.parse_stream import MAX_DEPTH, MAX_NESTING, MAX_OPERATORS
from miscript.script.parser import parse_text


def found(text: str) -> list[Diagnostic]:
    diagnostics = Diagnostics()
    parse_text(text, "test", diagnostics)
    return list(diagnostics)


def marked(body: str) -> tuple[str, list[str]]:
    """Codes and the text at each place, for the statements of a route."""
    text = "route {\n" + body + "\n}\n"
    lines = text.split("\n")
    mistakes = found(text)
    places = []
    for d in mistakes:
        end = d.span.end_column - 1 if d.span.line == d.span.end_line else None
        places.append(lines[d.span.line - 1][d.span.column - 1 : end])
    return " ".join(d.code for d in mistakes), places


@pytest.mark.parametrize(
    ("body", "codes", "places"),
    [
        ("$var(x) = ;", "E201", [";"]),
        ("$var(x) = 08;", "E103", ["08"]),
        ("$var(x) = 1.5;", "E103", ["1.5"]),
        ("$var(x) = 1\n$var(y) = 2;", "E202", [""]),
        ("$var(x) = 1", "E202", [""]),
        ("f()", "E202", [""]),
        ("f() g();", "E202", [""]),
        ("if (1) exit else drop;", "E202", [""]),
        ("$var(x) = (1 + 2;", "E203", [";"]),
        ("if ($var(a) == 1 { exit; }", "E203", ["{"]),
        ("f(1;", "E217", [";"]),
        ("hello;", "E205", ["hello"]),
        ("hello world;", "E205", ["hello"]),
        ("IF (1) exit;", "E205", ["IF"]),
        ("continue;", "E205", ["continue"]),
        ("x = 5;", "E205", ["x"]),
        ("log_level = 3;", "E205", ["log_level"]),
        ('  modparam("a", "b", 1)\nexit;', "E205", ["modparam"]),
        ("$var(x);", "E205", ["$var(x)"]),
        ("5;", "E205", ["5"]),
        ("{ exit; }", "E205", ["{"]),
        ("$var(x) = word;", "E205", ["word"]),
        ('if (method == "INVITE") exit;', "E205", ["method"]),
        ("else exit;", "E206", ["else"]),
        ("if (1) { exit; }; else exit;", "E206", ["else"]),
        ("if (1) exit; elseif (2) drop;", "E206", ["elseif"]),
        ("if (1) exit; else drop; else return;", "E206", ["else"]),
        ("break;", "E207", ["break"]),
        ("if (1) { break; }", "E207", ["break"]),
        ("if ($var(a) + 1 == 2) exit;", "E209", ["+"]),
        ("if (($var(a) + 1)) exit;", "E209", ["+"]),
        ("if ($var(a) & 1) exit;", "E209", ["&"]),
        ("if (~ $var(a)) exit;", "E209", ["~"]),
        ('if ("text") exit;', "E209", ['"text"']),
        ("if (NULL) exit;", "E209", ["NULL"]),
        ("if (1 == 1) exit;", "E210", ["1"]),
        ('if ("a" == $var(x)) exit;', "E210", ['"a"']),
        ("if (NULL == $var(x)) exit;", "E210", ["NULL"]),
        ("if (f() == 1) exit;", "E210", ["f()"]),
        ("if (route(a) == 1) exit;", "E210", ["route(a)"]),
        ("if ([1] == 1) exit;", "E210", ["[1]"]),
        ("if ($var(a) == 5 == 1) exit;", "E210", ["$var(a) == 5"]),
        ("$var(x) = 5 == $var(y);", "E210", ["5"]),
        ("$var(x) = $var(y) + 1 == 5;", "E210", ["$var(y) + 1"]),
        ("$var(a) = $var(b) = 1;", "E211", ["="]),
        ("$var(x) = -$var(y);", "E212", ["-"]),
        ("$var(x) = -(5);", "E212", ["-"]),
        ("if ($var(a) = = 1) exit;", "E213", ["= ="]),
        ("if ($var(a) == = 1) exit;", "E213", ["== ="]),
        ("if ($var(a) === 1) exit;", "E213", ["==="]),
        ("if ($var(a) => 1) exit;", "E213", ["=>"]),
        ("if ($var(a) <> 1) exit;", "E213", ["<>"]),
        ('if ($var(a) ~= "x") exit;', "E213", ["~="]),
        ("$var(x) == 5;", "E213", ["=="]),
        ("$var(x)++;", "E213", ["+"]),
        ("switch (1 + 1) { case 2: exit; }", "E214", ["1"]),
        ("switch ($var(x)) { }", "E214", ["{"]),
        ("switch ($var(x)) { default: exit; }", "E214", ["{"]),
        ("switch ($var(x)) { case 1: exit; default: exit; case 2: drop; }", "E214", ["case"]),
        ("switch ($var(x)) { case word: exit; }", "E214", ["word"]),
        ("switch ($var(x)) { case $var(y): exit; }", "E214", ["$var(y)"]),
        ("switch ($var(x)) { case 1; exit; }", "E201", [";"]),
        ("switch ($var(x)) { exit; case 1: exit; }", "E214", ["exit"]),
        ("case 1: exit;", "E214", ["case"]),
        ("for ($var(i) = 0; $var(i) < 5; $var(i) += 1) { exit; }", "E215", ["="]),
        ('for ($var(x) in "abc") exit;', "E215", ['"abc"']),
        ("for (x in $avp(y)) exit;", "E215", ["x"]),
        ("route(exit);", "E216", ["exit"]),
        ("route(a.b);", "E216", ["."]),
        ("route();", "E216", [")"]),
        ("route(a b);", "E203", ["b"]),
        ("route(a, );", "E217", [")"]),
        ("route(a, 1 + 1);", "E217", ["+"]),
        ("f(1 + 1);", "E217", ["+"]),
        ("f(g(1));", "E217", ["g"]),
        ("f(word);", "E217", ["word"]),
        ("f(NULL);", "E217", ["NULL"]),
        ("f(10.0.0.1);", "E217", ["10.0.0.1"]),
        ("xlog($var(x));", "E217", ["$var(x)"]),
        ('xlog(L_ERR, "x");', "E217", ["L_ERR"]),
        ('xlog("a", "b", "c");', "E217", [","]),
        ('xlog("a" + "b");', "E217", ["+"]),
        ("xlog();", "E217", [")"]),
        ('error("a");', "E201", [")"]),
        ("assert(1, $var(x));", "E201", ["$var(x)"]),
        ("launch(f(), $var(x));", "E216", ["$var(x)"]),
        ("launch(f(), r, $var(x));", "E201", ["$var(x)"]),
        ("launch(f(), r, 3);", "E201", ["3"]),
        ('launch(xlog("x"), a);', "E217", ["xlog"]),
        ("async(f());", "E217", [")"]),
        ("async(f(), a, $var(x));", "E217", ["$var(x)"]),
        ('return "x";', "E220", ['"x"']),
        ("return NULL;", "E220", ["NULL"]),
        ("return 1 + 1;", "E220", ["+"]),
        ("return 5, 6;", "E220", [","]),
        ("return(1,,2);", "E217", [","]),
        ("exit(1);", "E220", ["1"]),
        ('$var(x) = "a" "b";', "E221", ['"b"']),
        ('f("a" "b");', "E221", ['"b"']),
        ('xlog("L_" "ERR", "x");', "E221", ['"L_" "ERR"']),
        ("if (1)) exit;", "E223", [")"]),
        ("f());", "E223", [")"]),
        ("$avp(x)[0] = 1;", "E225", ["["]),
        ("$var(y) = $var(x){s.len};", "E225", ["{"]),
        ("$(var(x){s.len}) = 1;", "E225", ["$(var(x){s.len})"]),
        ("if ($var(a) == word) exit;", "E226", ["word"]),
        ("if ($var(a) == f()) exit;", "E226", ["f"]),
        ("if ($var(a) == ($var(b) + 1)) exit;", "E226", ["("]),
        ("if ($var(a) =~ 5) exit;", "E226", ["5"]),
        ("if ($var(a) < NULL) exit;", "E226", ["NULL"]),
        ("if ($var(a) < 10.0.0.1) exit;", "E226", ["10.0.0.1"]),
        ("if ($var(a) == 10.0.0.0 / 8) exit;", "E201", ["/"]),
        ("$var(x) = NULL + 1;", "E201", ["+"]),
        ("$var(x) += NULL;", "E201", ["NULL"]),
        ("$var(x) = 5 + NULL;", "E201", ["NULL"]),
        ("$var(x) = 10.0.0.1;", "E201", ["10.0.0.1"]),
        ("$var(x) = !$var(y);", "E201", ["!"]),
        ("$var(x) = [1];", "E201", ["["]),
        ("if () exit;", "E201", [")"]),
        ("if (1 and) exit;", "E201", [")"]),
        ("if 1 exit;", "E201", ["1"]),
        ("while 1 exit;", "E201", ["1"]),
        ("$var(x) = $(var(a){s});", "E111", ["{s}"]),
        ("$var(x) = $(avp(a)[x]);", "E112", ["[x]"]),
        ("if ($si == 10.0.0.300) exit;", "E110", ["10.0.0.300"]),
        ("exit; // why", "E106", ["//"]),
        ("$var(x) = “a”;", "E101 E101", ["“", "”"]),
        ('xlog("open);', "E102", ['"open);']),
    ],
)
def test_mistakes_in_statements(body: str, codes: str, places: list[str]) -> None:
    assert marked(body) == (codes, places)
    # A statement behind it is still looked at: its own mistake is found (a ';' would mend a missing one).
    if codes != "E202":
        assert marked(body + "\n;;break;")[0].split() == [*codes.split(), "E207"]


@pytest.mark.parametrize(
    ("text", "code", "line", "column"),
    [
        ("route { }", "E208", 1, 7),
        ("$var(a) = 1;", "E204", 1, 1),
        ("if (1) { exit; } else { drop; }", "E204", 1, 1),
        ('xlog("a");', "E204", 1, 1),
        ("log_level=1;", "E204", 1, 12),
        ("route { exit; };", "E204", 1, 16),
        ("route { exit; } }", "E223", 1, 17),
        ("route[a.b] { exit; }", "E216", 1, 8),
        ("route[a-b] { exit; }", "E216", 1, 8),
        ("route[exit] { exit; }", "E216", 1, 7),
        ("route[tag] { exit; }", "E216", 1, 7),
        ("route[-1] { exit; }", "E216", 1, 7),
        ("route[] { exit; }", "E216", 1, 7),
        ("route a { exit; }", "E216", 1, 7),
        ("route(a) { exit; }", "E216", 1, 6),
        ('route["a" "b"] { exit; }', "E221", 1, 11),
        ("failure_route { exit; }", "E216", 1, 1),
        ("branch_route { exit; }", "E216", 1, 1),
        ("event_route { exit; }", "E216", 1, 1),
        ("error_route[a] { exit; }", "E216", 1, 12),
        ("startup_route[a] { exit; }", "E216", 1, 14),
        ("timer_route[a] { exit; }", "E216", 1, 14),
        ("timer_route[a, b] { exit; }", "E216", 1, 16),
        ("timer_route[a, -1] { exit; }", "E216", 1, 16),
        ("event_route[E_X, sync] { exit; }", "E216", 1, 16),
        ('route[a] xlog("a");', "E201", 1, 10),
        ("log_level 3", "E201", 1, 11),
        ("log_level=1.5", "E103", 1, 11),
        ("log_level=--1", "E212", 1, 11),
        ("workdir=/tmp", "E218", 1, 9),
        ('log_prefix="a" "b"', "E221", 1, 16),
        ("socket=127.0.0.1:5060", "E218", 1, 17),
        ("socket=udp:127.0.0.1:5060 use_children 4", "E218", 1, 27),
        ("socket=udp:127.0.0.1:99999", "E218", 1, 22),
        ("socket=udp:127.0.0.1:port", "E218", 1, 22),
        ('socket=udp:127.0.0.1:5060 tag "x"', "E218", 1, 31),
        ("dst_blacklist = gw:{(udp,1.2.3.4)}", "E201", 1, 33),
        ("dst_blacklist = gw/other:{}", "E218", 1, 20),
        ("auto_scaling_profile = P scale up to 10 on 80 for 4 cycles", "E201", 1, 47),
        ("loadmodule foo.so", "E201", 1, 12),
        ('loadmodule("foo.so")', "E201", 1, 11),
        ('modparam("a", "b")', "E201", 1, 18),
        ('modparam("a", b, 1)', "E201", 1, 15),
        ('modparam("a", "b", c)', "E218", 1, 20),
        ('modparam("a" "b", "c", 1)', "E221", 1, 14),
        ("foo bar baz", "E201", 1, 5),
        ('include_file "/no/such/file"', "E105", 1, 14),
    ],
)
def test_mistakes_outside_of_routes(text: str, code: str, line: int, column: int) -> None:
    def summary(source: str) -> list[tuple[str, int, int]]:
        return [(d.code, d.span.line, d.span.column) for d in found(source)]

    assert summary(text)[0] == (code, line, column)
    # What follows is still read: the mistake in it is found, and nothing else.
    after = summary(f"{text}\nlog_level=1\nroute[later] {{ break; }}")
    assert [code for code, _, _ in after] == [code, "E207"]


def test_a_missing_value_points_to_what_stands_there() -> None:
    assert [(d.code, d.span.line) for d in found("log_level=\nudp_workers=4")] == [("E218", 2)]


def test_all_mistakes_are_reported_in_one_go() -> None:
    text = "route {\n$var(a) = ;\nif ($var(a) + 1) { $var(b) = 1 }\nhello;\n}\nroute[b] {\nf(1+1);\nbreak;\n}"
    assert [(d.code, d.span.line) for d in found(text)] == [
        ("E201", 2),
        ("E209", 3),
        ("E202", 3),
        ("E205", 4),
        ("E217", 7),
        ("E207", 8),
    ]


def test_a_wrong_condition_does_not_hide_its_body() -> None:
    assert [d.code for d in found("route { if (f(1+1) && = 2) { break; } }")] == ["E217", "E207"]


def test_an_open_block_is_reported_where_the_file_ends_with_both_suspects() -> None:
    (mistake,) = found("startup_route {\n  if (1) {\n    exit;\n}\n")
    assert (mistake.code, mistake.span.line, mistake.span.column) == ("E203", 4, 2)
    assert [note.span and note.span.line for note in mistake.notes] == [1, 2]


def test_an_open_block_is_reported_before_the_next_route() -> None:
    mistakes = found("route {\n if (1) {\n exit;\n }\n\nroute[b] { break; }")
    assert [(d.code, d.span.line) for d in mistakes] == [("E203", 6), ("E207", 6)]


def test_a_text_over_several_lines_is_suspected_when_a_mistake_follows() -> None:
    (first, *_) = found('route {\nxlog("a);\nxlog("b");\n}')
    assert first.span.line in (2, 3)
    assert any("several lines" in note.message for note in first.notes)


@pytest.mark.parametrize(
    ("body", "help"),
    [
        ("launch(f(), r, $var(x));", 'write "$var(x)": variables within the text are replaced'),
        ("if ($var(a) = = 1) exit;", "write == to compare"),
        ("$var(x) == 5;", "write = to assign"),
        ("if (10 < $var(a)) exit;", "swap the sides: $var(a) > 10"),
        ('if ("a" == $var(x)) exit;', 'swap the sides: $var(x) == "a"'),
        ("$var(x) = -$var(y);", "write 0 - $var(y)"),
        ("$avp(x)[0] = 1;", "write $(avp(x)[0])"),
        ("$var(y) = $var(x){s.len};", "write $(var(x){s.len})"),
        ("hello;", "call it: hello()"),
        ("IF (1) exit;", "keywords are written in lower case: if"),
        ("if (1) { } elseif (2) { }", "write  else if"),
        ("if (src_ip == 10.0.0.1) exit;", "write $si"),
        ("f(NULL);", "leave the argument out"),
        ("f(word);", 'write "word" for the text'),
        ("$var(x)++;", "write $var(x) += 1"),
        ("exit; // why", "comments begin with #"),
        ("route(exit);", 'write it in quotes: "exit"'),
    ],
)
def test_the_remedy_is_told(body: str, help: str) -> None:
    (mistake,) = found(f"route {{ {body}\n }}")
    assert mistake.help == help


def test_the_tree_holds_what_was_understood() -> None:
    diagnostics = Diagnostics()
    script = parse_text("log_level=1\nroute { f(; g(2); }\nroute[b] { exit; }", "test", diagnostics)
    assert diagnostics.failed
    parameter, first, second = script.items
    assert isinstance(parameter, n.GlobalParameter) and isinstance(first, n.Route) and isinstance(second, n.Route)
    assert [type(s) for s in first.body.statements] == [n.Empty, n.Call]
    assert second.name == "b"


MANY = 5000


@pytest.mark.parametrize(
    "text",
    [
        "$var(x) = " + "(" * MANY,
        "$var(x) = " + "~" * MANY + "1;",
        "$var(x) = 1" + " + 1" * MANY + ";",
        "if (" + "!" * MANY + "1) exit;",
        "if (1" + " or 1" * MANY + ") exit;",
        "if (1) " * MANY + "exit;",
        "while (1) { " * MANY + "exit;" + "}" * MANY,
        "if (1) exit; " + "else if (1) exit; " * MANY,
        "switch ($x) { case 1: " * MANY,
        "{" * MANY,
        "else " * MANY,
        "$var(x) = " + "$avp(" * MANY + "x" + ")" * MANY + ";",
        "$avp(" * MANY,
        "f(" * MANY,
        "/*" * MANY,
    ],
)
def test_nothing_is_nested_without_limit(text: str) -> None:
    assert any(d.severity == "error" for d in found("route { " + text + " }"))


def test_the_limits_themselves_are_allowed() -> None:
    inner = MAX_NESTING - 1
    for body in (
        "$var(x) = " + "(" * inner + "1" + ")" * inner + ";",
        "if (1) { " * inner + "exit;" + "}" * inner,
        "$var(x) = 1" + " + 1" * MAX_OPERATORS + ";",
        "if (1) exit; " + "else if (1) exit; " * (MAX_DEPTH - 1),
    ):
        assert found("route { " + body + " }") == []


def test_a_socket_begins_with_a_protocol_that_there_is() -> None:
    (mistake,) = found("socket = xyz:127.0.0.1:5060\nroute { exit; }")
    assert (mistake.code, mistake.message) == ("E218", "there is no protocol 'xyz'")
    assert found("socket = UDP:127.0.0.1:5060\nroute { exit; }") == []


def test_a_word_alone_on_its_line_is_the_mistake_not_what_follows() -> None:
    (mistake,) = found('loadmodule "json.so"\nnosuch\nroute { exit; }')
    assert (mistake.code, mistake.span.line) == ("E201", 2)
