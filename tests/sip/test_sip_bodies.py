"""Parts of bodies (RFC 2046)."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import SipSyntaxError
from miscript.sip.multipart import MAX_PARTS, BodyPart, body_parts, media_type

MIXED = "multipart/mixed; boundary=b1"


def test_an_ordinary_body_is_its_only_part() -> None:
    assert body_parts("Text/Plain ; charset=x", b"hello") == (BodyPart("text/plain", b"hello"),)


def test_a_body_that_is_empty_or_has_no_type_has_no_parts() -> None:
    assert body_parts("application/sdp", b"") == body_parts(None, b"x") == ()


def test_preamble_epilogue_and_line_ends_at_boundaries_are_no_part() -> None:
    body = (
        b"pre\r\n--b1\r\nContent-Type: a/B;c=d\r\n\r\none\r\n\r\n--b1 \t\r\n\r\ntwo\r\n--b1--\r\npost\r\n--b1\r\n\r\nno"
    )
    assert body_parts(MIXED, body) == (BodyPart("a/b", b"one\r\n"), BodyPart("text/plain", b"two"))


def test_bare_line_feeds_and_a_missing_end_are_read() -> None:
    body = b"--b1\nc: x/y\n\none\n--b1\n\ntwo\n"
    assert body_parts(MIXED, body) == (BodyPart("x/y", b"one"), BodyPart("text/plain", b"two\n"))


def test_a_longer_boundary_is_another_one() -> None:
    assert body_parts(MIXED, b"--b1\r\n\r\na\r\n--b12\r\nb\r\n--b1--") == (BodyPart("text/plain", b"a\r\n--b12\r\nb"),)


def test_parts_without_content_and_nested_ones_stay_as_they_are() -> None:
    body = (
        b"--b1\r\n--b1\r\nX: y\r\n--b1\r\nc: multipart/alternative;boundary=b2\r\n\r\n--b2\r\n\r\nx\r\n--b2--\r\n--b1--"
    )
    assert body_parts(MIXED, body) == (
        BodyPart("text/plain", b""),
        BodyPart("text/plain", b""),
        BodyPart("multipart/alternative", b"--b2\r\n\r\nx\r\n--b2--"),
    )


def test_no_more_parts_are_read_than_the_limit() -> None:
    assert len(body_parts(MIXED, b"--b1\r\n\r\nx\r\n" * (MAX_PARTS + 5))) == MAX_PARTS


@pytest.mark.parametrize("wrong", ["", "text", "text/", "/plain", "a b/c", "text/plain; x=", "multipart/mixed"])
def test_what_is_no_media_type_is_refused(wrong: str) -> None:
    with pytest.raises(SipSyntaxError):
        body_parts(wrong, b"x")


@given(st.text(max_size=60), st.binary(max_size=200))
def test_any_type_and_body_give_parts_or_the_error(kind: str, body: bytes) -> None:
    try:
        media_type(kind)
        body_parts(kind, body)
    except SipSyntaxError:
        pass
    for part in body_parts('multipart/x;boundary="-"', body):
        assert part.data in body


@given(st.lists(st.binary(max_size=40).filter(lambda data: b"--b1" not in data), min_size=1, max_size=8))
def test_parts_come_back_as_they_were_put_together(contents: list[bytes]) -> None:
    body = b"".join(b"--b1\r\nc: x/y\r\n\r\n" + content + b"\r\n" for content in contents) + b"--b1--\r\n"
    found = [part.data for part in body_parts(MIXED, body)]
    assert found == contents
