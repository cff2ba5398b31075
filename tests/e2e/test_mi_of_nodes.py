"""`mi("command@node")` acts on a live node: another host, reached through each of its doors."""

import asyncio

import pytest

from door_host import SOON, begun, doors, url
from miscript.errors import ScriptError
from miscript.host.host import Host
from miscript.host.loading import Source

pytestmark = pytest.mark.e2e


async def printed(body, *, declarations="", default=None, collector=None):
    """What the startup route and what it started print."""
    lines = []
    text = f'loadmodule "mi_script.so"\n{declarations}\nstartup_route {{ {body} }}\n'
    text += 'route[done] { xlog("done $rc $var(r)\\n"); }\n'
    host = Host(Source("fleet.cfg", text), lines.append)
    if collector is not None:
        host.services.trace_destinations["collector"] = collector
    if default is not None:
        host.services.provide("default node", default)
    host.load()
    try:
        async with asyncio.timeout(SOON):
            await host.start()
            await host.tasks.idle(SOON)
    finally:
        await host.stop()
    return "".join(lines).splitlines()


SHOW = 'xlog("$rc $var(r)\\n"); '


@pytest.mark.parametrize("door", ["mi_fifo", "udp", "unix", "mi_http"])
async def test_a_command_of_a_node_acts_there_and_answers_here(tmp_path, door):
    async with doors(tmp_path, door, parameters='loadmodule "cachedb_local.so"') as node:
        at = url(door, tmp_path, node)
        lines = await printed(
            f'$var(n) = "{at}";'
            f'mi("cache_store@{at} local key value", $var(r)); {SHOW}'
            '$avp(p) = "local"; $avp(p) = "key";'
            f'mi("cache_fetch@$var(n)", $var(r), $avp(p)); {SHOW}'
            f'mi("cache_fetch@$var(n) local none", $var(r)); {SHOW}'
            f'mi("nothing@$var(n)", $var(r)); {SHOW}'
            'async(mi("cache:fetch@$var(n) local key", $var(r)), done);'
        )
    found = '{"key":"key","value":"value"}'
    assert lines == ['1 "OK"', f"1 {found}", "-400 Value not found", "-1 Method not found", f"done 1 {found}"]


async def test_a_default_node_is_meant_where_no_node_is_named(tmp_path):
    async with doors(tmp_path, "unix", parameters='loadmodule "cachedb_local.so"') as node:
        at = url("unix", tmp_path, node)
        body = f'mi("cache_store local key value", $var(r)); {SHOW} mi("cache_store@here local k v", $var(r)); {SHOW}'
        as_parameter = await printed(body, declarations=f'modparam("mi_script", "default_node", "{at}")')
        as_option = await printed(body, default=at)
    assert as_parameter == as_option == ['1 "OK"', "-500 Cache store command failed"]


async def test_nodes_have_names_in_the_file_of_nodes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "miscript").mkdir(parents=True)
    async with doors(tmp_path, "unix") as node:
        file = tmp_path / "config" / "miscript" / "nodes.toml"
        file.write_text(f'[nodes.edge1]\nurl = "{url("unix", tmp_path, node)}"\n')
        lines = await printed(f'mi("which@edge1 ps", $var(r)); {SHOW} mi("ps@edge7", $var(r)); {SHOW}')
    assert lines == ["1 [[]]", f"-1 no node 'edge7' in {file} (there: edge1), and it is no URL"]


async def test_a_node_that_is_away_costs_a_code_and_runs_nothing(tmp_path):
    assert await printed(f'mi("ps@unix:{tmp_path}/none", $var(r)); {SHOW}') == [
        f"-1 unix:{tmp_path}/none: No such file or directory"
    ]


async def test_a_node_that_does_not_answer_in_time_is_a_timeout(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "miscript").mkdir(parents=True)
    async with doors(tmp_path, "unix") as node:
        file = tmp_path / "config" / "miscript" / "nodes.toml"
        file.write_text(f'[nodes.edge1]\nurl = "{url("unix", tmp_path, node)}"\ntimeout = 0.2\n')
        lines = await printed(f'mi("test:wait@edge1", $var(r)); {SHOW}')
        node.gate.set()
    assert lines == ["-4 timeout"]


async def test_waiting_for_a_node_holds_up_nobody_else(tmp_path):
    async with doors(tmp_path, "unix") as node:
        at = url("unix", tmp_path, node)
        waiting = asyncio.ensure_future(
            printed(f'launch(mi("test:wait@{at}", $var(r)), done); mi("ps@{at}", $var(r)); xlog("other $rc\\n");')
        )
        await begun(node, 1)
        node.gate.set()
        assert sorted(await waiting) == ['done 1 "done"', "other 1"]


class Collector:
    """Notes which commands are traced."""

    def __init__(self):
        self.commands = []

    def send(self, event):
        self.commands += [value for name, value in event.fields if name == "command"]


@pytest.mark.parametrize("kind", ["w", "b"])
async def test_the_list_of_traced_commands_names_those_of_nodes_too(tmp_path, kind):
    async with doors(tmp_path, "unix", parameters='loadmodule "cachedb_local.so"') as node:
        at, collector = url("unix", tmp_path, node), Collector()
        traced = 'modparam("mi_script", "trace_destination", "collector")\n'
        traced += f'modparam("mi_script", "trace_bwlist", "{kind}: cache_store@{at}, uptime")'
        body = f'mi("cache_store@{at} local key value"); mi("cache_fetch@{at} local key"); mi("uptime"); mi("ps");'
        await printed(body, declarations=traced, collector=collector)
    listed, others = [f"cache_store@{at}", "uptime"], [f"cache_fetch@{at}", "ps"]
    assert collector.commands == (listed if kind == "w" else others)


@pytest.mark.parametrize(
    ("name", "told"), [("ds_list@nosuch", "no node 'nosuch'"), ("@edge1", "no command in front of the node")]
)
async def test_a_list_of_traced_commands_with_an_unknown_node_does_not_start(name, told):
    traced = (
        f'modparam("mi_script", "trace_destination", "collector")\nmodparam("mi_script", "trace_bwlist", "w:{name}")'
    )
    with pytest.raises(ScriptError, match=told):
        await printed("exit;", declarations=traced, collector=Collector())
