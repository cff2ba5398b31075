"""GRUUs of a registrar: what phones are told, and whom a URI reaches."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.registrar.gruu import Gruus, Phone
from miscript.sip import SipUri
from miscript.sip.location import Contact
from miscript.sip.sealing import Sealing
from miscript.sip.sockets import ListeningSocket
from miscript.testing import RunningScript
from sip_scripts import Phone as Caller
from sip_scripts import sip_script

ROUTES = """
route {
    if ($rm == "REGISTER") { save("location"); exit; }
    lookup("location");
    xlog("$rc $ru $(msg.branch.uri[*])\\n");
    sl_send_reply(200, "OK");
}
"""
ON = 'modparam("registrar", "disable_gruu", 0)\nmodparam("registrar", "gruu_secret", "secret")\n'
DESK = '<sip:alice@10.0.0.9>;+sip.instance="<urn:uuid:1>"'
MOBILE = '<sip:alice@10.0.0.8>;+sip.instance="<urn:uuid:2>"'
SUPPORTED = "Supported: path, gruu"


def registrar(parameters: str = ON) -> RunningScript:
    return sip_script("usrloc registrar", ROUTES, parameters=parameters)


def told(contact: str | None, name: str) -> list[str]:
    return re.findall(rf';{name}="([^"]*)"', contact or "")


def reached(script: RunningScript, phone: Caller, uri: str) -> str:
    script.take()
    phone.ask("OPTIONS", uri=uri)
    return script.take().strip()


def test_a_phone_that_knows_gruus_is_told_a_public_and_a_temporary_one():
    with registrar() as script:
        contact = Caller(script).register(DESK, SUPPORTED).header("Contact")
        assert contact is not None
        assert contact.startswith('<sip:alice@10.0.0.9>;expires=3600;pub-gruu="sip:alice@example.com;gr=urn:uuid:1";')
        assert re.fullmatch(r"sip:tgruu\.[A-Za-z0-9_-]+@10\.0\.0\.1:5060;gr", told(contact, "temp-gruu")[0])
        assert contact.endswith(';+sip.instance="<urn:uuid:1>"')


@pytest.mark.parametrize(
    ("parameters", "contact", "headers"),
    [("", DESK, [SUPPORTED]), (ON, DESK, []), (ON, "<sip:alice@10.0.0.9>", [SUPPORTED]),
     (ON, '<sip:alice@10.0.0.9>;+sip.instance="<a;b>"', [SUPPORTED]),
     (ON, '<sip:alice@10.0.0.9>;+sip.instance="none"', [SUPPORTED])],
)  # fmt: skip
def test_others_are_told_none(parameters: str, contact: str, headers: list[str]):
    with registrar(parameters) as script:
        assert "gruu" not in (Caller(script).register(contact, *headers).header("Contact") or "")


def test_each_gruu_reaches_its_phone_alone():
    with registrar() as script:
        phone = Caller(script)
        phone.register(DESK, SUPPORTED)
        contact = phone.register(MOBILE, SUPPORTED).header("Contact")
        desk, mobile = told(contact, "temp-gruu")
        assert reached(script, phone, "sip:alice@example.com").startswith("1 sip:alice@10.0.0.9 sip:alice@10.0.0.9, ")
        for uri, host in ((desk, 9), (mobile, 8), (told(contact, "pub-gruu")[1], 8)):
            assert reached(script, phone, uri) == f"1 sip:alice@10.0.0.{host} sip:alice@10.0.0.{host}"


def test_a_gruu_of_a_phone_that_is_not_there_reaches_nobody():
    with registrar() as script:
        phone = Caller(script)
        phone.register(DESK, SUPPORTED)
        for uri in ("sip:alice@example.com;gr=urn:uuid:3", "sip:tgruu.AAAA@10.0.0.1;gr", f"sip:tgruu.{'A' * 900}@h;gr"):
            assert reached(script, phone, uri).startswith("-1 ")


def test_temporary_gruus_stay_good_until_the_phone_registers_with_another_call_id():
    with registrar() as script:
        phone = Caller(script)
        first = told(phone.register(DESK, SUPPORTED).header("Contact"), "temp-gruu")[0]
        script.advance(1)
        second = told(phone.register(DESK, SUPPORTED).header("Contact"), "temp-gruu")[0]
        assert first != second
        assert reached(script, phone, first).startswith("1 sip:alice@10.0.0.9")
        phone.call_id = "another"
        third = told(phone.register(DESK, SUPPORTED).header("Contact"), "temp-gruu")[0]
        assert [reached(script, phone, uri)[:2] for uri in (first, second, third)] == ["-1", "-1", "1 "]


def test_a_phone_that_moves_keeps_its_public_gruu():
    with registrar() as script:
        phone = Caller(script)
        public = told(phone.register(DESK, SUPPORTED).header("Contact"), "pub-gruu")[0]
        script.advance(1)
        phone.register(DESK.replace("10.0.0.9", "10.0.0.77"), SUPPORTED)
        assert reached(script, phone, public) == "1 sip:alice@10.0.0.77 sip:alice@10.0.0.77"


def test_a_gruu_of_its_own_is_no_contact_of_an_address():
    with registrar() as script:
        phone = Caller(script)
        contact = phone.register(DESK, SUPPORTED).header("Contact")
        for gruu in (*told(contact, "pub-gruu"), *told(contact, "temp-gruu")):
            answer = phone.register(f"<{gruu}>", SUPPORTED)
            assert (answer.status, answer.header("P-Registrar-Error")) == (403, "Contact is a GRUU")
        assert phone.register("<sip:carol@example.com;gr=urn:uuid:9>").status == 200


SOCKET = ListeningSocket("udp", "10.0.0.1", 5060)


@given(aor=st.text(min_size=1, max_size=60), call_id=st.text(min_size=1, max_size=50))
def test_what_was_made_is_read_again_and_only_with_its_secret(aor: str, call_id: str):
    contact = Contact(uri="sip:a@b", expires=1, instance="<urn:uuid:1>", call_id=call_id)
    made = Gruus(Sealing("one")).parameters(contact, aor, SipUri.parse("sip:a@b"), SOCKET, 5.0)
    uri = told(made, "temp-gruu")[0]
    assert Gruus(Sealing("one")).phone(uri) == Phone(aor, "<urn:uuid:1>", contact.call_id)
    assert Gruus(Sealing("two")).phone(uri) == Phone("", "")


@given(st.text(max_size=80) | st.from_regex(r"sip:tgruu\.[A-Za-z0-9_=+/-]{0,60}@h;gr", fullmatch=True))
def test_any_uri_is_a_gruu_or_none(text: str):
    assert Gruus(Sealing("one")).phone(text) in (None, Phone("", "")) or ";gr=" in text
