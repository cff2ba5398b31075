"""Requests of our own in dialogs: cancelling what rings, pings, PRACKs, renegotiation, races of CANCEL and 200."""

from __future__ import annotations

import pytest

from dialog_calls import ALICE, BOB, SCRIPT, Call, begin
from miscript.errors import MIError
from miscript.host.embedding import call_command
from miscript.sip import Message


def ask(one: Call, command: str, **named: object) -> list[object]:
    """Start a command that answers later; the list gets its answer."""
    replies: list[object] = []

    async def asking() -> None:
        try:
            replies.append(await call_command(one.script.host.services.mi, command, named))
        except MIError as error:
            replies.append((error.code, error.message))

    async def start() -> None:
        one.script.host.services.tasks.spawn(asking(), "a question of the test")

    one.script.wait(start())
    one.script.settle()
    return replies


# -- ending what has no answer --------------------------------------------------------------------------------------


def test_mi_ends_a_call_that_rings_with_a_cancel(calls: list[Call]):
    one = begin(calls, failure='xlog("$DLG_status $T_reply_code|");')
    invite = one.ring()
    one.alice.take()
    assert one.script.mi("dlg_end_dlg", one.listed["ID"]) == "OK"
    one.script.settle()
    one.bob.reply(one.bob.only("CANCEL"), 200)
    one.bob.reply(invite, 487)
    assert one.alice.statuses() == [487]
    assert (one.state, one.statistic("failed_dialogs")) == (5, 1)
    assert one.script.take() == "2 487|"


def test_mi_ends_a_call_that_nobody_has_reacted_to(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    assert one.script.mi("dlg_end_dlg", "call-1") == "OK"
    one.script.settle()
    assert one.bob.take() == [], "RFC 3261 section 9.1: not before its first reply"
    one.bob.reply(invite, 100)
    assert one.bob.only("CANCEL").header("CSeq") == "1 CANCEL"


def test_mi_ends_a_call_that_waits_for_branches(calls: list[Call]):
    one = begin(
        calls,
        parameters='loadmodule "signaling.so"',
        initial="t_newtran(); t_wait_for_new_branches(); exit;",
    )
    one.request("INVITE")
    assert one.script.mi("dlg_end_dlg", "call-1") == "OK"
    one.script.settle()
    assert one.alice.statuses() == [100, 487]
    assert one.state == 5


def test_a_call_that_is_given_up_says_so(calls: list[Call]):
    one = begin(calls, failure='xlog("$DLG_end_reason");')
    invite = one.ring()
    one.request("CANCEL")
    one.bob.reply(invite, 487)
    assert one.script.take() == "Cancelled"


# -- races ----------------------------------------------------------------------------------------------------------

RACES = {"flags": '"end-on-race-condition"', "parameters": 'modparam("dialog", "race_condition_timeout", 2)'}


def hung_up(one: Call) -> bool:
    """Whether both ends get a BYE in two seconds."""
    one.alice.take(), one.bob.take()
    one.script.advance(2.1)
    byes = ["BYE" in {m.method for m in party.take()} for party in (one.alice, one.bob)]
    assert byes[0] == byes[1]
    return byes[0]


@pytest.mark.parametrize("watched", [True, False])
def test_a_cancel_that_crosses_the_200_ends_the_call(calls: list[Call], watched: bool):
    more = 'route[over] { xlog("$DLG_end_reason"); }'
    one = begin(calls, **(RACES if watched else {}), initial='dlg_on_hangup("over");', more=more)
    invite = one.ring()
    one.request("CANCEL")
    one.bob.reply(one.bob.only("CANCEL"), 481)
    one.answer(invite)
    assert one.state == 4
    assert hung_up(one) is watched
    if watched:
        one.script.advance(40)
        assert one.script.take() == "SIP Race Condition"


def test_a_cancel_behind_the_200_ends_the_call(calls: list[Call]):
    one = begin(calls, **RACES)
    invite = one.ring()
    one.bob.reply(invite, 200)
    one.request("CANCEL")
    assert hung_up(one)


def test_an_early_bye_that_crosses_the_200_ends_the_call(calls: list[Call]):
    one = begin(calls, **RACES)
    invite = one.ring()
    ringing = one.alice.take()[-1]
    one.route = ", ".join(reversed(ringing.headers("Record-Route"))) or "<sip:10.0.0.1;lr>"
    one.request("BYE")
    assert one.state == 2
    one.bob.reply(invite, 200)
    assert one.state == 3
    assert hung_up(one)


# -- pings ----------------------------------------------------------------------------------------------------------


def test_an_end_asked_both_ways_gets_reinvites_alone(calls: list[Call]):
    one = begin(
        calls,
        flags='"options-ping-caller,options-ping-callee,reinvite-ping-callee,bye-on-timeout"',
        parameters='modparam("dialog", "options_ping_interval", 5)\nmodparam("dialog", "reinvite_ping_interval", 7)\n'
        'modparam("tm", "fr_timeout", 3)',
        initial='dlg_on_hangup("over");',
        more='route[over] { xlog("$DLG_end_reason"); }',
    )
    one.established(body="v=0")
    one.script.advance(5.1)
    one.alice.reply(one.alice.only("OPTIONS"), 200)
    assert one.bob.take() == []
    one.script.advance(2.1)
    ping = one.bob.only("INVITE")
    assert (ping.body, ping.header("Contact")) == (b"v=0", f"<sip:alice@{ALICE}>")
    one.script.advance(3.1)
    assert one.bob.only("BYE") is not None
    one.script.advance(10)
    assert one.script.take() == "ReINVITE Ping Timeout"


def test_a_reinvite_that_is_answered_goes_on_and_is_acknowledged(calls: list[Call]):
    one = begin(calls, flags='"reinvite-ping-callee"', parameters='modparam("dialog", "reinvite_ping_interval", 5)')
    one.established(body="v=0")
    for _ in range(2):
        one.script.advance(5.1)
        ping = one.bob.only("INVITE")
        one.bob.reply(ping, 200, body="v=0")
        assert one.bob.only("ACK").cseq == (ping.cseq[0], "ACK")
    assert one.state == 4


def test_seconds_between_pings_may_be_wished_before_the_dialog_and_changed_in_it(calls: list[Call]):
    one = begin(
        calls,
        flags='"options-ping-callee"',
        initial='xlog("$DLG_options_ping_interval ");',
        sequential='xlog("$DLG_options_ping_interval "); if ($rm == "INFO") $DLG_options_ping_interval = 3;',
    )
    one.established()
    one.script.advance(10)
    one.request("INFO")
    one.bob.reply(one.bob.only("INFO"), 200)
    assert one.script.take().split() == ["30", "30", "20"]
    one.script.advance(3.1)
    assert one.bob.only("OPTIONS") is not None


def test_seconds_wished_for_before_the_dialog_is_there_count(calls: list[Call], monkeypatch: pytest.MonkeyPatch):
    wish = '$DLG_options_ping_interval = 4; xlog("$DLG_options_ping_interval $DLG_reinvite_ping_interval ");'
    monkeypatch.setattr("dialog_calls.SCRIPT", SCRIPT.replace("create_dialog(", f"{wish} create_dialog("))
    one = begin(calls, flags='"options-ping-callee"', initial='xlog("$DLG_options_ping_interval");')
    one.established()
    assert one.script.take() == "4 <null> 4"
    one.script.advance(4.1)
    assert one.bob.only("OPTIONS") is not None


# -- PRACK ----------------------------------------------------------------------------------------------------------

RELIABLE = ("Require: 100rel", "RSeq: 17")


def test_reliable_provisional_replies_are_acknowledged_here(calls: list[Call]):
    one = begin(calls, flags='"auto-prack"')
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    one.bob.reply(invite, 183, *RELIABLE)
    prack = one.bob.only("PRACK")
    assert (prack.header("RAck"), prack.header("CSeq"), prack.uri) == ("17 1 INVITE", "2 PRACK", f"sip:bob@{BOB}")
    assert (prack.from_.tag, prack.to.tag) == ("al", "bo")
    one.bob.reply(prack, 200)
    one.bob.reply(invite, 180)
    assert one.bob.take() == []
    one.answer(invite)
    one.request("BYE")
    assert one.bob.only("BYE").header("CSeq") == "3 BYE"


def test_without_the_flag_nothing_is_acknowledged(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    one.bob.reply(one.bob.only("INVITE"), 183, *RELIABLE)
    assert one.bob.take() == []


@pytest.mark.parametrize("hangs_up", [0, 1])
def test_a_prack_that_fails_may_end_the_call(calls: list[Call], hangs_up: int):
    one = begin(
        calls,
        flags='"auto-prack"',
        parameters=f'modparam("dialog", "auto_prack_hangup_on_failure", {hangs_up})\n'
        'modparam("dialog", "auto_prack_fr_timeout", 1)',
    )
    one.request("INVITE")
    one.bob.reply(one.bob.only("INVITE"), 183, *RELIABLE)
    one.alice.take()
    one.script.advance(1.1)
    came: list[Message] = one.bob.take()
    assert [m.method for m in came if m.method == "CANCEL"] == ["CANCEL"] * hangs_up
    assert [m.status for m in one.alice.take()] == [502] * hangs_up


def test_a_reply_route_sends_a_prack(calls: list[Call]):
    one = begin(calls, reply='if ($rs < 200) { dlg_send_sequential("PRACK", "callee"); xlog("$rc "); }')
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    one.bob.reply(invite, 180)
    one.bob.reply(invite, 183, *RELIABLE)
    assert one.script.take().split()[-1] == "1"
    assert one.bob.only("PRACK").header("RAck") == "17 1 INVITE"


def test_a_prack_goes_to_the_fork_whose_reply_it_acknowledges(calls: list[Call]):
    one = begin(calls, reply='if ($rs < 200) dlg_send_sequential("PRACK", "callee");')
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    for number, tag in enumerate(("desk", "mobile"), 1):
        one.bob.reply(invite, 183, "Require: 100rel", f"RSeq: {number}", tag=tag)
        prack = one.bob.only("PRACK")
        assert (prack.to.tag, prack.header("RAck")) == (tag, f"{number} 1 INVITE")


# -- renegotiation --------------------------------------------------------------------------------------------------


def test_a_challenge_lets_both_ends_negotiate_anew(calls: list[Call]):
    one = begin(calls)
    one.established(body="v=0 old")
    replies = ask(one, "dlg_send_sequential", callid="call-1", mode="challenge-callee")
    first = one.bob.only("INVITE")
    assert first.body == b""
    one.bob.reply(first, 200, body="v=0 bob")
    second = one.alice.only("INVITE")
    assert second.body == b"v=0 bob"
    assert one.bob.take() == [], "the ACK waits for the other end's answer"
    one.alice.reply(second, 200, body="v=0 alice")
    ack = one.bob.only("ACK")
    assert (ack.body, ack.header("Content-Type")) == (b"v=0 alice", "application/sdp")
    assert one.alice.only("ACK").body == b""
    assert replies == [{"Code": 200, "Reason": "Whatever"}]


def test_a_challenge_with_update_needs_no_ack(calls: list[Call]):
    one = begin(calls)
    one.established(body="v=0 old")
    replies = ask(one, "dlg_send_sequential", callid="call-1", mode="challenge", method="UPDATE", body="outbound")
    first = one.alice.only("UPDATE")
    assert first.body == b"v=0 old"
    one.alice.reply(first, 200, body="v=0 alice")
    second = one.bob.only("UPDATE")
    assert second.body == b"v=0 alice"
    one.bob.reply(second, 488)
    assert replies == [{"Code": 488, "Reason": "Whatever"}]


def test_a_challenge_without_an_offer_ends_there(calls: list[Call]):
    one = begin(calls)
    one.established()
    replies = ask(one, "dlg_send_sequential", callid="call-1", mode="challenge")
    one.alice.reply(one.alice.only("INVITE"), 200)
    assert one.alice.only("ACK").body == b""
    assert replies == [{"Code": 400, "Reason": "Bad Request"}]
    assert one.bob.take() == []


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({"mode": "challenge", "method": "INFO"}, (406, "Not Acceptable")),
        ({"mode": "challenge-nobody"}, (400, "Invalid mode")),
        ({"mode": "nobody"}, (400, "Invalid mode")),
        ({"body": "nothing"}, (400, "Invalid body mode")),
    ],
)
def test_a_sequential_request_that_cannot_be_is_told(calls: list[Call], named: dict[str, object], error: object):
    one = begin(calls)
    one.established()
    assert ask(one, "dlg_send_sequential", callid="call-1", **named) == [error]


def test_what_the_ends_tell_of_their_media_is_kept_up_to_date(calls: list[Call]):
    one = begin(calls)
    one.established(body="v=0 old")
    one.request("INVITE", body="v=0 new")
    again = one.bob.only("INVITE")
    one.bob.reply(again, 200, body="v=0 answer")
    listed = one.listed
    assert (listed["caller_sdp"], listed["CALLEES"][0]["callee_sdp"]) == ("v=0 new", "v=0 answer")


# -- profiles and values of several dialogs -------------------------------------------------------------------------


def test_a_profile_is_left_with_all_its_values(calls: list[Call]):
    one = begin(
        calls,
        initial='set_dlg_profile("caller", "a"); set_dlg_profile("caller", "b"); set_dlg_profile("caller", "b");'
        'get_profile_size("caller", , $var(n)); xlog("$var(n) "); unset_dlg_profile("caller"); xlog("$rc ");'
        'get_profile_size("caller", , $var(n)); xlog("$var(n) "); unset_dlg_profile("caller"); xlog("$rc");',
    )
    one.request("INVITE")
    assert one.script.take() == "3 1 0 -1"


def test_values_of_all_dialogs_are_found(calls: list[Call]):
    one = begin(
        calls,
        initial='$dlg_val(k) = "x"; $dlg_val(who) = $ci; $var(v) = "x";'
        'if ($ci == "call-3") { get_dialog_info("who", $avp(o), "k", $var(v), $var(n));'
        ' xlog("$var(n) $(avp(o)[*])"); }',
    )
    for number in (1, 2, 3):
        one.call_id = f"call-{number}"
        one.request("INVITE")
    assert one.script.take() == "3 call-3, call-2, call-1"


def test_numbers_are_changed_for_the_end_with_a_tag(calls: list[Call]):
    one = begin(
        calls,
        sequential='if ($rm == "INFO") { dlg_inc_cseq("bo", 4); xlog("$rc "); dlg_inc_cseq("bo", -1); xlog("$rc ");'
        ' dlg_inc_cseq("nobody"); xlog("$rc "); dlg_inc_cseq("bo", -1000); xlog("$rc"); }',
    )
    one.established()
    one.request("INFO")
    one.bob.reply(one.bob.only("INFO"), 200)
    assert one.script.take() == "1 1 -1 -1"
    one.request("BYE")
    assert one.bob.only("BYE").header("CSeq") == "6 BYE"


def test_values_that_cannot_be_printed_are_shown_in_hexadecimal(calls: list[Call]):
    one = begin(calls, initial='$var(h) = "00410aff22c3a9"; $dlg_val(b) = $(var(h){s.decode.hexa}); $dlg_val(n) = -3;')
    one.request("INVITE")
    assert one.listed["context"] == {"values": [{"n": -3}, {"b": '\\x00A\\n\\xff"\\xc3\\xa9'}]}


def test_a_dialog_without_values_and_profiles_shows_none(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    assert one.listed["context"] == {}
