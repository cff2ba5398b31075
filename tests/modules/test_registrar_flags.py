"""The flags of save() and lookup()."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.registrar.flags import (
    LOOKUP_FLAGS,
    SAVE_FLAGS,
    LookupOptions,
    PathMode,
    SaveOptions,
    parse_flags,
)
from miscript.modules.registrar.looking_up import wanted
from miscript.sip.location import Contact, Match


def test_save_takes_its_flags_in_any_order():
    assert SaveOptions.parse("") == SaveOptions()
    assert SaveOptions.parse(
        "memory-only, no-reply,max-contacts=5 ,force-registration,matching-mode=1,path-lazy,path-received,"
        "only-request-contacts,socket-header,min-expires=60,max-expires=3600"
    ) == SaveOptions(True, True, 5, True, Match.URI_AND_CALL_ID, PathMode.LAZY, True, True, True, 60, 3600)
    assert SaveOptions.parse("matching-mode=<rinstance>").matching == "rinstance"


@pytest.mark.parametrize(
    "text",
    ["m", "no-reply=1", "max-contacts", "max-contacts=x", "matching-mode=2", "matching-mode=<>", "a b", "=", ";"],
)
def test_save_refuses_what_it_does_not_know(text: str):
    with pytest.raises(ValueError):
        SaveOptions.parse(text)


def test_lookup_takes_a_pattern_with_commas():
    options = LookupOptions.parse("no-branches, ua-filtering=/a,b|SOFT/i,method-filtering,max-ping-latency=5")
    assert options.no_branches and options.method_filtering and options.agent is not None
    assert options.agent.search(b"my softphone") and not options.agent.search(b"other")
    plain = LookupOptions.parse("ua-filtering=/soft/").agent
    assert plain is not None and not plain.search(b"SOFT")


@pytest.mark.parametrize(
    "text", ["ua-filtering=soft", "ua-filtering=/(/", "ua-filtering=/a/x", "b", "max-ping-latency=x"]
)
def test_lookup_refuses_what_is_no_pattern(text: str):
    with pytest.raises(ValueError):
        LookupOptions.parse(text)


@given(st.text(st.sampled_from("abm-=/, <>1") | st.characters(), max_size=40))
def test_any_text_gives_flags_or_a_value_error(text: str) -> None:
    try:
        found = parse_flags(text, SAVE_FLAGS | LOOKUP_FLAGS)
    except ValueError:
        return
    assert set(found) <= SAVE_FLAGS | LOOKUP_FLAGS


def test_contacts_are_chosen_by_how_long_their_last_ping_took():
    contacts = [Contact(uri=f"sip:{n}", expires=0, latency=n) for n in (30, 10, 20)]

    def chosen(flags: str) -> list[int]:
        return [contact.latency for contact in wanted(contacts, LookupOptions.parse(flags), "INVITE")[0]]

    assert chosen("max-ping-latency=20") == [10, 20]
    assert chosen("sort-by-latency") == [10, 20, 30]
    assert chosen("sort-by-latency, max-ping-latency=15") == [10]
    assert wanted(contacts, LookupOptions.parse("max-ping-latency=5"), "INVITE") == ([], -1)
