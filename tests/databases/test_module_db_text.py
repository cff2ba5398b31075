"""Module db_text: folders of tables, what may be done with them, and their files."""

from __future__ import annotations

import pytest

from miscript.database import DatabaseError, Where, check_version, database_at
from miscript.errors import ConfigurationError, MIError
from pauses import pauses
from text_folders import GATEWAYS, VERSION, text_database


def database(folder, **files):
    module = text_database(folder, **files)
    return database_at(module.services.find, f"text://{folder}")


async def test_rows_are_selected_by_their_values(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    result = await db.select("dr_gateways", ["gwid", "attrs"], [Where("strip", 0, ">"), Where("GWID", "gw2")])
    assert (result.columns, list(result.rows)) == (("gwid", "attrs"), [("GW2", None)])
    everything = await db.select("dr_gateways")
    assert everything.columns == ("id", "gwid", "strip", "weight", "attrs")
    assert everything.rows[0] == (1, "gw1", 0, 0.5, "a\tgood: friend")
    assert everything.rows[2] == (3, "gw3", 2, -3.75, "\\ \0")


async def test_null_is_asked_for_with_none_and_equals_nothing_else(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)

    async def ids(*where):
        return [row[0] for row in (await db.select("dr_gateways", ["id"], where)).rows]

    assert await ids(Where("weight", None)) == [2]
    assert await ids(Where("weight", None, "!=")) == [1, 3]
    assert await ids(Where("weight", 0, "!=")) == [1, 3]
    assert await ids(Where("weight", None, "<")) == []


async def test_order_and_limit_choose_the_rows(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    assert [r[0] for r in (await db.select("dr_gateways", ["id"], order="weight")).rows] == [2, 3, 1]
    assert [r[0] for r in (await db.select("dr_gateways", ["id"], order="gwid DESC", limit=2)).rows] == [3, 2]
    assert [list(c) async for c in db.rows("dr_gateways", ["id"], chunk=2)] == [[(1,), (2,)], [(3,)]]


async def test_a_row_that_gives_no_number_gets_the_next_one(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    await db.insert("dr_gateways", {"gwid": "gw4", "strip": 0}, {"gwid": "gw5", "strip": 0})
    assert [r[0] for r in (await db.select("dr_gateways", ["id"])).rows] == [1, 2, 3, 4, 5]


async def test_all_rows_of_an_insert_are_taken_or_none(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    with pytest.raises(DatabaseError, match="column 'gwid' takes no NULL"):
        await db.insert("dr_gateways", {"gwid": "gw4", "strip": 0}, {"gwid": None, "strip": 0})
    with pytest.raises(DatabaseError, match="row 2 has other columns"):
        await db.insert("dr_gateways", {"gwid": "gw4", "strip": 0}, {"gwid": "x"})
    assert len((await db.select("dr_gateways")).rows) == 3
    await db.insert("dr_gateways", {"gwid": "gw4", "strip": 0})
    assert (await db.select("dr_gateways", ["id"], [Where("gwid", "gw4")])).rows == [(4,)]


async def test_updates_and_deletes_tell_how_many_rows_there_were(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    assert await db.update("dr_gateways", {"strip": 9}, [Where("id", 2, "<=")]) == 2
    assert await db.update("dr_gateways", {"strip": 9}, [Where("id", 99)]) == 0
    assert await db.delete("dr_gateways", [Where("strip", 9)]) == 2
    assert await db.delete("dr_gateways") == 1


async def test_replace_updates_the_row_with_the_keys_or_adds_one(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    await db.replace("dr_gateways", {"gwid": "gw1", "strip": 7}, ["gwid"])
    await db.replace("dr_gateways", {"gwid": "gw9", "strip": 8}, ["gwid"])
    rows = (await db.select("dr_gateways", ["id", "gwid", "strip"], [Where("strip", 7, ">=")])).rows
    assert rows == [(1, "gw1", 7), (4, "gw9", 8)]


async def test_a_transaction_happens_whole_or_not_at_all(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    with pytest.raises(RuntimeError):
        async with db.transaction() as work:
            await work.delete("dr_gateways")
            assert len((await work.select("dr_gateways")).rows) == 0
            assert len((await db.select("dr_gateways")).rows) == 3
            raise RuntimeError
    assert len((await db.select("dr_gateways")).rows) == 3
    async with db.transaction() as work:
        await work.delete("dr_gateways", [Where("id", 1)])
    assert len((await db.select("dr_gateways")).rows) == 2


@pytest.mark.parametrize(
    ("table", "columns", "complaint"),
    [
        ("nosuch", ["id"], "has no table 'nosuch'"),
        ("dr_gateways", ["nosuch"], "has no column 'nosuch'"),
        ("../etc/passwd", ["id"], "is no name of a table or column"),
        ("dr_gateways", ["id;"], "is no name of a table or column"),
    ],
)
async def test_names_that_are_not_there_are_refused(tmp_path, table, columns, complaint):
    db = database(tmp_path, dr_gateways=GATEWAYS)
    with pytest.raises(DatabaseError, match=complaint):
        await db.select(table, columns)


async def test_a_table_that_cannot_be_read_names_file_and_line(tmp_path):
    db = database(tmp_path, dr_gateways=GATEWAYS + "x:gw4:0::\n")
    with pytest.raises(DatabaseError, match=r"dr_gateways', line 5: column 'id': expected an integer, found 'x'"):
        await db.select("dr_gateways")


async def test_the_version_table_is_checked(tmp_path):
    db = database(tmp_path, version=VERSION)
    await check_version(db, "dr_gateways", 6)
    with pytest.raises(DatabaseError, match="has version 9, expected 8"):
        await check_version(db, "dispatcher", 8)
    with pytest.raises(DatabaseError, match="says nothing of 'nosuch'"):
        await check_version(db, "nosuch", 1)


async def test_changes_are_written_when_the_host_stops_and_read_back(tmp_path):
    module = text_database(tmp_path, dr_gateways=GATEWAYS)
    await module.open(f"text://{tmp_path}").update("dr_gateways", {"attrs": "new:\n"}, [Where("id", 2)])
    assert (tmp_path / "dr_gateways").read_text() == GATEWAYS
    await module.stop()
    again = text_database(tmp_path).open(f"text://{tmp_path}")
    assert [row[4] for row in (await again.select("dr_gateways")).rows] == ["a\tgood: friend", "new:\n", "\\ \0"]
    assert [path.name for path in tmp_path.iterdir()] == ["dr_gateways"]


async def test_a_table_is_read_once_or_whenever_its_file_has_changed(tmp_path):
    for mode, seen in ((0, 3), (1, 1)):
        module = text_database(tmp_path, dr_gateways=GATEWAYS)
        module.db_mode = mode
        db = module.open(f"text://{tmp_path}")
        assert len((await db.select("dr_gateways")).rows) == 3
        (tmp_path / "dr_gateways").write_text("id(int)\n7\n")
        assert len((await db.select("dr_gateways")).rows) == seen


async def test_reload_reads_tables_again_and_keeps_what_a_bad_file_would_replace(tmp_path):
    module = text_database(tmp_path, dr_gateways=GATEWAYS)
    db = module.open(f"text://{tmp_path}")
    await db.select("dr_gateways")
    (tmp_path / "dr_gateways").write_text("id(int)\n7\n")
    assert await module.mi_reload() == "OK"
    assert (await db.select("dr_gateways")).rows == [(7,)]
    (tmp_path / "dr_gateways").write_text("id(int)\nx\n")
    with pytest.raises(MIError, match="500"):
        await module.mi_reload(str(tmp_path), "dr_gateways")
    assert (await db.select("dr_gateways")).rows == [(7,)]
    for unknown in [(str(tmp_path), "nosuch"), ("/nosuch",), (str(tmp_path), "version")]:
        with pytest.raises(MIError, match="400 Bad parameter value"):
            await module.mi_reload(*unknown)


async def test_dump_writes_what_has_changed(tmp_path):
    module = text_database(tmp_path, dr_gateways=GATEWAYS)
    await module.open(f"text://{tmp_path}").delete("dr_gateways", [Where("id", 1, ">")])
    assert await module.mi_dump() == "OK"
    assert (tmp_path / "dr_gateways").read_text() == "".join(GATEWAYS.splitlines(keepends=True)[:2])


def test_a_url_that_names_no_folder_is_refused(tmp_path):
    module = text_database(tmp_path)
    for url in ("text://", "text:/x", "text:///no such folder", f"text://{tmp_path}?x=1"):
        with pytest.raises(ConfigurationError):
            module.open(url)
    with pytest.raises(ConfigurationError, match="no module is loaded for 'mysql:'"):
        database_at(module.services.find, "mysql://root@localhost/opensips")


async def test_a_long_table_leaves_others_their_turn(tmp_path):
    body = "".join(f"{n}:gw{n}:{n % 9}::note\n" for n in range(30_000))
    db = database(tmp_path, dr_gateways=GATEWAYS.split("\n")[0] + "\n" + body)
    count = 0
    async with pauses() as found:
        async for chunk in db.rows("dr_gateways", ["id", "gwid"], [Where("strip", 3, "!=")]):
            count += len(chunk)
    assert count == 30_000 - 3333
    assert max(found) < sum(found) / 6
