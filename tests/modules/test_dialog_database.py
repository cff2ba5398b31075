"""Dialogs in a database: calls go on when the host starts again, and when the database is away."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import cast

import pytest

from dialog_calls import SCRIPT, Call, call
from hidden_calls import hidden_parties
from kept_tables import KeptTables, until
from miscript.errors import ConfigurationError, MIError
from miscript.host.embedding import call_command
from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.testing import MemoryNetwork

REALTIME, DELAYED, SHUTDOWN = 1, 2, 3
VALUES = """
    $dlg_val(one) = "tx#t|y\\\\z";
    $dlg_val(two) = 42;
    set_dlg_flag("MYFLAG");
    set_dlg_flag("Second");
    set_dlg_profile("caller", "al#i|ce");
    set_dlg_profile("inbound");
"""


@pytest.fixture
def tables(tmp_path: Path) -> KeptTables:
    return KeptTables(tmp_path, "dialog")


class Kept:
    """A call whose dialog is kept in a database."""

    def __init__(self, tables: KeptTables) -> None:
        self.tables = tables
        self.calls: list[Call] = []

    def call(self, mode: int = SHUTDOWN, *, parameters: str = "", **parts: str) -> Call:
        lines = f'loadmodule "db_sqlite.so"\n{self.tables.loaded_by("dialog", db_mode=mode)}\n'
        self.calls.append(call(parameters=lines + parameters, **parts))
        return self.calls[-1]

    def rows(self, what: str = "*") -> list[tuple[object, ...]]:
        return self.tables.ask(f"SELECT {what} FROM dialog")


@pytest.fixture
def kept(tables: KeptTables) -> Iterator[Kept]:
    made = Kept(tables)
    yield made
    for one in made.calls:
        one.script.close()


# -- over a restart ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [REALTIME, DELAYED, SHUTDOWN])
def test_a_call_that_is_talked_on_ends_with_its_bye_after_a_restart(kept: Kept, mode: int):
    one = kept.call(mode, sequential='xlog("$rm $DLG_status $DLG_dir $DLG_end_reason\\n");')
    one.established()
    one.restart()
    assert (one.state, one.statistic("active_dialogs"), one.statistic("processed_dialogs")) == (4, 1, 0)
    one.request("BYE", by="bob")
    one.alice.reply(one.alice.only("BYE"), 200)
    assert one.bob.statuses() == [200]
    assert (one.script.output, one.state, one.statistic("active_dialogs")) == (
        "BYE 5 upstream Upstream BYE\n",
        5,
        0,
    )
    one.script.close()
    assert kept.rows() == []


def test_all_that_is_known_of_a_dialog_comes_back(kept: Kept):
    one = kept.call(initial=VALUES)
    one.established(body="v=0\r\n")
    before = one.listed
    one.restart()
    assert one.listed == before
    assert one.script.mi("profile_get_size", "caller", "al#i|ce") == {
        "Profile": {"name": "caller", "value": "al#i|ce", "count": 1, "shared": "no", "replicated": "no"}
    }
    route = 'fetch_dlg_value("two", $var(v)); xlog("$var(v) $dlg_val(one) $DLG_flags");'
    one.restart(text=one.text.replace("route[sequential] {", f"route[sequential] {{ {route}"))
    one.request("INFO")
    assert one.script.output == "42 tx#t|y\\z Second MYFLAG"


def test_times_run_on_while_the_host_is_down(kept: Kept):
    one = kept.call(initial="$DLG_timeout = 100;")
    one.established()
    one.script.advance(30)
    one.restart(down=20)
    assert one.script.mi("dlg_list", callid=one.call_id) is not None
    one.script.advance(49)
    assert one.state == 4
    one.script.advance(2)
    assert (one.state, one.statistic("expired_dialogs")) == (5, 1)


def test_a_call_whose_time_is_over_meanwhile_ends_at_once(kept: Kept):
    one = kept.call(flags='"bye-on-timeout"', initial="$DLG_timeout = 100;")
    one.established()
    one.restart(down=200)
    one.script.advance(1)
    byes = (one.alice.only("BYE"), one.bob.only("BYE"))
    for party, bye in zip((one.alice, one.bob), byes, strict=True):
        party.reply(bye, 200)
    assert (one.state, one.statistic("expired_dialogs")) == (5, 1)


def test_routes_of_a_dialog_run_after_a_restart(kept: Kept):
    one = kept.call(initial='dlg_on_hangup("over");', more='route[over] { xlog("over $dlg_val(x)\\n"); }')
    one.established()
    one.restart()
    one.request("BYE")
    one.bob.reply(one.bob.only("BYE"), 200)
    assert one.script.output.startswith("over")


def test_pings_and_requests_of_ours_go_on_with_higher_numbers(kept: Kept):
    one = kept.call(flags='"options-ping-callee"', initial="$DLG_options_ping_interval = 10;")
    one.established()
    one.script.advance(11)
    first = one.bob.only("OPTIONS")
    one.bob.reply(first, 200)
    one.restart()
    one.script.advance(11)
    second = one.bob.only("OPTIONS")
    assert first.cseq is not None and second.cseq is not None
    assert second.cseq[0] == first.cseq[0] + 1
    one.bob.reply(second, 200)
    one.request("BYE")
    bye = one.bob.only("BYE")
    assert bye.cseq is not None and bye.cseq[0] > second.cseq[0]
    one.bob.reply(bye, 200)


def test_new_dialogs_never_get_the_id_of_one_that_was_read(kept: Kept):
    one = kept.call()
    one.established()
    did = one.listed["ID"]
    one.restart()
    one.call_id, one.route = "call-2", ""
    one.cseq = {"alice": 0, "bob": 100}
    one.established()
    assert one.listed["ID"] != did
    assert one.statistic("active_dialogs") == 2


def test_calls_that_only_ring_have_no_row(kept: Kept):
    one = kept.call()
    one.ring()
    one.script.close()
    assert kept.rows() == []


@pytest.mark.parametrize("flags", ["", "U", "aA", "D", "C", "UaAC"])
def test_the_ends_of_a_call_stay_hidden_after_a_restart(tables: KeptTables, flags: str):
    lines = f'loadmodule "db_sqlite.so"\n{tables.loaded_by("dialog", db_mode=SHUTDOWN)}\n'
    parties = hidden_parties(f'"{flags}"', dialog=True, parameters=lines)
    parties.answer(parties.invite())
    parties.ask("ACK", cseq=1)
    before = parties.ask_back("INFO", cseq=7)
    parties.answer_back(before)
    parties.restart()
    again = parties.ask_back("INFO", cseq=8)
    for name in ("Contact", "Call-ID"):
        assert again.header(name) == before.header(name)
    assert parties.answer_back(again).call_id == parties.bobs_call_id
    bye = parties.ask("BYE")
    assert (bye.uri, bye.call_id) == ("sip:bob@192.168.8.8:5080;bp=1", parties.bobs_call_id)
    assert parties.answer(bye).call_id == parties.call_id
    assert "192.168.7.7" not in re.sub("Call-ID:.*", "", bye.data.decode())
    parties.script.close()


def test_a_call_is_accounted_as_if_there_had_been_no_restart(kept: Kept):
    fields = 'modparam("acc", "extra_fields", "evi: x")\nmodparam("acc", "leg_fields", "evi: l")\n'
    wanted = 'do_accounting("evi", "cdr"); $acc_extra(x) = "A"; $acc_leg(l) = 1; acc_new_leg(); $acc_leg(l) = "two";'
    event = 'event_route[E_ACC_CDR] { xlog("$param(callid) $param(x) $param(l) $param(ms_duration)\\n"); }'
    one = kept.call(parameters=f'loadmodule "acc.so"\n{fields}', initial=wanted, more=event)
    one.script.advance(0.25)
    one.established()
    one.script.advance(2.5)
    one.restart(down=1)
    one.request("BYE")
    one.bob.reply(one.bob.only("BYE"), 200)
    one.script.settle()
    assert one.script.output.splitlines() == ["call-1 A 1 3500", "call-1 A two 3500"]


# -- what is written when ---------------------------------------------------------------------------------------------


def test_realtime_writes_at_once_and_removes_at_once(kept: Kept):
    one = kept.call(REALTIME)
    invite = one.ring()
    one.answer(invite, ack=False)
    until(one.script, lambda: kept.rows("state") == [(3,)])
    one.request("ACK")
    until(one.script, lambda: kept.rows("state") == [(4,)])
    one.request("BYE")
    until(one.script, lambda: not kept.rows())


def test_delayed_writes_with_its_period(kept: Kept):
    one = kept.call(DELAYED, parameters='modparam("dialog", "db_update_period", 20)\n')
    one.established()
    one.script.advance(19)
    assert kept.rows() == []
    one.script.advance(1)
    until(one.script, kept.rows)


@pytest.mark.parametrize("flush", [0, 1])
def test_values_alone_are_written_when_that_is_wanted(kept: Kept, flush: int):
    one = kept.call(REALTIME, parameters=f'modparam("dialog", "db_flush_vals_profiles", {flush})\n')
    one.established()
    until(one.script, lambda: kept.rows("state") == [(4,)])
    one.script.mi("dlg_push_var", "name", "value", [one.call_id])
    one.script.mi("set_profile", one.call_id, "caller", "x")
    if flush:
        until(one.script, lambda: kept.rows("vars, profiles") == [(b"name#1#value|", "caller#1#x|")])
    else:
        one.script.settle()
        assert kept.rows("vars, profiles") == [(None, None)]
        one.request("INFO")
        until(one.script, lambda: kept.rows("vars, profiles") == [(b"name#1#value|", "caller#1#x|")])


def test_a_row_is_as_opensips_writes_it(kept: Kept):
    flags = '"bye-on-timeout, options-ping-caller, reinvite-ping-callee, end-on-race-condition, auto-prack"'
    one = kept.call(flags=flags, initial=f'{VALUES} dlg_on_hangup("initial");')
    one.established()
    listed = one.listed
    one.script.close()
    what = (
        "dlg_id, callid, from_uri, from_tag, to_uri, to_tag, caller_cseq, callee_cseq, caller_contact, callee_contact,"
        " caller_sock, state, start_time, timeout, profiles, script_flags, flags, rt_on_hangup, caller_route_set"
    )
    (row,) = kept.rows(what)
    now = int(one.script.clock.time())
    assert row == (
        int(listed["db_id"]), "call-1", "sip:alice@a.test", "al", "sip:bob@b.test", "bo", "0", "1",
        "sip:alice@10.0.0.2", "sip:bob@10.0.0.3", "udp:10.0.0.1:5060", 4, now, now + 43200,
        "inbound#1#|caller#1#al\\#i\\|ce|", "Second MYFLAG", 8 + 32 + 4096 + (1 << 15) + (1 << 20), "initial", None,
    )  # fmt: skip
    assert cast(bytes, kept.rows("vars")[0][0]).endswith(b"two#2#42|one#1#tx\\#t\\|y\\\\z|")


def test_a_row_that_opensips_has_written_becomes_a_call(kept: Kept):
    one = kept.call()
    now = int(one.script.clock.time())
    one.script.close()
    kept.tables.ask(
        "INSERT INTO dialog (dlg_id, callid, from_uri, from_tag, to_uri, to_tag, caller_cseq, callee_cseq,"
        " caller_ping_cseq, callee_ping_cseq, caller_route_set, callee_route_set, caller_contact, callee_contact,"
        " caller_sock, callee_sock, state, start_time, timeout, vars, profiles, script_flags, flags, rt_on_hangup)"
        " VALUES (16937182586512, 'call-1', 'sip:alice@a.test', 'al', 'sip:bob@b.test', 'bo', '0', '5', 0, 0,"
        " '<sip:127.0.0.77;lr>', '', 'sip:alice@10.0.0.2', 'sip:bob@10.0.0.3', 'udp:10.0.0.1:5060',"
        " 'udp:10.0.0.1:5060', 4, ?, ?, ?, 'inbound#1#|caller#1#al\\#i\\|ce|', 'Second MYFLAG', 28984, 'initial')",
        now,
        now + 500,
        b"accX_created#1#lak\0\0\0\0\xff|cct#1#|two#2#42|one#1#tx\\#t\\|y\\\\z|",
    )
    one.restart()
    told = one.listed
    assert (told["ID"], told["user_flags"], told["caller_route_set"]) == (
        "76f.09660ce7",
        "Second MYFLAG",
        "<sip:127.0.0.77;lr>",
    )
    assert {"one": "tx#t|y\\z"} in told["context"]["values"]
    assert told["context"]["profiles"] == [{"inbound": ""}, {"caller": "al#i|ce"}]


def test_rows_that_are_wrong_are_left_out_and_told(kept: Kept, caplog: pytest.LogCaptureFixture):
    one = kept.call()
    one.established()
    one.script.close()
    for column, value in (("vars", b"x"), ("caller_route_set", "<"), ("state", 9), ("from_tag", ""), ("timeout", 0)):
        kept.tables.ask("CREATE TABLE copy AS SELECT * FROM dialog ORDER BY dlg_id LIMIT 1")
        kept.tables.ask(f"UPDATE copy SET dlg_id = dlg_id + ?, {column} = ?", len(column) + 100, value)
        kept.tables.ask("INSERT INTO dialog SELECT * FROM copy")
        kept.tables.ask("DROP TABLE copy")
    one.restart(text=one.text.replace("log_level=-3", "log_level=1"))
    assert one.statistic("active_dialogs") == 1
    assert caplog.text.count("the row is left out") == 5


@pytest.mark.parametrize("sql", ["DELETE FROM version", "UPDATE version SET table_version = 11", "DROP TABLE dialog"])
def test_a_table_that_is_another_one_is_no_start(kept: Kept, sql: str):
    kept.tables.ask(sql)
    with pytest.raises(ConfigurationError, match="the dialogs cannot be read"):
        kept.call()


def test_columns_and_table_can_have_other_names(kept: Kept):
    kept.tables.ask("ALTER TABLE dialog RENAME TO calls")
    kept.tables.ask("ALTER TABLE calls RENAME COLUMN callid TO c")
    kept.tables.ask("INSERT INTO version VALUES ('calls', 12)")
    names = 'modparam("dialog", "table_name", "calls")\nmodparam("dialog", "call_id_column", "c")\n'
    one = kept.call(parameters=names)
    one.established()
    one.restart()
    assert one.state == 4
    assert kept.tables.ask("SELECT c FROM calls") == [("call-1",)]


# -- when the database is away ----------------------------------------------------------------------------------------


def test_calls_go_on_without_their_database_and_are_written_later(kept: Kept, caplog: pytest.LogCaptureFixture):
    one = kept.call(REALTIME)
    logging.getLogger("miscript").setLevel(logging.WARNING)
    kept.tables.ask("ALTER TABLE dialog RENAME TO gone")
    one.established()
    until(one.script, lambda: one.statistic("db_failures") >= 1)
    assert (one.state, one.statistic("db_waiting")) == (4, 1)
    assert "cannot be written" in caplog.text
    kept.tables.ask("ALTER TABLE gone RENAME TO dialog")
    one.script.advance(5)
    until(one.script, lambda: kept.rows("state") == [(4,)])
    until(one.script, lambda: "is written again" in caplog.text)
    assert one.statistic("db_waiting") == 0


# -- MI ---------------------------------------------------------------------------------------------------------------


def test_db_sync_reads_and_restore_db_writes_the_table(kept: Kept):
    one = kept.call(initial='$dlg_val(v) = "first";')
    one.established()
    one.script.close()
    lines = f'loadmodule "db_sqlite.so"\n{kept.tables.loaded_by("dialog", db_mode=SHUTDOWN, default_timeout=9)}\n'
    kept.tables.ask("UPDATE dialog SET start_time = 2000000000, timeout = 4000000000")
    parts = dict.fromkeys(("flags", "initial", "sequential", "reply", "failure", "local", "more"), "")
    host = Host(Source("test.cfg", SCRIPT.format(parameters=lines, **parts)), str, network=MemoryNetwork())
    host.load()

    async def mi(command: str, **named: object) -> dict[str, object]:
        return cast(dict[str, object], await call_command(host.services.mi, command, named or None))

    async def value() -> object:
        told = cast(dict[str, dict[str, dict[str, object]]], await mi("dlg_list_ctx", callid="call-1"))
        return told["Dialog"]["context"]["values"]

    async def ask() -> None:
        try:
            await host.start()
            assert await value() == [{"v": "first"}]
            kept.tables.ask("UPDATE dialog SET vars = ?", b"v#1#second|")
            assert await mi("dlg_db_sync") == "OK"
            assert await value() == [{"v": "second"}]
            kept.tables.ask("UPDATE dialog SET dlg_id = 7")
            assert await mi("dlg_restore_db") == "OK"
            assert [row[0] for row in kept.rows("dlg_id")] != [7]
            kept.tables.ask("DROP TABLE dialog")
            for command in ("dlg_db_sync", "dlg_restore_db"):
                with pytest.raises(MIError) as error:
                    await mi(command)
                assert error.value.code == 500
        finally:
            await host.stop()

    asyncio.run(ask())


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("lines", "says"),
    [
        ('modparam("dialog", "db_mode", 4)', "'db_mode' is 4, expected 0, 1, 2 or 3"),
        ('modparam("dialog", "db_mode", 1)', "'db_url' must be set"),
        ('modparam("dialog", "db_mode", 1)\nmodparam("dialog", "db_url", "oracle://x")', "no module is loaded"),
        ('modparam("dialog", "db_update_period", 0)', "'db_update_period' is 0"),
    ],
)
def test_what_cannot_be_had_is_refused_at_the_start(lines: str, says: str):
    with pytest.raises(Exception, match=says):
        call(parameters=f"{lines}\n")
