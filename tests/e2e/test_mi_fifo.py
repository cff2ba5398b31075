"""The FIFO door: its file, reply FIFOs, framing, and clients that misbehave."""

import asyncio
import fcntl
import os
import stat

import pytest

from door_host import SOON, FifoClient, begun, doors, error, request, result
from miscript.errors import ConfigurationError, ScriptError
from miscript.modules import mi_fifo
from miscript.modules.mi_fifo import replies
from miscript.owned_paths import user_name

pytestmark = pytest.mark.e2e
ECHO = request("echo", "x")


def parameter(name, value):
    return f'modparam("mi_fifo", "{name}", {value if isinstance(value, int) else f"{chr(34)}{value}{chr(34)}"})\n'


def count(host, name):
    return host.services.statistics.find(f"mi_fifo:{name}").value


async def until(condition):
    async with asyncio.timeout(SOON):
        while not condition():  # noqa: ASYNC110  # nothing tells when a file appears
            await asyncio.sleep(0.005)


# -- the file ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "wanted"), [(None, 0o660), (0o622, 0o622), (0, 0o600)])
async def test_the_fifo_has_the_mode_asked_for_whatever_the_umask(mode, wanted, tmp_path):
    before = os.umask(0o077)
    try:
        async with doors(tmp_path, "mi_fifo", parameters="" if mode is None else parameter("fifo_mode", mode)):
            found = os.lstat(tmp_path / "fifo")
            assert stat.S_ISFIFO(found.st_mode)
            assert stat.S_IMODE(found.st_mode) == wanted
    finally:
        os.umask(before)
    assert not (tmp_path / "fifo").exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_fifo_has_the_owner_asked_for_and_is_replaced_at_the_next_start(tmp_path):
    owner = parameter("fifo_user", "nobody") + parameter("fifo_group", 12)
    for _ in range(2):
        async with doors(tmp_path, "mi_fifo", parameters=owner):
            found = os.lstat(tmp_path / "fifo")
            assert (found.st_uid, found.st_gid) == (65534, 12)
            os.link(tmp_path / "fifo", tmp_path / "left")
        os.rename(tmp_path / "left", tmp_path / "fifo")


@pytest.mark.parametrize("kind", ["file", "link", "folder", "socket"])
async def test_what_is_no_fifo_is_never_replaced(kind, tmp_path):
    path = tmp_path / "fifo"
    match kind:
        case "file":
            path.write_text("precious")
        case "link":
            os.mkfifo(tmp_path / "other")
            path.symlink_to(tmp_path / "other")
        case "folder":
            path.mkdir()
        case "socket":
            os.mknod(path, stat.S_IFSOCK | 0o600)
    before = os.lstat(path)
    with pytest.raises(ConfigurationError, match="fifo_name"):
        async with doors(tmp_path, "mi_fifo"):
            pass
    assert os.lstat(path).st_ino == before.st_ino


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give files away")
async def test_the_fifo_of_another_user_is_never_replaced(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    os.chown(tmp_path / "fifo", 65534, 65534)
    with pytest.raises(ConfigurationError, match="nobody"):
        async with doors(tmp_path, "mi_fifo"):
            pass


async def test_a_fifo_that_was_removed_or_replaced_is_made_again(tmp_path, monkeypatch):
    monkeypatch.setattr(mi_fifo, "CHECK_SECONDS", 0.02)
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        first = os.lstat(tmp_path / "fifo").st_ino
        os.unlink(tmp_path / "fifo")
        os.mkfifo(tmp_path / "fifo")
        foreign = os.lstat(tmp_path / "fifo").st_ino
        await until(lambda: os.lstat(tmp_path / "fifo").st_ino not in (first, foreign))
        assert await client.ask(ECHO) == result("x")
        os.unlink(tmp_path / "fifo")
        (tmp_path / "fifo").write_text("precious")
        await asyncio.sleep(0.1)
        assert (tmp_path / "fifo").read_text() == "precious"
        (tmp_path / "fifo").unlink()
        await until((tmp_path / "fifo").exists)
        assert await client.ask(ECHO) == result("x")
        assert host.tasks.failures == 0
        client.close()


@pytest.mark.parametrize(
    ("name", "value", "names"),
    [
        ("fifo_name", "", "fifo_name"),
        ("fifo_name", "/nosuch/fifo", "/nosuch/fifo"),
        ("reply_dir", "/nosuch/", "/nosuch/"),
        ("reply_dir", "/dev/null", "/dev/null"),
        ("fifo_user", "nosuchuser", "nosuchuser"),
        ("fifo_group", "nosuchgroup", "nosuchgroup"),
        ("fifo_mode", 0o10000, "fifo_mode"),
        ("max_commands", 0, "max_commands"),
        ("max_request", 0, "max_request"),
        ("policy", "/nosuch.toml", "/nosuch.toml"),
    ],
)
async def test_parameters_that_cannot_work_keep_the_host_from_starting(name, value, names, tmp_path):
    with pytest.raises(ScriptError) as caught:
        async with doors(tmp_path, "mi_fifo", parameters=parameter(name, value)):
            pass
    (found,) = caught.value.diagnostics
    assert names in found.message


async def test_the_commands_to_trace_are_read_only_where_there_is_a_destination(tmp_path):
    lines = parameter("trace_bwlist", "x: y") + parameter("trace_destination", "collector")
    async with doors(tmp_path, "mi_fifo", parameters=lines):
        pass
    hep = (
        'socket=hep_udp:127.0.0.1:0\nloadmodule "proto_hep.so"\n'
        'modparam("proto_hep", "hep_id", "[collector]127.0.0.1:9")\n'
    )
    with pytest.raises(ScriptError) as caught:
        async with doors(tmp_path, "mi_fifo", parameters=hep + lines):
            pass
    (found,) = caught.value.diagnostics
    assert "'x: y'" in found.message


# -- replies -------------------------------------------------------------------------------------------------


async def test_a_command_whose_answer_cannot_be_given_is_not_run(tmp_path):
    folder = tmp_path / "reply"
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        (folder / "file").write_text("precious")
        (folder / "link").symlink_to(client.path)
        (folder / "device").symlink_to("/dev/null")
        os.mkfifo(folder / "linked")
        os.link(folder / "linked", tmp_path / "second name")
        reader = os.open(folder / "linked", os.O_RDWR | os.O_NONBLOCK)
        for name in ("nosuch", "file", "link", "device", "linked", "x\0y"):
            client.write(f":{name}:{ECHO}")
        assert await client.ask(request("echo", "last")) == result("last")
        assert count(host, "closed_replies") == 6
        assert host.services.mi.resolve("echo").counters.calls == 1
        assert (folder / "file").read_text() == "precious"
        os.close(reader)
        client.close()


async def test_a_reader_may_come_a_little_late_and_one_that_never_comes_holds_up_nobody(tmp_path):
    async with doors(tmp_path, "mi_fifo") as host:
        late, client = tmp_path / "reply" / "late", FifoClient(tmp_path)
        os.mkfifo(late)
        client.write(f":late:{ECHO}")
        assert await client.ask(ECHO) == result("x")
        reader = os.open(late, os.O_RDONLY | os.O_NONBLOCK)
        await until(lambda: host.services.mi.resolve("echo").counters.calls == 2)
        assert os.read(reader, 1000) == result("x")
        os.close(reader)
        client.write(f":late:{ECHO}")
        await until(lambda: count(host, "closed_replies") == 1)
        assert host.services.mi.resolve("echo").counters.calls == 2
        client.close()


async def test_an_answer_is_whole_however_large_and_however_slowly_it_is_read(tmp_path):
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        fcntl.fcntl(client.file, fcntl.F_SETPIPE_SZ, 4096)
        sizes = (300_000, 10, 300_001)
        for size in sizes:
            client.send(request("big", size))
        for size in sizes:
            assert await client.answer() == result("y" * size)
        assert count(host, "lost_replies") == 0
        client.close()


async def test_a_reader_that_stops_reading_is_given_up_and_holds_up_nobody(tmp_path, monkeypatch):
    async with doors(tmp_path, "mi_fifo") as host:
        monkeypatch.setattr(host.catalog.modules["mi_fifo"]._replies, "_patience", 0.2)
        path = tmp_path / "reply" / "stuck"
        os.mkfifo(path)
        stuck = os.open(path, os.O_RDWR | os.O_NONBLOCK)
        client = FifoClient(tmp_path)
        client.write(f":stuck:{request('big', 200_000)}")
        client.write(f":stuck:{ECHO}")
        assert await client.ask(ECHO) == result("x")
        await until(lambda: count(host, "lost_replies") == 2)
        os.close(stuck)
        client.close()


async def test_what_waits_for_slow_readers_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(replies, "MAX_QUEUED", 300_000)
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        asyncio.get_running_loop().remove_reader(client.file)
        for _ in range(4):
            client.send(request("big", 200_000))
        await until(lambda: count(host, "lost_replies") == 3)
        client.close()


@pytest.mark.parametrize(("queued", "slow"), [(200_000, 100), (100_000_000, 1)])
async def test_what_waits_is_bounded_however_many_readers_are_slow(queued, slow, tmp_path, monkeypatch):
    monkeypatch.setattr(replies, "MAX_QUEUED", queued)
    monkeypatch.setattr(replies, "MAX_SLOW", slow)
    async with doors(tmp_path, "mi_fifo") as host:
        stuck = [FifoClient(tmp_path, f"stuck{number}") for number in range(4)]
        client = FifoClient(tmp_path)
        for one in stuck:
            asyncio.get_running_loop().remove_reader(one.file)
            one.send(request("big", 200_000))
        await until(lambda: count(host, "lost_replies") == 3)
        assert len(host.catalog.modules["mi_fifo"]._replies._slow) == 1
        assert await client.ask(ECHO) == result("x")
        for one in (*stuck, client):
            one.close()


async def test_requests_whose_clients_do_not_open_their_fifo_are_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr("miscript.modules.mi_fifo.MAX_LATE", 3)
    async with doors(tmp_path, "mi_fifo") as host:
        os.mkfifo(tmp_path / "reply" / "nobody")
        client = FifoClient(tmp_path)
        client.write(f":nobody:{ECHO}" * 10)
        await until(lambda: count(host, "closed_replies") == 7)
        assert await client.ask(ECHO) == result("x")
        await until(lambda: count(host, "closed_replies") == 10)
        client.write(f":nobody:{ECHO}")
        await until(lambda: count(host, "closed_replies") == 11)
        client.close()


async def test_a_reader_that_leaves_loses_its_answer_and_nothing_else(tmp_path):
    async with doors(tmp_path, "mi_fifo") as host:
        leaver, client = FifoClient(tmp_path, "leaver"), FifoClient(tmp_path)
        leaver.send(request("slow"))
        await begun(host, 1)
        leaver.close()
        host.gate.set()
        await until(lambda: count(host, "lost_replies") == 1)
        assert await client.ask(ECHO) == result("x")
        client.close()


async def test_an_answer_never_goes_to_another_fifo_than_the_one_that_asked(tmp_path):
    async with doors(tmp_path, "mi_fifo") as host:
        first = FifoClient(tmp_path, "name")
        first.send(request("slow"))
        await begun(host, 1)
        os.rename(first.path, tmp_path / "moved")
        second = FifoClient(tmp_path, "name")
        host.gate.set()
        await until(lambda: count(host, "lost_replies") == 1)
        assert (first.data, second.data) == (b"", b"")
        second.close()


# -- requests ------------------------------------------------------------------------------------------------


async def test_a_request_in_pieces_is_one_request_and_half_of_one_is_answered(tmp_path):
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        text = f":client:{ECHO}"
        for character in text:
            client.write(character)
            await asyncio.sleep(0)
        assert await client.answer() == result("x")
        client.write(text[:-2])
        assert await client.answer() == error(-32700, "Parse error")
        assert count(host, "broken_requests") == 1
        client.close()


async def test_without_a_reply_name_the_command_is_run_in_silence(tmp_path):
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        client.write(f"::{ECHO} :: {request('slow')}")
        await begun(host, 1)
        host.gate.set()
        assert await client.ask(ECHO) == result("x")
        assert host.services.mi.resolve("echo").counters.calls == 2
        client.close()


async def test_a_request_above_the_limit_gets_an_error_that_says_so(tmp_path):
    async with doors(tmp_path, "mi_fifo", parameters=parameter("max_request", 1000)):
        client = FifoClient(tmp_path)
        answer = await client.ask(request("echo", "y" * 3000))
        assert answer == error(-32600, "Invalid Request", "the request is larger than 1000 bytes")
        assert await client.ask(ECHO) == result("x")
        client.close()


async def test_what_comes_from_outside_is_quoted_in_the_log(tmp_path, caplog):
    async with doors(tmp_path, "mi_fifo") as host:
        client = FifoClient(tmp_path)
        client.write("evil\nERROR forged line\x1b[31m")
        await until(lambda: count(host, "dropped_data") == 1)
        assert await client.ask(ECHO) == result("x")
        client.close()
    (logged,) = [record.getMessage() for record in caplog.records if "dropped" in record.getMessage()]
    assert "\n" not in logged
    assert "\x1b" not in logged


# -- who may do what -----------------------------------------------------------------------------------------


async def test_the_owner_of_the_reply_fifo_is_the_user_of_a_policy(tmp_path):
    policy = tmp_path / "policy.toml"
    me = user_name(os.geteuid())
    rule = '[roles.all]\ncommands = ["*"]\n[[allow]]\nrole = "all"\ndoor = "mi_fifo"\nuser = "{}"\n'
    policy.write_text(rule.format(me))
    async with doors(tmp_path, "mi_fifo", parameters=parameter("policy", policy)):
        client = FifoClient(tmp_path)
        assert await client.ask(ECHO) == result("x")
        client.close()
    policy.write_text(rule.format("somebody-else"))
    async with doors(tmp_path, "mi_fifo", parameters=parameter("policy", policy)):
        client = FifoClient(tmp_path)
        assert b"-32003" in await client.ask(ECHO)
        client.close()
