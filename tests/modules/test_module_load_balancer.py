"""Module load_balancer: calls, loads, status, probes; observed answers of OpenSIPS 4.1."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest

from miscript.errors import ConfigurationError, MIError, ScriptError
from miscript.freeswitch_service import Heartbeat
from miscript.sip.replies import make_reply
from miscript.testing import MemoryNetwork, RunningScript
from sip_phones import PROXY, phone, request, send

COLUMNS = (
    "id(int,auto) group_id(int) dst_uri(string) resources(string) probe_mode(int) attrs(string,null) "
    "description(string,null) \n"
)
MODULES = "sl signaling tm rr maxfwd sipmsgops db_text dialog load_balancer mi_script"


@dataclass
class Table:
    """`db_text` with the table `load_balancer`."""

    folder: Path
    version: int = 3
    rows: list[str] = field(default_factory=list)

    def add(self, group: object, uri: str, resources: str, probe_mode: object = 0, attrs: str = "") -> Table:
        values = [len(self.rows) + 1, group, uri, resources, probe_mode, attrs, ""]
        self.rows.append(":".join(str(value).replace(":", "\\:") for value in values))
        return self

    def write(self) -> Table:
        self.folder.mkdir(exist_ok=True)
        (self.folder / "version").write_text(
            f"table_name(string) table_version(int) \nload_balancer:{self.version}\ndialog:12\n"
        )
        (self.folder / "load_balancer").write_text(COLUMNS + "".join(f"{row}\n" for row in self.rows))
        return self

    def script(self, body: str = "route { exit; }", parameters: str = "") -> RunningScript:
        self.write()
        loads = "".join(f'loadmodule "{name}.so"\n' for name in MODULES.split())
        url = f'modparam("load_balancer", "db_url", "text://{self.folder}")\n'
        text = f"log_level=1\nsocket=udp:{PROXY[0]}:{PROXY[1]}\n{loads}{url}{parameters}\n{body}\n"
        return RunningScript(text, network=MemoryNetwork())


@pytest.fixture
def table(tmp_path):
    """Five destinations in two groups."""
    found = Table(tmp_path / "db")
    found.add(1, "sip:10.0.0.21", "pstn=3;vm=5", attrs="at1").add(1, "sip:10.0.0.22", "pstn=10; vm=2")
    return found.add(1, "sip:10.0.0.23", "pstn=4").add(2, "sip:10.0.0.24", "pstn=4;vm=1").add(1, "sip:10.0.0.25", "c=0")


def loads(script: RunningScript) -> dict[str, int]:
    """`id resource` → load, of all that have one."""
    return {
        f"{one['id']} {resource['name']}": resource["load"]
        for one in script.mi("lb_list")["Destinations"]  # type: ignore[index]  # JSON
        for resource in one["Resources"]
        if resource["load"]
    }


def enabled(script: RunningScript) -> list[str]:
    found = script.mi("lb_list")["Destinations"]  # type: ignore[index]  # JSON
    return [f"{one['enabled']} {one['auto-reenable']}" for one in found]


def ask(script: RunningScript, message: str | None = None) -> list[str]:
    return script.route(message=message or request()).output.splitlines()


def test_a_session_goes_from_the_destination_with_most_room_to_the_next(table):
    body = """route { t_newtran(); lb_is_started(); xlog("$rc\\n"); lb_next(); xlog("$rc\\n");
        lb_start(1, "pstn", , $var(a)); xlog("$rc $du [$var(a)]\\n"); lb_is_started(); xlog("$rc\\n");
        lb_start(1, "pstn"); xlog("$rc $du\\n");
        lb_next($var(a)); xlog("$rc $du [$var(a)]\\n"); lb_next($var(a)); xlog("$rc $du [$var(a)]\\n");
        lb_next(); xlog("$rc $du\\n"); lb_is_started(); xlog("$rc\\n"); lb_disable_dst(); xlog("$rc\\n");
        lb_reset(); xlog("$rc\\n"); lb_is_started(); xlog("$rc\\n"); }"""
    with table.script(body) as script:
        assert ask(script) == [
            "-1",
            "-1",
            "1 sip:10.0.0.22 []",
            "1",
            "1 sip:10.0.0.22",
            "1 sip:10.0.0.23 []",
            "1 sip:10.0.0.21 [at1]",
            "-3 sip:10.0.0.21",
            "1",
            "-1",
            "1",
            "-1",
        ]
        assert loads(script) == {}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ('lb_start(1, "nope")', "-4"),
        ('lb_start(9, "pstn")', "-3"),
        ('lb_start(1, "c")', "-2"),
        ('lb_start(1, "c", "n")', "1"),
        ('lb_start(1, "vm;pstn", "r")', "1"),
        ('load_balance(1, "pstn")', "1"),
        ("lb_start(1, $var(none))", "-1"),
        ("lb_disable_dst()", "-1"),
        ('lb_is_destination("10.0.0.21", 5060)', "1"),
        ('lb_is_destination("10.0.0.21", 0, 2)', "-1"),
        ('lb_is_destination("10.0.0.21", 0, -1, 1)', "1"),
        ('lb_is_destination("10.0.0.21", 5061)', "-1"),
        ('lb_is_destination("nope", 5060)', "-1"),
        ('lb_count_call("10.0.0.29", 5060, 1, "pstn")', "-1"),
        ('lb_count_call("10.0.0.21", 5060, 1, "nope")', "-1"),
        ('lb_count_call("10.0.0.21", 5060, 2, "pstn")', "-1"),
        ('lb_count_call("10.0.0.23", 0, -1, "vm")', "1"),
    ],
)
def test_return_codes_are_those_of_the_server(table, call, code):
    with table.script(f'route {{ t_newtran(); $var(none) = ""; {call}; xlog("$rc\\n"); }}') as script:
        assert ask(script) == [code]


def test_start_or_next_goes_on_where_there_is_a_session(table):
    body = """route { t_newtran(); lb_start_or_next(1, "vm;pstn", "r"); xlog("$du\\n");
        lb_start_or_next(1, "vm"); xlog("$du\\n"); }"""
    with table.script(body) as script:
        assert ask(script) == ["sip:10.0.0.21", "sip:10.0.0.22"]
        assert loads(script) == {"2 pstn": 1, "2 vm": 1}


def test_a_request_that_makes_no_dialog_cannot_be_counted(table):
    with table.script('route { lb_start(1, "pstn"); xlog("$rc $du\\n"); }') as script:
        assert ask(script, request("OPTIONS")) == ["-1 <null>"]


def test_calls_that_come_from_destinations_can_be_counted_and_uncounted(table):
    body = """route { t_newtran(); lb_count_call("10.0.0.22", 5060, 1, "pstn;vm"); lb_is_started(); xlog("$rc\\n");
        lb_count_call("10.0.0.22", 5060, 1, "pstn"); if ($hdr(X) == "undo")
        lb_count_call("10.0.0.22", 5060, -1, "pstn", 1); }"""
    with table.script(body) as script:
        assert ask(script) == ["-1"]
        assert loads(script) == {"2 pstn": 2, "2 vm": 1}
    with table.script(body) as script:
        ask(script, request(more="X: undo\n"))
        assert loads(script) == {"2 pstn": 1, "2 vm": 1}


CALL = """route {
    if (has_totag()) { loose_route(); t_relay(); exit; }
    if (!lb_start(1, "pstn")) { sl_send_reply(503, "Full"); exit; }
    record_route(); t_on_failure("next"); t_relay(); }
failure_route[next] { if (t_check_status("503")) lb_disable_dst(); if (lb_next()) { t_on_failure("next"); t_relay(); } }
event_route[E_LOAD_BALANCER_STATUS] { xlog("$param(group) $param(uri) $param(status)\\n"); }"""


def test_a_call_is_on_its_destination_until_it_ends(table):
    with table.script(CALL) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.22")
        send(script, alice, request())
        (invite,) = bob.take()
        assert loads(script) == {"2 pstn": 1}
        send(script, bob, make_reply(invite, 200, "OK", to_tag="b", headers=["Contact: <sip:bob@10.0.0.22>\r\n"]))
        answer = next(message for message in alice.take() if message.status == 200)
        route = f"Route: {answer.header('Record-Route')}\n"
        send(script, alice, request("ACK", "sip:bob@10.0.0.22", branch="z9hG4bKack", to_tag="b", more=route))
        assert loads(script) == {"2 pstn": 1}
        bob.take()
        send(script, alice, request("BYE", "sip:bob@10.0.0.22", branch="z9hG4bKbye", to_tag="b", more=route, cseq=2))
        (bye,) = bob.take()
        send(script, bob, make_reply(bye, 200, "OK"))
        script.advance(10)
        assert loads(script) == {}


def test_a_refused_call_goes_on_and_the_destination_is_left_alone(table):
    with table.script(CALL) as script:
        alice, bob, carol, dave = (phone(script, f"10.0.0.{n}") for n in (1, 22, 23, 21))
        send(script, alice, request())
        (invite,) = bob.take()
        send(script, bob, make_reply(invite, 503, "Full", to_tag="b"))
        assert loads(script) == {"3 pstn": 1}
        assert enabled(script)[1] == "no on"
        assert script.take() == "1 sip:10.0.0.22 disabled\n"
        (invite,) = carol.take()
        assert invite.uri == "sip:bob@10.0.0.2"
        send(script, carol, make_reply(invite, 486, "Busy", to_tag="c"))
        (invite,) = dave.take()
        send(script, dave, make_reply(invite, 486, "Busy", to_tag="d"))
        script.advance(10)
        assert loads(script) == {}


def test_commands_tell_and_change_the_status(table):
    body = 'event_route[E_LOAD_BALANCER_STATUS] { xlog("$param(uri) $param(status)\\n"); } route { exit; }'
    with table.script(body) as script:
        assert script.mi("lb_status", 1) == {"enable": "yes", "attrs": "at1"}
        assert script.mi("lb_status", 2) == {"enable": "yes"}
        for status, shown in ((0, "no off"), (0, "no off"), (7, "yes on"), (0, "no off")):
            assert script.mi("lb_status", 1, status) == "OK"
            assert enabled(script)[0] == shown
        script.finish()
        assert script.take().splitlines() == [
            "sip:10.0.0.21 disabled",
            "sip:10.0.0.21 enabled",
            "sip:10.0.0.21 disabled",
        ]
        with pytest.raises(MIError, match="404 Destination ID not found"):
            script.mi("lb_status", 99)


def test_a_resource_can_be_given_another_capacity_until_the_table_is_read_again(table):
    with table.script() as script:
        assert script.mi("lb_resize", 1, "pstn", 56) == "OK"
        assert script.mi("lb_list")["Destinations"][0]["Resources"][0] == {"name": "pstn", "max": 56, "load": 0}
        for arguments, said in (
            ((1, "c", 1), "no such resource"),
            ((9, "c", 1), "ID not found"),
            ((1, "vm", -1), "400"),
        ):
            with pytest.raises(MIError, match=said):
                script.mi("lb_resize", *arguments)
        script.mi("lb_status", 2, 0)
        assert script.mi("lb_reload") == "OK"
        assert script.mi("lb_list")["Destinations"][0]["Resources"][0]["max"] == 3
        assert enabled(script)[:2] == ["yes on", "no off"]


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ((1, "sip:10.0.0.29", "pstn=1", 3), "'probe_mode' is 3, expected 0 to 2"),
        ((-1, "sip:10.0.0.29", "pstn=1"), "'group_id' is -1"),
    ],
)
def test_a_wrong_table_is_refused_whole_and_the_old_one_stays(table, row, said):
    with table.script() as script:
        table.add(1, "sip:10.0.0.28", "pstn=1").add(*row).write()
        script.mi("dbt_reload")
        with pytest.raises(MIError) as refused:
            script.mi("lb_reload")
        assert said in str(refused.value.data)
        assert len(script.mi("lb_list")["Destinations"]) == 5


def test_a_table_of_another_version_does_not_start(table):
    table.version = 2
    with pytest.raises(ConfigurationError, match="version 2, expected 3"):
        table.script()


def test_a_destination_that_is_wrong_by_itself_is_left_out(table, caplog):
    table.add(1, "sip:nosuch.invalid", "pstn=1").add(1, "nonsense", "pstn=1").add(1, "sip:10.0.0.7", "pstn=x")
    with table.script() as script:
        assert len(script.mi("lb_list")["Destinations"]) == 5
    assert "'sip:nosuch.invalid') has no address" in caplog.text
    assert "'nonsense' is no SIP URI" in caplog.text
    assert "'pstn' is no resource with its number" in caplog.text


def test_probes_follow_the_mode_of_each_destination(tmp_path):
    table = Table(tmp_path / "db")
    for mode in (0, 1, 2):
        table.add(1, f"sip:10.0.0.2{mode}", "a=1", mode)
    parameters = (
        'modparam("load_balancer", "probing_interval", 1)\nmodparam("load_balancer", "probing_reply_codes", "404")'
    )
    body = 'route { t_newtran(); lb_start(1, "a"); lb_disable_dst(); lb_next(); lb_disable_dst(); }'
    with table.script(body, parameters) as script:
        peers = [phone(script, f"10.0.0.2{mode}") for mode in (0, 1, 2)]

        def turn(status: int) -> list[int]:
            script.advance(1)
            counts = []
            for peer in peers:
                requests = peer.take()
                counts.append(len(requests))
                for each in requests:
                    assert each.method == "OPTIONS"
                    assert each.header("From").startswith("<sip:prober@localhost>;tag=")
                    send(script, peer, make_reply(each, status, "Reason", to_tag="b"))
            return counts

        assert turn(503) == [0, 0, 1]
        assert enabled(script) == ["yes on", "yes on", "no on"]
        assert turn(404) == [0, 0, 1]
        assert enabled(script) == ["yes on", "yes on", "yes on"]
        script.route(message=request())
        assert enabled(script) == ["no on", "no on", "yes on"]
        assert turn(200) == [0, 1, 1]
        assert enabled(script) == ["no on", "yes on", "yes on"]
        for id in (1, 2, 3):
            script.mi("lb_status", id, 0)
        assert turn(200) == [0, 0, 0]


@pytest.mark.parametrize(
    "parameter",
    [
        '"cluster_id", 1',
        '"fetch_freeswitch_stats", 1',
        '"lb_define_blacklist", "a=x"',
        '"probing_interval", -1',
        '"probing_method", "A B"',
        '"probing_from", "x"',
        '"probing_reply_codes", "99"',
        '"db_url", "foo://x"',
    ],
)
def test_wrong_parameters_are_refused(table, parameter):
    with pytest.raises((ScriptError, ConfigurationError)):
        table.script(parameters=f'modparam("load_balancer", {parameter})')


def test_blacklists_hold_the_places_of_groups(table):
    with table.script(parameters='modparam("load_balancer", "lb_define_blacklist", "gws = 2,7")') as script:
        (rule,) = script.mi("list_blacklists", "gws")["Rules"]
        assert (rule["IP"], rule["Port"]) == ("10.0.0.24", 5060)


def test_a_capacity_comes_from_its_freeswitch_server(table):
    table.add(1, "sip:10.0.0.26", "ch=fs://:pw@127.0.0.1:9;vm=2")
    parameters = 'loadmodule "freeswitch.so"\nmodparam("load_balancer", "fetch_freeswitch_stats", 1)'
    with table.script(parameters=parameters) as script:
        resources = script.mi("lb_list")["Destinations"][5]["Resources"]
        assert resources[0] == {"name": "ch", "max": 1000, "load": 0}
        balancer = next(module for module in script.host.catalog if module.name == "load_balancer").balancer
        balancer._figures.of = lambda url: Heartbeat(50.0, 10, 100, 0.0)
        balancer.refresh_capacities()
        assert script.mi("lb_list")["Destinations"][5]["Resources"][0]["max"] == 45


def test_resources_that_are_written_out_wrong_are_refused(table):
    with pytest.raises((ScriptError, ConfigurationError), match="names no resources"):
        table.script('route { lb_start(1, ";pstn"); }')
