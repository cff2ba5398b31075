"""A table that follows what is in memory, on each database, also when it is away."""

from __future__ import annotations

import asyncio
import itertools
import random
from contextlib import asynccontextmanager

import pytest

from miscript.database import DatabaseError
from miscript.host.clock import SystemClock
from miscript.sql.driver import Habits, SqlDriver
from miscript.table_mirror import BATCH, TableMirror
from sql_tables import KINDS, url_of, with_table


class Mirrored:
    """What is in memory, by number, and its mirror."""

    def __init__(self, database) -> None:
        self.database = database
        self.memory: dict[int, str] = {}
        self.mirror = TableMirror[None](database, "things", "id", self._row, SystemClock())

    def _row(self, key, hint):
        return {"id": key, "name": self.memory[key]} if key in self.memory else None

    def put(self, key, name):
        self.memory[key] = name
        self.mirror.changed(key, None)

    def drop(self, key):
        del self.memory[key]
        self.mirror.changed(key, None)

    async def rows(self):
        return dict((await self.database.select("things", ["id", "name"])).rows)


@asynccontextmanager
async def mirrored_at(url: str, seconds: float = 10):
    made = Mirrored(await with_table(url, seconds=seconds))
    try:
        yield made
    finally:
        await made.database.close()


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    return url_of(request.param, tmp_path, request)


async def test_the_table_becomes_what_is_in_memory(url):
    async with mirrored_at(url) as mirrored:
        chance = random.Random(7)
        for _ in range(4):
            for _ in range(BATCH):
                key = chance.randrange(1, BATCH * 2)
                if key in mirrored.memory and chance.random() < 0.4:
                    mirrored.drop(key)
                else:
                    mirrored.put(key, f"name {key} {chance.random()}")
            await mirrored.mirror.flush()
            assert await mirrored.rows() == mirrored.memory
            assert len(mirrored.mirror) == 0


async def test_rows_that_were_found_are_replaced_and_removed(url):
    async with mirrored_at(url) as mirrored:
        await mirrored.database.insert("things", {"id": 1, "name": "old"}, {"id": 2, "name": "old too"})
        assert [row async for row in mirrored.mirror.rows(["name"])] == [(1, "old"), (2, "old too")]
        for key in (1, 2):
            mirrored.mirror.found(key)
        mirrored.put(1, "new")
        mirrored.mirror.changed(2, None)
        await mirrored.mirror.flush()
        assert await mirrored.rows() == {1: "new"}


async def test_a_row_that_somebody_else_has_put_in_is_replaced(url):
    async with mirrored_at(url) as mirrored:
        await mirrored.database.insert("things", {"id": 1, "name": "old"})
        mirrored.put(1, "new")
        mirrored.put(2, "other")
        await mirrored.mirror.flush()
        assert await mirrored.rows() == {1: "new", 2: "other"}


async def test_a_row_that_is_refused_holds_up_no_other(url):
    async with mirrored_at(url) as mirrored:
        await mirrored.database.insert("things", {"id": 9, "name": "taken"})
        for key, name in ((1, "a"), (2, "taken"), (3, "c")):
            mirrored.put(key, name)
        await mirrored.mirror.flush()
        assert await mirrored.rows() == {9: "taken", 1: "a", 3: "c"}
        assert (mirrored.mirror.refused, len(mirrored.mirror)) == (1, 0)
        mirrored.put(2, "b")
        await mirrored.mirror.flush()
        assert (await mirrored.rows())[2] == "b"


async def test_a_table_is_written_anew(url):
    async with mirrored_at(url) as mirrored:
        await mirrored.database.insert("things", {"id": 1, "name": "old"}, {"id": 2, "name": "old too"})
        mirrored.memory = {2: "new", 3: "newer"}
        await mirrored.mirror.rewrite(dict.fromkeys(mirrored.memory).items())
        assert await mirrored.rows() == mirrored.memory


@pytest.mark.parametrize("kind", ["postgres", "mariadb"])
async def test_a_server_that_was_killed_gets_what_it_missed(kind, request):
    server = request.getfixturevalue(kind)
    async with mirrored_at(server.url, 5) as mirrored:
        mirrored.put(1, "before")
        await mirrored.mirror.flush()
        running = asyncio.ensure_future(mirrored.mirror.run())
        server.kill()
        try:
            mirrored.put(1, "changed")
            mirrored.put(2, "new")
            await until(lambda: mirrored.mirror.failures)
            assert len(mirrored.mirror) == 2
        finally:
            await asyncio.to_thread(server.start)
        await until(lambda: not len(mirrored.mirror))
        assert await mirrored.rows() == mirrored.memory
        running.cancel()


async def until(there):
    """Wait for what a server does."""
    async with asyncio.timeout(20):
        for _ in itertools.count():
            if there():
                return
            await asyncio.sleep(0.02)


async def test_what_is_cancelled_in_the_middle_is_written_later(tmp_path):
    async with mirrored_at(f"sqlite://{tmp_path}/test.db") as mirrored:
        await cancelled_and_written(mirrored)


async def cancelled_and_written(mirrored):
    for key in range(1, 2 * BATCH):
        mirrored.put(key, str(key))
    flushing = asyncio.ensure_future(mirrored.mirror.flush())
    for _ in range(5):
        await asyncio.sleep(0)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    assert len(mirrored.mirror) == 2 * BATCH - 1
    await mirrored.mirror.flush()
    assert await mirrored.rows() == mirrored.memory


async def test_a_database_that_is_away_fails_each_time_and_loses_nothing(tmp_path, caplog):
    database = SqlDriver("sqlite", Habits(seconds=5)).open(f"sqlite://{tmp_path}/test.db")  # without the table
    mirrored = Mirrored(database)
    mirrored.put(1, "a")
    for count in (1, 2, 3):
        with pytest.raises(DatabaseError):
            await mirrored.mirror.flush()
        assert (mirrored.mirror.failures, len(mirrored.mirror)) == (count, 1)
    assert caplog.text.count("cannot be written") == 2
    await mirrored.mirror.close()
    assert "1 rows of the table 'things' are lost" in caplog.text
    await database.close()
