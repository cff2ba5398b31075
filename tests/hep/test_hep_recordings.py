"""Our packets against those of OpenSIPS 4.1, byte for byte."""

from ipaddress import ip_address

import pytest

from hep_samples import DATAGRAMS, STREAMS, V1_V2, V3, recordings
from miscript.hep.chunks import Chunk
from miscript.hep.codec import decode, encode
from miscript.hep.framing import FrameReader
from miscript.hep.mi_packet import mi_packet
from miscript.hep.packet import Packet
from miscript.hep.payload import read_json_payload, write_payload
from miscript.trace import TraceEvent
from miscript.values import decode as text


def described(recording) -> Packet:
    """The packet that the recording's own description tells of."""
    about = recording.about["packet"]
    if about["version"] < 3:
        return described_old(recording)
    chunks = {chunk["type"]: bytes.fromhex(chunk["hex"]) for chunk in about["chunks"]}
    values = {chunk["type"]: chunk["value"] for chunk in about["chunks"]}
    return Packet(
        source=ip_address(values.get(3) or values.get(5)),
        destination=ip_address(values.get(4) or values.get(6)),
        source_port=values[7],
        destination_port=values[8],
        protocol=values[2],
        time=(values[9], values[10]),
        protocol_type=values[11],
        capture_id=values[12],
        payload=chunks.get(15),
        correlation_id=values.get(17),
        extra_chunks=tuple(Chunk(0, kind, chunks[kind]) for kind in chunks if kind == 101),
    )


def described_old(recording) -> Packet:
    about = recording.about["packet"]
    size = len(about["payload_hex"]) // 2 - about["trailing_zeros"]
    return Packet(
        source=ip_address(about["src"]),
        destination=ip_address(about["dst"]),
        source_port=about["src_port"],
        destination_port=about["dst_port"],
        protocol=about["ip_proto"],
        time=(about.get("time_sec_le", 0), about.get("time_usec_le", 0)),
        protocol_type=1,
        capture_id=about.get("capture_id_le", 0),
        payload=bytes.fromhex(about["payload_hex"])[:size],
        version=about["version"],
    )


def without_surplus(recording) -> bytes:
    """The datagram without the zero bytes that OpenSIPS adds to versions 1 and 2."""
    return recording.data[: len(recording.data) - recording.about["packet"].get("trailing_zeros", 0)]


@pytest.mark.parametrize("recording", DATAGRAMS, ids=str)
def test_a_recorded_packet_is_decoded_to_what_it_says(recording):
    assert decode(recording.data) == described(recording)


@pytest.mark.parametrize("recording", DATAGRAMS, ids=str)
def test_the_fields_of_a_recorded_packet_are_encoded_to_its_bytes(recording):
    assert encode(described(recording)) == without_surplus(recording)


def test_there_are_recordings_of_every_version_and_family():
    kinds = {(r.about["packet"]["version"], decode(r.data).family.name) for r in DATAGRAMS}

    assert kinds == {(version, family) for version in (1, 2, 3) for family in ("IPV4", "IPV6")}
    assert {decode(r.data).protocol_type for r in V3} == {0x01, 0x57, 0x60}
    assert len(V1_V2) > 20


@pytest.mark.parametrize(
    "recording", [r for r in V3 if b'\n\t"backend"' in r.data or b'{\n\t"reply"' in r.data], ids=str
)
def test_a_json_payload_is_read_and_written_back_to_the_same_bytes(recording):
    payload = decode(recording.data).payload

    assert write_payload(read_json_payload(payload), homer5=False) == payload


def twins():
    """Pairs of recordings of one command, in the JSON and in the Homer 5 form.

    Without the one whose parameter is a pointer of the server's, another one in each recording.
    """
    plain = {r.name: r for r in V3}
    for recording in V3:
        twin = plain.get(recording.name.replace("_h6__", "_h5__"))
        is_request = b'{\n\t"command"' in recording.data
        if (
            is_request
            and twin
            and "intname_str" not in recording.name
            and recording.about.get("request") == twin.about.get("request")
        ):
            yield pytest.param(recording, twin, id=recording.name)


@pytest.mark.parametrize(("in_json", "in_homer5"), list(twins()))
def test_the_fields_of_a_json_payload_give_the_homer5_payload_of_the_same_command(in_json, in_homer5):
    fields = read_json_payload(decode(in_json.data).payload)

    assert write_payload(fields) == decode(in_homer5.data).payload


@pytest.mark.parametrize("recording", recordings("ms_delim?__pos2"), ids=str)
def test_homer5_delim_may_be_any_text(recording):
    delimiter = next(p for p in recording.about["proto_hep_params"] if "delim" in p).split('"')[5]
    fields = (("command", "cache_fetch"), ("backend", "script"), ("parameters", "local,password_user1"))

    written = write_payload(fields, delimiter=delimiter.replace("\\n", "\n"))

    assert written == decode(recording.data).payload


@pytest.mark.parametrize("name", ["mi_datagram_h5__err__1", "mi_datagram_h6__err__1"])
def test_a_traced_request_becomes_the_recorded_datagram(name):
    (recording,) = recordings(name)
    seen = decode(recording.data)
    event = TraceEvent(
        correlation=seen.correlation_id,
        fields=(("command", "cache_fetch"), ("backend", "datagram"), ("parameters", "local")),
        source=("127.0.0.1", seen.source_port),
        destination=("127.0.0.1", 5520),
        time=seen.time[0] + seen.time[1] / 1e6,
    )

    assert encode(mi_packet(event, homer5="_h5" in name)) == recording.data


@pytest.mark.parametrize("name", ["mi_datagram_h5__err__2", "mi_datagram_h6__err__2"])
def test_a_traced_reply_becomes_the_recorded_datagram(name):
    (recording,) = recordings(name)
    seen = decode(recording.data)
    event = TraceEvent(
        correlation=seen.correlation_id,
        fields=(("reply", recording.about["reply_head"]),),
        source=("127.0.0.1", 5520),
        destination=("127.0.0.1", seen.destination_port),
        time=seen.time[0] + seen.time[1] / 1e6,
    )

    assert encode(mi_packet(event, homer5="_h5" in name)) == recording.data


@pytest.mark.parametrize("recording", STREAMS, ids=str)
@pytest.mark.parametrize("portion", [1, 7, 100_000])
def test_a_recorded_tcp_stream_is_cut_into_its_packets_whatever_the_segments(recording, portion):
    reader, frames = FrameReader(), []
    for start in range(0, len(recording.data), portion):
        reader.receive(recording.data[start : start + portion])
        while (frame := reader.next_frame()) is not None:
            frames.append(frame)

    payloads = [next(c["value"] for c in p["chunks"] if c["type"] == 15) for p in recording.about["packets"]]
    assert [text(decode(frame).payload) for frame in frames] == payloads
    assert b"".join(encode(decode(frame)) for frame in frames) == recording.data
    assert reader.pending == 0
