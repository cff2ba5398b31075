"""Requests and replies put together, and how they are shown."""

import json
from datetime import timedelta, timezone
from ipaddress import IPv6Address

from hypothesis import given
from hypothesis import strategies as st

from hep_samples import packet, packets, recordings
from miscript.hep import exchange
from miscript.hep.codec import decode
from miscript.hep.exchange import Exchange, Pairing, json_line, text_line

REQUEST = packet(payload=b"log_level:script:3", time=(1_795_493_971, 423_000))
REPLY = packet(payload=b'{"New global log level":3}', time=(1_795_493_971, 423_412))


def test_a_reply_completes_its_request():
    pairing = Pairing()

    assert pairing.add(REQUEST, now=0.0) == []
    assert len(pairing) == 1
    assert pairing.add(REPLY, now=0.1) == [Exchange(REQUEST, REPLY)]
    assert len(pairing) == 0


def test_recorded_packets_of_one_command_are_one_exchange():
    pairing = Pairing()
    one, two = (decode(r.data) for r in recordings("mi_datagram_h6__err__?"))

    (found,) = pairing.add(one, 0.0) + pairing.add(two, 0.0)

    shown = json.loads(json_line(found))
    assert (shown["command"], shown["backend"], shown["parameters"]) == ("cache_fetch", "datagram", "local")
    assert json.loads(shown["reply"])["error"]["code"] == -32602


def test_a_reply_that_overtook_its_request_is_put_behind_it():
    pairing = Pairing()

    assert pairing.add(REPLY, 0.0) + pairing.add(REQUEST, 0.0) == [Exchange(REQUEST, REPLY)]


def test_json_payloads_tell_request_and_reply_apart_whatever_the_times():
    request = packet(payload=b'{"command":"uptime","backend":"fifo"}', time=(9, 0))
    reply = packet(payload=b'{"reply":"OK"}', time=(8, 0))

    pairing = Pairing()
    assert pairing.add(reply, 0.0) + pairing.add(request, 0.0) == [Exchange(request, reply)]


def test_other_ids_and_other_agents_are_other_exchanges():
    pairing = Pairing()
    for sample in (packet(correlation_id="a"), packet(correlation_id="b"), packet(correlation_id="a", capture_id=2)):
        assert pairing.add(sample, 0.0) == []

    assert len(pairing) == 3


def test_what_is_not_mi_is_shown_at_once():
    sip = packet(protocol_type=1, correlation_id="call-1", payload=b"BYE sip:a SIP/2.0\r\n\r\n")
    without_id = packet(correlation_id=None)
    pairing = Pairing()

    assert pairing.add(sip, 0.0) + pairing.add(sip, 0.0) == [Exchange(sip), Exchange(sip)]
    assert pairing.add(without_id, 0.0) == [Exchange(without_id)]
    assert len(pairing) == 0


def test_a_request_without_a_reply_is_shown_when_its_time_is_up():
    pairing = Pairing(patience=5.0)
    early, late = packet(correlation_id="early"), packet(correlation_id="late")
    pairing.add(early, 0.0)
    pairing.add(late, 3.0)

    assert pairing.expire(4.9) == []
    assert pairing.expire(5.0) == [Exchange(early)]
    assert pairing.add(packet(correlation_id="new"), 8.0) == [Exchange(late)]


def test_the_oldest_gives_way_when_too_many_wait():
    pairing = Pairing(limit=2)
    samples = [packet(correlation_id=str(n)) for n in range(3)]

    assert [pairing.add(s, 0.0) for s in samples] == [[], [], [Exchange(samples[0])]]
    assert pairing.drain() == [Exchange(samples[1]), Exchange(samples[2])]
    assert len(pairing) == 0


def test_the_bytes_that_wait_are_limited_too(monkeypatch):
    monkeypatch.setattr(exchange, "MAX_WAITING_BYTES", 100_000)
    pairing = Pairing()
    for n in range(50):
        pairing.add(packet(correlation_id=str(n), payload=bytes(30_000)), 0.0)

    assert len(pairing) == 3


def test_an_exchange_is_one_line_of_text():
    assert text_line(Exchange(REQUEST, REPLY)) == (
        "2026-11-24 04:19:31.423000+00:00  mi  192.0.2.1:5060 > 192.0.2.2:5061  script:  log_level  3"
        '  => {"New global log level":3}  (0.412 ms)'
    )


def test_text_times_can_be_local():
    line = text_line(Exchange(REQUEST), zone=timezone(timedelta(hours=2)))

    assert line.startswith("2026-11-24 06:19:31.423000+02:00  mi  ")


def test_ipv6_addresses_stand_in_brackets():
    sample = packet(source=IPv6Address("::1"), destination=IPv6Address("2001:db8::2"))

    assert "  [::1]:5060 > [2001:db8::2]:5061  " in text_line(Exchange(sample))


def test_what_could_move_the_cursor_is_written_out():
    sample = packet(payload="é\x1b[2J\r\n\u202e\udcff:fifo".encode("utf-8", "surrogateescape"))

    assert text_line(Exchange(sample)).endswith(r"fifo:  é\x1b[2J\r\n\u202e\xff")


def test_an_exchange_is_one_line_of_json():
    assert json.loads(json_line(Exchange(REQUEST, REPLY))) == {
        "time": "2026-11-24T04:19:31.423000Z",
        "type": "mi",
        "command": "log_level",
        "backend": "script",
        "parameters": "3",
        "reply": '{"New global log level":3}',
        "version": 3,
        "capture_id": 1,
        "protocol": "tcp",
        "source": "192.0.2.1:5060",
        "destination": "192.0.2.2:5061",
        "correlation_id": "MICORRrlAAAEoQBWvg2ooAAAAAAECFoHM=",
        "duration_ms": 0.412,
    }


def test_a_sip_message_is_shown_as_its_payload():
    shown = json.loads(json_line(Exchange(decode(recordings("tracer_v3_h6__options_m")[0].data))))

    assert shown["type"] == "sip"
    assert shown["protocol"] == "udp"
    assert shown["payload"].startswith("OPTIONS sip:tm@127.0.0.1:5510 SIP/2.0\r\n")


def test_numbers_without_a_name_are_shown_as_numbers():
    shown = json.loads(json_line(Exchange(packet(protocol_type=200, protocol=47))))

    assert (shown["type"], shown["protocol"]) == ("200", "47")


def test_json_lines_are_utf8_whatever_the_payload():
    line = json_line(Exchange(packet(payload=b"x\xffy\n:fifo", correlation_id="\udcff")))

    assert json.loads(line.encode())["command"] == "x\ufffdy\n"
    assert "\n" not in line


@given(st.lists(packets(), max_size=6), st.text(max_size=3))
def test_whatever_is_received_can_be_shown(samples, delimiter):
    pairing = Pairing(limit=2)
    shown = [e for sample in samples for e in pairing.add(sample, 0.0)] + pairing.drain()

    assert sum(1 if e.reply is None else 2 for e in shown) == len(samples)
    for found in shown:
        assert text_line(found, delimiter=delimiter).isprintable()
        assert json.loads(json_line(found, delimiter=delimiter).encode())
