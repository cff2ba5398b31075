"""Probes of drouting, on a network in memory and over real sockets; observed probes of OpenSIPS 4.1."""

from __future__ import annotations

import asyncio
import re
import socket
from typing import cast

import pytest

from miscript import running
from miscript.host.loading import Source
from miscript.sip import Message
from miscript.sip.replies import make_reply
from miscript.testing import MemoryPeer, RunningScript
from routing_tables import HOST, MODULES, RoutingTables, call, states

EVERY_SECOND = 'modparam("drouting", "probing_interval", 1)\nmodparam("tm", "fr_timeout", 2)\n'
EVENTS = """event_route[E_DROUTING_STATUS] { xlog("$param(gwid) $param(status) $param(reason)\\n"); }
route { do_routing(0); dr_disable(); }"""


@pytest.fixture
def tables(tmp_path):
    """A gateway of each way to be probed."""
    return (
        RoutingTables(tmp_path / "db")
        .gateway("never", "10.0.1.1", state=2)
        .gateway("inactive", "10.0.1.2", probe=1)
        .gateway("always", "10.0.1.3", probe=2)
        .gateway("off", "10.0.1.4", probe=2, state=1)
        .rule("", "inactive")
    )


def at(script: RunningScript, number: int) -> MemoryPeer:
    return script.network.peer(f"udp:10.0.1.{number}:5060")


def probed(script: RunningScript, peer: MemoryPeer, status: int | None = None) -> list[Message]:
    """A second passes; the probes that came to a peer, answered when there is a status."""
    script.advance(1)
    requests = peer.take()
    for request in requests:
        if status is not None:
            peer.send(make_reply(request, status, "Reason", to_tag="b"), *HOST)
    script.settle()
    return requests


def test_what_is_probed_is_what_mode_and_state_ask_for(tables):
    with tables.script(EVENTS, parameters=EVERY_SECOND) as script:
        peers = [at(script, number) for number in range(1, 5)]
        script.advance(1)
        assert [len(peer.take()) for peer in peers] == [0, 0, 1, 0]


def test_a_probe_is_a_request_as_the_parameters_say(tables):
    more = 'modparam("drouting", "probing_method", "INFO")\nmodparam("drouting", "probing_from", "sip:me@here")\n'
    with tables.script(parameters=EVERY_SECOND + more) as script:
        (request,) = probed(script, at(script, 3), 200)
        assert (request.method, request.uri) == ("INFO", "sip:10.0.1.3")
        assert request.header("To") == "<sip:10.0.1.3>"
        assert re.match(r"<sip:me@here>;tag=", request.header("From") or "")


def test_a_gateway_that_the_script_gave_up_comes_back_with_a_good_probe(tables):
    with tables.script(EVENTS, parameters=EVERY_SECOND) as script:
        peer = at(script, 2)
        script.route("", message=call())
        assert states(script)["inactive"] == "Probing"
        assert len(probed(script, peer, 404)) == 1
        assert len(probed(script, peer, 200)) == 1
        assert states(script)["inactive"] == "Active"
        assert script.take() == "inactive probing script dr_disable\ninactive active 200 OK probing reply\n"
        assert probed(script, peer) == []


def test_one_that_is_always_probed_goes_with_a_bad_answer_and_comes_with_a_good_one(tables):
    more = 'modparam("drouting", "probing_reply_codes", "501, 403")\n'
    with tables.script(EVENTS, parameters=EVERY_SECOND + more) as script:
        peer = at(script, 3)
        for status, state in ((403, "Active"), (500, "Inactive"), (501, "Active"), (404, "Inactive"), (200, "Active")):
            assert len(probed(script, peer, status)) == 1
            assert states(script)["always"] == state
        assert [line.split(" ", 1)[1] for line in script.take().splitlines()] == [
            "inactive negative probing reply",
            "active 501 probing reply",
            "inactive negative probing reply",
            "active 200 OK probing reply",
        ]


def test_no_answer_is_a_bad_one_and_the_next_probe_does_not_wait_for_it(tables):
    with tables.script(parameters=EVERY_SECOND + 'modparam("tm", "T1_timer", 5000)\n') as script:
        peer = at(script, 3)
        assert [len(probed(script, peer)) for _ in range(2)] == [1, 1]
        script.advance(2)
        assert states(script)["always"] == "Inactive"


def test_of_one_gateway_eight_probes_wait_and_no_more_are_sent(tables):
    timers = 'modparam("tm", "fr_timeout", 60)\nmodparam("tm", "T1_timer", 50000)\n'
    with tables.script(parameters=EVERY_SECOND + timers) as script:
        peer = at(script, 3)
        assert sum(len(probed(script, peer)) for _ in range(20)) == 8
        assert states(script)["always"] == "Active"


def test_a_gateway_that_mi_switched_off_is_left_alone_and_probing_can_be_switched_off(tables):
    with tables.script(parameters=EVERY_SECOND) as script:
        peer = at(script, 3)
        script.mi("dr_gw_status", gw_id="always", status=0)
        assert probed(script, peer) == []
        script.mi("dr_gw_status", gw_id="always", status=1)
        assert len(probed(script, peer, 200)) == 1
        assert script.mi("dr_enable_probing", 0) == "OK"
        assert script.mi("dr_enable_probing") == {"Status": 0}
        assert probed(script, peer) == []
        assert script.mi("dr_enable_probing", 1) == "OK"
        assert len(probed(script, peer, 200)) == 1


def test_the_answer_to_a_probe_counts_for_the_gateway_that_a_reload_brought(tables):
    with tables.script(parameters=EVERY_SECOND) as script:
        peer = at(script, 3)
        (request,) = probed(script, peer)
        script.mi("dr_reload")
        peer.send(make_reply(request, 500, "No", to_tag="b"), *HOST)
        script.settle()
        assert states(script)["always"] == "Inactive"
        (request,) = probed(script, peer)
        tables.rows["dr_gateways"].clear()
        tables.gateway("always", "10.0.9.9", probe=2).write()
        script.mi("dr_reload", inherit_state="n")
        peer.send(make_reply(request, 500, "No", to_tag="b"), *HOST)
        script.settle()
        assert states(script) == {"always": "Active"}  # it is somewhere else now


class Answering(asyncio.DatagramProtocol):
    """A gateway that answers everything with 200."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, address: tuple[str, int]) -> None:
        self.transport.sendto(make_reply(Message.parse(data), 200, "OK", to_tag="b"), address)


@pytest.mark.e2e
async def test_a_real_gateway_is_probed_over_a_real_socket(tmp_path):
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Answering, local_addr=("127.0.0.1", 0))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        own = free.getsockname()[1]
    port = transport.get_extra_info("sockname")[1]
    tables = RoutingTables(tmp_path / "db").gateway("gw1", f"127.0.0.1:{port}", probe=2, state=2).write()
    loads = "".join(f'loadmodule "{name}.so"\n' for name in MODULES.split())
    script = f"""log_level=-1
socket=udp:127.0.0.1:{own}
{loads}
modparam("drouting", "db_url", "text://{tables.folder}")
{EVERY_SECOND}
route {{ exit; }}
event_route[E_DROUTING_STATUS] {{ xlog("$param(gwid) $param(status)\n"); }}
"""
    printed: asyncio.Queue[str] = asyncio.Queue()
    try:
        async with running(Source("probing.cfg", script), printed.put_nowait):
            assert await asyncio.wait_for(printed.get(), 10) == "gw1 active\n"
    finally:
        transport.close()
