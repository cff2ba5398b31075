"""HTTP clients that mean no good, or do not know better: nothing hangs, nothing leaks, the others are served."""

import asyncio
import random
import socket
import ssl

import pytest

from door_host import SOON, HttpClient, begun, doors, error, figure, kept, request, result

pytestmark = pytest.mark.e2e

ECHO = request("echo", "x")
HEAD = "POST /mi HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
QUICK = 'modparam("httpd", "conn_timeout", 1)\n'


async def connections(host, count):
    return [await HttpClient(host).open() for _ in range(count)]


async def still_serves(host):
    """A good client gets its answer at once."""
    client = await HttpClient(host).open()
    assert await client.ask(ECHO) == result("x")
    client.close()


async def connected(host, count):
    """The server has so many connections, soon."""
    async with asyncio.timeout(SOON):
        while figure(host, "connections") != count:  # noqa: ASYNC110  # the kernel tells no one
            await asyncio.sleep(0.01)


async def no_connections(host):
    """The server has forgotten all of them."""
    await connected(host, 0)


SMUGGLING = {
    "both lengths": HEAD + "Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nPOST",
    "two lengths": HEAD + "Content-Length: 0\r\nContent-Length: 44\r\n\r\n",
    "a list of lengths": HEAD + "Content-Length: 0, 44\r\n\r\n",
    "a length with a sign": HEAD + "Content-Length: +4\r\n\r\n{}{}",
    "a blank before the colon": HEAD + "Content-Length : 4\r\n\r\n{}{}",
    "a coding in disguise": HEAD + "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": HEAD + "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "a folded coding": HEAD + "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "a coding in HTTP/1.0": HEAD.replace("1.1", "1.0") + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a lone LF": HEAD + "X: y\nContent-Length: 4\r\n\r\n{}{}",
    "a lone CR": HEAD + "X: y\rContent-Length: 4\r\n\r\n{}{}",
    "a chunk size in disguise": HEAD + "Transfer-Encoding: chunked\r\n\r\n0x2\r\n{}\r\n0\r\n\r\n",
    "a chunk that is too long": HEAD + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n",
    "a chunk with a lone LF": HEAD + "Transfer-Encoding: chunked\r\n\r\n2\n{}\n0\n\n",
    "two hosts": HEAD + "Host: y\r\nContent-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("data", SMUGGLING.values(), ids=SMUGGLING.keys())
async def test_smuggling_forms_are_refused_and_nothing_behind_them_is_read(data, tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        client.write(data)
        client.send(ECHO)
        answer = await client.rest()
        assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 501 "))
        assert b"Connection: close" in answer
        assert b'"result"' not in answer
        assert host.services.mi.resolve("echo").counters.calls == 0
        client.close()


async def test_a_head_that_comes_drop_by_drop_has_a_deadline_for_the_whole(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=QUICK) as host:
        client = await HttpClient(host).open()
        started = asyncio.get_running_loop().time()
        rest = asyncio.ensure_future(client.rest())
        for character in HEAD * 20:
            client.write(character)
            await asyncio.sleep(0.05)
            if rest.done():
                break
        assert b" 408 " in rest.result()
        assert asyncio.get_running_loop().time() - started < 3
        await no_connections(host)


async def test_a_body_that_never_ends_has_a_deadline(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=QUICK) as host:
        client = await HttpClient(host).open()
        client.write(HEAD + "Content-Length: 100\r\n\r\n{")
        assert b" 408 " in await client.rest()


async def test_an_idle_connection_is_closed_without_a_word(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=QUICK) as host:
        client = await HttpClient(host).open()
        assert await client.ask(ECHO) == result("x")
        assert await client.rest() == b""


async def test_a_waiting_command_is_not_ended_by_the_deadline_of_its_connection(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=QUICK) as host:
        client = await HttpClient(host).open()
        client.send(request("slow"), head="Connection: close\r\n")
        await asyncio.sleep(1.6)
        host.gate.set()
        assert await client.answer() == result("done")


async def test_a_client_that_does_not_take_its_answers_is_cut_off(tmp_path):
    """No more of its requests are read while answers wait, and what waits is bounded."""
    big = 'modparam("httpd", "receive_buf_size", 4000000)\n'
    async with doors(tmp_path, "mi_http", parameters=QUICK + big) as host:
        raw = socket.socket()
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        raw.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(raw, host.services.find("httpd").address)
        body = request("echo", "y" * 1_000_000)
        text = f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode() * 50
        with pytest.raises(ConnectionError):
            async with asyncio.timeout(SOON):
                await loop.sock_sendall(raw, text)
        assert host.services.mi.resolve("echo").counters.calls < 25
        raw.close()
        await still_serves(host)
        await no_connections(host)


async def test_answers_that_nobody_takes_are_bounded_whoever_asks_for_them(tmp_path):
    """Those who take theirs are served, whatever their size."""
    lines = 'modparam("httpd", "max_untaken", 8000000)\n'
    async with doors(tmp_path, "mi_http", parameters=lines) as host:
        body = request("big", 8_000_000)
        deaf = []
        loop = asyncio.get_running_loop()
        for _ in range(12):
            raw = socket.socket()
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            raw.setblocking(False)
            await loop.sock_connect(raw, host.services.find("httpd").address)
            await loop.sock_sendall(raw, f"{HEAD}Content-Length: {len(body)}\r\n\r\n{body}".encode())
            deaf.append(raw)
        async with asyncio.timeout(SOON):
            while host.services.mi.resolve("big").counters.calls < len(deaf):  # noqa: ASYNC110  # the kernel tells no one
                await asyncio.sleep(0.01)
        await connected(host, len(deaf) - figure(host, "untaken_answers"))
        assert figure(host, "untaken_answers") >= 6
        assert 0 < figure(host, "untaken_bytes") < 8_000_000 + 8_100_000
        await still_serves(host)
        for raw in deaf:
            raw.close()
        await connected(host, 0)
        assert figure(host, "untaken_bytes") == 0
        client = await HttpClient(host).open()
        assert len(await client.ask(request("big", 20_000_000))) > 20_000_000
        client.close()


async def test_pipelined_requests_are_answered_in_their_order(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        client.send(request("slow", "first", id=0))
        for number in range(1, 50):
            client.send(request("echo", str(number), id=number))
        client.write("GET /mi HTTP/1.1\r\nHost: x\r\n\r\n")
        await begun(host, 1)
        host.gate.set()
        assert [await client.answer() for _ in range(50)] == [
            result("first", 0),
            *(result(str(number), number) for number in range(1, 50)),
        ]
        assert (await client.response())[0] == 405
        client.close()


async def test_more_pipelined_requests_than_may_wait_are_read_later(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        for number in range(2500):
            client.send(request("slow", id=number))
        await begun(host, 1000)
        await asyncio.sleep(0.1)
        assert len(host.begun) == 1000
        host.gate.set()
        for number in range(2500):
            assert await client.answer() == result("done", number)
        client.close()


async def test_pipelined_requests_of_any_split_are_all_answered(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        chance = random.Random(4)
        client = await HttpClient(host).open()
        stream = b"".join(
            f"{HEAD}Content-Length: {len(text)}\r\n\r\n{text}".encode()
            for text in (request("echo", "z" * (number % 37), id=number) for number in range(300))
        )
        while stream:
            size = chance.randrange(1, 400)
            client.write(stream[:size])
            stream = stream[size:]
            await asyncio.sleep(0)
        for number in range(300):
            assert await client.answer() == result("z" * (number % 37), number)
        client.close()


async def test_a_client_that_leaves_early_takes_nothing_with_it(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        for client in await connections(host, 20):
            client.send(request("slow"))
        await begun(host, 20)
        for connection in list(host.services.find("httpd")._connections):
            connection.abort()
        await no_connections(host)
        await still_serves(host)
        host.gate.set()
        async with asyncio.timeout(SOON):
            while host.catalog.modules["mi_http"].waiting:  # noqa: ASYNC110  # ends by itself
                await asyncio.sleep(0.01)
        assert host.services.mi.resolve("slow").counters.succeeded == 20


async def test_a_client_that_says_no_more_still_gets_its_answer(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        client.send(request("slow"))
        client.writer.write_eof()
        await begun(host, 1)
        host.gate.set()
        assert (await client.rest()).endswith(result("done"))


async def test_a_thousand_idle_connections_do_not_matter(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        idle = await connections(host, 1000)
        await still_serves(host)
        assert await idle[500].ask(ECHO) == result("x")
        for client in idle:
            client.close()
        await no_connections(host)


async def test_connections_above_the_limit_are_closed_and_counted(tmp_path):
    async with doors(tmp_path, "mi_http", parameters='modparam("httpd", "max_connections", 2)\n') as host:
        first, second = await connections(host, 2)
        await first.ask(ECHO)
        await second.ask(ECHO)
        third = await HttpClient(host).open()
        assert await third.rest() == b""
        assert host.services.statistics.find("httpd:refused_connections").value == 1
        first.close()
        second.close()
        await no_connections(host)
        await still_serves(host)


async def test_garbage_is_answered_or_closed_and_never_kept(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=QUICK) as host:
        chance = random.Random(7)
        good = f"{HEAD}Content-Length: {len(ECHO)}\r\n\r\n{ECHO}".encode()
        for _ in range(150):
            data = bytearray(good if chance.random() < 0.7 else chance.randbytes(chance.randrange(1, 400)))
            for _ in range(chance.randrange(1, 6)):
                data[chance.randrange(len(data))] = chance.randrange(256)
            client = await HttpClient(host).open()
            client.write(bytes(data) + b"\r\n\r\n")
            client.writer.write_eof()
            await client.rest()
            client.close()
        await still_serves(host)
        await no_connections(host)


async def test_heads_that_are_too_large_are_refused(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        for data, status in (
            (HEAD + "X: " + "y" * 20_000, b" 431 "),
            (HEAD + "X: y\r\n" * 101 + "\r\n", b" 431 "),
            (f"GET /{'y' * 5000} HTTP/1.1\r\n\r\n", b" 414 "),
        ):
            client = await HttpClient(host).open()
            client.write(data)
            assert status in await client.rest()


async def test_a_body_that_is_too_large_is_refused_before_it_comes(tmp_path):
    async with doors(tmp_path, "mi_http", parameters='modparam("httpd", "receive_buf_size", 100)\n') as host:
        for length in ("Content-Length: 101\r\n\r\n", "Transfer-Encoding: chunked\r\n\r\n65\r\n"):
            client = await HttpClient(host).open()
            client.write(HEAD + length)
            status, fields, body = await client.response()
            assert (status, fields["content-type"]) == (413, "application/json")
            assert b"100 bytes" in body
            assert b"-32600" in body
            client.write("{" * 100_000)
            assert await client.rest() == b""


async def test_a_client_that_asks_first_is_told_to_go_on_or_why_not(tmp_path):
    asks = "Expect: 100-continue\r\n"
    async with doors(tmp_path, "mi_http", parameters='modparam("httpd", "receive_buf_size", 100)\n') as host:
        client = await HttpClient(host).open()
        client.write(f"{HEAD}{asks}Content-Length: {len(ECHO)}\r\n\r\n")
        assert await client.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        client.write(ECHO)
        assert await client.answer() == result("x")
        client.write(f"{HEAD}{asks}Content-Length: 101\r\n\r\n")
        assert (await client.response())[0] == 413
        refused = await HttpClient(host).open()
        refused.write(f"{HEAD.replace('/mi', '/nosuch')}{asks}Content-Length: 5\r\n\r\n")
        assert (await refused.response())[0] == 400
        assert await refused.rest() == b""


async def test_a_tls_client_at_a_plain_port_is_closed_at_once(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        with pytest.raises((ssl.SSLError, ConnectionError)):
            async with asyncio.timeout(SOON):
                await asyncio.open_connection(
                    *host.services.find("httpd").address, ssl=ssl.create_default_context(), server_hostname="x"
                )


LARGE = 'modparam("httpd", "receive_buf_size", 100000)\nmodparam("httpd", "max_bodies", 250000)\n'


async def test_bodies_that_come_slowly_may_only_take_so_much_of_the_memory(tmp_path):
    """Who goes above the limit is refused, and a small request of anyone is still answered."""
    async with doors(tmp_path, "mi_http", parameters=LARGE) as host:
        half = f"{HEAD}Content-Length: 100000\r\n\r\n" + "{" * 90_000
        first, second, third = await connections(host, 3)
        first.write(half)
        await kept(host, 90_000)
        second.write(half)
        await kept(host, 180_000)
        third.write(half)
        status, _, body = await third.response()
        assert (status, b"try again later" in body) == (503, True)
        assert await third.rest() == b""
        await kept(host, 180_000)
        assert figure(host, "refused_bodies") == 1
        await still_serves(host)
        first.close()
        second.close()
        await kept(host, 0)
        third = await HttpClient(host).open()
        assert await third.ask(request("echo", "y" * 90_000)) == result("y" * 90_000)
        third.close()


async def test_chunked_bodies_count_as_well(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=LARGE) as host:
        clients = await connections(host, 3)
        for client in clients:
            client.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n" + ("8000\r\n" + "x" * 0x8000 + "\r\n") * 3)
        answers = [asyncio.ensure_future(client.response()) for client in clients]
        done, waiting = await asyncio.wait(answers, timeout=SOON, return_when=asyncio.FIRST_COMPLETED)
        assert [task.result()[0] for task in done] == [503]
        assert len(waiting) == 2
        for task in waiting:
            task.cancel()
        for client in clients:
            client.close()
        await kept(host, 0)


async def test_bodies_of_commands_that_wait_count_until_they_are_answered(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=LARGE) as host:
        clients = await connections(host, 3)
        text = request("slow", "z" * 90_000)
        for client in clients[:2]:
            client.send(text)
        await begun(host, 2)
        assert figure(host, "kept_bytes") == 2 * len(text)
        clients[2].send(text)
        assert (await clients[2].response())[0] == 503
        assert len(host.begun) == 2
        assert await clients[2].ask(ECHO) == result("x")
        host.gate.set()
        for client in clients[:2]:
            assert await client.answer() == result("z" * 90_000)
            client.close()
        await kept(host, 0)


async def test_the_same_bytes_again_are_answered_like_the_first(tmp_path):
    """However often, with others between, in halves, pipelined, and behind a command that waits."""
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        counters = host.services.mi.resolve("echo").counters
        for number in range(8):
            assert await client.ask(ECHO) == result("x")
            assert counters.succeeded == number + 1
        assert await client.ask(request("echo", "other", id=2)) == result("other", 2)
        assert await client.ask(ECHO) == result("x")
        assert await client.ask(ECHO) == result("x")
        text = f"{HEAD}Content-Length: {len(ECHO)}\r\n\r\n{ECHO}"
        client.write(text[:-5])
        await asyncio.sleep(0.02)
        client.write(text[-5:] + text + text)
        assert [await client.answer() for _ in range(3)] == [result("x")] * 3
        client.send(request("slow", id=3))
        await begun(host, 1)
        client.send(ECHO)
        await asyncio.sleep(0.02)
        host.gate.set()
        assert [await client.answer(), await client.answer()] == [result("done", 3), result("x")]
        assert counters.failed == {}
        for _ in range(4):
            assert await client.ask(request("nosuch")) == error(-32601, "Method not found", id=1)
        client.close()


async def test_a_client_that_repeats_itself_is_closed_when_the_host_stops(tmp_path):
    async with doors(tmp_path, "mi_http") as host:
        client = await HttpClient(host).open()
        for _ in range(5):
            await client.ask(ECHO)
    assert await client.rest() == b""
