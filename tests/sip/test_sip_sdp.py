"""Descriptions of media: read as lines, written as they came, changed line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import SipSyntaxError
from miscript.sip.sdp import MAX_LINES, Hold, Sdp, sdp_lines
from miscript.sip.sdp_body import sdp_part, with_sdp
from miscript.sip.sdp_places import Filter, Part, read_place, with_place

SDP = b"\r\n".join(
    b"""v=0
o=alice 1 1 IN IP4 10.0.0.1
s=-
c=IN IP4 10.0.0.1
t=0 0
a=sess:one
m=audio 4000 RTP/AVP 8 3 97 98
a=rtpmap:8 PCMA/8000
a=rtpmap:97 speex/8000
a=rtpmap:98 speex/16000
a=fmtp:98 mode=any
a=ptime:20
a=sendrecv
m=video 4002 RTP/SAVP 99
a=rtpmap:99 H264/90000
a=fmtp:99 packetization-mode=1;profile-level-id=42e01f
a=ptime:30
""".split(b"\n")
)


def named(name, clock=None):
    return lambda codec: codec.is_called(name, clock)


def media_lines(sdp):
    return [line.decode().strip() for line in sdp.lines if line.startswith(b"m=")]


def test_streams_tell_media_port_transport_and_codecs():
    audio, video = Sdp.parse(SDP).streams
    assert (audio.media, audio.port, audio.transport, audio.formats) == (
        "audio",
        "4000",
        "RTP/AVP",
        "8 3 97 98".split(),
    )
    assert [(c.payload, c.name, c.clock) for c in audio.codecs] == [
        ("8", "PCMA", "8000"),
        ("3", "GSM", "8000"),
        ("97", "speex", "8000"),
        ("98", "speex", "16000"),
    ]
    assert video.codecs[0].is_called("h264", "90000") and not video.codecs[0].is_called("H264", "9000")


def test_codecs_go_with_all_that_is_said_of_them():
    left = Sdp.parse(SDP).without_codecs(named("SPEEX"))
    assert media_lines(left) == ["m=audio 4000 RTP/AVP 8 3", "m=video 4002 RTP/SAVP 99"]
    assert b"speex" not in left.to_bytes() and b"fmtp:98" not in left.to_bytes() and b"fmtp:99" in left.to_bytes()
    assert media_lines(Sdp.parse(SDP).without_codecs(named("speex", "8000")))[0] == "m=audio 4000 RTP/AVP 8 3 98"


def test_a_stream_without_codecs_is_refused_and_its_line_stays_whole():
    assert media_lines(Sdp.parse(SDP).without_codecs(named("H264")))[1] == "m=video 0 RTP/SAVP 99"


def test_codecs_are_moved_in_their_order():
    sdp = Sdp.parse(SDP)
    assert media_lines(sdp.with_moved_codecs(named("speex"), first=True))[0] == "m=audio 4000 RTP/AVP 97 98 8 3"
    assert media_lines(sdp.with_moved_codecs(named("PCMA"), first=False))[0] == "m=audio 4000 RTP/AVP 3 97 98 8"
    assert sdp.with_moved_codecs(named("none"), first=True) == sdp


def test_streams_go_with_their_lines():
    left = Sdp.parse(SDP).without_streams(lambda stream: stream.media == "audio")
    assert media_lines(left) == ["m=video 4002 RTP/SAVP 99"] and b"PCMA" not in left.to_bytes()


@pytest.mark.parametrize(
    ("old", "new", "hold"),
    [
        (b"", b"", None),
        (b"a=sendrecv", b"a=sendonly", Hold.DIRECTION),
        (b"a=sendrecv", b"a=inactive", Hold.DIRECTION),
        (b"a=sendrecv", b"a=recvonly", None),
        (b"c=IN IP4 10.0.0.1", b"c=IN IP4 0.0.0.0", Hold.NULL_ADDRESS),
        (b"a=rtpmap:8", b"c=IN IP4 0.0.0.0\r\na=rtpmap:8", Hold.NULL_ADDRESS),
        (b"a=sess:one", b"a=sendonly", None),  # the stream says sendrecv of itself
        (b"a=ptime:30", b"a=sendonly", None),  # this is video
        (b"m=audio 4000", b"a=inactive\r\nm=audio 0", None),
    ],
)
def test_audio_is_held_by_an_address_or_a_direction(old, new, hold):
    assert Sdp.parse(SDP.replace(old, new, 1)).hold("audio") == hold


def test_the_session_holds_a_stream_that_says_nothing():
    held = SDP.replace(b"a=sess:one", b"a=sendonly").replace(b"a=sendrecv\r\n", b"")
    assert Sdp.parse(held).hold("audio") is Hold.DIRECTION


@pytest.mark.parametrize(
    ("old", "new"), [(b"v=0", b"hello"), (b"o=", b"x="), (b"c=", b"b="), (b" RTP/AVP 8 3 97 98", b""), (b"s=-", b"")]
)
def test_what_others_could_not_read_is_not_valid(old, new):
    assert Sdp.parse(SDP).is_valid
    assert not Sdp.parse(SDP.replace(old, new)).is_valid


fragments = st.lists(
    st.sampled_from(
        [b"v=0", b"m=audio 1 RTP/AVP 0 97", b"m=", b"a=rtpmap:97 x/8", b"a=", b"\r\n", b"\n", b"\r", b"\xff"]
    )
    | st.binary(max_size=6),
    max_size=14,
).map(b"".join)


@given(fragments)
def test_any_bytes_are_written_as_they_came_and_can_be_asked(data):
    sdp = Sdp.parse(data)
    assert sdp.to_bytes() == data
    sdp.has_codec(named("x"))
    sdp.hold("audio")
    assert sdp.is_valid in (True, False)
    for stream in sdp.streams:
        payloads = {codec.payload for codec in stream.codecs}
        left = stream.without(lambda codec: True)
        assert left.port == "0" if payloads and payloads >= set(stream.formats) else left.port == stream.port


@given(fragments, st.data())
def test_moving_codecs_keeps_all_formats(data, draw):
    sdp = Sdp.parse(data)
    first = draw.draw(st.booleans())
    moved = sdp.with_moved_codecs(named("x"), first=first)
    for old, new in zip(sdp.streams, moved.streams, strict=True):
        assert sorted(old.formats) == sorted(new.formats)
        assert old.lines[1:] == new.lines[1:]


def test_lines_beyond_the_limit_are_one():
    data = b"a=x\n" * (MAX_LINES + 3)
    assert len(sdp_lines(data)) == MAX_LINES and b"".join(sdp_lines(data)) == data


@pytest.mark.parametrize(
    ("part", "text", "found"),
    [
        (Part.ALL, "a=", "a=sess:one"),
        (Part.ALL, "a=ptime[1]", "a=ptime:30"),
        (Part.ALL, "a=[100]", None),
        (Part.ALL, "m=audio/[0]", "m=audio"),
        (Part.ALL, "m=audio/[1]", "4000"),
        (Part.ALL, r"m=audio/RTP\/AVP[0]", "RTP/AVP"),
        (Part.ALL, r"m=audio/RTP\/AVP[1]", None),
        (Part.ALL, "m=audio/RTQ", None),
        (Part.ALL, "[3]", "c=IN IP4 10.0.0.1"),
        (Part.ALL, "/", "v=0"),
        (Part.SESSION, "c=IN/[2]", "10.0.0.1"),
        (Part.SESSION, "m=", None),
        (Part.STREAM, "/a=ptime", "a=ptime:20"),
        (Part.STREAM, "[1]/a=ptime", "a=ptime:30"),
        (Part.STREAM, "v[0]/a=ptime", "a=ptime:30"),
        (Part.STREAM, "v[1]/a=ptime", None),
        (Part.STREAM, "video", "m=video 4002 RTP/SAVP 99"),
        (Part.STREAM, "video/a=fmtp/packetization-mode=", "packetization-mode=1;profile-level-id=42e01f"),
        (Part.STREAM, "audio/a=rtpmap[1]/[1]", "speex/8000"),
    ],
)
def test_filters_find_lines_and_words(part, text, found):
    assert read_place(SDP, Filter.parse(part, text)) == (None if found is None else found.encode())


@pytest.mark.parametrize(
    ("part", "text", "value", "old", "new"),
    [
        (Part.ALL, "a=ptime[1]", "a=ptime:77", "a=ptime:30", "a=ptime:77"),
        (Part.ALL, "a=ptime", None, "a=ptime:20\r\n", ""),
        (Part.ALL, "m=audio/[1]", "99", "m=audio 4000", "m=audio 99"),
        (Part.ALL, "m=audio/[4]", None, "AVP 8 3 97", "AVP 8 97"),
        (Part.ALL, "m=audio/RTP", "X", "RTP/AVP", "X"),
        (Part.SESSION, "o=/[1]", "7", "alice 1 1", "alice 7 1"),
        (Part.STREAM, "v/a=ptime:/[0]", "yes", "a=ptime:30", "a=ptime:yes"),
        (Part.STREAM, "v/a=fmtp:99/packetization-mode=", "2", "mode=1;", "mode=2;"),
        (Part.STREAM, r"audio/a=rtpmap[1]/speex\/", "9", "speex/8000", "speex/9"),
        (Part.STREAM, "video", "m=image 0 udptl t38", "m=video 4002 RTP/SAVP 99", "m=image 0 udptl t38"),
    ],
)
def test_lines_and_words_are_put_in_their_place(part, text, value, old, new):
    changed = with_place(SDP, Filter.parse(part, text), None if value is None else value.encode())
    assert changed == SDP.replace(old.encode(), new.encode(), 1)


def test_a_place_that_is_not_there_is_not_made_and_a_value_is_one_line():
    wanted = Filter.parse(Part.ALL, "b=")
    assert with_place(SDP, wanted, b"b=AS:64") is None
    with pytest.raises(SipSyntaxError):
        with_place(SDP, wanted, b"b=AS:64\r\na=x")


@pytest.mark.parametrize("text", ["a/b/c", "a[-1]", "a[x]", "a[99999]"])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(SipSyntaxError):
        Filter.parse(Part.ALL, text)


@given(
    st.sampled_from(Part), st.text(alphabet="am=[]01/\\ :x", max_size=12), fragments, st.binary(max_size=5) | st.none()
)
def test_any_filter_reads_and_writes_any_description_or_is_refused(part, text, data, value):
    try:
        wanted = Filter.parse(part, text)
        found, changed = read_place(data, wanted), with_place(data, wanted, value)
    except SipSyntaxError:
        return
    assert (found is None) == (changed is None)
    if found is not None:
        assert found in data


def test_a_description_is_found_and_changed_in_a_body_of_several_parts():
    body = b"--x\r\n\r\ntext\r\n--x\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n--x--\r\n"
    part = sdp_part("multipart/mixed;boundary=x", body)
    assert part is not None and part.data == b"v=0"
    assert with_sdp("multipart/mixed;boundary=x", body, b"v=1") == body.replace(b"v=0", b"v=1")
    assert sdp_part("text/plain", b"v=0") is None and sdp_part("multipart/mixed", b"v=0") is None
