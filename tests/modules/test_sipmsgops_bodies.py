"""Bodies, media, parameters and replies in scripts: module sipmsgops and the variables `$sdp…`."""

from __future__ import annotations

import json

import pytest

from miscript.sip import Message
from sip_phones import phone, running, send

SDP = (
    "v=0\r\no=alice 1 1 IN IP4 10.0.0.1\r\ns=-\r\nc=IN IP4 10.0.0.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 8 0 97\r\n"
    "a=rtpmap:97 speex/8000\r\na=sendrecv\r\nm=video 4002 RTP/SAVP 31\r\n"
)
HEAD = (
    "{method} {uri} SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKone\r\nMax-Forwards: 70\r\n"
    "From: <sip:alice@example.com>;tag=1\r\nTo: <sip:bob@example.com>\r\nCall-ID: one\r\nCSeq: 1 {method}\r\n"
    "Supported: timer, 100rel,path\r\nSupported: gruu\r\n{more}Content-Length: {length}\r\n\r\n{body}"
)
PARTS = (
    f"--bb\r\nContent-Type: application/sdp\r\n\r\n{SDP}\r\n"
    "--bb\r\nContent-Type: text/plain\r\nX-Part: 1\r\n\r\nhello\r\n--bb--\r\n"
)


def sent(body: str = SDP, kind: str = "application/sdp", more: str = "", method: str = "INVITE", uri: str = "") -> str:
    more += f"Content-Type: {kind}\r\n" if body else ""
    uri = uri or "sip:bob@example.com;user=phone;lr"
    return HEAD.format(method=method, uri=uri, more=more, length=len(body), body=body)


PLAIN, SEVERAL, NONE = sent(), sent(PARTS, "multipart/mixed;boundary=bb"), sent("")


def passed_on(calls: str, request: str = PLAIN) -> tuple[Message, list[str]]:
    """What comes out when `calls` have been made, and what was printed."""
    with running(f'route {{ {calls} $du = "sip:10.0.0.2"; forward(); }}') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request)
        (message,) = bob.take()
        assert message.content_length == len(message.body)
        return message, script.output.splitlines()


def codes(calls: list[str], request: str = PLAIN) -> list[int]:
    text = "".join(f'{call}; xlog("$rc\\n"); ' for call in calls)
    return [int(line) for line in passed_on(text, request)[1]]


# -- bodies ---------------------------------------------------------------------------------------------------------


def test_bodies_and_their_parts_are_recognised() -> None:
    calls = ["has_body()", 'has_body("application/sdp")', 'has_body("text/plain")', 'has_body("multipart/mixed")']
    assert codes(calls, SEVERAL) == [1, 1, 1, 1]
    assert codes(calls, PLAIN) == [1, 1, -1, -1]
    assert codes(calls, NONE) == [-1] * 4
    parts = ["has_body_part()", 'has_body_part("Text/Plain")', 'has_body_part("text/html")']
    assert [codes(parts, request) for request in (SEVERAL, PLAIN, NONE)] == [[1, 1, -1], [1, -1, -1], [-1, -1, -1]]


def test_a_removed_body_takes_its_type_along() -> None:
    for request in (PLAIN, SEVERAL):
        message, _ = passed_on("remove_body_part();", request)
        assert (message.body, message.header("Content-Type")) == (b"", None)
    assert codes(["remove_body_part()", 'remove_body_part("text/html")'], NONE) == [-1, -1]
    assert codes(['remove_body_part("text/plain")', 'remove_body_part("text/plain", "revert")']) == [-1, 1]


@pytest.mark.parametrize("call", ['remove_body_part("application/sdp")', 'remove_body_part("text/plain", "revert")'])
def test_the_part_that_is_left_stands_alone_with_its_header_fields(call: str) -> None:
    message, _ = passed_on(f"{call};", SEVERAL)
    assert (message.body, message.header("Content-Type"), message.header("X-Part")) == (b"hello", "text/plain", "1")


def test_a_part_is_added_to_nothing_to_a_body_and_to_parts() -> None:
    call = 'add_body_part("Hi", "a/b", "X-A: 1\r\n");'
    alone, _ = passed_on(call, NONE)
    assert (alone.body, alone.header("Content-Type"), alone.header("X-A")) == (b"Hi", "a/b", "1")
    two, _ = passed_on(call + 'xlog("$(rb{s.len})\\n");')
    assert two.header("Content-Type") == "multipart/mixed;boundary=miscript-boundary"
    part = b"--miscript-boundary\r\nContent-Type: "
    assert two.body == (
        part + b"application/sdp\r\n\r\n" + SDP.encode() + b"\r\n" + part + b"a/b\r\nX-A: 1\r\n\r\nHi\r\n"
        b"--miscript-boundary--\r\n"
    )
    three, _ = passed_on(call, SEVERAL)
    assert three.body.endswith(b"hello\r\n--bb\r\nContent-Type: a/b\r\nX-A: 1\r\n\r\nHi\r\n--bb--\r\n")
    again, _ = passed_on('remove_body_part("application/sdp");' + call, SEVERAL)
    assert b"text/plain" in again.body and b"X-Part: 1" in again.body and b"v=0" not in again.body


def test_the_body_as_it_will_be_sent_can_be_had() -> None:
    calls = (
        'codec_delete("speex"); get_updated_body_part("application/sdp", $var(n)); xlog("$rc $(var(n){s.len})\\n");'
        'get_updated_body_part(, $var(n)); xlog("$rc $(var(n){s.len})\\n");'
        'get_updated_body_part("text/html", $var(n)); xlog("$rc $(rb{s.len})\\n");'
    )
    gone = len(" 97") + len("a=rtpmap:97 speex/8000\r\n")
    size = len(PARTS)
    assert passed_on(calls, SEVERAL)[1] == [f"1 {len(SDP) - gone}", f"1 {size - gone}", f"-2 {size}"]
    assert codes(['get_updated_body_part("a/b", $var(n))'], NONE) == [-1]


# -- media ----------------------------------------------------------------------------------------------------------


def test_codecs_and_streams_are_recognised() -> None:
    calls = ['codec_exists("SPEEX")', 'codec_exists("speex", "8000")', 'codec_exists("speex", "800")']
    calls += ['codec_exists("PCMU")', 'codec_exists_re("pcm[au]")', 'codec_exists_re("zz")', 'codec_exists("zz")']
    assert codes(calls) == [1, 1, -1, 1, 1, -1, -1]
    streams = ['stream_exists("AUD")', 'stream_exists("audio", "SAVP")', 'stream_exists("video", "SAVP")']
    assert codes([*streams, 'stream_exists("image")']) == [1, -1, 1, -1]
    assert codes([calls[0], streams[0], 'codec_delete("speex")', "is_audio_on_hold()"], NONE) == [-1] * 4


@pytest.mark.parametrize(
    ("calls", "media"),
    [
        ('codec_delete("speex");', ["audio 4000 RTP/AVP 8 0", "video 4002 RTP/SAVP 31"]),
        ('codec_delete_re("pcma|h261");', ["audio 4000 RTP/AVP 0 97", "video 0 RTP/SAVP 31"]),
        ('codec_delete_except_re("PCM");', ["audio 4000 RTP/AVP 8 0", "video 0 RTP/SAVP 31"]),
        ('codec_move_up("speex");', ["audio 4000 RTP/AVP 97 8 0", "video 4002 RTP/SAVP 31"]),
        ('codec_move_up_re("pcm");', ["audio 4000 RTP/AVP 8 0 97", "video 4002 RTP/SAVP 31"]),
        ('codec_move_down("pcma", "8000");', ["audio 4000 RTP/AVP 0 97 8", "video 4002 RTP/SAVP 31"]),
        ('codec_move_down_re("pcm");', ["audio 4000 RTP/AVP 97 8 0", "video 4002 RTP/SAVP 31"]),
        ('codec_move_down("PCMA"); codec_delete("PCMU"); codec_move_up("speex");',
         ["audio 4000 RTP/AVP 97 8", "video 4002 RTP/SAVP 31"]),
        ('stream_delete("video");', ["audio 4000 RTP/AVP 8 0 97"]),
        ('stream_delete(".*", "SAVP");', ["audio 4000 RTP/AVP 8 0 97"]),
        ('codec_delete("zz"); codec_move_up("zz"); stream_delete("zz");',
         ["audio 4000 RTP/AVP 8 0 97", "video 4002 RTP/SAVP 31"]),
    ],
)  # fmt: skip
def test_codecs_and_streams_are_changed_in_every_body(calls: str, media: list[str]) -> None:
    for request in (PLAIN, SEVERAL):
        message, said = passed_on(calls + 'xlog("$(sdp.line(m=audio))\\n");', request)
        assert [line[2:] for line in message.body.decode().split("\r\n") if line.startswith("m=")] == media
        assert said == ["m=audio 4000 RTP/AVP 8 0 97"]


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [("sendrecv", "sendrecv", -1), ("sendrecv", "sendonly", 2), ("c=IN IP4 10.0.0.1", "c=IN IP4 0.0.0.0", 1)],
)
def test_hold_is_told_by_its_kind(old: str, new: str, code: int) -> None:
    assert codes(["is_audio_on_hold()"], sent(SDP.replace(old, new))) == [code]


# -- $sdp -----------------------------------------------------------------------------------------------------------


def test_what_is_assigned_to_the_description_is_seen_at_once_and_goes_out() -> None:
    message, said = passed_on(
        'codec_delete("speex"); $sdp.stream(audio/[0]/[1]) = 9; $sdp.line(s=) = "s=x"; $sdp.session(c=) = NULL;'
        '$var(n) = $sdp.stream.idx(video); $sdp.line([$var(n)]) = "m=image 0 udptl t38";'
        'xlog("$sdp.stream(audio) $sdp.line([2]) $sdp.session(c=) $var(n) $(rb{s.len})\\n");'
    )
    body = (
        "v=0\r\no=alice 1 1 IN IP4 10.0.0.1\r\ns=x\r\nt=0 0\r\nm=audio 9 RTP/AVP 8 0\r\na=sendrecv\r\n"
        "m=image 0 udptl t38\r\n"
    )
    assert message.body.decode() == body
    assert said == [f"m=audio 9 RTP/AVP 8 0 s=x <null> 6 {len(body)}"]


@pytest.mark.parametrize("request_", [PLAIN, SEVERAL, NONE])
def test_a_whole_description_takes_the_place_of_the_one_there_was(request_: str) -> None:
    new = "v=0\\r\\no=b 1 1 IN IP4 1.1.1.1\\r\\ns=-\\r\\nc=IN IP4 1.1.1.1\\r\\nt=0 0\\r\\nm=audio 1 RTP/AVP 0\\r\\n"
    message, said = passed_on(f'$sdp = "{new}"; xlog("$(sdp{{s.len}}) $(sdp.line(o=))\\n");', request_)
    text = new.replace("\\r\\n", "\r\n")
    assert said == [f"{len(text)} o=b 1 1 IN IP4 1.1.1.1"]
    assert text in message.body.decode() and b"alice" not in message.body
    assert (message.header("Content-Type") or "").startswith(("application/sdp", "multipart/"))


def test_null_takes_the_description_away_and_what_is_none_is_refused() -> None:
    message, said = passed_on('$sdp = NULL; xlog("$sdp\\n");', SEVERAL)
    assert said == ["<null>"] and message.body == b"hello"
    message, said = passed_on('if (!($sdp = "no description")) xlog("refused\\n"); $sdp.line(b=) = "b=x";')
    assert message.body.decode() == SDP
    assert passed_on('xlog("$sdp $sdp.line(a=) $sdp.stream.idx(audio)\\n");', NONE)[1] == ["<null> <null> <null>"]


# -- header fields, Request-URI -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls", "left"),
    [
        ('list_hdr_add_option("Supported", "new");', ["timer, 100rel,path,new", "gruu"]),
        ('list_hdr_add_option("k", "a"); list_hdr_add_option("k", "b");', ["timer, 100rel,path,a,b", "gruu"]),
        ('list_hdr_remove_option("Supported", "TIMER");', ["100rel,path", "gruu"]),
        ('list_hdr_remove_option("Supported", "100rel");', ["timer, path", "gruu"]),
        ('list_hdr_remove_option("Supported", "gruu");', ["timer, 100rel,path"]),
        ('list_hdr_remove_option("k", "100rel"); list_hdr_add_option("k", "x"); list_hdr_remove_option("k", "path");',
         ["timer,x", "gruu"]),
    ],
)  # fmt: skip
def test_options_are_added_to_lists_and_removed(calls: str, left: list[str]) -> None:
    message, _ = passed_on(calls)
    assert [value.replace(", x", ",x") for value in message.headers("Supported")] == left


def test_what_is_in_no_list_cannot_be_removed_nor_added_to_no_field() -> None:
    assert codes(['list_hdr_remove_option("Supported", "x")', 'list_hdr_add_option("Require", "x")']) == [-1, -1]
    assert codes(['list_hdr_has_option("Supported", "PATH")']) == [1]


def test_parameters_of_the_request_uri_are_found_added_and_removed() -> None:
    found = [("user",), ("user", "phone"), ("lr",), ("LR",), ("lr", "x"), ("x",)]
    calls = [f"ruri_has_param({', '.join(map(json.dumps, names))})" for names in found]
    assert codes(calls) == [-1, 1, 1, 1, -1, -1]
    for calls, uri, code in (
        ('ruri_add_param("nat=yes")', "sip:bob@example.com;user=phone;lr;nat=yes", 1),
        ('ruri_add_param("a b")', "sip:bob@example.com;user=phone;lr", -1),
        ('ruri_del_param("user")', "sip:bob@example.com;lr", 1),
        ('ruri_del_param("x")', "sip:bob@example.com;user=phone;lr", -1),
        ("ruri_tel2sip()", "sip:bob@example.com;user=phone;lr", 1),
    ):
        message, said = passed_on(f'{calls}; xlog("$rc $ru\\n");')
        assert (message.uri, said) == (uri, [f"{code} {uri}"])


def test_a_tel_uri_becomes_one_at_the_host_of_the_caller() -> None:
    message, said = passed_on('ruri_tel2sip(); xlog("$rc\\n");', sent(uri="tel:+4912;phone-context=x"))
    assert (message.uri, said) == ("sip:+4912;phone-context=x@example.com;user=phone", ["1"])


def test_header_fields_are_told_by_pattern_and_as_json() -> None:
    calls = 'get_glob_headers_values("SUPP*", $avp(n), $avp(v)); xlog("$rc $(avp(n)[*]) | $(avp(v)[*])\\n");'
    assert passed_on(calls)[1] == ["1 Supported, Supported | gruu, timer, 100rel,path"]
    assert codes(['get_glob_headers_values("X-*", $avp(n), $avp(v))']) == [-1]
    _, said = passed_on('sip_to_json($var(j)); xlog("$var(j)\\n");')
    document = json.loads(said[0])
    assert document["first_line"] == "INVITE sip:bob@example.com;user=phone;lr SIP/2.0\r\n"
    assert document["headers"]["Supported"] == ["timer, 100rel,path", "gruu"]
    assert document["body"] == SDP


# -- replies --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["sl_send_reply", "send_reply", "t_reply"])
def test_replies_get_header_fields_a_date_and_a_body(reply: str) -> None:
    with running(
        'route { append_to_reply("Content-Type: text/plain"); append_time(); append_body_to_reply("one");'
        f' append_body_to_reply("two"); if (!append_to_reply("no field")) xlog("no\\n"); {reply}(480, "Later"); }}'
    ) as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, PLAIN)
        answer = alice.take()[-1]
        assert script.output == "no\n"
    assert (answer.status, answer.body, answer.header("Content-Type")) == (480, b"two", "text/plain")
    assert (answer.header("Date") or "").endswith(" GMT")


@pytest.mark.parametrize(
    ("came", "code", "goes"),
    [("603 Decline", 404, 404), ("603 Decline", 183, 603), ("603 Decline", 200, 603), ("180 Ringing", 183, 183),
     ("180 Ringing", 200, 180), ("200 OK", 404, 200), ("486 Busy", 700, 486)],
)  # fmt: skip
def test_the_status_of_a_reply_changes_within_its_class(came: str, code: int, goes: int) -> None:
    reply = (
        f"SIP/2.0 {came}\r\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKx\r\n"
        "Via: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKy\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:b@c>;tag=2\r\n"
        "Call-ID: 1\r\nCSeq: 1 INVITE\r\nContent-Length: 0\r\n\r\n"
    )
    with running(
        f'route {{ exit; }} onreply_route {{ change_reply_status({code}, "Changed"); xlog("$rs\\n"); }}',
        "disable_stateless_fwd=no\n",
    ) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, bob, reply)
        assert [message.status for message in alice.take()] == [goes]
        assert script.output == f"{goes}\n"
