"""Scripts of drouting: where requests go, what the AVPs tell, how the next gateway is found."""

from __future__ import annotations

import pytest

from miscript.sip import Message
from miscript.sip.replies import make_reply
from miscript.testing import ManualClock, MemoryPeer, RunningScript
from routing_tables import HOST, IN_MEMORY, QUIET, RoutingTables, call

NO_PROBES = QUIET + IN_MEMORY
SHOW = 'xlog("$rc $ru gw=$(avp(gw)[*]) next=$(avp(ruri)[*]) pri=$(avp(pri)[*]) rule=$avp(rule)/$avp(matched) '
SHOW += 'carrier=$(avp(carrier)[*]) [$var(ra)|$var(ga)|$var(ca)]\\n");'


@pytest.fixture
def tables(tmp_path):
    """Three gateways, two of them in a carrier."""
    return (
        RoutingTables(tmp_path / "db")
        .gateway("gw1", "sip:10.0.1.1:5070", attrs="first")
        .gateway("gw2", "sip:10.0.1.2;transport=tcp", strip=2, prefix="00", attrs="second")
        .gateway("gw3", "10.0.1.3", socket=f"udp:{HOST[0]}:{HOST[1]}")
        .carrier("c1", "gw2,gw3", attrs="cheap")
    )


def routed(tables: RoutingTables, arguments: str = "0", number: str = "4930", *, more: str = "", **message: str) -> str:
    """What is told after `do_routing(arguments)`."""
    body = f"route {{ do_routing({arguments}); {SHOW} }}\n{more}"
    with tables.script(body, parameters=NO_PROBES) as script:
        return script.route("", message=call(number, **message)).output.rstrip("\n")


def everything(tables: RoutingTables, arguments: str, number: str = "4930", *, more: str = "") -> list[str]:
    """The Request-URIs that one call tries, one after the other."""
    body = f"""route {{
      do_routing({arguments});
      while ($rc > 0) {{ xlog("$ru\\n"); use_next_gw(); }}
    }}
    {more}"""
    with tables.script(body, parameters=NO_PROBES) as script:
        return script.route("", message=call(number)).output.split()


ALL_OUT = "0, , , $var(ra), $var(ga), $var(ca)"


def test_a_number_goes_to_the_gateways_of_its_rule(tables):
    tables.rule("49", "gw2,gw1", attrs="de")
    assert routed(tables, ALL_OUT) == (
        "1 sip:0030@10.0.1.2;transport=tcp gw=gw2, gw1 next=sip:4930@10.0.1.1:5070 pri=00,  rule=1/49 carrier=,  "
        "[de|second|]"
    )


def test_a_carrier_stands_for_its_gateways(tables):
    tables.rule("49", "gw1,#c1", attrs="de")
    assert everything(tables, "0") == ["sip:4930@10.0.1.1:5070", "sip:0030@10.0.1.2;transport=tcp", "sip:4930@10.0.1.3"]
    body = f"route {{ do_routing({ALL_OUT}); use_next_gw($var(ra), $var(ga), $var(ca)); {SHOW} }}"
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("", message=call()).output == (
            "1 sip:0030@10.0.1.2;transport=tcp gw=gw2, gw3 next=sip:4930@10.0.1.3 pri=00,  rule=1/49 carrier=c1, c1 "
            "[de|second|cheap]\n"
        )


def test_only_the_first_gateway_that_can_be_used_of_a_carrier_with_that_flag(tables):
    tables.carrier("one", "gw2,gw3", flags=1).rule("49", "#one,gw1")
    assert everything(tables, "0") == ["sip:0030@10.0.1.2;transport=tcp", "sip:4930@10.0.1.1:5070"]
    tables.rows["dr_gateways"].clear()
    tables.gateway("gw1", "10.0.1.1").gateway("gw2", "10.0.1.2", state=2).gateway("gw3", "10.0.1.3")
    body = 'route { do_routing(0); xlog("$(avp(gw)[*])\\n"); }'
    with tables.script(body, parameters=QUIET) as script:
        assert script.route("", message=call()).output == "gw3, gw1\n"


def test_a_carrier_that_is_off_by_its_flag_or_its_state_is_passed_over(tables):
    tables.carrier("off", "gw1", flags=2).carrier("out", "gw2", state=1).rule("49", "#off,#out,gw3")
    with tables.script('route { do_routing(0); xlog("$(avp(gw)[*])\\n"); }', parameters=QUIET) as script:
        assert script.route("", message=call()).output == "gw3\n"


def test_the_request_keeps_password_and_parameters_and_goes_by_the_gateway_s_socket(tables):
    tables.rule("", "gw3")
    body = 'route { do_routing(0); xlog("$ru $socket_out\\n"); }'
    with tables.script(body, parameters=NO_PROBES) as script:
        message = call().replace("INVITE sip:4930@example.com", "INVITE sip:12:pw@example.com;user=phone")
        assert script.route("", message=message).output == (f"sip:12:pw@10.0.1.3;user=phone udp:{HOST[0]}:{HOST[1]}\n")
        message = call().replace("INVITE sip:4930@example.com", "INVITE tel:+4930")
        assert script.route("", message=message).output.startswith("sip:+4930@10.0.1.3 ")
        message = call().replace("INVITE sip:4930@example.com", "INVITE sip:example.com")
        assert script.route("", message=message).output.startswith("sip:10.0.1.3 ")


def test_without_a_rule_or_a_usable_gateway_nothing_is_changed(tables):
    tables.rule("49", "nosuch,gw9").rule("50", "")
    for number in ("4930", "50", "7"):
        assert routed(tables, ALL_OUT, number) == (
            f"-1 sip:{number}@example.com gw=<null> next=<null> pri=<null> rule=<null>/<null> carrier=<null> "
            "[<null>|<null>|<null>]"
        )


def test_what_an_earlier_routing_left_is_gone_when_the_next_one_fails(tables):
    tables.rule("49", "gw1,gw2")
    body = 'route { do_routing(0); do_routing(7); xlog("$rc\\n"); use_next_gw(); xlog("$rc $(avp(gw)[*])\\n"); }'
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("", message=call()).output == "-1\n-1 <null>\n"


# -- rules ------------------------------------------------------------------------------------------------------------


def test_only_the_best_rule_counts_unless_the_script_wants_to_fall_back(tables):
    tables.rule("", "gw1").rule("49", "nosuch").rule("4", "gw2").rule("4", "gw3", priority=3)
    assert everything(tables, "0") == []
    assert everything(tables, '0, "F"') == [
        "sip:4930@10.0.1.3",
        "sip:0030@10.0.1.2;transport=tcp",
        "sip:4930@10.0.1.1:5070",
    ]


def test_falling_back_keeps_to_the_group_the_number_and_the_white_list(tables):
    tables.rule("49", "gw2", group=1).rule("4", "gw1,gw3", group=1, attrs="four").rule("", "gw1", group=2)
    assert everything(tables, '1, "F", "gw2,gw3"') == ["sip:0030@10.0.1.2;transport=tcp", "sip:4930@10.0.1.3"]
    body = """route {
      do_routing(1, "F"); use_next_gw($var(a), $var(b)); xlog("$rc $avp(rule) $avp(matched) $var(a) $var(b)\\n");
    }"""
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("", message=call()).output == "1 2 4 four first\n"


def test_falling_back_goes_on_in_a_failure_route_with_the_transaction(tables):
    tables.rule("49", "gw1").rule("", "gw3")
    body = """
    route { do_routing(0, "F"); t_on_failure("next"); t_relay(); }
    failure_route[next] { use_next_gw(); if ($rc > 0) { t_on_failure("next"); t_relay(); } }
    """
    with tables.script(body, parameters=NO_PROBES) as script:
        caller = script.network.peer("udp:10.0.0.1:5060")
        gateways = [script.network.peer(f"udp:10.0.1.{n}:{port}") for n, port in ((1, 5070), (3, 5060))]
        caller.send(call(), *HOST)
        script.settle()
        (first,) = gateways[0].take()
        assert first.uri == "sip:4930@10.0.1.1:5070"
        refuse(script, gateways[0], first)
        (second,) = gateways[1].take()
        assert second.uri == "sip:4930@10.0.1.3"
        refuse(script, gateways[1], second)
        assert [message.status for message in caller.take()][-1] == 500  # for 503, RFC 3261 16.7


def refuse(script: RunningScript, peer: MemoryPeer, request: Message) -> None:
    """Answer a request with 503."""
    peer.send(make_reply(request, 503, "No", to_tag="b"), *HOST)
    script.settle()


def test_a_rule_counts_only_at_its_time(tables):
    tables.rule("4", "gw1").rule("49", "gw3", time="20200101T000000|20200102T000000")
    clock = ManualClock(1_577_836_800 + 3600)  # the first hour of 2020
    with tables.script('route { do_routing(0); xlog("$ru\\n"); }', parameters=NO_PROBES, clock=clock) as script:
        assert script.route("", message=call()).output == "sip:4930@10.0.1.3\n"
        script.advance(30 * 3600)
        assert script.route("", message=call()).output == "sip:4930@10.0.1.1:5070\n"


def test_strict_matching_wants_the_whole_number(tables):
    tables.rule("49", "gw1").rule("4930", "gw3")
    assert routed(tables, '0, "L"').startswith("1 sip:4930@10.0.1.3")
    assert routed(tables, '0, "L"', "49301").startswith("-1 ")


def test_only_checking_changes_no_more_than_what_tells_the_rule(tables):
    tables.rule("49", "gw1", attrs="de")
    assert routed(tables, '0, "C", , $var(ra), $var(ga)') == (
        "1 sip:4930@example.com gw=<null> next=<null> pri=<null> rule=1/49 carrier=<null> [de|<null>|<null>]"
    )


def test_the_route_of_a_rule_runs_before_the_request_is_changed_whatever_it_returns(tables):
    tables.rule("49", "gw1", route="mine").rule("5", "gw1", route="nosuch")
    more = 'route[mine] { xlog("mine $ru $avp(rule)\\n"); $avp(seen) = "yes"; return(-1); }'
    told = routed(tables, "0", more=more)
    assert told.splitlines()[0] == "mine sip:4930@example.com <null>"
    assert told.splitlines()[1].startswith("1 sip:4930@10.0.1.1:5070 ")
    assert routed(tables, "0", "5", more=more).startswith("1 ")
    body = 'route { do_routing(0); xlog("$avp(seen)\\n"); }\n' + more
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("", message=call()).output.endswith("yes\n")


def test_a_rule_whose_route_routes_again_comes_to_an_end(tables):
    tables.rule("49", "gw1", route="again")
    more = "route[again] { $avp(n) = $avp(n) + 1; do_routing(0); $avp(code) = $rc; }"
    body = f"route {{ $avp(n) = 0; do_routing(0); $avp(mine) = $rc; }}\n{more}"
    with tables.script(body, parameters=NO_PROBES) as script:
        avps = script.route("", message=call()).avps
        assert (avps["n"][-1], avps["mine"]) == (10, [1])
        assert -1 in avps["code"]


def test_a_white_list_names_all_that_may_be_used(tables):
    tables.rule("49", "gw1,#c1,gw3")
    assert everything(tables, '0, , "gw3,#c1"') == [
        "sip:0030@10.0.1.2;transport=tcp",
        "sip:4930@10.0.1.3",
        "sip:4930@10.0.1.3",
    ]
    assert everything(tables, '0, , "gw2"') == []
    assert everything(tables, '0, , "nosuch"') == []
    assert everything(tables, '0, , ";"') == []
    assert len(everything(tables, '0, , ""')) == 4


# -- groups -----------------------------------------------------------------------------------------------------------


def test_the_group_of_the_caller_is_looked_up_by_user_and_domain(tables):
    tables.rule("", "gw1", group=1).rule("", "gw3", group=2)
    tables.add("dr_groups", 1, "alice", "a.com", 1, "").add("dr_groups", 2, "bob", "other.com", 2, "")
    body = 'route { do_routing(); xlog("$rc $ru\\n"); do_routing(-1); xlog("$rc\\n"); }'
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("", message=call()).output == "1 sip:4930@10.0.1.1:5070\n1\n"
        assert script.route("", message=call(user="bob")).output == "-1 sip:4930@example.com\n-1\n"
    without_domain = NO_PROBES + 'modparam("drouting", "use_domain", 0)\n'
    with tables.script(body, parameters=without_domain) as script:
        assert script.route("", message=call(user="bob")).output == "1 sip:4930@10.0.1.3\n1\n"
    default = NO_PROBES + 'modparam("drouting", "default_group", 2)\n'
    with tables.script(body, parameters=default) as script:
        assert script.route("", message=call(user="carol")).output == "1 sip:4930@10.0.1.3\n1\n"


def test_a_table_of_groups_that_cannot_be_asked_fails_the_call_alone(tables):
    tables.rule("", "gw1", group=1)
    body = 'route { do_routing(); xlog("$rc\\n"); do_routing(1); xlog("$rc\\n"); }'
    parameters = NO_PROBES + 'modparam("drouting", "drg_user_col", "nosuch")\n'
    with tables.script(body, parameters=parameters) as script:
        assert script.route("", message=call()).output == "-1\n1\n"


# -- by name ----------------------------------------------------------------------------------------------------------


def test_a_request_can_go_to_carriers_whatever_its_number(tables):
    tables.carrier("c2", "gw1", attrs="other").carrier("c3", "nosuch")
    body = f"route {{ route_to_carrier($param(1), $var(ga), $var(ca)); {SHOW} }}"
    body = body.replace("route {", "route { exit; } route[to] {")
    with tables.script(body, parameters=NO_PROBES) as script:
        told = script.route("to", "c2 , nosuch, c1", message=call()).output
        assert told == (
            "1 sip:4930@10.0.1.1:5070 gw=gw1, gw2, gw3 next=sip:0030@10.0.1.2;transport=tcp, sip:4930@10.0.1.3 "
            "pri=, 00,  rule=<null>/<null> carrier=c2, c1, c1 [<null>|first|other]\n"
        )
        for nothing in ("", "c3", "#c1", "gw1", "c1=5"):
            assert script.route("to", nothing, message=call()).output.startswith("-1 sip:4930@example.com ")


def test_a_request_can_go_to_gateways_by_name(tables):
    body = f"route {{ exit; }} route[to] {{ route_to_gw($param(1), $var(ga), $var(ca)); {SHOW} }}"
    with tables.script(body, parameters=NO_PROBES) as script:
        told = script.route("to", "nosuch, gw2, gw1", message=call()).output
        assert told == (
            "1 sip:0030@10.0.1.2;transport=tcp gw=gw2, gw1 next=sip:4930@10.0.1.1:5070 pri=00,  rule=<null>/<null> "
            "carrier=,  [<null>|second|cheap]\n"
        )
        for nothing in ("", "nosuch", "#c1", "gw1=5"):
            assert script.route("to", nothing, message=call()).output.startswith("-1 ")


# -- states -----------------------------------------------------------------------------------------------------------


def test_a_gateway_that_is_switched_off_meanwhile_is_not_the_next_one(tables):
    tables.rule("49", "gw1,gw2,gw3")
    body = """route {
      do_routing(0);
      $avp(p) = "gw_id"; $avp(v) = "gw2"; $avp(p) = "status"; $avp(v) = "0";
      mi("dr_gw_status", $var(r), $avp(p), $avp(v));
      use_next_gw(); xlog("$ru\\n");
    }"""
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("", message=call()).output == "sip:4930@10.0.1.3\n"


def test_dr_disable_switches_off_the_gateway_in_use_and_tells_of_it(tables):
    tables.rule("49", "gw1,gw3")
    body = """
    route { do_routing(0); use_next_gw(); dr_disable(); xlog("$rc "); dr_disable(); xlog("$rc\\n"); }
    event_route[E_DROUTING_STATUS] {
      xlog("$param(partition) $param(gwid) $param(address) $param(status) $param(reason)\\n");
    }"""
    with tables.script(body, parameters=NO_PROBES) as script:
        script.route("", message=call())
        script.finish()
        assert script.take() == "1 1\nDefault gw3 10.0.1.3 inactive script dr_disable\n"
        assert script.mi("dr_gw_status", gw_id="gw3") == {"State": "Inactive"}
        assert script.route("", message=call()).output == "-1 -1\n"  # no next one, so none is in use


def test_a_number_can_be_matched_without_a_request_to_it(tables):
    tables.rule("49", "gw1", attrs="de", time="20990101T000000").rule("4", "nosuch", attrs="four")
    body = """route[m] {
      dr_match(0, $param(2), $param(1), $var(a)); xlog("$rc $var(a) $avp(matched) $avp(rule)\\n");
    }"""
    with tables.script(body, parameters=NO_PROBES) as script:
        assert script.route("m", "49", "", message=call()).output == "1 four 4 <null>\n"
        assert script.route("m", "49", "L", message=call()).output == "-1 four <null> <null>\n"
        assert script.route("m", "4", "L", message=call()).output == "1 four 4 <null>\n"
        assert script.route("m", "5", "", message=call()).output.startswith("-1 ")
