"""A proxy that changes addresses and answers challenges, between a phone and a server."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pytest

from miscript.errors import ScriptError
from miscript.sip import Message
from miscript.sip.digest_response import Algorithm, Challenge, Credentials, plain_ha1
from miscript.sip.replies import make_reply
from miscript.testing import RunningScript
from sip_scripts import HOST, Phone, sip_script

ROUTE = """
route {
    if (has_totag()) {
        loose_route();
        if ($hdr(X-Restore) != NULL) { uac_restore_from(); xlog("from $rc\\n"); uac_restore_to(); xlog("to $rc\\n"); }
        if ($rd == "10.0.0.7") t_relay(); else { $du = "sip:10.0.0.9:5070"; t_relay(); }
        exit;
    }
    record_route();
    CHANGE
    t_on_failure("challenged");
    $du = "sip:10.0.0.7:5080";
    t_relay();
}
failure_route[challenged] {
    if (uac_auth(ALGORITHMS)) { xlog("answered\\n"); t_on_failure("challenged"); t_relay(); exit; }
    xlog("not answered\\n");
}
"""


@dataclass
class Server:
    """Takes requests at 10.0.0.7 and answers them."""

    script: RunningScript

    def __post_init__(self) -> None:
        self.peer = self.script.network.peer("udp:10.0.0.7:5080")

    def take(self) -> list[Message]:
        return self.peer.take()

    def answer(self, request: Message, status: int, reason: str = "Whatever", headers: Sequence[str] = ()) -> None:
        data = make_reply(request, status, reason, to_tag="server", headers=headers)

        async def sending() -> None:
            self.peer.send(data, *HOST)

        self.script.wait(sending())
        self.script.settle()


def proxy(change: str = "", parameters: str = "", algorithms: str = "") -> tuple[RunningScript, Phone, Server]:
    body = ROUTE.replace("CHANGE", change).replace("ALGORITHMS", algorithms)
    script = sip_script("tm rr sipmsgops uac_auth uac", body, parameters=parameters)
    return script, Phone(script), Server(script)


def invite(phone: Phone, server: Server, *headers: str) -> Message:
    """Send an INVITE and give what the server gets."""
    phone.send(phone.text("INVITE", "Contact: <sip:alice@10.0.0.9:5070>", *headers, uri="sip:bob@example.com"))
    (request,) = server.take()
    return request


# -- addresses ------------------------------------------------------------------------------------------------------


CHANGE = """
    uac_replace_from("batman", "sip:robin@gotham.org"); xlog("$rc\\n");
    uac_replace_to(, "sip:rob@gotham.org"); xlog("$rc\\n");
    uac_replace_from(, "sip:other@gotham.org"); xlog("$rc\\n");
"""


@pytest.mark.parametrize("password", ["", "secret"])
def test_addresses_are_changed_on_the_way_out_and_back_in_replies_and_the_dialog(password: str):
    script, phone, server = proxy(CHANGE, f'modparam("uac", "restore_passwd", "{password}")')
    with script:
        request = invite(phone, server)
        assert script.take() == "1\n1\n-10\n"
        assert request.header("From") == "batman <sip:robin@gotham.org>;tag=f"
        assert request.header("To") == "<sip:rob@gotham.org>"
        server.answer(request, 200, "OK", ["Contact: <sip:bob@10.0.0.7:5080>\r\n"])
        (reply,) = [message for message in phone.peer.take() if message.status == 200]
        assert reply.header("From") == "<sip:alice@example.com>;tag=f"
        assert reply.header("To") == "<sip:alice@example.com>;tag=server"

        route = reply.header("Record-Route")
        text = phone.text(
            "BYE", f"Route: {route}", uri="sip:bob@10.0.0.7:5080", to="<sip:alice@example.com>;tag=server"
        )
        assert phone.send(text) == []
        (bye,) = server.take()
        assert bye.header("From") == "<sip:robin@gotham.org>;tag=f"
        assert bye.header("To") == "<sip:rob@gotham.org>;tag=server"
        server.answer(bye, 200)
        (reply,) = phone.peer.take()
        assert reply.header("From") == "<sip:alice@example.com>;tag=f"

        from_server = _bye_of_server(request)

        async def sending() -> None:
            server.peer.send(from_server, *HOST)

        script.wait(sending())
        script.settle()
        (bye,) = phone.peer.take()
        assert bye.header("From") == "<sip:alice@example.com>;tag=server"
        assert bye.header("To") == "batman <sip:alice@example.com>;tag=f"  # the URI is kept, not the name


def _bye_of_server(invite: Message) -> bytes:
    lines = [
        "BYE sip:alice@10.0.0.9:5070 SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.7:5080;branch=z9hG4bKserver",
        "From: <sip:rob@gotham.org>;tag=server",
        "To: batman <sip:robin@gotham.org>;tag=f",
        f"Call-ID: {invite.call_id}",
        "CSeq: 1 BYE",
        f"Route: {invite.header('Record-Route')}",
        "Content-Length: 0",
    ]
    return "\r\n".join([*lines, "", ""]).encode()


def test_manual_restoring_waits_for_the_script():
    script, phone, server = proxy(
        'uac_replace_from(, "sip:robin@gotham.org");', 'modparam("uac", "restore_mode", "manual")'
    )
    with script:
        request = invite(phone, server)
        route = f"Route: {request.header('Record-Route')}"
        to = "<sip:alice@example.com>;tag=server"
        phone.send(phone.text("INFO", route, uri="sip:bob@10.0.0.7:5080", to=to))
        assert server.take()[0].header("From") == "<sip:alice@example.com>;tag=f"
        phone.send(phone.text("INFO", route, "X-Restore: 1", uri="sip:bob@10.0.0.7:5080", to=to))
        assert server.take()[0].header("From") == "<sip:robin@gotham.org>;tag=f"
        assert script.take() == "from 1\nto -1\n"


def test_without_restoring_replies_stay_as_they_are():
    script, phone, server = proxy(
        'uac_replace_from(, "sip:robin@gotham.org");', 'modparam("uac", "restore_mode", "none")'
    )
    with script:
        request = invite(phone, server)
        assert "vsf" not in (request.header("Record-Route") or "")
        server.answer(request, 180)
        assert phone.peer.take()[-1].header("From") == "<sip:robin@gotham.org>;tag=f"


def test_an_address_that_is_none_changes_nothing():
    script, phone, server = proxy('uac_replace_from(, "rubbish"); xlog("$rc\\n");')
    with script:
        assert invite(phone, server).header("From") == "<sip:alice@example.com>;tag=f"
        assert script.take() == "-1\n"


# -- challenges -------------------------------------------------------------------------------------------------------

PASSWORD = 'modparam("uac_auth", "credential", "carol:office:secret")'


def challenge(algorithm: Algorithm = Algorithm.MD5, realm: str = "office") -> str:
    return str(Challenge(realm, "n1", algorithm, True, ("auth-int", "auth")))


def test_a_challenge_is_answered_with_a_higher_cseq_that_the_phone_does_not_see():
    script, phone, server = proxy(parameters=PASSWORD)
    with script:
        request = invite(phone, server)
        headers = [
            f"Proxy-Authenticate: {challenge()}\r\n",
            f"Proxy-Authenticate: {challenge(Algorithm.SHA_256)}\r\n",
            "Proxy-Authenticate: Digest rubbish\r\n",
        ]
        server.answer(request, 407, headers=headers)
        ack, again = server.take()
        assert (ack.method, again.method, script.take()) == ("ACK", "INVITE", "answered\n")
        assert (request.header("CSeq"), again.header("CSeq")) == ("1 INVITE", "2 INVITE")
        credentials = Credentials.parse(again.header("Proxy-Authorization") or "")
        assert (credentials.algorithm, credentials.qop, credentials.user) == (Algorithm.SHA_256, "auth", "carol")
        assert credentials.proves(plain_ha1(Algorithm.SHA_256, "carol", "office", "secret"), "INVITE")
        server.answer(again, 200, "OK")
        (reply,) = [message for message in phone.peer.take() if message.status == 200]
        assert reply.header("CSeq") == "1 INVITE"


def test_a_server_that_asks_again_gets_no_second_answer():
    script, phone, server = proxy(parameters=PASSWORD)
    with script:
        server.answer(invite(phone, server), 401, headers=[f"WWW-Authenticate: {challenge()}\r\n"])
        _, again = server.take()
        assert again.header("Authorization") is not None
        server.answer(again, 401, headers=[f"WWW-Authenticate: {challenge()}\r\n"])
        assert script.take() == "answered\nnot answered\n"
        (reply,) = [message for message in phone.peer.take() if message.status == 401]
        assert reply.header("CSeq") == "1 INVITE"


@pytest.mark.parametrize(
    ("headers", "status", "algorithms"),
    [
        ([f"WWW-Authenticate: {challenge(realm='elsewhere')}\r\n"], 401, ""),
        ([f"WWW-Authenticate: {challenge()}\r\n"], 401, '"SHA-256"'),
        ([], 401, ""),
        ([f"WWW-Authenticate: {challenge()}\r\n"], 403, ""),
    ],
)
def test_what_cannot_be_answered_goes_to_the_phone(headers: list[str], status: int, algorithms: str):
    script, phone, server = proxy(parameters=PASSWORD, algorithms=algorithms)
    with script:
        server.answer(invite(phone, server), status, headers=headers)
        assert script.take() == "not answered\n"
        assert status in [message.status for message in phone.peer.take()]


AVPS = "\n".join(
    f'modparam("uac_auth", "auth_{name}_avp", "$avp({name})")' for name in ("realm", "username", "password")
)


def test_avps_count_before_the_list():
    script, phone, server = proxy(
        '$avp(realm) = "office"; $avp(username) = "dave"; $avp(password) = "other";', f"{PASSWORD}\n{AVPS}"
    )
    with script:
        server.answer(invite(phone, server), 401, headers=[f"WWW-Authenticate: {challenge()}\r\n"])
        credentials = Credentials.parse(server.take()[-1].header("Authorization") or "")
        assert credentials.proves(plain_ha1(Algorithm.MD5, "dave", "office", "other"), "INVITE")


def test_cseq_is_raised_for_the_server_alone():
    script, phone, server = proxy('t_newtran(); uac_inc_cseq(5); xlog("$rc\\n");')
    with script:
        request = invite(phone, server)
        assert (request.header("CSeq"), script.take()) == ("6 INVITE", "1\n")
        server.answer(request, 180)
        assert phone.peer.take()[-1].header("CSeq") == "1 INVITE"


@pytest.mark.parametrize(
    ("parameters", "name"),
    [
        ('modparam("uac", "restore_mode", "maybe")', "restore_mode"),
        ('modparam("uac", "force_dialog", 1)', "force_dialog"),
        ('modparam("uac", "rr_from_store_param", "a;b")', "rr_from_store_param"),
        ('modparam("uac_auth", "credential", "carol:office")', "credential"),
        ('modparam("uac_auth", "auth_realm_avp", "$avp(x)")', "auth_realm_avp"),
    ],
)
def test_parameters_that_cannot_be_are_refused_by_name(parameters: str, name: str):
    with pytest.raises(ScriptError, match=name):
        proxy(parameters=parameters)
