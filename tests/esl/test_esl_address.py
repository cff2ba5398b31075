"""URLs of event sockets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.esl import EslError, EventSocketAddress


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("fs://:ClueCon@10.0.0.10", EventSocketAddress("10.0.0.10", 8021, "", "ClueCon")),
        (":ClueCon@10.0.0.11:9021?DTMF,BACKGROUND_JOB", ("10.0.0.11", 9021, "", "ClueCon", ("DTMF", "BACKGROUND_JOB"))),
        ("me:pw@fs.example.com", EventSocketAddress("fs.example.com", 8021, "me", "pw")),
        ("10.0.0.10", EventSocketAddress("10.0.0.10")),
        ("10.0.0.10:0", EventSocketAddress("10.0.0.10")),
        (":p@ss:w@h", EventSocketAddress("h", 8021, "", "p@ss:w")),
        ("fs://:pw@[::1]:8022", EventSocketAddress("::1", 8022, "", "pw")),
        ("h? CUSTOM sofia::register ,,DTMF", ("h", 8021, "", "", ("CUSTOM sofia::register", "DTMF"))),
    ],
)
def test_a_url_is_read(url, address):
    assert EventSocketAddress.parse(url) == (EventSocketAddress(*address) if isinstance(address, tuple) else address)


@pytest.mark.parametrize(
    "url",
    ["", "fs://", ":pw@", "http://:pw@h", "a b", "h:port", "h:70000", "h:", "h/db", "h\n", "x" * 300, ":p\nw@h", "a,b"],
)
def test_what_is_no_url_is_refused(url):
    with pytest.raises(EslError):
        EventSocketAddress.parse(url)


def test_the_password_is_never_shown():
    address = EventSocketAddress.parse("me:secret@h:1")
    assert "secret" not in f"{address} {address!r}"
    with pytest.raises(EslError) as refused:
        EventSocketAddress.parse("me:secret@h:port")
    assert "secret" not in str(refused.value)


def test_an_ipv6_address_is_shown_in_brackets():
    assert str(EventSocketAddress("::1", 8021)) == "[::1]:8021"


@given(st.text(st.sampled_from("fs:/@?,[]0189.a\n"), max_size=30))
def test_any_text_is_an_address_or_the_documented_error(url):
    try:
        address = EventSocketAddress.parse(url)
    except EslError:
        return
    assert EventSocketAddress.parse(str(address)) == EventSocketAddress(address.host, address.port)
