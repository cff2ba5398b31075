"""Other numbers in CSeq and RAck."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Message
from miscript.sip.dialogs import MAX_CSEQ
from miscript.sip.sequence_numbers import acknowledged_cseq, renumber, renumber_acknowledged, written_cseq
from miscript.values import encode


def message(cseq: str = "1 INVITE", rack: str | None = None, name: str = "RAck") -> Message:
    acknowledged = "" if rack is None else f"{name}: {rack}\r\n"
    return Message.parse(encode(f"PRACK sip:b SIP/2.0\r\nCSeq: {cseq}\r\n{acknowledged}\r\n"))


def test_a_number_is_changed_as_often_as_one_likes_and_its_method_stays():
    one = message("7  \t INVITE")
    assert (written_cseq(one), renumber(one, 8), renumber(one, 9)) == (7, True, True)
    assert written_cseq(one) == 9
    assert one.cseq == (7, "INVITE")
    assert b"CSeq: 9 INVITE\r\n" in one.to_bytes()


@pytest.mark.parametrize("number", [-1, MAX_CSEQ + 1])
def test_a_number_that_is_none_changes_nothing(number: int):
    one = message()
    assert not renumber(one, number)
    assert not one.is_edited


@pytest.mark.parametrize("rack", ["776656 1 INVITE", "776656\t1   INVITE"])
def test_a_rack_names_another_request(rack: str):
    one = message(rack=rack, name="rack")
    assert acknowledged_cseq(one) == 1
    renumber_acknowledged(one, 2)
    assert b"776656 2 INVITE\r\n" in one.to_bytes()


TEXTS = (
    st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=30)
    | st.from_regex(r"[0-9]{1,11}[ \t]+[A-Z]{1,8}", fullmatch=True)
    | st.from_regex(r"[0-9]{1,11}[ \t]+[0-9]{1,11}[ \t]+[A-Z]{1,8}", fullmatch=True)
)


@given(TEXTS, st.integers(-5, 2**33))
def test_any_text_has_a_number_or_none(text: str, number: int):
    one = message(text, rack=text)
    before = written_cseq(one), acknowledged_cseq(one)
    assert renumber(one, number) == (before[0] is not None and 0 <= number <= MAX_CSEQ)
    if before[1] is not None:
        renumber_acknowledged(one, 3)
        assert acknowledged_cseq(Message.parse(one.to_bytes())) == 3


def test_without_the_fields_nothing_happens():
    one = Message.parse(b"ACK sip:b SIP/2.0\r\n\r\n")
    renumber_acknowledged(one, 2)
    assert (written_cseq(one), acknowledged_cseq(one), renumber(one, 2), one.is_edited) == (None, None, False, False)
