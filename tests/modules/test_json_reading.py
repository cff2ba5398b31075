"""Texts become documents."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.json.document import MAX_DEPTH, BadJson, NumberText
from miscript.modules.json.lenient import parse_lenient
from miscript.modules.json.reading import parse

SCALARS = st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=20)
DOCUMENTS = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=5)
)
LIKE_JSON = st.text(alphabet="{}[]:,\"'\\/*+-.0123456789eEnultrfasNI \t\nu\udc80", max_size=60)


@given(DOCUMENTS)
def test_what_is_json_is_read_the_same_by_every_reader(document: Any) -> None:
    for text in (json.dumps(document), json.dumps(document, ensure_ascii=False, indent=1)):
        assert parse(text)[0] == document
        assert parse_lenient(text) == document


@given(st.text() | LIKE_JSON)
def test_any_text_is_a_document_or_refused(text: str) -> None:
    for reader in (parse, parse_lenient):
        try:
            reader(text)
        except BadJson as error:
            assert str(error)


@given(LIKE_JSON)
def test_what_python_reads_we_read_too(text: str) -> None:
    try:
        expected = json.loads(text, parse_float=NumberText, parse_constant=NumberText, strict=False)
    except (ValueError, RecursionError):
        return
    assert parse(text)[0] == expected


@pytest.mark.parametrize(
    ("text", "document"),
    [
        ("{'a':'single'}", {"a": "single"}),
        ("{'a\"b':'c\"d'}", {'a"b': 'c"d'}),
        ("[1,2,]", [1, 2]),
        ("{'a':1,}", {"a": 1}),
        ('{"a":1} trailing', {"a": 1}),
        ("5x", 5),
        ("truex", True),
        ("[NULL,False,TRUE]", [None, False, True]),
        ("/* c */ [1, /* x */ 2 // e\n]", [1, 2]),
        ("[007]", [7]),
        ('{"dup":1,"dup":2}', {"dup": 2}),
        ('["raw\ttab\nline"]', ["raw\ttab\nline"]),
        ('["\udcff"]', ["\udcff"]),
        (r'"\ud83d\ude00"', "😀"),
        (r'["\ud800","\udc00z","\ud800\u0041","\uDC80"]', ["\ufffd", "\ufffdz", "\ufffdA", "\ufffd"]),
        (r'"x\u0000y"', "x\0y"),
        ("18446744073709551616", 2**64),
        ("-0", 0),
        ("1e", 1),
    ],
)
def test_what_the_server_takes_is_taken(text: str, document: Any) -> None:
    assert parse(text)[0] == document


@pytest.mark.parametrize(
    "text",
    ["", " ", "{bad", '{"a":', "[1", "[1 2]", "[1,,2]", "[,]", "{,}", "{a:1}", r'"\x"', r'"\u12"', "[.5]", "[+1]", "x"],
)
def test_what_the_server_refuses_is_refused(text: str) -> None:
    with pytest.raises(BadJson):
        parse(text)


@pytest.mark.parametrize("number", ["1.0", "1.50", "2.5e3", "-0.125", "1e2", "1E5", "1.", "NaN", "-Infinity"])
def test_numbers_with_a_fraction_keep_their_text(number: str) -> None:
    for text, found in ((number, parse(number)[0]), (f"[{number}]", parse(f"[{number}]")[0][0])):  # type: ignore[index]
        assert isinstance(found, NumberText), text
        assert found == number


def test_a_fraction_far_inside_a_long_text_keeps_its_text() -> None:
    text = json.dumps([{"ip": "10.0.0.1", "n": [i]} for i in range(100)])[:-1] + ',{"x":[[1.50]]}]'
    assert parse(text)[0][-1] == {"x": [["1.50"]]}  # type: ignore[index]


@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ("['',", "]")])
def test_depth_is_limited(opening: str, closing: str) -> None:
    def nested(levels: int) -> str:
        return opening * levels + "1" + closing * levels

    parse(nested(MAX_DEPTH))
    for levels in (MAX_DEPTH + 1, 900, 5000, 100_000):
        with pytest.raises(BadJson):
            parse(nested(levels))


def test_a_number_without_end_stays_a_text() -> None:
    digits = "9" * 100_000
    assert parse(f"[{digits}]")[0] == [digits]


@pytest.mark.parametrize("number", [-(2**63), -(2**63) - 1, 2**63, 2**64 - 1, 2**64, -(10**30)])
def test_integers_of_any_size_stay_integers(number: int) -> None:
    assert parse(f"[{number}]")[0] == [number]
    assert isinstance(parse(f"{number}")[0], int)
