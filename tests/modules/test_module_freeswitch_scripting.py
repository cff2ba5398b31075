"""The module freeswitch_scripting: commands and events for scripts, on a FreeSWITCH server of our own."""

import asyncio
import json
import sqlite3
from contextlib import asynccontextmanager

import pytest

import miscript
from freeswitch_peer import FreeswitchPeer
from miscript.errors import MIError
from miscript.host.embedding import call_command

pytestmark = pytest.mark.e2e
SOON = 10.0

HEAD = """
log_level=1
loadmodule "freeswitch.so"
modparam("freeswitch", "esl_connect_timeout", 2000)
modparam("freeswitch", "esl_cmd_timeout", 2000)
loadmodule "freeswitch_scripting.so"
loadmodule "mi_script.so"
"""
EVENTS = 'event_route[E_FREESWITCH] { xlog("$param(name) from $param(sender): $param(body)\\n"); }\n'
CREATE = """
create table version (table_name char(32) primary key, table_version int not null);
insert into version values ('freeswitch', 1);
create table freeswitch (id integer primary key, username char(64), password char(64), ip char(20), port int,
  events_csv char(255));
"""


class Script:
    """A script that is up."""

    def __init__(self, host, printed):
        self.host = host
        self.printed = printed

    @property
    def output(self):
        return "".join(self.printed)

    async def until(self, condition):
        """Wait for something that sockets bring."""
        async with asyncio.timeout(SOON):
            while not condition():  # noqa: ASYNC110  # what real sockets do sets no event
                await asyncio.sleep(0.001)

    async def route(self, name):
        """What a route prints, with what async() makes of it."""
        before = len(self.printed)
        await self.host.run_route("route", name)
        return "".join(self.printed[before:])

    async def mi(self, name, *params):
        return await call_command(self.host.services.mi, name, list(params) or None)

    async def listed(self):
        sockets = (await self.mi("fs_list"))["Sockets"]
        return {each["if"]: each["Events"] for each in sockets}


@asynccontextmanager
async def script(text, *parameters):
    printed = []
    lines = "".join(f'modparam("freeswitch_scripting", "{name}", "{value}")\n' for name, value in parameters)
    source = miscript.Source("test.cfg", HEAD.replace('loadmodule "mi_s', lines + 'loadmodule "mi_s') + text)
    async with miscript.running(source, printed.append) as host:
        yield Script(host, printed)
        assert host.tasks.failures == 0


def database(tmp_path, *rows):
    """A database with these rows, and its URL."""
    path = tmp_path / "fs.db"
    with sqlite3.connect(path) as connection:
        connection.executescript(CREATE)
        put(connection, rows)
    connection.close()
    return f"sqlite:///{path}"


def change(tmp_path, *rows, sql=""):
    """Put other rows in the place of all, or do something else."""
    with sqlite3.connect(tmp_path / "fs.db") as connection:
        if sql:
            connection.executescript(sql)
        else:
            connection.execute("delete from freeswitch")
            put(connection, rows)
    connection.close()


def put(connection, rows):
    columns = "username, password, ip, port, events_csv"
    connection.executemany(f"insert into freeswitch ({columns}) values (?, ?, ?, ?, ?)", rows)


SQLITE = 'loadmodule "db_sqlite.so"\n'


# -- freeswitch_esl ---------------------------------------------------------------------------------------------


async def test_a_script_runs_commands():
    async with FreeswitchPeer() as peer:
        text = f"""
        route[test] {{
            $var(url) = "{peer.url}?IGNORED";
            freeswitch_esl("api status", $var(url), $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("bgapi status\\njob-uuid: foobar", $var(url), $avp(r)); xlog("$rc [$avp(r)]\\n");
            freeswitch_esl("nonsense", "127.0.0.1:{peer.port}", $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("api status", $var(url)); xlog("$rc\\n");
        }}
        """
        async with script(text) as running:
            assert await running.route("test") == (
                f"1 [{peer.run('status')}]\n1 [+OK Job-UUID: foobar]\n1 [-ERR command not found]\n1\n"
            )
        assert peer.connections == 1


async def test_a_command_without_a_reply_is_false_and_leaves_the_variable(caplog):
    async with FreeswitchPeer() as peer:
        text = f"""
        route[test] {{
            $var(r) = "before";
            freeswitch_esl("", "{peer.url}", $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("api a\\n\\napi b", "{peer.url}", $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("api status", "127.0.0.1:1", $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("api status", ":pw@127.0.0.1:1", $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("api status", "not a url", $var(r)); xlog("$rc [$var(r)]\\n");
            freeswitch_esl("api status", "{peer.url}", $ru); xlog("$rc\\n");
        }}
        """
        async with script(text) as running:
            assert await running.route("test") == "-1 [before]\n" * 5 + "-1\n"
    for words in ("is empty", "an empty line", "needs a password", "not connected", "expected [fs://]"):
        assert words in caplog.text


async def test_a_route_that_waits_holds_up_nobody_and_async_resumes_with_the_reply():
    async with FreeswitchPeer() as peer:
        text = f"""
        route[beside] {{
            async(freeswitch_esl("api echo later", "{peer.url}", $var(r)), done);
        }}
        route[done] {{ xlog("resumed $rc [$var(r)]\\n"); }}
        route[waits] {{ freeswitch_esl("api status", "{peer.url}"); xlog("waited $rc\\n"); }}
        route[other] {{ xlog("other\\n"); }}
        """
        async with script(text) as running:
            await running.route("waits")
            peer.may_answer.clear()
            routes = [asyncio.ensure_future(running.route(name)) for name in ("waits", "beside")]
            await peer.until(lambda: "api echo later" in peer.commands or len(peer.commands) > 2)
            assert await running.route("other") == "other\n"
            peer.may_answer.set()
            await asyncio.wait_for(asyncio.gather(*routes), SOON)
            await running.until(lambda: "resumed" in running.output)
            assert running.output == "waited 1\nother\nwaited 1\nresumed 1 [later]\n"


async def test_async_resumes_with_a_failure_when_the_connection_dies():
    async with FreeswitchPeer() as peer:
        text = f"""
        route[warm] {{ freeswitch_esl("api status", "{peer.url}"); xlog("warm\\n"); }}
        route[beside] {{ async(freeswitch_esl("api echo later", "{peer.url}", $var(r)), done); }}
        route[done] {{ xlog("resumed $rc [$var(r)]\\n"); }}
        """
        async with script(text) as running:
            await running.route("warm")
            peer.may_answer.clear()
            route = asyncio.ensure_future(running.route("beside"))
            await peer.until(lambda: "api echo later" in peer.commands)
            peer.drop()
            await running.until(lambda: "resumed" in running.output)
            await route
            assert running.output == "warm\nresumed -1 [<null>]\n"
            peer.may_answer.set()


# -- events -----------------------------------------------------------------------------------------------------


async def test_events_of_parameters_reach_event_routes():
    async with FreeswitchPeer() as peer:
        sockets = ("fs_subscribe", f":ClueCon@127.0.0.1:{peer.port}?DTMF,CUSTOM sofia::register")
        async with script(EVENTS, sockets) as running:
            await peer.until(lambda: "event json CUSTOM sofia::register" in peer.commands)
            await running.until(lambda: peer.raise_event("CUSTOM", {"Event-Subclass": "sofia::register"}))
            assert peer.raise_event("DTMF", {"DTMF-Digit": "5"}) == 1
            assert peer.raise_event("HEARTBEAT") == 0
            await running.until(lambda: running.output.count("\n") >= 2)
            lines = running.output.splitlines()
            assert {line.partition(": ")[0] for line in lines} == {"CUSTOM from 127.0.0.1", "DTMF from 127.0.0.1"}
            assert json.loads(lines[-1].partition(": ")[2])["DTMF-Digit"] == "5"


async def test_mi_subscribes_and_unsubscribes():
    async with FreeswitchPeer() as peer, script(EVENTS) as running:
        assert await running.mi("fs_subscribe", peer.url, ["DTMF", "", "DTMF"]) == "OK"
        await peer.until(lambda: "event json DTMF" in peer.commands)
        await running.until(lambda: peer.raise_event("DTMF"))
        await running.until(lambda: running.output.startswith("DTMF from"))
        assert await running.mi("freeswitch_scripting:unsubscribe", peer.url, ["DTMF"]) == "OK"
        await peer.until(lambda: not peer.ready)  # nobody holds it any more
        assert await running.listed() == {}


async def test_lists_are_those_of_the_server():
    """Newest first, as OpenSIPS 4.1 answered."""
    parameters = [("fs_subscribe", ":pw@127.0.0.1:1?HEARTBEAT,DTMF"), ("fs_subscribe", ":pw@127.0.0.1:2")]
    async with script('startup_route { mi("fs_list", $var(r)); xlog("$var(r)\\n"); }', *parameters) as running:
        assert json.loads(running.output) == {
            "Sockets": [
                {"if": "127.0.0.1:2", "Events": []},
                {"if": "127.0.0.1:1", "Events": ["DTMF", "HEARTBEAT"]},
            ]
        }
        await running.mi("fs_subscribe", "fs://:pw@127.0.0.1:3", ["A", "B", "C"])
        await running.mi("fs_subscribe", "127.0.0.1:3", ["D", "A"])
        await running.mi("fs_unsubscribe", "127.0.0.1:3", ["B", "X"])
        sockets = (await running.mi("fs_list"))["Sockets"]
        assert sockets[:1] == [{"if": "127.0.0.1:3", "Events": ["D", "C", "A"]}]
        assert len(sockets) == 3


@pytest.mark.parametrize(
    ("params", "code", "message"),
    [
        (("nonsense", ["DTMF"]), 500, "Internal Error"),
        (("nonsense", "DTMF"), 500, "Internal Error"),
        (("not a url", ["DTMF"]), 500, "Internal Error"),
        ((":pw@h", "DTMF"), -32602, "Invalid params"),
        ((":pw@h", []), -32602, "Invalid params"),
        ((":pw@h", ["DTMF", None]), -32602, "Invalid params"),
        ((":pw@h", ["DTMF", "a\nexit"]), -32602, "Invalid params"),
    ],
)
async def test_a_bad_request_subscribes_to_nothing(params, code, message):
    async with script("") as running:
        with pytest.raises(MIError) as refused:
            await running.mi("fs_subscribe", *params)
        assert (refused.value.code, refused.value.message) == (code, message)
        assert await running.listed() == {}
        with pytest.raises(MIError) as refused:
            await running.mi("fs_reload")
        assert refused.value.code == -32000


async def test_a_bad_url_among_parameters_is_skipped(caplog):
    parameters = [("fs_subscribe", url) for url in ("127.0.0.1:1?DTMF", "::", ":pw@127.0.0.1:2?DTMF")]
    async with script("", *parameters) as running:
        assert await running.listed() == {"127.0.0.1:2": ["DTMF"]}
    assert caplog.text.count("a value of fs_subscribe is skipped") == 2


# -- the table --------------------------------------------------------------------------------------------------


async def test_the_table_is_loaded_before_the_startup_route(tmp_path):
    async with FreeswitchPeer(user="me", password="pw") as peer, FreeswitchPeer() as second:
        url = database(
            tmp_path,
            ("me", "pw", "127.0.0.1", peer.port, "DTMF, HEARTBEAT"),
            (None, second.password, "127.0.0.1", second.port, None),
        )
        text = (
            SQLITE
            + f"""startup_route {{
            mi("fs_list", $var(r)); xlog("$var(r)\\n");
            freeswitch_esl("api echo hi", "127.0.0.1:{second.port}", $var(r)); xlog("$rc [$var(r)]\\n");
        }}"""
        )
        async with script(text, ("db_url", url)) as running:
            first, second_line = running.output.splitlines()
            assert json.loads(first) == {
                "Sockets": [
                    {"if": f"127.0.0.1:{second.port}", "Events": []},
                    {"if": f"127.0.0.1:{peer.port}", "Events": ["DTMF", "HEARTBEAT"]},
                ]
            }
            assert second_line == "1 [hi]"  # the password is the table's
            await peer.until(lambda: {"event json DTMF", "event json HEARTBEAT"} <= set(peer.commands))


async def test_reload_puts_the_table_in_the_place_of_everything_without_a_gap(tmp_path):
    async with FreeswitchPeer() as peer:
        row = (None, peer.password, "127.0.0.1", peer.port)
        url = database(tmp_path, (*row, "DTMF,HEARTBEAT"))
        async with script(SQLITE + EVENTS, ("db_url", url), ("fs_subscribe", ":pw@127.0.0.1:1?DTMF")) as running:
            await running.mi("fs_subscribe", f"127.0.0.1:{peer.port}", ["CHANNEL_STATE"])
            await peer.until(lambda: "event json CHANNEL_STATE" in peer.commands)
            change(tmp_path, (*row, "DTMF,CHANNEL_ANSWER"))
            assert await running.mi("fs_reload") == "OK"
            assert await running.listed() == {f"127.0.0.1:{peer.port}": ["DTMF", "CHANNEL_ANSWER"]}
            await peer.until(lambda: "event json CHANNEL_ANSWER" in peer.commands)
            assert peer.connections == 1
            assert {c for c in peer.commands if c.startswith("nix")} == {"nixevent HEARTBEAT", "nixevent CHANNEL_STATE"}
            assert peer.commands.count("event json DTMF") == 1
            change(tmp_path)
            assert await running.mi("fs_reload") == "OK"
            assert await running.listed() == {}
            await peer.until(lambda: not peer.ready)


async def test_a_new_password_in_the_table_is_used_for_the_next_connection(tmp_path):
    async with FreeswitchPeer() as peer:
        url = database(tmp_path, (None, "old", "127.0.0.1", peer.port, "DTMF"))
        async with script(SQLITE, ("db_url", url)) as running:
            await peer.until(lambda: peer.commands == ["auth old"])
            change(tmp_path, (None, peer.password, "127.0.0.1", peer.port, "DTMF"))
            assert await running.mi("fs_reload") == "OK"
            await peer.until(lambda: "event json DTMF" in peer.commands)


@pytest.mark.parametrize(
    ("sql", "complaint"),
    [
        ("update version set table_version = 2", "version 2, expected 1"),
        ("delete from version", "says nothing of 'freeswitch'"),
        ("drop table freeswitch", "freeswitch"),
        ("insert into freeswitch values (9, null, null, '10.0.0.1', 8021, 'DTMF')", "row 2"),
        ("insert into freeswitch values (9, null, 'pw', null, 8021, 'DTMF')", "row 2"),
        ("insert into freeswitch values (9, null, 'pw', 'a b', 8021, 'DTMF')", "row 2"),
        ("insert into freeswitch values (9, null, 'pw', 'h', 99999, 'DTMF')", "the port must be 1 to 65535"),
        ("insert into freeswitch values (9, null, 'pw', 'h', 'x', 'DTMF')", "row 2"),
        ("insert into freeswitch values (9, null, 'pw', 'h', 1, 'DTMF,a' || char(10) || 'b')", "name of an event"),
        (
            "insert into freeswitch (password, ip, port) with recursive n(i) as (select 1 union all "
            "select i + 1 from n where i < 20000) select 'pw', 'h', i from n",
            "more than 1000 rows",
        ),
    ],
)
async def test_a_bad_table_leaves_the_old_sockets_in_force(tmp_path, caplog, sql, complaint):
    url = database(tmp_path, (None, "pw", "127.0.0.1", 1, "DTMF"))
    async with script(SQLITE, ("db_url", url)) as running:
        change(tmp_path, sql=sql)
        with pytest.raises(MIError, match="500 Internal Error"):
            await running.mi("fs_reload")
        assert await running.listed() == {"127.0.0.1:1": ["DTMF"]}
    assert complaint in caplog.text


async def test_rows_of_one_socket_are_one_socket(tmp_path):
    url = database(tmp_path, (None, "pw", "127.0.0.1", 1, "DTMF,A"), (None, "other", "127.0.0.1", 1, "B,DTMF"))
    async with script(SQLITE, ("db_url", url)) as running:
        assert await running.listed() == {"127.0.0.1:1": ["DTMF", "A", "B"]}


async def test_a_table_that_cannot_be_read_at_the_start_is_logged_and_read_later(tmp_path, caplog):
    url = database(tmp_path, (None, "pw", "127.0.0.1", 1, "DTMF"))
    change(tmp_path, sql="update version set table_version = 7")
    async with script(SQLITE, ("db_url", url), ("fs_subscribe", ":pw@127.0.0.1:2?DTMF")) as running:
        assert await running.listed() == {"127.0.0.1:2": ["DTMF"]}
        change(tmp_path, sql="update version set table_version = 1")
        assert await running.mi("fs_reload") == "OK"
        assert await running.listed() == {"127.0.0.1:1": ["DTMF"]}
    assert "no event sockets are loaded" in caplog.text


async def test_a_database_that_no_module_knows_is_an_error_of_its_line():
    with pytest.raises(miscript.ScriptError, match=r"test.cfg:\d+.*no module is loaded for 'sqlite:'"):
        async with script("", ("db_url", "sqlite:///x")):
            pass
