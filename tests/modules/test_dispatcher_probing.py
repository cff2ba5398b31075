"""Probes of dispatcher, on a network in memory and over real sockets; observed probes of OpenSIPS 4.1."""

from __future__ import annotations

import asyncio
import re
import socket

import pytest

from dispatcher_tables import COLUMNS, HOST, Table, listed
from miscript import running
from miscript.errors import ConfigurationError, ScriptError
from miscript.sip import Message
from miscript.sip.replies import make_reply
from miscript.testing import MemoryPeer, RunningScript

EVERY_SECOND = 'modparam("dispatcher", "ds_ping_interval", 1)\n'
ALL_OF_THEM = EVERY_SECOND + 'modparam("dispatcher", "ds_probing_mode", 1)\n'
TIMEOUT = 'modparam("tm", "fr_timeout", 2)\n'


@pytest.fixture
def table(tmp_path):
    """A table without rows."""
    return Table(tmp_path / "db")


def at(script: RunningScript, number: int) -> MemoryPeer:
    return script.network.peer(f"udp:10.0.0.2{number}:5060")


def asked(script: RunningScript, peer: MemoryPeer, status: int | None = None) -> list[Message]:
    """A second passes; the probes that came to a peer, answered when there is a status."""
    script.advance(1)
    requests = peer.take()
    for request in requests:
        if status is not None:
            peer.send(make_reply(request, status, "Reason", to_tag="b"), *HOST)
    script.settle()
    return requests


def states(script: RunningScript) -> list[str]:
    return [state for _, state in listed(script)]


def test_one_that_is_out_for_probing_is_asked_until_it_answers(table):
    table.add(1, "sip:10.0.0.21", state=2).add(1, "sip:10.0.0.22").add(1, "sip:10.0.0.23", state=1)
    body = (
        'route { exit; } event_route[E_DISPATCHER_STATUS] { xlog("$param(address) $param(status) $param(reason)\\n"); }'
    )
    with table.script(body, parameters=EVERY_SECOND) as script:
        peers = [at(script, n) for n in (1, 2, 3)]
        assert len(asked(script, peers[0], 404)) == 1
        assert states(script) == ["Probing", "Active", "Inactive"]
        assert len(asked(script, peers[0], 200)) == 1
        assert states(script) == ["Active", "Active", "Inactive"]
        assert script.take() == "sip:10.0.0.21 active 200 OK probing reply\n"
        assert asked(script, peers[0]) == []
        assert peers[1].take() == peers[2].take() == []


def test_those_in_service_are_asked_as_well_when_that_is_wanted(table):
    table.add(1, "sip:10.0.0.21").add(1, "sip:10.0.0.22", state=1)
    with table.script(parameters=ALL_OF_THEM) as script:
        peer, left_alone = at(script, 1), at(script, 2)
        found = []
        for status in (404, 408, 200, 503, 404, 302, 302, 200):
            assert len(asked(script, peer, status)) == 1
            found.append(states(script)[0])
        assert found == ["Active"] * 5 + ["Probing", "Probing", "Active"]
        assert left_alone.take() == []


def test_the_column_probe_mode_has_one_asked_always(table):
    for number in range(3):
        table.add(1, f"sip:10.0.0.2{number}", probe_mode=number)
    with table.script(parameters=EVERY_SECOND) as script:
        peers = [at(script, n) for n in range(3)]
        script.advance(1)
        assert [len(peer.take()) for peer in peers] == [0, 1, 0]


def test_silence_is_a_failure(table):
    table.add(1, "sip:10.0.0.21")
    parameters = ALL_OF_THEM + TIMEOUT + 'modparam("dispatcher", "ds_probing_threshold", 1)\n'
    with table.script(parameters=parameters) as script:
        at(script, 1)
        script.advance(2.5)
        assert states(script) == ["Active"]
        script.advance(1)
        assert states(script) == ["Probing"]


def test_other_statuses_can_be_as_good_as_200(table):
    table.add(1, "sip:10.0.0.21", state=2)
    with table.script(parameters=EVERY_SECOND + 'modparam("dispatcher", "options_reply_codes", "404, 501")') as script:
        peer = at(script, 1)
        asked(script, peer, 403)
        assert states(script) == ["Probing"]
        asked(script, peer, 501)
        assert states(script) == ["Active"]


def test_only_the_sets_of_the_list_are_asked(table):
    table.add(1, "sip:10.0.0.21", state=2).add(2, "sip:10.0.0.22", state=2)
    with table.script(parameters=EVERY_SECOND + 'modparam("dispatcher", "ds_probing_list", "2,7")') as script:
        first, second = at(script, 1), at(script, 2)
        script.advance(1)
        assert (len(first.take()), len(second.take())) == (0, 1)


def test_method_from_max_forwards_and_socket_are_parameters(table):
    table.add(1, "sip:10.0.0.21", state=2)
    parameters = EVERY_SECOND + "".join(
        f'modparam("dispatcher", "{name}", {value})\n'
        for name, value in (
            ("ds_ping_method", '"INFO"'),
            ("ds_ping_from", '"sip:me@here.com"'),
            ("ds_ping_maxfwd", 3),
            ("ds_probing_sock", '"udp:10.0.0.8:5099"'),
        )
    )
    with table.script(parameters=parameters, head="socket=udp:10.0.0.8:5099") as script:
        (request,) = asked(script, at(script, 1))
        assert (request.method, request.uri, request.header("To")) == ("INFO", "sip:10.0.0.21", "<sip:10.0.0.21>")
        assert re.fullmatch(r"<sip:me@here\.com>;tag=.+", request.header("From"))
        assert request.header("Max-Forwards") == "3"
        assert request.first_via is not None and request.first_via.port == 5099


def test_a_partition_has_its_own_method(table):
    table.add(1, "sip:10.0.0.21", state=2).write("other")
    table.rows.clear()
    parameters = EVERY_SECOND + 'modparam("dispatcher", "partition", "b: table_name=other; ping_method=INFO")'
    with table.script(parameters=parameters) as script:
        (request,) = asked(script, at(script, 1), 200)
        assert request.method == "INFO"
        assert listed(script) == [("sip:10.0.0.21", "Active")]


def test_an_answer_that_comes_after_a_reload_counts_for_the_new_table(table):
    table.add(1, "sip:10.0.0.21", state=2).add(1, "sip:10.0.0.22", state=2)
    with table.script(parameters=EVERY_SECOND) as script:
        peers = [at(script, 1), at(script, 2)]
        script.advance(1)
        requests = [peer.take()[0] for peer in peers]
        table.rows.pop()
        table.write()
        script.mi("dbt_reload")
        script.mi("ds_reload")
        for peer, request in zip(peers, requests, strict=True):
            peer.send(make_reply(request, 200, "OK", to_tag="b"), *HOST)
        script.settle()
        assert listed(script) == [("sip:10.0.0.21", "Active")]


@pytest.mark.parametrize(
    "parameter",
    [
        '"ds_probing_sock", "udp:1.2.3.4:5"',
        '"ds_probing_list", "1,x"',
        '"options_reply_codes", "abc"',
        '"ds_ping_from", "nobody"',
        '"ds_ping_method", "OPT IONS"',
        '"ds_ping_maxfwd", -4',
        '"ds_ping_interval", -1',
    ],
)
def test_probes_that_cannot_be_sent_are_refused_at_the_start(table, parameter):
    with pytest.raises((ScriptError, ConfigurationError)):
        table.script(parameters=f'{EVERY_SECOND}modparam("dispatcher", {parameter})')


def test_probes_need_tm(table):
    table.write()
    with pytest.raises((ScriptError, ConfigurationError), match="tm"):
        RunningScript(
            f'loadmodule "db_text.so"\nloadmodule "dispatcher.so"\n'
            f'modparam("dispatcher", "db_url", "text://{table.folder}")\n{EVERY_SECOND}\nroute {{ exit; }}'
        )


@pytest.mark.e2e
async def test_a_real_peer_is_asked_over_a_real_socket(table, tmp_path):
    loop = asyncio.get_running_loop()
    answered = asyncio.Event()

    class Peer(asyncio.DatagramProtocol):
        def connection_made(self, transport):
            self.transport = transport

        def datagram_received(self, data, source):
            self.transport.sendto(make_reply(Message.parse(data), 200, "OK", to_tag="b"), source)
            answered.set()

    transport, _ = await loop.create_datagram_endpoint(Peer, local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        own = probe.getsockname()[1]
    table.add(1, f"sip:127.0.0.1:{port}", state=2).write(columns=COLUMNS)
    active = asyncio.Event()

    def printed(text: str) -> None:
        if "active" in text:
            active.set()

    loads = "".join(f'loadmodule "{name}.so"\n' for name in ("tm", "db_text", "dispatcher"))
    script = (
        f'socket=udp:127.0.0.1:{own}\n{loads}modparam("dispatcher", "db_url", "text://{table.folder}")\n'
        f"{EVERY_SECOND}route {{ exit; }}\n"
        'event_route[E_DISPATCHER_STATUS] { xlog("$param(status)\\n"); }\n'
    )
    file = tmp_path / "probing.cfg"
    file.write_text(script)
    try:
        async with running(file, write=printed), asyncio.timeout(10):
            await answered.wait()
            await active.wait()
    finally:
        transport.close()
