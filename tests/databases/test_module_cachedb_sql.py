"""Module cachedb_sql: a cache that hosts share in a table."""

from __future__ import annotations

import asyncio

import pytest

from database_scripts import printed
from miscript.cachedb import CacheError, NotANumber
from miscript.errors import ConfigurationError, ScriptError
from miscript.modules.cachedb_sql import Columns, SqlCache
from miscript.sql.driver import Habits, SqlDriver
from miscript.sql.schema import SqlStore, create_tables, definitions_of
from sql_tables import KINDS, url_of


class Time:
    now = 1_700_000_000

    def time(self):
        return self.now


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    return url_of(request.param, tmp_path, request)


async def cache_at(url):
    """A cache with an empty table, its clock, and the database to close."""
    database = SqlDriver(url.partition(":")[0], Habits()).open(url)
    for name in ("cachedb", "version"):
        await database.query(f"DROP TABLE IF EXISTS {name}")
    async for _ in create_tables(SqlStore(database), definitions_of(["cachedb_sql"])):
        pass
    clock = Time()
    return SqlCache(database, Columns(), clock), clock, database


async def test_a_value_is_kept_until_it_is_removed_or_its_time_is_over(url):
    cache, clock, database = await cache_at(url)
    assert await cache.fetch("k") is None
    await cache.store("k", "it's", 0)
    await cache.store("short", "x", 10)
    await cache.store("k", "new \u20ac", 0)
    assert (await cache.fetch("k"), await cache.fetch("short")) == ("new \u20ac", "x")
    clock.now += 10
    assert (await cache.fetch("k"), await cache.fetch("short")) == ("new \u20ac", None)
    assert await cache.clean() == 0
    clock.now += 1
    assert await cache.clean() == 1
    await cache.remove("k")
    await cache.remove("k")
    assert await cache.fetch("k") is None
    await database.close()


async def test_numbers_are_added_to_and_read(url):
    cache, clock, database = await cache_at(url)
    assert await cache.counter("n") is None
    assert await cache.add("n", 5, 10) == 5
    assert await cache.add("n", -7, 10) == -2
    assert (await cache.counter("n"), await cache.fetch("n")) == (-2, "-2")
    clock.now += 10
    assert await cache.counter("n") is None
    assert await cache.add("n", 1, 0) == 1
    await cache.store("n", "41", 0)
    assert await cache.add("n", 1, 0) == 42
    await cache.store("text", "abc", 0)
    for asked in (cache.add("text", 1, 0), cache.counter("text")):
        with pytest.raises(NotANumber, match="'text' is no number"):
            await asked
    assert await cache.fetch("text") == "abc"
    await database.close()


async def test_what_opensips_has_counted_is_read(url):
    cache, _, database = await cache_at(url)
    await database.insert("cachedb", {"keyname": "n", "value": "", "counter": 3})
    assert (await cache.counter("n"), await cache.fetch("n")) == (3, "3")
    assert await cache.add("n", 1, 0) == 4
    await database.close()


async def test_many_who_count_at_once_lose_nothing(url):
    cache, _, database = await cache_at(url)
    await cache.add("n", 0, 0)
    sums = await asyncio.gather(*[cache.add("n", 1, 0) for _ in range(30)])
    assert sorted(sums) == list(range(1, 31))
    await database.close()


async def test_a_database_that_refuses_is_a_cache_error(url):
    cache, _, database = await cache_at(url)
    await database.query("DROP TABLE cachedb")
    for asked in (cache.fetch("k"), cache.store("k", "v", 0), cache.add("k", 1, 0), cache.remove("k")):
        with pytest.raises(CacheError):
            await asked
    await database.close()


async def test_scripts_call_it_by_its_name(tmp_path):
    url = f"sqlite://{tmp_path}/cache.db"
    _, _, database = await cache_at(url)
    await database.close()
    body = r"""
        cache_store("sql:1st-sqlite", "key", "$pp value", 100); xlog("$rc\n");
        cache_fetch("sql", "key", $var(v)); xlog("$rc\n");
        cache_add("sql:1st-sqlite", "n", 5, 0, $var(n)); xlog("$rc $var(n)\n");
        cache_counter_fetch("sql", "n", $var(m)); xlog("$rc $var(m)\n");
        cache_remove("sql", "key"); cache_fetch("sql", "key", $var(v)); xlog("$rc\n");
    """
    parameters = f'modparam("cachedb_sql", "cachedb_url", "sql:1st-{url}")'
    assert await printed("db_sqlite cachedb_sql", parameters, body) == ["1", "1", "1 5", "1 5", "-2"]


async def test_a_table_of_another_version_is_refused(tmp_path):
    url = f"sqlite://{tmp_path}/cache.db"
    _, _, database = await cache_at(url)
    await database.update("version", {"table_version": 1})
    await database.close()
    with pytest.raises(ConfigurationError, match=r"'cachedb' of .* has version 1, expected 2"):
        await printed("db_sqlite cachedb_sql", f'modparam("cachedb_sql", "cachedb_url", "sql:{url}")', "exit;")


@pytest.mark.parametrize(
    ("parameters", "complaint"),
    [
        ("", "expected a cachedb_url"),
        ('modparam("cachedb_sql", "cachedb_url", "mysql://x/y")', "expected sql:"),
        ('modparam("cachedb_sql", "cachedb_url", "sql:1st-oracle://x/y")', "no module is loaded for 'oracle:'"),
        (
            'modparam("cachedb_sql", "cachedb_url", "sql:sqlite:///tmp/x")\nmodparam("cachedb_sql", "db_table", "a b")',
            "'a b' is no name",
        ),
    ],
)
async def test_parameters_that_cannot_work_are_refused(parameters, complaint):
    with pytest.raises(ScriptError, match=complaint):
        await printed("db_sqlite cachedb_sql", parameters, "exit;")
