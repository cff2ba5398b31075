"""Traced messages in a table: what a row says, and what becomes of rows when the database is away."""

import asyncio
import sqlite3

import pytest
from click.testing import CliRunner

from miscript.cli import main
from miscript.database import DatabaseError
from miscript.errors import ConfigurationError
from miscript.modules.tracer.records import Record
from miscript.modules.tracer.rows import COLUMNS, MAX_WAITING, TraceTable
from miscript.testing import RunningScript
from module_services import module_services
from traced_calls import TracedCall

TABLE = """
CREATE TABLE {name} (id INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL, time_stamp DATETIME NOT NULL,
    callid CHAR(255) NOT NULL, trace_attrs CHAR(255), msg TEXT NOT NULL, method CHAR(32) NOT NULL, status CHAR(255),
    from_proto CHAR(5) NOT NULL, from_ip CHAR(50) NOT NULL, from_port INTEGER NOT NULL, to_proto CHAR(5) NOT NULL,
    to_ip CHAR(50) NOT NULL, to_port INTEGER NOT NULL, fromtag CHAR(64) NOT NULL, {direction} CHAR(4) NOT NULL);
CREATE TABLE version (table_name CHAR(32) NOT NULL, table_version INTEGER NOT NULL);
INSERT INTO version VALUES ('{name}', {version});
"""
MODULES = "db_sqlite tm sl signaling rr maxfwd sipmsgops tracer mi_script"


def made(folder, name="sip_trace", version=5, direction="direction"):
    path = folder / "traces.db"
    with sqlite3.connect(path) as here:
        here.executescript(TABLE.format(name=name, version=version, direction=direction))
    return path


def traced(tmp_path, path, more="", table=""):
    return TracedCall(
        tmp_path,
        modules=MODULES,
        parameters=f'modparam("tracer", "trace_id", "[db]uri=sqlite://{path}{table}")\n{more}',
        initial='trace("db", "t", "sip", "attributes");',
    )


def rows(path, columns, table="sip_trace"):
    with sqlite3.connect(path) as here:
        return here.execute(f"SELECT {columns} FROM {table} ORDER BY id").fetchall()


def created(folder):
    """A database with the table that `miscript db create` makes."""
    path = folder / "traces.db"
    done = CliRunner().invoke(main, ["db", "create", f"sqlite://{path}", "tracer"])
    assert "sip_trace: created, version 5" in done.output
    return path


def test_each_message_is_a_row(tmp_path):
    path = created(tmp_path)
    call = traced(tmp_path, path)
    call.answer(call.invite(), 180)
    call.close()
    assert rows(path, "direction, method, status, from_ip, from_port, to_ip, to_port, from_proto, to_proto") == [
        ("in", "INVITE", "", "10.0.0.1", 5060, "10.0.0.9", 5060, "udp", "udp"),
        ("out", "INVITE", "100", "10.0.0.9", 5060, "10.0.0.1", 5060, "udp", "udp"),
        ("out", "INVITE", "", "10.0.0.9", 5060, "10.0.0.2", 5060, "udp", "udp"),
        ("in", "INVITE", "180", "10.0.0.2", 5060, "10.0.0.9", 5060, "udp", "udp"),
        ("out", "INVITE", "180", "10.0.0.9", 5060, "10.0.0.1", 5060, "udp", "udp"),
    ]
    assert set(rows(path, "callid, fromtag, trace_attrs")) == {("one", "a", "attributes")}
    assert rows(path, "msg")[0][0].startswith("INVITE sip:bob@10.0.0.2 SIP/2.0\r\n")


def test_table_and_columns_may_have_other_names(tmp_path):
    path = made(tmp_path, name="traces", direction="way")
    call = traced(tmp_path, path, 'modparam("tracer", "direction_column", "way")', ";table=traces")
    call.invite()
    call.close()
    assert rows(path, "way", "traces") == [("in",), ("out",), ("out",)]


def test_mi_shows_the_database_without_its_password(tmp_path):
    path = made(tmp_path)
    call = traced(tmp_path, path)
    (shown,) = call.script.mi("tracer:trace", id="db")["trace destinations"]
    call.close()
    assert (shown["type"], shown["state"]) == ("Database", "on")
    assert str(path) in shown["uri"]


def test_a_table_of_another_version_stops_the_start(tmp_path):
    path = made(tmp_path, version=4)
    with pytest.raises(ConfigurationError, match="version 4, expected 5"):
        traced(tmp_path, path)


class Away:
    """A database that refuses until it is back."""

    url = "fake://***@host/db"

    def __init__(self):
        self.is_back = False
        self.rows = []
        self.closed = False

    async def insert(self, table, *rows):
        await asyncio.sleep(0)
        if not self.is_back:
            raise DatabaseError("it is away")
        self.rows += rows

    async def close(self):
        self.closed = True


def record(data=b"OPTIONS sip:a SIP/2.0\r\n\r\n"):
    ends = ("10.0.0.1", 1), ("10.0.0.2", 2)
    return Record(data, False, ("udp", "udp"), *ends, 1.5, "call", "OPTIONS", "", "tag")


async def test_rows_that_the_database_refuses_are_counted_and_told_once(caplog):
    services = module_services()
    lost = services.statistics.register("tracer", "lost_messages")
    database = Away()
    table = TraceTable(database, "sip_trace", COLUMNS, services, lost)
    for _ in range(250):
        table.write(record(), "", None)
    await asyncio.gather(*services.tasks.tasks)
    assert (lost.value, database.rows) == (250, [])
    database.is_back = True
    table.write(record(b"\xff\0"), "", None)
    await table.stop()
    assert [row["msg"] for row in database.rows] == ["\ufffd\ufffd"]
    assert database.closed
    assert [r.levelname for r in caplog.records if r.name == "miscript.tracer"] == ["ERROR", "WARNING"]


async def test_when_too_many_rows_wait_the_oldest_give_way():
    services = module_services()
    lost = services.statistics.register("tracer", "lost_messages")
    database = Away()
    database.is_back = True
    table = TraceTable(database, "sip_trace", COLUMNS, services, lost)
    table._is_writing = True  # somebody is at it
    for number in range(MAX_WAITING + 3):
        table.write(record(b"%d" % number), "", None)
    assert lost.value == 3
    await table.stop()
    assert (len(database.rows), database.rows[0]["msg"]) == (MAX_WAITING, "3")


def test_a_table_that_is_not_there_stops_the_start(tmp_path):
    with pytest.raises(ConfigurationError):
        RunningScript(
            f'log_level=-3\nsocket=udp:127.0.0.1:0\nloadmodule "db_sqlite.so"\nloadmodule "tracer.so"\n'
            f'modparam("tracer", "trace_id", "[db]uri=sqlite://{tmp_path}/none.db")\nroute {{ exit; }}\n'
        )
