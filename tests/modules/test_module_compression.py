"""Module compression: smaller messages, and the ones that they were made from."""

from __future__ import annotations

import base64
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Message, SipSyntaxError
from miscript.sip.compacting import compacted
from miscript.sip.compressing import Algorithm, Packing, decompressed
from sip_phones import phone, running, send

SDP = (
    "v=0\r\no=a 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 66 97\r\n"
    "a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:66 own/8000\r\na=rtpmap:97 speex/8000\r\n"
)
SENT = (
    "INVITE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKone\r\nMax-Forwards: 70\r\n"
    "From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: one\r\nCSeq: 1 INVITE\r\n"
    "Allow: INVITE\r\nAllow: ACK\r\nSubject: hi\r\nUser-Agent: phone\r\nContact: <sip:alice@10.0.0.1>\r\n"
    f"Content-Type: application/sdp\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}"
)
LOAD = 'loadmodule "compression.so"\n'


def passed_on(calls: str, sent: str | bytes = SENT) -> tuple[Message, list[str]]:
    with running(f'route {{ {calls} $du = "sip:10.0.0.2"; forward(); }}', LOAD) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, sent)
        (message,) = bob.take()
        assert message.content_length == len(message.body)
        return message, script.output.splitlines()


def names(message: Message) -> list[str]:
    return [field.name for field in message.fields]


def test_a_compacted_message_has_short_names_and_only_what_is_needed() -> None:
    message, _ = passed_on('mc_compact("Allow|X-New"); append_hf("X-New: 1\r\n"); append_hf("X-Other: 1\r\n");')
    assert names(message) == ["v", "Max-Forwards", "f", "t", "i", "CSeq", "Allow", "m", "c", "l", "X-New"]
    assert message.header("Allow") == "INVITE, ACK"
    assert [via.host for via in message.vias] == ["10.0.0.9", "10.0.0.1"]
    lines = message.body.decode().splitlines()
    assert [line for line in lines if line.startswith("a=")] == ["a=rtpmap:66 own/8000", "a=rtpmap:97 speex/8000"]


def test_names_stay_long_when_they_shall() -> None:
    message, _ = passed_on('mc_compact("Subject", "n");')
    assert {"Via", "From", "Subject", "Content-Length"} <= set(names(message))
    assert "User-Agent" not in names(message)


def test_credentials_are_not_put_into_one_field() -> None:
    two = SENT.replace("Subject: hi", 'Authorization: Digest username="a"\r\nAuthorization: Digest username="b"')
    assert len(Message.parse(compacted(two.encode(), ["Authorization"])).headers("Authorization")) == 2


@pytest.mark.parametrize(
    ("call", "encoding", "gone"),
    [
        ('mc_compress(0, "b")', "deflate", set()),
        ('mc_compress(1, "b")', "gzip", set()),
        ('mc_compress(, "be")', "base64, deflate", set()),
        ('mc_compress(0, "bhe", "Max-Forwards|Contact")', "base64, deflate", {"Allow", "Subject", "User-Agent"}),
        ('mc_compress(1, "bhse", "Max-Forwards|Contact")', "base64, gzip", {"Allow", "Subject", "User-Agent"}),
        ('mc_compress(0, "he", "Max-Forwards|Contact")', None, {"Allow", "Subject", "User-Agent"}),
    ],
)
def test_what_is_compressed_is_what_comes_out_again(call: str, encoding: str | None, gone: set[str]) -> None:
    packed, _ = passed_on(f"{call};")
    assert packed.header("Content-Encoding") == encoding
    assert set(names(Message.parse(SENT.encode()))) - set(names(packed)) == gone
    assert ("Comp-Hdrs" in names(packed)) == ("s" in call.split('"')[1] or encoding is None)
    message, said = passed_on(
        'xlog("$hdr(Subject) $(rb{s.len})\\n"); mc_decompress(); xlog("$hdr(Subject) $(rb{s.len})\\n");', packed.data
    )
    assert said[1] == f"hi {len(SDP)}"
    assert message.body.decode() == SDP
    assert sorted(set(names(message))) == sorted(set(names(Message.parse(SENT.encode()))))


def test_what_opensips_makes_is_read() -> None:
    body = base64.b64encode(zlib.compress(f"Subject: hi\r\nContent-Length: {len(SDP)}\r\n\r\n{SDP}".encode()))
    head = SENT.partition("Subject")[0]
    sent = (
        f"{head}Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\nContent-Encoding: base64, deflate\r\n"
    )
    message, said = passed_on('mc_decompress(); xlog("$rc $hdr(Subject)\\n");', f"{sent}\r\n".encode() + body)
    assert said == ["1 hi"] and message.body.decode() == SDP


@pytest.mark.parametrize(
    "sent",
    [
        SENT.replace("Subject: hi", "Content-Encoding: deflate"),
        SENT.replace("Subject: hi", "Content-Encoding: br"),
        SENT.replace("Subject: hi", "Headers-Encoding: base64, gzip\r\nComp-Hdrs: ????"),
    ],
)
def test_what_is_not_what_it_says_stays_as_it_is(sent: str) -> None:
    message, said = passed_on('mc_decompress(); xlog("$rc\\n");', sent)
    assert said == ["-1"] and message.body.decode() == SDP


def test_a_bomb_is_not_unpacked() -> None:
    bomb = zlib.compress(b"x" * 10_000_000)
    head = SENT.partition("Content-Length")[0].encode()
    with pytest.raises(SipSyntaxError):
        decompressed(head + b"Content-Length: %d\r\nContent-Encoding: deflate\r\n\r\n" % len(bomb) + bomb)


@pytest.mark.parametrize(
    "call", ['mc_compress(2, "b")', 'mc_compress(0, "x")', 'mc_compress(0, "h")', 'mc_compress(0, "bhs")']
)
def test_what_cannot_be_is_refused(call: str) -> None:
    message, said = passed_on(f'{call}; xlog("$rc\\n");')
    assert said == ["-1"] and message.body.decode() == SDP


def test_a_message_that_is_compressed_already_is_left_alone() -> None:
    once = Packing(body=True).applied(SENT.encode())
    assert Packing(body=True, in_base64=True).applied(once) == once
    assert decompressed(SENT.encode()) is None


packings = st.builds(
    Packing,
    st.sampled_from(Algorithm),
    st.integers(1, 9),
    st.booleans(),
    st.booleans(),
    st.booleans(),
    st.just(True),
    st.lists(st.sampled_from(["Allow", "Subject", "m"])),
)


@given(packings, st.binary(max_size=200))
def test_any_body_comes_back(packing: Packing, body: bytes) -> None:
    data = SENT.partition("Content-Length")[0].encode() + b"Content-Length: %d\r\n\r\n" % len(body) + body
    packed = packing.applied(data)
    found = decompressed(packed)
    again, was = Message.parse(packed if found is None else found), Message.parse(data)
    assert again.body == body
    assert sorted((f.name, f.value) for f in again.fields) == sorted((f.name, f.value) for f in was.fields)


@given(
    st.binary(max_size=120),
    st.sampled_from(["deflate", "gzip", "base64, gzip", "base64", "", "x, y"]),
    st.binary(max_size=30),
)
def test_any_bytes_are_unpacked_or_refused(body: bytes, encoding: str, more: bytes) -> None:
    head = f"X sip:x SIP/2.0\r\nContent-Encoding: {encoding}\r\n".encode()
    try:
        decompressed(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        decompressed(
            head + b"Headers-Encoding: base64, deflate\r\nComp-Hdrs: " + base64.b64encode(more) + b"\r\n\r\n" + body
        )
        compacted(head + more.replace(b"\n", b"") + b": x\r\n\r\n" + body, [])
    except SipSyntaxError:
        pass
