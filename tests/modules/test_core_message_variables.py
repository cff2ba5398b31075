"""The core's variables of a message, read and assigned, and the functions that change where it goes."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.catalog import LoadedCatalog
from miscript.script.binding import Binding, CannotBind
from miscript.script.diagnostics import Diagnostics
from miscript.script.nodes import Variable
from miscript.script.runtime import Run
from miscript.script.signatures import Argument, VariableAccess
from miscript.script.variables import parse_template
from miscript.sip import Message, SipSyntaxError, dummy_message
from miscript.values import Value
from module_services import module_services, new_run

INVITE = b"""\
INVITE sip:bob:secret@example.org:5070;transport=tcp;user=phone?Subject=x SIP/2.0
Via: SIP/2.0/UDP 192.0.2.1:5066;branch=z9hG4bKabc;rport, SIP/2.0/TCP 192.0.2.2
v: SIP/2.0/UDP 192.0.2.3;branch=z9hG4bK3
From: "Alice A." <sip:alice:pw@example.com:5080;x=y>;tag=a1;z=1
To: Bob <tel:+4912;phone-context=example.net>
Call-ID: call-1@192.0.2.1
CSeq: 0042 INVITE
Contact: "One" <sip:one@192.0.2.1:5066;ob>;q=0.5;expires=60, <sip:two@192.0.2.1>;received="sip:1.2.3.4:5"
m: Three <sip:three@192.0.2.9>;methods="INVITE, ACK";q=1
User-Agent: Test Phone/1.0
X-A: first
x-a:   second \t
X-A: third,
 folded line
Diversion: <sip:div@example.net>;reason=unconditional;privacy=full, <sip:other@example.net>;reason=later
P-Asserted-Identity: "Asserted" <sip:+4912345@example.net>, <tel:+4912345>
P-Preferred-Identity: "Pref N" <sip:pref@pref.example.net>
Remote-Party-ID: <sip:rpid@example.net>;party=calling
Refer-To: <sip:refer@example.net?Replaces=a>;p=1
Authorization: Digest username="other", realm="other.example", nonce="n1", uri="sip:u", response="1"
Proxy-Authorization: Digest username="al@auth.example", realm="example.com", nonce="n0nce", uri="sip:bob@example.org",
 response="0123", cnonce="cn", opaque="op", algorithm=MD5, qop=auth, nc=00000001
Content-Type: multipart/mixed;boundary="b1"
Content-Length: 196

preamble
--b1
Content-Type: application/sdp

v=0
o=- 1 1 IN IP4 192.0.2.1

--b1
c: Text/Plain; charset=utf-8

hello
--b1

no type
--b1
Content-Type: application/sdp

v=1
--b1--
behind
""".replace(b"\n", b"\r\n")

REJECTED = b"""\
SIP/2.0 401 Not You
Via: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bKabc
From: <sip:h.example>;tag=1
To: sip:bob@example.org;tag=x
Call-ID: c4
CSeq: 5 INVITE
Contact: *
WWW-Authenticate: Digest realm="re alm", nonce="no", opaque="oq", qop="auth,auth-int", algorithm=AKAv1-MD5, ik="0011"
Proxy-Authenticate: Digest realm="pr", nonce="pn"

""".replace(b"\n", b"\r\n")

BROKEN = b"""\
OPTIONS nope SIP/2.0
From: Broken <sip:a
To: <<
CSeq: x OPTIONS
Contact: <sip:a@b>, <sip:c
Diversion:
Proxy-Authorization: Basic YTpi
Content-Type: ???
Content-Length: 3

abcdef
""".replace(b"\n", b"\r\n")


class Words:
    """Variables and functions of the core, used as a script would."""

    def __init__(self) -> None:
        self.catalog = LoadedCatalog(module_services())
        self.binding = Binding(self.catalog, new_run().script.symbols)
        (self.core,) = self.catalog

    def text(self, run: Run, text: str) -> str:
        """What `xlog` would print."""
        return self.binding.template(parse_template(text, None, Diagnostics()))(run)

    def access(self, spelling: str) -> VariableAccess:
        (node,) = parse_template(spelling, None, Diagnostics()).pieces
        assert isinstance(node, Variable)
        return self.binding.access(node)

    def get(self, run: Run, spelling: str) -> Value:
        return self.access(spelling).get(run)

    def set(self, run: Run, spelling: str, value: Value) -> bool:
        return self.access(spelling).set(run, value)

    def call(self, run: Run, name: str, *arguments: object) -> int:
        code = getattr(self.core, name)(run, *arguments)
        assert isinstance(code, int)
        return code


@pytest.fixture(scope="module")
def words() -> Words:
    return Words()


def run_with(data: bytes) -> Run:
    return new_run(Message.parse(data))


def run_to(words: Words, uri: str) -> Run:
    """A run whose message goes to `uri`."""
    run = new_run(dummy_message())
    assert words.set(run, "$ru", uri)
    return run


# -- reading ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spelling", "value"),
    [
        ("$rm $rs $rr $ci $cs", "INVITE <null> <null> call-1@192.0.2.1 0042"),
        ("$ru", "sip:bob:secret@example.org:5070;transport=tcp;user=phone?Subject=x"),
        ("$rU $rd $rp $rP", "bob example.org 5070 tcp"),
        ("$ruri.user $ruri.domain", "bob example.org"),
        ("$oU $od $op $oP $ou", "bob example.org 5070 tcp " + INVITE.split()[1].decode()),
        ("$fu $fU $fd $ft $fn", 'sip:alice:pw@example.com:5080;x=y alice example.com a1 "Alice A."'),
        ("$from $from.user $from.domain", "sip:alice:pw@example.com:5080;x=y alice example.com"),
        ("$tu $tU $td $tt $tn", "tel:+4912;phone-context=example.net +4912 <null> <null> Bob"),
        ("$du $dd $dp $dP $path", "<null> <null> <null> <null> <null>"),
        ("$ua|$hdr(x-none)|$hdr(t)", "Test Phone/1.0|<null>|Bob <tel:+4912;phone-context=example.net>"),
        ("$hdrcnt(Via) $hdrcnt(v) $hdrcnt(x-a) $hdrcnt(none)", "2 2 3 0"),
        ("$hdr_name $(hdr_name[1]) $(hdr_name[-1])", "Via v Content-Length"),
        ("$ai $pu $pU $pd $pn", 'sip:+4912345@example.net sip:pref@pref.example.net pref pref.example.net "Pref N"'),
        ("$re $rt", "sip:rpid@example.net sip:refer@example.net?Replaces=a"),
        ("$di $dir $dip", "sip:div@example.net unconditional full"),
        ("$Au $au $aU $ad $ar", "alice@example.com al al@auth.example auth.example example.com"),
        ("$an $adu $auth.nonce $auth.resp", "n0nce sip:bob@example.org n0nce 0123"),
        ("$auth.cnonce $auth.opaque $auth.alg $auth.qop $auth.nc", "cn op MD5 auth 00000001"),
        ("$challenge.realm", "<null>"),
        ("$msg.is_request $msg.type $mi $si $src_ip $sp", "true request 0 0.0.0.0 0.0.0.0 0"),
        ("$bf|$ru_q|$cl", "|-1|196"),
    ],
)
def test_an_invite_tells(words: Words, spelling: str, value: str) -> None:
    assert words.text(run_with(INVITE), spelling) == value


def test_headers_have_an_index_and_all_of_them_make_one_text(words: Words) -> None:
    run = run_with(INVITE)
    assert words.text(run, "$hdr(X-A)|$(hdr(X-A)[0])|$(hdr(X-A)[1])|$(hdr(X-A)[-1])") == (
        "first|first|second|third, folded line"
    )
    assert words.text(run, "$(hdr(X-A)[3])|$(hdr(X-A)[-4])") == "<null>|<null>"
    assert words.text(run, "$(hdr(X-A)[*])") == "first, second, third, folded line"
    assert words.access("$(hdr(X-A)[*])").values(run) == ["first", "second", "third, folded line"]


def test_names_and_indexes_may_be_variables(words: Words) -> None:
    run = run_with(INVITE)
    spelling = "$hdr($avp(n)) $hdrcnt($avp(n)) $(hdr(X-A)[$avp(i)])"
    assert words.text(run, spelling) == "<null> <null> <null>"
    run.avps.update(n=["User-Agent"], i=[1])
    assert words.text(run, spelling) == "Test Phone/1.0 1 second"
    run.avps.update(i=["1"])
    assert words.text(run, "$(hdr(X-A)[$avp(i)])") == "<null>"


def test_contacts_of_all_fields_are_one_list(words: Words) -> None:
    run = run_with(INVITE)
    assert words.text(run, "$ct") == '"One" <sip:one@192.0.2.1:5066;ob>;q=0.5;expires=60'
    assert words.text(run, "$(ct[-1])") == 'Three <sip:three@192.0.2.9>;methods="INVITE, ACK";q=1'
    assert words.text(run, "$(ct[3])") == "<null>"
    assert words.text(run, "$(ct.fields(uri)[*])") == (
        "sip:one@192.0.2.1:5066;ob, sip:two@192.0.2.1, sip:three@192.0.2.9"
    )
    assert words.text(run, "$(ct.fields(q)[*]) $ct.fields(name) $ct.fields(expires)") == '0.5, , 1 "One" 60'
    assert words.text(run, "$(ct.fields(methods)[2])|$(ct.fields(received)[1])") == "INVITE, ACK|sip:1.2.3.4:5"
    assert words.text(run, "$ct.fields(params)") == "q=0.5;expires=60"
    with pytest.raises(CannotBind):
        words.access("$ct.fields(colour)")


def test_a_contact_that_is_a_star_has_no_uri(words: Words) -> None:
    assert words.text(run_with(REJECTED), "$ct $ct.fields(uri)") == "* <null>"


def test_bodies_are_read_whole_by_part_and_by_type(words: Words) -> None:
    run = run_with(INVITE)
    assert words.text(run, "$rb").startswith("preamble\r\n--b1\r\n")
    assert len(words.text(run, "$rb")) == 196 and words.text(run, "$(rb[*])") == words.text(run, "$rb")
    assert words.text(run, "$(rb[1])|$(rb[2])|$(rb[-1])|$(rb[4])") == "hello|no type|v=1|<null>"
    assert words.text(run, "$rb(application/SDP)") == "v=0\r\no=- 1 1 IN IP4 192.0.2.1\r\n"
    assert words.text(run, "$(rb(application/sdp)[1])|$rb(text/html)") == "v=1|<null>"
    assert words.text(run, "$cT $(cT[1]) $(cT[9])") == 'multipart/mixed;boundary="b1" text/plain <null>'
    assert words.text(run, "$(cT[*])") == (
        'multipart/mixed;boundary="b1",application/sdp,text/plain,text/plain,application/sdp'
    )


def test_the_whole_message_and_its_length_count_bytes(words: Words) -> None:
    run = run_with(INVITE)
    assert words.get(run, "$mb") == INVITE.decode()
    assert words.get(run, "$ml") == len(INVITE)


def test_a_reply_has_status_and_challenge_but_no_uri(words: Words) -> None:
    run = run_with(REJECTED)
    assert words.text(run, "$rm $rs $rr $ru $rU $ou $ru_q") == "INVITE 401 Not You <null> <null> <null> <null>"
    assert words.text(run, "$challenge.realm $challenge.nonce $challenge.algorithm") == "re alm no AKAv1-MD5"
    assert (
        words.text(run, "$challenge.opaque $challenge.qop $challenge.ik $challenge.ck")
        == "oq auth,auth-int 0011 <null>"
    )
    assert words.text(run, "$Au $tu $tt $msg.is_request $msg.type") == "@h.example sip:bob@example.org x false reply"
    assert words.text(run_with(REJECTED.replace(b" 401 ", b" 407 ")), "$challenge.realm") == "pr"


def test_numbers_are_numbers_and_print_as_written(words: Words) -> None:
    run = run_with(INVITE.replace(b":5070", b":05070"))
    assert (words.get(run, "$rp"), words.text(run, "$rp")) == (5070, "05070")
    assert [words.get(run, v) for v in ("$cl", "$hdrcnt(Via)", "$ru_q", "$msg.is_request")] == [196, 2, -1, 1]
    assert words.get(run, "$cs") == "0042"
    assert words.get(run_with(REJECTED), "$rs") == 401


def test_what_cannot_be_read_is_null(words: Words) -> None:
    run = run_with(BROKEN)
    spellings = "$ru $ou $rU $rp $rP $fu $ft $fn $Au $tu $td $cs $ci $ct $ct.fields(uri) $di $dir $aU $au $ar $(rb[0])"
    assert words.text(run, spellings) == " ".join(["<null>"] * len(spellings.split()))
    assert words.text(run, "$rm $cT $rb") == "OPTIONS ??? abc"


def test_without_a_message_everything_is_null_and_fails(words: Words) -> None:
    run = new_run()
    spellings = (
        "$ru $rm $fu $hdr(To) $hdrcnt(To) $(hdr(To)[*]) $hdr_name $ct $(ct.fields(q)[1]) $rb $(rb[0]) $cT $bf $du"
    )
    assert words.text(run, spellings) == " ".join(["<null>"] * len(spellings.split()))
    assert not any(words.set(run, v, "sip:a@b") for v in ("$ru", "$rU", "$rd", "$du", "$dd"))
    for name, *arguments in (
        ("seturi", "sip:a@b"), ("setuser", "a"), ("setuserpass", "a"), ("sethost", "a"), ("sethostport", "a"),
        ("setport", "1"), ("prefix", "1"), ("strip", 1), ("strip_tail", 1), ("revert_uri",), ("setdsturi", "sip:a"),
        ("resetdsturi",), ("isdsturiset",),
    ):  # fmt: skip
        assert words.call(run, name, *arguments) == -1, name


def test_the_startup_message_is_offered(words: Words) -> None:
    words.core.init()
    offer = words.core.services.find("dummy message")
    assert offer is not None
    assert words.text(new_run(offer()), "$rm $ru $ci $ml $(hdr_name[*])") == (
        "DUMMY sip:user@dummy.com dummy-1 175 Via, To, From, Call-ID, CSeq"
    )


@given(st.binary(max_size=200))
def test_no_header_value_breaks_a_variable(words: Words, value: bytes) -> None:
    line = value.replace(b"\r", b" ").replace(b"\n", b" ")
    names = ("From", "To", "Contact", "CSeq", "Diversion", "Proxy-Authorization", "Content-Type", "WWW-Authenticate")
    data = b"INVITE sip:a@b SIP/2.0\r\n" + b"".join(f"{n}: ".encode() + line + b"\r\n" for n in names) + b"\r\nbody"
    run = run_with(data)
    words.text(
        run, "$fu $fU $fd $ft $fn $Au $tu $(ct[*]) $(ct.fields(uri)[*]) $cs $rm $dir $aU $ad $(rb[*]) $(rb[0]) $(cT[*])"
    )
    assert words.get(run, "$hdr(From)") == words.get(run, "$hdr(To)")


# -- where a URI leads --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "parts"),
    [
        ("sip:example.org", "<null> example.org 5060 udp"),
        ("sips:h", "<null> h 5061 tls"),
        ("sips:h;transport=udp", "<null> h 5060 udp"),
        ("sips:h;transport=", "<null> h 5060 udp"),
        ("tel:+1234;phone-context=x", "+1234 <null> 5060 udp"),
        ("sip:u@[2001:db8::1]:5080;lr", "u [2001:db8::1] 5080 udp"),
        ("urn:service:sos", "<null> sos 5060 udp"),
        ("sip:b@h;transport=ws", "b h 80 ws"),
        ("sip:b@h;transport=WSS", "b h 443 WSS"),
        ("sip:b@h;transport=sctp", "b h 5060 sctp"),
        ("sip:b@h;transport=XX", "b h 0 XX"),
        ("sip:b@h:0", "b h 0 udp"),
        ("sip:b@h:", "b h 5060 udp"),
        ("SIP:b@h;TRANSPORT=tls", "b h 5061 tls"),
    ],
)
def test_parts_of_a_uri_have_defaults(words: Words, uri: str, parts: str) -> None:
    assert words.text(run_to(words, uri), "$rU $rd $rp $rP") == parts


# -- changing the Request-URI -------------------------------------------------------------------------------------

FULL = "sip:bob:pw@example.org:5070;transport=tcp;a=b?X=y"
BARE = "sip:example.org"
TEL = "tel:+1234;phone-context=x"


@pytest.mark.parametrize(
    ("uri", "call", "result"),
    [
        (FULL, ("setuser", "x"), "sip:x:pw@example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("setuser", ""), "sip:example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("setuserpass", "a:b"), "sip:a:b@example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("setuserpass", ""), "sip:example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("sethost", "hh"), "sip:bob:pw@hh:5070;transport=tcp;a=b?X=y"),
        (FULL, ("sethostport", "hh"), "sip:bob:pw@hh;transport=tcp;a=b?X=y"),
        (FULL, ("sethostport", "[::1]:7"), "sip:bob:pw@[::1]:7;transport=tcp;a=b?X=y"),
        (FULL, ("setport", "77"), "sip:bob:pw@example.org:77;transport=tcp;a=b?X=y"),
        (FULL, ("setport", ""), "sip:bob:pw@example.org;transport=tcp;a=b?X=y"),
        (FULL, ("prefix", "00"), "sip:00bob:pw@example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("strip", 1), "sip:ob:pw@example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("strip", 3), "sip:example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("strip_tail", 2), "sip:b:pw@example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("strip_tail", 9), "sip:example.org:5070;transport=tcp;a=b?X=y"),
        (FULL, ("seturi", "sip:q@q"), "sip:q@q"),
        (FULL, ("seturi", ""), "sip:user@dummy.com"),
        (FULL, ("revert_uri",), "sip:user@dummy.com"),
        (BARE, ("setuser", "x"), "sip:x@example.org"),
        (BARE, ("prefix", "00"), "sip:00@example.org"),
        (BARE, ("prefix", ""), BARE),
        (BARE, ("strip", 2), BARE),
        (BARE, ("strip_tail", 0), BARE),
        (TEL, ("setuser", "5"), "tel:5;phone-context=x"),
        (TEL, ("prefix", "00"), "tel:00+1234;phone-context=x"),
        (TEL, ("strip", 1), "tel:1234;phone-context=x"),
        ("sip:é@h", ("strip_tail", 2), "sip:h"),
    ],
)
def test_functions_change_the_uri(words: Words, uri: str, call: tuple[str, object], result: str) -> None:
    run = run_to(words, uri)
    assert words.call(run, *call) == 1
    assert words.get(run, "$ru") == result == run.message.uri


@pytest.mark.parametrize(
    ("uri", "call"),
    [
        (FULL, ("strip", -1)),
        (FULL, ("strip_tail", -1)),
        (FULL, ("sethost", "")),
        (FULL, ("sethostport", "")),
        (TEL, ("setuser", "")),
        (TEL, ("strip", 9)),
        (TEL, ("sethost", "h")),
        (TEL, ("setport", "5")),
    ],
)
def test_changes_that_make_no_sense_fail_and_leave_the_uri(words: Words, uri: str, call: tuple[str, object]) -> None:
    run = run_to(words, uri)
    assert words.call(run, *call) == -1
    assert words.get(run, "$ru") == uri


@pytest.mark.parametrize(
    "call",
    [("seturi", "not a uri"), ("setuser", "x@y"), ("setuser", "a\r\nX: y"), ("sethost", "a b"), ("setport", "99999")],
)
def test_a_uri_that_is_none_reads_null_refuses_changes_and_is_never_sent(words: Words, call: tuple[str, str]) -> None:
    run = run_to(words, "sip:example.org")
    assert words.call(run, *call) == 1
    assert words.text(run, "$ru $rU $rd $rp $rP") == "<null> <null> <null> <null> <null>"
    assert words.call(run, "prefix", "1") == -1
    assert not words.set(run, "$rU", "x")
    with pytest.raises(SipSyntaxError):
        run.message.to_bytes()
    assert words.call(run, "revert_uri") == 1
    assert words.get(run, "$ru") == "sip:user@dummy.com"
    assert run.message.to_bytes() == dummy_message().data


@pytest.mark.parametrize(
    ("variable", "value", "result"),
    [
        ("$ru", "sip:n@n", "sip:n@n"),
        ("$ruri", "", "sip:user@dummy.com"),
        ("$rU", "x", "sip:x:pw@example.org:5070;transport=tcp;a=b?X=y"),
        ("$ruri.user", None, "sip:example.org:5070;transport=tcp;a=b?X=y"),
        ("$rd", "dd", "sip:bob:pw@dd:5070;transport=tcp;a=b?X=y"),
        ("$rp", 77, "sip:bob:pw@example.org:77;transport=tcp;a=b?X=y"),
        ("$rp", "078", "sip:bob:pw@example.org:078;transport=tcp;a=b?X=y"),
        ("$rp", None, "sip:bob:pw@example.org;transport=tcp;a=b?X=y"),
    ],
)
def test_assignments_change_the_uri(words: Words, variable: str, value: Value, result: str) -> None:
    run = run_to(words, FULL)
    assert words.set(run, variable, value)
    assert words.get(run, "$ru") == result


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("$ru", None),
        ("$ru", 5),
        ("$rU", 5),
        ("$rd", None),
        ("$rd", 5),
        ("$rd", ""),
        ("$du", 5),
        ("$dd", "h"),
        ("$dp", 9),
        ("$ru_q", "0.5"),
        ("$ru_q", None),
    ],
)
def test_assignments_of_the_wrong_kind_fail(words: Words, variable: str, value: Value) -> None:
    run = run_to(words, FULL)
    assert not words.set(run, variable, value)
    assert words.text(run, "$ru $du $ru_q") == f"{FULL} <null> -1"


def test_the_original_uri_stays_and_the_new_one_is_sent(words: Words) -> None:
    run = run_to(words, "sip:carol@example.net")
    assert words.text(run, "$ou $od") == "sip:user@dummy.com dummy.com"
    assert run.message.to_bytes().startswith(b"DUMMY sip:carol@example.net SIP/2.0\r\nVia:")


def test_a_whole_new_uri_has_no_preference_a_changed_one_keeps_it(words: Words) -> None:
    run = run_to(words, FULL)
    assert words.set(run, "$ru_q", 2000) and words.get(run, "$ru_q") == 1000
    assert words.call(run, "setuser", "x") == 1 and words.get(run, "$ru_q") == 1000
    assert words.call(run, "revert_uri") == 1 and words.get(run, "$ru_q") == 1000
    assert words.set(run, "$ru", "sip:a@b") and words.get(run, "$ru_q") == -1


# -- destination and branch flags ---------------------------------------------------------------------------------


def test_the_destination_is_set_changed_and_removed(words: Words) -> None:
    run = run_to(words, FULL)
    assert words.call(run, "isdsturiset") == -1
    assert words.set(run, "$du", "sip:a@b:5;transport=tcp") and words.call(run, "isdsturiset") == 1
    assert words.text(run, "$du $dd $dp $dP") == "sip:a@b:5;transport=tcp b 5 tcp"
    assert words.set(run, "$dd", "nh") and words.set(run, "$dp", "6")
    assert words.text(run, "$duri") == "sip:a@nh:6;transport=tcp"
    assert not words.set(run, "$dd", "") and not words.set(run, "$dd", None)
    assert words.set(run, "$dp", None) and words.text(run, "$du $dp") == "sip:a@nh;transport=tcp 5060"
    assert words.call(run, "resetdsturi") == 1 and words.text(run, "$du $dd $dp $dP") == " ".join(["<null>"] * 4)
    assert words.call(run, "setdsturi", "sip:d@d:5") == 1 and words.get(run, "$dd") == "d"
    assert words.set(run, "$du", None) and words.call(run, "isdsturiset") == -1
    assert words.get(run, "$ru") == FULL


def test_a_destination_that_is_no_uri_is_shown_but_has_no_parts(words: Words) -> None:
    run = run_to(words, FULL)
    assert words.set(run, "$du", "nope")
    assert words.text(run, "$du $dd $dp $dP") == "nope <null> <null> <null>"
    assert not words.set(run, "$dd", "h")


def bound(words: Words, name: str, flag: str, branch: int | None = None) -> Callable[[Run], int]:
    """A flag function bound to its arguments, as the compiler does it."""
    implementation = words.catalog.functions(name)[0].implementation
    assert implementation is not None and implementation.bind is not None
    values: list[Value] = [flag] if branch is None else [flag, branch]
    return implementation.bind(*(Argument(partial(given_value, value), True, value) for value in values))


def given_value(value: Value, run: Run) -> Value:
    return value


def test_branch_flags_belong_to_the_message(words: Words) -> None:
    run, other = new_run(dummy_message()), new_run(dummy_message())
    assert bound(words, "isbflagset", "A")(run) == -1
    assert bound(words, "setbflag", "A")(run) == bound(words, "setbflag", "B")(run) == 1
    assert bound(words, "isbflagset", "A")(run) == 1
    assert bound(words, "isbflagset", "A")(other) == -1
    assert words.get(run, "$bf") == "B A"
    assert bound(words, "resetbflag", "A")(run) == 1
    assert bound(words, "isbflagset", "A")(run) == -1
    assert words.get(run, "$bf") == "B"
    assert bound(words, "setbflag", "A")(new_run()) == -1


def test_only_the_branch_of_the_message_has_flags(words: Words) -> None:
    run = new_run(dummy_message())
    assert bound(words, "setbflag", "A", 1)(run) == -1
    assert bound(words, "setbflag", "A", 0)(run) == bound(words, "isbflagset", "A", 0)(run) == 1
    assert words.get(run, "$bf") == "A"
