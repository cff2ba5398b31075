"""Tables of dispatcher: loading, reloading, partitions, and what is wrong in them."""

from __future__ import annotations

import asyncio

import pytest

from dispatcher_tables import Table, invite, listed
from miscript.errors import ConfigurationError, MIError

LIST = "$(avp(ds_dst_failover)[*]{re.subst,/sip:127.0.0.1://g})"
EVENT = """event_route[E_DISPATCHER_STATUS] {
    xlog("$param(partition) $param(group) $param(address) $param(status): $param(reason)\\n"); }"""


@pytest.fixture
def table(tmp_path):
    """A table without rows."""
    return Table(tmp_path / "db")


def three(table: Table) -> Table:
    for port, weight in ((7000, 1), (7001, 2), (7002, 3)):
        table.add(1, f"sip:127.0.0.1:{port}", weight=weight, attrs=f"a{port}" if port != 7001 else "")
    return table


def test_a_reload_takes_the_new_table_and_keeps_states(table):
    with three(table).script() as script:
        script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7001")
        table.rows.pop(0)
        table.add(2, "sip:127.0.0.9", state=2).write()
        script.mi("dbt_reload")
        assert script.mi("ds_reload") == "OK"
        kept = [("sip:127.0.0.9", "Probing"), ("sip:127.0.0.1:7001", "Inactive"), ("sip:127.0.0.1:7002", "Active")]
        assert listed(script) == kept


def test_a_reload_can_forget_states(table):
    with three(table).script(parameters='modparam("dispatcher", "persistent_state", 0)') as script:
        for value, state in (("y", "Inactive"), ("no", "Inactive"), ("n", "Active"), (0, "Active")):
            script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7001")
            script.mi("ds_reload", inherit_state=value)
            assert listed(script)[1] == ("sip:127.0.0.1:7001", state)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"set_id": 1, "uri": "sip:127.0.0.1", "weight": "abc"}, "'weight' is 'abc', expected a number"),
        ({"set_id": 1, "uri": "sip:127.0.0.1", "weight": "-5"}, "'weight' is -5, expected 0 to 65535"),
        ({"set_id": "", "uri": "sip:127.0.0.1"}, "null"),
        ({"set_id": 1, "uri": "sip:127.0.0.1", "priority": ""}, "null"),
    ],
)
def test_a_table_with_a_wrong_value_is_refused_whole_and_the_old_one_stays(table, caplog, row, said):
    with three(table).script() as script:
        before = listed(script)
        table.add(5, "sip:127.0.0.5").add(row.pop("set_id"), row.pop("uri"), **row).write()
        with pytest.raises(MIError):
            script.mi("dbt_reload")
            script.mi("ds_reload")
        assert listed(script) == before
        assert said.lower() in caplog.text.lower()


def test_a_table_of_another_version_is_refused(table):
    with three(table).script() as script:
        table.version = 8
        table.write()
        script.mi("dbt_reload")
        with pytest.raises(MIError) as refused:
            script.mi("ds_reload")
        assert "version 8, expected 9" in str(refused.value.data)
        assert len(listed(script)) == 3
        reports = script.mi("sr_list_reports", "dispatcher", "default")
        assert reports[-1]["Log"] == "DB data loading failed, discarding"
        assert script.mi("sr_get_status", "dispatcher", "default")["Status"] == 1
    with pytest.raises(ConfigurationError, match="version 8, expected 9"):
        table.script()


def test_destinations_that_cannot_be_reached_are_left_out_and_counted(table, caplog):
    three(table).add(1, "127.0.0.1:99").add(1, "tel:+1").add(1, "sip:nosuch.invalid").add(1, "sip:127.0.0.1:7000")
    with table.script() as script:
        assert len(listed(script)) == 3
        assert "3 destinations loaded (4 discarded)" in str(script.mi("sr_list_reports", "dispatcher", "default"))
    for said in ("'127.0.0.1:99'", "'tel:+1'", "'sip:nosuch.invalid' of set 1 has no address", "is there twice"):
        assert said in caplog.text


def test_an_unknown_state_is_taken_for_active(table):
    with table.add(1, "sip:127.0.0.1:7000", state=7).script() as script:
        assert listed(script) == [("sip:127.0.0.1:7000", "Active")]


def test_an_empty_table_is_a_partition_without_sets(table):
    with table.script() as script:
        assert script.mi("ds_list") == {"PARTITIONS": [{"name": "default"}]}


def test_partitions_have_tables_and_lists_of_their_own(table):
    three(table).write("other")
    table.rows.clear()
    table.add(1, "sip:127.0.0.1:7100")
    body = f"""route {{ ds_select_dst(1, 8, "f", "two"); xlog("$du $(avp(ds_dst_failover_two)[*]{{s.len}})\\n");
        ds_select_dst(1, 8, "f"); xlog("$du {LIST}\\n"); ds_next_dst("two"); xlog("$du\\n");
        ds_mark_dst("i", "two"); ds_is_in_list("127.0.0.1", 7001, , "two"); xlog("$rc\\n");
        ds_is_in_list("127.0.0.1", 7001); xlog("$rc\\n"); }}\n{EVENT}"""
    with table.script(body, parameters='modparam("dispatcher", "partition", "two: table_name = other")') as script:
        script.route(message=invite())
        script.finish()
        assert script.take().splitlines() == [
            "sip:127.0.0.1:7000 58",
            "sip:127.0.0.1:7100 7100",
            "sip:127.0.0.1:7001",
            "1",
            "-1",
            "two 1 sip:127.0.0.1:7001 inactive: script function ds_mark()",
        ]
        assert listed(script)[1] == ("sip:127.0.0.1:7001", "Inactive")
        assert script.mi("ds_set_state", "a", "two:1", "sip:127.0.0.1:7001") == "OK"
        assert listed(script)[1] == ("sip:127.0.0.1:7001", "Active")
        names = [each["Name"] for each in script.mi("sr_list_status", "dispatcher")]
        assert names == ["two;events", "two", "default;events", "default"]


def test_a_state_that_changes_during_a_reload_is_not_lost(table):
    three(table)
    for number in range(3000):
        table.add(2, f"sip:10.1.{number // 250}.{number % 250}")
    with table.script() as script:

        async def both() -> None:
            reload = script.host.tasks.work(script.host.services.mi.find("ds_reload").handler(), "reload")
            for _ in range(20):
                await asyncio.sleep(0)
            assert not reload.done()
            script.host.services.mi.find("ds_set_state").ready(["i", "1", "sip:127.0.0.1:7000"])()
            await reload

        script.wait(both())
        assert ("sip:127.0.0.1:7000", "Inactive") in listed(script)
