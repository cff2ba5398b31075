"""From script to tree: every statement, expression and line outside of routes."""

from __future__ import annotations

from pathlib import Path

import pytest

from miscript.script import nodes as n
from miscript.script.diagnostics import Diagnostics
from miscript.script.parser import parse_file, parse_text


def script(text: str) -> n.Script:
    diagnostics = Diagnostics()
    found = parse_text(text, "test", diagnostics)
    assert [d.one_line() for d in diagnostics] == []
    return found


def statements(body: str) -> tuple[n.Statement, ...]:
    (route,) = script(f"route {{\n{body}\n}}").items
    assert isinstance(route, n.Route)
    return route.body.statements


def show(node: object) -> str:
    """A tree in one line, to compare with."""
    match node:
        case None:
            return "-"
        case n.Integer():
            return str(node.value)
        case n.String():
            return repr(node.value)
        case n.Null():
            return "NULL"
        case n.Network():
            return f"<{node.text}>"
        case n.Variable():
            return node.text
        case n.Unary():
            return f"({node.operator} {show(node.operand)})"
        case n.Binary() | n.Comparison() | n.Logic():
            return f"({show(node.left)} {node.operator} {show(node.right)})"
        case n.Not():
            return f"(not {show(node.operand)})"
        case n.Bracketed():
            return f"[{show(node.expression)}]"
        case n.Call():
            return f"{node.name}({', '.join(map(show, node.arguments))})"
        case n.RouteCall():
            return f"route({', '.join(map(show, (node.name, *node.arguments)))})"
        case n.Assignment():
            return f"{show(node.target)} {node.operator} {show(node.value)}"
        case n.Block():
            return "{" + "; ".join(map(show, node.statements)) + "}"
        case n.Empty():
            return ";"
        case n.If():
            rest = f" else {show(node.otherwise)}" if node.otherwise else ""
            return f"if {show(node.condition)} {show(node.then)}{rest}"
        case n.While():
            return f"while {show(node.condition)} {show(node.body)}"
        case n.For():
            return f"for {show(node.iterator)} in {show(node.sequence)} {show(node.body)}"
        case n.Switch():
            return f"switch {show(node.subject)} " + " ".join(map(show, node.cases))
        case n.Case():
            return f"{show(node.value)}:{show(node.body)}"
        case n.Return():
            return f"return({', '.join(map(show, (node.code, *node.values)))})"
        case n.Assert():
            return f"assert({show(node.condition)}, {show(node.text)})"
        case n.Async():
            return f"async({show(node.call)}, {show(node.resume)}, {show(node.timeout)})"
        case n.Launch():
            return f"launch({show(node.call)}, {show(node.resume)}, {show(node.text)})"
        case _:
            return type(node).__name__.lower()


@pytest.mark.parametrize(
    ("expression", "tree"),
    [
        ("5", "5"),
        ("-5", "-5"),
        ("- 5", "-5"),
        ("+0x10", "16"),
        ("-yes", "-1"),
        ("3735928559", "-559038737"),
        ("-2147483649", "2147483647"),
        ('"text"', "'text'"),
        ("NULL", "NULL"),
        ("null", "NULL"),
        ("2 + 3 * 4", "((2 + 3) * 4)"),
        ("20 - 5 - 3", "((20 - 5) - 3)"),
        ("1 << 2 + 1", "(1 << (2 + 1))"),
        ("1 | 2 & 3", "((1 | 2) & 3)"),
        ("5 & 3 << 1", "((5 & 3) << 1)"),
        ("2 + (3 * 4)", "(2 + (3 * 4))"),
        ("7 - ~ 1", "(7 - (~ 1))"),
        ("~ 5 + 1", "((~ 5) + 1)"),
        ("~~$var(a)", "(~ (~ $var(a)))"),
        ("5-3", "(5 - 3)"),
        ("5 - -3", "(5 - -3)"),
        ("5--3", "(5 - -3)"),
        ("$var(y)-3", "($var(y) - 3)"),
        ('"a" + $var(n) + "b"', "(('a' + $var(n)) + 'b')"),
        ("$var(a) == 5", "($var(a) == 5)"),
        ("$var(a)==-5", "($var(a) == -5)"),
        ("$var(a) == NULL", "($var(a) == NULL)"),
        ("$si == 10.0.0.0/8", "($si == <10.0.0.0/8>)"),
        ("$var(a) == 5 + 1", "(($var(a) == 5) + 1)"),
        ("1 + $var(y) == 5", "(1 + ($var(y) == 5))"),
        ("($var(a) > 3) * 5", "(($var(a) > 3) * 5)"),
        ('$var(a) =~ "^5"', "($var(a) =~ '^5')"),
        ("route(minus) + 10", "(route('minus') + 10)"),
        ("rand_get_prob() + 1", "(rand_get_prob() + 1)"),
        ("(((1)))", "1"),
    ],
)
def test_expressions(expression: str, tree: str) -> None:
    (found,) = statements(f"$var(x) = {expression};")
    assert show(found) == f"$var(x) = {tree}"


@pytest.mark.parametrize("operator", "= := += -= *= /= %= &= |= ^=".split())
def test_assignment_operators(operator: str) -> None:
    (found,) = statements(f"$(avp(x)[0]) {operator} 1;")
    assert show(found) == f"$(avp(x)[0]) {operator} 1"


@pytest.mark.parametrize(
    ("condition", "tree"),
    [
        ("1", "1"),
        ("-1", "-1"),
        ("$var(a)", "$var(a)"),
        ("!$var(a)", "(not $var(a))"),
        ("!!1", "(not (not 1))"),
        ("not $var(a) == 5", "(not ($var(a) == 5))"),
        ("!($var(a) and 1)", "(not ($var(a) and 1))"),
        ("1 or 1 and 0", "((1 or 1) and 0)"),
        ("1 && 0 || 1", "((1 and 0) or 1)"),
        ("1 and (0 or 1)", "(1 and (0 or 1))"),
        ("((($var(a))))", "$var(a)"),
        ("f()", "f()"),
        ("!f(1) && route(a)", "((not f(1)) and route('a'))"),
        ('xlog("a")', "xlog('a')"),
        ("[$var(n) * 2 - 5]", "[(($var(n) * 2) - 5)]"),
        ('["a"] and ![1]', "(['a'] and (not [1]))"),
        ("[$var(a) == 5]", "[($var(a) == 5)]"),
        ("$var(a) = 5 + 1", "$var(a) = (5 + 1)"),
        ("$var(a) = 5 and 1", "($var(a) = 5 and 1)"),
        ("1 && $var(a) := 1", "(1 and $var(a) := 1)"),
        ("$var(a) = $var(b) == 1", "$var(a) = ($var(b) == 1)"),
        ("$si == 2001:db8::/32", "($si == <2001:db8::/32>)"),
        ("$si != [::1]", "($si != <::1>)"),
        ("$var(a) == yes", "($var(a) == 1)"),
        ("$var(a) != NULL", "($var(a) != NULL)"),
        ('$var(s) !~ "x" or $var(s) =~ $var(p)', "(($var(s) !~ 'x') or ($var(s) =~ $var(p)))"),
    ],
)
def test_conditions(condition: str, tree: str) -> None:
    (found,) = statements(f"if ({condition}) exit;")
    assert show(found) == f"if {tree} {{exit}}"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        (";", ";"),
        ("exit;", "exit"),
        ("exit();", "exit"),
        ("drop;", "drop"),
        ("drop( );", "drop"),
        ("return;", "return(-)"),
        ("return();", "return(-)"),
        ("return(5);", "return(5)"),
        ("return -7;", "return(-7)"),
        ("return $var(x);", "return($var(x))"),
        ('return(3, 42, $var(v), NULL, "a");', "return(3, 42, $var(v), NULL, 'a')"),
        ('return(, "v");', "return(-, 'v')"),
        ("f();", "f()"),
        ("f (1);", "f(1)"),
        ('f(1, -2, "a", $var(x), yes);', "f(1, -2, 'a', $var(x), 1)"),
        ("f(1, , 2);", "f(1, -, 2)"),
        ("f(,);", "f(-, -)"),
        ("f(1,);", "f(1, -)"),
        ("route(a);", "route('a')"),
        ('route("a b");', "route('a b')"),
        ("route(7);", "route('7')"),
        ("route(no);", "route('0')"),
        ("route($var(x));", "route($var(x))"),
        ('route(a, 1, "b", $var(x), NULL);', "route('a', 1, 'b', $var(x), NULL)"),
        ('xlog("a" "b" \'c\');', "xlog('abc')"),
        ('xlog("L_ERR", "a" "b");', "xlog('L_ERR', 'ab')"),
        ('xdbg("a" "b");', "xdbg('ab')"),
        ('log("a");', "log('a')"),
        ('log(-1, "a");', "log(-1, 'a')"),
        ('error("a", "b");', "error('a', 'b')"),
        ("assert(1);", "assert(1, -)"),
        ('assert($var(x) == 1 and f(), "no");', "assert((($var(x) == 1) and f()), 'no')"),
        ("async(f(1), resume);", "async(f(1), 'resume', -)"),
        ('async(f(), "resume", 5);', "async(f(), 'resume', 5)"),
        ("launch(f());", "launch(f(), -, -)"),
        ("launch(f(), r);", "launch(f(), 'r', -)"),
        ('launch(f($var(x)), r, "text");', "launch(f($var(x)), 'r', 'text')"),
        ("if (1) exit; else drop;", "if 1 {exit} else {drop}"),
        ("if (1) { } else { ; }", "if 1 {} else {;}"),
        ("if (1) ; else exit;", "if 1 {;} else {exit}"),
        ("if (1) if (2) exit; else drop;", "if 1 {if 2 {exit} else {drop}}"),
        ("if (1) exit; else if (2) drop; else return;", "if 1 {exit} else {if 2 {drop} else {return(-)}}"),
        ("while (1) { $var(i) += 1; break; }", "while 1 {$var(i) += 1; break}"),
        ("while (f()) exit;", "while f() {exit}"),
        ("for ($var(x) in $(avp(y)[*])) exit;", "for $var(x) in $(avp(y)[*]) {exit}"),
        ("for ($json(e) in $(json(j/k.keys)[*])) { break; }", "for $json(e) in $(json(j/k.keys)[*]) {break}"),
        (
            'switch ($var(x)) { case 1: exit; break; case "b": case -2: drop; default: ; }',
            "switch $var(x) 1:{exit; break} 'b':{} -2:{drop} -:{;}",
        ),
        ("switch ($var(x)) { case 5: default: }", "switch $var(x) 5:{} -:{}"),
        ("switch ($(var(x){s.len})) { case yes: exit; }", "switch $(var(x){s.len}) 1:{exit}"),
    ],
)
def test_statements(text: str, tree: str) -> None:
    (found,) = statements(text)
    assert show(found) == tree


def test_a_block_may_be_empty_behind_a_condition_and_more_may_follow() -> None:
    assert [show(s) for s in statements("if (1) {} ;;; exit;")] == ["if 1 {}", ";", ";", ";", "exit"]


def test_a_break_in_a_switch_within_a_loop() -> None:
    (found,) = statements("while (1) { switch ($var(x)) { case 1: break; } break; }")
    assert show(found) == "while 1 {switch $var(x) 1:{break}; break}"


def test_long_chains_of_else_if() -> None:
    (found,) = statements("if (1) exit; " + "else if (2) exit; " * 150 + "else drop;")
    assert show(found).endswith("else {drop}" + "}" * 150)


@pytest.mark.parametrize(
    ("head", "kind", "name", "interval"),
    [
        ("route", "route", "", None),
        ("route[0]", "route", "", None),
        ("route[no]", "route", "", None),
        ("route[a_b]", "route", "a_b", None),
        ("route[0x10]", "route", "16", None),
        ('route["with space"]', "route", "with space", None),
        ("route['if']", "route", "if", None),
        ("failure_route[1]", "failure_route", "1", None),
        ("branch_route[x]", "branch_route", "x", None),
        ("onreply_route", "onreply_route", "", None),
        ("onreply_route [ x ]", "onreply_route", "x", None),
        ("error_route", "error_route", "", None),
        ("local_route", "local_route", "", None),
        ("startup_route", "startup_route", "", None),
        ("timer_route[t, 10]", "timer_route", "t", 10),
        ('timer_route["t", 0x10]', "timer_route", "t", 16),
        ("event_route[E_X]", "event_route", "E_X", None),
    ],
)
def test_routes(head: str, kind: str, name: str, interval: int | None) -> None:
    (route,) = script(f"{head} {{ exit; }}").items
    assert isinstance(route, n.Route)
    assert (route.kind, route.name, route.interval) == (kind, name, interval)
    assert (route.head.column, route.head.end_column) == (1, len(head) + 1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("log_level=3", [("log_level", 3, (), False)]),
        ("log_level = -1", [("log_level", -1, (), False)]),
        ("log_stdout=yes udp_workers = 0x4", [("log_stdout", 1, (), False), ("udp_workers", 4, (), False)]),
        ('log_prefix="a b"', [("log_prefix", "a b", (), True)]),
        ("log_prefix='a'", [("log_prefix", "a", (), True)]),
        ("syslog_facility=LOG_LOCAL0", [("syslog_facility", "LOG_LOCAL0", (), False)]),
        ("advertised_address=1.2.3.4", [("advertised_address", "1.2.3.4", (), False)]),
        ("advertised_address=sip-1.example.com", [("advertised_address", "sip-1.example.com", (), False)]),
        ("advertised_address=[::1]", [("advertised_address", "[::1]", (), False)]),
        ("no_such=word", [("no_such", "word", (), False)]),
        (
            "udp_workers = 4 use_auto_scaling_profile P",
            [("udp_workers", 4, (("use_auto_scaling_profile", "P"),), False)],
        ),
        ("socket=udp:127.0.0.1:5060", [("socket", "udp:127.0.0.1:5060", (), False)]),
        ("socket = udp : 127.0.0.1 : 5060", [("socket", "udp:127.0.0.1:5060", (), False)]),
        ("socket=tcp:[::1]:5060", [("socket", "tcp:[::1]:5060", (), False)]),
        ("socket=udp:*", [("socket", "udp:*", (), False)]),
        ("socket=udp:my-host.example.com:5060-5062", [("socket", "udp:my-host.example.com:5060-5062", (), False)]),
        ('socket=udp:"eth0":5060', [("socket", "udp:eth0:5060", (), False)]),
        (
            "socket=udp:127.0.0.1:5060 as 1.2.3.4:5070 use_workers 4 tag x anycast\nlog_level=1",
            [
                (
                    "socket",
                    "udp:127.0.0.1:5060",
                    (("as", "1.2.3.4:5070"), ("use_workers", 4), ("tag", "x"), ("anycast", None)),
                    False,
                ),
                ("log_level", 1, (), False),
            ],
        ),
        (
            "socket=udp:10.0.0.1 tos 0x10 FRAG REUSE_PORT",
            [("socket", "udp:10.0.0.1", (("tos", 16), ("frag", None), ("reuse_port", None)), False)],
        ),
        ("listen=udp:127.0.0.1:5060", [("listen", "udp:127.0.0.1:5060", (), False)]),
        (
            'alias=example.com udp:foo.bar:5070 accept_subdomain "third"\nlog_level=1',
            [
                ("alias", "example.com", (), False),
                ("alias", "udp:foo.bar:5070", (("accept_subdomain", None),), False),
                ("alias", "third", (), True),
                ("log_level", 1, (), False),
            ],
        ),
        ("dst_blacklist = gw", [("dst_blacklist", "gw", (), False)]),
        ("dst_blacklist = gw/expire:{}", [("dst_blacklist", "gw", (("expire", None),), False)]),
        (
            'dst_blacklist = gw:{ ( udp , 1.2.3.0/255.255.255.0 , 5060 , "" ), !(any,[::1],0) }',
            [
                (
                    "dst_blacklist",
                    "gw",
                    (("rule", '(udp,1.2.3.0/255.255.255.0,5060,"")'), ("rule", "!(any,[::1],0)")),
                    False,
                )
            ],
        ),
        (
            "auto_scaling_profile = P\n scale up to 6 on 70% for 4 cycles within 5\n"
            " scale down to 2 on 20 % for 10 cycles",
            [
                (
                    "auto_scaling_profile",
                    "P",
                    (
                        ("up to", 6),
                        ("up on", 70),
                        ("up for", 4),
                        ("up within", 5),
                        ("down to", 2),
                        ("down on", 20),
                        ("down for", 10),
                    ),
                    False,
                )
            ],
        ),
        (
            "auto_scaling_profile = P { scale up to 6 on 70% for 4 cycles }",
            [("auto_scaling_profile", "P", (("up to", 6), ("up on", 70), ("up for", 4)), False)],
        ),
        ('mem-group = "x": "core" "tm"', [("mem-group", "x", (("module", "core"), ("module", "tm")), True)]),
    ],
)
def test_global_parameters(text: str, expected: list[tuple[object, ...]]) -> None:
    found = script(text).items
    assert [(p.name, p.value, p.options, p.quoted) for p in found if isinstance(p, n.GlobalParameter)] == expected


def test_module_lines() -> None:
    text = """
        loadmodule "proto_udp.so" loadmodule '/usr/lib/my_module.so' loadmodule "plain"
        modparam("a|b", "name", "one" "two")
        modparam('a', "number", -5)
    """
    first, second, third, joined, number = script(text).items
    assert isinstance(first, n.LoadModule) and isinstance(second, n.LoadModule) and isinstance(third, n.LoadModule)
    assert [(m.name, m.path) for m in (first, second, third)] == [
        ("proto_udp", "proto_udp.so"),
        ("my_module", "/usr/lib/my_module.so"),
        ("plain", "plain"),
    ]
    assert isinstance(joined, n.ModuleParameter) and isinstance(number, n.ModuleParameter)
    assert (joined.modules, joined.name, joined.value) == ("a|b", "name", "onetwo")
    assert (number.value, number.value_span.column, number.value_span.end_column) == (-5, 33, 35)


def test_nodes_know_their_places() -> None:
    (found,) = statements("if ($var(a) == 1) {\n  f(2);\n}")
    assert isinstance(found, n.If)
    span = found.span
    assert (span.line, span.column, span.end_line, span.end_column) == (2, 1, 4, 2)
    assert (found.condition.span.column, found.condition.span.end_column) == (5, 17)
    (call,) = found.then.statements
    assert isinstance(call, n.Call)
    assert (call.span.end_column, call.name_span.end_column) == (7, 4)


def test_an_include_may_stand_within_a_route(tmp_path: Path) -> None:
    (tmp_path / "part.inc").write_text("f();")
    (tmp_path / "main.cfg").write_text('route {\n include_file "part.inc"\n exit; }')
    diagnostics = Diagnostics()
    (route,) = parse_file(tmp_path / "main.cfg", diagnostics).items
    assert isinstance(route, n.Route) and not diagnostics.failed
    assert [(show(s), Path(s.span.file.name).name, s.span.line) for s in route.body.statements] == [
        ("f()", "part.inc", 1),
        ("exit", "main.cfg", 3),
    ]


def test_an_empty_script_has_no_items() -> None:
    assert script("").items == script(" # nothing\n").items == ()
