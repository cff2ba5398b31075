"""Modules dispatcher, drouting, load_balancer, dialplan, userblacklist and acc on every kind of database."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import pytest

from dialog_calls import Call, call
from kept_tables import until
from miscript.database import Cell, Where
from miscript.sql.driver import Habits, SqlDriver
from sql_tables import KINDS, fill, url_of

MODULES = ("dispatcher", "drouting", "load_balancer", "dialplan", "userblacklist", "acc")
ROWS: dict[str, list[dict[str, Cell]]] = {
    "dispatcher": [
        {"setid": 1, "destination": "sip:10.0.0.21", "weight": "1", "attrs": "one é", "priority": 2},
        {"setid": 1, "destination": "sip:10.0.0.22:5070", "state": 1, "weight": "50"},
        {"setid": 2, "destination": "sip:10.0.0.23;transport=tcp", "state": 2, "socket": "udp:10.0.0.1:5060"},
    ],
    "dr_gateways": [
        {"gwid": "gw1", "address": "10.0.1.1:5080", "strip": 2, "pri_prefix": "00", "attrs": "first", "type": 3},
        {"gwid": "gw2", "address": "sip:10.0.1.2", "probe_mode": 1, "state": 2},
    ],
    "dr_carriers": [{"carrierid": "cr1", "gwlist": "gw2,gw1", "flags": 1, "attrs": "carrier"}],
    "dr_rules": [
        {"groupid": "0,2", "prefix": "49", "gwlist": "#cr1", "attrs": "germany", "priority": 5},
        {"groupid": "0", "prefix": "", "gwlist": "gw1", "timerec": "20200101T000000|20200102T000000"},
    ],
    "dr_groups": [{"username": "alice", "domain": "a.test", "groupid": 2}],
    "load_balancer": [
        {"group_id": 1, "dst_uri": "sip:10.0.2.1", "resources": "pstn=5;vm=1", "attrs": "small"},
        {"group_id": 1, "dst_uri": "sip:10.0.2.2", "resources": "pstn=20", "probe_mode": 2},
    ],
    "dialplan": [
        {"dpid": 1, "match_op": 1, "match_exp": r"^0(\d+)$", "subst_exp": r"^0(\d+)$", "repl_exp": r"+49\1", "pr": 2},
        {"dpid": 1, "match_op": 0, "match_exp": "0190", "repl_exp": "no", "attrs": "paid", "pr": 1},
        {"dpid": 1, "match_op": 0, "match_exp": "0191", "repl_exp": "never", "disabled": 1},
    ],
    "userblacklist": [
        {"username": "alice", "domain": "a.test", "prefix": "1234"},
        {"username": "alice", "domain": "a.test", "prefix": "12345", "whitelist": 1},
    ],
    "globalblacklist": [{"prefix": "900"}, {"prefix": "9001", "whitelist": 1}],
}
PARAMETERS = """
loadmodule "mi_script.so"
modparam("dispatcher", "attrs_avp", "$avp(ds)")
modparam("dispatcher", "persistent_state", 1)
modparam("drouting", "probing_interval", 0)
modparam("load_balancer", "probing_interval", 0)
modparam("drouting", "persistent_state", 1)
modparam("acc", "extra_fields", "db: info")
"""
CHOOSE = """
    ds_select_dst(1, 8, "f"); xlog("$rc $du $avp(ds)\\n");
    ds_is_in_list("10.0.0.22", 5070); xlog("$rc\\n");
    do_routing(0, , , $var(rule), $var(gw), $var(carrier)); xlog("$rc $ru $var(rule) $var(gw) $var(carrier)\\n");
    $ru = "sip:4930@b.test";
    do_routing(, , , $var(rule)); xlog("$rc $var(rule)\\n");
    lb_start(1, "pstn", , $var(attrs)); xlog("$rc $du $var(attrs)\\n");
    lb_start(1, "pstn;vm", , $var(attrs)); xlog("$rc $du $var(attrs)\\n");
    dp_translate(1, "012", $var(o)); xlog("$rc $var(o)\\n");
    dp_translate(1, "0190", $var(o), $var(p)); xlog("$rc $var(o) $var(p)\\n");
    dp_translate(1, "0191", $var(o)); xlog("$rc $var(o)\\n");
    check_user_blacklist("alice", "a.test", "1234"); xlog("$rc\\n");
    check_user_blacklist("alice", "a.test", "123456"); xlog("$rc\\n");
    check_blacklist("globalblacklist"); xlog("$rc\\n");
    $acc_extra(info) = "é|";
    do_accounting("db", "cdr|missed");
"""


async def _filled(url: str, kind: str) -> None:
    """New tables with rows in them, and a column more for `extra_fields` of acc."""
    await fill(url, MODULES, ROWS)
    database = SqlDriver(kind, Habits()).open(url)
    types = {"sqlite": "TEXT", "postgres": "VARCHAR(64)", "mysql": "VARCHAR(64)"}
    for name in ("acc", "missed_calls"):
        await database.query(f"ALTER TABLE {name} ADD COLUMN info {types[kind]}")
    await database.close()


class Routed:
    """A script that uses all of these modules, and its tables."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.kind = url.partition(":")[0]
        loads = "".join(f'loadmodule "{name}.so"\n' for name in (f"db_{self.kind}", *MODULES))
        urls = "".join(f'modparam("{name}", "db_url", "{url}")\n' for name in MODULES)
        self.call: Call = call(parameters=loads + urls + PARAMETERS, initial=CHOOSE)
        self.call.script.mi("dr_reload")

    def rows(self, table: str, *columns: str) -> Sequence[Sequence[Cell]]:
        """All rows of a table, in order."""

        async def read() -> Sequence[Sequence[Cell]]:
            database = SqlDriver(self.kind, Habits()).open(self.url)
            try:
                found = await database.select(table, columns)
            finally:
                await database.close()
            return sorted(tuple(row) for row in found.rows)

        return asyncio.run(read())

    @contextmanager
    def added(self, table: str, row: dict[str, Cell]) -> Iterator[None]:
        """A table with one row more."""

        async def change(insert: bool) -> None:
            database = SqlDriver(self.kind, Habits()).open(self.url)
            try:
                if insert:
                    await database.insert(table, row)
                else:
                    await database.delete(table, [Where(column, value) for column, value in row.items()])
            finally:
                await database.close()

        asyncio.run(change(True))
        try:
            yield
        finally:
            asyncio.run(change(False))


@pytest.fixture(scope="module", params=KINDS)
def url(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A database with the tables."""
    found = url_of(request.param, tmp_path_factory.mktemp("routing"), request)
    asyncio.run(_filled(found, found.partition(":")[0]))
    return found


@pytest.fixture
def routed(url: str) -> Iterator[Routed]:
    made = Routed(url)
    yield made
    made.call.script.close()


def test_requests_are_routed_as_the_tables_say(routed: Routed):
    one = routed.call
    one.request("INVITE", uri="sip:4930@b.test")
    until(one.script, lambda: one.script.output.count("\n") == 12)
    assert one.script.output.splitlines() == [
        "1 sip:10.0.0.21 one é",
        "1",
        "1 sip:0030@10.0.1.1:5080 germany first carrier",
        "1 germany",
        "1 sip:10.0.2.2 ",
        "1 sip:10.0.2.1 small",
        "1 +4912",
        "1 no paid",
        "1 +49191",
        "-1",
        "1",
        "1",
    ]


def test_calls_are_accounted_in_the_tables(routed: Routed):
    one = routed.call
    one.call_id = "missed"
    _invited(one)
    one.bob.reply(one.bob.only("INVITE"), 486)
    until(one.script, lambda: routed.rows("missed_calls", "callid"))
    assert routed.rows("missed_calls", "callid", "method", "sip_code", "info") == [("missed", "INVITE", "486", "é|")]
    one.call_id = "answered"
    _invited(one)
    one.answer(one.bob.only("INVITE"))
    one.script.advance(7)
    one.request("BYE")
    one.bob.reply(one.bob.only("BYE"), 200)
    until(one.script, lambda: routed.rows("acc", "callid"))
    columns = ("callid", "from_tag", "to_tag", "sip_code", "duration", "info")
    assert routed.rows("acc", *columns) == [("answered", "al", "bo", "200", 7, "é|")]
    ((time,),) = routed.rows("acc", "time")
    assert isinstance(time, int) and 0 <= one.script.clock.time() - time < 60


def test_a_row_that_cannot_be_is_left_out(routed: Routed):
    mi = routed.call.script.mi
    before = mi("lb_list")
    with routed.added("load_balancer", {"dst_uri": "sip:10.0.2.3", "resources": "a=b"}):
        assert mi("lb_reload") == "OK"
        assert mi("lb_list") == before


def test_states_are_written_and_read_again(routed: Routed, url: str):
    mi = routed.call.script.mi
    mi("ds_set_state", state="i", group=1, address="sip:10.0.0.21")
    mi("dr_gw_status", gw_id="gw2", status=1)
    mi("dr_carrier_status", carrier_id="cr1", status=0)
    routed.call.script.close()
    assert routed.rows("dispatcher", "destination", "state")[0] == ("sip:10.0.0.21", 1)
    assert routed.rows("dr_gateways", "gwid", "state") == [("gw1", 0), ("gw2", 0)]
    assert routed.rows("dr_carriers", "carrierid", "state") == [("cr1", 1)]
    again = Routed(url)
    try:
        shown = again.call.script.mi("dr_carrier_status", carrier_id="cr1")
        assert shown["Enabled"].strip() == "no"  # type: ignore[index,call-overload]  # JSON
    finally:
        again.call.script.close()


def _invited(one: Call) -> None:
    one.route = ""
    one.request("INVITE", uri="sip:4930@b.test")
    until(one.script, lambda: one.script.output.count("\n") % 12 == 0)
