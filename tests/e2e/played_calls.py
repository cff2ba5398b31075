"""Plays with a script on real UDP sockets: phones that send and answer exactly what a test says.

Unlike `real_peers`, nothing is answered by itself; a message that comes again is shown once.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import miscript
from miscript.host.host import Host
from miscript.sip import Message
from miscript.sip.replies import make_reply
from miscript.sip.requests import make_ack
from miscript.values import encode

SOON = 5.0
MODULES = "".join(f'loadmodule "{name}.so"\n' for name in ("sl", "tm", "rr", "signaling", "textops", "sipmsgops"))


class Phone(asyncio.DatagramProtocol):
    """A UDP socket of a test."""

    def __init__(self) -> None:
        self.port = 0
        self._seen: set[bytes] = set()
        self._come: asyncio.Queue[Message] = asyncio.Queue()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]  # made for datagrams
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: tuple[str | object, int]) -> None:
        if data not in self._seen:
            self._seen.add(data)
            self._come.put_nowait(Message.parse(data))

    def send(self, data: bytes | str, port: int) -> None:
        """Send to a script."""
        self._transport.sendto(encode(data) if isinstance(data, str) else data, ("127.0.0.1", port))

    async def next(self) -> Message:
        """The next message that comes."""
        async with asyncio.timeout(SOON):
            return await self._come.get()

    async def told(self, count: int) -> list[int | str | None]:
        """Methods and statuses of the next messages."""
        found = [await self.next() for _ in range(count)]
        return [message.status if message.status is not None else message.method for message in found]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing has come that the test has not taken."""
        return self._come.empty()


class Play:
    """A script that runs, what it has printed, and the phone `alice` that calls."""

    def __init__(self, host: Host, port: int, alice: Phone, printed: list[str]) -> None:
        self.host = host
        self.port = port
        self.alice = alice
        self._printed = printed

    @property
    def output(self) -> str:
        """All that the script has printed."""
        return "".join(self._printed)

    def request(
        self,
        method: str = "INVITE",
        uri: str = "sip:bob@example.com",
        *,
        number: int = 1,
        to_tag: str = "",
        more: str = "",
        branch: str = "",
        body: str = "",
    ) -> str:
        """A request of alice; `more` are header fields with their line ends."""
        tag = f";tag={to_tag}" if to_tag else ""
        return (
            f"{method} {uri} SIP/2.0\r\n"
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.alice.port};branch=z9hG4bK{branch or number}\r\n"
            f"From: <sip:alice@example.com>;tag=a\r\nTo: <sip:bob@example.com>{tag}\r\nCall-ID: one\r\n"
            f"CSeq: {number} {method}\r\nContact: <sip:alice@127.0.0.1:{self.alice.port}>\r\n{more}"
            f"Content-Length: {len(body)}\r\n\r\n{body}"
        )

    def ask(self, method: str = "INVITE", **more: object) -> bytes:
        """Let alice send a request; gives it."""
        data = encode(self.request(method, **more))  # type: ignore[arg-type]  # those of request()
        self.alice.send(data, self.port)
        return data

    def answer(self, phone: Phone, request: Message, status: int, reason: str = "Reason", **more: object) -> None:
        """Let a phone answer."""
        data = make_reply(request, status, reason, to_tag="b", **more)  # type: ignore[arg-type]  # those of make_reply
        phone.send(data, self.port)

    def acknowledge(self, invite: bytes, reply: Message) -> None:
        """The ACK of alice for a negative reply."""
        self.alice.send(make_ack(invite, reply), self.port)

    async def until(self, text: str) -> None:
        """Wait until the script has printed a text."""
        await self.until_true(lambda: text in self.output)

    async def until_true(self, condition: Callable[[], object]) -> None:
        """Wait for something in this process."""
        async with asyncio.timeout(SOON):
            while not condition():  # noqa: ASYNC110  # what real sockets do sets no event
                await asyncio.sleep(0.002)

    async def printed(self, text: str) -> None:
        """Wait until the script has printed as much as a text, and compare."""
        await self.until_true(lambda: len(self.output) >= len(text))
        assert self.output == text


@asynccontextmanager
async def phone() -> AsyncIterator[Phone]:
    """A phone at a free port."""
    transport, found = await asyncio.get_running_loop().create_datagram_endpoint(Phone, local_addr=("127.0.0.1", 0))
    try:
        yield found
    finally:
        transport.close()


@asynccontextmanager
async def play(script: str, *, head: str = "", modules: str = "", **ports: int) -> AsyncIterator[Play]:
    """A script with the usual modules and more of them; `@name@` in it is the port of that name.

    `head` are parameters behind the modules.
    """
    async with phone() as probe:
        port = probe.port
    more = "".join(f'loadmodule "{name}.so"\n' for name in modules.split())
    text = f"socket=udp:127.0.0.1:{port}\n{MODULES}{more}{head}\n{script}"
    for name, value in ports.items():
        text = text.replace(f"@{name}@", str(value))
    printed: list[str] = []
    async with phone() as alice, miscript.running(miscript.Source("test.cfg", text), printed.append) as host:
        yield Play(host, port, alice, printed)
        assert host.tasks.failures == 0, "".join(printed)
