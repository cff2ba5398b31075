"""Which mistake of a request is told when it has several: what OpenSIPS looks at first, command by command."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from miscript.errors import MIError
from miscript.testing import RunningScript
from sip_scripts import sip_script

HEADERS = "From: <sip:a@b>\r\nTo: <sip:c@d>\r\n"
OURS = "sip:a@10.0.0.1"

MODULES = (
    "tm rr dialog usrloc nathelper cachedb_local ratelimit permissions dispatcher drouting dialplan event_datagram"
    " proto_hep tracer"
)


def bad(parameter: str) -> tuple[int, str, str]:
    return -32602, "Invalid params", f"Bad type for parameter '{parameter}'"


def refused(data: str) -> tuple[int, str, str]:
    return -32602, "Invalid params", data


NO_PARTITIONS = (
    400,
    "Invalid parameter: 'partition_name'",
    "'partition_name' supported only when 'use_partitions' is set",
)
TABLE = (404, "Table not found", None)
SYNCED = (200, "Contacts already synced", None)


@pytest.fixture(scope="module")
def script(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningScript]:
    tables = tmp_path_factory.mktemp("tables")
    (tables / "version").write_text(
        "table_name(string) table_version(int) \ndispatcher:9\ndr_gateways:6\ndr_rules:4\ndr_carriers:3\ndr_groups:2\n"
        "dialplan:5\n"
    )
    columns = {
        "dispatcher": "id(int,auto) setid(int) destination(string) socket(string,null) state(int) probe_mode(int) "
        "weight(string) priority(int) attrs(string,null) description(string,null) \n1:1:sip\\:10.0.0.5::0:0:1:0::\n",
        "dr_gateways": "id(int,auto) gwid(string) type(int) address(string) strip(int) pri_prefix(string,null) "
        "attrs(string,null) probe_mode(int) state(int) socket(string,null) description(string,null) \n",
        "dr_rules": "ruleid(int,auto) groupid(string) prefix(string) timerec(string,null) priority(int) "
        "routeid(string,null) gwlist(string,null) sort_alg(string) sort_profile(int,null) attrs(string,null) "
        "description(string,null) \n",
        "dr_carriers": "id(int,auto) carrierid(string) gwlist(string) flags(int) sort_alg(string) state(int) "
        "attrs(string,null) description(string,null) \n",
        "dialplan": "id(int,auto) dpid(int) pr(int) match_op(int) match_exp(string) match_flags(int) "
        "subst_exp(string,null) repl_exp(string,null) timerec(string,null) disabled(int) attrs(string,null) \n",
    }
    for name, text in columns.items():
        (tables / name).write_text(text)
    url = f"text://{tables}"
    parameters = "".join(f'modparam("{name}", "db_url", "{url}")\n' for name in ("dispatcher", "drouting", "dialplan"))
    parameters += 'modparam("tracer", "trace_on", 1)\nmodparam("proto_hep", "hep_id", "[hid]10.0.0.7;transport=udp")\n'
    parameters += 'modparam("tracer", "trace_id", "[tid]uri=hep:hid")\nsocket=hep_udp:10.0.0.1:9060\n'
    body = 'route { if ($rm == "OPTIONS") { save("location"); exit; } }'
    with sip_script(f"db_text {MODULES} registrar", body, parameters=parameters) as running:
        yield running


@pytest.mark.parametrize(
    ("command", "params", "expected"),
    [
        ("log_level", {"level": "x", "pid": "y"}, bad("pid")),
        ("cache_store", {"system": None, "attr": "a", "value": "v", "expire": "x"}, bad("expire")),
        ("event_subscribe", {"event": None, "socket": None, "expire": "x"}, bad("expire")),
        ("cache_store", {"system": "", "attr": None, "value": None}, refused("Empty memory cache id")),
        ("cache_store", {"system": "a", "attr": "", "value": None}, refused("Empty attribute name")),
        ("cache_store", {"system": "", "attr": "b", "value": "", "expire": -1}, refused("Negative expire value")),
        ("cache_fetch", {"system": "", "attr": None}, refused("Empty memory cache id")),
        ("cache_remove", {"system": "", "attr": None}, refused("Empty memory cache id")),
        ("event_subscribe", {"event": "", "socket": None}, bad("event")),
        ("event_subscribe", {"event": "E_NOSUCH", "socket": None, "expire": -1}, refused("Negative expire value")),
        ("subscribers_list", {"event": "E_NOSUCH", "socket": None}, (404, "Event not published", None)),
        ("mem_pkg_dump", {"pid": "x", "log_level": "x"}, bad("log_level")),
        ("cache_fetch_chunk", {"glob": None, "collection": None}, bad("collection")),
        ("cache_fetch_chunk", {"glob": "*", "collection": "nosuch"}, bad("glob")),
        ("cache_remove_chunk", {"glob": None, "collection": None}, bad("collection")),
        ("t_uac_dlg", {"method": None, "ruri": None, "headers": None, "next_hop": None}, bad("next_hop")),
        ("t_uac_dlg", {"method": "x y", "ruri": "x", "headers": None}, (400, "Invalid ruri", None)),
        (
            "t_uac_dlg",
            {"method": "OPTIONS", "ruri": OURS, "headers": None, "next_hop": "."},
            (400, "Invalid next_hop", None),
        ),
        (
            "t_uac_dlg",
            {"method": "OPTIONS", "ruri": OURS, "headers": None, "socket": "x"},
            (404, "Local socket not found", None),
        ),
        ("t_uac_dlg", {"method": "OPTIONS", "ruri": OURS, "headers": None}, bad("headers")),
        ("t_uac_dlg", {"method": "OPTIONS", "ruri": OURS, "headers": "X: y"}, (400, "Bad headers", None)),
        ("t_uac_dlg", {"method": "OPTIONS", "ruri": OURS, "headers": "To: x y\r\n"}, (400, "Bad headers", None)),
        ("t_uac_dlg", {"method": "OPTIONS", "ruri": OURS, "headers": ""}, (400, "To missing", None)),
        ("t_uac_dlg", {"method": "OPTIONS", "ruri": OURS, "headers": "\r\n"}, (400, "To missing", None)),
        (
            "t_uac_dlg",
            {"method": "OPTIONS", "ruri": OURS, "headers": "From: x y\r\nTo: <sip:c@d>\r\n"},
            (400, "Error in From", None),
        ),
        (
            "t_uac_dlg",
            {"method": "OPTIONS", "ruri": OURS, "headers": f"{HEADERS}CSeq: x OPTIONS\r\n"},
            (400, "Bad CSeq number", None),
        ),
        (
            "t_uac_dlg",
            {"method": "OPTIONS", "ruri": OURS, "headers": f"{HEADERS}CSeq: 1 INFO\r\n"},
            (400, "CSeq method mismatch", None),
        ),
        (
            "t_uac_dlg",
            {
                "method": "OPTIONS",
                "ruri": OURS,
                "headers": f"{HEADERS}Content-Type: a/b\r\nContent-Length: 1\r\n",
                "body": "x",
            },
            (400, "Content-Length disallowed", None),
        ),
        ("t_uac_dlg", {"method": "x y", "ruri": OURS, "headers": HEADERS}, (400, "Invalid method", None)),
        ("t_reply", {"code": "x", "reason": "", "trans_id": "", "to_tag": "", "new_headers": None}, bad("new_headers")),
        ("t_reply", {"code": 700, "reason": None, "trans_id": "", "to_tag": ""}, (400, "Invalid reply code", None)),
        (
            "t_reply",
            {"code": 200, "reason": "OK", "trans_id": "x:1", "to_tag": None},
            (400, "Invalid index in old trans_id", None),
        ),
        (
            "t_reply",
            {"code": 200, "reason": "OK", "trans_id": "1:", "to_tag": None},
            (400, "Invalid label in old trans_id", None),
        ),
        (
            "t_reply",
            {"code": 200, "reason": "OK", "trans_id": "x.1", "to_tag": None},
            (400, "Invalid label in trans_id", None),
        ),
        ("t_reply", {"code": 200, "reason": "OK", "trans_id": "1", "to_tag": None}, (400, "Invalid trans_id", None)),
        ("t_reply", {"code": 200, "reason": "OK", "trans_id": "1:1", "to_tag": None}, bad("to_tag")),
        ("dlg_list", {"callid": None, "from_tag": None}, bad("from_tag")),
        ("dlg_end_dlg", {"dialog_id": None, "extra_hdrs": None}, bad("extra_hdrs")),
        ("profile_get_size", {"profile": None, "value": None}, bad("value")),
        ("dlg_cluster_sync", {"sharing_tag": None}, (400, "Dialog replication disabled", None)),
        ("dlg_send_sequential", {"callid": "c", "mode": None}, (404, "Dialog Not Found", None)),
        ("dlg_send_sequential", {"callid": "c", "body": "hello"}, (400, "Invalid body mode", None)),
        ("dlg_send_sequential", {"callid": "c", "body": "", "mode": "x"}, (400, "Invalid mode", None)),
        (
            "dlg_send_sequential",
            {"callid": "c", "mode": "challenge", "method": "INFO", "body": "x"},
            (400, "Invalid body mode", None),
        ),
        (
            "dlg_send_sequential",
            {"callid": "c", "mode": "challenge", "method": "INFO", "body": "Inbound"},
            (406, "Not Acceptable", None),
        ),
        ("ul_rm", {"table_name": "x", "aor": None}, TABLE),
        ("ul_rm_contact", {"table_name": "x", "aor": None, "contact": None}, TABLE),
        ("ul_rm_contact", {"table_name": "location", "aor": "a@b", "contact": None}, (404, "AOR not found", None)),
        ("ul_show_contact", {"table_name": "x", "aor": None}, TABLE),
        (
            "ul_add",
            dict.fromkeys(("aor", "contact", "expires", "q", "flags", "cflags", "methods")) | {"table_name": "x"},
            TABLE,
        ),
        (
            "ul_add",
            {"table_name": "location", "aor": "a@b", "contact": "sip:a", "expires": 1, "q": "2"}
            | dict.fromkeys(("flags", "cflags", "methods")),
            (400, "Bad parameter value", None),
        ),
        ("ul_sync", {"table_name": None}, SYNCED),
        ("ul_sync", {"table_name": "x", "aor": None}, SYNCED),
        ("enable_ping", {"status": "x"}, (400, "NATping disabled from script", None)),
        ("ds_set_state", {"state": "x", "group": None, "address": None}, (500, "Bad state value", None)),
        (
            "ds_set_state",
            {"state": "a", "group": "nosuch:1", "address": None},
            (404, "ERROR Unknown partition", None),
        ),
        ("ds_set_state", {"state": "a", "group": " 1", "address": None}, (500, "bad group value", None)),
        ("ds_set_state", {"state": "a", "group": "1:", "address": None}, (500, "bad group value", None)),
        ("ds_set_state", {"state": "a", "group": "x://1", "address": None}, (500, "bad group value", None)),
        ("ds_set_state", {"state": "a", "group": "default: 1", "address": None}, bad("address")),
        ("ds_reload", {"partition": None}, bad("partition")),
        (
            "ds_push_script_attrs",
            {"attrs": "", "ip": None, "port": None, "set": None},
            (500, "Bad attrs value", None),
        ),
        ("ds_push_script_attrs", {"attrs": "x", "ip": None, "port": None, "set": None}, bad("ip")),
        ("dr_gw_status", {"partition_name": None, "gw_id": None, "status": "x"}, NO_PARTITIONS),
        ("dr_gw_status", {"gw_id": "nosuch", "status": "x"}, bad("status")),
        ("dr_carrier_status", {"partition_name": "Default"}, NO_PARTITIONS),
        ("dr_carrier_status", {"carrier_id": None, "status": "x"}, bad("carrier_id")),
        ("dr_number_routing", {"partition_name": None, "number": None}, NO_PARTITIONS),
        ("dr_number_routing", {"group_id": "x", "number": None}, bad("group_id")),
        ("dr_reload", {"partition_name": None, "inherit_state": None}, NO_PARTITIONS),
        ("dr_reload_status", {"partition_name": None}, NO_PARTITIONS),
        ("dp_translate", {"dpid": None, "input": None, "partition": None}, bad("partition")),
        ("dp_translate", {"dpid": None, "input": None, "partition": "x"}, (400, "Partition not found", None)),
        ("dp_translate", {"dpid": "", "input": None, "partition": "default"}, (404, "Empty id parameter", None)),
        ("dp_translate", {"dpid": "1", "input": None}, bad("input")),
        ("dp_translate", {"dpid": "", "input": "1"}, (404, "Empty id parameter", None)),
        ("address_reload", {"partition": "nosuch"}, (400, "Trusted table reload failed", None)),
        ("allow_uri", {"basename": "", "uri": None, "contact": None}, (404, "Basename is empty", None)),
        ("allow_uri", {"basename": "x" * 122, "uri": None, "contact": None}, (404, "Basename is too long", None)),
        ("allow_uri", {"basename": "x" * 121, "uri": None, "contact": None}, bad("uri")),
        ("allow_uri", {"basename": "x", "uri": "", "contact": None}, (404, "Basename is empty", None)),
        ("allow_uri", {"basename": "x", "uri": "x" * 1025, "contact": None}, (404, "URI is too long", None)),
        ("allow_uri", {"basename": "x", "uri": "x", "contact": "x" * 1025}, (404, "Contact is too long", None)),
        ("rl_set_pid", {"ki": "", "kp": "1", "kd": "1"}, (400, "Bad parameter value", None)),
        (
            "trace_start",
            {"id": "tid", "uri": "hep:hid", "filter": "x"},
            (500, "Bad parameter value", "trace id already used"),
        ),
        (
            "trace_start",
            {"id": "hid", "uri": "hep:10.0.0.8"},
            (500, "Bad parameter value", "error while alocating new hep_id"),
        ),
        ("trace_start", {"id": "new", "uri": "hep:10.0.0.8", "filter": "x"}, bad("filter")),
    ],
)
def test_of_several_mistakes_the_one_that_opensips_tells_is_told(script, command, params, expected):
    with pytest.raises(MIError) as caught:
        script.mi(command, **params)
    assert (caught.value.code, caught.value.message, caught.value.data) == expected


@pytest.mark.parametrize("full", [0, "0"])
def test_a_list_of_destinations_that_need_not_be_full_is_short(script, full):
    assert script.mi("ds_list", full=full) == script.mi("ds_list") != script.mi("ds_list", full=1)


@pytest.mark.parametrize(("index", "counter"), [(-1, 10), (0, -1)])
def test_numbers_below_zero_choose_no_dialogs_of_none(script, index, counter):
    assert script.mi("dlg_list", index=index, counter=counter) == {"count": 0, "Dialogs": []}


def test_an_empty_name_of_a_pipe_means_all(script):
    assert script.mi("rl_list", pipe="") == {"Pipes": [], "drop_rate": 0}
