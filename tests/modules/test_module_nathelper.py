"""Messages from behind a NAT, and the contacts that are pinged there."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import MIError, ScriptError
from miscript.modules.nathelper.contacts import restored
from miscript.modules.nathelper.sdp import SDP_FLAGS, SdpChanges, changed_body, connection_addresses
from miscript.sip import Message, SipSyntaxError, SipUri
from miscript.sip.replies import make_reply
from miscript.testing import MemoryNetwork, RunningScript
from miscript.values import encode

HOST = ("10.0.0.1", 5060)
HEAD = """
log_level=-3
xlog_level=3
mpath="/"
socket=udp:10.0.0.1:5060
socket=udp:10.0.0.1:5062
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "sipmsgops.so"
loadmodule "usrloc.so"
loadmodule "nathelper.so"
{parameters}
"""
OLD = "a=oldcip:192.168.1.5\r\n"
OLD_O = "a=oldoip:192.168.1.5\r\n"
SDP = "v=0\r\no=- 1 1 IN IP4 192.168.1.5\r\ns=-\r\nc=IN IP4 192.168.1.5\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"


def running(body: str, parameters: str = "") -> RunningScript:
    return RunningScript(f"{HEAD.format(parameters=parameters)}\n{body}", network=MemoryNetwork())


def relayed(
    statement: str,
    *headers: str,
    body: str = "",
    content_type: str = "application/sdp",
    uri: str = "sip:bob@b.test",
    method: str = "INVITE",
    parameters: str = "",
) -> tuple[Message, str]:
    """What a request from 10.0.0.9:5070 looks like behind a statement of the script, and what that printed."""
    script = running(
        f'route {{ {statement} xlog("$rc $ru $du $avp(rcv)\\n"); $du = "sip:10.0.0.7:5060"; t_relay(); }}', parameters
    )
    receiver, phone = script.network.peer("udp:10.0.0.7:5060"), script.network.peer("udp:10.0.0.9:5070")
    lines = [
        f"{method} {uri} SIP/2.0",
        *(
            []
            if any(line.startswith("Via") for line in headers)
            else ["Via: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bK1"]
        ),
        "From: <sip:a@a.test>;tag=a",
        "To: <sip:b@b.test>",
        "Call-ID: one",
        f"CSeq: 1 {method}",
        *headers,
        *([f"Content-Type: {content_type}"] if body else []),
        f"Content-Length: {len(body)}",
    ]
    phone.send(encode("\r\n".join([*lines, "", body])), *HOST)
    script.settle()
    (message,) = {m.data: m for m in receiver.take()}.values()
    return message, script.output.strip()


# -- Contact ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "contact", "expected"),
    [
        (
            "fix_nated_contact();",
            '"A" <sip:al@192.168.1.1:5070;transport=udp;ob>;expires=5, <sip:2@3.3.3.3>',
            '"A" <sip:al@10.0.0.9:5070;transport=udp;ob>;expires=5, <sip:2@10.0.0.9:5070>',
        ),
        (
            'fix_nated_contact(";ata=cisco");',
            "<sip:al:pw@192.168.1.1:5071;x=1>;expires=5",
            "<sip:al:pw@10.0.0.9:5070;ata=cisco;x=1>;expires=5",
        ),
        (
            'fix_nated_contact(";ata=cisco", "preserve-uri");',
            "sip:192.168.1.1",
            "<sip:10.0.0.9:5070;ata=cisco;org=MTkyLjE2OC4xLjE>",
        ),
        (
            'fix_nated_contact(, "preserve-uri");',
            "<sip:al@192.168.1.1:5071>",
            "<sip:al@10.0.0.9:5070;org=MTkyLjE2OC4xLjE6NTA3MQ>",
        ),
        ("fix_nated_contact();", "*", "*"),
        ("add_rcv_param();", "<sip:al@1.1.1.1>;q=1", '<sip:al@1.1.1.1>;q=1;received="sip:10.0.0.9:5070"'),
        ("add_rcv_param(1);", "<sip:al@1.1.1.1;x>;q=1", "<sip:al@1.1.1.1;x;received=sip:10.0.0.9:5070>;q=1"),
        ("add_rcv_param(1);", "sip:al@1.1.1.1", "<sip:al@1.1.1.1;received=sip:10.0.0.9:5070>"),
    ],
)
def test_contacts_get_the_address_that_the_message_came_from(call: str, contact: str, expected: str) -> None:
    message, printed = relayed(call, f"Contact: {contact}")
    assert message.header("Contact") == expected
    assert printed.startswith("1 ")


def test_without_a_contact_there_is_nothing_to_be_done() -> None:
    message, printed = relayed("fix_nated_contact();")
    assert message.header("Contact") is None and printed.startswith("1 ")


def test_a_contact_is_changed_once() -> None:
    message, printed = relayed('fix_nated_contact(); fix_nated_contact(";z");', "Contact: <sip:al@1.1.1.1>")
    assert message.header("Contact") == "<sip:al@10.0.0.9:5070>" and printed.startswith("-1 ")


def test_parameters_that_break_the_uri_change_nothing() -> None:
    message, printed = relayed('fix_nated_contact(";a>b");', "Contact: <sip:al@1.1.1.1>")
    assert message.header("Contact") == "<sip:al@1.1.1.1>" and printed.startswith("-1 ")


@pytest.mark.parametrize("packed", ["MTkyLjE2OC4xLjE6NTA3MQ", "MTkyLjE2OC4xLjE6NTA3MQ--"])
def test_what_was_preserved_is_restored(packed: str) -> None:
    message, printed = relayed("restore_nated_ruri();", uri=f"sip:al@10.0.0.3:5066;a=1;org={packed};b")
    assert message.uri == "sip:al@192.168.1.1:5071;a=1;b"
    assert printed == "1 sip:al@192.168.1.1:5071;a=1;b sip:al@10.0.0.3:5066;a=1;b <null>"


@pytest.mark.parametrize("params", ["", ";org=!!", ";org=%%", ";org=PHg-"])
def test_nothing_is_restored_where_nothing_was_preserved(params: str) -> None:
    uri = f"sip:al@10.0.0.3:5066{params}"
    message, printed = relayed("restore_nated_ruri();", uri=uri)
    assert message.uri == uri and printed.startswith("-1 ")


def test_the_address_of_a_register_is_kept_in_an_avp() -> None:
    parameters = 'modparam("nathelper", "received_avp", "$avp(rcv)")'
    _, printed = relayed("fix_nated_register();", "Contact: <sip:a@1.1.1.1>", method="REGISTER", parameters=parameters)
    assert printed.endswith(" sip:10.0.0.9:5070")


# -- media ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ('"add-dir-active"', f"{SDP}a=direction:active\r\n"),
        ('"rewrite-media-ip"', SDP.replace("c=IN IP4 192.168.1.5", "c=IN IP4 10.0.0.9") + OLD),
        ('"rewrite-origin-ip"', SDP.replace(" 1 IN IP4 192.168.1.5", " 1 IN IP4 10.0.0.9") + OLD_O),
        ('"add-no-rtpproxy"', f"{SDP}a=nortpproxy:yes\r\n"),
        (
            '"rewrite-media-ip,rewrite-origin-ip,add-dir-active", "7.7.7.7", "\\r\\na=x\\r\\na=y"',
            SDP.replace("192.168.1.5", "7.7.7.7")
            + "a=x\r\na=y\r\na=direction:active\r\na=oldoip:192.168.1.5\r\na=oldcip:192.168.1.5\r\n",
        ),
        ('"rewrite-media-ip", "2001:db8::1"', SDP.replace("c=IN IP4 192.168.1.5", "c=IN IP6 2001:db8::1") + OLD),
    ],
)  # fmt: skip
def test_media_get_another_address_and_lines(arguments: str, expected: str) -> None:
    message, printed = relayed(f"fix_nated_sdp({arguments});", body=SDP)
    assert message.body.decode() == expected
    assert message.content_length == len(expected) and printed.startswith("1 ")


def test_two_calls_add_up() -> None:
    message, _ = relayed(
        'fix_nated_sdp("rewrite-media-ip"); fix_nated_sdp("rewrite-media-ip,rewrite-origin-ip");', body=SDP
    )
    assert message.body.decode() == (
        SDP.replace("192.168.1.5", "10.0.0.9") + "a=oldcip:192.168.1.5\r\na=oldoip:192.168.1.5\r\n"
    )


def test_the_address_of_held_media_stays_unless_it_is_wanted_too() -> None:
    held = SDP.replace("192.168.1.5", "0.0.0.0")
    assert relayed('fix_nated_sdp("rewrite-media-ip");', body=held)[0].body.decode() == held
    changed = relayed('fix_nated_sdp("rewrite-media-ip,rewrite-null-ips");', body=held)[0].body
    assert b"c=IN IP4 10.0.0.9\r\n" in changed


def test_old_addresses_need_not_be_told() -> None:
    message, _ = relayed(
        'fix_nated_sdp("rewrite-media-ip,rewrite-origin-ip");',
        body=SDP,
        parameters='modparam("nathelper", "oldip_skip", "oc")',
    )
    assert message.body.decode() == SDP.replace("192.168.1.5", "10.0.0.9")


def test_the_media_of_a_body_with_several_parts_are_changed() -> None:
    body = f"--x\r\nContent-Type: text/plain\r\n\r\nhi\r\n--x\r\nContent-Type: application/sdp\r\n\r\n{SDP}--x--\r\n"
    message, _ = relayed('fix_nated_sdp("rewrite-media-ip");', body=body, content_type="multipart/mixed;boundary=x")
    assert message.body.decode() == body.replace("c=IN IP4 192.168.1.5", "c=IN IP4 10.0.0.9").replace(
        "RTP/AVP 0\r\n--x", "RTP/AVP 0\r\na=oldcip:192.168.1.5\r\n--x"
    )


def test_other_bodies_stay_and_none_is_a_failure() -> None:
    message, printed = relayed('fix_nated_sdp("rewrite-media-ip");', body="hello", content_type="text/plain")
    assert message.body == b"hello" and printed.startswith("1 ")
    assert relayed('fix_nated_sdp("rewrite-media-ip");')[1].startswith("-1 ")


def test_an_address_that_is_none_changes_nothing() -> None:
    message, printed = relayed('fix_nated_sdp("rewrite-media-ip", "b.test");', body=SDP)
    assert message.body.decode() == SDP and printed.startswith("-1 ")


@given(st.binary(max_size=300), st.sampled_from([None, "application/sdp", "multipart/mixed;boundary=x", "a/b", "?"]))
def test_any_body_is_changed_or_refused(body: bytes, content_type: str | None) -> None:
    changes = SdpChanges(SDP_FLAGS, "10.0.0.1", "a=m\r\n", "", "\r\na=x")
    try:
        assert isinstance(changed_body(content_type, body, changes), bytes)
    except SipSyntaxError:
        pass
    assert all(isinstance(address, str) for address in connection_addresses(content_type, body))


@given(st.text(max_size=60))
def test_any_request_uri_is_restored_or_refused(text: str) -> None:
    for uri in (text, f"sip:al@10.0.0.1;org={text}"):
        try:
            found = restored(uri)
        except SipSyntaxError:
            continue
        assert found is None or all(SipUri.parse(each) for each in found)


# -- checks -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "private"),
    [
        ("10.1.1.1", True), ("11.0.0.1", False), ("172.16.0.1", True), ("172.31.255.255", True), ("172.32.0.1", False),
        ("192.168.0.1", True), ("100.64.0.1", True), ("100.128.0.1", False), ("192.0.0.1", False),
        ("169.254.1.1", False), ("127.0.0.1", True), ("host.test", False), ("[fd00::1]", False),
    ],
)  # fmt: skip
def test_private_addresses_are_found(address: str, private: bool) -> None:
    code = "1 " if private else "-1 "
    via = f"Via: SIP/2.0/UDP {address};branch=z9hG4bK7;rport"
    body = SDP.replace("c=IN IP4 192.168.1.5", f"c=IN IP4 {address.strip('[]')}")
    assert relayed('nat_uac_test("private-contact");', f"Contact: <sip:a@{address}>")[1].startswith(code)
    assert relayed('nat_uac_test("private-via");', via)[1].startswith(code)
    assert relayed('nat_uac_test("private-sdp");', body=body)[1].startswith(code)


@pytest.mark.parametrize(
    ("flags", "headers", "code"),
    [
        ("private-contact", ["Contact: <sip:a@8.8.8.8>, <sip:a@10.0.0.1>"], 1),
        ("private-contact", ["Contact: <sip:a@8.8.8.8>"], -1),
        ("private-contact", [], -1),
        ("private-contact, carrier-grade-nat", ["Contact: <sip:a@192.0.0.1>"], 1),
        ("carrier-grade-nat", ["Contact: <sip:a@192.0.0.1>"], -1),
        ("diff-ip-src-via", [], -1),
        ("diff-ip-src-via", ["Via: SIP/2.0/UDP 1.2.3.4:5070;branch=z9hG4bK7;rport"], 1),
        ("diff-port-src-via", [], -1),
        ("diff-port-src-via", ["Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK7;rport"], 1),
        ("diff-ip-src-contact", ["Contact: <sip:a@10.0.0.9>"], -1),
        ("diff-ip-src-contact", ["Contact: <sip:a@8.8.8.8>"], 1),
        ("diff-ip-src-contact", ["Contact: <sip:a@name.test>"], 1),
        ("diff-ip-src-contact", [], -1),
        ("diff-ip-src-contact, diff-port-src-contact", ["Contact: <tel:123>"], -1),
        ("diff-port-src-contact", ["Contact: <sip:a@10.0.0.9:5070>"], -1),
        ("diff-port-src-contact", ["Contact: <sip:a@10.0.0.9>"], 1),
        ("private-via,diff-port-src-contact", ["Contact: <sip:a@10.0.0.9>"], 1),
    ],
)
def test_each_check_looks_at_its_own_part(flags: str, headers: list[str], code: int) -> None:
    assert relayed(f'nat_uac_test("{flags}");', *headers)[1].startswith(f"{code} ")


@pytest.mark.parametrize(
    "call", ['nat_uac_test("foo");', 'nat_uac_test("1");', 'fix_nated_sdp("3");', 'fix_nated_contact("", "x");']
)
def test_flags_that_are_written_out_are_checked_at_the_start(call: str) -> None:
    with pytest.raises(ScriptError, match="unknown flag"):
        running(f"route {{ {call} }}")


def test_flags_in_a_variable_are_checked_when_they_are_used() -> None:
    assert relayed('$var(f) = "foo"; nat_uac_test($var(f));')[1].startswith("-1 ")
    assert relayed('$var(f) = "private-via"; nat_uac_test($var(f));')[1].startswith("1 ")


# -- pings ------------------------------------------------------------------------------------------------------------

SAVE = """
loadmodule "signaling.so"
loadmodule "registrar.so"
modparam("usrloc", "nat_bflag", "NAT")
route { MARKS save("location"); }
event_route[E_UL_LATENCY_UPDATE] { xlog("latency of $param(aor): $param(latency)\\n"); }
"""
REQUESTS = 'modparam("nathelper", "sipping_bflag", "SIP")\nmodparam("nathelper", "sipping_from", "sip:pinger@p.test")\n'


@dataclass
class Pinged:
    """Somebody at 10.0.0.9 who takes anything."""

    script: RunningScript
    received: list[tuple[bytes, tuple[str, int]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.script.network.take_place(
            ("udp", "10.0.0.9", 5070), lambda data, source: self.received.append((data, source))
        )

    def send(self, data: bytes) -> None:
        self.script.network.send(data, ("10.0.0.9", 5070), ("udp", *HOST))
        self.script.settle()

    def take_from(self) -> list[tuple[str, int]]:
        taken, self.received = self.received, []
        return [source for _, source in taken]

    def take_bytes(self) -> list[bytes]:
        taken, self.received = self.received, []
        return [data for data, _ in taken]

    def take(self) -> list[Message]:
        return [Message.parse(data) for data in self.take_bytes()]


def pinging(*parameters: str, flags: tuple[str, ...] = ("NAT",)) -> tuple[RunningScript, Pinged]:
    """A script that pings every 10 seconds, and a phone that has registered with branch flags."""
    lines = "\n".join(['modparam("nathelper", "natping_interval", 10)', *parameters])
    marks = "".join(f'setbflag("{name}");' for name in flags)
    script = running(SAVE.replace("MARKS", marks), lines)
    phone = Pinged(script)
    phone.send(
        b"REGISTER sip:a.test SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKr\r\n"
        b"From: <sip:al@a.test>;tag=a\r\nTo: <sip:al@a.test>\r\nCall-ID: r\r\nCSeq: 1 REGISTER\r\n"
        b"Contact: <sip:al@10.0.0.9:5070>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
    assert [message.status for message in phone.take()] == [200]
    return script, phone


def wait(script: RunningScript, seconds: float) -> None:
    script.advance(seconds)
    script.settle()


def contacts(script: RunningScript) -> int:
    return sum(len(aor.get("Contacts", ())) for aor in script.mi("ul_dump")["Domains"][0]["AORs"])


def test_contacts_are_pinged_with_four_bytes() -> None:
    script, phone = pinging()
    wait(script, 10)
    assert phone.take_bytes() == [bytes(4)]
    wait(script, 20)
    assert phone.take_bytes() == [bytes(4)] * 2


@pytest.mark.parametrize(("more", "flags"), [((), ("NAT",)), ((REQUESTS,), ("SIP",))])
def test_places_on_a_blacklist_that_counts_by_default_are_not_pinged(
    more: tuple[str, ...], flags: tuple[str, ...]
) -> None:
    script, phone = pinging("dst_blacklist = moving/expire,default", *more, flags=flags)
    script.mi("add_blacklist_rule", "moving", "udp,10.0.0.9,5070", 25)
    wait(script, 20)
    assert (phone.take_bytes(), contacts(script)) == ([], 1)
    wait(script, 20)
    assert len(phone.take_bytes()) > 0


def test_a_contact_at_a_name_that_is_looked_up_for_long_holds_up_no_other() -> None:
    script, phone = pinging()
    phone.send(
        b"REGISTER sip:a.test SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.9:5070;branch=z9hG4bKs\r\n"
        b"From: <sip:aa@a.test>;tag=a\r\nTo: <sip:aa@a.test>\r\nCall-ID: s\r\nCSeq: 1 REGISTER\r\n"
        b"Contact: <sip:aa@slow.test>\r\nExpires: 3600\r\nContent-Length: 0\r\n\r\n"
    )
    phone.take()
    begun = []

    async def slowly(name: str) -> tuple[str, ...]:
        begun.append(name)
        await script.clock.sleep(1000)
        return ()

    script.network.addresses = slowly  # type: ignore[method-assign]  # who is asked for names
    wait(script, 25)
    assert phone.take_bytes() == [bytes(4)] * 2
    assert begun == ["slow.test"]


def test_only_contacts_behind_a_nat_are_pinged_when_that_is_wanted() -> None:
    only = 'modparam("nathelper", "ping_nated_only", 1)'
    script, phone = pinging(only)
    other, other_phone = pinging(only, flags=("OTHER",))
    for each in (script, other):
        wait(each, 10)
    assert len(phone.take_bytes()) == 1 and other_phone.take_bytes() == []


def test_partitions_ping_each_contact_once_in_an_interval() -> None:
    script, phone = pinging('modparam("nathelper", "natping_partitions", 4)')
    wait(script, 30)
    assert len(phone.take_bytes()) == 3


def test_a_contact_with_the_flag_is_pinged_with_a_request() -> None:
    script, phone = pinging(REQUESTS, flags=("SIP",))
    wait(script, 10)
    (ping,) = phone.take()
    assert (ping.method, ping.uri) == ("OPTIONS", "sip:al@10.0.0.9:5070")
    assert ping.from_ is not None and ping.from_.uri == "sip:pinger@p.test" and ping.from_.tag
    assert ping.header("To") == "<sip:al@10.0.0.9:5070>"


def answer(script: RunningScript, phone: Pinged, status: int = 200) -> None:
    for ping in phone.take():
        phone.send(make_reply(ping, status, "Whatever", to_tag="t"))


REMOVE = REQUESTS + 'modparam("nathelper", "remove_on_timeout_bflag", "RM")\n'


def test_a_contact_that_does_not_answer_is_removed() -> None:
    script, phone = pinging(REMOVE, flags=("SIP", "RM"))
    wait(script, 29)
    assert contacts(script) == 1
    wait(script, 5)
    assert len(phone.take()) == 3 and contacts(script) == 0


def test_one_answer_makes_up_for_lost_pings() -> None:
    script, phone = pinging(REMOVE, flags=("SIP", "RM"))
    wait(script, 25)
    phone.take()
    wait(script, 5)
    answer(script, phone)
    wait(script, 20)
    assert contacts(script) == 1


def test_replies_that_are_to_be_ignored_are_no_answers() -> None:
    script, phone = pinging(
        REMOVE + 'modparam("nathelper", "sipping_ignore_rpl_codes", "408, 480")\n'
        'modparam("nathelper", "max_pings_lost", 1)\n',
        flags=("SIP", "RM"),
    )
    wait(script, 10)
    answer(script, phone, 480)
    wait(script, 4)
    assert contacts(script) == 0


def test_without_its_flag_a_contact_stays() -> None:
    script, phone = pinging(REMOVE, flags=("SIP",))
    wait(script, 100)
    assert len(phone.take()) == 10 and contacts(script) == 1


def test_the_time_to_answer_is_told() -> None:
    script, phone = pinging(REQUESTS + 'modparam("nathelper", "sipping_latency_flag", "LAT")\n', flags=("SIP", "LAT"))
    wait(script, 10)
    wait(script, 0.25)
    answer(script, phone)
    assert script.output == "latency of al@a.test: 250000\n"


def test_short_times_need_not_be_told() -> None:
    script, phone = pinging(
        REQUESTS + 'modparam("nathelper", "sipping_latency_flag", "LAT")\n'
        'modparam("usrloc", "latency_event_min_us", 300000)\n',
        flags=("SIP", "LAT"),
    )
    for seconds in (0.25, 0.5):
        wait(script, 10 if seconds == 0.25 else 9.75)
        wait(script, seconds)
        answer(script, phone)
    assert script.output == "latency of al@a.test: 500000\n"


def test_pings_are_turned_off_and_on() -> None:
    script, phone = pinging()
    assert script.mi("nathelper:enable_ping") == {"Status": 1}
    assert script.mi("nathelper:enable_ping", status=0) == "OK"
    assert script.mi("nathelper:enable_ping") == {"Status": 0}
    wait(script, 20)
    assert phone.take_bytes() == []
    script.mi("nathelper:enable_ping", 1)
    wait(script, 10)
    assert len(phone.take_bytes()) == 1


def test_pings_that_were_never_wanted_cannot_be_turned_on() -> None:
    with pytest.raises(MIError, match="NATping disabled from script"):
        running("route { exit; }").mi("nathelper:enable_ping", 1)


def test_pings_leave_by_the_socket_that_is_told() -> None:
    script, phone = pinging('modparam("nathelper", "natping_socket", "10.0.0.1:5062")')
    wait(script, 10)
    assert phone.take_from() == [("10.0.0.1", 5062)]


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("natping_partitions", "9", "expected 1 to 8"),
        ("natping_socket", '"10.9.9.9:1"', "expected a socket of this script"),
        ("force_socket", '"tcp:10.0.0.1:5060"', "expected a socket of this script"),
        ("sipping_from", '"nobody"', "sipping_from"),
        ("sipping_ignore_rpl_codes", '"408,x"', "status codes"),
        ("received_avp", '"$var(x)"', "AVP"),
        ("oldip_skip", '"x"', "expected o, c or oc"),
        ("cluster_id", "1", "not available yet"),
    ],
)
def test_parameters_are_checked(name: str, value: str, says: str) -> None:
    with pytest.raises(ScriptError, match=says):
        running(
            "route { exit; }",
            f'modparam("nathelper", "natping_interval", 10)\nmodparam("nathelper", "{name}", {value})',
        )
