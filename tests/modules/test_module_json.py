"""`$json` in scripts."""

from __future__ import annotations

from typing import cast

import pytest

from miscript.modules.json import JsonModule
from miscript.modules.json.document import MAX_DEPTH
from miscript.script.nodes import Index, Template
from miscript.script.signatures import Binder
from module_services import module_services
from script_lines import printed


async def run(body: str, parameters: str = "") -> list[str]:
    return await printed("json", body, parameters=parameters)


async def test_parts_are_read_and_what_is_missing_is_null() -> None:
    assert await run(r"""
        $json(j) := '{"a":1,"s":"two","f":1.50,"t":true,"n":null,"l":[1,{"d":[5]}]}';
        xlog("$json(j/a) $json(j/s) $json(j/f) $json(j/t) $json(j/n)\n");
        xlog("$json(j/l[1]/d[0]) $json(j/l[-2]) $json(j/l) $json_compact(j/l)\n");
        xlog("$json(j/x) $json(j/l[9]) $json(j/s[0]) $json(j/f[0]) $json(j/a/b) $json(j/l/a) $json(j/l[]) $json(k)\n");
    """) == [
        "1 two 1.50 true <null>",
        '5 1 [ 1, { "d": [ 5 ] } ] [1,{"d":[5]}]',
        "<null> <null> <null> <null> <null> <null> <null> <null>",
    ]


async def test_a_failed_text_takes_away_what_was_there_and_a_number_does_not() -> None:
    assert await run(r"""
        $json(j) := '{"a":{"b":1},"l":[1,2]}';
        $json(j/a) := "{bad"; xlog("$rc $json(j)\n");
        $json(j/l[0]) := "null"; xlog("$rc $json(j)\n");
        $json(j/l[]) := "{bad"; xlog("$rc $json(j)\n");
        $json(j) := 5; xlog("$rc $json(j)\n");
    """) == ['-1 { "l": [ 1, 2 ] }', '-1 { "l": [ 2 ] }', '-1 { "l": [ 2 ] }', '-1 { "l": [ 2 ] }']


async def test_the_same_constant_gives_a_new_document_each_time() -> None:
    assert await run(r"""
        $var(i) = 0;
        while ($var(i) < 3) { $json(j) := '{"l":[]}'; $json(j/l[]) = $var(i); xlog("$json(j)\n"); $var(i) += 1; }
    """) == [f'{{ "l": [ {i} ] }}' for i in range(3)]


async def test_an_empty_text_is_refused_every_time() -> None:
    assert await run(r"""$var(i) = 0; while ($var(i) < 2) { $json(j) := ""; xlog("$rc\n"); $var(i) += 1; }""") == [
        "-1",
        "-1",
    ]


async def test_writing_needs_a_place() -> None:
    assert await run(r"""
        $json(j) := '{"l":[1],"s":"x"}';
        $json(j/a/b) = 1; xlog("$rc ");
        $json(j/l[1]) = 1; xlog("$rc ");
        $json(j/l[-2]) = 1; xlog("$rc ");
        $json(j/l/k) = 1; xlog("$rc ");
        $json(j/s[0]) = 1; xlog("$rc ");
        $json(j[]) = 1; xlog("$rc ");
        $json(new/a) = 1; xlog("$rc ");
        $json(j/l[5]) = NULL; xlog("$rc ");
        $json(j/none) = NULL; xlog("$rc $json(j)\n");
    """) == ['-1 -1 -1 -1 -1 -1 -1 -1 1 { "l": [ 1 ], "s": "x" }']


async def test_keys_may_be_of_any_length() -> None:
    assert await run(r"""
        $json(j) := "{}"; $var(k) = "x"; $var(i) = 0;
        while ($var(i) < 14) { $var(k) = $var(k) + $var(k); $var(i) += 1; }
        $json(j/$var(k)) = 1; $json(j/$var(k)) += 1;
        xlog("$json(j/$var(k)) $(json(j){s.len})\n");
    """) == [f"2 {2**14 + 9}"]


async def test_an_assigned_document_is_a_copy_and_a_linked_one_is_not() -> None:
    assert await run(r"""
        $json(a) := '{"k":{"v":1}}';
        $json(copy) := $json(a); $json(copy/k/v) = 2;
        json_link($json(link), $json(a/k)); $json(link/v) = 3;
        xlog("$rc $json(a) $json(copy)\n");
        $json(link) = NULL; xlog("$json(a)\n");
        json_link($json(x), $json(a/none)); xlog("$rc ");
        json_link($json(x/y), $json(a)); xlog("$rc\n");
    """) == ['1 { "k": { "v": 3 } } { "k": { "v": 2 } }', '{ "k": { "v": 3 } }', "-1 -1"]


async def test_a_link_never_makes_a_circle() -> None:
    assert await run(r"""
        $json(a) := '{"k":{},"l":[{}]}'; $json(b) := "{}";
        json_link($json(a/k), $json(a)); xlog("$rc $json(a)\n");
        json_link($json(b/a), $json(a));
        json_link($json(a/l[0]), $json(b)); xlog("$rc $json(a) $json(b)\n");
    """) == [
        '1 { "k": { }, "l": [ { } ] }',
        '1 { "k": { }, "l": [ { } ] } { "a": { "k": { }, "l": [ { } ] } }',
    ]


async def test_merging_follows_rfc_7396() -> None:
    assert await run(r"""
        $var(patch) = '{"a":{"b":null,"x":9},"d":[3],"e":{"n":null},"p":"a/b"}';
        json_merge('{"a":{"b":1,"c":2},"d":[1,2],"e":5}', $var(patch), $var(m));
        xlog("$rc $var(m)\n");
        json_merge('[1]', '{"a":1}', $var(m)); xlog("$rc $var(m)\n");
        json_merge('{"a":1}', 'null', $var(m)); xlog("$rc $var(m)\n");
        json_merge('{"a":1}', '{"b":2}', $json(m)); xlog("$rc $json(m) $json(m/a)\n");
        $var(m) = "kept"; json_merge('{bad', '{}', $var(m)); xlog("$rc $var(m)\n");
    """) == [
        '1 {"a":{"c":2,"x":9},"d":[3],"e":{},"p":"a/b"}',
        '1 {"a":1}',
        "1 null",
        '1 {"a":1,"b":2} <null>',
        "-1 kept",
    ]


async def test_for_walks_through_an_array_that_changes() -> None:
    assert await run(r"""
        $json(j) := "[1,2,3]";
        for ($var(v) in $(json(j)[*])) { xlog("$var(v) "); if ($var(v) == 2) { $json(j[]) = 9; $json(j[0]) = NULL; } }
        xlog("$json(j)\n");
    """) == ["1 2 9 [ 2, 3, 9 ]"]


async def test_for_gives_values_names_and_nulls() -> None:
    assert await run(r"""
        $json(j) := '{"o":{"x":1,"y":null,"z":{"q":"/"}},"l":[null,true,1.5]}';
        for ($var(v) in $(json(j/o)[*])) xlog("$var(v), ");
        for ($var(v) in $(json(j/o.values)[*])) xlog("$var(v), ");
        for ($var(v) in $(json(j/o.keys)[*])) xlog("$var(v), ");
        for ($var(v) in $(json(j/l)[*])) xlog("$var(v), ");
        for ($var(v) in $(json(j/l.keys)[*])) xlog("never");
        for ($var(v) in $(json(j/none)[*])) xlog("never");
        xlog("\n");
    """) == [r'1, null, { "q": "\/" }, 1, null, { "q": "\/" }, x, y, z, null, true, 1.5, ']


async def test_a_json_iterator_takes_what_parses() -> None:
    assert await run(r"""
        $json(j) := '[1,2.5,{"a":[4294967296]},"word",3]';
        for ($json(e) in $(json(j)[*])) xlog("$json(e); ");
        $var(sum) = 0; $json(j) := "[3,4]";
        for ($var(v) in $(json(j)[*])) $var(sum) = $var(sum) + $var(v);
        xlog("$var(sum)\n");
    """) == ['1; 2.5; { "a": [ 4294967296 ] }; 7']


async def test_integers_beyond_32_bits_print_in_full() -> None:
    body = r"""$json(j) := "[2147483647,4294967297]"; $var(x) = "kept"; $var(x) = $json(j[1]) + 1;
               xlog("$json(j[0]) $json(j[1]) $var(x)\n");"""
    assert await run(body) == ["2147483647 4294967297 2"]
    assert await run(body, 'modparam("json", "enable_long_quoting", yes)') == ["2147483647 4294967297 kept"]


async def test_documents_persist_and_all_variables_share_them() -> None:
    assert await run(r"""
        $json_compact(c) := '{"a":"/"}'; $json_pretty(c/b) = 5;
        xlog("$json(c) $json_compact_noescape(c)\n");
    """) == [r'{ "a": "\/", "b": 5 } {"a":"/","b":5}']


async def test_a_text_that_nests_too_deep_is_refused() -> None:
    deep = "[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1)
    assert await run(rf"""$json(j) := "{deep}"; xlog("$rc $json(j)\n");""") == ["-1 <null>"]


async def test_a_document_made_too_deep_by_links_reads_as_null() -> None:
    assert await run(r"""
        $json(top) := "{}"; json_link($json(at), $json(top)); $var(i) = 0;
        while ($var(i) < 5000) { $json(at/k) := "{}"; json_link($json(at), $json(at/k)); $var(i) += 1; }
        xlog("$json(top) $json_compact(top) $json(top/k/k/x)\n");
    """) == ["<null> <null> <null>"]


@pytest.mark.parametrize("index", [0, -1, "append"])
def test_an_index_other_than_all_is_refused(index: Index) -> None:
    module = JsonModule(module_services())
    with pytest.raises(ValueError, match=r"\[\*\]"):
        module.json(Template(("j",)), index, cast(Binder, None))


def test_a_name_is_needed() -> None:
    with pytest.raises(ValueError, match="has a name"):
        JsonModule(module_services()).json_pretty(None, None, cast(Binder, None))
