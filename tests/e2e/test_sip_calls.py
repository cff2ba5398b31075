"""Calls of real phones (sipp) through a proxy script, over UDP and TCP, with loss, cancelling, failures, timeouts."""

import re

import pytest

from sipp_calls import (
    CALLEE,
    CALLER,
    ROOT,
    answer,
    answer_in_dialog,
    call,
    expect,
    expect_request,
    free_port,
    hop_request,
    needs_sipp,
    pause,
    phone,
    proxy,
    request,
    scenario,
)

pytestmark = [pytest.mark.e2e, needs_sipp()]


def example(port, phones, *, more=""):
    """The example proxy with its ports moved."""
    text = (ROOT / "examples" / "proxy" / "opensips.cfg").read_text()
    text = text.replace("127.0.0.1:5060", f"127.0.0.1:{port}")
    text = text.replace("127.0.0.1:5080", f"127.0.0.1:{phones}").replace("127.0.0.1:5081", f"127.0.0.1:{phones + 1}")
    return text.replace("\nroute {", f"\n{more}\nroute {{", 1)


@pytest.fixture
def ports():
    """A port for the proxy, one for the phone, and one for the caller, each with a free neighbour."""
    found = []
    while len(found) < 3:
        port = free_port()
        if all(abs(port - other) > 2 for other in found):
            found.append(port)
    return found


def test_calls_go_through_a_record_routing_proxy(tmp_path, ports):
    own, phones, caller = ports
    with proxy(example(own, phones), tmp_path, own) as running, phone(tmp_path, "callee", CALLEE, phones):
        assert call(tmp_path, CALLER, own, "-p", str(caller), "-r", "50", calls=20) == ""
    assert len(re.findall(r": 200 OK", running.output)) == 20
    assert "Traceback" not in running.log


def test_calls_go_through_over_tcp(tmp_path, ports):
    own, phones, caller = ports
    script = example(own, phones).replace(f'"sip:127.0.0.1:{phones}"', f'"sip:127.0.0.1:{phones};transport=tcp"')
    with proxy(script, tmp_path, own) as running, phone(tmp_path, "callee", CALLEE, phones, "-t", "t1"):
        assert call(tmp_path, CALLER, own, "-p", str(caller), "-t", "t1", "-r", "50", calls=20) == ""
    assert "Traceback" not in running.log


def test_a_call_from_udp_to_tcp_has_two_record_routes(tmp_path, ports):
    own, phones, caller = ports
    script = example(own, phones).replace(f'"sip:127.0.0.1:{phones}"', f'"sip:127.0.0.1:{phones};transport=tcp"')
    with proxy(script, tmp_path, own) as running, phone(tmp_path, "callee", CALLEE, phones, "-t", "t1"):
        assert call(tmp_path, CALLER, own, "-p", str(caller), calls=5) == ""
    assert "Traceback" not in running.log


def test_calls_come_through_when_packets_get_lost(tmp_path, ports):
    own, phones, caller = ports
    script = example(own, phones, more='modparam("tm", "T1_timer", 100)')
    # a lost ACK takes some 200s that come again, so nobody hangs up at once
    patient = CALLER.replace(request("BYE", 2, in_dialog=True), pause(4000) + request("BYE", 2, in_dialog=True))
    with proxy(script, tmp_path, own) as running, phone(tmp_path, "callee", CALLEE, phones, "-lost", "3"):
        complaint = call(tmp_path, patient, own, "-p", str(caller), "-lost", "3", "-r", "20", calls=20)
    assert complaint == ""
    assert "Traceback" not in running.log


def test_messages_come_through_when_every_tenth_packet_gets_lost(tmp_path, ports):
    own, phones, caller = ports
    script = example(own, phones, more='modparam("tm", "T1_timer", 100)')
    sender = scenario(request("MESSAGE", 1), expect(200))
    taker = scenario(expect_request("MESSAGE"), answer(200, "OK"), '<timewait milliseconds="2000"/>')
    with proxy(script, tmp_path, own) as running, phone(tmp_path, "callee", taker, phones, "-lost", "10"):
        assert call(tmp_path, sender, own, "-p", str(caller), "-lost", "10", "-r", "20", calls=20) == ""
    assert "Traceback" not in running.log


def test_a_caller_cancels_while_it_rings(tmp_path, ports):
    own, phones, caller = ports
    cancelling = scenario(
        request("INVITE", 1),
        expect(100, optional=True),
        expect(180),
        pause(50),
        hop_request("CANCEL", 4),
        expect(200),
        expect(487),
        hop_request("ACK", 7),
        '<timewait milliseconds="200"/>',
    )
    ringing = scenario(
        expect_request("INVITE"),
        answer(180, "Ringing"),
        expect_request("CANCEL"),
        answer_in_dialog(200, "OK"),
        answer(487, "Request Terminated", retrans=True, cseq="CSeq: 1 INVITE"),
        expect_request("ACK"),
    )
    with (
        proxy(example(own, phones), tmp_path, own) as running,
        phone(tmp_path, "callee", ringing, phones, "-m", "1") as ring,
    ):
        assert call(tmp_path, cancelling, own, "-p", str(caller)) == ""
        assert ring.wait(10) == 0, "the phone that rang was cancelled and its 487 acknowledged"
    assert re.search(r": 487 Request Terminated", running.output)


def test_a_negative_reply_comes_back_and_its_ack_ends_at_the_proxy(tmp_path, ports):
    own, phones, caller = ports
    rejected = scenario(request("INVITE", 1, to="nobody"), expect(404), hop_request("ACK", 2, "nobody"))
    with proxy(example(own, phones), tmp_path, own) as running:
        assert call(tmp_path, rejected, own, "-p", str(caller), calls=3) == ""
    assert running.output == ""


def test_a_busy_phone_makes_the_second_one_ring(tmp_path, ports):
    own, phones, caller = ports
    busy = scenario(expect_request("INVITE"), answer(486, "Busy Here", retrans=True), expect_request("ACK"))
    with (
        proxy(example(own, phones), tmp_path, own) as running,
        phone(tmp_path, "busy", busy, phones, "-m", "3") as first,
        phone(tmp_path, "callee", CALLEE, phones + 1),
    ):
        assert call(tmp_path, CALLER, own, "-p", str(caller), calls=3) == ""
        assert first.wait(10) == 0
    assert len(re.findall(r": 486 Busy Here", running.output)) == 3
    assert len(re.findall(r": 200 OK", running.output)) == 3


def test_a_phone_that_does_not_answer_makes_the_second_one_ring(tmp_path, ports):
    own, phones, caller = ports
    script = example(own, phones).replace('"fr_timeout", 5', '"fr_timeout", 1')
    with proxy(script, tmp_path, own), phone(tmp_path, "callee", CALLEE, phones + 1):
        assert call(tmp_path, CALLER, own, "-p", str(caller)) == ""


def test_nobody_answers_and_the_caller_hears_it(tmp_path, ports):
    own, phones, caller = ports
    script = example(own, phones).replace('"fr_timeout", 5', '"fr_timeout", 1')
    unanswered = scenario(request("INVITE", 1), expect(100), expect(408), hop_request("ACK", 3))
    with proxy(script, tmp_path, own):
        assert call(tmp_path, unanswered, own, "-p", str(caller)) == ""


def test_options_for_the_proxy_itself_are_answered(tmp_path, ports):
    own, phones, caller = ports
    options = scenario(request("OPTIONS", 1, uri="sip:[remote_ip]:[remote_port]"), expect(200))
    with proxy(example(own, phones), tmp_path, own):
        assert call(tmp_path, options, own, "-p", str(caller), calls=5) == ""
