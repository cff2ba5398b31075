"""SIP over TLS with real sockets: who is taken, which domain answers, what scripts see, what is bounded."""

import asyncio
import contextlib
import random
import ssl
import subprocess

import pytest

from certificates import needs_openssl
from miscript import ConfigurationError
from miscript.host import sip_network
from miscript.host.embedding import call_command
from sipp_calls import CALLEE, CALLER, call, free_port, needs_sipp, phone, proxy
from tls_hosts import SOON, Phone, Server, World, client_context, domain, host, options, script, server_context

pytestmark = [pytest.mark.e2e, needs_openssl()]

ANSWER = 'route { xlog("$tls_my_subject_cn $tls_peer_subject_cn $tls_peer_verified\\n"); sl_send_reply(200, "OK"); }'


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("tls"))


@pytest.fixture
def port():
    return free_port()


def certified(phone):
    """The name in the certificate that the server showed."""
    names = phone.writer.get_extra_info("peercert")["subject"]
    return dict(pair for field in names for pair in field)["commonName"]


# -- connections that come ------------------------------------------------------------------------------------------


async def test_a_request_is_answered_over_its_connection_and_the_script_sees_the_session(world, port):
    printed = []
    show = (
        'route { xlog("$socket_in(proto) $tls_version $tls_cipher_bits $tls_cipher_info|$tls_my_san_hostname '
        '$tls_my_serial|$tls_peer_subject|$tls_peer_selfsigned$tls_peer_expired$tls_peer_revoked");'
        'if (is_peer_verified()) { sl_send_reply(200, "Verified"); } else { sl_send_reply(200, "Unknown"); } }'
    )
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, require_cert=0), show)
    async with host(text, printed):
        alice = await Phone.connect(port, client_context(world.ca, world.client))
        reply = await alice.ask(options())
        assert (reply.status, reply.reason) == (200, "Verified")
        cipher, version, bits = alice.writer.get_extra_info("cipher")
        assert printed.pop() == f"tls {version} {bits} {cipher}|atlanta.example 1|/CN=client.example|000"
        alice.close()
        nobody = await Phone.connect(port, client_context(world.ca))
        assert (await nobody.ask(options(number=2))).reason == "Unknown"
        assert printed.pop().endswith("|<null>|000")
        nobody.close()


async def test_variables_of_tls_are_null_for_messages_that_came_over_tcp(world, port):
    printed = []
    text = script(
        f"tls:127.0.0.1:{port} tcp:127.0.0.1:{port + 1}", domain("server", "s", world.atlanta, world.ca),
        'route { xlog("$tls_version$tls_my_serial$tls_peer_verified"); if (!is_peer_verified()) { xlog("!"); } '
        'sl_send_reply(200, "OK"); }',
    )  # fmt: skip
    async with host(text, printed):
        alice = await Phone.connect(port + 1, None)
        assert (await alice.ask(options())).status == 200
        assert printed == ["<null>" * 3, "!"]
        alice.close()


@pytest.mark.parametrize(
    ("settings", "shown", "taken"),
    [
        ({}, "client", True),
        ({}, None, False),
        ({}, "stranger", False),
        ({"require_cert": 0}, None, True),
        ({"require_cert": 0}, "stranger", False),
        ({"verify_cert": 0}, "stranger", True),
    ],
)
async def test_clients_are_taken_by_what_they_show(world, port, settings, shown, taken):
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, **settings), ANSWER)
    async with host(text):
        context = client_context(world.ca, None if shown is None else getattr(world, shown))
        try:
            alice = await Phone.connect(port, context)
            answered = (await alice.ask(options())).status == 200
        except (OSError, EOFError):
            answered = False
        assert answered == taken


async def test_a_revoked_certificate_is_refused(world, port):
    revoked = world.authority.issue("revoked.example", serial=99)
    settings = {"crl_dir": world.authority.revoke(revoked)}
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, **settings), ANSWER)
    async with host(text):
        good = await Phone.connect(port, client_context(world.ca, world.client))
        assert (await good.ask(options())).status == 200
        with pytest.raises((OSError, EOFError)):
            bad = await Phone.connect(port, client_context(world.ca, revoked))
            await bad.ask(options())
        good.close()


async def test_the_server_name_chooses_the_domain_with_its_certificate_and_its_versions(world, port):
    domains = (
        domain("server", "any", world.client, world.ca, verify_cert=0, match_sip_domain="none")
        + domain("server", "a", world.atlanta, world.ca, verify_cert=0, match_sip_domain="atlanta.example")
        + domain("server", "b", world.biloxi, world.ca, verify_cert=0, match_sip_domain="*.example")
        + domain(
            "server", "old", world.biloxi, world.ca, verify_cert=0, match_sip_domain="old.test", tls_method="TLSv1_2"
        )
    )
    async with host(script(f"tls:127.0.0.1:{port}", domains, ANSWER)):
        found = {}
        for name in ("", "atlanta.example", "ATLANTA.example", "b.example", "old.test"):
            alice = await Phone.connect(port, client_context(world.ca), name)
            found[name] = (certified(alice), alice.writer.get_extra_info("cipher")[1])
            alice.close()
        assert found == {
            "": ("client.example", "TLSv1.3"),
            "atlanta.example": ("atlanta.example", "TLSv1.3"),
            "ATLANTA.example": ("atlanta.example", "TLSv1.3"),
            "b.example": ("biloxi.example", "TLSv1.3"),
            "old.test": ("biloxi.example", "TLSv1.2"),
        }
        with pytest.raises(ssl.SSLError, match=r"(?i)unrecognized.name"):
            await Phone.connect(port, client_context(world.ca), "nowhere.test")


async def test_domains_for_the_very_socket_come_before_those_for_any(world, port):
    domains = domain("server", "any", world.biloxi, world.ca, verify_cert=0) + domain(
        "server", "own", world.atlanta, world.ca, verify_cert=0, match_ip_address=f"127.0.0.1:{port}, 10.0.0.1:5061"
    )
    async with host(script(f"tls:127.0.0.1:{port} tls:127.0.0.1:{port + 1}", domains, ANSWER)):
        for at, name in ((port, "atlanta.example"), (port + 1, "biloxi.example")):
            alice = await Phone.connect(at, client_context(world.ca))
            assert certified(alice) == name
            alice.close()


async def test_s_client_is_served_and_cannot_renegotiate(world, port):
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, verify_cert=0), ANSWER)
    async with host(text):
        client = await asyncio.create_subprocess_exec(
            "openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(world.ca), "-tls1_2",
            "-verify_return_error", "-servername", "atlanta.example",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert client.stdin is not None
        client.stdin.write(b"R\n")
        async with asyncio.timeout(SOON):
            out, _ = await client.communicate()
        assert b"Verify return code: 0 (ok)" in out
        assert b"no renegotiation" in out.lower()


async def test_pings_are_answered_unless_the_script_does_not_want_it(world, port):
    certificates = domain("server", "s", world.atlanta, world.ca, verify_cert=0)
    async with host(script(f"tls:127.0.0.1:{port}", certificates, ANSWER)):
        alice = await Phone.connect(port, client_context(world.ca))
        alice.send(b"\r\n\r\n")
        async with asyncio.timeout(SOON):
            assert await alice.reader.readexactly(2) == b"\r\n"
        alice.close()
    silent = 'modparam("proto_tls", "tls_crlf_pingpong", 0)'
    async with host(script(f"tls:127.0.0.1:{port + 1}", certificates, ANSWER, head=silent)):
        alice = await Phone.connect(port + 1, client_context(world.ca))
        assert (await alice.ask(b"\r\n\r\n" + options())).status == 200
        alice.close()


# -- what is bounded ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("begun", [b"", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_a_handshake_that_does_not_go_on_is_cut_off_and_others_are_served(world, port, monkeypatch, begun):
    monkeypatch.setattr("miscript.modules.proto_tls.LEAST_HANDSHAKE", 0.2)
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, verify_cert=0), ANSWER)
    async with host(text):
        slow = await Phone.connect(port, None)
        slow.send(begun)
        alice = await Phone.connect(port, client_context(world.ca))
        assert (await alice.ask(options())).status == 200
        await slow.ended()
        assert (await alice.ask(options(number=2))).status == 200
        alice.close()


async def test_what_is_no_tls_ends_the_connection_at_once(world, port):
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, verify_cert=0), ANSWER)
    async with host(text):
        mistaken = await Phone.connect(port, None)
        mistaken.send(options())
        await mistaken.ended()


async def test_a_message_in_too_many_pieces_ends_the_connection(world, port):
    text = script(
        f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, verify_cert=0), ANSWER,
        head='modparam("proto_tls", "tls_max_msg_chunks", 2)',
    )  # fmt: skip
    async with host(text):
        alice = await Phone.connect(port, client_context(world.ca))
        whole = options()
        for piece in (whole[:20], whole[20:40], whole[40:60]):
            alice.send(piece)
            await asyncio.sleep(0.02)
        await alice.ended()


async def garbled(port, context, chance):
    """One connection that goes wrong: noise, a hello with wrong bytes, or noise behind a handshake."""
    raw = await Phone.connect(port, None)
    outgoing, incoming = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = context.wrap_bio(incoming, outgoing, server_hostname="atlanta.example")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    hello = bytearray(outgoing.read())
    kind = chance.randrange(3)
    if kind == 0:
        raw.send(chance.randbytes(chance.randrange(1, 600)))
    elif kind == 1:
        for _ in range(chance.randrange(1, 5)):
            hello[chance.randrange(len(hello))] = chance.randrange(256)
        raw.send(bytes(hello) + chance.randbytes(chance.randrange(100)))
    else:
        raw.send(bytes(hello))
        async with asyncio.timeout(SOON):
            incoming.write(await raw.reader.read(65536))
        with contextlib.suppress(ssl.SSLError):
            client.do_handshake()
        raw.send(outgoing.read() + b"\x17\x03\x03\x00\x40" + chance.randbytes(64))
    raw.writer.write_eof()
    await raw.ended()
    raw.close()


async def test_any_bytes_end_their_own_connection_and_nothing_else(world, port, caplog):
    chance = random.Random(7)
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, verify_cert=0), ANSWER)
    async with host(text) as here:
        context = client_context(world.ca)
        alice = await Phone.connect(port, context)
        for _ in range(8):
            await asyncio.gather(*(garbled(port, context, chance) for _ in range(10)))
        assert (await alice.ask(options())).status == 200
        assert len((await call_command(here.services.mi, "tcp:list"))["Connections"]) == 1
        alice.close()
    assert not [record for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")]


async def test_connections_of_tls_are_listed_with_their_session_and_closed(world, port):
    text = script(f"tls:127.0.0.1:{port}", domain("server", "s", world.atlanta, world.ca, require_cert=0), ANSWER)
    async with host(text) as here:
        alice = await Phone.connect(port, client_context(world.ca, world.client))
        await alice.ask(options())
        own = alice.writer.get_extra_info("sockname")
        (listed,) = (await call_command(here.services.mi, "tcp:list", ["tls"]))["Connections"]
        cipher, version, bits = alice.writer.get_extra_info("cipher")
        assert listed["Type"] == "tls"
        assert (listed["Remote"], listed["Local"]) == (f"127.0.0.1:{own[1]}", f"127.0.0.1:{port}")
        assert (listed["TLS Version"], listed["TLS Cipher"], listed["TLS Cipher bits"]) == (version, cipher, bits)
        assert listed["TLS Peer verified"] == 1
        assert await call_command(here.services.mi, "tcp:list", ["tcp"]) == {"Connections": []}
        assert await call_command(here.services.mi, "tcp:close", [f"127.0.0.1:{own[1]}"]) == "OK"
        await alice.ended()


# -- connections that we open -----------------------------------------------------------------------------------------

RELAY = 'route { $du = "sip:127.0.0.1:%d;transport=tls"; %s if (!t_relay()) { sl_send_reply(500, "Not sent"); } }'


def relaying(world, port, target, clients, setting="", head=""):
    domains = domain("server", "s", world.atlanta, world.ca, verify_cert=0) + clients
    return script(f"tls:127.0.0.1:{port}", domains, RELAY % (target, setting), head=head)


async def status_of(port, world, number=1):
    alice = await Phone.connect(port, client_context(world.ca))
    try:
        reply = await alice.ask(options(number=number))
        while reply.status < 200:
            reply = await alice.receive()
        return reply.status
    finally:
        alice.close()


async def test_a_request_is_relayed_over_one_connection_with_certificates_on_both_sides(world, port):
    async with Server.open(server_context(world.biloxi, world.ca)) as bob:
        text = relaying(world, port, bob.port, domain("client", "c", world.client, world.ca))
        async with host(text):
            assert [await status_of(port, world, number) for number in (1, 2)] == [200, 200]
        assert len(bob.requests) == 2
        (shown,) = bob.certificates
        assert shown == ssl.PEM_cert_to_DER_cert(world.client.certificate.read_text())
        assert bob.requests[0].headers("Via")[0].startswith(f"SIP/2.0/TLS 127.0.0.1:{port};")


@pytest.mark.parametrize(("verify", "status"), [(1, 477), (0, 200)])
async def test_a_server_that_no_ca_of_ours_vouches_for_is_refused(world, port, verify, status):
    async with Server.open(server_context(world.stranger)) as bob:
        text = relaying(world, port, bob.port, domain("client", "c", None, world.ca, verify_cert=verify))
        async with host(text):
            assert await status_of(port, world) == status
        assert len(bob.requests) == (status == 200)


async def test_a_server_that_wants_a_certificate_refuses_a_client_domain_without_one(world, port):
    async with Server.open(server_context(world.biloxi, world.ca)) as bob:
        text = relaying(world, port, bob.port, domain("client", "c", None, world.ca))
        async with host(text):
            assert await status_of(port, world) != 200
        assert not bob.requests


async def test_without_a_client_domain_nothing_is_sent(world, port, caplog):
    async with Server.open(server_context(world.biloxi)) as bob:
        elsewhere = domain("client", "c", None, world.ca, match_ip_address="10.0.0.1:5061")
        async with host(relaying(world, port, bob.port, elsewhere)):
            assert await status_of(port, world) == 477
        assert not bob.requests
        assert f"no client domain of TLS matches tls:127.0.0.1:{bob.port}" in caplog.text


@pytest.mark.parametrize(
    ("setting", "shown"),
    [
        ("", "client"),
        ('$avp(domain) = "second";', "biloxi"),
        ('$avp(sip) = "ATLANTA.example";', "atlanta"),
        ('$avp(sip) = "nowhere.example";', "client"),
        ('$avp(domain) = "nobody";', None),
    ],
)
async def test_avps_choose_the_client_domain(world, port, setting, shown):
    clients = (
        domain("client", "first", world.client, world.ca, match_sip_domain="*")
        + domain("client", "second", world.biloxi, world.ca, match_sip_domain="biloxi.example")
        + domain("client", "third", world.atlanta, world.ca, match_sip_domain="atlanta.example")
    )
    head = 'modparam("tls_mgm", "client_tls_domain_avp", "domain")\nmodparam("tls_mgm", "client_sip_domain_avp", "sip")'
    async with Server.open(server_context(world.biloxi, world.ca)) as bob:
        async with host(relaying(world, port, bob.port, clients, setting, head)):
            assert await status_of(port, world) == (477 if shown is None else 200)
        expected = [] if shown is None else [getattr(world, shown).certificate.read_text()]
        assert bob.certificates == [ssl.PEM_cert_to_DER_cert(text) for text in expected]


@pytest.mark.parametrize(("same", "connections"), [(0, 1), (1, 2)])
async def test_a_connection_of_another_domain_is_used_again_unless_the_script_forbids_it(
    world, port, same, connections
):
    clients = domain("client", "first", world.client, world.ca) + domain("client", "second", world.biloxi, world.ca)
    head = (
        'modparam("tls_mgm", "client_tls_domain_avp", "domain")\n'
        f'modparam("proto_tls", "cert_check_on_conn_reusage", {same})'
    )
    setting = 'if ($ci == "x1") { $avp(domain) = "first"; } else { $avp(domain) = "second"; }'
    async with Server.open(server_context(world.biloxi, world.ca)) as bob:
        async with host(relaying(world, port, bob.port, clients, setting, head)):
            assert [await status_of(port, world, number) for number in (1, 2)] == [200, 200]
        assert len(bob.certificates) == connections


async def test_a_server_that_never_answers_the_handshake_is_given_up(world, port, monkeypatch):
    monkeypatch.setattr("miscript.modules.proto_tls.LEAST_HANDSHAKE", 0.2)
    clients = domain("client", "c", None, world.ca)
    async with Server.open(None) as deaf, host(relaying(world, port, deaf.port, clients)):
        assert await status_of(port, world) == 477


async def test_a_sips_uri_goes_over_tls_and_never_over_a_tcp_connection_to_the_same_place(world, port):
    """A peer that listens with TLS has been reached over TCP before: what is for TLS opens its own connection."""
    async with Server.open(server_context(world.biloxi)) as bob:
        route = (
            f'route {{ if ($rU == "plain") {{ $du = "sip:127.0.0.1:{bob.port};transport=tcp"; }} '
            f'else {{ $du = "sips:127.0.0.1:{bob.port}"; }} t_relay(); }}'
        )
        domains = domain("server", "s", world.atlanta, world.ca, verify_cert=0) + domain("client", "c", None, world.ca)
        text = script(f"tls:127.0.0.1:{port} tcp:127.0.0.1:{port + 1}", domains, route)
        async with host(text):
            alice = await Phone.connect(port, client_context(world.ca))
            alice.send(options("plain"))
            assert (await alice.ask(options("secret"))).status == 200
            alice.close()
        assert [request.uri for request in bob.requests] == ["sip:secret@127.0.0.1"]


# -- the start --------------------------------------------------------------------------------------------------------


async def test_a_socket_of_tls_needs_its_modules(port):
    with pytest.raises(ConfigurationError, match=r"test\.cfg:2:1: .* socket 'tls:.*' needs the modules 'proto_tls'"):
        async with host(f"log_level=3\nsocket=tls:127.0.0.1:{port}\nroute {{ exit; }}"):
            raise AssertionError("it starts")


async def test_the_default_port_is_that_of_the_script(world, port, monkeypatch):
    found = []

    async def listen(self, socket, backlog):
        found.append(socket.port)

    monkeypatch.setattr(sip_network.Streams, "listen", listen)
    head = f'modparam("proto_tls", "tls_port", {port})'
    text = script("tls:127.0.0.1 tls:127.0.0.1:7000", domain("server", "s", world.atlanta, None), ANSWER, head=head)
    async with host(text):
        assert found == [port, 7000]


@needs_sipp()
def test_calls_of_sipp_go_from_proxy_to_proxy_over_tls(world, tmp_path):
    """sipp speaks UDP to the first proxy, which speaks TLS with certificates on both sides to the second one."""
    first, second, phones, caller = (free_port() for _ in range(4))

    def text(own, secure, issued, destination):
        domains = domain("server", "s", issued, world.ca) + domain("client", "c", issued, world.ca)
        return script(
            f"udp:127.0.0.1:{own} tls:127.0.0.1:{secure}", domains,
            f'route {{ $du = "{destination}"; t_relay(); }}',
        )  # fmt: skip

    folders = tmp_path / "first", tmp_path / "second"
    for folder in folders:
        folder.mkdir()
    to_second = f"sip:127.0.0.1:{second + 1};transport=tls"
    with (
        proxy(text(second, second + 1, world.biloxi, f"sip:127.0.0.1:{phones}"), folders[1], second) as far,
        proxy(text(first, first + 1, world.atlanta, to_second), folders[0], first) as near,
        phone(tmp_path, "callee", CALLEE, phones),
    ):
        assert call(tmp_path, CALLER, first, "-p", str(caller), "-r", "50", calls=20) == ""
    assert "Traceback" not in near.log + far.log
