"""The location service: its commands, events, statistics and texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import pytest

from miscript.errors import ConfigurationError, MIError
from miscript.mi.command import Later, Unread
from miscript.modules.usrloc import UserLocation
from miscript.services import Events
from miscript.sip.location import Contact, Match
from miscript.values import Value
from module_services import START, MovedClock, module_services, new_run, var
from pauses import pauses

AOR = "alice@127.0.0.1"


class NotedEvents:
    """Keeps what is raised."""

    def __init__(self) -> None:
        self.raised: list[tuple[str, dict[str, Value]]] = []

    def raise_event(self, name: str, attributes: Sequence[tuple[str, Value]]) -> int:
        self.raised.append((name, dict(attributes)))
        return 0


def given(value: Any) -> Unread[Any]:
    """A parameter as commands get it that look at others first."""
    return Unread(value, lambda value: value)


def usrloc(**parameters: int | str) -> UserLocation:
    services = module_services(MovedClock())
    services.events = cast(Events, NotedEvents())
    module = UserLocation(services)
    for name, value in parameters.items():
        module.set_parameter(name, value)
    module.init()
    module.table("location")
    return module


def raised(module: UserLocation) -> list[tuple[str, dict[str, Value]]]:
    return cast(NotedEvents, module.services.events).raised


def add(
    module: UserLocation, contact: str = "sip:a@10.0.0.1", expires: int = 60, q: str = "0.5", aor: str = AOR
) -> str:
    return module.mi_add("location", *map(given, (aor, contact, expires, q, 1, 0, 5)))


def error(call: Any, *arguments: object) -> tuple[int, str]:
    with pytest.raises(MIError) as raised:
        call(*arguments)
    return raised.value.code, raised.value.message


def test_a_contact_added_by_mi_is_shown_and_goes_with_rm_contact():
    module = usrloc()
    assert add(module) == "OK"
    shown = cast(dict[str, Any], module.mi_show_contact("location", given(AOR)))
    assert shown["AOR"] == AOR
    assert list(shown["Contacts"][0]) == [
        "Contact", "ContactID", "Expires", "Q", "Callid", "Cseq", "User-agent", "State", "Flags", "Cflags", "Methods"
    ]  # fmt: skip
    assert (shown["Contacts"][0]["Expires"], shown["Contacts"][0]["Q"]) == (60, "0.5")
    assert module.mi_dump() == {"Domains": [{"name": "location", "hash_size": 512, "AORs": [shown]}]}
    assert module.mi_dump(1) == {"Domains": [{"name": "location", "hash_size": 512, "AORs": [{"AOR": AOR}]}]}
    assert module.mi_rm_contact("location", given(AOR), given("sip:a@10.0.0.1")) == "OK"
    assert error(module.mi_show_contact, "location", given(AOR)) == (404, "AOR not found")


async def test_a_dump_of_many_tells_the_same_and_lets_others_have_their_turn(monkeypatch: pytest.MonkeyPatch):
    module = usrloc()
    for number in range(2000):
        add(module, aor=f"u{number}@127.0.0.1")
    for brief in (0, 1):
        dumped = module.mi_dump(brief)
        assert isinstance(dumped, Later)
        async with pauses() as found:
            many = await dumped
        assert brief or len(found) > 1  # the AORs alone are quick
        monkeypatch.setattr("miscript.modules.usrloc.SHOWN_AT_ONCE", 10_000)
        assert module.mi_dump(brief) == many
        monkeypatch.undo()


def test_adding_a_contact_again_changes_it():
    module = usrloc()
    add(module)
    add(module, expires=90, q="1")
    (record,) = module.table("location")
    assert [(c.q, c.left(START)) for c in record.contacts] == [(1000, 90)]
    assert [name for name, _ in raised(module)] == ["E_UL_AOR_INSERT", "E_UL_CONTACT_INSERT", "E_UL_CONTACT_UPDATE"]


@pytest.mark.parametrize(
    ("q", "thousandths"),
    [("0", 0), ("1", 1000), ("0.25", 250), ("0.123", 123), ("0.12345", 123), ("1.0", 1000), ("0.29", 290)],
)
def test_q_is_kept_in_thousandths(q: str, thousandths: int):
    module = usrloc()
    add(module, q=q)
    (record,) = module.table("location")
    assert record.contacts[0].q == thousandths


@pytest.mark.parametrize("q", ["", "-1", "5.5", "1.001", "abc", "1e-1", "0.", "nan", "٠"])
def test_a_q_that_is_none_is_refused(q: str):
    assert error(add, usrloc(), "sip:a@x", 60, q) == (400, "Bad parameter value")


async def test_what_is_wrong_with_a_command_is_told_as_the_server_does():
    module = usrloc()
    assert error(module.mi_rm, "nowhere", given(AOR)) == (404, "Table not found")
    assert error(module.mi_rm, "location", given("alice")) == (400, "Domain missing in AOR")
    assert error(module.mi_rm_contact, "location", given(AOR), given("sip:x")) == (404, "AOR not found")
    add(module)
    assert error(module.mi_rm_contact, "location", given(AOR), given("sip:x")) == (404, "Contact not found")
    assert error(add, module, "xyz") == (500, "Internal Error")
    with pytest.raises(MIError) as synced:
        await module.mi_sync(given("location"))
    assert (synced.value.code, synced.value.message) == (200, "Contacts already synced")
    assert error(module.mi_cluster_sync) == (400, "Clustering not enabled")
    assert await module.mi_flush() == module.mi_rm("location", given("nobody@x")) == "OK"


def test_a_lifetime_of_zero_never_ends_and_a_negative_one_is_over():
    module = usrloc()
    add(module, "sip:a@x", 0)
    add(module, "sip:b@x", -10)
    shown = cast(dict[str, Any], module.mi_show_contact("location", given(AOR)))
    assert [c["Expires"] for c in shown["Contacts"]] == ["permanent", "expired"]


async def test_expired_contacts_go_with_events_and_are_counted():
    module = usrloc()
    add(module, "sip:a@x", 30)
    cast(MovedClock, module.services.clock).now += 31
    raised(module).clear()
    await module._expire()
    assert [name for name, _ in raised(module)] == ["E_UL_CONTACT_DELETE", "E_UL_AOR_DELETE"]
    values = {counter.name: counter.value for counter in module.services.statistics.group("usrloc")}
    assert values == {"registered_users": 0, "location-users": 0, "location-contacts": 0, "location-expires": 1}


def test_an_event_tells_all_about_a_contact():
    module = usrloc(nat_bflag="NAT")
    table = module.table("location")
    table.insert(
        AOR,
        Contact(
            uri="sip:a@x", expires=99, q=700, call_id="c", cseq=3, received="sip:r", path="<sip:p>", user_agent="phone",
            branch_flags=frozenset(["NAT", "B"]), attributes="at",
        ),
    )  # fmt: skip
    assert raised(module)[0] == ("E_UL_AOR_INSERT", {"domain": "location", "aor": AOR})
    assert raised(module)[1] == (
        "E_UL_CONTACT_INSERT",
        {
            "domain": "location", "aor": AOR, "uri": "sip:a@x", "received": "sip:r", "path": "<sip:p>", "qval": 700,
            "user_agent": "phone", "socket": "", "bflags": 3, "expires": 99, "callid": "c", "cseq": 3, "attr": "at",
            "latency": 0, "shtag": "",
        },
    )  # fmt: skip


def test_without_use_domain_the_user_alone_is_the_aor():
    module = usrloc(use_domain=0)
    add(module)
    assert module.table("location").record("alice") is not None
    assert cast(dict[str, Any], module.mi_show_contact("location", given("alice@elsewhere")))["AOR"] == "alice"


def test_a_script_keeps_texts_with_an_aor():
    module, run, out = usrloc(mi_dump_kv_store=1), new_run(), var()
    assert module.ul_add_key(run, "location", AOR, "k", "v") == -1
    add(module)
    assert module.ul_add_key(run, "location", AOR, "k", "v") == 1
    assert module.ul_get_key(run, "location", AOR, "k", out) == 1 and out.get(run) == "v"
    assert cast(dict[str, Any], module.mi_show_contact("location", given(AOR)))["KV-Store"] == {"k": "v"}
    assert module.ul_del_key(run, "location", AOR, "k") == 1
    assert module.ul_get_key(run, "location", AOR, "k", out) == -1
    assert module.ul_del_key(run, "nowhere", AOR, "k") == -1
    module.ul_add_key(run, "location", AOR, "k", "v")
    assert module.ul_add_key(run, "location", AOR, "k", "") == 1
    assert module.ul_get_key(run, "location", AOR, "k", out) == -1


def test_texts_of_one_aor_are_bounded():
    module, run = usrloc(), new_run()
    add(module)
    codes = [module.ul_add_key(run, "location", AOR, f"k{n}", "v") for n in range(257)]
    assert codes == [1] * 256 + [-1]
    assert module.ul_add_key(run, "location", AOR, "k0", "other") == 1


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("working_mode_preset", "full-sharing-cluster"),
        ("location_cluster", 1),
        ("timer_interval", 0),
        ("matching_mode", 2),
        ("hash_size", 17),
    ],
)
def test_what_cannot_be_had_is_refused_by_name(name: str, value: int | str):
    with pytest.raises(ConfigurationError) as raised:
        usrloc(**{name: value})
    assert raised.value.parameter == name


def test_matching_mode_chooses_how_contacts_are_recognised():
    assert (usrloc().matching, usrloc(matching_mode=1).matching) == (Match.URI, Match.URI_AND_CALL_ID)
