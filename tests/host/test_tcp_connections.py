"""Connections of TCP on real sockets: which one a message takes, how long it lives, what it may cost."""

import asyncio
import contextlib
import socket

import pytest

from miscript import ScriptError, call_command
from miscript.host.embedding import running
from miscript.host.loading import Source
from miscript.host.stream_limits import Keepalive, stream_limits
from sipp_calls import free_port

MODULES = "".join(f'loadmodule "{name}.so"\n' for name in ("proto_tcp", "sl", "tm", "signaling"))


def script(port, body, head="", more=""):
    lines = f"socket=udp:127.0.0.1:{port}\nsocket=tcp:127.0.0.1:{port}\n{head}\n{MODULES}{more}\n"
    return Source("test.cfg", lines + body)


def request(via, user="a", number=1, method="OPTIONS", more=""):
    return (
        f"{method} sip:{user}@example.com SIP/2.0\r\nVia: SIP/2.0/{via};branch=z9hG4bK{user}{number}\r\n"
        f"From: <sip:a@b>;tag=1\r\nTo: <sip:a@b>\r\nCall-ID: {user}\r\nCSeq: {number} {method}\r\n"
        f"{more}Content-Length: 0\r\n\r\n"
    ).encode()


def answer(data):
    lines = data.decode().split("\r\n")
    kept = [line for line in lines[1:] if line.partition(":")[0] in ("Via", "From", "To", "Call-ID", "CSeq")]
    return "\r\n".join(["SIP/2.0 200 OK", *kept, "Content-Length: 0", "", ""]).encode()


class Peer:
    """One end of a connection to the host."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.port = writer.get_extra_info("sockname")[1]

    @classmethod
    async def at(cls, port):
        return cls(*await asyncio.open_connection("127.0.0.1", port))

    async def message(self):
        async with asyncio.timeout(5):
            return await self.reader.readuntil(b"\r\n\r\n")

    async def ask(self, data):
        self.writer.write(data)
        return await self.message()

    async def ended(self):
        async with asyncio.timeout(5):
            try:
                return await self.reader.read() == b""
            except ConnectionResetError:
                return True


class Server:
    """Somebody who takes connections."""

    def __init__(self):
        self.peers = asyncio.Queue()
        self.port = 0

    async def __aenter__(self):
        self._server = await asyncio.start_server(lambda *ends: self.peers.put_nowait(Peer(*ends)), "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *error):
        self._server.close()

    async def peer(self):
        async with asyncio.timeout(5):
            return await self.peers.get()


class Datagrams(asyncio.DatagramProtocol):
    def __init__(self):
        self.come = asyncio.Queue()

    def datagram_received(self, data, addr):
        self.come.put_nowait(data)


@contextlib.asynccontextmanager
async def datagrams():
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        Datagrams, local_addr=("127.0.0.1", 0)
    )
    try:
        yield transport, protocol.come, transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def until(condition):
    async with asyncio.timeout(5):
        while not condition():  # noqa: ASYNC110 - a connection that is lost tells nobody
            await asyncio.sleep(0)


ALIAS = """route {{
    {what}
    if ($rU == "there") {{ $du = "sip:127.0.0.1:{port};transport=tcp"; t_relay(); exit; }}
    sl_send_reply(200, "OK");
}}"""


@pytest.mark.parametrize(
    ("head", "what", "via"),
    [
        ("tcp_accept_aliases=1", "", ";alias"),
        ("tcp_accept_aliases=2", "", ""),
        ("", "force_tcp_alias();", ""),
        ("", 'set_via_handling("force-tcp-alias");', ""),
        ("", "force_tcp_alias({port});", "other"),
    ],
)
async def test_requests_go_back_over_a_connection_that_is_an_alias(head, what, via):
    port, said = free_port(), free_port()
    said_via = f"TCP 127.0.0.1:{5099 if via == 'other' else said}{via.removeprefix('other')}"
    async with running(script(port, ALIAS.format(what=what.format(port=said), port=said), head), print):
        first, second = await Peer.at(port), await Peer.at(port)
        assert (await first.ask(request(said_via))).startswith(b"SIP/2.0 200")
        second.writer.write(request(f"TCP 127.0.0.1:{second.port}", "there"))
        relayed = await first.message()
        assert relayed.startswith(b"OPTIONS")
        first.writer.write(answer(relayed))
        assert (await second.message()).startswith(b"SIP/2.0 200")


async def test_without_an_alias_a_connection_of_its_own_is_opened():
    port = free_port()
    async with Server() as server, running(script(port, ALIAS.format(what="", port=server.port)), print):
        first = await Peer.at(port)
        await first.ask(request(f"TCP 127.0.0.1:{server.port};alias"))
        first.writer.write(request(f"TCP 127.0.0.1:{first.port}", "there"))
        assert (await (await server.peer()).message()).startswith(b"OPTIONS")


async def test_nobody_becomes_the_alias_of_a_connection_that_is_there():
    port = free_port()
    body = 'route { if ($rU == "thief") { force_tcp_alias(); xlog("$rc"); } sl_send_reply(200, "OK"); }'
    printed = []
    async with running(script(port, body), printed.append):
        honest, thief = await Peer.at(port), await Peer.at(port)
        await honest.ask(request(f"TCP 127.0.0.1:{honest.port}"))
        await thief.ask(request(f"TCP 127.0.0.1:{honest.port}", "thief"))
    assert "".join(printed) == "-1"


async def test_a_branch_flag_forbids_new_connections_for_requests():
    port = free_port()
    async with Server() as server:
        body = f'route {{ setbflag("OLD"); $du = "sip:127.0.0.1:{server.port};transport=tcp"; t_relay(); }}'
        async with running(script(port, body, "tcp_no_new_conn_bflag=OLD"), print):
            peer = await Peer.at(port)
            assert (await peer.ask(request(f"TCP 127.0.0.1:{peer.port}"))).startswith(b"SIP/2.0 477")
        assert server.peers.empty()


@pytest.mark.parametrize("forbidden", [False, True])
async def test_a_flag_forbids_new_connections_for_replies(forbidden):
    port = free_port()
    async with Server() as server, datagrams() as (udp, come, callee):
        flag = 'setflag("OLD"); ' if forbidden else ""
        body = f'route {{ {flag}$du = "sip:127.0.0.1:{callee}"; t_relay(); }}'
        async with running(script(port, body, "tcp_no_new_conn_rplflag=OLD"), print) as host:
            peer = await Peer.at(port)
            peer.writer.write(request(f"TCP 127.0.0.1:{server.port}"))
            relayed = await asyncio.wait_for(come.get(), 5)
            peer.writer.close()
            await until(lambda: not host.services.find("tcp connections").listed(None))
            udp.sendto(answer(relayed), ("127.0.0.1", port))
            if forbidden:
                await until(lambda: host.services.statistics.find("tm:relayed_replies").value)
                assert (await call_command(host.services.mi, "tcp:list"))["Connections"] == []
                assert server.peers.empty()
            else:
                assert (await (await server.peer()).message()).startswith(b"SIP/2.0 200")


def forwarding(port, callee):
    return running(script(port, f'route {{ forward("127.0.0.1:{callee}"); }}'), print)


async def test_a_reply_without_a_transaction_goes_back_over_its_connection():
    port = free_port()
    async with datagrams() as (udp, come, callee), forwarding(port, callee):
        peer = await Peer.at(port)
        peer.writer.write(request("TCP 127.0.0.1:9"))  # nobody listens there
        udp.sendto(answer(await asyncio.wait_for(come.get(), 5)), ("127.0.0.1", port))
        assert (await peer.message()).startswith(b"SIP/2.0 200")


@pytest.mark.parametrize(
    ("via", "flags", "to_via"),
    [
        ("", "", False),
        ("", 'set_via_handling("reply-to-via");', True),
        (";rport", 'set_via_handling("reply-to-via");', False),
    ],
)
async def test_replies_go_to_the_address_in_the_via_where_the_script_wants_that(via, flags, to_via):
    port = free_port()
    async with running(script(port, f'route {{ {flags} sl_send_reply(200, "OK"); }}'), print):
        loop = asyncio.get_running_loop()
        udp, sender = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.1", 0))
        own = udp.get_extra_info("sockname")[1]
        elsewhere, listener = await loop.create_datagram_endpoint(Datagrams, local_addr=("127.0.0.2", own))
        udp.sendto(request(f"UDP 127.0.0.2:{own}{via}"), ("127.0.0.1", port))
        reply = await asyncio.wait_for((listener if to_via else sender).come.get(), 5)
        assert reply.startswith(b"SIP/2.0 200")
        udp.close()
        elsewhere.close()


async def test_unknown_ways_to_handle_a_via_fail():
    port, printed = free_port(), []
    body = 'route { $var(x) = "rport"; set_via_handling($var(x)); xlog("$rc"); sl_send_reply(200, "OK"); }'
    async with running(script(port, body), printed.append):
        peer = await Peer.at(port)
        await peer.ask(request(f"TCP 127.0.0.1:{peer.port}"))
    assert "".join(printed) == "-1"


@pytest.mark.parametrize("which", ["$si:$sp", "tcp:$si:$sp", "1"])
async def test_a_script_closes_connections(which):
    port = free_port()
    body = (
        f'route {{ tcp_close_conn("udp:$si:$sp"); $var(a) = $rc; tcp_close_conn("77"); $var(b) = $rc;'
        f'sl_send_reply(200, "$var(a)$var(b)"); tcp_close_conn("{which}"); }}'
    )
    async with running(script(port, body), print):
        peer = await Peer.at(port)
        assert (await peer.ask(request(f"TCP 127.0.0.1:{peer.port}"))).startswith(b"SIP/2.0 200 -1-1")
        assert await peer.ended()


async def test_a_message_in_more_pieces_than_the_script_allows_ends_its_connection():
    port = free_port()
    body = 'route { sl_send_reply(200, "OK"); }'
    async with running(script(port, body, more='modparam("proto_tcp", "tcp_max_msg_chunks", 3)'), print):
        peer = await Peer.at(port)
        with contextlib.suppress(ConnectionError):
            for piece in (b"OPTIONS ", b"sip:a", b"@b ", b"SIP/2.0\r\n"):
                peer.writer.write(piece)
                await peer.writer.drain()
                await asyncio.sleep(0.01)
        assert await peer.ended()


async def test_a_peer_that_takes_nothing_does_not_keep_its_connection_for_ever(monkeypatch):
    """What waits for it is sent before the connection ends, but not waited for without end."""
    monkeypatch.setattr("miscript.host.sip_transport.CLOSING_SECONDS", 0.5)
    port = free_port()
    body = 'route { append_to_reply("X: ' + "x" * 30_000 + '\\r\\n"); sl_send_reply(200, "OK"); }'
    source = script(port, body, "tcp_connection_lifetime=1", 'loadmodule "sipmsgops.so"\n')
    async with running(source, lambda text: None) as host:
        deaf = socket.socket()
        deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        deaf.setblocking(False)
        loop = asyncio.get_running_loop()
        await loop.sock_connect(deaf, ("127.0.0.1", port))
        connection = host.services.find("sip")._streams
        waiting = 0
        async with asyncio.timeout(10):
            while waiting < 100_000:
                await loop.sock_sendall(deaf, request("TCP 127.0.0.1:9") * 20)
                await asyncio.sleep(0.01)
                (one,) = connection._by_number.values()
                waiting = one._transport.get_write_buffer_size()
            while len(connection):  # noqa: ASYNC110  # nothing tells when the last one is gone
                await asyncio.sleep(0.05)
        deaf.close()


async def test_pings_are_answered_unless_the_script_forbids_it():
    port = free_port()
    body = 'route { sl_send_reply(200, "OK"); }'
    async with running(script(port, body, more='modparam("proto_tcp", "tcp_crlf_pingpong", 0)'), print):
        peer = await Peer.at(port)
        assert (await peer.ask(b"\r\n\r\n" + request(f"TCP 127.0.0.1:{peer.port}"))).startswith(b"SIP/2.0 200")


async def test_the_connection_of_a_registration_lives_as_long_as_its_contact():
    port = free_port()
    more = 'loadmodule "usrloc.so"\nloadmodule "registrar.so"\nmodparam("registrar", "tcp_persistent_flag", "KEEP")\n'
    body = 'route { if ($rU == "keep") setflag("KEEP"); save("location"); }'
    async with running(script(port, body, "tcp_connection_lifetime=0", more), print):
        kept, lost = await Peer.at(port), await Peer.at(port)
        for user, peer in (("keep", kept), ("lose", lost)):
            registered = request(
                f"TCP 127.0.0.1:{peer.port}", user, method="REGISTER", more="Contact: <sip:a@127.0.0.1>;expires=60\r\n"
            )
            assert (await peer.ask(registered)).startswith(b"SIP/2.0 200")
        assert await lost.ended()
        again = request(f"TCP 127.0.0.1:{kept.port}", "keep", 2, "REGISTER")
        assert (await kept.ask(again)).startswith(b"SIP/2.0 200")


async def test_the_port_where_none_is_written_is_the_scripts():
    port = free_port()
    text = (
        f'socket=udp:127.0.0.1\nsocket=tcp:127.0.0.1\nloadmodule "proto_udp.so"\n'
        f'modparam("proto_udp", "udp_port", {port})\n'
        f'{MODULES}modparam("proto_tcp", "tcp_port", {port})\nroute {{ sl_send_reply(200, "OK"); }}'
    )
    async with running(Source("test.cfg", text), print):
        peer = await Peer.at(port)
        assert (await peer.ask(request(f"TCP 127.0.0.1:{peer.port}"))).startswith(b"SIP/2.0 200")


@pytest.mark.parametrize(("name", "value"), [("tcp_port", 0), ("tcp_max_msg_chunks", -1)])
async def test_what_cannot_be_is_refused_at_the_start(name, value):
    with pytest.raises(ScriptError, match=str(value)):
        async with running(
            script(free_port(), "route { exit; }", more=f'modparam("proto_tcp", "{name}", {value})'), print
        ):
            pass


def test_the_system_is_asked_to_probe_silent_connections():
    def asked(**parameters):
        keepalive = stream_limits(parameters, None).keepalive
        with socket.socket() as sock:
            keepalive.ask(sock)
            names = (
                ("SO_KEEPALIVE", socket.SOL_SOCKET),
                ("TCP_KEEPCNT", socket.IPPROTO_TCP),
                ("TCP_KEEPIDLE", socket.IPPROTO_TCP),
            )
            return [sock.getsockopt(level, getattr(socket, name)) for name, level in names if hasattr(socket, name)]

    assert asked()[0]
    assert not asked(tcp_keepalive=0)[0]
    assert asked(tcp_keepalive=0, tcp_keepcount=3, tcp_keepidle=17, tcp_keepinterval=5) == [1, 3, 17]
    assert Keepalive().wanted
