"""Policies that change while the host runs: at every door, on connections that are open, and with mistakes in them."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import urllib.request

import pytest

from door_host import DOORS, HttpClient, begun, client_of, doors, request, result, wait_for_port

pytestmark = pytest.mark.e2e

ECHO = request("echo", "x")
OPEN_TO_ALL = '[roles.all]\ncommands = ["*"]\n[[allow]]\nrole = "all"\n'
ONLY_READING = "[roles.all]\nread_only = true\n[[allow]]\nrole = 'all'\n"
CLOSED = OPEN_TO_ALL + 'door = "another_door"\n'
MISTAKES = [
    ("=", 1, "it is no TOML"),
    ("\n\n[roles.all]\nread_only = yes\n", 4, "it is no TOML"),
    ('[roles.all]\ncommands = ["*"]\n\n[[allow]]\nrole = "al"\n', 4, "there is no role 'al'"),
    (OPEN_TO_ALL + 'address = "10.0.0.1/8"\n', 5, "'address': 10.0.0.1/8"),
    (OPEN_TO_ALL + '[[allow]]\nrole = "all"\nadress = "::1"\n', 7, "'adress' is unknown"),
]


def module_of(door):
    return {"udp": "mi_datagram", "unix": "mi_datagram"}.get(door, door)


def with_policy(door, file):
    return f'modparam("{module_of(door)}", "policy", "{file}")\n'


@pytest.mark.parametrize("how", ["SIGHUP", "policy_reload"])
@pytest.mark.parametrize("door", DOORS)
async def test_a_changed_policy_holds_at_once_for_clients_that_are_known(door, how, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(OPEN_TO_ALL)
    reload = request(f"{module_of(door)}:policy_reload")
    async with doors(tmp_path, door, parameters=with_policy(door, file)) as host:
        client = await client_of(door, tmp_path, host)
        host.gate.set()
        assert await client.ask(ECHO) == result("x")
        assert await client.ask(request("slow")) == result("done")

        async def change(text):
            file.write_text(text)
            if how == "SIGHUP":
                host.reread()
            else:
                assert await client.ask(reload) == result("OK")

        await change(ONLY_READING)
        assert await client.ask(ECHO) == result("x")
        refused = json.loads(await client.ask(request("slow")))["error"]
        assert (refused["code"], "which does not hold 'test:wait'" in refused["data"]) == (-32003, True)
        assert json.loads(await client.ask(reload))["error"]["code"] == -32003  # it changes what is in force
        how = "SIGHUP"
        await change(CLOSED)
        assert b"no rule of the policy fits this peer" in await client.ask(ECHO)
        await change(OPEN_TO_ALL)
        assert await client.ask(request("slow")) == result("done")
        client.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_command_that_waits_when_the_policy_changes_is_answered(door, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(OPEN_TO_ALL)
    async with doors(tmp_path, door, parameters=with_policy(door, file)) as host:
        client = await client_of(door, tmp_path, host)
        client.send(request("slow"))
        await begun(host, 1)
        file.write_text(CLOSED)
        host.reread()
        host.gate.set()
        assert await client.answer() == result("done")
        assert b"-32003" in await client.ask(ECHO)
        client.close()


@pytest.mark.parametrize("door", DOORS)
async def test_a_mistake_leaves_the_old_policy_in_force_and_is_told_with_file_and_line(door, tmp_path, caplog):
    file = tmp_path / "policy.toml"
    file.write_text(OPEN_TO_ALL)
    async with doors(tmp_path, door, parameters=with_policy(door, file)) as host:
        client = await client_of(door, tmp_path, host)
        host.gate.set()
        for text, line, reason in MISTAKES:
            file.write_text(text)
            error = json.loads(await client.ask(request(f"{module_of(door)}:policy_reload")))["error"]
            assert (error["code"], error["message"]) == (500, "The policy that was read before stays in force")
            assert error["data"].startswith(f"policy file '{file}': line {line}: ")
            assert reason in error["data"]
            caplog.clear()
            host.reread()
            assert f"{module_of(door)}: policy file '{file}': line {line}: " in caplog.text
            assert "; the policy that was read before stays in force" in caplog.text
            assert await client.ask(request("slow")) == result("done")
        client.close()


def directory(file):
    file.mkdir()


def unreadable_text(file):
    file.write_bytes(b"\xff\xfe")


def endless(file):
    file.symlink_to("/dev/zero")


def large(file):
    file.write_text(OPEN_TO_ALL + "#" * 1024 * 1024)


def deep(file):
    file.write_text("hosts = " + "[" * 10_000)


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda file: None, "No such file or directory"),
        (os.mkfifo, "it is no regular file"),
        (directory, "directory"),
        (endless, "it is no regular file"),
        (unreadable_text, "it is no UTF-8"),
        (large, "it has more than 1048576 characters"),
        (deep, "it is nested too deeply"),
    ],
)
async def test_what_is_no_policy_file_is_neither_waited_for_nor_put_in_force(make, reason, tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(OPEN_TO_ALL)
    async with doors(tmp_path, "mi_http", parameters=with_policy("mi_http", file)) as host:
        client = await HttpClient(host).open()
        file.unlink()
        make(file)
        error = json.loads(await client.ask(request("policy_reload")))["error"]
        assert reason in error["data"]
        assert str(file) in error["data"]
        assert await client.ask(ECHO) == result("x")
        client.close()


async def test_a_policy_that_every_user_may_change_is_warned_of(tmp_path, caplog):
    file = tmp_path / "policy.toml"
    file.write_text(OPEN_TO_ALL)
    file.chmod(0o644)
    async with doors(tmp_path, "mi_http", parameters=with_policy("mi_http", file)) as host:
        assert "can be changed by every user" not in caplog.text
        file.chmod(file.stat().st_mode | stat.S_IWOTH)
        host.reread()
        assert f"'{file}' can be changed by every user" in caplog.text


async def test_hosts_of_a_changed_policy_hold_on_open_connections(tmp_path):
    file = tmp_path / "policy.toml"
    file.write_text(OPEN_TO_ALL)
    async with doors(tmp_path, "mi_http", parameters=with_policy("mi_http", file)) as host:
        client = await HttpClient(host).open()
        assert await client.ask(ECHO) == result("x")
        file.write_text('hosts = ["mi.example.com"]\n' + OPEN_TO_ALL)
        host.reread()
        client.send(ECHO)
        assert (await client.response())[0] == 421
        client.close()


SCRIPT = """
log_level=3
loadmodule "httpd.so"
modparam("httpd", "port", {port})
loadmodule "mi_http.so"
modparam("mi_http", "policy", "{policy}")
route {{ exit; }}
"""


def test_sighup_of_a_running_host_changes_the_policy_or_says_where_the_mistake_is(tmp_path):
    policy, script = tmp_path / "policy.toml", tmp_path / "script.cfg"
    policy.write_text(OPEN_TO_ALL)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script.write_text(SCRIPT.format(port=port, policy=policy))
    run = [sys.executable, "-c", "from miscript.cli import main; main()", "run", str(script)]

    def ask():
        message = urllib.request.Request(
            f"http://127.0.0.1:{port}/mi", request("uptime").encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(message, timeout=20) as answer:
            return json.load(answer)

    with subprocess.Popen(run, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as host:
        try:
            wait_for_port(port)
            assert "result" in ask()
            policy.write_text(MISTAKES[2][0])
            host.send_signal(signal.SIGHUP)
            said = next(line for line in host.stderr if "policy file" in line)
            assert f"policy file '{policy}': line 4: allow number 1: there is no role 'al'" in said
            assert "result" in ask()
            policy.write_text(CLOSED)
            host.send_signal(signal.SIGHUP)
            assert "is in force" in next(line for line in host.stderr if "policy file" in line)
            assert ask()["error"]["code"] == -32003
        finally:
            host.terminate()
            host.communicate(timeout=20)
    assert host.returncode == 0
