"""Challenges that are answered in place of an end of a dialog: the numbers of all that follows, in both directions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from dialog_calls import SCRIPT, Call, Party, call
from kept_tables import KeptTables
from miscript.sip import Message
from miscript.testing import RunningScript
from sip_scripts import HOST

MODULES = """
loadmodule "uac_auth.so"
loadmodule "uac.so"
modparam("uac_auth", "credential", "carol:office:secret")
modparam("uac_auth", "credential", "carol:lobby:secret")
"""
FAILURE = 't_on_failure("failure"); if (t_check_status("401") && uac_auth()) t_relay();'
ANSWERING = {"sequential": 't_on_failure("failure");', "failure": FAILURE}


def begin(calls: list[Call], **parts: str) -> Call:
    lines = MODULES + parts.pop("parameters", "")
    calls.append(call(parameters=lines, **{**ANSWERING, **parts}))
    return calls[-1]


def ask(party: Party, request: Message, realm: str = "office") -> None:
    party.reply(request, 401, f'WWW-Authenticate: Digest realm="{realm}", nonce="n1"')


class Asked(NamedTuple):
    """A request for which its receiver wants a password: its numbers as they came, and the last one of them."""

    numbers: list[str | None]
    request: Message


def challenge(party: Party, method: str, *, realms: Sequence[str] = ("office",)) -> Asked:
    """Let a party ask for a password for each realm, until a request has all of them."""
    numbers = []
    request = party.only(method)
    for realm in realms:
        numbers.append(request.header("CSeq"))
        ask(party, request, realm)
        (request,) = [message for message in party.take() if message.method == method]
    assert len(request.headers("Authorization")) == len(realms)
    return Asked([*numbers, request.header("CSeq")], request)


def challenged(one: Call, *, realms: Sequence[str] = ("office",), ack: bool = True) -> None:
    """Let alice call bob, who asks for a password first."""
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE", realms=realms)
    one.answer(asked.request, ack=False)
    if ack:
        one.request("ACK")
        one.bob.take()


def sent(one: Call, method: str, *headers: str, by: str = "alice", status: int = 200, **more: int) -> str | None:
    """Send a request in the dialog, have it answered, and give the number that the other end got it with."""
    sender, receiver = (one.alice, one.bob) if by == "alice" else (one.bob, one.alice)
    sender.take()
    one.request(method, *headers, by=by, **more)
    request = receiver.only(method)
    if method != "ACK":
        receiver.reply(request, status)
        (answer,) = [message for message in sender.take() if message.status == status]
        assert answer.header("CSeq") == f"{one.cseq[by]} {method}"
    return request.header("CSeq")


# -- numbers ----------------------------------------------------------------------------------------------------------


def test_what_follows_a_challenged_invite_has_higher_numbers_for_the_callee_alone(calls: list[Call]):
    one = begin(calls)
    challenged(one, ack=False)
    assert sent(one, "ACK") == "2 ACK"
    assert sent(one, "INFO") == "3 INFO"
    assert sent(one, "INFO", by="bob") == "101 INFO"
    assert sent(one, "INVITE") == "4 INVITE"
    assert sent(one, "ACK") == "4 ACK"
    assert sent(one, "BYE") == "5 BYE"


def test_the_caller_sees_its_own_numbers_in_all_replies(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE")
    for status in (180, 183, 200):
        one.bob.reply(asked.request, status)
    assert {(m.status, m.header("CSeq")) for m in one.alice.take()} == {
        (status, "1 INVITE") for status in (100, 180, 183, 200)
    }
    one.bob.reply(asked.request, 200)  # it comes again, as its ACK was lost
    assert [m.header("CSeq") for m in one.alice.take()] == ["1 INVITE"]


def test_each_challenge_raises_the_number_once_more(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE", realms=("lobby", "office"))
    assert asked.numbers == ["1 INVITE", "2 INVITE", "3 INVITE"]
    one.answer(asked.request, ack=False)
    assert sent(one, "ACK") == "3 ACK"
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE")
    assert asked.numbers == ["4 INVITE", "5 INVITE"]
    one.bob.reply(asked.request, 200)
    assert sent(one, "ACK") == "5 ACK"
    one.request("BYE")
    asked = challenge(one.bob, "BYE")
    assert asked.numbers == ["6 BYE", "7 BYE"]
    one.bob.reply(asked.request, 200)
    assert [(m.status, m.header("CSeq")) for m in one.alice.take() if m.status == 200][-1] == (200, "3 BYE")


def test_a_challenge_of_the_caller_is_answered_for_the_callee(calls: list[Call]):
    one = begin(calls)
    one.established()
    one.request("INVITE", by="bob")
    asked = challenge(one.alice, "INVITE")
    assert asked.numbers == ["101 INVITE", "102 INVITE"]
    one.alice.reply(asked.request, 200)
    assert sent(one, "ACK", by="bob") == "102 ACK"
    assert sent(one, "INFO", by="bob") == "103 INFO"
    assert sent(one, "INFO") == "2 INFO"
    assert sent(one, "BYE", by="bob") == "104 BYE"


def test_a_request_that_passes_in_between_keeps_its_place(calls: list[Call]):
    one = begin(calls)
    one.established()
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    number = one.cseq["alice"]
    assert (invite.header("CSeq"), sent(one, "INFO")) == ("2 INVITE", "3 INFO")
    ask(one.bob, invite)
    (again,) = [message for message in one.bob.take() if message.method == "INVITE"]
    assert again.header("CSeq") == "4 INVITE"
    one.bob.reply(again, 200)
    one.request("ACK", cseq=number)
    assert one.bob.only("ACK").header("CSeq") == "4 ACK"
    assert sent(one, "INFO") == "5 INFO"


def test_a_challenge_that_goes_to_who_asked_changes_no_number(calls: list[Call]):
    one = begin(calls, failure="")
    one.established()
    assert sent(one, "INFO", status=401) == "2 INFO"
    assert sent(one, "INFO") == "3 INFO"


def test_a_request_that_comes_again_is_not_counted_again(calls: list[Call]):
    one = begin(calls)
    challenged(one)
    for _ in range(3):
        one.request("INFO", cseq=2)
    assert {message.header("CSeq") for message in one.bob.take()} == {"3 INFO"}
    one.cseq["alice"] = 2
    assert sent(one, "INFO") == "4 INFO"


def test_ours_and_theirs_share_the_numbers(calls: list[Call]):
    one = begin(calls, flags='"options-ping-callee"')
    challenged(one)
    one.script.advance(30)
    ping = one.bob.only("OPTIONS")
    one.bob.reply(ping, 200)
    assert ping.header("CSeq") == "3 OPTIONS"
    assert sent(one, "INFO") == "4 INFO"
    assert one.script.mi("dlg_end_dlg", "call-1") == "OK"
    one.script.settle()
    assert one.bob.only("BYE").header("CSeq") == "5 BYE"


def test_a_number_that_a_script_raises_is_followed_too(calls: list[Call]):
    one = begin(calls, initial="t_newtran(); uac_inc_cseq(5);", sequential='if (is_method("INFO")) uac_inc_cseq(10);')
    invite = one.ring()
    assert invite.header("CSeq") == "6 INVITE"
    one.answer(invite, ack=False)
    assert sent(one, "ACK") == "6 ACK"
    one.request("UPDATE")
    assert one.bob.only("UPDATE").header("CSeq") == "7 UPDATE"


def test_an_end_cannot_choose_the_numbers_of_others(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE")
    invite = asked.request
    lines = [
        "SIP/2.0 200 OK",
        *(f"Via: {via}" for via in invite.headers("Via")),
        *(f"Record-Route: {route}" for route in invite.headers("Record-Route")),
        f"From: {invite.header('From')}",
        f"To: {invite.header('To')};tag=bo",
        f"Call-ID: {invite.call_id}",
        "CSeq: 2147483647 INVITE",
        f"Contact: <{one.bob.contact}>",
    ]
    one.bob.send(lines)
    ok = [message for message in one.alice.take() if message.status == 200][-1]
    assert ok.header("CSeq") == "1 INVITE"
    one.route = ", ".join(ok.headers("Record-Route"))
    assert sent(one, "BYE") == "3 BYE"


# -- provisional replies ----------------------------------------------------------------------------------------------


RELIABLE = ("Require: 100rel", "RSeq: 7")


def early(one: Call) -> Message:
    """Let bob ask for a password, and then reply reliably; gives the INVITE that waits for its answer."""
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE")
    one.alice.take()
    one.bob.reply(asked.request, 183, *RELIABLE)
    (reply,) = [message for message in one.alice.take() if message.status == 183]
    one.route = ", ".join(reversed(reply.headers("Record-Route")))
    return asked.request


def test_a_prack_acknowledges_the_invite_that_the_callee_knows(calls: list[Call]):
    one = begin(calls)
    invite = early(one)
    one.request("PRACK", "RAck: 7 1 INVITE")
    prack = one.bob.only("PRACK")
    assert (prack.header("CSeq"), prack.header("RAck")) == ("3 PRACK", "7 2 INVITE")
    one.bob.reply(prack, 200)
    assert [m.header("CSeq") for m in one.alice.take()] == ["2 PRACK"]
    one.bob.reply(invite, 200)
    one.request("ACK", cseq=1)
    assert one.bob.only("ACK").header("CSeq") == "2 ACK"
    assert sent(one, "BYE") == "4 BYE"


def test_pracks_of_ours_leave_room_for_those_of_the_caller(calls: list[Call]):
    one = begin(calls, flags='"auto-prack"')
    invite = early(one)
    prack = one.bob.only("PRACK")
    assert (prack.header("CSeq"), prack.header("RAck")) == ("3 PRACK", "7 2 INVITE")
    one.bob.reply(prack, 200)
    one.bob.reply(invite, 200)
    one.request("ACK", cseq=1)
    assert one.bob.only("ACK").header("CSeq") == "2 ACK"
    assert sent(one, "BYE") == "4 BYE"


def test_a_prack_of_the_reply_route_has_a_number_behind_the_invite(calls: list[Call]):
    one = begin(calls, reply='if ($rs == 183) dlg_send_sequential("PRACK", "callee");')
    early(one)
    prack = one.bob.only("PRACK")
    assert (prack.header("CSeq"), prack.header("RAck")) == ("3 PRACK", "7 2 INVITE")


# -- other destinations -----------------------------------------------------------------------------------------------

HUNTING = """
    t_on_failure("failure");
    if (t_check_status("401")) { if (uac_auth()) t_relay(); exit; }
    if (t_check_status("50[0-9]")) { $du = "sip:10.0.0.4:5060"; t_relay(); }
"""


def test_the_next_destination_gets_the_number_on_and_the_dialog_goes_by_it(calls: list[Call]):
    one = begin(calls, failure=HUNTING)
    other = Party(one.script, "10.0.0.4", "bob", "ot")
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE")
    one.bob.reply(asked.request, 500)
    invite = other.only("INVITE")
    assert invite.header("CSeq") == "2 INVITE"
    ask(other, invite, "lobby")
    (again,) = [message for message in other.take() if message.method == "INVITE"]
    assert again.header("CSeq") == "3 INVITE"
    one.bob = other
    one.answer(again, ack=False)
    assert sent(one, "ACK") == "3 ACK"
    assert sent(one, "BYE") == "4 BYE"


# -- over a restart ---------------------------------------------------------------------------------------------------


@pytest.fixture
def tables(tmp_path: Path) -> KeptTables:
    return KeptTables(tmp_path, "dialog")


@pytest.mark.parametrize("mode", [1, 2, 3])
def test_numbers_go_on_after_a_restart(calls: list[Call], tables: KeptTables, mode: int):
    lines = f'loadmodule "db_sqlite.so"\n{tables.loaded_by("dialog", db_mode=mode)}\n'
    one = begin(calls, parameters=lines)
    challenged(one, ack=False)
    one.restart()
    assert sent(one, "ACK") == "2 ACK"
    one.request("INVITE", by="bob")
    asked = challenge(one.alice, "INVITE")
    assert asked.numbers == ["101 INVITE", "102 INVITE"]
    one.alice.reply(asked.request, 200)
    one.restart()
    assert sent(one, "ACK", by="bob") == "102 ACK"
    assert sent(one, "INFO", by="bob") == "103 INFO"
    one.restart()
    assert sent(one, "INVITE") == "3 INVITE"
    assert sent(one, "ACK") == "3 ACK"
    assert sent(one, "BYE", by="bob") == "104 BYE"


# -- without a dialog -------------------------------------------------------------------------------------------------


def plain(calls: list[Call], rr: str = "") -> Call:
    """A call that no dialog follows."""
    text = SCRIPT.replace('loadmodule "dialog.so"\n', "").replace("create_dialog({flags});", "")
    lines = [line for line in text.splitlines() if "profiles_" not in line]
    parts = {**dict.fromkeys(("initial", "reply", "local", "more"), ""), **ANSWERING, "parameters": MODULES + rr}
    made = call()
    made.script.close()
    made.go_on(RunningScript("\n".join(lines).format(**parts), network=made.script.network))
    calls.append(made)
    return made


@pytest.mark.parametrize(("realms", "raised"), [(("office",), 1), (("lobby", "office"), 2)])
def test_record_route_remembers_by_how_much_the_number_was_raised(
    calls: list[Call], realms: tuple[str, ...], raised: int
):
    one = plain(calls)
    one.request("INVITE")
    asked = challenge(one.bob, "INVITE", realms=realms)
    assert asked.request.header("Record-Route") == f"<sip:{HOST[0]}:5060;lr;ftag=al;aci={raised}>"
    one.answer(asked.request, *RELIABLE, ack=False)
    assert sent(one, "ACK") == f"{1 + raised} ACK"
    one.request("PRACK", "RAck: 7 1 INVITE")
    prack = one.bob.only("PRACK")
    assert (prack.header("CSeq"), prack.header("RAck")) == (f"{2 + raised} PRACK", f"7 {1 + raised} INVITE")
    assert sent(one, "INFO") == f"{3 + raised} INFO"
    assert sent(one, "INFO", by="bob") == "101 INFO"
    one.request("BYE")
    asked = challenge(one.bob, "BYE")
    assert asked.numbers == [f"{4 + raised} BYE", f"{5 + raised} BYE"]
    one.bob.reply(asked.request, 200)
    assert [m.header("CSeq") for m in one.alice.take() if m.status == 200][-1] == "4 BYE"


def test_without_the_from_tag_in_record_route_no_number_is_remembered(calls: list[Call]):
    one = plain(calls, 'modparam("rr", "append_fromtag", 0)')
    challenged(one)
    assert one.route == f"<sip:{HOST[0]}:5060;lr>"
    assert sent(one, "INFO", by="bob") == "101 INFO"


@pytest.mark.parametrize("value", ["2147483647", "99999999999", "-1", "x", ""])
def test_a_route_that_says_what_cannot_be_changes_nothing(calls: list[Call], value: str):
    one = plain(calls)
    one.established()
    one.route = one.route.replace(";lr", f";lr;aci={value}")
    assert sent(one, "INFO") == "2 INFO"
