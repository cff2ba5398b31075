"""The client over FIFOs, against a server made of a thread and the plain calls of the system."""

import asyncio
import contextlib
import json
import os
import re
import select
import stat
import threading
import time

import pytest

from miscript.client import AnswerTimeout, ConnectError, MIError, ProtocolError, fifo_files

REQUEST = re.compile(rb":([^:]*):(\{.*?\})\n", re.DOTALL)


class Server(threading.Thread):
    """Reads requests from its FIFO and hands each, with the path of its reply FIFO, to `script`."""

    def __init__(self, folder, script, form=REQUEST):
        super().__init__(daemon=True)
        self.path = str(folder / "fifo")
        self.replies = str(folder) + "/"
        os.mkfifo(self.path, 0o600)
        self.file = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.script = script
        self.form = form
        self.ending = threading.Event()
        self.requests = []
        self.modes = []
        self.start()

    def run(self):
        data = b""
        while not self.ending.is_set():
            if not select.select([self.file], [], [], 0.02)[0]:
                continue
            data += os.read(self.file, 1 << 20)
            while found := self.form.match(data):
                data = data[found.end() :]
                name, request = self.read(found)
                self.requests.append(request)
                path = self.replies + name if name else None
                if path is not None and os.path.exists(path):
                    self.modes.append(stat.S_IMODE(os.stat(path).st_mode))
                self.script(path, request)

    def read(self, found):
        return found[1].decode(), json.loads(found[2])

    def end(self):
        self.ending.set()
        self.join()
        os.close(self.file)


class Kamailio(Server):
    def read(self, found):
        request = json.loads(found[0])
        return request.pop("reply_name"), request


def write(path, data):
    with open(path, "wb", buffering=0) as reply:
        reply.write(data)


def answer(path, request, result=None):
    if path is not None:
        found = request["method"] if result is None else result
        write(path, json.dumps({"result": found, "id": request["id"]}).encode())


@contextlib.contextmanager
def serving(folder, script=answer, kind=Server, **options):
    server = kind(folder, script, **options)
    server.url = f"fifo:{server.path}?reply_dir={server.replies}"
    try:
        yield server
    finally:
        server.end()


async def test_calls_are_answered_and_no_reply_fifo_is_left(connect, tmp_path):
    with serving(tmp_path) as server:
        async with connect(server.url) as node:
            for word in ("a", "b", "c"):
                assert await node.call(word) == word
            assert len(list(tmp_path.glob("miscript_*"))) == 1
        assert not list(tmp_path.glob("miscript_*"))


async def test_a_hundred_calls_at_a_time_get_their_own_answers(connect, tmp_path):
    def shuffled(path, request):
        threading.Timer(0.02 * (request["id"] % 3), answer, (path, request)).start()

    with serving(tmp_path, shuffled) as server:
        async with connect(server.url, connections=32) as node:
            words = [f"word{n}" for n in range(100)]
            assert await asyncio.gather(*map(node.call, words)) == words


async def test_an_answer_of_megabytes_in_many_pieces_arrives_whole(connect, tmp_path):
    with serving(tmp_path, lambda path, request: answer(path, request, "x" * 3_000_000)) as server:
        async with connect(server.url) as node:
            assert await node.call("big") == "x" * 3_000_000


async def test_a_request_larger_than_the_pipe_arrives_whole(connect, tmp_path):
    with serving(tmp_path, lambda path, request: answer(path, request, len(request["params"][0]))) as server:
        async with connect(server.url) as node:
            assert await node.call("big", ["x" * 500_000]) == 500_000


async def test_an_answer_above_the_limit_is_a_protocol_error(connect, tmp_path):
    with serving(tmp_path, lambda path, request: write_to_the_end(path, b"x" * 500_000)) as server:
        async with connect(server.url, max_answer=100_000) as node:
            with pytest.raises(ProtocolError, match="larger than 100000 bytes"):
                await node.call("big")


def write_to_the_end(path, data):
    with contextlib.suppress(BrokenPipeError):
        write(path, data)


async def test_a_server_that_opens_the_reply_without_a_word_and_comes_again_is_waited_for(connect, tmp_path):
    def hesitating(path, request):
        os.close(os.open(path, os.O_WRONLY))
        time.sleep(0.05)
        answer(path, request)

    with serving(tmp_path, hesitating) as server:
        async with connect(server.url, deadline=3) as node:
            assert await node.call("a") == "a"


async def test_a_notification_asks_for_no_reply(connect, tmp_path):
    came = threading.Event()

    def note(path, request):
        came.set()
        assert path is None

    with serving(tmp_path, note) as server:
        async with connect(server.url) as node:
            await node.notify("a", ["x"])
            assert came.wait(3)
        assert server.requests == [{"jsonrpc": "2.0", "method": "a", "params": ["x"]}]
        assert not list(tmp_path.glob("miscript_*"))


async def test_no_batch_is_ever_sent_because_it_kills_opensips(connect, tmp_path):
    with serving(tmp_path) as server:
        async with connect(server.url) as node:
            assert await node.batch([("a", None), ("b", None)]) == ["a", "b"]
        assert sorted(request["method"] for request in server.requests) == ["a", "b"]


async def test_an_answer_that_comes_too_late_never_meets_the_next_call(connect, tmp_path):
    def slow(path, request):
        if request["method"] == "slow":
            threading.Timer(0.15, late, (path, request)).start()
        else:
            answer(path, request)

    def late(path, request):
        with contextlib.suppress(OSError):
            file = os.open(path, os.O_WRONLY | os.O_NONBLOCK)
            os.write(file, json.dumps({"result": "late", "id": request["id"]}).encode())
            os.close(file)

    with serving(tmp_path, slow) as server:
        async with connect(server.url, connections=1) as node:
            with pytest.raises(AnswerTimeout):
                await node.call("slow", deadline=0.05)
            for _ in range(4):
                assert await node.call("next") == "next"
                await asyncio.sleep(0.05)


async def test_a_forged_answer_without_the_id_of_the_request_does_not_count(connect, tmp_path):
    with serving(tmp_path, lambda path, request: answer(path, request | {"id": 4711})) as server:
        async with connect(server.url) as node:
            with pytest.raises(ProtocolError, match="has the id 4711"):
                await node.call("a")


async def test_errors_of_the_node_are_mi_errors(connect, tmp_path):
    def refuse(path, request):
        write(path, b'{"error":{"code":-32601,"message":"Method not found"},"id":%d}' % request["id"])

    with serving(tmp_path, refuse) as server:
        async with connect(server.url) as node:
            with pytest.raises(MIError, match="Method not found"):
                await node.call("a")
            with pytest.raises(MIError):
                await node.call("b")


async def test_only_we_can_read_and_only_a_server_of_another_user_may_have_others_write(connect, tmp_path, monkeypatch):
    with serving(tmp_path) as server:
        async with connect(server.url) as node:
            await node.call("a")
        assert server.modes == [0o600]
        monkeypatch.setattr(fifo_files.os, "geteuid", lambda: os.getuid() + 1)
        async with connect(server.url) as node:
            await node.call("a")
        assert server.modes[1] == 0o622


async def test_names_of_reply_fifos_cannot_be_guessed_and_are_allowed_by_opensips(connect, tmp_path):
    names = []
    with serving(
        tmp_path, lambda path, request: (names.append(os.path.basename(path)), answer(path, request))
    ) as server:
        for _ in range(3):
            async with connect(server.url) as node:
                await node.call("a")
    assert len(set(names)) == 3
    assert all(re.fullmatch(r"miscript_[0-9a-f]{24}", name) for name in names)


async def test_a_reply_fifo_that_someone_replaced_is_not_read(connect, tmp_path):
    with serving(tmp_path) as server:
        async with connect(server.url, retries=0) as node:
            await node.call("a")
            (path,) = tmp_path.glob("miscript_*")
            path.unlink()
            os.mkfifo(path)
            with pytest.raises(ConnectError, match="was replaced by someone else"):
                await node.call("b")
            assert path.exists()  # it is not ours to remove
            assert await node.call("c") == "c"
        assert [request["method"] for request in server.requests] == ["a", "c"]


async def test_a_fifo_without_a_server_a_file_and_a_missing_folder_are_told_apart(connect, tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "file").touch()
    for name, words in (("fifo", "no server reads it"), ("file", "is no FIFO"), ("none", "No such file")):
        async with connect(f"fifo:{tmp_path}/{name}", retries=0) as node:
            with pytest.raises(ConnectError, match=words):
                await node.call("a")
    assert (tmp_path / "file").stat().st_size == 0


async def test_a_missing_reply_folder_is_a_connect_error(connect, tmp_path):
    with serving(tmp_path) as server:
        async with connect(f"fifo:{server.path}?reply_dir={tmp_path}/none/", retries=0) as node:
            with pytest.raises(ConnectError, match="No such file"):
                await node.call("a")
        assert not server.requests


async def test_kamailio_gets_the_name_of_the_reply_as_a_member(connect, tmp_path):
    with serving(tmp_path, kind=Kamailio, form=re.compile(rb"(\{.*?\})\n")) as server:
        async with connect(server.url + "&server=kamailio") as node:
            assert await node.call("core.version") == "core.version"
            await node.notify("core.uptime")
        assert [request["method"] for request in server.requests] == ["core.version", "core.uptime"]
