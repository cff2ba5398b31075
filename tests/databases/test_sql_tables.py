"""Work on tables, the same on SQLite, PostgreSQL and MariaDB."""

from __future__ import annotations

import asyncio
import time

import pytest

from miscript.database import DatabaseError, Where, check_version
from miscript.sql.driver import Habits, SqlDriver
from pauses import pauses
from sql_tables import KINDS, url_of, with_table

SLOW = {
    "sqlite": "WITH RECURSIVE c(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM c) SELECT count(*) FROM c",
    "postgres": "SELECT pg_sleep(60)",
    "mysql": "SELECT sleep(60)",
}


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    return url_of(request.param, tmp_path, request)


ROW = {"name": "a'b\"c;--", "n": -5, "q": 1.5, "price": 2.25, "at": 1_700_000_000, "raw": b"\0\xff", "ok": 1}


async def test_values_come_back_as_they_were(url):
    db = await with_table(url)
    await db.insert("things", ROW)
    await db.insert("things", dict.fromkeys(ROW))
    found = await db.select("things", list(ROW), order="id")
    assert found.columns == tuple(ROW)
    assert list(found.rows) == [tuple(ROW.values()), (None,) * len(ROW)]
    await db.close()


async def test_values_take_the_type_of_their_column(url):
    db = await with_table(url)
    given = {"name": 12, "n": "7", "q": "2.5", "price": "3", "at": "2023-11-14 12:00:00", "raw": "x", "ok": "1"}
    await db.insert("things", given)
    (row,) = (await db.select("things", list(given), [Where("n", "7"), Where("name", 12)])).rows
    noon = int(time.mktime((2023, 11, 14, 12, 0, 0, 0, 0, -1)))
    assert row == ("12", 7, 2.5, 3.0, noon, b"x", 1)
    with pytest.raises(DatabaseError, match="column 'n' holds integer, found 'seven'"):
        await db.insert("things", {"n": "seven"})
    await db.close()


async def test_rows_are_chosen_by_all_operators_and_null(url):
    db = await with_table(url)
    await db.insert("things", *[{"name": f"t{n}", "n": None if n == 3 else n} for n in range(1, 6)])

    async def names(*where, **options):
        return [row[0] for row in (await db.select("things", ["name"], where, order="name", **options)).rows]

    assert await names(Where("n", 2)) == ["t2"]
    assert await names(Where("n", 2, "!=")) == ["t1", "t4", "t5"]
    assert await names(Where("n", 2, "<")) == ["t1"]
    assert await names(Where("n", 2, "<=")) == ["t1", "t2"]
    assert await names(Where("n", 4, ">")) == ["t5"]
    assert await names(Where("n", 2, ">="), Where("n", 5, "<")) == ["t2", "t4"]
    assert await names(Where("n", None)) == ["t3"]
    assert await names(Where("n", None, "!="), limit=2) == ["t1", "t2"]
    assert await names(Where("n", None, "<")) == []
    latest = await db.select("things", ["name"], order="name DESC", limit=1)
    assert list(latest.rows) == [("t5",)]
    with pytest.raises(DatabaseError, match="'SOUNDS' is no operator"):
        await names(Where("n", 2, "SOUNDS"))
    await db.close()


async def test_updates_and_deletes_tell_how_many_rows_there_were(url):
    db = await with_table(url)
    await db.insert("things", *[{"name": f"t{n}", "n": n} for n in range(4)])
    assert await db.update("things", {"q": 1.0}, [Where("n", 2, "<")]) == 2
    assert await db.update("things", {"q": 1.0}, [Where("n", 2, "<")]) == 2
    assert await db.update("things", {"q": 1.0}, [Where("n", 9)]) == 0
    assert await db.delete("things", [Where("q", 1.0)]) == 2
    assert await db.delete("things") == 2
    await db.close()


async def test_replace_updates_the_row_with_the_keys_or_adds_one(url):
    db = await with_table(url)
    await db.replace("things", {"name": "a", "n": 1}, ["name"])
    await db.replace("things", {"name": "a", "n": 2}, ["name"])
    await db.replace("things", {"name": "a", "n": 3}, [])
    await db.replace("things", {"name": "b", "n": 4}, [])
    assert list((await db.select("things", ["name", "n"], order="name")).rows) == [("a", 3), ("b", 4)]
    await db.close()


async def test_two_who_replace_one_row_leave_one(url):
    db = await with_table(url)
    await asyncio.gather(*[db.replace("things", {"name": "a", "n": n}, ["name"]) for n in range(8)])
    assert len((await db.select("things")).rows) == 1
    await db.close()


async def test_a_query_stands_as_it_is_and_values_are_bound(url):
    db = await with_table(url)
    await db.insert("things", {"name": "a:b %s %", "n": 1})
    assert list((await db.query("SELECT name, 'x:y %' AS z FROM things")).rows) == [("a:b %s %", "x:y %")]
    evil = "x' OR '1'='1"
    assert list((await db.query("SELECT n FROM things WHERE name = :name", {"name": evil})).rows) == []
    result = await db.query("UPDATE things SET n = :n WHERE name = :name", {"n": 2, "name": "a:b %s %"})
    assert (result.columns, result.changed) == ((), 1)
    with pytest.raises(DatabaseError):
        await db.query("SELEC nothing")
    await db.close()


async def test_all_rows_of_an_insert_are_taken_or_none(url):
    db = await with_table(url)
    rows = [{"name": f"t{n % 299}", "n": n} for n in range(300)]
    with pytest.raises(DatabaseError):
        await db.insert("things", *rows)
    assert list((await db.select("things")).rows) == []
    await db.insert("things", *rows[:299])
    assert len((await db.select("things")).rows) == 299
    await db.close()


async def test_a_transaction_happens_whole_or_not_at_all(url):
    db = await with_table(url)
    with pytest.raises(RuntimeError):
        async with db.transaction() as work:
            await work.insert("things", {"name": "a", "n": 1})
            assert len((await work.select("things")).rows) == 1
            raise RuntimeError
    with pytest.raises(DatabaseError):
        async with db.transaction() as work:
            await work.insert("things", {"name": "a", "n": 1})
            await work.insert("things", {"name": "a", "n": 2})
    assert list((await db.select("things")).rows) == []
    async with db.transaction() as work:
        await work.insert("things", {"name": "a", "n": 1})
        await work.update("things", {"n": 2})
    assert list((await db.select("things", ["name", "n"])).rows) == [("a", 2)]
    await db.close()


async def test_what_is_not_there_is_named(url):
    db = await with_table(url)
    with pytest.raises(DatabaseError, match="has no table 'nosuch'"):
        await db.select("nosuch")
    with pytest.raises(DatabaseError, match=r"the table 'things' of .* has no column 'nosuch'"):
        await db.select("things", ["nosuch"])
    with pytest.raises(DatabaseError, match="no name of a table or column"):
        await db.select("things; DROP TABLE things")
    with pytest.raises(DatabaseError, match="no name of a table or column"):
        await db.update("things", {"n = 1 --": 2})
    await db.close()


async def test_a_column_that_came_later_is_found(url):
    db = await with_table(url)
    await db.select("things")
    await db.query("ALTER TABLE things ADD COLUMN later INTEGER")
    await db.insert("things", {"name": "a", "later": 5})
    assert list((await db.select("things", ["later"])).rows) == [(5,)]
    await db.close()


async def test_the_version_table_is_checked(url):
    db = await with_table(url)
    await db.query("DROP TABLE IF EXISTS version")
    with pytest.raises(DatabaseError, match=r"has no table 'version'.*miscript db create"):
        await check_version(db, "things", 3)
    await db.query("CREATE TABLE version (table_name VARCHAR(32), table_version INTEGER)")
    await db.insert("version", {"table_name": "things", "table_version": 3})
    await check_version(db, "things", 3)
    with pytest.raises(DatabaseError, match=r"has version 3, expected 4.*miscript db migrate"):
        await check_version(db, "things", 4)
    with pytest.raises(DatabaseError, match="says nothing of 'other'"):
        await check_version(db, "other", 1)
    await db.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_query_without_end_ends_at_its_deadline_and_the_pool_goes_on(kind, tmp_path, request):
    db = await with_table(url_of(kind, tmp_path, request), seconds=0.3)
    started = time.monotonic()
    with pytest.raises(DatabaseError, match=r"has not answered within 0\.3 seconds"):
        await db.query(SLOW[kind])
    assert time.monotonic() - started < 1
    await db.insert("things", {"name": "a"})
    assert len((await db.select("things")).rows) == 1
    await db.close()


@pytest.mark.parametrize("kind", KINDS)
async def test_a_transaction_that_takes_too_long_leaves_nothing(kind, tmp_path, request):
    db = await with_table(url_of(kind, tmp_path, request), seconds=0.5)
    with pytest.raises(DatabaseError, match="has not answered"):
        async with db.transaction() as work:
            await work.insert("things", {"name": "a"})
            await work.query(SLOW[kind])
    found = None
    for _ in range(10):  # a server needs a moment to see that the connection has ended
        try:
            found = await db.select("things")
            await db.insert("things", {"name": "a"})
            break
        except DatabaseError:
            continue
    assert found is not None
    assert list(found.rows) == []
    await db.close()


async def test_a_long_table_comes_in_portions_and_leaves_others_their_turn(url):
    db = await with_table(url)
    for begin in range(0, 12_000, 4000):
        await db.insert("things", *[{"name": f"t{n}", "n": n, "q": n / 2} for n in range(begin, begin + 4000)])
    await anext(db.rows("things", ["id"]))  # what is imported and compiled is so once
    async with pauses() as found:
        sizes = [len(chunk) async for chunk in db.rows("things", ["id", "name", "n", "q"], chunk=5000)]
    assert sizes == [5000, 5000, 2000]
    assert max(found) < sum(found) / 6
    await db.close()


async def test_rows_that_nobody_wants_to_the_end_hold_nothing(url):
    db = await with_table(url)
    await db.insert("things", *[{"name": f"t{n}", "n": n} for n in range(3000)])
    for _ in range(15):  # more often than there are connections
        async for chunk in db.rows("things", ["n"], order="n", chunk=10):
            assert [row[0] for row in chunk] == list(range(10))
            break
    assert len((await db.select("things", ["n"], limit=1)).rows) == 1
    await db.close()


async def test_those_who_open_one_url_share_its_pool(url):
    driver = SqlDriver(url.partition(":")[0], Habits())
    first, second = driver.open(url), driver.open(url)
    assert first is second
    await first.close()
    assert list((await second.query("SELECT 1 AS one")).rows) == [(1,)]
    await second.close()
    assert driver.open(url) is not first
    await driver.end()


async def test_one_who_reads_a_file_for_long_holds_up_nobody_who_writes(tmp_path):
    db = await with_table(f"sqlite://{tmp_path}/test.db", busy_milliseconds=50)
    await db.insert("things", *[{"name": f"t{n}", "n": n} for n in range(2000)])
    reading = db.rows("things", ["n"], chunk=10)
    await anext(reading)
    await db.insert("things", {"name": "new", "n": -1})
    rest = [row[0] async for chunk in reading for row in chunk]
    assert len(rest) == 1990
    assert -1 not in rest
    await db.close()


async def test_settings_of_a_file_are_made_on_each_connection(tmp_path):
    db = await with_table(f"sqlite://{tmp_path}/test.db", pragmas=("journal_mode=delete", "cache_size=-777"))
    assert list((await db.query("PRAGMA journal_mode")).rows) == [("delete",)]
    assert list((await db.query("PRAGMA cache_size")).rows) == [(-777,)]
    await db.close()


async def test_an_extension_that_is_not_there_is_a_database_error(tmp_path):
    db = SqlDriver("sqlite", Habits(extensions=("/nosuch.so;entry",))).open(f"sqlite://{tmp_path}/test.db")
    with pytest.raises(DatabaseError, match="nosuch"):
        await db.query("SELECT 1")
    await db.close()
