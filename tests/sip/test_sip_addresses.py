"""Addresses, Via values and parameter lists."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import NameAddr, Parameter, Parameters, SipSyntaxError, Via
from miscript.sip.parameters import MAX_PARAMETERS

ALICE = '"Alice A" <sip:alice@example.com:5060;transport=tcp>;tag=77;x'


def test_an_address_is_split_into_name_uri_and_parameters() -> None:
    alice = NameAddr.parse(ALICE)
    assert (alice.name, alice.display_name) == ('"Alice A"', "Alice A")
    assert alice.uri == "sip:alice@example.com:5060;transport=tcp"
    assert alice.sip_uri().port == 5060
    assert (alice.tag, alice.params, alice.parameters.get("x")) == ("77", "tag=77;x", "")
    assert len(alice.address) == 52
    assert str(alice) == ALICE


@pytest.mark.parametrize(
    ("text", "name", "uri", "params"),
    [
        ("Bob <sip:bob@host>", "Bob", "sip:bob@host", None),
        ("A B <sip:a@b;lr>", "A B", "sip:a@b;lr", None),
        ("sip:carol@host", None, "sip:carol@host", None),
        ("sip:a@b;tag=1", None, "sip:a@b", "tag=1"),
        ("<sip:dave@host>;tag=1", None, "sip:dave@host", "tag=1"),
        ('"A" <sip:a@b> ; tag = 1 ; x', '"A"', "sip:a@b", "tag = 1 ; x"),
        (r'"A\"B"<sip:a@b>;tag="q"', r'"A\"B"', "sip:a@b", 'tag="q"'),
        ("  <sip:a@b>\r\n", None, "sip:a@b", None),
        ("tel:+1;tag=3", None, "tel:+1", "tag=3"),
        ('"<sip:no>;tag=0" <sip:yes@h>;tag=1', '"<sip:no>;tag=0"', "sip:yes@h", "tag=1"),
    ],
)
def test_the_forms_of_an_address(text: str, name: str | None, uri: str, params: str | None) -> None:
    found = NameAddr.parse(text)
    assert (found.name, found.uri, found.params) == (name, uri, params)


def test_a_list_of_addresses_is_split_at_commas_outside_of_quotes_and_brackets() -> None:
    found = NameAddr.parse_many('"Doe, J" <sip:a@b?x=1,2>;q="1,2", sip:c@d ,<sip:e@f>')
    assert [address.uri for address in found] == ["sip:a@b?x=1,2", "sip:c@d", "sip:e@f"]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<sip:a@b",
        '"unclosed <sip:a@b>',
        "<>",
        "<not uri>",
        "A<sip:a@b>x",
        '"A" sip:a@b',
        "<sip:a>, ",
        "<sip:a>;t=",
    ],
)
def test_a_broken_address_is_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        NameAddr.parse_many(text)


def test_a_via_is_split_into_its_parts() -> None:
    text = "SIP/2.0/UDP 10.0.0.1:5062;branch=z9hG4bK1;received=1.2.3.4;rport=999;foo=bar"
    via = Via.parse(text)
    assert (via.protocol, via.version, via.transport, via.host, via.port) == ("SIP", "2.0", "UDP", "10.0.0.1", 5062)
    assert (via.branch, via.received, via.rport) == ("z9hG4bK1", "1.2.3.4", "999")
    assert via.params == "branch=z9hG4bK1;received=1.2.3.4;rport=999;foo=bar"
    assert str(via) == text


def test_rfc4475_blanks_around_everything_in_a_via() -> None:
    text = "SIP  / 2.0\r\n /UDP\r\n    192.0.2.2;branch=390skdjuw , SIP / 2.0 / TCP [::1] : 5060 ;rport (c)"
    one, other = Via.parse_many(text)
    assert (one.transport, one.host, one.branch) == ("UDP", "192.0.2.2", "390skdjuw")
    assert (other.transport, other.host, other.port, other.rport, other.comment) == ("TCP", "[::1]", 5060, "", "c")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "garbage",
        "SIP/2.0/UDP",
        "SIP/2.0/UDP a;branch=1;",
        "SIP/2.0/UDP a;=1",
        "SIP/2.0/UDP a:b",
        "SIP/2.0/UDP a:99999",
    ],
)
def test_a_broken_via_is_refused(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        Via.parse(text)


def test_a_via_can_be_given_a_parameter() -> None:
    via = Via.parse("SIP/2.0/UDP a;rport;branch=1").with_parameter("rport", "5062").with_parameter("received", "::1")
    assert str(via) == "SIP/2.0/UDP a;rport=5062;branch=1;received=::1"


def test_parameters_are_found_whatever_the_case_of_their_name() -> None:
    found = Parameters.parse('a=1; B = "x;y" ;c;a=2')
    assert [found.get(name) for name in ("A", "b", "c", "d")] == ["1", "x;y", "", None]
    assert "C" in found and "d" not in found
    assert str(found) == 'a=1;B="x;y";c;a=2'
    assert len(found) == 4


@pytest.mark.parametrize("text", ["a=1;", "a=", "a=;b", "=1", 'a="x', "a=x y", "a b", 'a="x"y;b', "a=x,b", " "])
def test_a_bad_parameter_spoils_the_list(text: str) -> None:
    with pytest.raises(SipSyntaxError):
        Parameters.parse(text)


def test_there_is_a_limit_to_parameters() -> None:
    assert len(Parameters.parse(";".join(["a"] * MAX_PARAMETERS))) == MAX_PARAMETERS
    with pytest.raises(SipSyntaxError):
        Parameters.parse(";".join(["a"] * (MAX_PARAMETERS + 1)))


def test_parameters_can_be_set_and_taken_away() -> None:
    found = Parameters.parse("a=1;b;a=2")
    assert str(found.with_value("A", "x y")) == 'A="x y";b'
    assert str(found.with_value("c", None)) == "a=1;b;a=2;c"
    assert str(found.without("A")) == "b"
    for name, value in (("x;y", "1"), ("", None), ("x", 'a"b'), ("x=1", None)):
        with pytest.raises(SipSyntaxError):
            found.with_value(name, value)


names = st.text("abcXYZ-.", min_size=1, max_size=5)
plain = st.builds(Parameter, names, st.none() | st.text("abc019.:[]/@", min_size=1, max_size=5), st.just(False))
quoted = st.builds(Parameter, names, st.text("abc ;,=<>", max_size=5), st.just(True))


@given(st.lists(plain | quoted, min_size=1, max_size=6).map(tuple).map(Parameters))
def test_printed_parameters_are_read_as_the_same(parameters: Parameters) -> None:
    assert Parameters.parse(str(parameters)) == parameters


fragments = st.lists(
    st.sampled_from([*'<>",;:=\\ ()\r\n/', "sip:a@b", "Alice", "tag=1", "SIP/2.0/UDP", "h", "\udc80"]), max_size=9
).map("".join)


@given(fragments | st.text(max_size=30))
def test_any_text_is_read_or_is_a_syntax_error(text: str) -> None:
    for parse in (Parameters.parse, NameAddr.parse_many, Via.parse_many):
        try:
            parse(text)
        except SipSyntaxError as error:
            assert 0 <= error.position <= len(text)


@given(fragments)
def test_a_printed_address_is_read_as_the_same(text: str) -> None:
    try:
        found = NameAddr.parse(text)
    except SipSyntaxError:
        return
    assert NameAddr.parse(str(found)) == found


def outcome(parse, text):
    try:
        return parse(text)
    except SipSyntaxError:
        return None


@given(st.lists(st.sampled_from(["a", "b=1", "c=", ";", "=", ",", "(", ")", '"', "<", "?", " ", "x"]), max_size=8))
def test_parameters_are_the_same_with_and_without_a_blank_in_front(parts: list[str]) -> None:
    text = "".join(parts)
    assert outcome(Parameters.parse, text) == outcome(Parameters.parse, f" {text}") or not text


@given(
    st.sampled_from(["SIP/2.0/UDP ", "SIP/2.0/TCP", "sip/2.0/u_p ", "SIP/2/x-y "]),
    st.lists(
        st.sampled_from(["h", "1.2", "[::1]", ":", "5060", "65536", ";a=1", ";rport", ",", "(c)", " "]), max_size=6
    ),
)
def test_a_via_is_the_same_with_and_without_a_blank_in_front(front: str, parts: list[str]) -> None:
    text = front + "".join(parts)
    assert outcome(Via.parse_many, text) == outcome(Via.parse_many, f" {text}")
