"""The messages of RFC 4475, sent to a host: what it answers, hands to the script, passes on or drops.

`PLAIN` answers everything with 200, so that what else comes is the host's own doing.  `CAREFUL` does what a proxy or a
user agent has to do according to the RFC, with what the modules offer.
"""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from miscript.sip import Message, NameAddr
from miscript.sip.refusing import salvaged
from miscript.sip.replies import make_reply
from miscript.testing import MemoryNetwork, MemoryPeer, RunningScript
from torture_messages import FOLDER, NAMES, torture

MODULES = "sl maxfwd sipmsgops"
HEAD = "log_level=-3\nsocket=udp:10.0.0.9:5060\ndisable_stateless_fwd=no\n" + "".join(
    f'loadmodule "{name}.so"\n' for name in MODULES.split()
)
PLAIN = 'route { sl_send_reply(200, "Seen"); }'
CAREFUL = """
route {
    $var(flags) = "hrftm";
    if (is_present_hf("Contact")) $var(flags) = "hrftmc";
    sipmsg_validate($var(flags), $var(why));
    $var(wrong) = $rc;
    if ($var(wrong) == -5) $var(wrong) = 1;  # more than one body's worth in a datagram: RFC 3261 section 18.3
    if ($var(wrong) == -11) {
        sl_send_reply(416, "Unsupported URI Scheme");
    } else if ($var(wrong) < 0) {
        sl_send_reply(400, "Bad Request");
    } else if ($hdr(Max-Forwards) != NULL && !mf_process_maxfwd_header(70)) {
        sl_send_reply(483, "Too Many Hops");
    } else if (is_present_hf("Require") || is_present_hf("Proxy-Require")) {
        append_to_reply("Unsupported: $hdr(Require)");
        sl_send_reply(420, "Bad Extension");
    } else if (is_method("INVITE") && has_body() && !has_body("application/sdp")) {
        append_to_reply("Accept: application/sdp");
        sl_send_reply(415, "Unsupported Media Type");
    } else if (is_method("INVITE") && is_present_hf("Accept") && !($hdr(Accept) =~ "application/sdp")) {
        sl_send_reply(406, "Not Acceptable");
    } else {
        sl_send_reply(200, "OK");
    }
}
"""

VALID = "wsinv intmeth esc01 escnull esc02 lwsdisp longreq dblreq semiuri transports mpart01 inv2543 badbranch".split()
VALID_REPLIES = ["unreason", "noreason"]
TOLERATED = (
    "escruri baddate regbadct unkscm novelsc unksm2 bext01 invut regaut01 zeromf cparam01 cparam02 regescrt sdp01"
)
REFUSED = {
    **dict.fromkeys("clerr ncl scalar02 quotbal ltgtruri lwsruri lwsstart trws badaspec baddn".split(), 400),
    **dict.fromkeys("mismatch01 mismatch02 insuf multi01 mcl01".split(), 400),
    "badvers": 505,
}
"""What the host answers whatever the script says."""
DROPPED = {"badinv01": "drop_requests", "scalarlg": "drop_replies", "bigcode": "drop_replies", "bcast": "drop_replies"}
"""What gets no answer, and the statistic that counts it."""
OF_SCRIPT = {
    **dict.fromkeys(VALID, 200),
    "escruri": 200,
    "baddate": 200,
    "regbadct": 400,
    "unkscm": 416,
    "novelsc": 416,
    "unksm2": 400,
    "bext01": 420,
    "invut": 415,
    "regaut01": 200,
    "zeromf": 483,
    "cparam01": 200,
    "cparam02": 200,
    "regescrt": 200,
    "sdp01": 406,
}


def answers(script: str, data: bytes) -> tuple[list[Message], RunningScript]:
    with RunningScript(f"{HEAD}{script}", network=MemoryNetwork()) as running:
        peer = running.network.peer("udp:10.0.0.1:5060")
        peer.send(data, "10.0.0.9", 5060)
        running.settle()
        return peer.take(), running


def statistic(running: RunningScript, name: str) -> int:
    counter = running.host.services.statistics.find(name)
    assert counter is not None
    return counter.value


def test_every_message_has_its_expectation() -> None:
    told = [*VALID, *VALID_REPLIES, *TOLERATED.split(), *REFUSED, *DROPPED]
    assert sorted(told) == NAMES


@pytest.mark.parametrize("name", [*VALID, *TOLERATED.split()])
def test_what_is_valid_or_tolerable_reaches_the_script(name: str) -> None:
    (reply,), _ = answers(PLAIN, torture(name))
    request = Message.parse(torture(name))
    assert (reply.status, reply.reason) == (200, "Seen")
    assert (reply.cseq, reply.call_id) == (request.cseq, request.call_id)
    assert len(reply.vias) == len(request.vias)


@pytest.mark.parametrize("name", REFUSED)
def test_what_nobody_could_work_with_is_refused_by_the_host(name: str) -> None:
    (reply,), running = answers(PLAIN, torture(name))
    assert reply.status == REFUSED[name]
    assert statistic(running, "bad_msg_hdr") == 1


@pytest.mark.parametrize("name", DROPPED)
def test_what_cannot_be_answered_is_counted(name: str) -> None:
    replies, running = answers(PLAIN, torture(name))
    assert replies == []
    assert statistic(running, DROPPED[name]) == 1


@pytest.mark.parametrize("name", VALID_REPLIES)
def test_unusual_replies_are_passed_on_as_they_came(name: str) -> None:
    (reply,), _ = answers(PLAIN, torture(name))
    ours = b"Via: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKours.0\r\n"
    assert reply.data == torture(name).replace(ours, b"")


@pytest.mark.parametrize("name", OF_SCRIPT)
def test_a_careful_script_answers_as_the_rfc_wants(name: str) -> None:
    (reply,), _ = answers(CAREFUL, torture(name))
    assert reply.status == OF_SCRIPT[name]


def test_what_the_short_tortuous_invite_says_is_understood() -> None:
    invite = Message.parse(torture("wsinv"))
    assert invite.uri == "sip:bob@chair-dnrc.example.com;unknownparam"
    assert invite.to is not None and (invite.to.uri, invite.to.tag) == ("sip:bob@chair-dnrc.example.com", "1918181833n")
    assert invite.from_ is not None and (invite.from_.display_name, invite.from_.tag) == ('A B \\"', "98asjd8")
    assert invite.cseq == (9, "INVITE")
    assert [(via.transport, via.host, via.branch) for via in invite.vias] == [
        ("UDP", "192.0.2.10", "390skdjuw"),
        ("TCP", "spindle.example.com", "z9hG4bK9ikj8"),
        ("UDP", "192.168.255.111", "z9hG4bK30239"),
    ]
    assert (invite.header("Subject"), invite.header("Max-Forwards")) == ("", "0068")


def test_the_body_ends_before_extra_bytes_and_binary_parts_stay_whole() -> None:
    assert Message.parse(torture("dblreq")).body == b""
    parts = torture("mpart01")
    assert Message.parse(parts).body == parts.partition(b"\r\n\r\n")[2]


def test_parameters_belong_to_the_header_field_or_to_the_uri_as_brackets_say() -> None:
    one, two = (Message.parse(torture(name)).header("Contact") for name in ("cparam01", "cparam02"))
    assert one is not None and two is not None
    assert NameAddr.parse(one).uri == "sip:+19725552222@gw1.example.net"
    assert NameAddr.parse(two).uri == "sip:+19725552222@gw1.example.net;unknownparam"


def test_a_request_with_a_wrong_first_line_is_not_answered_when_it_is_an_ack_or_no_request() -> None:
    for data in (torture("lwsruri").replace(b"INVITE", b"ACK"), b"GET / HTTP/1.1\r\nHost: x\r\n\r\n", b"x" * 40):
        replies, running = answers(PLAIN, data)
        assert replies == [] and statistic(running, "drop_requests") == 1


mutations = st.lists(
    st.tuples(st.sampled_from(["cut", "double", "flip", "insert"]), st.integers(0, 2000), st.binary(max_size=6)),
    max_size=4,
)


def mutated(data: bytes, changes: list[tuple[str, int, bytes]]) -> bytes:
    for kind, where, new in changes:
        at = where % (len(data) + 1)
        match kind:
            case "cut":
                data = data[:at] + data[at + len(new) * 7 :]
            case "double":
                data = data[:at] + data[max(0, at - 30) :]
            case "flip":
                data = data[:at] + bytes(byte ^ 0x20 for byte in data[at : at + 2]) + data[at + 2 :]
            case _:
                data = data[:at] + new + data[at:]
    return data


class Kept:
    """One host for all inputs of a property: hosts are not cheap."""

    running: RunningScript | None = None
    peer: MemoryPeer

    @classmethod
    def host(cls) -> tuple[RunningScript, MemoryPeer]:
        if cls.running is None:
            cls.running = RunningScript(f"{HEAD}{CAREFUL}", network=MemoryNetwork())
            cls.peer = cls.running.network.peer("udp:10.0.0.1:5060")
        return cls.running, cls.peer


@pytest.fixture(scope="module", autouse=True)
def _closed() -> object:
    yield
    if Kept.running is not None:
        Kept.running.close()


@settings(max_examples=150)
@given(st.sampled_from(NAMES), mutations)
def test_a_mutated_message_breaks_nothing(name: str, changes: list[tuple[str, int, bytes]]) -> None:
    running, peer = Kept.host()
    broken = sum(statistic(running, key) for key in ("err_requests", "err_replies"))
    peer.send(mutated(torture(name), changes), "10.0.0.9", 5060)
    running.settle()
    peer.take()
    assert sum(statistic(running, key) for key in ("err_requests", "err_replies")) == broken


@given(st.sampled_from(NAMES), mutations)
def test_what_is_salvaged_is_a_request_that_can_be_answered(name: str, changes: list[tuple[str, int, bytes]]) -> None:
    data = mutated(torture(name), changes)
    request = salvaged(data)
    if request is not None:
        assert request.is_request and request.uri == "sip:invalid"
        assert make_reply(request, 400, "Bad Request Line") if request.first_via is not None else True


def test_the_folder_explains_itself() -> None:
    assert (FOLDER / "README.md").is_file()
