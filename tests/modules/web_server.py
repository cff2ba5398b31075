"""A web server of a few lines that does what its paths say: slow, too big, cut off, redirecting."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

HEAD_LIMIT = 65536


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that came: its first line, its header fields by lower-case name, its body, its connection."""

    line: str
    headers: dict[str, str]
    body: bytes
    connection: int


@dataclass
class WebServer:
    """`requests` are those that came; `release` lets answers of `/held` go."""

    port: int = 0
    scheme: str = "http"
    requests: list[Asked] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    release: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.port}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        number = self.connections
        try:
            while await self._exchange(reader, writer, number):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _exchange(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        line, *fields = head.rstrip().split("\r\n")
        headers = {name.lower(): value for name, _, value in (field.partition(": ") for field in fields)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        self.requests.append(Asked(line, headers, body, number))
        self.asked.set()
        path = line.split()[1]
        if path == "/held":
            await self.release.wait()
        if path == "/silent":
            await asyncio.Event().wait()
        writer.write(_answer(path, body))
        await writer.drain()
        if path == "/stuck":
            await asyncio.Event().wait()
        return path != "/cut"


def _answer(path: str, body: bytes) -> bytes:
    match path:
        case "/404":
            status = "404 Not Found"
        case "/moved":
            status = "302 Found\r\nLocation: /ok"
        case "/cookie":
            status = "200 OK\r\nSet-Cookie: a=b"
        case _:
            status = "200 OK"
    content = b"x" * 5000 if path == "/big" else b"" if path == "/empty" else b"hello " + body
    kind = "" if path == "/untyped" else "Content-Type: text/plain; charset=x\r\n"
    length = 1000 if path in ("/cut", "/stuck") else len(content)
    return f"HTTP/1.1 {status}\r\n{kind}Content-Length: {length}\r\n\r\n".encode() + content


@asynccontextmanager
async def web_server(context: ssl.SSLContext | None = None) -> AsyncIterator[WebServer]:
    """A server at a free port of loopback."""
    served = WebServer(scheme="http" if context is None else "https")
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(served.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context, limit=HEAD_LIMIT)
    served.port = server.sockets[0].getsockname()[1]
    try:
        yield served
    finally:
        server.close()
        for task in list(tasks):
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
