"""What tracer sends to collectors: the packets recorded from OpenSIPS 4.1, byte for byte, and those of xlog."""

import contextlib
import json
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from miscript.hep.chunks import ChunkType
from miscript.hep.codec import decode, encode
from miscript.hep.v3 import decode as decode_v3
from miscript.testing import MemoryNetwork, RunningScript

RECORDED = Path(__file__).parent.parent / "conformance" / "hep"
US = ("127.0.0.1", 5510)
SCRIPT = """
log_level=-3
socket=udp:127.0.0.1:5510
socket=hep_udp:127.0.0.1:0
loadmodule "sl.so"
loadmodule "tm.so"
loadmodule "rr.so"
loadmodule "compression.so"
loadmodule "proto_hep.so"
{parameters}
loadmodule "tracer.so"
modparam("tracer", "trace_id", "[tid]uri=hep:hep_dest")
route {{ {body} exit; }}
"""


def names(pattern):
    return sorted(path.stem for path in RECORDED.glob(f"{pattern}.json") if not path.stem.endswith(".none"))


@contextlib.contextmanager
def collector():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as here:
        here.bind(("127.0.0.1", 0))
        here.settimeout(5)
        yield here


def hep_id(here, rest="transport=udp;version=3"):
    return f'modparam("proto_hep", "hep_id", "[hep_dest]127.0.0.1:{here.getsockname()[1]};{rest}")\n'


@contextlib.contextmanager
def sent_for(request, source, parameters, body):
    """A running script that has got this request."""
    with RunningScript(SCRIPT.format(parameters=parameters, body=body), network=MemoryNetwork()) as script:
        peer = script.network.peer(f"udp:{source[0]}:{source[1]}")
        peer.send(request, *US)
        script.settle()
        yield script


def play(name, here):
    """The packet for a recorded request, and the recorded one."""
    about = json.loads((RECORDED / f"{name}.json").read_text())
    wanted = decode((RECORDED / f"{name}.bin").read_bytes())
    parameters = "\n".join(about["proto_hep_params"]).replace("127.0.0.1:9511", f"127.0.0.1:{here.getsockname()[1]}")
    payload = wanted.payload
    if payload.startswith(b"{"):
        payload = json.loads(payload)["payload"].encode()
    with sent_for(payload, (str(wanted.source), wanted.source_port), parameters, "\n".join(about["script"])):
        return here.recv(65536), wanted


@pytest.mark.parametrize("name", [*names("tracer_v[12]__*"), *names("tracer_v3_h[56]__[mo]*")])
def test_the_packets_are_those_that_were_recorded(name):
    with collector() as here:
        data, wanted = play(name, here)
    assert data == encode(replace(wanted, time=decode(data).time))


@pytest.mark.parametrize("name", ["tracer_v3_h5__options_m", "tracer_v3_h6__options_m"])
def test_a_compressed_payload_has_a_chunk_of_its_own(name):
    with collector() as here:
        about = json.loads((RECORDED / f"{name}.json").read_text())
        wanted = decode((RECORDED / f"{name}.bin").read_bytes())
        parameters = "\n".join(about["proto_hep_params"]).replace("9511", str(here.getsockname()[1]))
        parameters += '\nmodparam("proto_hep", "compressed_payload", 1)'
        text = wanted.payload if b"{" not in wanted.payload else json.loads(wanted.payload)["payload"].encode()
        with sent_for(text, (str(wanted.source), wanted.source_port), parameters, about["script"][0]):
            found = decode_v3(here.recv(65536))
    assert found == replace(wanted, time=found.time, compressed=True)


REQUEST = (
    b"OPTIONS sip:x@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP 127.0.0.1:5599;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n"
    b"To: <sip:x@y>\r\nCall-ID: call\r\nCSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n"
)


def packets(body, count, more=""):
    with collector() as here, sent_for(REQUEST, ("127.0.0.1", 5599), hep_id(here) + more, body):
        return [decode_v3(here.recv(65536)) for _ in range(count)]


def test_texts_of_the_script_are_traced_with_what_they_are_about():
    (text,) = packets('trace("tid", "t", "xlog"); xlog("L_WARN", "now $rm\\n");', 1)
    assert (text.protocol_type, text.protocol, text.payload) == (100, 6, b"WARNING:now OPTIONS\n")
    assert (text.correlation_id, text.source_port, text.destination_port) == ("call", 5510, 5510)


def test_texts_in_json_say_which_call_they_belong_to():
    (text,) = packets('trace("tid", "t", "xlog"); xlog("hi");', 1, 'modparam("proto_hep", "homer5_on", 0)')
    assert json.loads(text.payload) == {"Event": "NOTICE", "text": "hi"}
    assert json.loads(text.extra(ChunkType.EXTRA_CORRELATION)) == {"sip": "call"}


def test_texts_are_not_traced_where_only_messages_are():
    request, reply = packets('trace("tid", "t"); xlog("hi"); sl_send_reply(200, "fine");', 2)
    assert [packet.payload.split(b" ")[0] for packet in (request, reply)] == [b"OPTIONS", b"SIP/2.0"]
    assert (reply.source_port, reply.destination_port) == (request.destination_port, request.source_port)


def test_versions_one_and_two_carry_messages_and_no_texts():
    with collector() as here:
        parameters = hep_id(here, "version=2;transport=udp")
        body = 'trace("tid", "t", "sip|xlog"); xlog("hi");'
        with sent_for(REQUEST, ("127.0.0.1", 5599), parameters, body) as script:
            assert decode(here.recv(65536)).payload == REQUEST
            counted = script.mi("get_statistics", ["dropped_old_version"])
    assert counted == {"proto_hep:dropped_old_version": 1}


def test_mi_begins_traces_to_new_collectors_and_lets_go_of_them():
    with collector() as here, collector() as other, contextlib.ExitStack() as stack:
        text = SCRIPT.format(parameters=hep_id(here), body="")
        script = stack.enter_context(RunningScript(text, network=MemoryNetwork()))
        where = f"127.0.0.1:{other.getsockname()[1]}"
        script.mi("tracer:start", "dyn", f"hep:{where};transport=udp", ["ip=127.0.0.1"], "m", "sip")
        shown = {"name": "dyn", "type": "HEP", "uri": where, "state": "dynamic", "filters": [{"ip": "127.0.0.1"}]}
        assert script.mi("tracer:trace", id="dyn") == {"trace destinations": [shown]}
        script.network.peer("udp:127.0.0.1:5599").send(REQUEST, *US)
        script.settle()
        assert decode(other.recv(65536)).payload == REQUEST
        assert script.mi("tracer:stop", "dyn") == "OK"
        script.mi("tracer:start", "dyn", f"hep:{where};transport=udp")


def test_a_call_with_a_port_of_its_own_in_via_is_traced_with_where_it_came_from():
    data = REQUEST.replace(b"5599;", b"1;rport;")
    with collector() as here, contextlib.ExitStack() as stack:
        body = 'trace("tid", "t"); sl_send_reply(200, "fine");'
        stack.enter_context(sent_for(data, ("127.0.0.1", 5599), hep_id(here), body))
        ports = [
            (packet.source_port, packet.destination_port) for packet in (decode_v3(here.recv(65536)) for _ in "12")
        ]
    assert ports == [(5599, 5510), (5510, 5599)]


def test_mi_in_a_route_is_traced_with_the_ends_of_its_message():
    with collector() as here, contextlib.ExitStack() as stack:
        more = 'loadmodule "mi_script.so"\nmodparam("mi_script", "trace_destination", "hep_dest")\n'
        stack.enter_context(sent_for(REQUEST, ("127.0.0.1", 5599), hep_id(here) + more, 'mi("version");'))
        request, reply = (decode_v3(here.recv(65536)) for _ in "12")
    assert request.payload == b"version:script"
    assert {(one.source_port, one.destination_port) for one in (request, reply)} == {(5599, 5510)}


@pytest.mark.parametrize("homer5", [0, 1])
def test_a_script_tells_that_two_ids_belong_together(homer5):
    body = 'correlate("hep_dest", "sip", $ci, "order", "abc");'
    (packet,) = packets(body, 1, f'modparam("proto_hep", "homer5_on", {homer5})')
    recorded = decode_v3((RECORDED / "tracer_v3_h6__correlate_same_sip.bin").read_bytes())
    ids = recorded.extra_chunks[0].data.replace(b'"sip":\t"abc"', b'"order":\t"abc"')
    ids = ids.replace(b"lab-callid-1@example", b"call")
    chunk = replace(recorded.extra_chunks[0], data=ids)
    ours = replace(recorded, time=packet.time, source=packet.source, destination=packet.destination)
    assert packet == replace(ours, extra_chunks=(chunk,))
    assert str(packet.source) == str(packet.destination) == "127.0.0.1"


def test_two_ids_of_one_type_and_unknown_collectors_are_refused():
    body = """
        xlog("$rm "); if (!correlate("hep_dest", "sip", "a", "sip", "b")) xlog("same ");
        if (!correlate("nobody", "sip", "a", "rest", "b")) xlog("unknown");
    """
    with collector() as here, sent_for(REQUEST, ("127.0.0.1", 5599), hep_id(here), body) as script:
        assert script.take() == "OPTIONS same unknown"
        assert script.mi("get_statistics", ["sent_packets"]) == {"proto_hep:sent_packets": 0}
