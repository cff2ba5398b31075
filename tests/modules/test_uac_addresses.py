"""From and To under another name."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.uac.addresses import MAX_KEPT, Swap, renamed
from miscript.sip.syntax import SipSyntaxError

OLD = '"Alice" <sip:alice@a.com>;tag=1'


@pytest.mark.parametrize(
    ("display", "uri", "new"),
    [
        (None, "sip:robin@g.org", '"Alice" <sip:robin@g.org>;tag=1'),
        ("batman", "sip:robin@g.org", "batman <sip:robin@g.org>;tag=1"),
        ("batman", "", "batman <sip:alice@a.com>;tag=1"),
        ("", "", "<sip:alice@a.com>;tag=1"),
        ("Bat Man", "", '"Bat Man" <sip:alice@a.com>;tag=1'),
        ("J. Doe, Esq", "", '"J. Doe, Esq" <sip:alice@a.com>;tag=1'),
        ('"quoted"', "", '"quoted" <sip:alice@a.com>;tag=1'),
    ],
)
def test_name_and_uri_are_changed_or_stay(display: str | None, uri: str, new: str):
    assert renamed(OLD, display, uri) == new


def test_an_address_without_brackets_gets_them():
    assert renamed("sip:a@x;tag=1", None, "sip:b@x;transport=tcp") == "<sip:b@x;transport=tcp>;tag=1"


@pytest.mark.parametrize(("display", "uri"), [(None, "rubbish"), (None, "sip:a@x>;tag=2"), ("a\r\nX: y", "")])
def test_what_would_be_something_else_is_refused(display: str | None, uri: str):
    with pytest.raises(SipSyntaxError):
        renamed(OLD, display, uri)


@given(st.text(max_size=40), st.text(max_size=40))
def test_any_texts_give_one_address_or_a_syntax_error(display: str, uri: str) -> None:
    try:
        new = renamed(OLD, display, uri)
    except SipSyntaxError:
        return
    assert new.endswith(f"<{uri or 'sip:alice@a.com'}>;tag=1") and "\n" not in new


@pytest.mark.parametrize("password", ["", "secret"])
def test_what_is_kept_is_read_back(password: str):
    swap = Swap("sip:alice@a.com", "sip:robin@g.org;x=1")
    kept = swap.kept(password)
    assert Swap.read(kept, password) == swap
    assert Swap.read(kept, "other") is None
    assert not set(kept) & set(';=<>,"')


def test_what_is_sealed_tells_nothing_and_cannot_be_changed():
    kept = Swap("sip:alice@a.com", "sip:robin@g.org").kept("secret")
    for place in range(len(kept) - 1):
        changed = kept[:place] + ("A" if kept[place] != "A" else "B") + kept[place + 1 :]
        assert Swap.read(changed, "secret") is None


@given(st.text(max_size=100), st.sampled_from(["", "secret"]))
def test_any_text_is_read_or_left(text: str, password: str) -> None:
    Swap.read(text, password)
    assert Swap.read("A" * (MAX_KEPT + 1), password) is None
