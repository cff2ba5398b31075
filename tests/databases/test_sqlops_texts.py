"""What the texts of sqlops say: queries with values in them, and JSON."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.database import Where
from miscript.modules.sqlops.query_text import json_text, query_text
from miscript.modules.sqlops.structured import NotStructured, columns, conditions, values
from miscript.script.access import SimpleAccess
from miscript.script.signatures import Argument, VariableInText


def variable(value, text="$var(x)"):
    return VariableInText(SimpleAccess(lambda run: value), text)


def filled(*pieces, backslashes=False):
    return query_text(Argument(lambda run: "", pieces=pieces), backslashes).filled(None)


def test_a_variable_in_quotes_is_a_value():
    assert filled("WHERE a='", variable("o'x"), "' AND b=1") == ("WHERE a=:v1 AND b=1", {"v1": "o'x"})
    assert filled("a='%", variable("x"), "-", variable(5), "%'") == ("a=:v1", {"v1": "%x-5%"})


def test_a_variable_outside_quotes_is_a_part_of_the_query():
    assert filled("LIMIT ", variable(5)) == ("LIMIT 5", None)
    assert filled(variable("SELECT ':a'"), " '", variable(1), "'") == (r"SELECT '\:a' :v1", {"v1": "1"})


def test_a_text_without_variables_stays_as_it_is():
    assert filled("a='it''s' AND b='", variable(1), "'") == ("a='it''s' AND b=:v1", {"v1": "1"})
    assert filled(r"a='x\' AND b=", variable(1)) == (r"a='x\' AND b=1", None)
    assert filled("x=':y' AND z::int=", variable(2), " AND w='", variable(3), "'") == (
        r"x='\:y' AND z::int=2 AND w=:v1",
        {"v1": "3"},
    )


def test_quotes_and_backslashes_in_quotes_mean_what_the_database_reads():
    assert filled("'it''s ", variable("x"), "'")[1] == {"v1": "it's x"}
    assert filled(r"'a\'", variable("x")) == (r"'a\'x", None)
    assert filled(r"'a\'", variable("x"), "'", backslashes=True)[1] == {"v1": "a'x"}
    assert filled('"a', variable("x"), '"', backslashes=True)[1] == {"v1": "ax"}
    assert filled('"a', variable("x"), '"') == ('"ax"', None)


def test_what_the_script_has_escaped_is_bound_as_it_was():
    escaped = variable(r"o\'x \\ \"\0", "$(var(x){s.escape.common})")
    assert filled("'", escaped, "'")[1] == {"v1": "o'x \\ \"\0"}


def test_a_quote_that_never_ends_goes_to_the_database_as_it_is():
    assert filled("a='x", variable("y")) == ("a='xy", None)


@given(st.text(), st.text(), st.text(), st.booleans())
def test_no_value_in_quotes_becomes_a_part_of_the_query(before, value, after, backslashes):
    clean = before.translate(dict.fromkeys(map(ord, "'\"\\")))
    sql, bound = filled(f"{clean}'", variable(value), f"'{after}", backslashes=backslashes)
    if not after.startswith("'"):
        assert bound is not None
        assert value == bound["v1"] or value == ""
        assert len(sql) <= len(clean) * 2 + len(after) * 2 + 8


def test_json_names_columns_values_and_conditions():
    assert columns('["a", "b"]') == ["a", "b"]
    assert values('[{"a": 1}, {"b": null}, {"c": "x"}, {"d": 1.5}, {"e": true}]') == {
        "a": 1,
        "b": None,
        "c": "x",
        "d": 1.5,
        "e": 1,
    }
    assert conditions('[{"a": 1}, {"b": {"<>": "x"}}, {"c": {"is not": null}}, {"d": {"like": "x%"}}]') == [
        Where("a", 1),
        Where("b", "x", "!="),
        Where("c", None, "!="),
        Where("d", "x%", "LIKE"),
    ]


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"a": 1, "b": 2}]', '[{"a": [1]}]', '["a"', "[]"])
def test_other_json_gives_no_values(text):
    with pytest.raises(NotStructured):
        values(text)


@given(st.text())
def test_any_text_is_structured_or_refused(text):
    for read in (columns, values, conditions):
        try:
            read(text)
        except NotStructured:
            pass


def as_json(*pieces):
    return json_text(Argument(lambda run: "", pieces=pieces))(None)


def test_a_variable_in_quotes_of_json_stays_one_text():
    evil = 'x"}, {"b": "y'
    assert values(as_json('[{"a": "', variable(evil), '"}]')) == {"a": evil}
    assert values(as_json('[{"a": "', variable("\\"), '-\\"', variable('"'), '"}, {"n": ', variable(5), "}]")) == {
        "a": '\\-""',
        "n": 5,
    }
    escaped = variable(r"o\'x", "$(fU{s.escape.common})")
    assert conditions(as_json('[{"a": "', escaped, '"}]')) == [Where("a", "o'x")]
    assert columns(as_json(variable('["a"]'))) == ["a"]


@given(st.text())
def test_no_text_in_quotes_of_json_becomes_json(text):
    assert values(as_json('[{"a": "', variable(text), '"}]')) == {"a": text}
