"""A late pattern behaves like the compiled one from its first use on."""

from __future__ import annotations

import re

import pytest

from miscript.late_pattern import late_pattern


def test_it_finds_what_the_compiled_one_finds() -> None:
    late, compiled = late_pattern(r"([a-z]+)=(?P<n>\d+)", re.IGNORECASE), re.compile(r"([a-z]+)=(?P<n>\d+)", re.I)
    text = "A=1 b=22 c"
    assert late.findall(text) == compiled.findall(text)
    assert late.sub(r"\2", text) == compiled.sub(r"\2", text)
    assert [m.span() for m in late.finditer(text)] == [m.span() for m in compiled.finditer(text)]
    assert (late.pattern, late.flags, late.groupindex) == (compiled.pattern, compiled.flags, compiled.groupindex)
    found = late.match(text, 4)
    assert found is not None
    assert found["n"] == "22"


def test_it_takes_bytes() -> None:
    assert late_pattern(rb"\r?\n").split(b"a\r\nb\nc") == [b"a", b"b", b"c"]


def test_it_is_compiled_once_and_only_when_used(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    compile = re.compile
    monkeypatch.setattr(re, "compile", lambda *given: asked.append(given) or compile(*given))
    late = late_pattern("a+")
    assert asked == []
    assert late.match("aa")
    assert late.fullmatch("aa")
    assert asked == [("a+", 0)]


def test_a_wrong_one_is_told_when_it_is_used() -> None:
    late = late_pattern("(")
    with pytest.raises(re.error):
        late.match("")


def test_what_patterns_do_not_have_it_does_not_have() -> None:
    for name in ("no_such_method", "__no_such__"):
        with pytest.raises(AttributeError):
            getattr(late_pattern("a"), name)
