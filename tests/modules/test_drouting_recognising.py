"""Recognising gateways: `is_from_gw`, `goes_to_gw` and `dr_is_gw`, as OpenSIPS 4.1 answers."""

from __future__ import annotations

import pytest

from routing_tables import HOST, IN_MEMORY, QUIET, RoutingTables, call

NO_PROBES = QUIET + IN_MEMORY


@pytest.fixture
def tables(tmp_path):
    """Gateways of several types at several places; the first two share an address."""
    return (
        RoutingTables(tmp_path / "db")
        .gateway("gw1", "10.0.1.1:7201", attrs="one")
        .gateway("gw2", "10.0.1.1:7202", strip=1, prefix="00")
        .gateway("gw4", "sip:10.0.1.4:7204;transport=tcp", type=2, strip=2, prefix="+44", attrs="four")
        .gateway("gw5", "10.0.1.5", type=3)
        .carrier("c2", "gw5")
        .carrier("c1", "gw2,gw1", attrs="cheap")
    )


def body(function: str, arguments: str) -> str:
    return f"""route[ask] {{
      $ru = $param(1); $var(ga) = "-"; $var(ca) = "-";
      {function}({arguments});
      xlog("$rc $ru gw=$avp(gw) carrier=$avp(carrier) pri=$avp(pri) [$var(ga)|$var(ca)]\\n");
    }}"""


def goes(tables: RoutingTables, uri: str, flags: str = "", type: str = "") -> str:
    text = body("goes_to_gw", f'{type}, "{flags}", $var(ga), $var(ca)')
    with tables.script(text, parameters=NO_PROBES) as script:
        return script.route("ask", uri, message=call()).output.rstrip("\n")


@pytest.mark.parametrize(
    ("uri", "flags", "type", "told"),
    [
        ("sip:123@10.0.1.1:7202", "", "", "1 sip:123@10.0.1.1:7202 gw=<null> carrier=<null> pri=<null> [|cheap]"),
        ("sip:123@10.0.1.1:7202", "spic", "", "1 sip:0023@10.0.1.1:7202 gw=gw2 carrier=c1 pri=00 [|cheap]"),
        ("sip:123@10.0.1.1:7202", "s", "", "1 sip:23@10.0.1.1:7202 gw=<null> carrier=<null> pri=<null> [|cheap]"),
        ("sip:123@10.0.1.1:9", "i", "", "-1 sip:123@10.0.1.1:9 gw=<null> carrier=<null> pri=<null> [-|-]"),
        ("sip:123@10.0.1.1:9", "ni", "", "1 sip:123@10.0.1.1:9 gw=gw1 carrier=<null> pri=<null> [one|cheap]"),
        ("sip:1@10.0.1.5", "i", "", "1 sip:1@10.0.1.5 gw=gw5 carrier=<null> pri=<null> [|]"),
        ("sip:1@10.0.1.5:5060", "i", "3", "1 sip:1@10.0.1.5:5060 gw=gw5 carrier=<null> pri=<null> [|]"),
        ("sip:1@10.0.1.5", "i", "0", "-1 sip:1@10.0.1.5 gw=<null> carrier=<null> pri=<null> [-|-]"),
        ("sip:1@10.0.1.4:7204", "ic", "-1", "1 sip:1@10.0.1.4:7204 gw=gw4 carrier=<null> pri=<null> [four|-]"),
        ("sip:1@localhost:7202", "", "", "-1 sip:1@localhost:7202 gw=<null> carrier=<null> pri=<null> [-|-]"),
    ],
)
def test_where_a_request_goes_is_compared_with_address_port_and_type(tables, uri, flags, type, told):
    assert goes(tables, uri, flags, type) == told


def test_the_destination_uri_goes_before_the_request_uri(tables):
    text = 'route { $du = "sip:10.0.1.5"; goes_to_gw(, "i"); xlog("$rc $avp(gw)\\n"); }'
    with tables.script(text, parameters=NO_PROBES) as script:
        assert script.route("", message=call(host="10.0.1.1:7202")).output == "1 gw5\n"


@pytest.mark.parametrize(
    ("source", "arguments", "told"),
    [
        ("udp:10.0.1.1:7202", "", "1 <null>"),
        ("udp:10.0.1.1:9999", "", "-1 <null>"),
        ("udp:10.0.1.1:9999", '-1, "ni"', "1 gw1"),
        ("udp:10.0.1.4:7204", '2, "i"', "1 gw4"),
        ("udp:10.0.1.4:7204", '0, "i"', "-1 <null>"),
        ("udp:10.0.1.4:7204", ', "ir"', "-1 <null>"),
        ("udp:10.0.1.5:5060", ', "ir"', "1 gw5"),
        ("udp:10.0.1.9:5060", ', "n"', "-1 <null>"),
    ],
)
def test_where_a_message_came_from_is_compared_with_address_port_and_protocol(tables, source, arguments, told):
    text = f'route {{ is_from_gw({arguments}); xlog("$rc $avp(gw)\\n"); }}'
    with tables.script(text, parameters=NO_PROBES) as script:
        script.network.peer(source).send(call(), *HOST)
        script.settle()
        assert script.take() == f"{told}\n"


@pytest.mark.parametrize(
    ("uri", "arguments", "told"),
    [
        ("sip:x@10.0.1.5", ', "ispc"', "1 sip:4930@example.com gw=gw5 carrier=c2 pri= [-|-]"),
        ("sip:x@10.0.1.1:7202", ', "spic"', "1 sip:00930@example.com gw=gw2 carrier=c1 pri=00 [-|-]"),
        ("sip:10.0.1.4:7204", '3, "i"', "-1 sip:4930@example.com gw=<null> carrier=<null> pri=<null> [-|-]"),
        ("10.0.1.1", ', "n"', "-1 sip:4930@example.com gw=<null> carrier=<null> pri=<null> [-|-]"),
    ],
)
def test_any_uri_can_be_compared(tables, uri, arguments, told):
    text = body("dr_is_gw", f'"{uri}", {arguments}')
    with tables.script(text, parameters=NO_PROBES) as script:
        assert script.route("ask", "sip:4930@example.com", message=call()).output == f"{told}\n"


def test_a_name_is_resolved_to_be_compared(tables):
    text = 'route { dr_is_gw("sip:here.example.com:7202", , "i"); xlog("$rc $avp(gw)\\n"); }'
    with tables.script(text, parameters=NO_PROBES) as script:
        script.network.names["here.example.com"] = ["10.0.1.1"]
        assert script.route("", message=call()).output == "1 gw2\n"


def test_all_partitions_can_be_asked(tables):
    url = f"text://{tables.folder}"
    tables.add("dr_partitions", 1, "one", url, *[""] * 11)
    parameters = (
        f'modparam("drouting", "use_partitions", 1)\nmodparam("drouting", "db_partitions_url", "{url}")\n'
        'modparam("drouting", "partition_id_pvar", "$avp(found)")\n'
    )
    text = """route[ask] {
      goes_to_gw(, , , , "*"); xlog("$rc $avp(found) ");
      goes_to_gw(, , , , "one"); xlog("$rc ");
      goes_to_gw(); xlog("$rc\\n");
    }"""
    with tables.script(text, parameters=NO_PROBES + parameters) as script:
        assert script.route("ask", message=call(host="10.0.1.5")).output == "1 one 1 -1\n"
        assert script.route("ask", message=call(host="10.0.9.9")).output == "-1 <null> -1 -1\n"
