"""The parts of module acc that need no calls: fields, comments, rows that wait, the system's log."""

from __future__ import annotations

import asyncio
import logging
import socket
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.database import DatabaseError
from miscript.log_levels import python_level
from miscript.modules.acc import backends
from miscript.modules.acc.accounts import (
    Account,
    BackEnd,
    Field,
    Fields,
    Flag,
    parse_backends,
    parse_fields,
    parse_flags,
)
from miscript.modules.acc.backends import FACILITIES, DatabaseWriter, LogWriter
from miscript.modules.acc.records import Columns, Kind, Party, Record, parse_comment

RECORD = Record(Kind.ANSWERED, Party("INVITE", "a", "b", "c"), "200", "OK", 100.9, 90.2)


def test_fields_have_a_back_end_tags_and_names() -> None:
    assert parse_fields(" LOG : a->test_a ; b;") == (BackEnd.LOG, (Field("a", "test_a"), Field("b", "b")))
    assert Fields(["log: a", "evi: c", "log: b"]).of(BackEnd.LOG) == (Field("a", "a"), Field("b", "b"))


@given(st.text(max_size=40))
def test_any_text_is_fields_or_refused(text: str) -> None:
    for read in (parse_fields, lambda text: parse_fields(f"log:{text}"), parse_backends, parse_flags):
        try:
            read(text)
        except ValueError:
            continue


@given(st.text(max_size=40))
def test_any_comment_has_a_code_or_none(text: str) -> None:
    code, reason = parse_comment(text)
    assert code == "" or 100 <= int(code) <= 999
    assert reason == reason.strip()


def test_flags_belong_to_a_back_end() -> None:
    account = Account(0.0)
    account.want([BackEnd.LOG], [Flag.CDR])
    account.want([BackEnd.LOG, BackEnd.EVENT], [Flag.MISSED])
    assert account.with_flag(Flag.CDR) == [BackEnd.LOG] and account.without_flag(Flag.CDR) == [BackEnd.EVENT]
    account.drop([BackEnd.LOG], [Flag.CDR])
    assert account.wanted == {BackEnd.LOG: {Flag.MISSED}, BackEnd.EVENT: {Flag.MISSED}}
    account.drop(BackEnd, ())
    assert account.wanted == {}


class SlowDatabase:
    """Takes a row when it is told to."""

    url = "slow:"

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.rows: list[tuple[str, Any]] = []
        self.closed = False

    async def insert(self, table: str, *rows: Any) -> None:
        await self.go.wait()
        if table == "bad":
            raise DatabaseError("no such table")
        self.rows += [(table, row["callid"]) for row in rows]

    async def close(self) -> None:
        self.closed = True


def writer(database: SlowDatabase) -> DatabaseWriter:
    return DatabaseWriter(Fields(), Fields(), database, Columns(), "acc", "missed")  # type: ignore[arg-type]  # a part


def test_rows_that_wait_are_written_at_the_end_each_once() -> None:
    async def scenario() -> list[tuple[str, Any]]:
        database = SlowDatabase()
        rows = writer(database)
        running = asyncio.create_task(rows.run())
        for table in ("one", "bad", "two"):
            rows.write(RECORD, table)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        running.cancel()
        asyncio.get_running_loop().call_soon(database.go.set)
        await rows.stop()
        assert database.closed
        return database.rows

    assert asyncio.run(scenario()) == [("one", "c"), ("two", "c")]


def test_what_the_database_cannot_keep_up_with_is_told_of(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backends, "MAX_ROWS", 10)

    async def scenario() -> int:
        database = SlowDatabase()
        rows = writer(database)
        for _ in range(15):
            rows.write(RECORD)
        database.go.set()
        await rows.stop()
        return len(database.rows)

    assert asyncio.run(scenario()) == 10
    told = [r.getMessage() for r in caplog.records]
    assert told == [f"the database does not keep up: {n} records are lost so far" for n in (1, 2, 4)]


def test_a_database_that_never_answers_does_not_hold_up_the_end(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(backends, "CLOSING_SECONDS", 0.01)

    async def scenario() -> None:
        rows = writer(SlowDatabase())
        rows.write(RECORD)
        rows.write(RECORD)
        await rows.stop()

    asyncio.run(scenario())
    assert "records are lost, the database is too slow" in caplog.text


def test_with_a_facility_records_go_to_the_system_s_log_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = str(tmp_path / "log")
    monkeypatch.setattr(backends, "SYSLOG_SOCKET", path)
    logging.getLogger("miscript.acc").setLevel(logging.INFO)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        daemon.settimeout(2)
        log_writer = LogWriter(Fields(), Fields(), python_level(2), FACILITIES["LOG_LOCAL3"])
        log_writer.start()
        logging.getLogger("miscript.acc").error("something else")
        log_writer.write(RECORD)
        log_writer.stop()
        text = daemon.recv(4096).decode()
        daemon.setblocking(False)
        with pytest.raises(BlockingIOError):
            daemon.recv(4096)
    assert text.startswith(f"<{19 * 8 + 5}>ACC: transaction answered: timestamp=100;created=90;setuptime=10;")


def test_without_a_system_s_log_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backends, "SYSLOG_SOCKET", str(tmp_path / "none"))
    log_writer = LogWriter(Fields(), Fields(), logging.INFO, FACILITIES["LOG_DAEMON"])
    log_writer.start()
    log_writer.write(RECORD)
    log_writer.stop()
