"""Variables, their transformations and texts with variables in them."""

from __future__ import annotations

import pytest

from miscript.script.diagnostics import Diagnostics
from miscript.script.nodes import Call, Route, String, Template, Variable
from miscript.script.parser import parse_text
from miscript.script.source import SourceFile
from miscript.script.variables import MAX_VARIABLE_NESTING, locator, parse_template, parse_variable


def variable(text: str) -> Variable:
    diagnostics = Diagnostics()
    found = parse_variable(text, SourceFile("test", text).span, diagnostics)
    assert list(diagnostics) == []
    assert found is not None
    assert found.text == text
    return found


def flat(template: Template | None) -> list[str]:
    return [p if isinstance(p, str) else p.text for p in template.pieces] if template else []


def pieces(text: str) -> list[str]:
    """Texts as they are, variables with a V before them."""
    diagnostics = Diagnostics()
    template = parse_template(text, None, diagnostics)
    assert list(diagnostics) == []
    return [p if isinstance(p, str) else f"V{p.text}" for p in template.pieces]


def problem(text: str) -> tuple[str, int, int]:
    """The only mistake in a text: code and columns."""
    diagnostics = Diagnostics()
    parse_template(text, None, diagnostics)
    (found,) = diagnostics
    return found.code, found.span.column, found.span.end_column


@pytest.mark.parametrize(
    ("text", "name", "inner"),
    [
        ("$ru", "ru", []),
        ("$route.name", "route.name", []),
        ("$var(x)", "var", ["x"]),
        ("$var( a b )", "var", [" a b "]),
        ("$var(a(b))", "var", ["a(b)"]),
        ('$var(a"b)', "var", ['a"b']),
        ("$hdr(User-Agent)", "hdr", ["User-Agent"]),
        ("$time(%H:%M$)", "time", ["%H:%M$"]),
        ("$avp($var(n))", "avp", ["$var(n)"]),
        ("$json(a/$var(k)[$var(i)]/b)", "json", ["a/", "$var(k)", "[", "$var(i)", "]/b"]),
        ("$json(a/$json(b/c))", "json", ["a/", "$json(b/c)"]),
        ("$(var(x))", "var", ["x"]),
        ("$(ru)", "ru", []),
    ],
)
def test_names(text: str, name: str, inner: list[str]) -> None:
    found = variable(text)
    assert (found.name, flat(found.inner), found.index, found.context) == (name, inner, None, None)


@pytest.mark.parametrize(
    ("text", "index"),
    [
        ("$(avp(x)[0])", 0),
        ("$(avp(x)[-1])", -1),
        ("$(avp(x)[*])", "*"),
        ("$(avp(x)[append])", "append"),
        ("$(avp(x)[APPEND])", "append"),
        ("$(route.name[2])", 2),
    ],
)
def test_indexes(text: str, index: int | str) -> None:
    assert variable(text).index == index


def test_an_index_may_be_a_variable() -> None:
    index = variable("$(avp(x)[$(var(i){s.int})]{s.len})").index
    assert isinstance(index, Variable)
    assert index.text == "$(var(i){s.int})"


@pytest.mark.parametrize("context", ["request", "reply"])
def test_contexts(context: str) -> None:
    found = variable(f"$(<{context}>hdr(Via)[0])")
    assert (found.context, found.name, found.index) == (context, "hdr", 0)


@pytest.mark.parametrize(
    ("group", "name", "arguments"),
    [
        ("{s.len}", "s.len", []),
        ("{S.TOUPPER}", "s.toupper", []),
        ("{s.len }", "s.len", []),
        ("{s.substr,0,3}", "s.substr", ["0", "3"]),
        ("{s.substr, +1 , -2 }", "s.substr", ["+1", "-2"]),
        ("{s.substr,1,$var(n)}", "s.substr", ["1", "$var(n)"]),
        ("{s.substr,$(var(a){s.len}),0}", "s.substr", ["$(var(a){s.len})", "0"]),
        ("{s.substr,1}", "s.substr", ["1"]),
        ("{s.len,}", "s.len", [None]),
        ("{s.select,0,,}", "s.select", ["0", ","]),
        ("{s.select,1, }", "s.select", ["1", " "]),
        ("{s.select, 1 ,.}", "s.select", ["1", "."]),
        ("{s.select,1,$}", "s.select", ["1", "$"]),
        ("{s.select,1,}}", "s.select", ["1", "}"]),
        ("{s.select,1,é}", "s.select", ["1", "é"]),
        ("{s.select,1,}", "s.select", ["1", None]),
        ("{s.select,$var(i),,}", "s.select", ["$var(i)", ","]),
        ("{s.index, two, 5}", "s.index", ["two", "5"]),
        ("{s.index,'b}", "s.index", ["'b"]),
        ("{s.fill.left,' ',5}", "s.fill.left", [" ", "5"]),
        ("{s.fill.right,'ab,',8}", "s.fill.right", ["ab,", "8"]),
        ("{s.fill.left,x y,8}", "s.fill.left", ["x y", "8"]),
        ("{s.fill.left,0,5}", "s.fill.left", ["0", "5"]),
        ("{ip.matches,2001:db8::/32}", "ip.matches", ["2001:db8::/32"]),
        ("{sdp.stream-delete,audio}", "sdp.stream-delete", ["audio"]),
        ("{param.value,a{b}c}", "param.value", ["a{b}c"]),
        ("{re.subst,/a,b/c}d/g}", "re.subst", ["/a,b/c}d/g"]),
        ("{re.subst, /a{1}/x/ }", "re.subst", ["/a{1}/x/"]),
        (r"{re.subst,|a/b\||\1|gi}", "re.subst", [r"|a/b\||\1|gi"]),
        ("{re.subst,/b$/x/}", "re.subst", ["/b$/x/"]),
        ("{re.subst,$var(r)}", "re.subst", ["$var(r)"]),
    ],
)
def test_transformations(group: str, name: str, arguments: list[str | None]) -> None:
    (found,) = variable(f"$(var(x){group})").transformations
    assert f"{found.class_name}.{found.name}" == name
    assert [flat(a) for a in found.arguments] == [[] if a is None else [a] for a in arguments]


def test_a_substitution_may_hold_variables() -> None:
    (found,) = variable("$(var(x){re.subst,/a$var(b)/$json(c/d)/g})").transformations
    assert [flat(a) for a in found.arguments] == [["/a", "$var(b)", "/", "$json(c/d)", "/g"]]


def test_blanks_between_transformations() -> None:
    found = variable("$(var(x){s.trim} {s.len}\t{s.int} )")
    assert [t.name for t in found.transformations] == ["trim", "len", "int"]
    assert [(t.span.column, t.span.end_column) for t in found.transformations] == [(9, 17), (18, 25), (26, 33)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("plain", ["plain"]),
        ("$$", ["$"]),
        ("a $$var(x) $$$$", ["a $var(x) $$"]),
        ("$$$var(a)$$", ["$", "V$var(a)", "$"]),
        ("$var(a)th $var(b)_x", ["V$var(a)", "th ", "V$var(b)", "_x"]),
        ("$var(a)$avp(b)$(var(a))", ["V$var(a)", "V$avp(b)", "V$(var(a))"]),
        ("$(avp(b)[0]){x}", ["V$(avp(b)[0])", "{x}"]),
        ("$ru-x $ru/x <$ru>", ["V$ru", "-x ", "V$ru", "/x <", "V$ru", ">"]),
        ("$var(a)(b)", ["V$var(a)", "(b)"]),
        (r"$(var(s){re.subst,/\(/x/})", [r"V$(var(s){re.subst,/\(/x/})"]),
        ("$(var(s){s.select,1,)})", ["V$(var(s){s.select,1,)})"]),
    ],
)
def test_texts_with_variables(text: str, expected: list[str]) -> None:
    assert pieces(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a $ b", ("E104", 3, 4)),
        ("$", ("E104", 1, 2)),
        ("$(", ("E104", 1, 3)),
        ("$()", ("E104", 1, 3)),
        ("x $var(", ("E104", 3, 8)),
        ("$var()", ("E104", 1, 7)),
        ("$(var(a)", ("E104", 1, 3)),
        ("$(var(a) )", ("E104", 9, 10)),
        ("$( var(a))", ("E104", 1, 3)),
        ("$(<other>ru)", ("E104", 4, 9)),
        ("$(avp(a){s.len}[0])", ("E104", 16, 17)),
        ("$(avp(a) {s.len})", ("E104", 9, 10)),
        ("$(avp(a)[x])", ("E112", 9, 12)),
        ("$(avp(a)[+1])", ("E112", 9, 13)),
        ("$(avp(a)[ 0])", ("E112", 9, 13)),
        ("$(avp(a)[])", ("E112", 9, 11)),
        ("$(avp(a)[0", ("E112", 9, 10)),
        ("$(avp(a)[$var(i)x])", ("E112", 9, 10)),
        ("$(avp(a){s})", ("E111", 9, 12)),
        ("$(avp(a){})", ("E111", 9, 11)),
        ("$(avp(a){ s.len})", ("E111", 9, 17)),
        ("$(avp(a){s.len)", ("E111", 9, 10)),
        ("$(avp(a){s.substr,1,2)", ("E111", 9, 10)),
        ("$avp(" * 50 + "x" + ")" * 50, ("E114", 5 * MAX_VARIABLE_NESTING + 1, 5 * MAX_VARIABLE_NESTING + 2)),
    ],
)
def test_misspelt_variables_are_reported_in_their_place(text: str, expected: tuple[str, int, int]) -> None:
    assert problem(text) == expected


@pytest.mark.parametrize("text", ["$(s{s.substr,$var(k)a,1})", "$(s{s.select,1,,x})", "$(s{s.select,1,$var(x)})"])
def test_what_an_argument_leaves_over_is_a_warning(text: str) -> None:
    assert problem(text)[0] == "W608"


def test_one_mistake_does_not_hide_the_next() -> None:
    diagnostics = Diagnostics()
    template = parse_template("$ $(a{s}) $var(x)", None, diagnostics)
    assert [d.code for d in diagnostics] == ["E104", "E111"]
    assert flat(template)[-1] == "$var(x)"


def text_of_call(script: str) -> String:
    diagnostics = Diagnostics()
    (route,) = parse_text(script, "test", diagnostics).items
    assert not diagnostics.failed
    assert isinstance(route, Route)
    call = route.body.statements[0]
    assert isinstance(call, Call)
    text = call.arguments[0]
    assert isinstance(text, String)
    return text


@pytest.mark.parametrize(
    ("literal", "line", "column", "end"),
    [
        ('"ab $nope c"', 1, 18, 23),
        ("'ab $nope c'", 1, 18, 23),
        (r'"\ta\x41\n $nope"', 1, 25, 30),
        ('"two\nlines $nope"', 2, 7, 12),
        ('"joined \\\n\\t$nope"', 2, 3, 8),
        (r'"\xc3\xa9$nope"', 1, 14, 29),
        ('"a" "$nope"', 1, 14, 25),
    ],
)
def test_a_variable_in_a_text_knows_its_place(literal: str, line: int, column: int, end: int) -> None:
    text = text_of_call(f"route {{ xlog({literal}); }}")
    template = parse_template(text.value, locator(text), Diagnostics())
    (found,) = [p for p in template.pieces if isinstance(p, Variable)]
    assert (found.span.line, found.span.column, found.span.end_column) == (line, column, end)
