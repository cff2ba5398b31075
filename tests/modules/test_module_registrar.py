"""A registrar and phones on a network in memory."""

from __future__ import annotations

import pytest

from miscript.errors import ScriptError
from miscript.sip import Branch, Message
from miscript.testing import RunningScript
from miscript.values import encode
from sip_scripts import Phone, sip_script

ROUTES = """
route {
    if ($rm == "REGISTER") {
        if ($hdr(X-Received) != NULL) $avp(rcv) = $hdr(X-Received);
        if ($hdr(X-Attr) != NULL) $avp(attr) = $hdr(X-Attr);
        if ($hdr(X-Nat) != NULL) setbflag("NAT");
        if ($hdr(X-Flags) != NULL) save("location", $hdr(X-Flags));
        else if ($hdr(X-Aor) != NULL) save("location", "", $hdr(X-Aor));
        else save("location");
        xlog("save $rc\\n");
        exit;
    }
    if ($hdr(X-Flags) != NULL) lookup("location", $hdr(X-Flags)); else lookup("location");
    xlog("lookup $rc $ru $du\\n");
    route(more);
    sl_send_reply(200, "OK");
}
"""
PARAMETERS = """
modparam("usrloc", "nat_bflag", "NAT")
modparam("registrar", "received_avp", "$avp(rcv)")
modparam("registrar", "attr_avp", "$avp(attr)")
"""


def registrar(more: str = "", parameters: str = "", top: str = "") -> RunningScript:
    return sip_script(
        "usrloc registrar", f"{ROUTES}\nroute[more] {{ {more} return; }}\n{top}", parameters=PARAMETERS + parameters
    )


def contacts_of(phone: Phone) -> str | None:
    return phone.register().header("Contact")


def test_a_registration_is_answered_with_what_is_bound():
    with registrar() as script:
        phone = Phone(script)
        answer = phone.register("<sip:alice@10.0.0.9:5070>;q=0.7", "Expires: 10")
        assert (answer.status, answer.reason) == (200, "OK")
        assert answer.header("Contact") == "<sip:alice@10.0.0.9:5070>;q=0.7;expires=60"
        script.advance(20)
        phone.register(
            '<sip:alice@10.0.0.9:5071>;expires=120;+sip.instance="<urn:uuid:1>"', "X-Received: sip:1.2.3.4:9"
        )
        assert contacts_of(phone) == (
            '<sip:alice@10.0.0.9:5070>;q=0.7;expires=40, <sip:alice@10.0.0.9:5071>;expires=120;received="sip:1.2.3.4:9"'
        )
        assert script.take() == "save 1\n" * 3


def test_contacts_end_with_their_time_or_when_the_phone_says_so():
    with registrar() as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.9>;expires=60, <sip:b@10.0.0.9>;expires=600, <sip:c@10.0.0.9>;expires=600")
        script.advance(61)
        assert contacts_of(phone) == "<sip:b@10.0.0.9>;expires=539, <sip:c@10.0.0.9>;expires=539"
        assert phone.register("<sip:b@10.0.0.9>;expires=0").header("Contact") == "<sip:c@10.0.0.9>;expires=539"
        assert phone.register("*", "Expires: 0").header("Contact") is None
        assert contacts_of(phone) is None


def test_too_many_contacts_are_refused_and_nothing_changes():
    with registrar(
        parameters='modparam("registrar", "max_contacts", 2)\nmodparam("registrar", "retry_after", 30)'
    ) as s:
        phone = Phone(s)
        phone.register("<sip:a@10.0.0.9>")
        answer = phone.register("<sip:b@10.0.0.9>, <sip:c@10.0.0.9>, <sip:a@10.0.0.9>;expires=100")
        assert (answer.status, answer.header("Retry-After")) == (503, "30")
        assert answer.header("P-Registrar-Error") == "Too many registered contacts"
        assert answer.header("Contact") == "<sip:a@10.0.0.9>;expires=3600"
        assert contacts_of(phone) == "<sip:a@10.0.0.9>;expires=3600"
        assert phone.register("<sip:a@10.0.0.9>;expires=0, <sip:b@10.0.0.9>, <sip:c@10.0.0.9>").status == 200
        values = s.mi("get_statistics", ["registrar:"])
        assert values == {
            "registrar:max_expires": 0,
            "registrar:max_contacts": 2,
            "registrar:default_expire": 3600,
            "registrar:accepted_regs": 3,
            "registrar:rejected_regs": 1,
        }


def test_with_force_the_oldest_contact_makes_room():
    with registrar() as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.9>")
        script.advance(1)
        phone.register("<sip:b@10.0.0.9>")
        answer = phone.register("<sip:c@10.0.0.9>", "X-Flags: max-contacts=2,force-registration")
        assert answer.header("Contact") == "<sip:b@10.0.0.9>;expires=3600, <sip:c@10.0.0.9>;expires=3600"
        refused = phone.register("<sip:d@x>, <sip:e@x>, <sip:f@x>", "X-Flags: max-contacts=2,force-registration")
        assert refused.status == 503


def test_a_known_cseq_is_a_retransmission_at_first_and_then_an_error():
    parameters = 'modparam("usrloc", "cseq_delay", 5)\nmodparam("registrar", "allow_dup_cseq", 0)'
    with registrar(parameters=parameters) as script:
        phone = Phone(script, cseq=10)
        phone.register("<sip:a@10.0.0.9>")
        phone.cseq -= 1
        assert phone.register("<sip:a@10.0.0.9>;expires=100").header("Contact") == "<sip:a@10.0.0.9>;expires=3600"
        script.advance(6)
        phone.cseq -= 1
        answer = phone.register("<sip:a@10.0.0.9>;expires=100")
        assert (answer.status, answer.header("P-Registrar-Error")) == (400, "Invalid CSeq number")


def test_an_old_cseq_is_an_error():
    with registrar() as script:
        phone = Phone(script, cseq=10)
        phone.register("<sip:a@10.0.0.9>")
        phone.cseq = 3
        answer = phone.register("<sip:a@10.0.0.9>;expires=100")
        assert (answer.status, answer.header("P-Registrar-Error")) == (400, "Invalid CSeq number")
        phone.call_id = "call-2"
        assert phone.register("<sip:a@10.0.0.9>;expires=100").header("Contact") == "<sip:a@10.0.0.9>;expires=100"


def test_a_contact_that_means_the_same_takes_the_place_of_the_other():
    with registrar() as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.9>")
        assert phone.register("<sip:%61@10.0.0.9;ob>;expires=100").header("Contact") == (
            "<sip:%61@10.0.0.9;ob>;expires=100"
        )


@pytest.mark.parametrize(("allowed", "seconds"), [(1, 100), (0, 3600)])
def test_the_same_cseq_may_change_a_contact_where_that_is_allowed(allowed: int, seconds: int):
    with registrar(parameters=f'modparam("registrar", "allow_dup_cseq", {allowed})') as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.9>")
        phone.cseq -= 1
        assert phone.register("<sip:a@10.0.0.9>;expires=100").header("Contact") == f"<sip:a@10.0.0.9>;expires={seconds}"


def test_contacts_are_recognised_as_the_flag_says():
    with registrar() as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.9>")
        phone.call_id = "call-2"
        two = phone.register("<sip:a@10.0.0.9>;expires=100", "X-Flags: matching-mode=1")
        assert two.header("Contact") == "<sip:a@10.0.0.9>;expires=3600, <sip:a@10.0.0.9>;expires=100"
        phone.register("*", "Expires: 0")
        phone.register("<sip:a@10.0.0.9;line=7>")
        one = phone.register("<sip:a@10.0.0.8;line=7>", "X-Flags: matching-mode=<line>")
        assert one.header("Contact") == "<sip:a@10.0.0.8;line=7>;expires=3600"


@pytest.mark.parametrize(
    ("headers", "status", "error"),
    [
        (["Contact: *"], 400, "* used in contact and expires is not zero"),
        (["Contact: <sip:a"], 400, "Contact parse error"),
        (["Contact: <sip:a@x>;q=2"], 400, "Invalid q param in contact"),
        (["Contact: <sip:a@x>", "Expires: foo"], 400, "Expires parse error"),
        (["Contact: <sip:a@x>", "X-Aor: sip:" + "a" * 65 + "@x"], 500, "Address Of Record too long"),
    ],
)
def test_what_cannot_be_taken_is_refused_with_its_reason(headers: list[str], status: int, error: str):
    with registrar() as script:
        answer = Phone(script).ask("REGISTER", *headers)
        assert (answer.status, answer.header("P-Registrar-Error")) == (status, error)
        assert script.take() == "save -2\n"


def test_wrong_flags_fail_without_an_answer():
    with registrar() as script:
        phone = Phone(script)
        assert phone.send(phone.text("REGISTER", "Contact: <sip:a@x>", "X-Flags: m")) == []
        assert script.take() == "save -1\n"


def test_a_registration_may_be_for_another_and_without_a_reply():
    with registrar() as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.9>", "X-Aor: sip:carol@example.org")
        dump = script.mi("ul_dump", 1)
        assert dump == {"Domains": [{"name": "location", "hash_size": 512, "AORs": [{"AOR": "carol@example.org"}]}]}
        assert phone.send(phone.text("REGISTER", "Contact: <sip:b@x>", "X-Flags: no-reply")) == []
        assert script.take() == "save 1\n" * 2


@pytest.mark.parametrize("path", ["garbage", "<sip:p1;lr>, ", "<mailto:a@b>", "<sip:p1"])
def test_a_path_that_cannot_be_read_is_refused(path):
    with registrar() as script:
        answer = Phone(script).register("<sip:a@10.0.0.9>", f"Path: {path}", "Supported: path", "X-Flags: path-strict")
        assert (answer.status, answer.header("P-Registrar-Error")) == (400, "Path parse error")


# -- Path -----------------------------------------------------------------------------------------------------------

PATH = "Path: <sip:p1@10.0.0.5:99;lr;received=sip:5.5.5.5:55>, <sip:p2@x;lr>"


@pytest.mark.parametrize(
    ("flags", "supported", "kept", "told"),
    [("", False, False, False), ("path-off", True, True, False), ("path-lazy", False, True, False),
     ("path-lazy", True, True, True), ("path-strict", True, True, True)],
)  # fmt: skip
def test_a_path_is_kept_and_told_as_the_mode_says(flags: str, supported: bool, kept: bool, told: bool):
    with registrar() as script:
        phone = Phone(script)
        headers = [PATH, *([f"X-Flags: {flags}"] if flags else []), *(["Supported: path"] if supported else [])]
        answer = phone.register("<sip:a@10.0.0.9>", *headers)
        assert answer.header("Path") == (PATH[6:] if told else None)
        phone.ask("OPTIONS", uri="sip:alice@example.com")
        wanted = "sip:p1@10.0.0.5:99;lr;received=sip:5.5.5.5:55" if kept else "<null>"
        assert script.take().splitlines()[-1] == f"lookup 1 sip:a@10.0.0.9 {wanted}"


def test_a_phone_that_knows_no_path_is_refused_in_strict_mode_and_not_bound():
    with registrar() as script:
        phone = Phone(script)
        answer = phone.register("<sip:a@10.0.0.9>", PATH, "X-Flags: path-strict")
        assert (answer.status, answer.header("Unsupported"), answer.header("Path")) == (420, "path", PATH[6:])
        assert contacts_of(phone) is None


def test_the_path_may_tell_where_the_phone_is():
    with registrar() as script:
        phone = Phone(script)
        answer = phone.register("<sip:a@10.0.0.9>", PATH, "X-Flags: path-off,path-received")
        assert answer.header("Contact") == '<sip:a@10.0.0.9>;expires=3600;received="sip:5.5.5.5:55"'
        shown = script.mi("ul_show_contact", "location", "alice@example.com")
        assert shown["Contacts"][0]["Cflags"] == "NAT"
        other = Phone(script, user="bob", address="udp:10.0.0.8:5070", call_id="bob-1")
        assert "received" not in (other.register("<sip:b@10.0.0.8>").header("Contact") or "")


# -- lookup -----------------------------------------------------------------------------------------------------------

SHOW = """
    xlog("all $(branch(uri)[*])\\n");
    xlog("destinations $(branch(duri)[*])\\n");
"""


def with_three(script: RunningScript) -> Phone:
    phone = Phone(script)
    phone.register("<sip:a@10.0.0.1>;q=0.1", "User-Agent: soft/1", "Allow: INVITE")
    phone.register("<sip:b@10.0.0.2>;q=0.9", "X-Received: sip:1.2.3.4:9", "X-Attr: hello", "X-Nat: 1")
    phone.register("<sip:c@10.0.0.3>;q=0.5", "User-Agent: SOFT/2")
    script.take()
    return phone


def lookups(script: RunningScript, phone: Phone, *headers: str, uri: str = "sip:alice@example.com") -> list[str]:
    phone.ask("OPTIONS", *headers, uri=uri)
    return script.take().splitlines()


def branches(
    phone: Phone, script: RunningScript, *headers: str, uri: str = "sip:alice@example.com"
) -> tuple[Branch, list[Branch]]:
    """What the message carries behind `lookup()`."""
    call = script.route(message=Message.parse(encode(phone.text("OPTIONS", *headers, uri=uri))))
    message = call.run.message
    return message.branch, message.branches


def test_lookup_puts_the_best_contact_into_the_request_uri_and_the_others_into_branches():
    with registrar() as script:
        phone = with_three(script)
        first, others = branches(phone, script)
        assert (first.uri, first.destination, first.q) == ("sip:b@10.0.0.2", "sip:1.2.3.4:9", 900)
        assert (first.flags, first.attributes) == ({"NAT"}, {"attr": "hello"})
        assert first.socket is not None and str(first.socket) == "udp:10.0.0.1:5060"
        assert [(b.uri, b.destination, b.attributes) for b in others] == [
            ("sip:c@10.0.0.3", None, {"attr": ""}),
            ("sip:a@10.0.0.1", None, {"attr": ""}),
        ]


@pytest.mark.parametrize(
    ("flags", "first", "others"),
    [
        ("no-branches", "sip:b@10.0.0.2", []),
        ("to-branches-only", None, ["sip:b@10.0.0.2", "sip:c@10.0.0.3", "sip:a@10.0.0.1"]),
        ("ua-filtering=/soft/", "sip:a@10.0.0.1", []),
        ("ua-filtering=/soft/,case-insensitive", "sip:c@10.0.0.3", ["sip:a@10.0.0.1"]),
        ("method-filtering", "sip:b@10.0.0.2", ["sip:c@10.0.0.3"]),
    ],
)
def test_flags_choose_what_lookup_finds(flags: str, first: str | None, others: list[str]):
    with registrar() as script:
        branch, more = branches(with_three(script), script, f"X-Flags: {flags}")
        assert branch.uri == first
        assert [b.uri for b in more] == others


def test_lookup_tells_why_it_found_nobody():
    with registrar() as script:
        phone = with_three(script)
        assert lookups(script, phone, uri="sip:zoe@example.com")[0].startswith("lookup -1 sip:zoe@example.com")
        assert lookups(script, phone, "X-Flags: ua-filtering=/zzz/")[0].startswith("lookup -1")
        assert lookups(script, phone, "X-Flags: method-filtering,ua-filtering=/soft.1/")[0].startswith("lookup -2")
        assert lookups(script, phone, uri="urn:service:sos")[0].startswith("lookup -1")
        assert lookups(script, phone, "X-Flags: rubbish")[0].startswith("lookup -3")


def test_branches_that_are_aors_are_expanded_where_that_is_asked_for():
    body = """
    route {
        if ($rm == "REGISTER") { save("location"); exit; }
        $msg.branch = "sip:bob@example.com";
        $msg.branch = "sip:nobody@example.com";
        lookup("location", "branch");
    }
    """
    with sip_script("usrloc registrar", body) as script:
        phone = Phone(script)
        phone.register("<sip:a@10.0.0.1>")
        Phone(script, user="bob", address="udp:10.0.0.8:5070", call_id="bob-1").register("<sip:b@10.0.0.8>")
        first, others = branches(phone, script)
        assert (first.uri, [b.uri for b in others]) == ("sip:a@10.0.0.1", ["sip:b@10.0.0.8"])


# -- questions and removal -------------------------------------------------------------------------------------------

QUESTIONS = """
    $var(ip) = "10.0.0.1"; $var(other) = "9.9.9.9"; $var(port) = 5060; $var(wrong) = 1;
    $avp(ips) = "9.9.9.9"; $avp(ips) = "1.2.3.4";
    is_registered("location"); xlog("$rc ");
    is_registered("location", "sip:nobody@example.com"); xlog("$rc ");
    is_registered("location", "rubbish"); xlog("$rc ");
    xlog("\\n");
    is_contact_registered("location", , "sip:a@10.0.0.1"); xlog("$rc ");
    is_contact_registered("location", , "sip:a@10.0.0.1", "call-1"); xlog("$rc ");
    is_contact_registered("location", , "sip:a@10.0.0.1", "call-2"); xlog("$rc ");
    is_contact_registered("location", , , "call-1"); xlog("$rc ");
    is_contact_registered("location"); xlog("$rc ");
    xlog("\\n");
    is_ip_registered("location", , $var(ip)); xlog("$rc ");
    is_ip_registered("location", , $var(other)); xlog("$rc ");
    is_ip_registered("location", , $var(ip), $var(port)); xlog("$rc ");
    is_ip_registered("location", , $var(ip), $var(wrong)); xlog("$rc ");
    is_ip_registered("location", , $avp(ips)); xlog("$rc ");
    xlog("\\n");
"""


def test_a_script_asks_who_is_registered():
    with registrar(more=QUESTIONS) as script:
        lines = lookups(script, with_three(script), "Contact: <sip:z@x>, <sip:c@10.0.0.3>")
        assert lines[1:] == ["1 -1 -1 ", "1 1 -1 1 1 ", "1 -1 1 -1 1 "]


@pytest.mark.parametrize(
    ("call", "left"),
    [
        ('remove("location", "sip:alice@example.com")', []),
        ('remove("location", "sip:nobody@example.com")', ["b", "c", "a"]),
        ('remove("location", "sip:alice@example.com", "sip:c@10.0.0.3")', ["b", "a"]),
        ('remove("location", "sip:alice@example.com", , "1.2.3.4")', ["c", "a"]),
        ('remove("location", "sip:alice@example.com", , "host.example.com")', ["b", "c"]),
        ('remove("location", "sip:alice@example.com", "sip:c@10.0.0.3", "1.2.3.4")', ["b", "c", "a"]),
        ('remove("location", "sip:alice@example.com", , , , "NAT")', ["c", "a"]),
        ('remove("location", "sip:alice@example.com", , , "<urn:x>")', ["b", "c", "a"]),
        ('remove_ip_port("1.2.3.4", 9, "location")', ["c", "a"]),
        ('remove_ip_port("10.0.0.1", 5061, "location")', ["b", "c", "a"]),
        ('remove_ip_port("10.0.0.1", 5060, "location", "sip:alice@example.com")', ["b", "c"]),
        ('remove_ip_port("10.0.0.1", 5060, "location", "sip:bob@example.com")', ["b", "c", "a"]),
    ],
)
def test_contacts_are_removed_by_what_they_are_or_where_they_are(call: str, left: list[str]):
    with registrar(more=f'{call}; xlog("removed $rc\\n");') as script:
        script.network.names["host.example.com"] = ["10.0.0.1"]
        phone = with_three(script)
        assert lookups(script, phone)[1] == "removed 1"
        found = script.host.catalog.modules["usrloc"].table("location").valid("alice@example.com", 0)
        assert [contact.uri[4] for contact in found] == left


def test_the_socket_of_a_registration_can_be_told_to_another_registrar():
    with registrar(more='add_sock_hdr("Sock-Info"); xlog("added $rc\\n");') as script:
        assert lookups(script, with_three(script))[1] == "added 1"


@pytest.mark.parametrize(
    "parameter",
    ['"pn_enable_purr", 1', '"pn_enable", 1', '"default_q", 1001', '"received_avp", "rcv"', '"attr_avp", "$var(x)"'],
)
def test_what_cannot_be_had_is_refused_when_it_is_loaded(parameter: str):
    with pytest.raises(ScriptError, match=parameter.split('"')[1]):
        registrar(parameters=f'modparam("registrar", {parameter})')
