"""URIs are read part by part and printed as they were written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Parameters, SipSyntaxError, SipUri

WHOLE = (
    "sips:alice:pw@example.com:5070;transport=tls;lr;ttl=3;maddr=1.2.3.4;method=INVITE;user=phone;x=y;flag"
    "?Subject=hi&Priority=urgent"
)


def test_every_part_of_a_uri_has_its_accessor() -> None:
    uri = SipUri.parse(WHOLE)
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port) == ("sips", "alice", "pw", "example.com", 5070)
    assert uri.is_secure
    assert uri.headers == "Subject=hi&Priority=urgent"
    assert (uri.transport, uri.ttl, uri.maddr, uri.method, uri.user_parameter) == (
        "tls",
        "3",
        "1.2.3.4",
        "INVITE",
        "phone",
    )
    assert (uri.lr, uri.r2) == ("", None)
    assert uri.parameters.get("X") == "y"
    assert str(uri) == WHOLE


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sip:example.com", ("sip", None, None, "example.com", None)),
        ("SIP:Alice@EX.com:05060", ("SIP", "Alice", None, "EX.com", "05060")),
        ("sip:u;p=1:pw@h", ("sip", "u;p=1", "pw", "h", None)),
        ("sip:u:@h", ("sip", "u", "", "h", None)),
        ("sip:h:", ("sip", None, None, "h", "")),
        ("sip:bob@[2001:db8::1]:5080", ("sip", "bob", None, "[2001:db8::1]", "5080")),
        ("sip:a/b?c;d&e=+$,@h", ("sip", "a/b?c;d&e=+$,", None, "h", None)),
        ("sip:a%40b@h-.x_y", ("sip", "a%40b", None, "h-.x_y", None)),
        ("tel:+1-23(4);phone-context=x.y", ("tel", "+1-23(4)", None, "", None)),
        ("urn:service:sos.fire", ("urn:service", None, None, "sos.fire", None)),
    ],
)
def test_the_parts_are_kept_as_written(text: str, parts: tuple[str | None, ...]) -> None:
    uri = SipUri.parse(text)
    assert (uri.scheme, uri.user, uri.password, uri.host, uri.port_text) == parts
    assert str(uri) == text


@pytest.mark.parametrize(
    ("text", "position"),
    [
        ("not a uri", 0),
        ("", 0),
        ("sip", 0),
        ("http://x.y/z", 0),
        ("<sip:a@b>", 0),
        (" sip:a@b", 0),
        ("sip:", 4),
        ("sip:@h", 4),
        ("sip::pw@h", 4),
        ("sip:a b@h", 5),
        ("sip:a@b@c", 7),
        ("sip:a@b ", 7),
        ("sip:a@h:70000", 8),
        ("sip:h:5a", 7),
        ("sip:[::1", 4),
        ("sip:u@[::1]x", 11),
        ("sip:a@h\r\nX: 1", 7),
        ("tel:", 4),
        ("urn:service:", 12),
    ],
)
def test_a_broken_uri_names_the_place(text: str, position: int) -> None:
    with pytest.raises(SipSyntaxError) as caught:
        SipUri.parse(text)
    assert caught.value.position == position


def test_a_part_can_be_exchanged() -> None:
    uri = SipUri.parse("sip:bob:pw@example.org:5070;transport=tcp?x=y")
    assert str(uri.with_user("carol")) == "sip:carol:pw@example.org:5070;transport=tcp?x=y"
    assert str(uri.with_user(None)) == "sip:example.org:5070;transport=tcp?x=y"
    assert str(uri.with_host("[::1]")) == "sip:bob:pw@[::1]:5070;transport=tcp?x=y"
    assert str(uri.with_port(None)) == "sip:bob:pw@example.org;transport=tcp?x=y"
    assert str(uri.with_port(77)) == "sip:bob:pw@example.org:77;transport=tcp?x=y"
    assert str(uri.with_parameters(Parameters())) == "sip:bob:pw@example.org:5070?x=y"
    assert str(SipUri.parse("sip:h").with_user("u")) == "sip:u@h"


@pytest.mark.parametrize("user", ["a@b", "a:b", "a b", "", "a\r\nb", "a>b"])
def test_a_new_user_cannot_bring_other_parts(user: str) -> None:
    with pytest.raises(SipSyntaxError):
        SipUri.parse("sip:bob@h").with_user(user)


def test_a_new_host_or_port_cannot_bring_other_parts() -> None:
    uri = SipUri.parse("sip:bob@h")
    for host in ("h;lr", "a@b", "h:1", "", "h?x"):
        with pytest.raises(SipSyntaxError):
            uri.with_host(host)
    for port in (-1, 65536):
        with pytest.raises(SipSyntaxError):
            uri.with_port(port)


tokens = st.text("abcXYZ019-_.!~*'()", min_size=1, max_size=8)
uris = st.builds(
    SipUri,
    scheme=st.sampled_from(["sip", "sips", "SIP"]),
    host=st.sampled_from(["example.com", "10.0.0.1", "[2001:db8::1]", "h_x"]),
    user=st.none() | st.text("abc019-_.!~*'()&=+$,;?/%", min_size=1, max_size=8),
    port_text=st.none() | st.sampled_from(["", "0", "5060", "05060", "65535"]),
    params=st.none() | st.lists(tokens, max_size=3).map(";".join),
    headers=st.none() | st.text("abc=&%?/", max_size=6),
)


@given(uris)
def test_a_printed_uri_is_read_as_the_same(uri: SipUri) -> None:
    assert SipUri.parse(str(uri)) == uri


@given(st.text(max_size=40) | st.text("sipe:@;?=[]%1.a ", max_size=12).map("sip:".__add__))
def test_any_text_is_a_uri_or_a_syntax_error(text: str) -> None:
    try:
        uri = SipUri.parse(text)
    except SipSyntaxError as error:
        assert 0 <= error.position <= len(text)
    else:
        assert str(uri) == text
        assert uri.port is None or 0 <= uri.port <= 65535
