"""Patterns of PCRE2 through our declarations of its library."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.pcre import PcreError, PcreOption, compile_pcre


def found(pattern: str, text: bytes, options: PcreOption = PcreOption.NONE) -> bytes | None:
    match = compile_pcre(pattern, options).search(text)
    return None if match is None else match.group()


def test_groups_and_those_that_took_no_part_are_told():
    match = compile_pcre("w(or)ld(x)?").search(b"hello world")
    assert match is not None and match.spans == ((6, 11), (7, 9), None)
    assert match.group(1) == b"or" and match.group(2) == b""


def test_what_only_pcre_has_works():
    assert found(r"\Q+1\E", b"a+1") == b"+1"
    assert found(r"^\((?:[^()]|(?R))*\)$|x", b"x") == b"x"
    assert found(r"(?i)sip(?-i)X", b"SIPX") == b"SIPX" and found(r"(?i)sip(?-i)X", b"sipx") is None
    assert found(r"user=\K[[:alpha:]]++", b"user=bob") == b"bob"


def test_options_change_what_matches():
    assert found("abc", b"ABC") is None and found("abc", b"ABC", PcreOption.CASELESS) == b"ABC"
    assert found("^b", b"a\nb") is None and found("^b", b"a\nb", PcreOption.MULTILINE) == b"b"
    assert found("a.b", b"a\nb") is None and found("a.b", b"a\nb", PcreOption.DOTALL) == b"a\nb"
    assert found("a b", b"ab") is None and found("a b", b"ab", PcreOption.EXTENDED) == b"ab"


def test_a_subject_may_hold_any_byte():
    assert found(r"b\x00\xff", b"ab\x00\xff") == b"b\x00\xff"


def test_a_broken_pattern_is_refused_with_its_place():
    with pytest.raises(PcreError, match=r"missing closing parenthesis at offset 2 of '\(x'"):
        compile_pcre("(x")


def test_a_match_without_end_is_given_up():
    with pytest.raises(PcreError, match="limit"):
        compile_pcre("(a+)+$").search(b"a" * 40 + b"b")


@given(st.text(st.sampled_from("ab^$.*+?()[]{}|\\-0d,Q:E"), max_size=30), st.binary(max_size=30))
def test_any_pattern_and_subject_end_well(pattern: str, subject: bytes):
    try:
        match = compile_pcre(pattern).search(subject)
    except PcreError:
        return
    assert match is None or 0 <= match.start <= match.end <= len(subject)


@given(st.text(st.sampled_from("ab.|*"), max_size=8), st.text(st.sampled_from("ab"), max_size=12))
def test_simple_patterns_match_as_in_python(pattern: str, text: str):
    try:
        expected = re.search(pattern, text)
    except re.error:
        return
    match = compile_pcre(pattern).search(text.encode())
    assert (match and match.spans[0]) == (expected and expected.span())
