"""The datagram door: its socket, sizes, and clients that cannot be answered."""

import asyncio
import os
import pwd
import socket
import stat

import pytest

from door_host import SOON, begun, doors, error, request, result, udp_client, unix_client
from miscript.errors import ConfigurationError, ScriptError
from miscript.modules.mi_datagram.sending import MAX_QUEUED_FOR_ONE, Sender, _Queue
from miscript.modules.mi_datagram.sources import MAX_TOLD, Sources
from miscript.owned_paths import bind_socket, ownership

pytestmark = pytest.mark.e2e
ECHO = request("echo", "x")


def parameter(name, value):
    return f'modparam("mi_datagram", "{name}", {value if isinstance(value, int) else f"{chr(34)}{value}{chr(34)}"})\n'


def count(host, name):
    return host.services.statistics.find(f"mi_datagram:{name}").value


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110  # nothing tells when the kernel is done
            await asyncio.sleep(0.005)


# -- the socket ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "wanted"), [(None, 0o660), (0o600, 0o600), (0, 0o600)])
async def test_the_socket_has_the_mode_asked_for_and_goes_with_the_host(mode, wanted, tmp_path):
    parameters = "" if mode is None else parameter("unix_socket_mode", mode)
    async with doors(tmp_path, "unix", parameters=parameters):
        found = os.lstat(tmp_path / "mi.sock")
        assert stat.S_ISSOCK(found.st_mode)
        assert stat.S_IMODE(found.st_mode) == wanted
    assert not (tmp_path / "mi.sock").exists()


def test_a_link_that_is_put_in_place_of_the_socket_is_not_followed(tmp_path, monkeypatch):
    """Else whoever may write to the folder could have the mode of any file changed."""
    path, other = tmp_path / "mi.sock", tmp_path / "other"
    other.write_text("")
    other.chmod(0o600)
    umask, before = os.umask, []

    def swap(mask):
        """The second call is the one behind bind()."""
        if before:
            path.unlink()
            path.symlink_to(other)
        before.append(mask)
        return umask(mask)

    monkeypatch.setattr(os, "umask", swap)
    with pytest.raises(OSError, match="interferes"):
        bind_socket(str(path), ownership(0o666, "", "", prefix=""))
    assert stat.S_IMODE(other.stat().st_mode) == 0o600


async def test_a_socket_that_was_left_is_replaced_and_anything_else_is_not(tmp_path):
    path = tmp_path / "mi.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    async with doors(tmp_path, "unix"):
        client = unix_client(tmp_path)
        assert await client.ask(ECHO) == result("x")
        client.close()
    path.write_text("precious")
    with pytest.raises(ConfigurationError, match="socket_name"):
        async with doors(tmp_path, "unix"):
            pass
    assert path.read_text() == "precious"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_socket_of_another_user_is_not_replaced(tmp_path):
    path = tmp_path / "mi.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as left:
        left.bind(str(path))
    os.chown(path, 65534, 65534)
    with pytest.raises(ConfigurationError, match="nobody"):
        async with doors(tmp_path, "unix"):
            pass


@pytest.mark.parametrize(
    ("lines", "names"),
    [
        (parameter("socket_name", ""), "socket_name"),
        (parameter("socket_name", "udp:127.0.0.1"), "udp:127.0.0.1"),
        (parameter("socket_name", "udp:127.0.0.1:"), "udp:127.0.0.1:"),
        (parameter("socket_name", "udp::5000"), "udp::5000"),
        (parameter("socket_name", "udp:127.0.0.1:80"), "80"),
        (parameter("socket_name", "udp:127.0.0.1:65536"), "65536"),
        (parameter("socket_name", "tcp:127.0.0.1:5000"), "tcp:127.0.0.1:5000"),
        (parameter("socket_name", "unix:/tmp/s"), "unix:/tmp/s"),
        (parameter("socket_name", "/nosuch/s"), "/nosuch/s"),
        (parameter("socket_name", "/tmp/" + "s" * 110), "sss"),
        (parameter("unix_socket_user", "nosuchuser"), "nosuchuser"),
        (parameter("children_count", -1), "children_count"),
        (parameter("socket_name", "udp:0.0.0.0:5000"), "policy"),
        (parameter("socket_name", "udp:[::]:5000"), "policy"),
    ],
)
async def test_parameters_that_cannot_work_keep_the_host_from_starting(lines, names, tmp_path):
    with pytest.raises(ScriptError) as caught:
        async with doors(tmp_path, "unix", parameters=lines):
            pass
    (found,) = caught.value.diagnostics
    assert names in found.message


async def test_a_door_for_other_machines_starts_with_a_policy(tmp_path):
    lines = parameter("socket_name", "udp:0.0.0.0:{port}") + parameter("policy", "read-only")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    async with doors(tmp_path, "unix", parameters=lines.format(port=port)) as host:
        client = udp_client(host)
        client.server = ("127.0.0.1", port)
        assert await client.ask(ECHO) == result("x")
        assert b"-32003" in await client.ask(request("slow"))
        client.close()


async def test_ipv6_is_spoken(tmp_path):
    try:
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as probe:
            probe.bind(("::1", 0))
            port = probe.getsockname()[1]
    except OSError:
        pytest.skip("this machine has no IPv6")
    async with doors(tmp_path, "unix", parameters=parameter("socket_name", f"udp:[::1]:{port}")):
        with socket.socket(socket.AF_INET6, socket.SOCK_DGRAM) as client:
            client.setblocking(False)
            client.sendto(ECHO.encode(), ("::1", port))
            assert await asyncio.get_running_loop().sock_recv(client, 1000) == result("x")


# -- sizes ---------------------------------------------------------------------------------------------------


async def test_an_answer_that_does_not_fit_names_both_sizes(tmp_path):
    async with doors(tmp_path, "unix", parameters=parameter("socket_buf_size", 200)) as host:
        client = unix_client(tmp_path)
        fits = 199 - len(result(""))
        assert await client.ask(request("big", fits)) == result("y" * fits)
        data = "the answer has 200 bytes, a datagram here at most 199 (socket_buf_size 200)"
        assert await client.ask(request("big", fits + 1, id="i")) != b""
        assert await client.ask(request("big", fits + 1)) == error(-32000, "Server error", data, id=1)
        assert count(host, "large_replies") == 2
        client.close()


async def test_a_request_that_is_too_long_is_no_json(tmp_path):
    async with doors(tmp_path, "unix", parameters=parameter("socket_buf_size", 100)):
        client = unix_client(tmp_path)
        assert await client.ask(request("echo", "y" * 100)) == error(-32700, "Parse error")
        assert await client.ask(ECHO + " " * 100) == result("x")
        client.close()


async def test_an_answer_larger_than_any_udp_datagram_is_an_error_too(tmp_path):
    async with doors(tmp_path, "udp", parameters=parameter("socket_buf_size", 200_000)) as host:
        client = udp_client(host)
        assert b"socket_buf_size 200000" in await client.ask(request("big", 100_000))
        client.close()


# -- clients that cannot be answered -------------------------------------------------------------------------


async def test_a_client_without_an_address_is_served_in_silence(tmp_path):
    async with doors(tmp_path, "unix") as host:
        client = unix_client(tmp_path)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as silent:
            silent.sendto(ECHO.encode(), client.server)
        assert await client.ask(ECHO) == result("x")
        assert host.services.mi.resolve("echo").counters.calls == 2
        client.close()


async def test_an_empty_datagram_is_nothing(tmp_path):
    async with doors(tmp_path, "udp") as host:
        client = udp_client(host)
        client.send(b"")
        assert await client.ask(ECHO) == result("x")
        client.close()


async def test_a_client_that_does_not_read_gets_its_answers_when_it_does(tmp_path):
    """Its socket is full after some datagrams; the answers wait, and other clients do not."""
    async with doors(tmp_path, "unix") as host:
        stuck, client = unix_client(tmp_path, "stuck.sock"), unix_client(tmp_path)
        for number in range(60):
            stuck.send(request("big", 20_000, id=number))
            await asyncio.sleep(0)
        assert await client.ask(ECHO) == result("x")
        numbers = [int((await stuck.answer()).rpartition(b":")[2][:-1]) for _ in range(60)]
        assert sorted(numbers) == list(range(60))
        assert count(host, "lost_replies") == 0
        stuck.close()
        client.close()


async def test_answers_that_nobody_takes_are_given_up_and_counted(tmp_path):
    async with doors(tmp_path, "unix", parameters=parameter("socket_timeout", 50)) as host:
        stuck, client = unix_client(tmp_path, "stuck.sock"), unix_client(tmp_path)
        for _ in range(60):
            stuck.send(request("big", 20_000))
            await asyncio.sleep(0)
        await until(lambda: count(host, "lost_replies") > 0)
        assert await client.ask(ECHO) == result("x")
        stuck.close()
        client.close()


async def test_a_client_that_is_gone_does_not_matter(tmp_path):
    async with doors(tmp_path, "udp", "mi_fifo") as host:
        gone, client = udp_client(host), udp_client(host)
        gone.send(request("slow"))
        await begun(host, 1)
        gone.close()
        host.gate.set()
        for _ in range(5):
            assert await client.ask(ECHO) == result("x")
        client.close()


async def test_the_user_of_a_unix_client_comes_from_the_kernel(tmp_path):
    policy = tmp_path / "policy.toml"
    me = pwd.getpwuid(os.geteuid()).pw_name
    rule = '[roles.all]\ncommands = ["*"]\n[[allow]]\nrole = "all"\ndoor = "mi_datagram"\nuser = "{}"\n'
    for user, wanted in ((me, b'"result":"x"'), ("somebody-else", b"-32003")):
        policy.write_text(rule.format(user))
        async with doors(tmp_path, "unix", parameters=parameter("policy", policy)):
            client = unix_client(tmp_path)
            assert wanted in await client.ask(ECHO)
            client.close()


# -- who sends too much --------------------------------------------------------------------------------------


async def test_one_sender_does_not_take_the_room_of_the_others(tmp_path):
    """UDP: an address counts as one, whatever its ports."""
    async with doors(tmp_path, "udp", parameters=parameter("max_per_source", 2)) as host:
        first, second = udp_client(host), udp_client(host)
        first.send(request("slow", id=1))
        second.send(request("slow", id=2))
        await begun(host, 2)
        refused = await second.ask(request("slow", id=3))
        assert b"2 commands of 127.0.0.1 wait at this door" in refused
        assert await second.ask(ECHO) == result("x")
        assert (len(host.begun), count(host, "limited_sources")) == (2, 1)
        host.gate.set()
        assert await first.answer() == result("done", 1)
        assert await second.answer() == result("done", 2)
        assert await second.ask(request("slow", id=4)) == result("done", 4)
        assert host.catalog.modules["mi_datagram"]._sources.waiting == {}
        first.close()
        second.close()


async def test_a_user_of_the_unix_socket_counts_as_one_sender_and_batches_count(tmp_path):
    async with doors(tmp_path, "unix", parameters=parameter("max_per_source", 3)) as host:
        client = unix_client(tmp_path)
        client.send("[" + ",".join(request("slow", id=number) for number in range(4)) + "]")
        await begun(host, 3)
        assert (len(host.begun), count(host, "limited_sources")) == (3, 1)
        host.gate.set()
        answer = await client.answer()
        assert answer.count(b'"result"') == 3
        assert b"wait at this door" in answer
        client.close()


async def test_that_a_source_is_refused_is_told_once_and_once_when_it_has_room_again(tmp_path, caplog, monkeypatch):
    """Other sources are not touched by it."""
    monkeypatch.setattr("miscript.modules.mi_datagram.sources.LOOK_SECONDS", 0.01)
    async with doors(tmp_path, "udp", parameters=parameter("max_per_source", 2)) as host:
        greedy, other = udp_client(host), udp_client(host, "127.0.0.2")
        for _ in range(2):
            caplog.clear()
            host.begun.clear()
            host.gate.clear()
            for number in range(5):
                greedy.send(request("slow", id=number))
            for _ in range(3):
                assert b"2 commands of 127.0.0.1 wait at this door" in await greedy.answer()
            other.send(request("slow", id=5))
            await begun(host, 3)
            await asyncio.sleep(0.05)  # it is looked again and again: nothing has changed
            told = [record.getMessage() for record in caplog.records]
            assert told.count("2 commands of 127.0.0.1 wait: more are refused (max_per_source)") == 1
            assert not any("taken again" in text for text in told)
            host.gate.set()
            assert await other.answer() == result("done", 5)
            await until(lambda: "commands of 127.0.0.1 are taken again; 3 were refused" in caplog.messages)
            assert [await greedy.answer(), await greedy.answer()] == [result("done", 0), result("done", 1)]
        assert "127.0.0.2" not in caplog.text
        assert count(host, "limited_sources") == 6
        greedy.close()
        other.close()


async def test_sources_that_are_made_up_do_not_fill_the_log(caplog):
    sources = Sources(1)
    for number in range(1000):
        assert sources.has_room(f"10.0.0.{number}")
        sources.begin(f"10.0.0.{number}")
        assert not sources.has_room(f"10.0.0.{number}")
    assert len(caplog.records) == MAX_TOLD
    sources.stop()


def test_one_client_that_reads_nothing_keeps_only_its_part_of_the_memory():
    lost = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        sender = Sender(door, 1, None, None, lambda reason, count: lost.append(count))
        queue = sender._queues["/nowhere"] = _Queue()
        answer = b"x" * (MAX_QUEUED_FOR_ONE // 3)
        for _ in range(5):
            sender.send(answer, "/nowhere")
        assert (len(queue.answers), lost) == (3, [1, 1])
        other = sender._queues["/other"] = _Queue()
        sender.send(answer, "/other")
        assert len(other.answers) == 1
        sender._give_up(queue, "gone")
        assert (sender._queued, queue.size) == (len(answer), 0)


async def test_a_number_that_is_none_keeps_the_host_from_starting(tmp_path):
    with pytest.raises(ScriptError, match="max_per_source"):
        async with doors(tmp_path, "unix", parameters=parameter("max_per_source", 0)):
            pass


async def test_a_policy_that_is_read_again_holds_for_users_that_are_known(tmp_path):
    file = tmp_path / "policy.toml"
    user = pwd.getpwuid(os.getuid()).pw_name
    rule = '[roles.r]\ncommands = ["test:echo"]\n[[allow]]\nrole = "r"\nuser = "{}"\n'
    file.write_text(rule.format(user))
    async with doors(tmp_path, "unix", parameters=parameter("policy", file)) as host:
        client = unix_client(tmp_path)
        assert await client.ask(ECHO) == result("x")
        file.write_text(rule.format("somebody else"))
        host.reread()
        assert b"Forbidden" in await client.ask(ECHO)
        client.close()
