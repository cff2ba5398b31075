"""What the examples of manuals talk to: a script on real sockets, phones and gateways on UDP, a HEP collector."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import miscript
from miscript.errors import MIError
from miscript.host.embedding import call_command
from miscript.host.host import Host

SOON = 10.0
"""Seconds after which a test gives up."""

DIALOG = (
    'loadmodule "proto_udp.so"\n'
    'loadmodule "sl.so"\nloadmodule "signaling.so"\nloadmodule "tm.so"\nloadmodule "rr.so"\nloadmodule "dialog.so"\n'
)


class Running:
    """A script that is up; `until` waits for what sockets and databases bring."""

    def __init__(self, host: Host, printed: list[str]) -> None:
        self.host = host
        self._printed = printed

    @property
    def output(self) -> str:
        return "".join(self._printed)

    async def route(self, name: str) -> str:
        """What a route prints, with what it launches or continues in."""
        before = len(self.output)
        async with asyncio.timeout(SOON):
            await self.host.run_route("route", name)
        return self.output[before:]

    async def mi(self, name: str, *params: object, **named: object) -> object:
        async with asyncio.timeout(SOON):
            return await call_command(self.host.services.mi, name, list(params) or named or None)

    async def until(self, there: Callable[[], object]) -> None:
        """Wait for something in this process."""
        async with asyncio.timeout(SOON):
            while not there():  # noqa: ASYNC110  # what real sockets do sets no event
                await asyncio.sleep(0.002)

    async def until_mi(self, name: str, there: Callable[[str], object]) -> str:
        """Ask until the answer, as a text, is the one waited for."""
        async with asyncio.timeout(SOON):
            while True:
                try:
                    found = str(await self.mi(name))
                except MIError as error:
                    found = str(error)
                if there(found):
                    return found
                await asyncio.sleep(0.01)


@asynccontextmanager
async def running(script: str | Path) -> AsyncIterator[Running]:
    """Run a script, a text or a file, until the block ends."""
    printed: list[str] = []
    source = miscript.Source("test.cfg", script) if isinstance(script, str) else miscript.Source(str(script))
    async with miscript.running(source, printed.append) as host:
        yield Running(host, printed)
        assert host.tasks.failures == 0, "".join(printed)


class Gateway(asyncio.DatagramProtocol):
    """A phone or a gateway at a free port: it answers each request, and remembers all that came."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.status = "200 OK"
        self.port = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # made for datagrams
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str | object, int]) -> None:
        text = data.decode()
        self.heard.append(text)
        if not text.startswith(("SIP/2.0", "ACK")):
            self.transport.sendto(self._answer(text).encode(), address)

    def _answer(self, request: str) -> str:
        kept = re.findall(r"^(?:Via|Record-Route|From|Call-ID|CSeq):.*$", request, re.MULTILINE | re.IGNORECASE)
        to = re.search(r"^To:[^\r]*", request, re.MULTILINE | re.IGNORECASE)
        assert to is not None, request
        tagged = to[0] if ";tag=" in to[0] else f"{to[0]};tag=b"
        contact = f"Contact: <sip:127.0.0.1:{self.port}>"
        lines = [f"SIP/2.0 {self.status}", *(line.rstrip("\r") for line in kept), tagged, contact]
        return "\r\n".join([*lines, "Content-Length: 0", "", ""])

    def send(self, method: str, uri: str, port: int, *, call_id: str, from_tag: str, user: str = "alice") -> None:
        """Send a request to a script at `port`."""
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{call_id}",
            f"From: <sip:{user}@127.0.0.1>;tag={from_tag}",
            "To: <sip:bob@127.0.0.1>",
            f"Call-ID: {call_id}",
            f"CSeq: 1 {method}",
            f"Contact: <sip:alice@127.0.0.1:{self.port}>",
            "Max-Forwards: 70",
        ]
        text = "\r\n".join([*lines, "Content-Length: 0", "", ""])
        self.transport.sendto(text.encode(), ("127.0.0.1", port))

    def methods(self) -> list[str]:
        """First words of what came."""
        return [text.partition(" ")[0] for text in self.heard]

    def statuses(self) -> list[int]:
        """Statuses of the replies that came."""
        return [int(text.split()[1]) for text in self.heard if text.startswith("SIP/2.0")]


@asynccontextmanager
async def gateway() -> AsyncIterator[Gateway]:
    """A `Gateway` that is there."""
    transport, found = await asyncio.get_running_loop().create_datagram_endpoint(Gateway, local_addr=("127.0.0.1", 0))
    try:
        yield found
    finally:
        transport.close()


class Collector:
    """Takes HEP packets over TCP; `texts` are the MI commands and answers in them."""

    def __init__(self) -> None:
        self.data = b""
        self.port = 0

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(65536):
                self.data += piece
        finally:
            writer.close()


@asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """A `Collector` that listens."""
    found = Collector()
    server = await asyncio.start_server(found.take, "127.0.0.1", 0)
    found.port = server.sockets[0].getsockname()[1]
    try:
        yield found
    finally:
        server.close()
