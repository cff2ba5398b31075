"""NAPTR and SRV records come from a real name server, which dnspython's own messages make up."""

import asyncio
import time
from contextlib import asynccontextmanager

import dns.message
import dns.rcode
import dns.rrset

from miscript.host.dns import DnsLookup
from miscript.sip.locating import Naptr, Srv

ZONE = {
    ("example.com.", "NAPTR"): ['10 20 "s" "SIP+D2U" "" _sip._udp.example.com.'],
    ("_sip._udp.example.com.", "SRV"): ["1 2 5070 a.example.com.", "3 4 5071 b.example.com."],
}


class NameServer(asyncio.DatagramProtocol):
    """Answers from `ZONE` and counts the questions; with `silent` it never answers."""

    def __init__(self, silent=False):
        self.questions = []
        self.silent = silent

    def connection_made(self, transport):
        self.transport = transport

    def datagram_received(self, data, addr):
        query = dns.message.from_wire(data)
        question = query.question[0]
        name, kind = question.name.to_text(), question.rdtype.name
        self.questions.append((name, kind))
        if self.silent:
            return
        answer = dns.message.make_response(query)
        if (name, kind) in ZONE:
            answer.answer.append(dns.rrset.from_text_list(question.name, 60, "IN", kind, ZONE[name, kind]))
        else:
            answer.set_rcode(dns.rcode.NXDOMAIN)
        self.transport.sendto(answer.to_wire(), addr)


@asynccontextmanager
async def name_server(**options):
    server = NameServer(**options)
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: server, local_addr=("127.0.0.1", 0))
    try:
        yield server, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def no_addresses(host):
    return []


async def test_records_are_read_and_kept_for_their_time():
    async with name_server() as (server, port):
        lookup = DnsLookup(no_addresses, name_servers=["127.0.0.1"], port=port)
        for _ in range(3):
            assert list(await lookup.naptr("example.com")) == [Naptr(10, 20, "s", "SIP+D2U", "_sip._udp.example.com")]
            assert set(await lookup.srv("_sip._udp.example.com")) == {
                Srv(1, 2, 5070, "a.example.com"),
                Srv(3, 4, 5071, "b.example.com"),
            }
        assert server.questions == [("example.com.", "NAPTR"), ("_sip._udp.example.com.", "SRV")]


async def test_a_name_that_does_not_exist_or_cannot_be_one_has_no_records():
    async with name_server() as (_, port):
        lookup = DnsLookup(no_addresses, name_servers=["127.0.0.1"], port=port)
        assert list(await lookup.srv("_sip._udp.nowhere.example")) == []
        assert list(await lookup.srv("_sip._udp." + "x" * 70 + ".example")) == []
        assert list(await lookup.naptr("a..b")) == []


async def test_a_server_that_is_silent_costs_no_more_than_the_timeout(caplog):
    async with name_server(silent=True) as (_, port):
        lookup = DnsLookup(no_addresses, name_servers=["127.0.0.1"], port=port, timeout=0.3)
        started = time.monotonic()
        assert list(await lookup.srv("_sip._udp.example.com")) == []
        assert time.monotonic() - started < 2
    assert "no name server answers for SRV _sip._udp.example.com" in caplog.text
