"""Scripts with TLS, and phones that speak it, for tests with real sockets."""

from __future__ import annotations

import asyncio
import ssl
from contextlib import asynccontextmanager
from pathlib import Path

from certificates import Authority, Issued
from miscript.host.embedding import running
from miscript.host.loading import Source
from miscript.sip import Message
from miscript.sip.framing import StreamFramer

SOON = 5.0
"""Seconds after which a test gives up."""


def domain(kind: str, name: str, issued: Issued | None, ca: Path | None, **more: object) -> str:
    """The `modparam` lines of a domain; names of parameters as in the script."""
    given = dict(more)
    if issued is not None:
        given = {"certificate": issued.certificate, "private_key": issued.key} | given
    if ca is not None:
        given = {"ca_list": ca} | given
    lines = [f'modparam("tls_mgm", "{kind}_domain", "{name}")']
    lines += [f'modparam("tls_mgm", "{parameter}", "[{name}]{value}")' for parameter, value in given.items()]
    return "\n".join(lines) + "\n"


def script(sockets: str, domains: str, route: str, *, head: str = "", modules: str = "sl tm mi_script") -> str:
    lines = "\n".join(f"socket={socket}" for socket in sockets.split())
    loaded = "\n".join(f'loadmodule "{name}.so"' for name in ["tls_openssl", "tls_mgm", "proto_tls", *modules.split()])
    return f"log_level=3\n{lines}\n{loaded}\n{domains}\n{head}\n{route}"


def host(text: str, printed: list[str] | None = None):
    """The script as a host, for an `async with`."""
    return running(Source("test.cfg", text), (printed if printed is not None else []).append, timers=False)


def client_context(ca: Path | None, issued: Issued | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE if ca is None else ssl.CERT_REQUIRED
    if ca is not None:
        context.load_verify_locations(ca)
    if issued is not None:
        context.load_cert_chain(issued.certificate, issued.key)
    return context


def server_context(issued: Issued, ca: Path | None = None) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(issued.certificate, issued.key)
    if ca is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(ca)
    return context


def options(user: str = "x", number: int = 1, method: str = "OPTIONS") -> bytes:
    return (
        f"{method} sip:{user}@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS 127.0.0.1:9;branch=z9hG4bK{user}{number}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:x@b>\r\nCall-ID: {user}{number}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        "Content-Length: 0\r\n\r\n"
    ).encode()


class Phone:
    """One connection, and the messages that come over it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer
        self._framer = StreamFramer()
        self._messages: list[Message] = []

    @classmethod
    async def connect(cls, port: int, context: ssl.SSLContext | None, name: str = "") -> Phone:
        secure = {} if context is None else {"ssl": context, "server_hostname": name}
        return cls(*await asyncio.open_connection("127.0.0.1", port, **secure))

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def receive(self) -> Message:
        """The next message.  Raises EOFError when the connection ends before it."""
        async with asyncio.timeout(SOON):
            while not self._messages:
                data = await self.reader.read(65536)
                if not data:
                    raise EOFError
                self._messages += [Message.parse(one) for one in self._framer.feed(data) if isinstance(one, bytes)]
        return self._messages.pop(0)

    async def ask(self, data: bytes) -> Message:
        """The reply to a request."""
        self.send(data)
        return await self.receive()

    async def ended(self) -> None:
        """Wait until the other side has ended the connection."""
        async with asyncio.timeout(SOON):
            try:
                while await self.reader.read(65536):
                    pass
            except (ssl.SSLError, ConnectionError):
                pass

    def close(self) -> None:
        self.writer.transport.abort()


class Server:
    """A phone that others connect to; it answers each request with 200."""

    def __init__(self) -> None:
        self.requests: list[Message] = []
        self.certificates: list[bytes | None] = []
        """What the peers of the connections have shown, one for each connection."""

        self.failed = 0
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        secure = writer.get_extra_info("ssl_object")
        self.certificates.append(None if secure is None else secure.getpeercert(binary_form=True))
        phone = Phone(reader, writer)
        try:
            while True:
                async with asyncio.timeout(60):
                    data = await reader.read(65536)
                if not data:
                    return
                for one in phone._framer.feed(data):
                    if isinstance(one, bytes):
                        request = Message.parse(one)
                        self.requests.append(request)
                        if request.is_request and request.method != "ACK":
                            writer.write(ok(request))
        except (ConnectionError, ssl.SSLError):
            pass
        finally:
            writer.transport.abort()

    @classmethod
    @asynccontextmanager
    async def open(cls, context: ssl.SSLContext | None):
        server = cls()
        listening = await asyncio.start_server(server.serve, "127.0.0.1", 0, ssl=context)
        server.port = listening.sockets[0].getsockname()[1]
        try:
            yield server
        finally:
            listening.close()


def ok(request: Message) -> bytes:
    """200 OK with the fields of the request that a reply has."""
    vias = "".join(f"Via: {value}\r\n" for value in request.headers("Via"))
    fields = "".join(f"{name}: {request.header(name)}\r\n" for name in ("From", "Call-ID", "CSeq"))
    return f"SIP/2.0 200 OK\r\n{vias}{fields}To: {request.header('To')};tag=2\r\nContent-Length: 0\r\n\r\n".encode()


class World:
    """An authority, certificates for two servers and a client, and an authority that nobody trusts."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.authority = Authority(folder)
        self.ca = self.authority.ca
        self.atlanta = self.authority.issue("atlanta.example", names="DNS:atlanta.example,IP:127.0.0.1")
        self.biloxi = self.authority.issue("biloxi.example", serial=2)
        self.client = self.authority.issue("client.example", serial=3)
        self.stranger = Authority(folder, "stranger").issue("stranger.example")
