"""What results look like as tables."""

from hypothesis import given
from hypothesis import strategies as st

from miscript.cli.mi_layout import Table, layout

DESTINATIONS = {
    "PARTITIONS": [
        {
            "name": "default",
            "SETS": [
                {"id": 1, "Destinations": [{"URI": "sip:a", "state": "Active"}, {"URI": "sip:b", "weight": 5}]},
                {"id": 2, "Destinations": []},
            ],
        }
    ]
}

jsons = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


def test_plain_members_are_pairs():
    result = {"Now": "today", "n": 5, "on": True, "off": False, "none": None, "list": []}
    pairs = (("Now", "today"), ("n", "5"), ("on", "true"), ("off", "false"), ("none", ""), ("list", "none"))
    assert list(layout(result)) == [Table("", (), pairs)]


def test_a_list_of_objects_is_a_table_with_a_column_for_every_member():
    (table,) = layout([{"ID": 0, "Type": "timer"}, {"ID": 1, "PID": 7}])
    assert table == Table("", ("ID", "Type", "PID"), (("0", "timer", ""), ("1", "", "7")))


def test_what_is_nested_says_where_it_belongs():
    assert list(layout(DESTINATIONS)) == [
        Table("PARTITIONS", ("name",), (("default",),)),
        Table("PARTITIONS › default › SETS", ("id", "Destinations"), (("1", ""), ("2", "none"))),
        Table(
            "PARTITIONS › default › SETS › 1 › Destinations",
            ("URI", "state", "weight"),
            (("sip:a", "Active", ""), ("sip:b", "", "5")),
        ),
    ]


def test_names_stand_one_below_the_other_and_recipes_are_words():
    assert list(layout(["a", "b"])) == [Table("", (), (("a",), ("b",)))]
    assert list(layout([[], ["level"], ["level", "pid"]])) == [Table("", (), (("",), ("level",), ("level pid",)))]


def test_what_would_move_the_cursor_is_written_out():
    assert list(layout("a\x1b[2J\n\u202e")) == [Table("", (), (("a\\x1b[2J\\x0a\\u202e",),))]


def test_deep_results_end_somewhere():
    deep = {}
    for _ in range(500):
        deep = {"x": [deep]}
    assert list(layout(deep))[-1].rows == (("…",),)


@given(jsons)
def test_any_result_becomes_tables_of_printable_texts(result):
    for table in layout(result):
        texts = [table.heading, *table.columns, *(text for row in table.rows for text in row)]
        assert all(text.isprintable() for text in texts)
        assert all(len(row) == len(table.columns) for row in table.rows if table.columns)
