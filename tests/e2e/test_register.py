"""A phone that registers with its password over UDP, is found, and is asked for by MI: everything with real sockets."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.sip import Message
from miscript.sip.digest_response import Challenge

pytestmark = pytest.mark.e2e

SOON = 5.0

SCRIPT = """
log_level=-1
xlog_level=3
socket=udp:127.0.0.1:{port}
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "signaling.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
loadmodule "options.so"
loadmodule "ratelimit.so"
loadmodule "mi_script.so"
modparam("auth", "username_spec", "$var(user)")
modparam("auth", "password_spec", "$var(password)")
modparam("auth", "calculate_ha1", 1)

event_route[E_UL_CONTACT_INSERT] {{ xlog("event $param(aor) $param(uri)\\n"); }}

route {{
    if (!rl_check("$si", 100)) {{ sl_send_reply(503, "Slow Down"); exit; }}
    if ($rm == "OPTIONS") options_reply();
    if ($rm == "REGISTER") {{
        $var(user) = "alice"; $var(password) = "secret";
        if (!pv_www_authorize("")) {{ www_challenge("", "auth", "MD5,SHA-256"); exit; }}
        consume_credentials();
        save("location");
        mi("ul_show_contact location alice@127.0.0.1", $var(shown));
        xlog("mi $rc\\n");
        exit;
    }}
    if (!lookup("location")) {{ send_reply(404, "Nobody"); exit; }}
    t_relay();
}}
"""


class Client(asyncio.DatagramProtocol):
    """A phone's socket."""

    def __init__(self, port: int) -> None:
        self.host = ("127.0.0.1", port)
        self.received: asyncio.Queue[Message] = asyncio.Queue()
        self.cseq = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        self.transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=("127.0.0.1", 0))
        self.port = self.transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, address: object) -> None:
        self.received.put_nowait(Message.parse(data))

    async def next(self) -> Message:
        async with asyncio.timeout(SOON):
            return await self.received.get()

    async def ask(self, method: str, uri: str, *headers: str, user: str = "alice") -> Message:
        self.cseq += 1
        lines = [
            f"{method} {uri} SIP/2.0",
            f"Via: SIP/2.0/UDP 127.0.0.1:{self.port};branch=z9hG4bK{self.port}-{self.cseq};rport",
            f"From: <sip:{user}@127.0.0.1>;tag=f",
            f"To: <sip:{user}@127.0.0.1>",
            f"Call-ID: call-{self.port}",
            f"CSeq: {self.cseq} {method}",
            "Max-Forwards: 70",
            *headers,
            "Content-Length: 0",
        ]
        self.transport.sendto("\r\n".join([*lines, "", ""]).encode(), self.host)
        return await self.next()


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def running() -> AsyncIterator[tuple[Host, list[str], Client]]:
    printed: list[str] = []
    port = free_port()
    host = Host(Source("register.cfg", SCRIPT.format(port=port)), printed.append)
    host.load()
    await host.start()
    client = Client(port)
    await client.open()
    try:
        yield host, printed, client
    finally:
        client.transport.close()
        await host.stop()


async def register(client: Client, *headers: str, algorithm: str = "SHA-256", password: str = "secret") -> Message:
    """Register with a password, as phones do it: ask, be challenged, ask again."""
    refused = await client.ask("REGISTER", "sip:127.0.0.1", *headers)
    assert refused.status == 401
    challenges = [Challenge.parse(value) for value in refused.headers("WWW-Authenticate")]
    (challenge,) = [c for c in challenges if c.algorithm is not None and c.algorithm.value == algorithm]
    answer = challenge.answered("alice", password, "REGISTER", "sip:127.0.0.1", cnonce="c")
    return await client.ask("REGISTER", "sip:127.0.0.1", *headers, f"Authorization: {answer}")


async def test_a_phone_registers_with_its_password_and_is_found() -> None:
    async with running() as (_, printed, phone):
        contact = f"sip:alice@127.0.0.1:{phone.port}"
        assert (await phone.ask("OPTIONS", "sip:127.0.0.1")).status == 200
        for algorithm in ("MD5", "SHA-256"):
            answer = await register(phone, f"Contact: <{contact}>;expires=600", algorithm=algorithm)
            assert (answer.status, answer.reason) == (200, "OK")
            assert re.fullmatch(rf"<{re.escape(contact)}>;expires=(600|599)", answer.header("Contact") or "")
        assert printed.count("mi 1\n") == 2
        assert f"event alice@127.0.0.1 {contact}\n" in printed

        caller = Client(phone.host[1])
        await caller.open()
        try:
            call = asyncio.ensure_future(caller.ask("MESSAGE", "sip:alice@127.0.0.1", user="bob"))
            request = await phone.next()
            assert (request.method, request.uri) == ("MESSAGE", contact)
            assert request.header("Authorization") is None
            call.cancel()
        finally:
            caller.transport.close()


async def test_a_wrong_password_is_refused_and_nobody_is_found() -> None:
    async with running() as (host, _, phone):
        answer = await register(phone, f"Contact: <sip:alice@127.0.0.1:{phone.port}>", password="wrong")
        assert answer.status == 401
        assert (await phone.ask("MESSAGE", "sip:alice@127.0.0.1", user="bob")).status == 404
        accepted = host.services.statistics.find("registrar:accepted_regs")
        assert accepted is not None and accepted.value == 0


async def test_two_hundred_requests_at_once_are_all_answered() -> None:
    async with running() as (_, _, phone):
        answers = await asyncio.gather(*(phone.ask("OPTIONS", "sip:127.0.0.1") for _ in range(200)))
        assert {answer.status for answer in answers} == {200}
