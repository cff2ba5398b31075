"""The client over UDP and UNIX sockets."""

import asyncio
import contextlib
import json
import socket

import pytest

from miscript.client import AnswerTimeout, ConnectError, MIError, ProtocolError


class Server:
    """Answers each datagram with what `script(request)` gives, None for silence."""

    def __init__(self, here, script):
        self.socket = here
        self.script = script
        self.requests = []
        self.peers = set()
        here.setblocking(False)
        asyncio.get_running_loop().add_reader(here.fileno(), self.receive)

    def receive(self):
        data, peer = self.socket.recvfrom(1 << 18)
        self.peers.add(peer)
        request = json.loads(data)
        self.requests.append(request)
        answer = self.script(request)
        if answer is not None and peer:
            self.socket.sendto(answer, peer)

    def close(self):
        asyncio.get_running_loop().remove_reader(self.socket.fileno())
        self.socket.close()


def fine(request):
    if "id" in request:
        return json.dumps({"result": request["method"], "id": request["id"]}).encode()
    return None


@contextlib.contextmanager
def serving(kind, folder, script=fine):
    if kind == "udp":
        here = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        here.bind(("127.0.0.1", 0))
        url = f"udp:127.0.0.1:{here.getsockname()[1]}"
    else:
        here = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        here.bind(str(folder / "mi.sock"))
        url = f"unix:{folder}/mi.sock"
    server = Server(here, script)
    server.url = url
    try:
        yield server
    finally:
        server.close()


both = pytest.mark.parametrize("kind", ["udp", "unix"])


@both
async def test_calls_are_answered_one_after_the_other_on_one_socket(connect, kind, tmp_path):
    with serving(kind, tmp_path) as server:
        async with connect(server.url) as node:
            assert [await node.call(word) for word in "abc"] == ["a", "b", "c"]
            await node.notify("d")
            assert await node.call("e") == "e"
        assert [request["method"] for request in server.requests] == list("abcde")
        assert len(server.peers) == 1


@both
async def test_calls_side_by_side_get_their_own_answers(connect, kind, tmp_path):
    with serving(kind, tmp_path) as server:
        async with connect(server.url) as node:
            words = [f"word{n}" for n in range(100)]
            assert await asyncio.gather(*map(node.call, words)) == words
        assert len(server.peers) <= 8


@both
async def test_no_batch_is_ever_sent_because_it_kills_opensips(connect, kind, tmp_path):
    with serving(kind, tmp_path) as server:
        async with connect(server.url) as node:
            assert await node.batch([("a", None), ("b", None)]) == ["a", "b"]
        assert all(isinstance(request, dict) for request in server.requests)


@both
async def test_silence_is_a_timeout_and_the_command_is_not_repeated(connect, kind, tmp_path):
    with serving(kind, tmp_path, lambda request: None) as server:
        async with connect(server.url) as node:
            with pytest.raises(AnswerTimeout):
                await node.call("a", deadline=0.1)
        assert len(server.requests) == 1


@both
async def test_texts_that_are_no_json_rpc_are_protocol_errors_and_errors_are_mi_errors(connect, kind, tmp_path):
    answers = iter([b"400 Parse_error", b"500 Internal error", b'{"error":{"code":404,"message":"no"},"id":null}'])
    with serving(kind, tmp_path, lambda request: next(answers)) as server:
        async with connect(server.url) as node:
            with pytest.raises(ProtocolError, match="400 Parse_error"):
                await node.call("a")
            with pytest.raises(ProtocolError, match="500 Internal error"):
                await node.call("a")
            with pytest.raises(MIError):
                await node.call("a")


@both
async def test_an_answer_that_comes_too_late_never_meets_the_next_call(connect, kind, tmp_path):
    with serving(kind, tmp_path) as server:
        loop = asyncio.get_running_loop()

        def slow(request):
            if request["method"] != "slow":
                return fine(request)
            peer = next(iter(server.peers))
            loop.call_later(0.1, send, peer, request)
            return None

        def send(peer, request):
            with contextlib.suppress(OSError):
                server.socket.sendto(fine(request), peer)

        server.script = slow
        async with connect(server.url, connections=1) as node:
            with pytest.raises(AnswerTimeout):
                await node.call("slow", deadline=0.05)
            for _ in range(4):
                assert await node.call("next") == "next"
                await asyncio.sleep(0.04)


async def test_a_closed_udp_port_is_a_connect_error_and_nothing_was_run(connect, tmp_path):
    with serving("udp", tmp_path) as server:
        url = server.url
    async with connect(url, retries=1) as node:
        with pytest.raises(ConnectError, match="Connection refused"):
            await node.call("a")


async def test_a_missing_unix_socket_is_a_connect_error(connect, tmp_path):
    async with connect(f"unix:{tmp_path}/none", retries=0) as node:
        with pytest.raises(ConnectError, match="No such file"):
            await node.call("a")


@both
async def test_a_request_that_no_datagram_holds_was_not_sent(connect, kind, tmp_path):
    with serving(kind, tmp_path) as server:
        async with connect(server.url, retries=0) as node:
            with pytest.raises(ConnectError, match="too long"):
                await node.call("a", ["x" * 1_000_000])
            assert await node.call("b") == "b"
