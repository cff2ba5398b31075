"""Servers that end, hang, or want to know who asks."""

from __future__ import annotations

import asyncio
import time

import pytest

from database_scripts import printed
from miscript.database import DatabaseError, Where
from miscript.sql.driver import Habits, SqlDriver
from sql_tables import with_table

SLOW = {"postgres": "SELECT pg_sleep(60)", "mysql": "SELECT sleep(60)"}


@pytest.fixture(params=["postgres", "mariadb"])
def server(request):
    return request.getfixturevalue(request.param)


def kind(server):
    return server.url.partition(":")[0]


async def test_a_server_killed_in_the_middle_of_a_query_fails_it_and_is_found_again(server):
    db = await with_table(server.url, seconds=5)
    await db.insert("things", {"name": "a"})
    asked = asyncio.ensure_future(db.query(SLOW[kind(server)]))
    async with db.transaction() as work:  # so the query before it has reached the server
        await work.select("things")
    started = time.monotonic()
    server.kill()
    with pytest.raises(DatabaseError):
        await asked
    with pytest.raises(DatabaseError):
        await db.select("things")
    assert time.monotonic() - started < 5
    await asyncio.to_thread(server.start)
    assert list((await db.select("things", ["name"])).rows) == [("a",)]
    await db.close()


async def test_a_server_that_hangs_holds_nobody_past_the_deadline(server):
    db = await with_table(server.url, seconds=0.5)
    server.pause()
    try:
        started = time.monotonic()
        calls = [db.select("things", ["name"], [Where("n", 1)]) for _ in range(15)]
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert time.monotonic() - started < 1.5
        assert {type(result) for result in results} == {DatabaseError}
    finally:
        server.resume()
    for attempt in range(20):
        try:
            assert list((await db.select("things")).rows) == []
            break
        except DatabaseError:
            assert attempt < 19
    await db.close()


async def test_a_wrong_password_is_refused_and_shown_nowhere(server):
    url = server.url.replace("s3cret", "gu3ss")
    db = SqlDriver(kind(server), Habits()).open(url)
    with pytest.raises(DatabaseError) as caught:
        await db.select("things")
    assert "gu3ss" not in str(caught.value)
    assert "opensips" in str(caught.value)
    await db.close()


async def test_a_server_that_is_not_there_is_an_error_at_once(server):
    db = SqlDriver(kind(server), Habits()).open(server.url.replace(f":{server.port}/", ":1/"))
    with pytest.raises(DatabaseError, match=r"refused|Can't connect"):
        await db.select("things")
    await db.close()


async def test_a_server_is_reached_by_its_unix_socket(server):
    db = SqlDriver(kind(server), Habits()).open(server.socket_url)
    assert list((await db.query("SELECT 1 AS one")).rows) == [(1,)]
    await db.close()


async def test_a_lost_connection_is_reported_and_so_is_the_next_one(mariadb):
    heard = []
    db = await with_table(mariadb.url, on_connection=lambda url, connected: heard.append(connected))
    assert heard == [True]
    mariadb.kill()
    with pytest.raises(DatabaseError):
        await db.select("things")
    await asyncio.to_thread(mariadb.start)
    await db.select("things")
    assert heard == [True, False, True]
    await db.close()


async def test_scripts_hear_of_connections_to_mariadb(mariadb):
    parameters = f'modparam("sqlops", "db_url", "{mariadb.url}")'
    route = r'event_route[E_MYSQL_CONNECTION] { xlog("$param(status) $param(url)\n"); }'
    lines = await printed("db_mysql sqlops", parameters, 'sql_query("SELECT 1"); xlog("$rc\\n");', route)
    assert sorted(lines) == ["1", f"connected {mariadb.url.replace('s3cret', '***')}"]
