"""What a REGISTER wants, and whom it is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.sip import Message
from miscript.sip.location import ALL_METHODS, Contact
from miscript.sip.registration import (
    MAX_SECONDS,
    AorRules,
    Lifetimes,
    Registration,
    RegistrationRefused,
    Wish,
    contact_value,
    path_value,
    read_registration,
    received_of_path,
    supports,
)
from miscript.values import encode


def register(*headers: str) -> Message:
    lines = [
        "REGISTER sip:example.com SIP/2.0",
        "Via: SIP/2.0/UDP 10.0.0.9;branch=z9hG4bK1",
        "From: <sip:a@example.com>;tag=1",
        "To: <sip:a@example.com>",
        "Call-ID: c1",
        "CSeq: 7 REGISTER",
        *headers,
    ]
    return Message.parse(encode("\r\n".join([*lines, "", ""])))


def read(*headers: str) -> Registration:
    return read_registration(register(*headers), Lifetimes())


def test_a_contact_is_read_with_its_parameters():
    found = read(
        'Contact: "A" <sip:a@10.0.0.9;transport=tcp>;q=0.5;expires=120;+sip.instance="<urn:uuid:1>";'
        'methods="INVITE,BYE"',
        "User-Agent: phone/1",
    )
    assert found == Registration(
        "c1", 7, "phone/1", (Wish("sip:a@10.0.0.9;transport=tcp", 120, 500, 9, "<urn:uuid:1>"),)
    )


def test_several_contacts_may_stand_in_one_field_or_in_several():
    found = read("Contact: <sip:a@x>, <sip:b@x>;expires=0", "m: sip:c@x", "Expires: 100", "Allow: INVITE, ACK, BYE")
    assert found.wishes == (
        Wish("sip:a@x", 100, methods=13),
        Wish("sip:b@x", 0, methods=13),
        Wish("sip:c@x", 100, methods=13),
    )


def test_without_contacts_it_asks_what_is_bound():
    assert read() == Registration("c1", 7, "n/a")


def test_a_star_with_an_expires_of_zero_removes_all():
    assert read("Contact: *", "Expires: 0").removes_all


@pytest.mark.parametrize(
    "headers",
    [
        ["Contact: *"],
        ["Contact: *", "Expires: 10"],
        ["Contact: *", "Contact: <sip:a@x>", "Expires: 0"],
        ["Contact: *, <sip:a@x>", "Expires: 0"],
        ["Contact: <sip:a@x"],
        ["Contact: <mailto:a@x>"],
        ["Contact: <sip:a@x>;q=1.5"],
        ["Contact: <sip:a@x>;q=abc"],
        ["Contact: <sip:a@x>;q=."],
        ["Contact: <sip:a@x>", "Expires: foo"],
        [f"Contact: <sip:{'a' * 255}@x>"],
    ],
)
def test_what_is_not_as_it_has_to_be_is_a_bad_request(headers: list[str]):
    with pytest.raises(RegistrationRefused) as refused:
        read(*headers)
    assert (refused.value.status, refused.value.reason) == (400, "Bad Request")


def test_an_expires_parameter_that_is_no_number_counts_as_none_given():
    assert read("Contact: <sip:a@x>;expires=abc").wishes[0].seconds == 3600


@pytest.mark.parametrize(
    ("wanted", "granted"), [(None, 600), (0, 0), (1, 60), (60, 60), (599, 599), (601, 600), (10**30, 600)]
)
def test_lifetimes_are_kept_between_their_limits(wanted: int | None, granted: int):
    assert Lifetimes(60, 600, 3600).granted(wanted) == granted


def test_a_lifetime_beyond_all_measure_is_cut():
    assert read("Contact: <sip:a@x>;expires=99999999999999999999").wishes[0].seconds == MAX_SECONDS


# -- addresses of record ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("uri", "rules", "aor"),
    [
        ("sip:alice@example.com", AorRules(), "alice@example.com"),
        ("<sip:alice@example.com;x=1>", AorRules(), "alice@example.com"),
        ("sip:alice:secret@example.com:5080;transport=tcp", AorRules(), "alice@example.com"),
        ("sip:al%69ce@example.com", AorRules(), "alice@example.com"),
        ("sip:Alice@Example.com", AorRules(), "Alice@Example.com"),
        ("sip:Alice@Example.com", AorRules(case_sensitive=False), "alice@example.com"),
        ("sip:alice@SIP.example.com", AorRules(realm_prefix="sip."), "alice@example.com"),
        ("sip:alice@example.com", AorRules(use_domain=False), "alice"),
        ("sip:example.com", AorRules(), "example.com"),
        ("tel:+491234", AorRules(use_domain=False), "+491234"),
    ],
)
def test_an_aor_is_user_and_domain_of_a_uri(uri: str, rules: AorRules, aor: str):
    assert rules.aor_of(uri) == aor


@pytest.mark.parametrize("uri", ["", "alice", f"sip:{'a' * 65}@x", f"sip:a@{'x' * 65}", f"sip:a@x;y={'z' * 256}"])
def test_what_is_no_aor_or_too_long_is_refused(uri: str):
    with pytest.raises(ValueError):
        AorRules().aor_of(uri)


@given(st.text())
def test_any_text_is_an_aor_or_a_value_error(text: str) -> None:
    try:
        AorRules().aor_of(text)
    except ValueError:
        pass


@given(
    st.lists(st.text(st.characters(exclude_characters="\r\n\0", exclude_categories=["Cs"]), max_size=60), max_size=3)
)
def test_any_contact_is_read_or_refused(values: list[str]) -> None:
    try:
        read(*(f"Contact: {value}" for value in values))
    except RegistrationRefused as refused:
        assert refused.status == 400


# -- replies ------------------------------------------------------------------------------------------------------


def test_the_reply_lists_what_is_bound():
    contacts = [
        Contact(uri="sip:a@x", expires=1060, q=700),
        Contact(uri="sip:b@x", expires=1120, received="sip:1.2.3.4:5"),
        Contact(uri="sip:c@x", expires=1001, q=1000, received='sip:1.2.3.4;x="'),
    ]
    assert contact_value(contacts[:2], 1000.9, "received") == (
        '<sip:a@x>;q=0.7;expires=60, <sip:b@x>;expires=120;received="sip:1.2.3.4:5"'
    )
    assert contact_value(contacts[1:2], 1000, "") == "<sip:b@x>;expires=120"
    assert contact_value(contacts[2:], 1000, "rcv") == '<sip:c@x>;q=1;expires=1;rcv="sip:1.2.3.4;x=%22"'
    assert contact_value([], 1000) == ""


def test_paths_are_joined_and_tell_where_the_phone_is():
    message = register("Path: <sip:p1@x;lr;received=sip:5.5.5.5:55>, <sip:p2@x;lr>", "Path: <sip:p3@x;lr>")
    path = path_value(message)
    assert path == "<sip:p1@x;lr;received=sip:5.5.5.5:55>, <sip:p2@x;lr>,<sip:p3@x;lr>"
    assert received_of_path(path) == "sip:5.5.5.5:55"
    assert received_of_path("<sip:p@x>") is None and received_of_path("<") is None
    assert path_value(register()) is None


def test_supported_names_options_in_any_case():
    assert supports(register("Supported: 100rel, Path"), "path") and supports(register("k: path"), "path")
    assert not supports(register("Supported: pathological"), "path")


def test_an_unnamed_methods_list_means_all():
    assert read("Contact: <sip:a@x>").wishes[0].methods == ALL_METHODS
