"""Edits of the text and the body of a message: kept as a list, made when it is written."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Message, SipSyntaxError
from miscript.sip.edits import Edit, edited_parts, in_order, replacement

SENT = (
    b"INVITE sip:b@h SIP/2.0\r\nVia: SIP/2.0/UDP a;branch=z9hG4bK1\r\nSubject: one\r\nX-Foo: one\r\n"
    b"Content-Type: text/plain\r\nContent-Length: 7\r\n\r\nhello\r\n"
)


def message(data=SENT):
    return Message.parse(data)


def replace(found, old, new):
    at = found.text_to_edit.index(old)
    found.edit_text([(at, at + len(old), new)])


def test_an_edit_of_the_text_shows_only_when_the_message_is_written():
    found = message()
    replace(found, b"one", b"two")
    assert found.header("Subject") == "one"
    assert found.to_bytes() == SENT.replace(b"Subject: one", b"Subject: two")


def test_two_texts_for_the_same_piece_both_stay():
    found = message()
    replace(found, b"one", b"1")
    replace(found, b"one", b"2")
    assert b"Subject: 12\r\n" in found.to_bytes()


@pytest.mark.parametrize("longer_first", [True, False])
@pytest.mark.parametrize("shorter", [b"h", b"ll", b"o"])
def test_a_text_goes_with_its_piece_when_a_longer_one_holds_that(longer_first, shorter):
    found = message()
    for piece, text in sorted(
        [(b"hello", b"bye"), (shorter, b"X")], key=lambda each: (len(each[0]) > 2) != longer_first
    ):
        replace(found, piece, text)
    assert found.written_body == b"bye\r\n"


@pytest.mark.parametrize("removed_first", [True, False])
def test_what_is_put_into_a_field_that_goes_is_left_out(removed_first):
    found = message()
    if removed_first:
        found.remove_hf("Subject")
    replace(found, b"Subject: o", b"Topic: o")
    if not removed_first:
        found.remove_hf("Subject")
    assert found.to_bytes() == SENT.replace(b"Subject: one\r\n", b"")


def test_content_length_follows_an_edit_of_the_body():
    found = message()
    replace(found, b"hello", b"good morning")
    assert found.body == b"hello\r\n"
    assert found.written_body == b"good morning\r\n"
    assert found.to_bytes() == SENT.replace(b"hello", b"good morning").replace(b": 7", b": 14")


def test_a_body_that_was_put_in_place_can_be_edited():
    found = message()
    found.replace_body(b"other words")
    replace(found, b"words", b"texts")
    assert (found.body, found.written_body) == (b"hello\r\n", b"other texts")


def test_a_body_that_was_set_is_seen_with_its_type_and_stays_when_others_change_it_later():
    found = message()
    found.set_body(b"v=0", b"Content-Type: application/sdp\r\n")
    found.replace_body(b"v=1")
    assert (found.body_type, found.body, found.written_body) == ("application/sdp", b"v=0", b"v=1")
    assert b"Content-Type: application/sdp\r\nContent-Length: 3\r\n\r\nv=1" in found.to_bytes()


def test_a_body_without_a_type_before_gets_the_field_behind_the_others():
    found = message(b"BYE sip:b@h SIP/2.0\r\nContent-Length: 0\r\n\r\n")
    found.replace_body(b"x", b"Content-Type: a/b\r\n")
    assert found.to_bytes() == b"BYE sip:b@h SIP/2.0\r\nContent-Length: 1\r\nContent-Type: a/b\r\n\r\nx"


def test_what_came_behind_the_body_does_not_go_on_with_a_new_one():
    found = message(SENT + b"more")
    found.replace_body(b"x")
    assert found.to_bytes().endswith(b"\r\n\r\nx")


@pytest.mark.parametrize(("old", "new"), [(b"Subject: one", b"\r\n"), (b"one\r\nX", b"\n\nX"), (b"7\r\n\r\nh", b"7")])
def test_an_edit_that_would_end_the_header_fields_is_refused_with_all_that_came_with_it(old, new):
    found = message()
    at = found.text_to_edit.index(old)
    with pytest.raises(SipSyntaxError):
        found.edit_text([(0, 3, b"Via"), (at, at + len(old), new)])
    assert not found.is_edited


def test_copies_have_edits_of_their_own():
    one = message()
    replace(one, b"hello", b"one")
    two = one.copy()
    replace(two, b"\r\n", b"")
    two.replace_body(b"two")
    assert one.written_body == b"one\r\n" and two.written_body == b"two"


def test_another_status_is_seen_and_written():
    reply = message(b"SIP/2.0 603 Decline\r\nCSeq: 1 INVITE\r\n\r\n")
    reply.change_status(404, "Not Found")
    assert (reply.status, reply.reason) == (404, "Not Found")
    assert reply.copy().to_bytes() == b"SIP/2.0 404 Not Found\r\nCSeq: 1 INVITE\r\n\r\n"
    for status, reason in ((99, "x"), (700, "x"), (404, "x\r\nX: y")):
        with pytest.raises(ValueError):
            reply.change_status(status, reason)
    with pytest.raises(ValueError):
        message().change_status(200, "OK")


pieces = st.tuples(st.integers(0, 12), st.integers(0, 6), st.binary(max_size=3))


@given(st.lists(pieces, max_size=8))
def test_any_edits_give_a_text_and_those_that_do_not_touch_each_other_are_all_made(found):
    data = b"0123456789abcdefgh"
    edits = [edit for start, size, text in found for edit in replacement(start, start + size, text)]
    b"".join(edited_parts(data, 0, in_order(edits, len(data))))
    apart = sorted({start: (start, start + size, text) for start, size, text in found if size}.values())
    apart = [one for n, one in enumerate(apart) if n == len(apart) - 1 or one[1] < apart[n + 1][0]]
    expected, at = b"", 0
    for start, end, text in apart:
        expected += data[at:start] + text
        at = end
    edits = [edit for one in reversed(apart) for edit in replacement(*one)]
    assert b"".join(edited_parts(data, 0, in_order(edits, len(data)))) == expected + data[at:]


def test_additions_at_the_end_of_the_fields_stand_before_the_place_they_are_given():
    assert in_order([Edit(-1, -1, b"x"), Edit(9, 9, b"y")], 5) == [Edit(5, 5, b"x"), Edit(9, 9, b"y")]
