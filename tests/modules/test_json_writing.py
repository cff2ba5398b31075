"""Documents become texts."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given

from miscript.modules.json.document import NumberText
from miscript.modules.json.reading import parse
from miscript.modules.json.writing import (
    COMPACT,
    COMPACT_NOESCAPE,
    MAX_WRITTEN_DEPTH,
    PRETTY,
    SPACED,
    CannotPrint,
    Form,
    write,
)
from test_json_reading import DOCUMENTS

FORMS = (SPACED, COMPACT, COMPACT_NOESCAPE, PRETTY)


@given(DOCUMENTS)
def test_what_is_written_reads_as_it_was(document: Any) -> None:
    for form in FORMS:
        for shared in (True, False):
            text = write(document, form, shared)
            assert json.loads(text) == document
            assert parse(text)[0] == document


@given(DOCUMENTS)
def test_the_quick_way_writes_the_same(document: Any) -> None:
    for form in (COMPACT, COMPACT_NOESCAPE):
        assert write(document, form, shared=False) == write(document, form, shared=True)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        (SPACED, '{ "e": { }, "l": [ ], "s": "a\\/b", "n": [ 1.50, null, true ] }'),
        (COMPACT, '{"e":{},"l":[],"s":"a\\/b","n":[1.50,null,true]}'),
        (COMPACT_NOESCAPE, '{"e":{},"l":[],"s":"a/b","n":[1.50,null,true]}'),
        (
            PRETTY,
            '{\n  "e":{\n  },\n  "l":[\n  ],\n  "s":"a\\/b",\n  "n":[\n    1.50,\n    null,\n    true\n  ]\n}',
        ),
    ],
)
def test_the_four_forms(form: Form, text: str) -> None:
    document: Any = {"e": {}, "l": [], "s": "a/b", "n": [NumberText("1.50"), None, True]}
    for shared in (True, False):
        assert write(document, form, shared) == text


def test_control_characters_are_escaped_and_bytes_that_are_not_utf8_pass() -> None:
    for shared in (True, False):
        assert write('\x01\b\f\n\r\t\x1f"\\\x7f\udcff€', COMPACT, shared) == (
            '"\\u0001\\b\\f\\n\\r\\t\\u001f\\"\\\\\x7f\udcff€"'
        )


def test_a_document_that_is_too_deep_is_not_printed() -> None:
    document: Any = []
    for _ in range(MAX_WRITTEN_DEPTH - 1):
        document = [document]
    for form in FORMS:
        write(document, form)
        with pytest.raises(CannotPrint):
            write([document], form)


def test_a_document_that_prints_without_end_is_stopped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("miscript.modules.json.writing.MAX_WRITTEN", 50_000)
    document: Any = ["x"] * 10
    for _ in range(30):
        document = [document] * 10
    with pytest.raises(CannotPrint):
        write(document, SPACED)
