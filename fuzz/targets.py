"""The parsers that are fuzzed, each as a function of bytes.

A target returns, or raises an error that its parser documents and that is caught here; everything else is a finding.
Where the same bytes can come in other portions, the outcome must be the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from miscript.errors import ConfigurationError
from miscript.esl import EslError, Session
from miscript.hep import codec
from miscript.hep.errors import HepError
from miscript.hep.framing import FrameReader
from miscript.http.head import Problem
from miscript.http.reader import RequestReader
from miscript.mi.framing import Event, FifoReader
from miscript.mi.jsonrpc import Batch, Failure, Request, parse
from miscript.mi.policy import parse_policy
from miscript.script.diagnostics import Diagnostics
from miscript.script.parser import parse_text
from miscript.script.show import tree_text
from miscript.sip import Limits, Message
from miscript.sip.compacting import compacted
from miscript.sip.compressing import decompressed
from miscript.sip.framing import StreamError, StreamFramer
from miscript.sip.multipart import BodyPart, DescribedBody, body_parts, with_part, without_parts
from miscript.sip.refusing import refusal, salvaged
from miscript.sip.sdp import Sdp
from miscript.sip.sdp_places import Filter, Part, read_place, with_place
from miscript.sip.syntax import SipSyntaxError
from miscript.sip.validation import first_finding
from miscript.values import decode


@dataclass(frozen=True, slots=True)
class Target:
    """One parser: what is called with bytes, inputs to begin with, and words of its language."""

    run: Callable[[bytes], None]
    seeds: tuple[bytes, ...]
    words: tuple[bytes, ...] = ()


def jsonrpc(data: bytes) -> None:
    """JSON-RPC: any bytes are a request, a batch or a failure, and what came of them can be asked again."""
    message = parse(data)
    assert isinstance(message, Request | Batch | Failure)
    if isinstance(message, Batch):
        assert message.messages


def portions(data: bytes) -> list[bytes]:
    """The bytes behind the first one, in pieces whose size the first one says."""
    if not data:
        return []
    size = data[0] % 32 + 1
    return [data[at : at + size] for at in range(1, len(data), size)]


def fifo(data: bytes) -> None:
    """FIFO lines: requests come out, however they are cut, and the reader keeps nothing above its limit."""
    reader = FifoReader(max_request=500, name_limit=20)
    events: list[Event] = []
    for piece in portions(data):
        events += reader.feed(piece, 0.0)
    events += reader.expire(10.0)
    assert reader.deadline is None
    assert not reader.feed(b"", 20.0)


def requests(pieces: list[bytes]) -> list[object]:
    reader = RequestReader(500)
    found: list[object] = []
    for piece in pieces:
        reader.feed(piece)
        while (message := reader.next()) is not None:
            if isinstance(message, Problem):
                return [*found, message.status]
            found.append((message.head.method, message.head.path, message.body))
    return found


def http(data: bytes) -> None:
    """HTTP: requests and the first problem do not depend on how the bytes are cut."""
    pieces, whole = requests(portions(data)), requests([data[1:]])
    assert pieces == whole, (pieces, whole)


def hep(data: bytes) -> None:
    """HEP: a packet or `HepError`; a packet can be written, and reads the same again."""
    reader = FrameReader(5000)
    try:
        for piece in portions(data):
            reader.receive(piece)
            while reader.next_frame() is not None:
                pass
    except HepError:
        pass
    try:
        packet = codec.decode(data)
    except HepError:
        return
    assert codec.decode(codec.encode(packet)) == packet


def esl_items(pieces: list[bytes]) -> list[object]:
    session = Session(max_head=500, max_body=500)
    found: list[object] = []
    for piece in pieces:
        session.receive(piece)
        try:
            found += iter(session.next_item, None)
        except EslError:
            return [*found, "error"]
    return found


def esl(data: bytes) -> None:
    """FreeSWITCH's event socket: items and the first `EslError` do not depend on how the bytes are cut."""
    pieces, whole = esl_items(portions(data)), esl_items([data[1:]])
    assert pieces == whole, (pieces, whole)


def policy(data: bytes) -> None:
    """The policy file: a policy or `ConfigurationError`."""
    try:
        parse_policy(data.decode("utf-8", "replace"))
    except ConfigurationError:
        pass


def script(data: bytes) -> None:
    """The script's lexer and parser: a tree and diagnostics, and the tree can be shown."""
    tree_text(
        parse_text(decode(data.replace(b"include_file", b"").replace(b"import_file", b"")), "f.cfg", Diagnostics())
    )


def sip(data: bytes) -> None:
    """A SIP message: it parses or is `SipSyntaxError`, and so is each of its header fields."""
    limits = Limits(message=4000)
    framer = StreamFramer(limits)
    try:
        for piece in portions(data):
            framer.feed(piece)
    except StreamError:
        pass
    try:
        message = Message.parse(data, limits)
    except SipSyntaxError:
        request = salvaged(data)
        assert request is None or request.is_request
        return
    assert message.to_bytes() == data, "what is not changed is passed on as it came"
    assert (finding := first_finding(message, "hsrftcm")) is None or finding.code < 0
    if message.is_request and message.first_via is not None:
        refusal(message)
    for read in HEADER_READERS:
        try:
            read(message)
        except SipSyntaxError:
            pass
    for field in message.fields:
        message.written_value(field)


def sdp(data: bytes) -> None:
    """SDP: any bytes are written as they came; codecs and places can be changed, and filters read or refused."""
    description = Sdp.parse(data)
    assert description.to_bytes() == data
    description.hold("audio")
    description.without_codecs(lambda codec: codec.is_called("PCMA")).to_bytes()
    moved = description.with_moved_codecs(lambda codec: codec.name == "speex", first=True)
    assert len(moved.to_bytes()) <= len(data) + len(moved.streams)
    words = decode(data[:40])
    for part in Part:
        try:
            wanted = Filter.parse(part, words)
            read = read_place(data, wanted)
            assert (read is None) == (with_place(data, wanted, b"x") is None)
        except SipSyntaxError:
            pass


def bodies(data: bytes) -> None:
    """Bodies: parts taken away and added, messages compressed and decompressed; or `SipSyntaxError`."""
    kind, _, body = data.partition(b"\n")
    described = DescribedBody(b"Content-Type: " + kind.replace(b"\r", b"") + b"\r\n", body)
    try:
        more = with_part(described, BodyPart("a/b", b"new", b"Content-Type: a/b\r\n"), "never-in-it")
        assert body_parts(more.content_type, more.body)[-1].data == b"new"
        without_parts(described.content_type, body, lambda part: part.content_type == "text/plain")
    except SipSyntaxError:
        pass
    for act in (decompressed, lambda data: compacted(data, ())):
        try:
            act(b"X sip:x SIP/2.0\r\nContent-Encoding: " + data)
        except SipSyntaxError:
            pass


HEADER_READERS: tuple[Callable[[Message], object], ...] = (
    lambda message: message.call_id,
    lambda message: message.cseq,
    lambda message: message.from_ and message.from_.sip_uri,
    lambda message: message.to and message.to.tag,
    lambda message: message.vias,
    lambda message: message.first_via,
    lambda message: message.content_length,
    lambda message: message.body,
    lambda message: message.is_truncated,
)

POST = b"POST /mi HTTP/1.1\r\nHost: x\r\n"
INVITE = (
    b"INVITE sip:bob@example.com;transport=udp SIP/2.0\r\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bKx;rport\r\n"
    b'From: "A \\" B" <sip:a@b>;tag=1\r\nTo: <sip:bob@[::1]:5060>\r\nCall-ID: x@y\r\nCSeq: 1 INVITE\r\n'
    b"Contact: <sip:a@1.2.3.4;ob>;q=0.5\r\nSubject: folded\r\n line\r\nl: 2\r\n\r\nok"
)
ESL_LOGIN = b"Content-Type: auth/request\n\nContent-Type: command/reply\nReply-Text: +OK accepted\n\n"
POLICY = b"""hosts = ["x"]
[roles.r]
commands = ["ds_*"]
read_only = true
[[allow]]
role = "r"
door = ["mi_http"]
address = "10.0.0.0/8"
token_sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
[mask]
parameters = ["password"]
"""
SCRIPT = b"""log_level=2
socket=udp:127.0.0.1:5060
loadmodule "mi_script.so"
modparam("mi_script", "trace_bwlist", "b: ps")
startup_route { mi("which", $avp(x)); }
route { if ($var(a) =~ "x" && !($rU == NULL) or $(avp(b)[0]{s.len}) > 0x10) { route(r, 1); } else exit;
  while ($var(i) < 3) { $var(i) += 1; } switch ($var(i)) { case 1: break; default: xlog("$var(i)\\n"); }
  for ($var(e) in $(avp(x)[*])) { async(sleep(1), r); } launch(sleep(1)); }
route[r] { return(-1); /* */ } # end
timer_route[t, 10] { $avp(x) := NULL; }
"""

TARGETS: dict[str, Target] = {
    "jsonrpc": Target(
        jsonrpc,
        (
            b'{"jsonrpc":"2.0","method":"ps","params":{"a":[1,2.5,"\\u00e4",null,true]},"id":1}',
            b'[{"jsonrpc":"2.0","method":"x","id":"a"},{"jsonrpc":"2.0","method":"y","params":[1e400]}]',
            b'{"jsonrpc":"2.0","method":"x","id":123456789012345678901234567890}',
        ),
        (b'"jsonrpc"', b'"2.0"', b'"method"', b'"params"', b'"id"', b"null", b"1e400", b"\\ud800", b"[[", b"]]", b"{}"),
    ),
    "http": Target(
        http,
        (
            b"\x04" + POST + b"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
            b"\x09" + POST + b"Transfer-Encoding: chunked\r\n\r\n2;x=y\r\nok\r\n0\r\nX: y\r\n\r\n" + POST + b"\r\n",
            b"\x01GET /mi?a=%20b HTTP/1.0\r\nConnection: keep-alive\r\nExpect: 100-continue\r\n\r\n",
        ),
        (
            b"Content-Length: ",
            b"Transfer-Encoding: ",
            b"chunked",
            b"\r\n",
            b"HTTP/1.1",
            b"Host: ",
            b"0\r\n\r\n",
            b"\r\n ",
        ),
    ),
    "fifo": Target(
        fifo,
        (
            b'\x05:reply:{"jsonrpc":"2.0","method":"ps","id":1}\n::{"jsonrpc":"2.0","method":"ps"}',
            b'\x1f:a:[{"a":"]\\""}]:b:nonsense',
            b'\x02:x: "text" :../x:{}:y:{"a":',
        ),
        (b":a:", b"::", b'{"', b'"}', b"[", b"]", b'\\"', b"null", b"../", b"\n"),
    ),
    "hep": Target(
        hep,
        (
            bytes.fromhex(
                "4845503300710000000100070200000002000711000000030"
                "00a7f0000010000000400 0a7f0000010000000700080000000000080008 0000".replace(" ", "")
            ),
            bytes.fromhex("011011020050 00507f0000017f000001".replace(" ", "")) + b"x",
            bytes.fromhex("021c11020050 00507f0000017f00000101000000020000000100 0000".replace(" ", "")) + b"x",
        ),
        (b"HEP3", b"\x00\x00\x00\x0f", b"\x00\x00\x00\x10", b"\x00\x00\x00\x11", b"\x00\x00\x00\x0b", b"\x00\x06"),
    ),
    "esl": Target(
        esl,
        (
            b"\x05" + ESL_LOGIN + b"Content-Type: api/response\nContent-Length: 3\n\nUP\n"
            b'Content-Length: 22\nContent-Type: text/event-json\n\n{"Event-Name":"DTMF"}\n',
            b"\x11" + ESL_LOGIN + b"Content-Length: 31\nContent-Type: text/event-plain\n\nEvent-Name: CUSTOM\n"
            b"A: %20%C3b\n\nContent-Type: text/disconnect-notice\nContent-Length: 4\n\nbye\n",
        ),
        (b"Content-Length: ", b"Content-Type: ", b"\n\n", b"\r\n", b"text/event-plain", b"text/rude-rejection", b"-1"),
    ),
    "policy": Target(
        policy,
        (POLICY,),
        (b"[roles.", b"[[allow]]", b"role", b"commands", b"door", b"address", b"user", b"token_sha256", b"[mask]"),
    ),
    "script": Target(
        script,
        (SCRIPT, b'route{xlog("$(hdr(x){re.subst,/a/b/g})");}', b"#!x\nalias=a\nroute[a]{if(1)$var(x)=1+2*(3-4);}"),
        (
            b"route{",
            b"$var(",
            b"$(avp(",
            b"[*]",
            b"{s.",
            b"async(",
            b"case ",
            b"default:",
            b'"',
            b"/*",
            b"*/",
            b":=",
            b"=~",
        ),
    ),
    "sip": Target(
        sip,
        (b"\n" + INVITE, b'SIP/2.0 200 OK\nv: SIP/2.0/TCP x, SIP/2.0/TLS [::1]:1\nt: "x" <sip:a>;x\nl: 0\n\n', INVITE),
        (b"\r\n", b"Via: ", b"SIP/2.0", b"sip:", b"tel:", b"<", b">;tag=", b"CSeq: ", b"Content-Length: ", b"[::1]"),
    ),
    "sdp": Target(
        sdp,
        (
            b"v=0\r\no=a 1 1 IN IP4 1.1.1.1\r\nc=IN IP4 0.0.0.0\r\n"
            b"m=audio 1 RTP/AVP 8 97\r\na=rtpmap:97 speex/8000\r\n",
            b"m=audio[0]/a=[1]/x\r\nm=audio 1 RTP/AVP 0\r\na=fmtp:0 x=1;y=2\r\na=inactive",
        ),
        (b"m=audio ", b"a=rtpmap:", b"a=fmtp:", b"\r\n", b"RTP/AVP", b" 97", b"[0]", b"[1]/", b"\\/", b"c=IN IP4 "),
    ),
    "bodies": Target(
        bodies,
        (
            b"multipart/mixed;boundary=x\n--x\r\nContent-Type: text/plain\r\n\r\nhello\r\n--x\r\n\r\ntwo\r\n--x--\r\n",
            b"base64, deflate\r\nContent-Length: 24\r\n\r\neJzLSM3JyQcABiwCFQ==",
            b"text/plain\nhello",
        ),
        (b"--x", b"--x--", b"\r\n", b"\r\n\r\n", b"Content-Type: ", b"boundary=", b"base64", b"deflate", b"gzip"),
    ),
}
