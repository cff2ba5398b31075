"""What stands for hidden addresses: Call-IDs of callees, and parameters of Contacts."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.topology_hiding.call_ids import CallIds
from miscript.modules.topology_hiding.contact_info import MAX_TEXT, HidingParameter, Way
from miscript.modules.topology_hiding.hidden_calls import LATE_SECONDS, HiddenCall, HiddenCalls
from miscript.modules.topology_hiding.words import from_base32, from_base64, to_base32, to_base64
from miscript.sip.dialogs import DialogEvent, DialogTable, Leg
from miscript.sip.uri import SipUri

LINE = st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
WAYS = st.builds(
    Way,
    contact=LINE,
    routes=st.lists(LINE, max_size=5).map(tuple),
    socket=LINE,
    of_caller=st.booleans(),
    flags=st.text("UDaAC", max_size=5),
    caller_name=LINE,
    callee_name=LINE,
)
PARAMETERS = [HidingParameter(compact=compact, base32=base32) for compact in (True, False) for base32 in (True, False)]


@given(st.binary(max_size=100))
def test_bytes_come_back_from_their_words(data: bytes) -> None:
    assert from_base64(to_base64(data)) == data
    assert from_base32(to_base32(data)) == data


@given(st.text(max_size=60))
def test_any_text_is_a_word_or_none(text: str) -> None:
    for read in (from_base64, from_base32):
        assert read(text) is None or isinstance(read(text), bytes)


def test_a_call_id_looks_as_it_does_from_opensips() -> None:
    ids = CallIds("DLGCH_", "OpenSIPS")
    assert ids.hidden("call1@10.1.1.1", "atag") == "DLGCH_LBEJAmIJYWNhQUtffXg-"
    assert ids.hidden("aaZaaw", "atag") == "DLGCH_LhE.DzI+"
    assert CallIds("DLGCH_", "OpenSIPS", True).hidden("call1@10.1.1.1", "atag") == (
        "DLGCH_LBEJAmIJYWNhQUtffXgsMjsRAg--"
    )


@given(LINE.filter(bool), LINE, st.booleans())
def test_a_call_id_comes_back(call_id: str, tag: str, with_tag: bool) -> None:
    ids = CallIds("P_", "secret", with_tag)
    if "|" not in tag:
        assert ids.shown(ids.hidden(call_id, tag)) == (call_id, tag if with_tag else None)


@given(st.text(max_size=60))
def test_any_call_id_is_ours_or_not(text: str) -> None:
    found = CallIds("P_", "secret").shown(f"P_{text}")
    assert found is None or not any(sign <= " " for sign in found[0])
    assert CallIds("P_", "secret").shown(f"x{text}") is None


@pytest.mark.parametrize("parameter", PARAMETERS)
@given(WAYS)
def test_a_way_comes_back_and_can_stand_in_a_uri(parameter: HidingParameter, way: Way) -> None:
    text = parameter.text(way)
    assert parameter.way(text) == way
    assert SipUri.parse(f"sip:10.0.0.1;thinfo={text};lr").parameters.get("thinfo") == text


@pytest.mark.parametrize("parameter", PARAMETERS)
@given(st.text(max_size=80))
def test_any_text_is_no_way_of_ours(parameter: HidingParameter, text: str) -> None:
    assert parameter.way(text) is None


@pytest.mark.parametrize("compact", [True, False])
def test_a_way_is_unreadable_and_cannot_be_changed(compact: bool) -> None:
    parameter = HidingParameter(compact=compact)
    sealed = from_base64(parameter.text(Way("sip:bob@192.168.8.8", ("<sip:10.0.0.3;lr>",), "udp:10.0.0.1:5060")))
    assert sealed is not None and b"bob" not in sealed
    for place in range(len(sealed)):
        changed = sealed[:place] + bytes([sealed[place] ^ 1]) + sealed[place + 1 :]
        assert parameter.way(to_base64(changed)) is None


def test_a_way_that_is_too_long_is_refused() -> None:
    noise = random.Random(1)
    routes = tuple(f"<sip:{noise.randbytes(90).hex()};lr>" for _ in range(60))
    with pytest.raises(ValueError, match="too long"):
        HidingParameter().text(Way("sip:bob@192.168.8.8", routes))
    assert HidingParameter().way("A" * (MAX_TEXT + 1)) is None


def test_calls_are_forgotten_some_time_behind_their_end() -> None:
    calls, table = HiddenCalls(), DialogTable()
    for number in range(1024):
        dialog = table.create(f"c{number}", "sip:a@a", "sip:b@b", Leg("t"), now=0.0, lifetime=100)
        assert dialog is not None
        calls.add(HiddenCall(dialog), 0.0)
        if number:
            dialog.handle(DialogEvent.FAILURE, 10.0)
    late = table.create("late", "sip:a@a", "sip:b@b", Leg("t"), now=0.0, lifetime=100)
    assert late is not None
    calls.add(HiddenCall(late), 10.0 + LATE_SECONDS + 1)
    assert len(calls) == 2 and calls.find("c0", "t") is not None and calls.find("c1", "t") is None
