"""`miscript db`: making tables and bringing older ones up to date."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from miscript.cli import main
from miscript.database import DatabaseError, Where, check_version
from miscript.sql.definitions import DEFINITIONS
from miscript.sql.driver import Habits, SqlDriver
from miscript.sql.schema import SqlStore, create_tables, definitions_of, migrate_tables
from sql_tables import KINDS, url_of


@pytest.fixture(params=KINDS)
def url(request, tmp_path):
    return url_of(request.param, tmp_path, request)


async def store_of(url):
    """An open store, without tables of ours."""
    store = SqlStore(SqlDriver(url.partition(":")[0], Habits()).open(url))
    ours = {*(definition.name for definition in DEFINITIONS), "version"}
    for name in ours & set(await store.database.define(lambda connection: sa.inspect(connection).get_table_names())):
        await store.database.query(f"DROP TABLE {name}")
    return store


async def test_all_tables_are_made_with_their_versions(url):
    store = await store_of(url)
    said = [line async for line in create_tables(store, definitions_of([]))]
    assert said == ["version: created", *[f"{d.name}: created, version {d.version}" for d in DEFINITIONS]]
    for definition in DEFINITIONS:
        await check_version(store.database, definition.name, definition.version)
        found = await store.columns(definition.name)
        assert list(found) == [column.name for column in definition.table.columns]
    again = [line async for line in create_tables(store, definitions_of(["dispatcher"]))]
    assert again == ["dispatcher: is there, version 9"]
    await store.database.close()


async def test_rows_take_the_defaults_of_their_columns(url):
    store = await store_of(url)
    async for _ in create_tables(store, definitions_of(["dispatcher", "usrloc"])):
        pass
    await store.database.insert("dispatcher", {"destination": "sip:a"})
    found = await store.database.select("dispatcher", ["setid", "weight", "attrs", "state"])
    assert list(found.rows) == [(0, "1", None, 0)]
    await store.database.insert("location", {"contact": "sip:a@b", "expires": 4_000_000_000 - 2_000_000_000})
    found = await store.database.select("location", ["username", "q", "callid", "expires"])
    assert list(found.rows) == [("", 1.0, "Default-Call-ID", 2_000_000_000)]
    await store.database.close()


async def with_old_dispatcher(url, *columns):
    """A store in which `dispatcher` has version 8 and these columns."""
    store = await store_of(url)
    async for _ in create_tables(store, []):
        pass
    await store.create(sa.Table("dispatcher", sa.MetaData(), *columns))
    await store.database.insert("version", {"table_name": "dispatcher", "table_version": 8})
    return store


def old_columns(setid=sa.Integer):
    return [
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("setid", setid, nullable=False),
        sa.Column("destination", sa.String(192), nullable=False),
        sa.Column("own", sa.String(10)),
    ]


async def test_missing_columns_are_added_and_rows_kept(url):
    store = await with_old_dispatcher(url, *old_columns())
    await store.database.insert("dispatcher", {"id": 7, "setid": 1, "destination": "sip:a", "own": "mine"})
    said = [line async for line in migrate_tables(store, definitions_of([]))]
    assert said == [
        "dispatcher: version 8 is now 9; added socket, state, probe_mode, weight, priority, attrs, description"
    ]
    await check_version(store.database, "dispatcher", 9)
    found = await store.database.select("dispatcher", ["id", "own", "probe_mode", "weight", "attrs"])
    assert list(found.rows) == [(7, "mine", 0, "1", None)]
    assert [line async for line in migrate_tables(store, definitions_of([]))] == ["dispatcher: is version 9 already"]
    await store.database.close()


async def test_a_table_that_holds_something_else_is_left_alone(url):
    store = await with_old_dispatcher(url, *old_columns(sa.String(10)))
    (said,) = [line async for line in migrate_tables(store, definitions_of([]))]
    assert said == "dispatcher: version 8, but its column 'setid' holds texts, expected numbers; left alone"
    assert await store.database.version("dispatcher") == 8
    await store.database.update("version", {"table_version": 10}, [Where("table_name", "dispatcher")])
    (said,) = [line async for line in migrate_tables(store, definitions_of([]))]
    assert said == "dispatcher: version 10, known is 9; left alone"
    await store.database.close()


async def test_a_column_without_a_default_cannot_be_added(url):
    store = await store_of(url)
    async for _ in create_tables(store, []):
        pass
    await store.create(sa.Table("dr_groups", sa.MetaData(), sa.Column("id", sa.Integer, primary_key=True)))
    await store.database.insert("version", {"table_name": "dr_groups", "table_version": 1})
    (said,) = [line async for line in migrate_tables(store, definitions_of(["drouting"]))]
    assert said == "dr_groups: version 1 has no column 'username', for which there is no default; left alone"
    await store.database.close()


async def test_without_a_version_table_nothing_is_migrated(url):
    store = await store_of(url)
    with pytest.raises(DatabaseError, match="has no table 'version': `miscript db create`"):
        async for _ in migrate_tables(store, definitions_of([])):
            pass
    await store.database.close()


async def test_a_table_whose_version_was_lost_gets_it_back_when_it_fits(url):
    store = await store_of(url)
    async for _ in create_tables(store, definitions_of(["domain"])):
        pass
    await store.database.delete("version")
    said = [line async for line in create_tables(store, definitions_of(["domain"]))]
    assert said == ["domain: is there; it had no version and is version 4"]
    await store.database.delete("version")
    await store.database.query("ALTER TABLE domain DROP COLUMN attrs")
    said = [line async for line in create_tables(store, definitions_of(["domain"]))]
    assert said == ["domain: is there without a version, and is not what version 4 is; left alone"]
    await store.database.close()


def invoke(*arguments):
    return CliRunner().invoke(main, ["db", *arguments])


def test_the_command_makes_tables_in_a_file(tmp_path):
    url = f"sqlite://{tmp_path}/x.db"
    done = invoke("create", url, "dispatcher")
    assert (done.exit_code, done.output) == (0, "version: created\ndispatcher: created, version 9\n")
    done = invoke("migrate", url)
    assert (done.exit_code, done.output) == (0, "dispatcher: is version 9 already\n")
    assert invoke("create", url, "dispatcher", "--version-table", "versions").output.startswith("versions: created")


def test_the_command_makes_tables_of_text_files_and_adds_columns(tmp_path):
    url = f"text://{tmp_path}/db"
    assert invoke("create", url, "dispatcher", "usrloc").exit_code == 0
    assert (tmp_path / "db" / "version").read_text().endswith("dispatcher:9\nlocation:1013\n")
    (tmp_path / "db" / "dispatcher").write_text("id(int,auto) setid(int) destination(string)\n1:5:sip\\:a\n")
    (tmp_path / "db" / "version").write_text("table_name(string) table_version(int)\ndispatcher:8\n")
    done = invoke("migrate", url, "dispatcher")
    assert done.output.startswith("dispatcher: version 8 is now 9; added socket, state")
    assert (tmp_path / "db" / "dispatcher").read_text().splitlines()[1] == "1:5:sip\\:a::0:0:1:0::"


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["create", "oracle://x/y"], "'oracle://x/y' is no database URL: expected text:, sqlite:, postgres:, mysql:"),
        (["create", "sqlite:///tmp/x.db", "nosuch"], "no tables are known of a module 'nosuch'"),
        (["migrate", "text:///no-such-folder-of-tables"], "has no table 'version'"),
        (["create", "sqlite:///no-such-folder/x.db"], "can be no file: expected one in a folder that exists"),
        (["create", "mysql://root:secret@127.0.0.1:1/db"], r"mysql://root:\*\*\*@127.0.0.1:1/db: "),
    ],
)
def test_the_command_says_what_it_cannot_do(arguments, complaint):
    done = invoke(*arguments)
    assert done.exit_code == 1
    assert __import__("re").search(complaint, done.output), done.output
    assert "secret" not in done.output
