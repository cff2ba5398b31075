"""Module dispatcher: tables, choosing, going on, states, MI; observed answers of OpenSIPS 4.1."""

from __future__ import annotations

import pytest

from dispatcher_tables import HOST, Table, invite, listed
from miscript.errors import ConfigurationError, ScriptError
from miscript.freeswitch_service import Heartbeat
from miscript.modules.dispatcher.partition import freeswitch_weight
from miscript.sip.replies import make_reply
from miscript.testing import RunningScript

LIST = "$(avp(ds_dst_failover)[*]{re.subst,/sip:127.0.0.1://g})"
AVPS = 'modparam("dispatcher", "attrs_avp", "$avp(at)")\nmodparam("dispatcher", "script_attrs_avp", "$avp(sat)")\n'


@pytest.fixture
def table(tmp_path):
    """A table without rows."""
    return Table(tmp_path / "db")


def three(table: Table) -> Table:
    for port, weight in ((7000, 1), (7001, 2), (7002, 3)):
        table.add(1, f"sip:127.0.0.1:{port}", weight=weight, attrs=f"a{port}" if port != 7001 else "")
    return table


def ask(script: RunningScript, message: str = invite()) -> list[str]:
    """What the main route prints for a request, by line."""
    return script.route(message=message).output.splitlines()


# -- choosing and going on ------------------------------------------------------------------------------------------


def test_a_request_goes_to_the_chosen_destination_and_on_to_the_others(table):
    body = f"""route {{
        ds_select_dst(1, 8, "f"); xlog("$rc $du {LIST} $avp(ds_cnt_failover) $avp(ds_grp_failover)\\n");
        ds_next_dst(); xlog("$rc $du {LIST}\\n");
        ds_next_dst(); xlog("$rc $du {LIST}\\n");
        ds_next_dst(); xlog("$rc $du {LIST}\\n");
        ds_next_dst(); xlog("$rc\\n"); }}"""
    with three(table).script(body) as script:
        assert ask(script) == [
            "1 sip:127.0.0.1:7000 7000, 7001, 7002 3 1",
            "1 sip:127.0.0.1:7001 7001, 7002",
            "1 sip:127.0.0.1:7002 7002",
            "-1 sip:127.0.0.1:7002 <null>",
            "-1",
        ]


def test_without_failover_nobody_follows_and_nobody_can_be_marked(table):
    body = f"""route {{ ds_select_dst(1, 4); xlog("$rc $du {LIST} $avp(ds_cnt_failover) $avp(ds_grp_failover)\\n");
        ds_mark_dst(); xlog("$rc\\n"); ds_next_dst(); xlog("$rc $du\\n"); }}"""
    with three(table).script(body) as script:
        assert ask(script) == ["1 sip:127.0.0.1:7000 <null> 0 1", "-1", "-1 sip:127.0.0.1:7000"]


def test_what_was_chosen_before_can_stay_behind_what_is_chosen_now(table):
    body = f"""route {{ ds_select_dst(1, 8, "f", , 2); xlog("{LIST}\\n");
        ds_select_dst(1, 4, "fa", , 2); xlog("{LIST} $(avp(ds_cnt_failover)[*])\\n"); }}"""
    with three(table).script(body) as script:
        assert ask(script) == ["7000, 7001", "7000, 7001, 7000, 7001 2, 2"]


def test_the_domain_of_the_request_uri_can_be_that_of_the_destination(table):
    body = """route { $ru = "sip:me@there.com:99;p=1"; ds_select_domain(1, 8, "f"); xlog("$rc $ru $du\\n");
        ds_next_domain(); xlog("$rc $ru $du\\n"); ds_next_dst(); xlog("$rc $ru $du\\n");
        $ru = "tel:+1"; ds_select_domain(1, 8, "f"); xlog("$rc $ru\\n"); }"""
    with three(table).script(body) as script:
        assert ask(script) == [
            "1 sip:me@127.0.0.1:7000;p=1 <null>",
            "1 sip:me@127.0.0.1:7001;p=1 <null>",
            "1 sip:me@127.0.0.1:7001;p=1 sip:127.0.0.1:7002",
            "-1 tel:+1",
        ]


def test_attributes_of_the_current_destination_are_told(table):
    body = """route { ds_push_script_attrs("load=1", "127.0.0.1", 7001, 1);
        ds_select_dst(1, 8); xlog("$(avp(at)[*])|$(avp(sat)[*])\\n");
        ds_select_dst(1, 8, "f"); xlog("$(avp(at)[*])|$(avp(sat)[*])\\n");
        ds_next_dst(); xlog("$avp(at)|$avp(sat)\\n"); }"""
    with three(table).script(body, parameters=AVPS) as script:
        assert ask(script) == ["a7000|", "a7000, , a7002|, load=1, ", "|load=1"]


def test_destinations_have_their_own_sockets_and_those_without_have_none(table):
    table.add(1, "sip:127.0.0.1:7000", socket="udp:10.0.0.8:5099").add(1, "sip:127.0.0.1:7001")
    table.add(1, "sip:127.0.0.1:7002", socket="udp:1.1.1.1:1")
    body = """route { ds_select_dst(1, 8, "f"); xlog("$socket_out(forced)\\n"); ds_next_dst();
        xlog("$socket_out(forced)\\n"); ds_next_dst(); xlog("$socket_out(forced)\\n"); }"""
    with table.script(body, head="socket=udp:10.0.0.8:5099") as script:
        assert ask(script) == ["udp:10.0.0.8:5099", "<null>", "<null>"]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("ds_select_dst(9, 4)", "-1"),
        ("ds_select_dst(-1, 4)", "-1"),
        ("ds_select_dst(1, 7)", "-1"),
        ("ds_select_dst(1, 10)", "-1"),
        ("ds_select_dst(1, 55)", "1"),
        ("ds_select_dst(1, 9)", "1"),
        ("ds_select_dst(1, 8, $var(wrong))", "-1"),
        ("ds_select_dst(1, 8, , $var(wrong))", "-1"),
        ('ds_mark_dst("x")', "-1"),
    ],
)
def test_return_codes_are_those_of_the_server(table, call, code):
    with three(table).script(f'route {{ $var(wrong) = "wrong"; {call}; xlog("$rc\\n"); }}') as script:
        assert ask(script) == [code]


@pytest.mark.parametrize("call", ['ds_select_dst(1, 8, "x")', 'ds_next_dst("nope")', 'ds_count(1, "z", $var(x))'])
def test_what_is_written_out_wrong_is_refused_when_the_script_is_loaded(table, call):
    with pytest.raises((ConfigurationError, ScriptError)):
        three(table).script(f"route {{ {call}; }}")


def test_a_hash_leads_a_caller_to_the_same_destination_and_credentials_count(table):
    for port in range(97):
        table.add(1, f"sip:127.0.0.1:{7000 + port}")
    body = """route { ds_select_dst(1, 0); xlog("$du\\n"); ds_select_dst(1, 2); xlog("$du\\n");
        ds_select_dst(1, 5); xlog("$du\\n"); ds_select_dst(1, 7); xlog("$du\\n"); }"""
    with table.script(body, parameters='modparam("dispatcher", "hash_pvar", "$hdr(X)")') as script:
        credentials = 'Authorization: Digest username="joe", realm="r", nonce="n", uri="u", response="r"\n'
        found = ask(script, invite("call-1@x", more=f"{credentials}X: abcd\n"))
        assert [line.rpartition(":")[2] for line in found] == ["7076", "7083", "7043", "7032"]


def test_without_credentials_algorithm_5_takes_turns(table):
    with three(table).script('route { ds_select_dst(1, 5); xlog("$du\\n"); }') as script:
        assert [ask(script)[0][-4:] for _ in range(4)] == ["7000", "7001", "7001", "7002"]


def test_loads_told_by_variables_decide(table):
    body = f"""startup_route {{ $shv(sip:127.0.0.1:7000_1) = 7; $shv(sip:127.0.0.1:7001_1) = "x";
        $shv(sip:127.0.0.1:7002_1) = 3; }}
        route {{ ds_select_dst(1, 9, "f"); xlog("$rc {LIST}\\n"); }}"""
    parameters = 'loadmodule "cfgutils.so"\nmodparam("dispatcher", "pvar_algo_pattern", "$shv(%u_%i)")'
    with three(table).script(body, parameters=parameters) as script:
        assert ask(script) == ["1 7002, 7000"]


def test_a_route_can_decide(table):
    body = f"""route {{ ds_select_dst(1, 10, "f"); xlog("$rc {LIST}\\n"); }}
        route[weigh] {{ xlog("$param(1) $param(attrs) [$param(script_attrs)]\\n");
        if ($param(dst_uri) =~ "7001") return(-1); if ($param(1) =~ "7002") return(1); return(4); }}"""
    with three(table).script(body, parameters='modparam("dispatcher", "algo_route", "weigh")') as script:
        assert ask(script) == [
            "sip:127.0.0.1:7000 a7000 []",
            "sip:127.0.0.1:7001  []",
            "sip:127.0.0.1:7002 a7002 []",
            "1 7002, 7000",
        ]


# -- asking -----------------------------------------------------------------------------------------------------------


def test_addresses_are_found_in_sets(table):
    three(table).add(2, "sip:127.0.0.2", attrs="foo=bar").add(2, "sip:gw.example.com;transport=tcp")
    body = """route { $var(sid) = 0; ds_is_in_list("127.0.0.1", 7001); xlog("$rc $var(sid)\\n");
        ds_is_in_list("127.0.0.1", 7001, 2); xlog("$rc\\n");
        ds_is_in_list("127.0.0.2", 5060, 2); xlog("$rc\\n");
        ds_is_in_list("127.0.0.2", 0, -1, , 1, "foo*"); xlog("$rc $var(sid) $avp(at)\\n");
        ds_is_in_list("127.0.0.2", 0, -1, , 0, "FOO*"); xlog("$rc\\n");
        ds_is_in_list("127.0.0.1", 7001, 1, , 0, "*"); xlog("$rc\\n");
        ds_is_in_list("10.9.9.9", 5060); xlog("$rc\\n");
        ds_is_in_list("gw.example.com", 5060); xlog("$rc\\n");
        mi("ds_set_state i 1 sip:127.0.0.1:7001");
        ds_is_in_list("127.0.0.1", 7001, , , 1); xlog("$rc\\n");
        ds_is_in_list("127.0.0.1", 7001); xlog("$rc\\n"); }"""
    parameters = AVPS + 'modparam("dispatcher", "setid_pvar", "$var(sid)")'
    with table.script(body, parameters=parameters) as script:
        script.network.names["gw.example.com"] = ["10.9.9.9"]
        script.mi("ds_reload")
        codes = ["1 1", "-1", "1", "1 2 foo=bar", "-1", "-1", "1", "-1", "-1", "1"]
        assert ask(script) == codes


def test_destinations_are_counted_by_state(table):
    body = """route { ds_count(1, "a", $var(n)); xlog("$rc $var(n)\\n");
        ds_count(1, "ip", $var(n)); xlog("$rc $var(n)\\n");
        ds_count(1, "0A2", $var(n)); xlog("$rc $var(n)\\n"); ds_count(7, "a", $var(n)); xlog("$rc\\n"); }"""
    with three(table).script(body) as script:
        script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7001")
        assert ask(script) == ["1 2", "1 1", "1 3", "-1"]


def test_texts_are_noted_with_destinations_and_read_again(table):
    body = """route { ds_push_script_attrs("one", "127.0.0.1", 7001, 1); xlog("$rc\\n");
        ds_push_script_attrs("all", "127.0.0.1", 7002); xlog("$rc\\n");
        ds_push_script_attrs("x", "127.0.0.8", 7001, 1); xlog("$rc\\n");
        ds_push_script_attrs("x", "junk", 7001, 1); xlog("$rc\\n");
        ds_get_script_attrs("sip:127.0.0.1:7001", 1, , $var(o)); xlog("$rc $var(o)\\n");
        ds_get_script_attrs("sip:127.0.0.1:7002", 1, "default", $var(o)); xlog("$rc $var(o)\\n");
        ds_get_script_attrs("sip:127.0.0.1:7000", 1, , $var(o)); xlog("$rc [$var(o)]\\n");
        ds_get_script_attrs("sip:127.0.0.1:9", 1, , $var(o)); xlog("$rc\\n"); }"""
    with three(table).script(body) as script:
        assert ask(script) == ["1", "1", "1", "-1", "1 one", "1 all", "1 []", "-1"]


# -- states -----------------------------------------------------------------------------------------------------------

EVENT = """event_route[E_DISPATCHER_STATUS] {
    xlog("$param(partition) $param(group) $param(address) $param(status): $param(reason)\\n"); }"""


def test_a_marked_destination_is_passed_over_and_the_event_tells(table):
    body = f'route {{ ds_select_dst(1, 8, "f"); ds_mark_dst(); xlog("$rc $du\\n"); }}\n{EVENT}'
    with three(table).script(body) as script:
        script.route(message=invite())
        script.finish()
        assert script.take().splitlines() == [
            "1 sip:127.0.0.1:7000",
            "default 1 sip:127.0.0.1:7000 inactive: script function ds_mark()",
        ]
        assert ask(script)[0] == "1 sip:127.0.0.1:7001"
        assert listed(script)[:2] == [("sip:127.0.0.1:7000", "Inactive"), ("sip:127.0.0.1:7001", "Inactive")]


def test_probing_needs_as_many_marks_as_the_threshold(table):
    body = 'route { ds_select_dst(1, 8, "f"); ds_mark_dst("p"); }'
    with three(table).script(body, parameters='modparam("dispatcher", "ds_probing_threshold", 2)') as script:
        states = []
        for _ in range(3):
            script.route(message=invite())
            states.append([state for _, state in listed(script)])
        assert states == [
            ["Active", "Active", "Active"],
            ["Probing", "Active", "Active"],
            ["Probing", "Active", "Active"],
        ]


def test_one_that_was_put_out_of_service_is_not_brought_back_by_probing_marks(table):
    with three(table).script() as script:
        script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7000")
        script.mi("ds_set_state", "p", 1, "sip:127.0.0.1:7000")
        assert listed(script)[0] == ("sip:127.0.0.1:7000", "Inactive")
        script.mi("ds_set_state", "p", 1, "sip:127.0.0.1:7000")
        script.mi("ds_set_state", "p", 1, "sip:127.0.0.1:7000")
        assert listed(script)[0] == ("sip:127.0.0.1:7000", "Probing")


def test_states_are_read_from_the_table_and_written_back(table):
    table.add(1, "sip:127.0.0.1:7000", state=1).add(1, "sip:127.0.0.1:7001", state=2).add(1, "sip:127.0.0.1:7002")
    with table.script() as script:
        assert [state for _, state in listed(script)] == ["Inactive", "Probing", "Active"]
        script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7002")
        script.mi("ds_set_state", "a", 1, "sip:127.0.0.1:7000")
    assert table.states() == {"sip:127.0.0.1:7000": 0, "sip:127.0.0.1:7001": 2, "sip:127.0.0.1:7002": 1}


def test_states_stay_with_the_host_when_that_is_wanted(table):
    table.add(1, "sip:127.0.0.1:7000", state=1)
    with table.script(parameters='modparam("dispatcher", "persistent_state", 0)') as script:
        assert listed(script) == [("sip:127.0.0.1:7000", "Active")]
        script.mi("ds_set_state", "p", 1, "sip:127.0.0.1:7000")
    assert table.states() == {"sip:127.0.0.1:7000": 1}


def test_the_timer_writes_states_back(table):
    with three(table).script() as script:
        script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7000")
        script.advance(31)
        script.mi("dbt_dump")
        assert table.states()["sip:127.0.0.1:7000"] == 1


def test_switches_and_loading_are_reported(table):
    with three(table).script() as script:
        script.mi("ds_set_state", "i", 1, "sip:127.0.0.1:7000")
        reports = {
            each["Name"]: [report["Log"] for report in each["Reports"]]
            for each in script.mi("sr_list_reports", "dispatcher")
        }
        assert reports == {
            "default;events": ["DESTINATION <sip:127.0.0.1:7000>, set 1 switched to [inactive] due to MI command\n"],
            "default": [
                "starting DB data loading",
                "DB data loading successfully completed",
                "3 destinations loaded (0 discarded)",
            ],
        }
        status = script.mi("sr_get_status", "dispatcher", "default")
        assert status == {"Readiness": True, "Status": 1, "Details": "data available"}


# -- parameters -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "said"),
    [
        ('"attrs_avp", "$var(x)"', "expected an AVP"),
        ('"setid_pvar", "$si"', "expected $var(name)"),
        ('"ds_probing_threshold", 0', "must be positive"),
        ('"cluster_id", 1', "not available"),
        ('"fetch_freeswitch_stats", 1', "needs module freeswitch"),
        ('"db_url", "foo://x"', "no module is loaded for 'foo:'"),
        ('"partition", "foo: bar=1"', "has no 'bar'"),
    ],
)
def test_a_wrong_parameter_is_refused(table, parameter, said):
    with pytest.raises((ScriptError, ConfigurationError), match=None) as refused:
        three(table).script(parameters=f'modparam("dispatcher", {parameter})')
    assert said in str(refused.value)


def test_a_missing_table_is_refused(table):
    with pytest.raises(ConfigurationError, match="says nothing of 'nosuch'"):
        three(table).script(parameters='modparam("dispatcher", "table_name", "nosuch")')


def test_blacklists_hold_the_places_of_sets(table):
    three(table).add(2, "sip:10.0.0.2;transport=tcp").add(3, "sip:10.0.0.3")
    with table.script(parameters='modparam("dispatcher", "ds_define_blacklist", "gws = 2,3,9")') as script:
        rules = script.mi("list_blacklists", "gws")["Rules"]
        places = [(rule["IP"], rule["Proto"], rule["Port"]) for rule in rules]
        assert places == [("10.0.0.2", "tcp", 5060), ("10.0.0.3", "udp", 5060)]
        table.rows.pop()
        table.write()
        script.mi("dbt_reload")
        script.mi("ds_reload")
        assert len(script.mi("list_blacklists", "gws")["Rules"]) == 1


def test_a_weight_comes_from_its_freeswitch_server(table):
    table.add(1, "sip:10.0.0.1", weight="fs://:pw@127.0.0.1:9").add(1, "sip:10.0.0.2", weight=500)
    parameters = 'loadmodule "freeswitch.so"\nmodparam("dispatcher", "fetch_freeswitch_stats", 1)'
    with table.script(parameters=parameters) as script:

        def weights() -> list[int]:
            shown = script.mi("ds_list", full=1)["PARTITIONS"][0]["SETS"][0]["Destinations"]
            return [one["weight"] for one in shown]

        assert weights() == [100, 100]
        partition = next(m for m in script.host.catalog if m.name == "dispatcher").partitions["default"]
        partition._figures.of = lambda url: Heartbeat(80.0, 50, 100, 0.0)
        partition.refresh_weights(100)
        assert weights() == [40, 100]


@pytest.mark.parametrize(
    ("told", "weight"),
    [
        ((100, 0, 10), 100),
        ((50, 5, 10), 25),
        ((100, 10, 10), 0),
        ((100, 0, 0), 0),
        ((200, 0, 10), 100),
        ((9, 99, 10), 0),
    ],
)
def test_an_idle_server_has_the_highest_weight(told, weight):
    assert freeswitch_weight(Heartbeat(*told, 0.0), 100) == weight


# -- with SIP ---------------------------------------------------------------------------------------------------------


def test_a_call_goes_on_to_the_next_destination_when_the_first_refuses(table):
    table.add(1, "sip:10.0.0.21").add(1, "sip:10.0.0.22")
    body = """route { ds_select_dst(1, 8, "f"); t_on_failure("next"); t_relay(); }
        failure_route[next] { if (ds_next_dst()) { t_on_failure("next"); t_relay(); } }"""
    with table.script(body) as script:
        first, second = (script.network.peer(f"udp:10.0.0.2{n}:5060") for n in (1, 2))
        caller = script.network.peer("udp:10.0.0.1:5060")
        caller.send(invite(), *HOST)
        script.settle()
        (request,) = first.take()
        assert request.uri == "sip:bob@example.com"
        first.send(make_reply(request, 503, "Busy", to_tag="b"), *HOST)
        script.settle()
        assert [message.method for message in second.take()] == ["INVITE"]
