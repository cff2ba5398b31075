"""The host as a SIP element: what comes in, what is refused, what is counted; and its real sockets."""

import asyncio
import socket

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from miscript import ConfigurationError
from miscript.host import sip_element
from miscript.host.embedding import running
from miscript.host.loading import Source
from miscript.sip.locating import Naptr, Srv
from miscript.testing import MemoryNetwork, RunningScript
from sipp_calls import free_port

GOOD = (
    b"OPTIONS sip:a@b SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:a@b>\r\nCall-ID: 1\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)
ECHO = 'loadmodule "sl.so"\nroute { xlog("$rm "); sl_send_reply(200, "OK"); }\n'


@pytest.fixture
def script():
    with RunningScript(f"socket=udp:10.0.0.9:5060\n{ECHO}", network=MemoryNetwork()) as running_script:
        running_script.alice = running_script.network.peer("udp:10.0.0.1:5060")
        yield running_script


def sent(script, data):
    script.alice.send(data, "10.0.0.9", 5060)
    script.settle()
    return [(m.status, m.reason) for m in script.alice.take()]


def core(script):
    found = script.mi("get_statistics", ["core:"])
    return {name.removeprefix("core:"): value for name, value in found.items() if value and "timestamp" not in name}


def test_a_request_runs_the_main_route(script):
    assert sent(script, GOOD) == [(200, "OK")]
    assert script.output == "OPTIONS "
    assert core(script) == {"rcv_requests": 1}


@pytest.mark.parametrize(
    ("old", "new", "answer"),
    [
        (b"Call-ID: 1\r\n", b"", (400, "Missing Call-ID")),
        (b"From: <sip:a@b>;tag=1\r\n", b"", (400, "Missing From")),
        (b"CSeq: 1 OPTIONS", b"CSeq: 1 INVITE", (400, "Bad CSeq")),
        (b"CSeq: 1 OPTIONS", b"CSeq: x OPTIONS", (400, "Bad CSeq")),
        (b"Length: 0", b"Length: 9", (400, "Body Shorter Than Content-Length")),
        (b"SIP/2.0\r\nVia", b"SIP/3.0\r\nVia", (505, "Version Not Supported")),
    ],
)
def test_a_request_that_is_not_right_gets_its_reply_before_the_script(script, old, new, answer):
    assert sent(script, GOOD.replace(old, new)) == [answer]
    assert script.output == ""
    assert core(script)["bad_msg_hdr"] == 1


@pytest.mark.parametrize(
    ("data", "counters"),
    [
        (GOOD.replace(b"Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK1\r\n", b""),
         {"bad_msg_hdr": 1, "drop_requests": 1, "rcv_requests": 1}),
        (b"this is no SIP message at all", {"bad_msg_hdr": 1, "drop_requests": 1}),
        (b"SIP/2.0 abc\r\n\r\nxxxxx", {"bad_msg_hdr": 1, "drop_replies": 1}),
        (b"SIP/2.0 200 OK\r\nTo: x\r\n\r\n", {"bad_msg_hdr": 1, "drop_replies": 1, "rcv_replies": 1}),
        (b"\r\n\r\n", {}),
        (b"\0\0\0\0", {}),
        (GOOD.replace(b"Call-ID: 1\r\n", b"").replace(b"OPTIONS", b"ACK"),
         {"bad_msg_hdr": 1, "drop_requests": 1, "rcv_requests": 1}),
    ],
)  # fmt: skip
def test_what_cannot_be_answered_is_counted(script, data, counters):
    assert sent(script, data) == []
    assert core(script) == counters


def test_the_error_route_answers_bad_requests_where_there_is_one():
    route = 'error_route { xlog("$err.rcode $err.level $err.info"); sl_send_reply(499, "Mine"); }'
    text = f"socket=udp:10.0.0.9:5060\n{ECHO}{route}"
    with RunningScript(text, network=MemoryNetwork()) as script:
        script.alice = script.network.peer("udp:10.0.0.1:5060")
        assert sent(script, GOOD.replace(b"Call-ID: 1\r\n", b"")) == [(499, "Mine")]
        assert script.output == "400 3 Missing Call-ID"


def test_a_flood_is_counted_and_costs_no_memory(script, monkeypatch):
    monkeypatch.setattr(sip_element, "MAX_UNDER_WAY", 5)
    for _ in range(50):
        script.alice.send(GOOD, "10.0.0.9", 5060)
    script.settle()
    found = core(script)
    assert found["rcv_requests"] + found["drop_requests"] == 50
    assert found["drop_requests"] >= 45
    assert sent(script, GOOD)[-1] == (200, "OK"), "it works again behind it"


PIECES = st.sampled_from(
    [b"OPTIONS sip:a@b SIP/2.0", b"SIP/2.0 200 OK", b"Via: SIP/2.0/UDP 10.0.0.1", b"Via: x", b"From: <", b"From: a",
     b"To: <sip:a@b>;tag", b"Call-ID: 1", b"CSeq: 1 OPTIONS", b"CSeq: 99999999999 X", b"", b"Route: <", b"\xff\0: \x80",
     b"Content-Length: -1", b" folded"]
)  # fmt: skip


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(PIECES | st.binary(max_size=30), max_size=12))
def test_any_bytes_leave_the_host_alive(script, lines):
    script.alice.send(b"\r\n".join(lines), "10.0.0.9", 5060)
    script.settle()
    script.alice.take()
    assert script.host.tasks.failures == 0
    assert script.host.runner.broken == 0
    assert sent(script, GOOD) == [(200, "OK")]


# -- real sockets -------------------------------------------------------------------------------------------------


def at(port, *more):
    lines = "".join(f"{line}\n" for line in more)
    return Source("test.cfg", f"socket=udp:127.0.0.1:{port}\nsocket=tcp:127.0.0.1:{port}\n{lines}{ECHO}")


async def test_a_socket_that_is_taken_names_its_line():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        with pytest.raises(
            ConfigurationError, match=rf"test\.cfg:1:1: error\[E410\]: socket 'udp:127.0.0.1:{port}' cannot be opened"
        ):
            async with running(at(port), print):
                pass


async def test_a_connection_carries_pings_requests_and_ends_with_what_cannot_be_read():
    port, printed = free_port(), []
    async with running(at(port), printed.append):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\r\n\r\n" + GOOD[:50])
        assert await reader.readexactly(2) == b"\r\n"
        writer.write(GOOD[50:] + GOOD)
        for _ in range(2):
            reply = await reader.readuntil(b"\r\n\r\n")
            assert reply.startswith(b"SIP/2.0 200 OK")
        writer.write(GOOD.replace(b"Content-Length: 0", b"Content-Length: x"))
        assert (await reader.read()).startswith(b"SIP/2.0 400 ")
        writer.close()
    assert "".join(printed) == "OPTIONS OPTIONS "


async def test_a_slow_sender_is_cut_off_and_others_are_served():
    port = free_port()
    async with running(at(port, "tcp_max_msg_time=1"), lambda text: None) as host:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GOOD[:30])
        other, sender = await asyncio.open_connection("127.0.0.1", port)
        sender.write(GOOD)
        assert (await other.readuntil(b"\r\n\r\n")).startswith(b"SIP/2.0 200")
        async with asyncio.timeout(5):
            with pytest.raises(ConnectionResetError):
                assert await reader.read() == b""
                raise ConnectionResetError
        assert host.services.mi is not None
        writer.close()
        sender.close()


async def test_connections_beyond_the_limit_are_refused():
    port = free_port()
    async with running(at(port, "tcp_max_connections=2"), lambda text: None):
        held = [await asyncio.open_connection("127.0.0.1", port) for _ in range(2)]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            assert await reader.read() == b""
        except ConnectionResetError:
            pass
        writer.close()
        for _, each in held:
            each.close()


async def test_connections_are_listed_and_closed_over_mi():
    from miscript import call_command

    port = free_port()
    async with running(at(port), lambda text: None) as host:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(GOOD)
        await reader.readuntil(b"\r\n\r\n")
        (connection,) = (await call_command(host.services.mi, "list_tcp_conns"))["Connections"]
        assert connection["Local"] == f"127.0.0.1:{port}"
        await call_command(host.services.mi, "tcp:close", [connection["Remote"]])
        assert await reader.read() == b""
        writer.close()


def test_a_name_is_found_by_its_srv_records_and_the_next_one_is_tried():
    text = (
        "socket=udp:10.0.0.9:5060\nsocket=tcp:10.0.0.9:5060\n"
        'loadmodule "tm.so"\nroute { $du = "sip:example.com"; t_relay(); }\n'
    )
    with RunningScript(text, network=MemoryNetwork()) as script:
        script.network.srvs["_sip._tcp.example.com"] = [Srv(1, 1, 5071, "gone.example.com")]
        script.network.srvs["_sip._udp.example.com"] = [Srv(1, 1, 5070, "here.example.com")]
        script.network.naptrs["example.com"] = [
            Naptr(1, 1, "s", "SIP+D2T", "_sip._tcp.example.com"),
            Naptr(2, 1, "s", "SIP+D2U", "_sip._udp.example.com"),
        ]
        script.network.names = {"gone.example.com": ["10.0.0.6"], "here.example.com": ["10.0.0.7"]}
        alice, server = script.network.peer("udp:10.0.0.1:5060"), script.network.peer("udp:10.0.0.7:5070")
        alice.send(GOOD, "10.0.0.9", 5060)
        script.settle()
        assert [message.method for message in server.take()] == ["OPTIONS"]
