"""Reading and writing the file of one db_text table."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.database import DatabaseError
from miscript.modules.db_text.table_file import Column, Type, first_line, fitting, read_columns, read_rows, written


def test_the_first_line_defines_the_columns():
    assert read_columns("id(int,auto) name(str)  flag( double ) big(long,null) x(time) y(blob) ") == (
        Column("id", Type.INTEGER, auto=True, word="int"),
        Column("name", Type.TEXT, word="str"),
        Column("flag", Type.DOUBLE, word="double"),
        Column("big", Type.LONG, null=True, word="long"),
        Column("x", Type.TIME, word="time"),
        Column("y", Type.BLOB, word="blob"),
    )


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "expected the columns"),
        ("id", "column 1: expected name"),
        ("id(int) name", "column 2: expected name"),
        ("id(quad)", "has the type 'quad'"),
        ("name(string,auto)", "may be 'null', or 'auto'"),
        ("id(int,key)", "may be 'null', or 'auto'"),
        ("a(int,auto) b(int,auto)", "one column may be 'auto'"),
    ],
)
def test_a_first_line_that_defines_nothing_is_refused(line, complaint):
    with pytest.raises(DatabaseError, match=complaint):
        read_columns(line)


COLUMNS = read_columns("id(int) name(string,null) q(double,null)")


def test_rows_end_where_their_columns_do():
    assert list(read_rows(COLUMNS, ["1:one:1.5", "", "-2::", "3:a\\:b\\\\:", "4:x:0.25:"])) == [
        (1, "one", 1.5),
        (-2, None, None),
        (3, "a:b\\", None),
        (4, "x", 0.25),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1:one", "line 7: found 2 fields, expected 3"),
        ("1:a:1:2", "line 7: found 4 fields, expected 3"),
        (":a:1", "line 7: column 'id' is empty"),
        ("x:a:1", "line 7: column 'id': expected an integer, found 'x'"),
        ("1:a:1e5", "column 'q': expected a number, found '1e5'"),
        ("1:\\q:1", r"'\\q' means nothing"),
        ("1:a:1\\", "expected a number"),
        ("1:a\\", "found 2 fields"),
    ],
)
def test_a_row_that_does_not_fit_is_named_by_its_line(line, complaint):
    with pytest.raises(DatabaseError, match=complaint):
        list(read_rows(COLUMNS, [line], 7))


def test_a_backslash_at_the_end_of_a_line_is_refused():
    with pytest.raises(DatabaseError, match="ends the line"):
        list(read_rows(read_columns("name(string)"), ["a\\"]))


@given(st.text())
def test_any_first_line_gives_columns_or_a_database_error(line):
    try:
        columns = read_columns(line)
    except DatabaseError:
        return
    assert read_columns(first_line(columns).removesuffix("\n")) == columns


@given(st.text())
def test_any_line_gives_a_row_or_a_database_error(line):
    try:
        for row in read_rows(COLUMNS, [line]):
            assert len(row) == 3
    except DatabaseError:
        pass


@given(
    st.tuples(
        st.integers(),
        st.none() | st.text(min_size=1) | st.binary(min_size=1).map(lambda b: b.decode("utf-8", "surrogateescape")),
        st.none() | st.decimals(-(10**9), 10**9, places=10).map(float),
    )
)
def test_what_is_written_reads_back_as_it_was(row):
    line = written(row)
    assert line.endswith("\n")
    assert "\n" not in line[:-1]
    (back,) = read_rows(COLUMNS, [line[:-1]])
    assert back[:2] == row[:2]
    assert back[2] == row[2] or abs(back[2] - row[2]) < 1e-9


def test_a_value_is_kept_in_the_type_of_its_column():
    assert fitting("12", Column("id", Type.INTEGER)) == 12
    assert fitting(12, Column("name", Type.TEXT)) == "12"
    assert fitting(b"\xff", Column("name", Type.TEXT)) == "\udcff"
    assert fitting(1, Column("q", Type.DOUBLE)) == 1.0


@pytest.mark.parametrize(
    ("value", "column", "complaint"),
    [
        (None, Column("id", Type.INTEGER), "takes no NULL"),
        ("x", Column("id", Type.INTEGER), "expected a number, found 'x'"),
        (float("nan"), Column("q", Type.DOUBLE), "expected a number"),
        ("", Column("name", Type.TEXT), "cannot tell an empty text from NULL"),
    ],
)
def test_a_value_that_a_column_cannot_keep_is_refused(value, column, complaint):
    with pytest.raises(DatabaseError, match=complaint):
        fitting(value, column)
