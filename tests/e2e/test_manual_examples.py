"""The examples of mi_script's manual, each as it stands there, on what they need: a database, an event socket, calls,
a HEP collector.  Addresses of the manual's network are given to the peers of the test, nothing else is changed."""

import asyncio
import shutil
import sqlite3

import pytest
from click.testing import CliRunner

from freeswitch_peer import FreeswitchPeer
from miscript.cli.db import command as db_command
from miscript.errors import MIError
from real_peers import DIALOG, collector, gateway, running
from redis_servers import RedisServer
from sipp_calls import free_port

pytestmark = pytest.mark.e2e

HEAD = 'log_level=1\nloadmodule "mi_script.so"\nloadmodule "cachedb_local.so"\n'


async def database(folder, *modules):
    """Tables as `miscript db create` makes them; their URL."""
    url = f"sqlite://{folder}/opensips.db"
    done = await asyncio.to_thread(CliRunner().invoke, db_command, ["create", url, *modules])
    assert done.exit_code == 0, done.output
    return url


def insert(url, table, **values):
    with sqlite3.connect(url.removeprefix("sqlite://")) as connection:
        marks = ", ".join("?" * len(values))
        connection.execute(f"INSERT INTO {table} ({', '.join(values)}) VALUES ({marks})", tuple(values.values()))
    connection.close()


async def test_a_command_without_parameters():
    async with running(HEAD + 'route[example] {\nmi("shm_check");\nxlog("$rc\\n");\n}') as script:
        assert await script.route("example") == "1\n"


@pytest.mark.parametrize(
    "example",
    [
        'mi("cache_remove local password_user1");',
        '$avp(params) = "local";\n$avp(params) = "password_user1";\nmi("cache_remove",,$avp(params));',
    ],
    ids=["in the command", "indexed"],
)
async def test_a_command_with_parameters_removes_what_they_name(example):
    body = 'startup_route { cache_store("local", "password_user1", "x"); cache_store("local", "other", "y"); }\n'
    async with running(HEAD + body + f'route[example] {{\n{example}\nxlog("$rc\\n");\n}}') as script:
        assert (await script.mi("cache_fetch", "local", "password_user1"))["value"] == "x"
        assert await script.route("example") == "1\n"
        with pytest.raises(MIError, match="Value not found"):
            await script.mi("cache_fetch", "local", "password_user1")
        assert (await script.mi("cache_fetch", "local", "other"))["value"] == "y"


@pytest.mark.skipif(shutil.which("redis-server") is None, reason="redis-server is not installed")
async def test_a_key_is_removed_from_redis_for_all_hosts():
    redis = await asyncio.to_thread(RedisServer)
    try:
        text = f'{HEAD}loadmodule "cachedb_redis.so"\nmodparam("cachedb_redis", "cachedb_url", "{redis.url()}")\n'
        example = 'route[example] {\nmi("cache_remove redis password_user1");\nxlog("$rc\\n");\n}'
        async with running(text + example) as script, running(text) as other:
            await other.mi("cache_store", "redis", "password_user1", "x")
            assert (await script.mi("cache_fetch", "redis", "password_user1"))["value"] == "x"
            assert await script.route("example") == "1\n"
            with pytest.raises(MIError, match="Value not found"):
                await other.mi("cache_fetch", "redis", "password_user1")
    finally:
        await asyncio.to_thread(redis.end)


async def test_the_answer_of_a_command_tells_destinations_of_the_table_as_probes_found_them(tmp_path):
    url = await database(tmp_path, "dispatcher")
    async with gateway() as there, gateway() as full:
        full.status = "503 Service Unavailable"
        insert(url, "dispatcher", setid=1, destination=f"sip:127.0.0.1:{there.port}", probe_mode=1)
        insert(url, "dispatcher", setid=1, destination=f"sip:127.0.0.1:{full.port}", probe_mode=1)
        text = (
            f'{HEAD}socket=udp:127.0.0.1:{free_port()}\n{DIALOG}loadmodule "db_sqlite.so"\n'
            f'loadmodule "dispatcher.so"\nmodparam("dispatcher", "db_url", "{url}")\n'
            'modparam("dispatcher", "ds_ping_interval", 1)\nmodparam("dispatcher", "ds_probing_threshhold", 1)\n'
            'route { exit; }\nroute[example] {\nmi("ds_list", $var(ret));\nxlog("$rc $var(ret)\\n");\n}'
        )
        async with running(text) as script:
            before = await script.route("example")
            assert before.count('"Active"') == 2
            await script.until_mi("ds_list", lambda found: "Probing" in found)
            after = await script.route("example")
    assert after.startswith('1 {"PARTITIONS":[{"name":"default","SETS":[{"id":1,')
    assert after.count('"Active"') == after.count('"Probing"') == 1
    assert after.index('"Active"') > after.index(f"sip:127.0.0.1:{there.port}")
    assert "OPTIONS" in there.methods()


async def test_named_parameters_find_one_call_among_others():
    port = free_port()
    async with gateway() as phone, gateway() as caller:
        text = (
            f"{HEAD}socket=udp:127.0.0.1:{port}\n{DIALOG}"
            f'route {{ create_dialog(); $du = "sip:127.0.0.1:{phone.port}"; t_relay(); }}\n'
            "route[example] {\n"
            '$avp(params) = "callid";\n$avp(vals) = "SEARCH_FOR_THIS_CALLID";\n'
            '$avp(params) = "from_tag";\n$avp(vals) = "SEARCH_FOR_THIS_FROM_TAG";\n'
            'mi("dlg_list", $var(dlg), $avp(params), $avp(vals));\nxlog("$rc $var(dlg)\\n");\n}'
        )
        async with running(text) as script:
            assert await script.route("example") == "-404 No such dialog\n"
            for call_id, tag in (("SEARCH_FOR_THIS_CALLID", "SEARCH_FOR_THIS_FROM_TAG"), ("ANOTHER", "TAG")):
                caller.send("INVITE", f"sip:bob@127.0.0.1:{port}", port, call_id=call_id, from_tag=tag)
            await script.until(lambda: caller.statuses().count(200) >= 2)
            found = await script.route("example")
    assert found.startswith("1 {")
    assert '"callid":"SEARCH_FOR_THIS_CALLID"' in found
    assert "ANOTHER" not in found


async def test_an_array_is_the_events_of_a_subscription():
    async with FreeswitchPeer() as peer:
        text = (
            f'{HEAD}loadmodule "freeswitch.so"\nloadmodule "freeswitch_scripting.so"\n'
            "route[example] {\n"
            '$avp(params) = "freeswitch_url";\n$avp(vals) = "fs://:ClueCon@192.168.20.8:8021";\n'
            '$avp(params) = "events";\n$avp(vals) = "__array(HEARTBEAT BACKGROUND_JOB)";\n'
            'mi("fs_subscribe", , $avp(params), $avp(vals));\nxlog("$rc\\n");\n}\n'
            'event_route[E_FREESWITCH] { xlog("$param(name) from $param(sender)\\n"); }\n'
        ).replace("192.168.20.8:8021", f"127.0.0.1:{peer.port}")
        async with running(text) as script:
            assert await script.route("example") == "1\n"
            await peer.until(lambda: [one.names for one in peer.ready] == [{"HEARTBEAT", "BACKGROUND_JOB"}])
            peer.heartbeat()
            await script.until(lambda: "HEARTBEAT from 127.0.0.1\n" in script.output)
            assert peer.raise_event("DTMF") == 0


async def test_a_reload_without_waiting_brings_the_new_rules_into_force(tmp_path):
    url = await database(tmp_path, "drouting")
    text = (
        f'{HEAD}loadmodule "db_sqlite.so"\n{DIALOG}loadmodule "drouting.so"\n'
        f'socket=udp:127.0.0.1:{free_port()}\nmodparam("drouting", "db_url", "{url}")\nroute {{ exit; }}\n'
        'route[example] {\nxlog("reload starting\\n");\nasync(mi("dr_reload"), after_reload);\n}\n'
        'route[after_reload] {\n\txlog("reload completed\\n");\n}'
    )
    async with running(text) as script:
        await script.until_mi("dr_gw_status", lambda found: "No Data" not in found)
        insert(url, "dr_gateways", gwid="gw1", type=1, address="10.1.2.3")
        insert(url, "dr_rules", groupid="0", prefix="49", priority=1, gwlist="gw1", timerec="")
        assert "10.1.2.3" not in str(await script.mi("dr_gw_status"))
        await script.route("example")
        await script.until(lambda: script.output == "reload starting\nreload completed\n")
        assert "10.1.2.3" in str(await script.mi("dr_gw_status"))
        assert "gw1" in str(await script.mi("dr_number_routing", group_id=0, number="4930"))


# -- parameters of the module ---------------------------------------------------------------------------------------


async def test_pretty_printing_makes_answers_readable():
    text = HEAD + 'modparam("mi_script", "pretty_printing", 1)\nroute[example] { mi("uptime", $var(ret)); '
    async with running(text + 'xlog("$var(ret)\\n"); }') as script:
        printed = await script.route("example")
    assert printed.count("\n") > 2
    assert '\t"Now":\t' in printed


TRACED = (
    f"socket=hep_tcp:127.0.0.1:0\n{HEAD}"
    'loadmodule "proto_hep.so"\n'
    'modparam("proto_hep", "trace_id", "[hep_dest]10.0.0.2;transport=tcp;version=3")\n'
    'modparam("mi_script", "trace_destination", "hep_dest")\n'
)


@pytest.mark.parametrize(
    ("lists", "seen", "hidden"),
    [
        ("", ("ps:", "uptime:", "log_level"), ()),
        ('modparam("mi_script", "trace_bwlist", "b: ps, which")\n', ("uptime",), ("which",)),
        (
            '## blacklist ps and which mi commands\nmodparam("mi_script", "trace_bwlist", "b: ps, which")\n'
            '## allow only log_level\nmodparam("mi_script", "trace_bwlist", "w: log_level")\n',
            ("log_level",),
            ("ps:", "uptime:", "core:which"),
        ),
    ],
    ids=["all", "but these", "only this"],
)
async def test_commands_are_traced_to_the_collector(lists, seen, hidden):
    async with collector() as collected:
        text = (TRACED + lists).replace("10.0.0.2", f"127.0.0.1:{collected.port}")
        body = 'route[example] { mi("ps"); mi("which ps"); mi("uptime"); mi("log_level 3"); mi("log_level"); }'
        async with running(text + body) as script:
            await script.route("example")
            await script.until(lambda: all(name.encode() in collected.data for name in seen))
            assert collected.data.startswith(b"HEP3")
    assert not [name for name in hidden if name.encode() in collected.data]
