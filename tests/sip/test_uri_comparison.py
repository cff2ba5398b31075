"""Equality of URIs, with the examples of RFC 3261 section 19.1.4."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip.uri_comparison import same_uri_text


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtLanTa.CoM;Transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com;security=on"),
        ("sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"),
        (
            "sip:alice@atlanta.com?subject=project%20x&priority=urgent",
            "sip:alice@atlanta.com?priority=urgent&subject=project%20x",
        ),
        ("tel:+1-201-555-0123", "tel:+1.201.555.0123"),
        ("no uri", "no uri"),
    ],
)
def test_uris_that_are_the_same(one, other):
    assert same_uri_text(one, other)
    assert same_uri_text(other, one)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"),
        ("sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"),
        ("sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"),
        ("sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"),
        ("sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"),
        ("sip:bob@h", "sips:bob@h"),
        ("sip:bob@h", "sip:h"),
        ("sip:bob:a@h", "sip:bob:b@h"),
        ("tel:+1201;ext=1", "tel:+1201"),
        ("sip:bob@h;=", "sip:bob@h"),
        ("no uri", "sip:bob@h"),
    ],
)
def test_uris_that_are_different(one, other):
    assert not same_uri_text(one, other)
    assert not same_uri_text(other, one)


@given(st.text(), st.text())
def test_any_text_can_be_compared(one, other):
    assert same_uri_text(one, other) == same_uri_text(other, one)
    assert same_uri_text(one, one)
