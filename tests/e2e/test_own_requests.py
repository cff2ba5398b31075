"""Requests of our own over real sockets: the next address of a destination is tried when one is of no use."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

import pytest

import miscript
from miscript.host.dns import DnsLookup
from miscript.sip.locating import Naptr, Srv
from played_calls import phone, play


@pytest.fixture
def servers(monkeypatch):
    """SRV records of example.com: a list that a test fills with ports."""
    ports: list[int] = []

    async def srv(self, name):
        return [Srv(number, 1, port, "127.0.0.1") for number, port in enumerate(ports)] if "udp" in name else []

    async def naptr(self, domain):
        return []

    monkeypatch.setattr(DnsLookup, "srv", srv)
    monkeypatch.setattr(DnsLookup, "naptr", naptr)
    return ports


ASK = 'startup_route { t_new_request("OPTIONS", "sip:example.com", "sip:me@here", "sip:you@there"); xlog("$rc"); }'
QUICK = 'modparam("tm", "fr_timeout", 1)'


async def test_a_request_of_ours_goes_to_the_next_address_when_nobody_answers(servers):
    async with phone() as silent, phone() as there:
        servers += [silent.port, there.port]
        async with play(ASK + 'route { exit; } local_route { xlog("L "); }', head=QUICK) as now:
            first, second = await silent.next(), await there.next()
            now.answer(there, second, 200)
            assert (first.method, second.method, second.original_uri) == ("OPTIONS", "OPTIONS", "sip:example.com")
            assert first.call_id == second.call_id
            assert first.first_via.branch != second.first_via.branch
            assert len(second.vias) == 1
            await now.printed("L 1")


async def by_mi(now):
    headers = "From: <sip:a@b>;tag=1\r\nTo: <sip:c@d>\r\n"
    asked = {"method": "OPTIONS", "ruri": "sip:example.com", "headers": headers}
    return await miscript.call_command(now.host.services.mi, "t_uac_dlg", asked)


async def test_a_request_of_ours_goes_to_the_next_address_when_one_is_overloaded(servers):
    async with phone() as busy, phone() as there:
        servers += [busy.port, there.port]
        async with play("route { exit; }") as now:
            asked = asyncio.ensure_future(by_mi(now))
            now.answer(busy, await busy.next(), 503)
            now.answer(there, await there.next(), 200, "Fine")
            assert (await asyncio.wait_for(asked, 5))["Status"] == "200 Fine"


async def test_the_last_answer_counts_when_all_addresses_are_of_no_use(servers):
    async with phone() as busy, phone() as other:
        servers += [busy.port, other.port]
        async with play("route { exit; }") as now:
            asked = asyncio.ensure_future(by_mi(now))
            now.answer(busy, await busy.next(), 503)
            now.answer(other, await other.next(), 503, "Full")
            assert (await asyncio.wait_for(asked, 5))["Status"].startswith("503")


@asynccontextmanager
async def refused():
    """A port where nobody listens."""
    server = await asyncio.start_server(lambda *ends: None, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    server.close()
    await server.wait_closed()
    yield port


async def test_a_request_of_ours_takes_another_transport_when_a_connection_is_refused(monkeypatch):
    async with phone() as there, refused() as gone:

        async def srv(self, name):
            return [Srv(1, 1, gone if ".T." in name else there.port, "127.0.0.1")]

        async def naptr(self, domain):
            return [Naptr(number, 1, "s", f"SIP+D2{x}", f"_sip.{x}.{domain}") for number, x in enumerate(("T", "U"))]

        monkeypatch.setattr(DnsLookup, "srv", srv)
        monkeypatch.setattr(DnsLookup, "naptr", naptr)
        async with phone() as probe:
            port = probe.port
        head = f"socket=tcp:127.0.0.1:{port}\n"
        async with play(f"{head}{ASK} route {{ exit; }}", modules="proto_tcp") as now:
            asked = await there.next()
            now.answer(there, asked, 200)
            await now.printed("1")
            assert asked.first_via.transport == "UDP"
