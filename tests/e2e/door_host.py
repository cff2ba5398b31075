"""A host with doors inside a test, and clients for each of them that are as plain as can be.

`doors(folder, ...)` runs a script with the doors asked for; what `client_of` gives sends a text and gives back what
came, as bytes.  The command `test:wait` waits until the test sets `host.gate`.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.mi.command import Command

SOON = 5.0
"""Seconds after which a test gives up."""

LOAD = {
    "mi_fifo": 'loadmodule "mi_fifo.so"\n'
    'modparam("mi_fifo", "fifo_name", "{folder}/fifo")\nmodparam("mi_fifo", "reply_dir", "{folder}/reply/")\n',
    "udp": 'loadmodule "mi_datagram.so"\nmodparam("mi_datagram", "socket_name", "udp:127.0.0.1:{port}")\n',
    "unix": 'loadmodule "mi_datagram.so"\nmodparam("mi_datagram", "socket_name", "{folder}/mi.sock")\n',
    "mi_http": 'loadmodule "httpd.so"\nmodparam("httpd", "port", 0)\nloadmodule "mi_http.so"\n',
}
DOORS = tuple(LOAD)


def request(method: str, *params: object, id: object = 1, **more: object) -> str:
    """A JSON-RPC request as text; `id=None` makes a notification."""
    message: dict[str, object] = {"jsonrpc": "2.0", "method": method}
    if params:
        message["params"] = list(params)
    if id is not None:
        message["id"] = id
    return json.dumps(message | more)


def result(value: object, id: object = 1) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "result": value, "id": id}, separators=(",", ":")).encode()


def error(code: int, message: str, data: str | None = None, id: object = None) -> bytes:
    found: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        found["data"] = data
    return json.dumps({"jsonrpc": "2.0", "error": found, "id": id}, separators=(",", ":")).encode()


def script(folder: Path, modules: Iterable[str], parameters: str = "", port: int = 0) -> str:
    (folder / "reply").mkdir(exist_ok=True)
    loaded = "".join(LOAD[name].format(folder=folder, port=port) for name in modules)
    return f"log_level=2\n{loaded}{parameters}\nroute {{ exit; }}\n"


def big(size: int) -> str:
    return "y" * size


@asynccontextmanager
async def doors(folder: Path, *modules: str, parameters: str = "") -> AsyncIterator[Host]:
    """Run a host with these doors; `parameters` are more lines of its script."""
    port = free_udp_port() if "udp" in modules else 0
    host = Host(Source("test.cfg", script(folder, modules, parameters, port)), lambda text: None)
    host.load()
    host.gate = asyncio.Event()  # type: ignore[attr-defined]  # for tests only
    host.begun = []  # type: ignore[attr-defined]  # for tests only

    async def wait(value: str = "done") -> object:
        host.begun.append(value)
        await host.gate.wait()
        return value

    host.services.mi.register(Command("test", "wait", ("slow",), ((), ("value",)), wait))
    host.services.mi.register(Command("test", "echo", (), (("text",),), lambda text: text, read_only=True))
    host.services.mi.register(Command("test", "big", (), (("size",),), big, read_only=True))
    try:
        await host.start()
        yield host
    finally:
        await host.stop()


async def begun(host: Host, count: int) -> None:
    """Wait until so many calls of `test:wait` wait."""
    async with asyncio.timeout(SOON):
        while len(host.begun) < count:  # noqa: ASYNC110  # the loop turns until the requests have been read
            await asyncio.sleep(0)


def url(door: str, folder: Path, host: Host) -> str:
    """What a client calls the node behind a door of `host`."""
    match door:
        case "mi_fifo":
            return f"fifo:{folder}/fifo?reply_dir={folder}/reply/"
        case "udp":
            return "udp:{}:{}".format(*host.catalog.modules["mi_datagram"].address)
        case "unix":
            return f"unix:{folder}/mi.sock"
    return "http://{}:{}/mi".format(*host.services.find("httpd").address)


def free_udp_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def wait_for_port(port: int, seconds: float = 20.0) -> None:
    """Wait until a host in another process listens at a port of loopback: its startup route runs before it does."""
    end = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
        except ConnectionRefusedError:
            if time.monotonic() > end:
                raise
            time.sleep(0.02)
        else:
            return


class FifoClient:
    """Has a reply FIFO of its own, open all the time."""

    def __init__(self, folder: Path, name: str = "client") -> None:
        self.name = name
        self.server = folder / "fifo"
        self.path = folder / "reply" / name
        os.mkfifo(self.path, 0o600)
        self.file = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        self.data = b""
        self.ready = asyncio.Event()
        asyncio.get_running_loop().add_reader(self.file, self._read)

    def _read(self) -> None:
        self.data += os.read(self.file, 1 << 20)
        self.ready.set()

    def write(self, data: str | bytes) -> None:
        """Write to the server's FIFO, as a whole."""
        with open(self.server, "wb", buffering=0) as fifo:
            fifo.write(data.encode() if isinstance(data, str) else data)

    def send(self, text: str) -> None:
        self.write(f":{self.name}:{text}")

    async def answer(self) -> bytes:
        """The next JSON value that arrives."""
        async with asyncio.timeout(SOON):
            while True:
                try:
                    _, end = json.JSONDecoder().raw_decode(self.data.decode())
                except ValueError:
                    self.ready.clear()
                    await self.ready.wait()
                    continue
                found, self.data = self.data[:end], self.data[end:]
                return found

    async def ask(self, text: str) -> bytes:
        self.send(text)
        return await self.answer()

    def close(self) -> None:
        asyncio.get_running_loop().remove_reader(self.file)
        os.close(self.file)
        self.path.unlink()


class DatagramClient:
    """A datagram socket that asks one server."""

    def __init__(self, family: int, own: object, server: object) -> None:
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 19)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 19)
        if own is not None:
            self.socket.bind(own)
        self.own = own
        self.server = server

    def send(self, text: str | bytes) -> None:
        self.socket.sendto(text.encode() if isinstance(text, str) else text, self.server)

    async def answer(self) -> bytes:
        async with asyncio.timeout(SOON):
            return await asyncio.get_running_loop().sock_recv(self.socket, 1 << 18)

    async def ask(self, text: str | bytes) -> bytes:
        self.send(text)
        return await self.answer()

    def close(self) -> None:
        self.socket.close()
        if isinstance(self.own, str):
            os.unlink(self.own)


def udp_client(host: Host, address: str = "127.0.0.1") -> DatagramClient:
    return DatagramClient(socket.AF_INET, (address, 0), host.catalog.modules["mi_datagram"].address)


def unix_client(folder: Path, name: str = "client.sock") -> DatagramClient:
    return DatagramClient(socket.AF_UNIX, str(folder / name), str(folder / "mi.sock"))


class HttpClient:
    """One connection; it reads answers by their `Content-Length` and knows nothing else of HTTP."""

    def __init__(self, host: Host) -> None:
        self.address = host.services.find("httpd").address

    async def open(self) -> HttpClient:
        self.reader, self.writer = await asyncio.open_connection(*self.address, limit=1 << 24)
        return self

    def write(self, data: str | bytes) -> None:
        self.writer.write(data.encode("latin-1") if isinstance(data, str) else data)

    def send(self, text: str, *, path: str = "/mi", head: str = "") -> None:
        body = text.encode()
        self.write(
            f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n{head}"
            f"Content-Length: {len(body)}\r\n\r\n".encode()
            + body
        )

    async def response(self) -> tuple[int, dict[str, str], bytes]:
        """Status, header fields and body of the next answer."""
        async with asyncio.timeout(SOON):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            fields = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            return int(head[0].split()[1]), fields, await self.reader.readexactly(int(fields["content-length"]))

    async def answer(self) -> bytes:
        return (await self.response())[2]

    async def ask(self, text: str) -> bytes:
        self.send(text)
        return await self.answer()

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        async with asyncio.timeout(SOON):
            try:
                return await self.reader.read()
            except ConnectionResetError:
                return b""

    def close(self) -> None:
        self.writer.transport.abort()


async def client_of(door: str, folder: Path, host: Host) -> FifoClient | DatagramClient | HttpClient:
    """A client of its own kind for each door."""
    match door:
        case "mi_fifo":
            return FifoClient(folder)
        case "udp":
            return udp_client(host)
        case "unix":
            return unix_client(folder)
    return await HttpClient(host).open()


def figure(host: Host, name: str) -> int:
    """A statistic of httpd."""
    return host.services.statistics.find(f"httpd:{name}").value


async def kept(host: Host, size: int) -> None:
    """Wait until httpd keeps so many bytes of bodies."""
    async with asyncio.timeout(SOON):
        while figure(host, "kept_bytes") != size:  # noqa: ASYNC110  # the kernel tells no one
            await asyncio.sleep(0.005)
