"""Many large bodies at once: what httpd keeps of them together is bounded, and others are served meanwhile."""

import asyncio
import os
import socket
import subprocess
import sys
from collections import Counter

import pytest

from door_host import SOON, HttpClient, begun, doors, figure, kept, request, result, wait_for_port

pytestmark = pytest.mark.e2e

ECHO = request("echo", "x")
HEAD = "POST /mi HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
READ_AT_ONCE = 256 * 1024
"""Bytes that asyncio reads from one connection before it is looked what they are."""


def limits(body, all_bodies):
    return f'modparam("httpd", "receive_buf_size", {body})\nmodparam("httpd", "max_bodies", {all_bodies})\n'


@pytest.mark.parametrize("chunked", [False, True])
async def test_one_body_may_have_all_the_room_however_it_comes(chunked, tmp_path):
    async with doors(tmp_path, "mi_http", parameters=limits(100_000, 100_000)) as host:
        client = await HttpClient(host).open()
        text = request("echo", "y" * 90_000)
        for size in (len(text), 60_000, 30_000):
            if chunked:
                client.write(f"{HEAD}Transfer-Encoding: chunked\r\n\r\n")
            else:
                client.write(f"{HEAD}Content-Length: {len(text)}\r\n\r\n")
            for at in range(0, len(text), size):
                piece = text[at : at + size]
                client.write(f"{len(piece):x}\r\n{piece}\r\n" if chunked else piece)
                if at + size < len(text):
                    await kept(host, at + size)
            client.write("0\r\n\r\n" if chunked else "")
            status, _, body = await client.response()
            assert (status, body) == (200, result("y" * 90_000))
            await kept(host, 0)
        assert figure(host, "refused_bodies") == 0
        client.close()


async def test_pipelined_bodies_behind_a_command_that_waits_are_counted_once(tmp_path):
    async with doors(tmp_path, "mi_http", parameters=limits(100_000, 150_000)) as host:
        client = await HttpClient(host).open()
        slow, large = request("slow"), request("echo", "y" * 90_000)
        client.write(
            f"{HEAD}Content-Length: {len(slow)}\r\n\r\n{slow}{HEAD}Content-Length: {len(large)}\r\n\r\n{large}"
        )
        await begun(host, 1)
        host.gate.set()
        assert [await client.answer(), await client.answer()] == [result("done"), result("y" * 90_000)]
        await kept(host, 0)
        client.close()


async def test_of_many_bodies_at_once_those_are_taken_that_have_room_and_all_others_are_told(tmp_path):
    """Whoever sends something small is served all the time, and those who were told may come again."""
    body, room = 100_000, 1_000_000
    async with doors(tmp_path, "mi_http", parameters=limits(body, room)) as host:
        text = request("slow", "z" * 90_000)
        clients = [await HttpClient(host).open() for _ in range(40)]
        small = await HttpClient(host).open()
        for client in clients:
            client.send(text)
        taken = room // len(text)
        answers = [asyncio.ensure_future(client.response()) for client in clients]
        highest = 0
        async with asyncio.timeout(SOON):
            while sum(answer.done() for answer in answers) < len(clients) - taken:
                assert await small.ask(ECHO) == result("x")
                highest = max(highest, figure(host, "kept_bytes"))
        assert len(host.begun) == taken
        assert Counter(answer.result()[0] for answer in answers if answer.done()) == {503: len(clients) - taken}
        assert figure(host, "kept_bytes") == taken * len(text)
        assert highest <= room + READ_AT_ONCE
        assert figure(host, "refused_bodies") == len(clients) - taken
        host.gate.set()
        assert {answer[0] for answer in await asyncio.gather(*answers)} == {200, 503}
        await kept(host, 0)
        again = await HttpClient(host).open()
        assert await again.ask(text) == result("z" * 90_000)
        for client in (*clients, small, again):
            client.close()


@pytest.mark.parametrize("announced", [True, False])
async def test_a_body_above_its_own_limit_is_told_413_whatever_room_there_is(announced, tmp_path):
    async with doors(tmp_path, "mi_http", parameters=limits(100_000, 100_000)) as host:
        client = await HttpClient(host).open()
        if announced:
            client.write(f"{HEAD}Content-Length: 100001\r\n\r\n")
        else:
            client.write(
                f"{HEAD}Transfer-Encoding: chunked\r\n\r\n" + ("c350\r\n" + "x" * 50_000 + "\r\n") * 2 + "1\r\n"
            )
        status, _, body = await client.response()
        assert (status, b"-32600" in body, b"larger than 100000 bytes" in body) == (413, True, True)
        assert await client.rest() == b""
        await kept(host, 0)


SCRIPT = """
log_level=3
loadmodule "httpd.so"
modparam("httpd", "port", {port})
modparam("httpd", "receive_buf_size", 1000000)
modparam("httpd", "max_bodies", 8000000)
loadmodule "mi_http.so"
route {{ exit; }}
"""


def memory_of(process):
    with open(f"/proc/{process}/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_the_memory_of_a_running_host_is_bounded_whatever_clients_send(tmp_path):
    script = tmp_path / "script.cfg"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    script.write_text(SCRIPT.format(port=port))
    run = [sys.executable, "-c", "from miscript.cli import main; main()", "run", str(script)]
    head = f"{HEAD}Content-Length: 1000000\r\n\r\n".encode()

    async def send_much():
        """All of a body but its end; what comes back, if anything does."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            writer.write(head + b"{" * 999_999)
            await writer.drain()
            return await asyncio.wait_for(reader.read(), 0.5)
        except TimeoutError:
            return b"kept"
        except ConnectionError:
            return b"503"
        finally:
            writer.transport.abort()

    with subprocess.Popen(run, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as host:  # noqa: ASYNC220  # nothing else runs
        try:
            await asyncio.to_thread(wait_for_port, port)
            before = memory_of(host.pid)
            sending = asyncio.gather(*(send_much() for _ in range(64)))
            highest = 0
            while not sending.done():
                highest = max(highest, memory_of(host.pid))
                await asyncio.sleep(0.02)
            refused = sum(b"503" in answer for answer in sending.result())
        finally:
            host.terminate()
            await asyncio.to_thread(host.communicate, timeout=20)
    assert 64 - 8 <= refused < 64
    assert highest - before < 40_000_000  # 64 bodies would be 64 MB, twice that while they grow
