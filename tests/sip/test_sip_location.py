"""The tables of a location service."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip.location import (
    ALL_METHODS,
    ANY_METHOD,
    METHODS,
    PERMANENT,
    Change,
    Contact,
    LocationTable,
    Match,
    expired,
    method_mask,
)
from miscript.sip.syntax import SipSyntaxError

NOW = 1000.5


def contact(uri: str = "sip:a@10.0.0.1", expires: int = 2000, **values: object) -> Contact:
    return Contact(uri=uri, expires=expires, **values)


class Seen:
    """Notes what a table tells."""

    def __init__(self) -> None:
        self.changes: list[tuple[Change, str, str | None]] = []

    def __call__(self, table: LocationTable, change: Change, aor: str, about: Contact | None) -> None:
        self.changes.append((change, aor, None if about is None else about.uri))

    def take(self) -> list[tuple[Change, str, str | None]]:
        taken, self.changes = self.changes, []
        return taken


def table(**options: bool) -> tuple[LocationTable, Seen]:
    seen = Seen()
    return LocationTable("location", seen, 7, **options), seen


def test_contacts_stand_in_the_order_of_their_q_and_equal_ones_in_that_of_their_coming():
    location, _ = table()
    for uri, q in [("sip:a@x", -1), ("sip:b@x", 500), ("sip:c@x", 1000), ("sip:d@x", 500), ("sip:e@x", 0)]:
        location.insert("bob", contact(uri, q=q))
    assert [c.uri for c in location.record("bob").contacts] == ["sip:c@x", "sip:b@x", "sip:d@x", "sip:e@x", "sip:a@x"]
    assert [c.id for c in location.valid("bob", NOW)] == [9, 8, 10, 11, 7]


def test_the_newest_contact_comes_first_where_that_is_asked_for():
    location, _ = table(newest_first=True)
    first = location.insert("bob", contact("sip:a@x", q=1000))
    location.insert("bob", contact("sip:b@x"))
    assert [c.uri for c in location.valid("bob", NOW)] == ["sip:b@x", "sip:a@x"]
    location.update("bob", first, replace(first, expires=3000))
    assert [c.uri for c in location.valid("bob", NOW)] == ["sip:a@x", "sip:b@x"]


def test_an_update_keeps_id_and_place_unless_q_changes():
    location, _ = table()
    first = location.insert("bob", contact("sip:a@x", q=500))
    location.insert("bob", contact("sip:b@x", q=500))
    first = location.update("bob", first, contact("sip:a@x", q=500, cseq=2))
    assert [(c.uri, c.id) for c in location.valid("bob", NOW)] == [("sip:a@x", 7), ("sip:b@x", 8)]
    location.update("bob", first, contact("sip:a@x", q=100))
    assert [(c.uri, c.id) for c in location.valid("bob", NOW)] == [("sip:b@x", 8), ("sip:a@x", 7)]


def test_every_change_is_told():
    location, seen = table()
    first = location.insert("bob", contact("sip:a@x"))
    assert seen.take() == [(Change.AOR_INSERT, "bob", None), (Change.CONTACT_INSERT, "bob", "sip:a@x")]
    location.update("bob", first, contact("sip:a@y"))
    assert seen.take() == [(Change.CONTACT_UPDATE, "bob", "sip:a@y")]
    location.insert("bob", contact("sip:b@x"))
    seen.take()
    assert location.remove_all("bob") and not location.remove_all("bob")
    assert seen.take() == [
        (Change.CONTACT_DELETE, "bob", "sip:a@y"),
        (Change.CONTACT_DELETE, "bob", "sip:b@x"),
        (Change.AOR_DELETE, "bob", None),
    ]
    assert (location.users, location.contacts) == (0, 0)


def test_what_is_over_is_not_found_and_goes_with_expire():
    location, _ = table()
    location.insert("bob", contact("sip:a@x", 1000))
    location.insert("bob", contact("sip:b@x", 1001))
    location.insert("bob", contact("sip:c@x", PERMANENT))
    assert [c.uri for c in location.valid("bob", NOW)] == ["sip:b@x", "sip:c@x"]
    location.insert("alice", contact("sip:d@x", 5000))
    for now, gone, left in ((999, 0, 4), (NOW, 1, 3), (1e12, 2, 1)):
        over = [record for portion in location.portions() for record in expired(portion, now)]
        assert (sum(location.expire_record(record, now) for record in over), location.contacts) == (gone, left)
    assert location.valid("alice", NOW) == [] and location.users == 1


def test_contacts_of_the_same_kind_of_phone_share_its_name():
    location, _ = table()
    first, second = (
        location.insert("bob", replace(contact(uri), user_agent=agent())) for uri in ("sip:a@x", "sip:b@x")
    )
    assert first.user_agent is second.user_agent
    assert location.update("bob", first, replace(first, user_agent=agent())).user_agent is second.user_agent


def agent() -> str:
    return "".join(["Phone", "/", "1"])


def test_a_contact_that_is_no_uri_is_refused_and_leaves_nothing():
    location, seen = table()
    for uri in ("xyz", "mailto:a@x", "sip:a@", ""):
        with pytest.raises(SipSyntaxError):
            location.insert("bob", contact(uri))
    assert location.users == 0 and not seen.changes


def test_contacts_are_recognised_by_uri_by_call_id_too_or_by_a_parameter():
    location, _ = table()
    one = location.insert("bob", contact("sip:a@x;line=1", call_id="c1"))
    two = location.insert("bob", contact("sip:a@x;line=1", call_id="c2"))
    three = location.insert("bob", contact("sip:a@y", call_id="c1"))
    record = location.record("bob")
    assert record.find("sip:a@x;line=1", "c2", Match.URI) is one
    assert record.find("sip:a@x;line=1", "c2", Match.URI_AND_CALL_ID) is two
    assert record.find("sip:a@z", "c1", Match.URI_AND_CALL_ID) is None
    assert record.find("sip:other@z;LINE=1", None, "line") is one
    assert record.find("sip:a@y", None, "line") is three
    assert record.find("sip:a@x;line=2", None, "line") is None


def test_the_next_hop_is_the_path_before_the_received_address_before_the_contact():
    path = "<sip:p1@10.0.0.9:99;lr>, <sip:p2@x;lr>"
    plain = contact()
    assert plain.destination is None and plain.next_hop is not None and plain.next_hop.host == "10.0.0.1"
    received = replace(plain, received="sip:1.2.3.4:5")
    assert received.destination == "sip:1.2.3.4:5"
    assert replace(received, path=path).destination == "sip:p1@10.0.0.9:99;lr"
    assert replace(received, path='"broken').destination == "sip:1.2.3.4:5"


def test_methods_have_the_bits_of_the_server():
    assert method_mask("INVITE, ack ,BYE,,") == 13
    assert [method_mask(name) for name in METHODS] == [1 << n for n in range(14)]
    assert method_mask("FOO") == 16384 and ANY_METHOD == 32767
    assert contact().takes("FOO") and contact().methods == ALL_METHODS
    assert not contact(methods=128).takes("INVITE")


@given(st.text())
def test_any_list_of_methods_has_a_mask(names: str) -> None:
    assert 0 <= method_mask(names) <= ANY_METHOD


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(-1, 3), st.integers(0, 3)), max_size=20))
def test_counts_and_order_hold_whatever_happens(steps: list[tuple[str, int, int]]) -> None:
    location, _ = table()
    for aor, q, what in steps:
        contacts = location.valid(aor, 0)
        if what and contacts:
            chosen = contacts[q % len(contacts)]
            if what == 1:
                location.remove(aor, chosen)
            else:
                location.update(aor, chosen, replace(chosen, q=q))
        else:
            location.insert(aor, contact(q=q))
    all_contacts = [c for record in location for c in record.contacts]
    assert location.contacts == len(all_contacts) and all(record.contacts for record in location)
    for record in location:
        assert [c.q for c in record.contacts] == sorted((c.q for c in record.contacts), reverse=True)
