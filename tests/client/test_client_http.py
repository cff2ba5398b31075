"""The client over HTTP, against servers that do what servers do, and what they should not."""

import asyncio
import contextlib
import json
import ssl
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.client import AnswerTimeout, ConnectError, MIError, ProtocolError, http_answer
from miscript.client.http_answer import HttpAnswer, plain_body


class Server:
    """Reads requests and lets `script(server, request, writer)` answer them."""

    def __init__(self, script):
        self.script = script
        self.heads = []
        self.requests = []
        self.connections = 0

    async def serve(self, reader, writer):
        self.connections += 1
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.heads.append(head)
                length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
                request = json.loads(await reader.readexactly(length))
                self.requests.append(request)
                await self.script(self, request, writer)
        writer.close()


@contextlib.asynccontextmanager
async def serving(script, **options):
    server = Server(script)
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0, **options)
    port = listener.sockets[0].getsockname()[1]
    server.url = f"{'https' if options else 'http'}://127.0.0.1:{port}/mi"
    try:
        yield server
    finally:
        listener.close()


def ok(request, result="fine"):
    body = json.dumps({"jsonrpc": "2.0", "result": result, "id": request.get("id")}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body) + body


async def plain(server, request, writer):
    writer.write(ok(request, request.get("params", request["method"])))


async def test_calls_one_after_the_other_share_a_connection(connect):
    async with serving(plain) as server, connect(server.url) as node:
        assert await node.call("a") == "a"
        assert await node.call("b", ["x"]) == ["x"]
        assert await node.call("c", {"n": 1}) == {"n": 1}
        assert server.connections == 1
    assert server.requests[0].keys() == {"jsonrpc", "id", "method"}
    assert server.heads[0].startswith("POST /mi HTTP/1.1\r\n")
    assert "Content-Type: application/json\r\n" in server.heads[0]


async def test_calls_side_by_side_get_their_own_answers_on_a_bounded_number_of_connections(connect):
    gate = asyncio.Event()

    async def later(server, request, writer):
        await gate.wait()
        await plain(server, request, writer)

    async with serving(later) as server, connect(server.url, connections=3) as node:
        calls = [asyncio.ensure_future(node.call(str(n))) for n in range(20)]
        while len(server.requests) < 3:  # noqa: ASYNC110  # the server's turns set no event
            await asyncio.sleep(0.001)
        gate.set()
        assert await asyncio.gather(*calls) == [str(n) for n in range(20)]
        assert server.connections == 3


async def test_an_answer_may_come_in_pieces_in_chunks_or_end_with_the_connection(connect):
    async def pieces(server, request, writer):
        body = json.dumps({"result": "x" * 300_000, "id": request["id"]}).encode()
        match request["method"]:
            case "pieces":
                for byte in ok(request):
                    writer.write(bytes([byte]))
                    await writer.drain()
            case "chunks":
                writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for at in range(0, len(body), 999):
                    writer.write(b"%x\r\n%s\r\n" % (len(body[at : at + 999]), body[at : at + 999]))
                writer.write(b"0\r\n\r\n")
            case _:
                writer.write(b"HTTP/1.0 200 OK\r\n\r\n" + body)
                writer.close()

    async with serving(pieces) as server, connect(server.url) as node:
        assert await node.call("pieces") == "fine"
        assert len(await node.call("chunks")) == 300_000
        assert server.connections == 1
        assert len(await node.call("end")) == 300_000
        assert await node.call("pieces") == "fine"
        assert server.connections == 2


async def test_an_answer_with_another_status_counts_when_it_is_json(connect):
    async def kamailio(server, request, writer):
        body = b'{"jsonrpc":"2.0","error":{"code":500,"message":"Method Not Found"},"id":%d}' % request["id"]
        writer.write(b"HTTP/1.1 500 Method Not Found\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with serving(kamailio) as server, connect(server.url) as node:
        with pytest.raises(MIError, match="Method Not Found"):
            await node.call("x")


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Length: 4\r\n\r\nnono", "answers 401 Unauthorized: 'nono'"),
        (b"HTTP/1.1 405 Method Not Allowed\r\nTransfer-Encoding: chunked\r\n\r\n", "answers 405"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnono", "no JSON: 'nono'"),
        (b"SIP/2.0 200 OK\r\n\r\n", "no HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{", "may have been run: .*closed"),
        (b"", "may have been run: .*closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + b" " * 5000, "larger than 4096 bytes"),
    ],
)
async def test_what_is_no_answer_is_a_protocol_error_and_the_command_is_never_repeated(connect, answer, words):
    async def broken(server, request, writer):
        writer.write(answer)
        await writer.drain()
        if b"chunked" not in answer:
            writer.close()

    async with serving(broken) as server, connect(server.url, max_answer=4096) as node:
        with pytest.raises(ProtocolError, match=words):
            await node.call("x")
        assert len(server.requests) == 1


async def test_a_notification_is_done_with_the_head_of_the_answer_though_the_body_never_ends(connect):
    async def opensips(server, request, writer):
        if "id" in request:
            await plain(server, request, writer)
        else:
            writer.write(
                b"HTTP/1.1 202 Accepted\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            )

    async with serving(opensips) as server, connect(server.url) as node:
        await node.notify("x")
        assert await node.call("y") == "y"
        assert [request.get("id") is None for request in server.requests] == [True, False]


async def test_a_deadline_after_sending_is_no_invitation_to_try_again(connect):
    async def silent(server, request, writer):
        pass

    async with serving(silent) as server, connect(server.url, deadline=0.1) as node:
        with pytest.raises(AnswerTimeout, match="no answer within"):
            await node.call("x")
        assert len(server.requests) == 1


async def test_an_answer_that_comes_too_late_never_meets_the_next_call(connect):
    async def slow(server, request, writer):
        if request["method"] == "slow":
            await asyncio.sleep(0.2)
        await plain(server, request, writer)

    async with serving(slow) as server, connect(server.url, connections=1) as node:
        with pytest.raises(AnswerTimeout):
            await node.call("slow", deadline=0.05)
        for _ in range(3):
            assert await node.call("next") == "next"
            await asyncio.sleep(0.1)


async def test_who_cannot_be_reached_was_not_sent_anything_and_is_tried_again(connect):
    async with serving(plain) as server:
        url = server.url
    async with connect(url, retries=1) as node:
        with pytest.raises(ConnectError, match="Connection refused"):
            await node.call("x")

    async def come_back(port):
        await asyncio.sleep(0.02)
        return await asyncio.start_server(Server(plain).serve, "127.0.0.1", port)

    async with connect(url) as node:
        back = asyncio.ensure_future(come_back(node.address.port))
        assert await node.call("x") == "x"
        (await back).close()


async def test_a_connection_that_the_server_closed_is_not_used_again(connect):
    async with serving(plain) as server, connect(server.url) as node:
        assert await node.call("a") == "a"

        async def closing(server, request, writer):
            await plain(server, request, writer)
            writer.close()

        server.script = closing
        assert await node.call("b") == "b"
        await asyncio.sleep(0.05)
        assert await node.call("c") == "c"
        assert server.connections == 2


async def test_a_connection_that_was_idle_for_long_is_not_used_again(connect, monkeypatch):
    async with serving(plain) as server, connect(server.url) as node:
        await node.call("a")
        monkeypatch.setattr(http_answer, "IDLE_SECONDS", 0.0)
        await node.call("b")
        assert server.connections == 2


async def test_words_of_a_server_that_nobody_asked_for_close_the_connection(connect):
    async def twice(server, request, writer):
        writer.write(ok(request))
        await asyncio.sleep(0.02)
        writer.write(ok(request, "injected"))

    async with serving(twice) as server, connect(server.url, connections=1) as node:
        assert await node.call("a") == "fine"
        await asyncio.sleep(0.05)
        assert await node.call("b") == "fine"
        assert server.connections == 2


async def test_tokens_and_passwords_go_into_the_authorization(connect):
    async with serving(plain) as server:
        async with connect(server.url, token="s3cret") as node:
            await node.call("a")
        async with connect(server.url.replace("//", "//me:pw@")) as node:
            await node.call("b")
    assert "Authorization: Bearer s3cret\r\n" in server.heads[0]
    assert "Authorization: Basic bWU6cHc=\r\n" in server.heads[1]


async def test_a_token_cannot_add_headers(connect):
    async with serving(plain) as server, connect(server.url, token="a\r\nX: y") as node:
        with pytest.raises(ValueError, match="cannot"):
            await node.call("a")
    assert not server.requests


async def test_batches_go_in_one_message_where_the_server_takes_them(connect):
    async def batches(server, request, writer):
        if isinstance(request, dict):
            await plain(server, request, writer)
            return
        answers = [{"result": one["method"], "id": one["id"]} for one in reversed(request)]
        body = json.dumps(answers).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with serving(batches) as server, connect(server.url) as node:
        assert await node.batch([]) == []
        assert await node.batch([("a", None), ("b", ["x"])]) == ["a", "b"]
        assert len(server.requests) == 1


async def test_batches_become_calls_where_the_server_takes_none(connect):
    async def opensips(server, request, writer):
        if isinstance(request, dict):
            body = b'{"error":{"code":404,"message":"no"},"id":%d}' % request["id"]
            await plain(server, request, writer) if request["method"] == "a" else writer.write(
                b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body
            )
            return
        body = b'{"jsonrpc":"2.0","error":{"code":-32600,"message":"Invalid Request"},"id":null}'
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)

    async with serving(opensips) as server, connect(server.url) as node:
        first, second = await node.batch([("a", None), ("b", None)])
        assert first == "a"
        assert isinstance(second, MIError)


async def test_a_closed_client_says_so(connect):
    async with serving(plain) as server:
        node = connect(server.url, retries=0)
        await node.call("a")
        await node.close()
        with pytest.raises(ConnectError, match="closed"):
            await node.call("b")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    key, cert = folder / "key.pem", folder / "cert.pem"
    command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=node"
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(cert)]
    try:
        subprocess.run([*command.split(), *names], check=True, capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no openssl")
    return cert, key


async def test_certificates_are_verified_unless_a_context_says_otherwise(connect, certificate):
    cert, key = certificate
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    async with serving(plain, ssl=context) as server:
        async with connect(server.url, retries=0) as node:
            with pytest.raises(ConnectError, match=r"(?i)certificate verify failed"):
                await node.call("a")
        assert not server.requests
        async with connect(server.url, tls=ssl.create_default_context(cafile=str(cert))) as node:
            assert await node.call("a") == "a"


FIELDS = [
    "Date: Wed, 25 Nov 2026 04:32:02 GMT",
    "Content-Type: application/json",
    "Connection: keep-alive",
    "Connection: close",
    "Server: x",
    "Content-Length: 2",
    "Content-Length: 3",
    "content-length: 2",
    "Transfer-Encoding: chunked",
    " Server: folded",
]


@given(
    st.sampled_from(["HTTP/1.1 200 OK", "HTTP/1.0 200 OK", "HTTP/1.1 202 Accepted", "HTTP/1.1 500 x"]),
    st.lists(st.sampled_from(FIELDS), max_size=5),
    st.sampled_from([b"", b"{", b"{}", b"{}\n", b"{}HTTP/1.1 200 OK"]),
)
def test_an_answer_that_is_read_the_short_way_reads_the_same_the_long_way(status, fields, body):
    data = "\r\n".join([status, *fields, "", ""]).encode() + body
    short = plain_body(data, 10)
    if short is not None:
        answer = HttpAnswer(10)
        answer.feed(data)
        assert (answer.done, answer.keep, answer.json()) == (True, True, short)


def test_the_usual_answers_are_read_the_short_way():
    ours = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
    opensips = b"HTTP/1.1 200 OK\r\nDate: x\r\nContent-Length: 2\r\nContent-Type: application/json\r\n\r\n{}"
    assert [plain_body(data, 2) for data in (ours, opensips)] == [b"{}", b"{}"]
    assert plain_body(ours, 1) is None
    assert plain_body(ours[:-1], 2) is None


@pytest.mark.parametrize("way", ["takes nothing", "trickles"])
async def test_the_deadline_is_that_of_the_whole_call(connect, way):
    """A large request that nobody reads, and an answer of which a little comes all the time."""
    over = asyncio.Event()

    async def serve(reader, writer):
        if way == "trickles":
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
            while not over.is_set():
                writer.write(b" ")
                await asyncio.sleep(0.01)
        else:
            await over.wait()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=4096)
    port = server.sockets[0].getsockname()[1]
    async with connect(f"http://127.0.0.1:{port}/mi") as node:
        began = asyncio.get_running_loop().time()
        with pytest.raises(AnswerTimeout):
            await node.call("a", ["x" * 30_000_000 if way == "takes nothing" else "x"], deadline=0.3)
        assert 0.25 < asyncio.get_running_loop().time() - began < 3
    over.set()
    server.close()
