"""The JSON writers: the server's bytes, and the same value when read again."""

from __future__ import annotations

import json

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.mi import writer
from miscript.mi.writer import MAX_DEPTH, NumberAsWritten, compact, dumps_text, pretty
from miscript.values import NumberWithText, decode

scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(exclude_categories=["Cs"]))
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text('abc\n"é', max_size=3), inner, max_size=4),
    max_leaves=15,
)


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ('"\\\b\f\n\r\t', rb'"\"\\\b\f\n\r\t"'),
        ("\x00\x01\x0b\x1f", rb'"\u0000\u0001\u000b\u001f"'),
        ("a/b\x7f", b'"a/b\x7f"'),
        ("é\u2028😀", '"é\u2028😀"'.encode()),
        (decode(b"\xff\xc3("), b'"\xff\xc3("'),
        (decode(b'\xff"\n'), b'"\xff\\"\\n"'),
    ],
)
def test_texts_are_escaped_as_the_server_does(text: str, written: bytes) -> None:
    assert compact(text) == written
    assert pretty(text) == written


@pytest.mark.parametrize(
    ("number", "written"),
    [
        (0, b"0"),
        (-2147483648, b"-2147483648"),
        (2**70, b"1180591620717411303424"),
        (NumberWithText(7, "007"), b"7"),
        (2.0, b"2"),
        (-0.0, b"0"),
        (3e9, b"3000000000"),
        (2.5, b"2.500000"),
        (-0.1, b"-0.100000"),
        (1e-7, b"1.000000e-07"),
        (1234567890.5, b"1.234568e+09"),
        (1e100, b"1.000000e+100"),
        (float("nan"), b"null"),
        (float("-inf"), b"null"),
        (NumberAsWritten("1e2"), b"1e2"),
        (True, b"true"),
    ],
)
def test_numbers_are_written_as_the_server_does(number: float, written: bytes) -> None:
    assert compact(number) == written
    assert compact([number, {"a": number}]) == b"[" + written + b',{"a":' + written + b"}]"
    assert pretty({"a": number}) == b'{\n\t"a":\t' + written + b"\n}"


def test_a_text_that_looks_like_the_end_of_a_fraction_is_unchanged() -> None:
    assert compact({"a": "1.5,", "b": "e+5]"}) == b'{"a":"1.5,","b":"e+5]"}'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ({}, "{\n}"),
        ([], "[]"),
        ({"xLog Level": 3}, '{\n\t"xLog Level":\t3\n}'),
        ([[], ["level"], ["level", "pid"]], '[[], ["level"], ["level", "pid"]]'),
        ({"Event": {}}, '{\n\t"Event":\t{\n\t}\n}'),
        ({"Events": []}, '{\n\t"Events":\t[]\n}'),
        (
            {"keys": [{"name": "k", "value": "v"}]},
            '{\n\t"keys":\t[{\n\t\t\t"name":\t"k",\n\t\t\t"value":\t"v"\n\t\t}]\n}',
        ),
        ([{"a": 1}, {"b": None}], '[{\n\t\t"a":\t1\n\t}, {\n\t\t"b":\tnull\n\t}]'),
    ],
)
def test_the_pretty_form_is_the_recorded_one(value: object, written: str) -> None:
    assert dumps_text(value, pretty=True) == written


@given(values)
def test_both_writers_of_the_compact_form_agree(value: object) -> None:
    assert writer._text(value, pretty=False).encode() == orjson.dumps(value) == compact(value)


@given(values)
def test_what_is_written_reads_back_equal(value: object) -> None:
    assert json.loads(compact(value)) == value
    assert json.loads(pretty(value)) == value
    assert json.loads(dumps_text(value)) == value


@given(st.binary())
def test_any_bytes_of_a_script_are_written_and_come_back(data: bytes) -> None:
    text = decode(data)
    assert json.loads(dumps_text([text])) == [text]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_any_float_is_written_as_a_number_close_to_it(number: float) -> None:
    assert json.loads(compact([number]))[0] == pytest.approx(number, rel=1e-5, abs=1e-6)


@pytest.mark.parametrize("value", [{1: 2}, b"bytes", {"a": {1, 2}}, object()])
def test_what_json_does_not_have_is_a_type_error(value: object) -> None:
    for write in (compact, pretty, dumps_text):
        with pytest.raises(TypeError):
            write(value)


def test_nesting_is_limited_so_that_a_value_holding_itself_ends() -> None:
    endless: list[object] = []
    endless += [endless, endless]
    for write in (compact, pretty):
        with pytest.raises(ValueError, match=str(MAX_DEPTH)):
            write(endless)
