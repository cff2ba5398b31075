"""Tables of drouting: what is taken, what is refused, what stays in force, partitions, states, MI."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from miscript.errors import ConfigurationError, MIError, ScriptError
from miscript.modules.drouting import Drouting
from miscript.testing import RunningScript
from routing_tables import HOST, IN_MEMORY, MODULES, QUIET, RoutingTables, call, first_load, reports, states

NO_PROBES = QUIET + IN_MEMORY


@pytest.fixture
def tables(tmp_path):
    """One gateway and one rule for it."""
    return RoutingTables(tmp_path / "db").gateway("gw1").rule("49", "gw1")


def module(script: RunningScript) -> Drouting:
    (found,) = (one for one in script.host.catalog if isinstance(one, Drouting))
    return found


def error(script: RunningScript, command: str, **parameters: object) -> tuple[int, str, str]:
    with pytest.raises(MIError) as raised:
        script.mi(command, **parameters)
    return raised.value.code, raised.value.message, str(raised.value.data or "")


def routes_to(script: RunningScript, number: str, group: int = 0) -> Any:
    return script.mi("dr_number_routing", number=number, group_id=group)


def test_the_first_load_begins_when_the_startup_route_has_ended(tables):
    body = 'startup_route { mi("dr_gw_status", $var(r)); xlog("$rc $var(r)\\n"); }'
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.output == "-404 No Data available yet\n"
        assert states(script) == {"gw1": "Active"}
        assert reports(script) == [
            "starting DB data loading",
            "DB data loading successfully completed",
            "1 gateways loaded (0 discarded), 0 carriers loaded (0 discarded), 1 rules loaded (0 discarded)",
        ]


@pytest.mark.parametrize("command", ["dr_gw_status", "dr_carrier_status"])
def test_commands_with_an_id_answer_as_well_before_there_are_data(tables, command):
    kind = "gw_id" if command == "dr_gw_status" else "carrier_id"
    asked = f'$avp(p) = "{kind}"; $avp(v) = "x"; mi("{command}", $var(r), $avp(p), $avp(v));'
    body = f'startup_route {{ {asked} xlog("$rc"); }}'
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.output == "-404"


# -- wrong tables -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "version", "told"),
    [
        ("dr_gateways", 5, "'dr_gateways'.*version 5, expected 6"),
        ("dr_carriers", 4, "'dr_carriers'.*version 4, expected 3"),
        ("dr_rules", 3, "'dr_rules'.*version 3, expected 4"),
        ("dr_groups", None, "nothing of 'dr_groups'; expected version 2"),
    ],
)
def test_a_host_does_not_start_on_tables_of_another_version(tables, table, version, told):
    if version is None:
        del tables.versions[table]
    else:
        tables.versions[table] = version
    with pytest.raises(ConfigurationError, match=told):
        tables.script(parameters=NO_PROBES)


def broken(tables: RoutingTables, what: str) -> str:
    """Spoil the tables; gives what must be told."""
    match what:
        case "version":
            tables.versions["dr_rules"] = 3
            return "version 3, expected 4"
        case "no gwid":
            tables.gateway(None)
            return "the table 'dr_gateways' has NULL in the column 'gwid' of row 2"
        case "no address":
            tables.add("dr_gateways", 2, "gw2", 0, None, 0, "", "", 0, 0, "", "")
            return "NULL in the column 'address' of row 2"
        case "no list":
            tables.carrier("c1", None)
            return "the table 'dr_carriers' has NULL in the column 'gwlist' of row 1"
        case "no group":
            tables.add("dr_rules", 2, None, "5", "", 0, "", "gw1", "N", None, "", "")
            return "the table 'dr_rules' has NULL in the column 'groupid' of row 2"
        case "a gateway twice":
            tables.gateway("gw1")
            return "has the gateway 'gw1' twice"
        case "a carrier twice":
            tables.carrier("c1", "gw1").carrier("c1", "gw1")
            return "has the carrier 'c1' twice"
        case "a rule twice":
            tables.rule("5", "gw1", id=1)
            return "has the rule 1 twice"
        case _:
            tables.rows["dr_rules"].append("not:a:row")
            return "dr_rules"


@pytest.mark.parametrize(
    "what",
    [
        "version", "no gwid", "no address", "no list", "no group", "a gateway twice", "a carrier twice",
        "a rule twice", "a torn row",
    ],
)  # fmt: skip
def test_tables_that_cannot_be_loaded_leave_the_old_data_in_force(tables, what, caplog):
    with tables.script(parameters=NO_PROBES) as script:
        before = module(script).partitions["Default"].data
        tables.rule("7", "gw1")
        told = broken(tables, what)
        tables.write()
        code, message, data = error(script, "dr_reload")
        assert (code, message) == (500, "Failed to reload")
        assert told in data
        assert told in caplog.text
        assert module(script).partitions["Default"].data is before
        assert routes_to(script, "49")["Matched Prefix"] == "49"
        assert routes_to(script, "7") == "No match"
        assert reports(script)[-1] == "DB data loading failed, discarding"
        assert script.mi("sr_get_status", "drouting", "Default")["Status"] == 1


def test_a_first_load_that_fails_leaves_a_host_without_data_until_one_succeeds(tables):
    tables.gateway("gw1")
    with tables.script(parameters=NO_PROBES) as script:
        assert error(script, "dr_gw_status")[:2] == (404, "No Data available yet")
        assert script.mi("sr_get_status", "drouting", "Default") == {
            "Readiness": False, "Status": -2, "Details": "no data loaded"
        }  # fmt: skip
        del tables.rows["dr_gateways"][1]
        tables.write()
        assert script.mi("dr_reload") == "OK"
        assert states(script) == {"gw1": "Active"}
        assert script.mi("sr_get_status", "drouting", "Default")["Status"] == 1


def test_rows_that_are_wrong_by_themselves_are_left_out_logged_and_counted(tables, caplog):
    tables.gateway("g w").gateway("gw3", "10.0.1.3:99999").gateway("gw4", probe=7).gateway("gw5", prefix="@")
    tables.gateway("gw6", "nosuch.invalid").gateway("gw7", state=5)
    tables.carrier("c1", "gw1=x").carrier("c2", "#c1").carrier("c3", "gw1,nosuch")
    for wrong in ({"group": "x"}, {"prefix": "4x"}, {"gwlist": "gw1;gw2"}, {"time": "bad|bad"}):
        tables.rule(**{"prefix": "8", "gwlist": "gw1"} | wrong)  # type: ignore[arg-type]  # wrong on purpose
    with tables.script(parameters=QUIET) as script:
        assert reports(script)[-1] == (
            "1 gateways loaded (6 discarded), 1 carriers loaded (2 discarded), 1 rules loaded (4 discarded)"
        )
        assert states(script) == {"gw1": "Active"}
        for told in ("' ' in it", "99999", "expected one of 0, 1, 2", "nosuch.invalid", "weight is 'x'",
                     "names the carrier 'c1'", "groupid is 'x'", "'4x'", "';' in it", "there is no gateway 'nosuch'",
                     "the rule 5 of 'dr_rules' is left out"):  # fmt: skip
            assert told in caplog.text, told


def test_a_reload_that_is_cancelled_leaves_everything_as_it_was(tables):
    with tables.script(parameters=NO_PROBES) as script:
        partition = module(script).partitions["Default"]
        before = partition.data

        async def cancelled() -> None:
            loading = asyncio.ensure_future(module(script).reload(partition, inherit=True))
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            loading.cancel()
            await asyncio.wait([loading])
            assert loading.cancelled()

        script.wait(cancelled())
        assert (partition.data, partition.reloads) == (before, 0)
        assert script.mi("sr_get_status", "drouting", "Default")["Status"] == 1
        assert script.mi("dr_reload") == "OK"


# -- reloads ----------------------------------------------------------------------------------------------------------


def together(script: RunningScript) -> list[object]:
    """The answers of two reloads that begin at the same time."""

    async def both() -> list[object]:
        partition = module(script).partitions["Default"]
        found = [module(script).reload(partition, inherit=True) for _ in range(2)]
        return list(await asyncio.gather(*found, return_exceptions=True))

    return script.wait(both())


def test_reloads_come_one_after_the_other_or_the_second_is_refused(tables):
    with tables.script(parameters=NO_PROBES) as script:
        assert together(script) == [None, None]
        assert reports(script).count("DB data loading successfully completed") == 3
    refused = NO_PROBES + 'modparam("drouting", "no_concurrent_reload", 1)\n'
    with tables.script(parameters=refused) as script:
        first, second = together(script)
        assert first is None
        assert "in progress" in str(second)
        assert script.mi("dr_reload") == "OK"


def test_a_reload_puts_the_new_data_in_force_at_once_and_lets_go_of_the_old(tables):
    with tables.script(parameters=NO_PROBES) as script:
        partition = module(script).partitions["Default"]
        old = partition.data
        tables.rows["dr_rules"].clear()
        tables.gateway("gw2").rule("50", "gw2", attrs="new").write()
        assert script.mi("dr_reload") == "OK"
        assert routes_to(script, "49") == "No match"
        assert routes_to(script, "50") == {"Matched Prefix": "50", "GW List": [{"GATEWAY": "gw2"}], "ATTRS": "new"}
        assert old is not None
        assert (old.gateways, len(old.rules)) == ({}, 0)


def test_states_are_inherited_unless_the_tables_are_wanted(tables):
    tables.gateway("gw2", state=1).carrier("c1", "gw1")
    with tables.script(parameters=QUIET) as script:
        assert states(script) == {"gw1": "Active", "gw2": "Disabled MI"}
        script.mi("dr_gw_status", gw_id="gw2", status=1)
        script.mi("dr_carrier_status", carrier_id="c1", status=0)
        script.mi("dr_reload")
        assert states(script) == {"gw1": "Active", "gw2": "Active"}
        assert script.mi("dr_carrier_status", carrier_id="c1") == {"Enabled": "no "}
    with tables.script(parameters=NO_PROBES) as script:
        assert states(script) == {"gw1": "Active", "gw2": "Active"}  # the column is not read
        script.mi("dr_gw_status", gw_id="gw1", status=0)
        script.mi("dr_reload", inherit_state="n")
        assert states(script)["gw1"] == "Active"


def test_states_are_written_to_the_tables_in_time_and_at_the_end(tables):
    tables.gateway("gw2", "10.0.1.2").carrier("c1", "gw1")
    with tables.script(parameters=QUIET) as script:
        script.mi("dr_gw_status", gw_id="gw2", status=0)
        assert script.wait(rows(script, "dr_gateways", "state")) == [0, 0]
        script.advance(31)
        assert script.wait(rows(script, "dr_gateways", "state")) == [0, 1]
        script.mi("dr_gw_status", gw_id="gw1", status=0)
        script.mi("dr_reload", inherit_state="n")  # what has not been written is not wanted
        assert states(script) == {"gw1": "Active", "gw2": "Disabled MI"}
        script.mi("dr_carrier_status", carrier_id="c1", status=0)
    with RunningScript(script_of(tables)) as script:
        first_load(script)
        assert states(script) == {"gw1": "Active", "gw2": "Disabled MI"}
        assert script.mi("dr_carrier_status", carrier_id="c1") == {"Enabled": "no "}


def script_of(tables: RoutingTables) -> str:
    """A script on tables as they are."""
    loads = "".join(f'loadmodule "{name}.so"\n' for name in MODULES.split())
    url = f'modparam("drouting", "db_url", "text://{tables.folder}")\n'
    return f"log_level=1\nsocket=udp:{HOST[0]}:{HOST[1]}\n{loads}{url}{QUIET}route {{ exit; }}\n"


async def rows(script: RunningScript, table: str, column: str) -> list[object]:
    found = await module(script).partitions["Default"].database.select(table, [column])
    return [row[0] for row in found.rows]


def test_the_events_of_states_are_reported_with_their_reason(tables):
    tables.carrier("c1", "gw1")
    with tables.script(parameters=NO_PROBES) as script:
        script.mi("dr_gw_status", gw_id="gw1", status=0)
        script.mi("dr_gw_status", gw_id="gw1", status=0)
        script.mi("dr_carrier_status", carrier_id="c1", status=0)
        script.mi("dr_carrier_status", carrier_id="c1", status=1)
        assert reports(script, "Default;events") == [
            "GW <gw1>/10.0.1.1 switched to [disabled MI] due to MI command\n",
            "CARRIER <c1> switched to [disabled MI] due to MI command\n",
            "CARRIER <c1> switched to [active] due to MI command\n",
        ]
        assert script.mi("sr_list_status", "drouting") == [
            {"Name": "Default;events", "Readiness": True, "Status": 1},
            {"Name": "Default", "Readiness": True, "Status": 1, "Details": "data available"},
        ]


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("cluster_id", "1"),
        ("probing_interval", "-1"),
        ("gw_socket_filter_mode", '"some"'),
        ("extra_id_chars", '"a,b"'),
        ("probing_method", '"A B"'),
        ("probing_from", '"nobody"'),
        ("probing_reply_codes", '"abc"'),
        ("probing_socket", '"udp:10.0.0.77:5060"'),
        ("ruri_avp", '"$var(x)"'),
        ("partition_id_pvar", '"x"'),
        ("define_blacklist", '"x"'),
        ("rule_tables_query", '"x"'),
        ("use_partitions", "1"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(tables, parameter, value):
    line = f'modparam("drouting", "{parameter}", {value})\n'
    quiet = "" if parameter.startswith("probing") else QUIET
    with pytest.raises((ConfigurationError, ScriptError), match=parameter.replace("use_", "db_")):
        tables.script(parameters=quiet + line)


def test_a_database_that_no_module_knows_is_told_at_its_parameter(tables):
    with pytest.raises(ScriptError) as told:
        tables.script(parameters=QUIET + 'modparam("drouting", "db_url", "nosuch://x")\n')
    (found,) = told.value.diagnostics
    assert found.span.text == '"nosuch://x"'
    assert (found.message, found.help) == (
        "module 'drouting': no module is loaded for 'nosuch:' databases",
        "there are mysql, postgres, sqlite, text",
    )


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        ("all", {"gw1": None, "gw2": "udp:10.0.0.9:5060", "gw3": None}),
        ("ignore", {"gw1": None, "gw2": None, "gw3": None}),
        ("matched-only", {"gw2": "udp:10.0.0.9:5060"}),
    ],
)
def test_what_sockets_of_gateways_mean_can_be_set(tables, mode, expected):
    tables.gateway("gw2", socket=f"udp:{HOST[0]}:{HOST[1]}").gateway("gw3", socket="udp:10.0.0.77:5060")
    line = f'modparam("drouting", "gw_socket_filter_mode", "{mode}")\n'
    with tables.script(parameters=NO_PROBES + line) as script:
        data = module(script).partitions["Default"].data
        assert data is not None
        found = {id: gateway.socket for id, gateway in data.gateways.items()}
        assert {id: None if socket is None else str(socket) for id, socket in found.items()} == expected


def test_more_signs_for_prefixes_and_ids_can_be_allowed(tables):
    tables.gateway("a:b").rule("+49", "a:b").rule("#1", "gw1")
    more = 'modparam("drouting", "extra_prefix_chars", "+#")\nmodparam("drouting", "extra_id_chars", ":_-.")\n'
    with tables.script(parameters=NO_PROBES + more) as script:
        assert routes_to(script, "+4930")["GW List"] == [{"GATEWAY": "a:b"}]
        assert routes_to(script, "#12")["Matched Prefix"] == "#1"


def test_a_checksum_of_the_data_is_shown_and_reported(tables):
    line = 'modparam("drouting", "generate_data_checksum", 1)\n'
    with tables.script(parameters=NO_PROBES + line) as script:
        first = script.mi("dr_reload_status")["Checksum"]
        assert len(first) == 32
        assert reports(script)[-1].endswith(f", checksum {first}")
        script.mi("dr_reload")
        assert script.mi("dr_reload_status")["Checksum"] == first
        tables.rule("5", "gw1").write()
        script.mi("dr_reload")
        assert script.mi("dr_reload_status")["Checksum"] != first


def test_blacklists_hold_the_addresses_of_gateways_of_their_types(tables):
    tables.gateway("gw2", "10.0.1.2:5070;transport=tcp", type=3).gateway("gw3", "10.0.1.3", type=5)
    line = 'modparam("drouting", "define_blacklist", "bl= 3, 0")\n'
    with tables.script(parameters=NO_PROBES + line) as script:
        shown = script.mi("blacklists:list", "bl")
        assert (shown["owner"], shown["flags"]) == ("drouting", [])
        assert [(rule["IP"], rule["Proto"], rule["Port"]) for rule in shown["Rules"]] == [
            ("10.0.1.1", "udp", 5060),
            ("10.0.1.2", "tcp", 5070),
        ]
        del tables.rows["dr_gateways"][0]
        tables.write()
        script.mi("dr_reload")
        assert [rule["IP"] for rule in script.mi("blacklists:list", "bl")["Rules"]] == ["10.0.1.2"]


# -- partitions -------------------------------------------------------------------------------------------------------


@pytest.fixture
def parted(tables):
    """Two partitions, the second with tables and AVPs of its own."""
    url = f"text://{tables.folder}"
    for name in ("dr_gateways2", "dr_rules2", "dr_carriers2", "dr_groups2"):
        tables.versions[name] = tables.versions[name[:-1]]
        tables.rows[name] = []
    tables.gateway("other", "10.0.2.1", table="dr_gateways2").rule("7", "other", table="dr_rules2")
    tables.add("dr_partitions", 1, "one", url, *[""] * 11)
    tables.add(
        "dr_partitions", 2, "two", url, "dr_gateways2", "dr_rules2", "dr_groups2", "dr_carriers2", "", "$avp(mine)",
        *[""] * 5,
    )  # fmt: skip
    return tables


def in_partitions(tables: RoutingTables, body: str = "") -> RunningScript:
    parameters = (
        f'modparam("drouting", "use_partitions", 1)\nmodparam("drouting", "db_partitions_url", "text://{tables.folder}")\n'
        'modparam("drouting", "partition_id_pvar", "$var(found)")\n'
    )
    return tables.script(body, parameters=NO_PROBES + parameters)


def test_each_partition_has_its_tables_and_avps(parted):
    body = """route { exit; } route[to] {
      $var(found) = "-";
      do_routing(0, , , , , , $param(1));
      xlog("$rc $ru $avp(___dr_gw_id__one) $avp(mine) $var(found)\\n");
      use_next_gw(, , , $param(1));
    }"""
    with in_partitions(parted, body) as script:
        for partition, number, expected in (
            ("one", "49", "1 sip:49@10.0.1.1 gw1 <null> -"),
            ("two", "7", "1 sip:7@10.0.2.1 <null> other -"),
            ("one", "7", "-1 sip:7@example.com <null> <null> -"),
            ("*", "7", "1 sip:7@10.0.2.1 <null> other two"),
            ("*", "5", "-1 sip:5@example.com <null> <null> -"),
            ("none", "7", "-1 sip:7@example.com <null> <null> -"),
        ):
            assert script.route("to", partition, message=call(number)).output == f"{expected}\n"


def test_without_its_name_no_partition_is_meant(parted):
    calls = ("do_routing(0)", 'route_to_gw("gw1")', 'route_to_gw("gw1", , , "*")')
    body = "route {" + "".join(f'{one}; xlog("$rc ");' for one in calls) + "}"
    with in_partitions(parted, body) as script:
        assert script.route("", message=call()).output == "-1 -1 -1 "


def test_commands_mean_one_partition_and_the_reload_all_or_one(parted):
    with in_partitions(parted) as script:
        missing = (
            400,
            "Missing parameter: 'partition_name'",
            "'partition_name' is required when 'use_partitions' is set",
        )
        assert error(script, "dr_gw_status") == missing
        assert error(script, "dr_carrier_status", carrier_id="c") == missing
        assert error(script, "dr_number_routing", number="7") == missing
        for command in ("dr_gw_status", "dr_carrier_status", "dr_reload", "dr_reload_status"):
            assert error(script, command, partition_name="x")[:2] == (404, "Partition not found")
        assert script.mi("dr_gw_status", partition_name="two", gw_id="other") == {"State": "Active"}
        assert [one["name"] for one in script.mi("dr_reload_status")["Partitions"]] == ["one", "two"]
        assert list(script.mi("dr_reload_status", partition_name="two")) == ["name", "Date"]
        data = {name: one.data for name, one in module(script).partitions.items()}
        assert script.mi("dr_reload", partition_name="two", inherit_state="y") == "OK"
        assert module(script).partitions["one"].data is data["one"]
        assert module(script).partitions["two"].data is not data["two"]
        assert script.mi("dr_reload") == "OK"
        assert module(script).partitions["one"].data is not data["one"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (["one", "text:///x"], "twice"),
        (["", "text:///x"], "no name of a partition"),
        (["*", "text:///x"], "no name of a partition"),
        (["three", ""], "no db_url"),
        (["three", "x"], "no database URL"),
    ],
)
def test_a_table_of_partitions_that_makes_no_sense_stops_the_start(parted, row, told):
    parted.add("dr_partitions", 3, *row, *[""] * 11)
    with pytest.raises(ConfigurationError, match=told):
        in_partitions(parted)


def test_rules_can_come_from_several_tables_that_a_query_names(tmp_path):
    pytest.importorskip("aiosqlite")
    from sqlite3 import connect

    path = tmp_path / "dr.db"
    with connect(path) as database:
        database.executescript("""
            CREATE TABLE version (table_name TEXT, table_version INTEGER);
            INSERT INTO version VALUES ('dr_gateways', 6), ('dr_carriers', 3), ('dr_groups', 2), ('a', 4), ('b', 4);
            CREATE TABLE dr_gateways (id INTEGER, gwid TEXT, type INTEGER, address TEXT, strip INTEGER,
                pri_prefix TEXT, attrs TEXT, probe_mode INTEGER, socket TEXT, state INTEGER);
            INSERT INTO dr_gateways VALUES (1, 'gw1', 0, '10.0.1.1', 0, NULL, NULL, 0, NULL, 0);
            CREATE TABLE dr_carriers (id INTEGER, carrierid TEXT, gwlist TEXT, flags INTEGER, sort_alg TEXT,
                attrs TEXT, state INTEGER);
            CREATE TABLE a (ruleid INTEGER, groupid TEXT, prefix TEXT, timerec TEXT, priority INTEGER, routeid TEXT,
                gwlist TEXT, sort_alg TEXT, attrs TEXT);
            CREATE TABLE b AS SELECT * FROM a;
            INSERT INTO a VALUES (1, '0', '4', NULL, 0, NULL, 'gw1', 'N', 'first');
            INSERT INTO b VALUES (1, '0', '5', NULL, 0, NULL, 'gw1', 'N', 'second');
        """)
    text = f"""log_level=1
socket=udp:10.0.0.9:5060
loadmodule "db_sqlite.so"
loadmodule "drouting.so"
{NO_PROBES}
modparam("drouting", "db_url", "sqlite://{path}")
modparam("drouting", "drr_table", "BOTH")
modparam("drouting", "rule_tables_query", "BOTH: SELECT 'a' UNION SELECT 'b'")
route {{ exit; }}
"""
    with RunningScript(text) as script:
        first_load(script)
        assert [routes_to(script, number)["ATTRS"] for number in "45"] == ["first", "second"]
