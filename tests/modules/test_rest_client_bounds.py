"""Web services that mean no good: what one call may cost, and what it never does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from script_lines import printed
from web_server import web_server

SHOWN = 'xlog("$rc <$(var(b){s.len})> <$var(r)>\\n");'
OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n"

Write = Callable[[bytes], Awaitable[None]]


@asynccontextmanager
async def server_that(answers: Callable[[Write], Awaitable[None]]) -> AsyncIterator[str]:
    """The URL of a server that reads a head and lets `answers` write what it likes."""
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        try:
            await reader.readuntil(b"\r\n\r\n")
            await answers(write)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/"
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def got(url: str, **parameters: int) -> str:
    lines = "".join(f'modparam("rest_client", "{name}", {value})\n' for name, value in parameters.items())
    async with asyncio.timeout(20):
        (line,) = await printed(
            "rest_client", f'$var(b) = ""; rest_get("{url}", $var(b), , $var(r)); {SHOWN}', parameters=lines
        )
    return line


async def drop_by_drop(write: Write, data: bytes) -> None:
    for byte in data:
        await write(bytes((byte,)))
        await asyncio.sleep(0.1)


async def slow_head(write: Write) -> None:
    await drop_by_drop(write, OK + b"X: y\r\n" * 100)


async def slow_body(write: Write) -> None:
    await write(OK + b"Content-Length: 1000\r\n\r\n")
    await drop_by_drop(write, b"x" * 1000)


@pytest.mark.parametrize(("answers", "shown"), [(slow_head, "-3 <0> <0>"), (slow_body, "-3 <")])
async def test_an_answer_that_comes_drop_by_drop_has_its_time_for_the_whole(
    answers: Callable[[Write], Awaitable[None]], shown: str
) -> None:
    begun = time.monotonic()
    async with server_that(answers) as url:
        assert (await got(url, curl_timeout=1)).startswith(shown)
    assert time.monotonic() - begun < 5


async def endless_body(write: Write) -> None:
    await write(OK + b"\r\n")
    while True:
        await write(b"x" * 65536)


async def endless_chunks(write: Write) -> None:
    await write(OK + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        await write(b"10000\r\n" + b"x" * 65536 + b"\r\n")


async def endless_head(write: Write) -> None:
    await write(OK)
    while True:
        await write(b"X: " + b"x" * 1000 + b"\r\n")


async def endless_interim(write: Write) -> None:
    while True:
        await write(b"HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" * 100)


@pytest.mark.parametrize(
    ("answers", "seconds", "shown"),
    [
        (endless_body, 2, "-10 <0> <200>"),
        (endless_chunks, 2, "-10 <0> <200>"),
        (endless_head, 2, "-10 <0> <0>"),
        (endless_interim, 1, "-3 <0> <0>"),
    ],
)
async def test_an_answer_without_an_end_ends_with_its_limit(
    answers: Callable[[Write], Awaitable[None]], seconds: int, shown: str
) -> None:
    async with server_that(answers) as url:
        assert await got(url, max_transfer_size=100, curl_timeout=seconds) == shown


async def test_what_is_compressed_stays_as_it_came() -> None:
    """A few bytes that unfold to gigabytes are a few bytes here."""

    async def answers(write: Write) -> None:
        await write(OK + b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00")

    async with server_that(answers) as url:
        assert await got(url) == "1 <4> <200>"


async def test_a_redirection_is_told_and_not_followed() -> None:
    async with web_server() as server:
        assert await got(f"{server.url}/moved") == "1 <6> <302>"
        assert [asked.line.split()[1] for asked in server.requests] == ["/moved"]


@pytest.mark.parametrize(
    ("call", "shown"),
    [
        ('rest_post("{url}", "b", "text/plain\r\nX-Forged: 1", $var(b), , $var(r));', "-10 <0> <0>"),
        ('rest_append_hf("X-Mine: 1\r\nX-Forged: 1"); rest_get("{url}", $var(b), , $var(r));', "1 <6> <200>"),
        ('$var(u) = "{url}\r\nX-Forged: 1"; rest_get($var(u), $var(b), , $var(r));', "-10 <0> <0>"),
    ],
)
async def test_values_with_line_ends_become_no_header_fields(call: str, shown: str) -> None:
    async with web_server() as server, asyncio.timeout(20):
        body = f'$var(b) = ""; {call.replace("{url}", server.url + "/ok")} {SHOWN}'
        assert await printed("rest_client", body) == [shown]
        assert not any("x-forged" in asked.headers for asked in server.requests)
