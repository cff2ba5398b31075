"""Calls that are followed: states, matching, checking, ending, and what MI and scripts see of them."""

from __future__ import annotations

from typing import Any, cast

import pytest

from dialog_calls import ALICE, BOB, PARTS, SCRIPT, Call, Party, begin, call
from miscript.errors import MIError, ScriptError
from miscript.host.embedding import call_command
from miscript.testing import MemoryNetwork, RunningScript


def error(script: RunningScript, command: str, *values: object, **named: object) -> tuple[int, str]:
    with pytest.raises(MIError) as raised:
        script.mi(command, *values, **named)
    return raised.value.code, raised.value.message


# -- the life of a call ---------------------------------------------------------------------------------------------


def test_a_call_is_followed_from_invite_to_bye(calls: list[Call]):
    one = begin(calls, sequential='xlog("$rm $DLG_status $DLG_dir $DLG_end_reason\\n");')
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    assert (one.state, one.statistic("processed_dialogs"), one.statistic("active_dialogs")) == (1, 1, 0)
    one.bob.reply(invite, 180)
    assert (one.state, one.statistic("early_dialogs")) == (2, 1)
    one.answer(invite, ack=False)
    assert (one.state, one.statistic("early_dialogs"), one.statistic("active_dialogs")) == (3, 0, 1)
    one.request("ACK")
    assert one.state == 4
    one.request("BYE", by="bob")
    assert (one.state, one.statistic("active_dialogs")) == (5, 0)
    one.alice.reply(one.alice.only("BYE"), 200)
    assert one.bob.statuses() == [200]
    assert one.script.take().splitlines() == ["ACK 4 downstream <null>", "BYE 5 upstream Upstream BYE"]


def test_a_dialog_that_has_ended_is_forgotten(calls: list[Call]):
    one = begin(calls)
    one.established()
    one.request("BYE")
    one.bob.reply(one.bob.only("BYE"), 200)
    one.script.advance(6)
    assert one.script.mi("dlg_list") == {"Dialogs": []}


@pytest.mark.parametrize("status", [486, 603])
def test_a_refused_call_has_failed(calls: list[Call], status: int):
    one = begin(calls, reply='xlog("$rs $DLG_status $DLG_dir\\n");', failure='xlog("fail $DLG_status $DLG_dir\\n");')
    one.bob.reply(one.ring(), status)
    assert (one.state, one.statistic("failed_dialogs"), one.statistic("early_dialogs")) == (5, 1, 0)
    assert one.script.take().splitlines() == ["180 1 upstream", f"{status} 2 upstream", "fail 2 <null>"]


def test_a_cancelled_call_has_failed(calls: list[Call]):
    one = begin(calls)
    invite = one.ring()
    one.request("CANCEL")
    one.bob.reply(one.bob.only("CANCEL"), 200)
    one.bob.reply(invite, 487)
    assert (one.state, one.statistic("failed_dialogs")) == (5, 1)


def test_a_call_without_any_reply_has_failed(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    one.script.advance(40)
    assert one.statistic("failed_dialogs") == 1
    assert one.script.mi("dlg_list") == {"Dialogs": []}


def test_an_invite_that_is_not_sent_on_leaves_no_dialog(calls: list[Call]):
    one = begin(calls, initial="exit;")
    one.request("INVITE")
    assert one.script.mi("dlg_list") == {"Dialogs": []}
    assert one.statistic("failed_dialogs") == 1


def test_a_fork_has_several_callees_of_which_one_answers(calls: list[Call]):
    one = begin(calls)
    one.request("INVITE")
    invite = one.bob.only("INVITE")
    one.bob.reply(invite, 183, tag="t1")
    one.bob.reply(invite, 183, tag="t2")
    one.bob.reply(invite, 200, tag="t2")
    assert [leg["callee_tag"] for leg in one.listed["CALLEES"]] == ["t1", "t2"]
    assert [leg["callee_contact"] for leg in one.listed["CALLEES"]] == ["", f"sip:bob@{BOB}"]


def test_a_second_create_dialog_finds_the_first_dialog(calls: list[Call]):
    one = begin(calls, initial='create_dialog(); xlog("$rc $DLG_did\\n");')
    one.request("INVITE")
    assert one.script.take() == f"1 {one.listed['ID']}\n"
    assert one.statistic("processed_dialogs") == 1


def test_other_requests_begin_no_dialog(calls: list[Call]):
    one = begin(calls)
    told = one.script.route("initial", message=f"OPTIONS sip:x SIP/2.0\nVia: SIP/2.0/UDP {ALICE}\n\n")
    assert told.code == 1
    one.request("OPTIONS")
    assert one.script.mi("dlg_list") == {"Dialogs": []}


@pytest.mark.parametrize(("flags", "code"), [("bye-on-timeout, options-ping-caller", 1), ("B", -1)])
def test_create_dialog_knows_its_flags(calls: list[Call], flags: str, code: int):
    one = begin(calls, initial=f'$var(f) = "{flags}"; create_dialog($var(f)); xlog("$rc");')
    one.request("INVITE")
    assert one.script.take() == str(code)


def test_a_lifetime_can_be_set_before_there_is_a_dialog():
    text = SCRIPT.format(**dict.fromkeys(PARTS, "")).replace(
        "create_dialog(", "$DLG_timeout = 7;\n        create_dialog("
    )
    script = RunningScript(text, network=MemoryNetwork())
    one = Call(script, Party(script, ALICE, "alice", "al"), Party(script, BOB, "bob", "bo"))
    one.established()
    one.script.advance(6)
    assert one.state == 4
    one.script.advance(1.5)
    assert one.state == 5
    script.close()


def test_the_ack_of_a_negative_reply_is_in_no_dialog(calls: list[Call]):
    one = begin(calls, sequential='xlog("$rm $DLG_did\\n");')
    one.bob.reply(one.ring(), 486)
    one.route = "<sip:10.0.0.1;lr>"
    one.request("ACK")
    assert one.script.output == "ACK <null>\n"


# -- requests in a dialog -------------------------------------------------------------------------------------------


def test_a_reinvite_moves_the_contacts(calls: list[Call]):
    one = begin(calls)
    one.established()
    one.request("INVITE", by="bob")
    again = one.alice.only("INVITE")
    one.alice.reply(again, 200)
    told = one.listed
    assert (told["caller_contact"], told["callee_cseq"]) == (f"sip:alice@{ALICE}", "101")


@pytest.mark.parametrize(
    ("request_", "code"),
    [
        ({}, 1),
        ({"cseq": 1}, -1),
        ({"uri": "sip:mallory@10.6.6.6"}, -2),
        ({"route": False}, -4),
    ],
)
def test_requests_that_do_not_fit_are_found_out(calls: list[Call], request_: dict[str, Any], code: int):
    one = begin(calls, sequential='match_dialog(); validate_dialog(); if ($rm == "INFO") xlog("$rc");')
    one.established()
    one.request("INFO", **request_)
    assert one.script.take() == str(code)


def test_other_routes_than_those_of_the_dialog_are_found_out(calls: list[Call]):
    one = begin(calls, sequential='validate_dialog(); if ($rm == "INFO") xlog("$rc");')
    one.established()
    one.route += ", <sip:10.6.6.6;lr>"
    one.request("INFO")
    assert one.script.take() == "-3"


def test_a_request_is_put_back_on_its_way(calls: list[Call]):
    one = begin(calls, sequential='fix_route_dialog(); if ($rm == "INFO") xlog("$rc $ru $du");')
    one.established()
    one.route += ", <sip:10.6.6.6;lr>"
    one.request("INFO", uri="sip:mallory@10.6.6.6")
    assert one.script.take() == f"1 sip:bob@{BOB} <null>"
    info = one.bob.only("INFO")
    assert (info.uri, info.headers("Route")) == (f"sip:bob@{BOB}", [])


def test_the_routes_of_others_are_kept_for_each_end(calls: list[Call]):
    one = begin(calls, sequential='fix_route_dialog(); if ($rm == "INFO") xlog("$rc $du");')
    one.request("INVITE", "Record-Route: <sip:10.0.1.2;lr>", "Record-Route: <sip:10.0.1.1;lr>")
    invite = one.bob.only("INVITE")
    one.bob.reply(invite, 180)
    own = invite.headers("Record-Route")
    assert len(own) == 3
    ok = [f"Record-Route: {value}" for value in ("<sip:10.0.2.2;lr>", "<sip:10.0.2.1;lr>")]
    invite_of_bob = [f"Record-Route: {value}" for value in own]
    one.bob.send(
        [
            "SIP/2.0 200 OK",
            *(f"Via: {via}" for via in invite.headers("Via")),
            *ok,
            *invite_of_bob,
            f"From: {invite.header('From')}",
            f"To: {invite.header('To')};tag=bo",
            "Call-ID: call-1",
            f"CSeq: {invite.header('CSeq')}",
            f"Contact: <{one.bob.contact}>",
        ]
    )
    told = one.listed
    assert told["caller_route_set"] == "<sip:10.0.1.2;lr>,<sip:10.0.1.1;lr>"
    assert told["CALLEES"][0]["callee_route_set"] == "<sip:10.0.2.1;lr>,<sip:10.0.2.2;lr>"


def test_a_request_without_routes_is_matched_by_its_tags(calls: list[Call]):
    one = begin(calls, sequential='match_dialog("DID_NONE"); xlog("$rm $rc $DLG_did\\n");')
    one.established()
    one.script.take()
    one.request("INFO", route=False)
    assert one.script.take() == f"INFO 1 {one.listed['ID']}\n"


def test_match_mode_0_wants_our_route(calls: list[Call]):
    one = begin(
        calls,
        parameters='modparam("dialog", "dlg_match_mode", 0)',
        sequential='match_dialog(); if ($rm == "INFO") xlog("$rc $DLG_status\\n");',
    )
    one.established()
    one.request("INFO", route=False)
    one.request("INFO")
    assert one.script.take() == "-1 <null>\n1 4\n"


def test_match_mode_2_leaves_no_parameter_in_record_route(calls: list[Call]):
    one = begin(calls, parameters='modparam("dialog", "dlg_match_mode", 2)', sequential='xlog("$DLG_status ");')
    one.established()
    assert "did=" not in one.route
    one.request("INFO")
    assert one.script.take() == "4 4 "


def test_numbers_go_on_behind_requests_of_ours_and_come_back_in_replies(calls: list[Call]):
    one = begin(calls, sequential='if ($rm == "INFO") dlg_inc_cseq(, 5);')
    one.established()
    for sent in ("2 INFO", "8 INFO"):
        one.request("INFO")
        info = one.bob.only("INFO")
        assert info.header("CSeq") == sent
        one.bob.reply(info, 200)
    assert [reply.header("CSeq") for reply in one.alice.take() if reply.status == 200] == ["2 INFO", "3 INFO"]


# -- ending a call from here ----------------------------------------------------------------------------------------


def test_mi_ends_a_call_with_two_byes(calls: list[Call]):
    one = begin(
        calls,
        initial='dlg_on_hangup("hung_up");',
        local='xlog("$rm $DLG_dir $DLG_end_reason\\n");',
        more='route[hung_up] { xlog("$DLG_status $DLG_end_reason\\n"); }',
    )
    one.established()
    assert one.script.mi("dlg_end_dlg", one.listed["ID"], "X-Why: because") == "OK"
    one.script.settle()
    to_alice, to_bob = one.alice.only("BYE"), one.bob.only("BYE")
    assert (to_alice.uri, to_bob.uri) == (f"sip:alice@{ALICE}", f"sip:bob@{BOB}")
    assert [m.header("X-Why") for m in (to_alice, to_bob)] == ["because", "because"]
    assert (to_bob.header("From"), to_bob.header("To"), to_bob.header("CSeq")) == (
        "<sip:alice@a.test>;tag=al",
        "<sip:bob@b.test>;tag=bo",
        "2 BYE",
    )
    assert one.script.mi("dlg_end_dlg", "call-1") == "OK"
    assert one.state == 4
    one.bob.reply(to_bob, 200)
    one.alice.reply(to_alice, 200)
    assert one.state == 5
    assert error(one.script, "dlg_end_dlg", "call-1") == (404, "Requested Dialog not found")
    assert sorted(one.script.take().splitlines()) == [
        "5 MI Termination",
        "BYE downstream MI Termination",
        "BYE upstream MI Termination",
    ]


def test_a_call_that_rings_is_cancelled_where_tm_can_do_it(calls: list[Call]):
    one = begin(calls)
    invite = one.ring()
    tm = one.script.host.services.offers["tm"]
    if not hasattr(tm, "cancel"):
        assert error(one.script, "dlg_end_dlg", "call-1") == (500, "Internal Error")
        tm.cancel = lambda transaction: one.bob.peer.received.append(transaction.request)
    assert one.script.mi("dlg_end_dlg", "call-1") == "OK"
    one.script.settle()
    assert [message.header("CSeq") for message in one.bob.take()] != []
    one.bob.reply(invite, 487)
    assert (one.state, one.statistic("failed_dialogs")) == (5, 1)


def test_a_bye_that_nobody_answers_ends_the_dialog_too(calls: list[Call]):
    one = begin(calls)
    one.established()
    one.script.mi("dlg_end_dlg", "call-1")
    one.script.advance(35)
    assert one.statistic("active_dialogs") == 0


def test_a_call_whose_time_is_over_is_forgotten_or_ended(calls: list[Call]):
    quiet = begin(calls, initial="$DLG_timeout = 10;")
    loud = begin(calls, initial="$DLG_timeout = 10;", flags='"bye-on-timeout"')
    for one in (quiet, loud):
        one.established()
        one.script.advance(9)
        assert one.state == 4
        one.script.advance(2)
        assert one.statistic("expired_dialogs") == 1
    assert (quiet.state, quiet.alice.take(), quiet.bob.take()) == (5, [], [])
    assert loud.bob.only("BYE").header("CSeq") == "2 BYE"
    loud.alice.reply(loud.alice.only("BYE"), 200)
    assert loud.state == 5


def test_the_route_of_the_timeout_may_give_more_time(calls: list[Call]):
    one = begin(
        calls,
        initial='$DLG_timeout = 10; dlg_on_timeout("late");',
        more='route[late] { xlog("late $DLG_timeout\\n"); if ($dlg_val(more) == NULL) { $dlg_val(more) = 1;'
        " $DLG_timeout = 20; } }",
    )
    one.established()
    one.script.advance(11)
    assert (one.state, one.script.take()) == (4, "late 0\n")
    one.script.advance(21)
    assert (one.state, one.script.take()) == (5, "late 0\n")


def test_an_end_that_does_not_know_the_call_any_more_ends_it(calls: list[Call]):
    one = begin(calls, flags='"options-ping-callee"', initial="$DLG_options_ping_interval = 5;")
    one.established()
    for number in ("2 OPTIONS", "3 OPTIONS"):
        one.script.advance(5.5)
        ping = one.bob.only("OPTIONS")
        assert ping.header("CSeq") == number
        one.bob.reply(ping, 200 if number == "2 OPTIONS" else 481)
    one.script.settle()
    assert one.bob.only("BYE").header("CSeq") == "4 BYE"
    assert one.alice.only("BYE") is not None


def test_a_request_is_sent_to_one_end(calls: list[Call]):
    one = begin(calls)
    one.established(body="v=0")
    replies: list[object] = []

    async def ask() -> None:
        named: dict[str, object] = {
            "callid": "call-1", "method": "INFO", "body": "inbound", "mode": "callee", "headers": "X-A: 1"
        }  # fmt: skip
        replies.append(await call_command(one.script.host.services.mi, "dlg_send_sequential", named))

    async def begin_to_ask() -> None:
        one.script.host.services.tasks.spawn(ask(), "a question of the test")

    one.script.wait(begin_to_ask())
    one.script.settle()
    info = one.bob.only("INFO")
    assert (info.header("X-A"), info.body, info.header("Contact")) == ("1", b"v=0", f"<sip:alice@{ALICE}>")
    one.bob.reply(info, 202)
    assert replies == [{"Code": 202, "Reason": "Whatever"}]


# -- routes of a dialog ---------------------------------------------------------------------------------------------


def test_a_route_runs_when_a_call_is_answered_and_when_it_has_ended(calls: list[Call]):
    one = begin(
        calls,
        initial='dlg_on_answer("note"); dlg_on_hangup("note");',
        more='route[note] { xlog("$DLG_status $rm $DLG_dir $dlg_val(a)|"); }',
    )
    one.established()
    one.request("BYE")
    assert one.script.take() == "3 DUMMY <null> <null>|5 DUMMY <null> <null>|"


def test_a_route_that_is_not_there_is_refused(calls: list[Call]):
    initial = '$var(name) = "nosuch"; dlg_on_answer("$var(name)"); xlog("$rc"); dlg_on_answer(); xlog(" $rc");'
    one = begin(calls, initial=initial)
    one.request("INVITE")
    assert one.script.take() == "-1 1"


def test_state_changes_are_events(calls: list[Call]):
    one = begin(
        calls,
        more='event_route[E_DLG_STATE_CHANGED] { xlog("$param(callid) $param(from_tag) $param(to_tag) '
        '$param(old_state)-$param(new_state)|"); }',
    )
    one.established()
    one.request("BYE")
    one.script.settle()
    told = one.script.take().split("|")[:-1]
    assert told == [f"call-1 al bo {old}-{old + 1}" for old in (1, 2, 3, 4)]


# -- what MI shows --------------------------------------------------------------------------------------------------


def test_mi_shows_a_call_as_the_server_does(calls: list[Call]):
    one = begin(
        calls,
        initial='set_dlg_flag("F1"); set_dlg_flag("F2"); $dlg_val(a) = "va"; $dlg_val(n) = 7;'
        ' set_dlg_profile("caller", "bob"); set_dlg_profile("inbound");',
    )
    one.established(body="v=0")
    told = one.listed
    did = told["ID"]
    assert told == {
        "ID": did,
        "db_id": told["db_id"],
        "state": 4,
        "user_flags": "F2 F1",
        "timestart": 1_700_000_000,
        "datestart": told["datestart"],
        "timeout": 1_700_043_200,
        "dateout": told["dateout"],
        "callid": "call-1",
        "from_uri": "sip:alice@a.test",
        "to_uri": "sip:bob@b.test",
        "caller_tag": "al",
        "caller_contact": f"sip:alice@{ALICE}",
        "callee_cseq": "0",
        "caller_route_set": "",
        "caller_bind_addr": "udp:10.0.0.1:5060",
        "caller_sdp": "v=0",
        "CALLEES": [
            {
                "callee_tag": "bo",
                "callee_contact": f"sip:bob@{BOB}",
                "caller_cseq": "1",
                "callee_route_set": "",
                "callee_bind_addr": "udp:10.0.0.1:5060",
                "callee_sdp": "v=0",
            }
        ],
        "context": {"values": [{"n": 7}, {"a": "va"}], "profiles": [{"inbound": ""}, {"caller": "bob"}]},
    }
    assert list(told)[:6] == ["ID", "db_id", "state", "user_flags", "timestart", "datestart"]
    del told["context"]
    mi = one.script.mi
    assert mi("dlg_list") == {"Dialogs": [told]}
    assert mi("dlg_list", callid="call-1", from_tag="al") == {"Dialog": told}
    assert mi("dlg_list", index=0, counter=10) == {"count": 1, "Dialogs": [told]}
    assert mi("dlg_list", index=1, counter=10) == {"count": 1, "Dialogs": []}
    assert error(one.script, "dlg_list", callid="call-1", from_tag="zz") == (404, "No such dialog")


def test_mi_sets_values_and_profiles(calls: list[Call]):
    one = begin(calls)
    one.established()
    mi, did = one.script.mi, one.listed["ID"]
    assert mi("dlg_push_var", "n", "v", [did, "nosuch"]) == "OK"
    assert mi("dlg_set_profile", did, "caller", "eve") == "OK"
    assert mi("dlg_set_profile", "call-1", "inbound") == "OK"
    assert one.listed["context"] == {"values": [{"n": "v"}], "profiles": [{"inbound": ""}, {"caller": "eve"}]}
    assert mi("dlg_set_profile", did, "caller", "bob", 1) == "OK"
    assert mi("profile_get_values", "caller") == [{"value": "bob", "count": 1}]
    assert mi("profile_get_values", "inbound") == [{"value": None, "count": 1}]
    size = cast(dict[str, Any], mi("profile_get_size", "caller", "eve"))
    assert size["Profile"]["count"] == 0
    listed = cast(dict[str, Any], mi("profile_list_dlgs", "caller", "bob"))
    assert [told["ID"] for told in listed["Dialogs"]] == [did]
    assert error(one.script, "dlg_set_profile", did, "caller") == (400, "Profile needs a value")
    assert error(one.script, "dlg_set_profile", "nosuch", "caller", "x")[0] == 404
    assert error(one.script, "dlg_unset_profile", did, "caller", "eve") == (404, "Dialog not in profile")
    assert mi("dlg_unset_profile", did, "caller", "bob") == "OK"
    assert mi("profile_get_values", "caller") == []


def test_mi_ends_the_calls_of_a_profile(calls: list[Call]):
    one = begin(calls, initial='set_dlg_profile("caller", "bob");')
    one.established()
    assert one.script.mi("profile_end_dlgs", "caller", "eve") == "OK"
    one.script.settle()
    assert one.bob.take() == []
    assert one.script.mi("profile_end_dlgs", "caller") == "OK"
    one.script.settle()
    one.bob.reply(one.bob.only("BYE"), 200)
    size = cast(dict[str, Any], one.script.mi("profile_get_size", "caller"))
    assert size["Profile"]["count"] == 0


# -- what scripts see -----------------------------------------------------------------------------------------------

IN_SCRIPT = [
    ('is_in_profile("caller"); xlog("$rc");', "-1"),
    ('set_dlg_profile("caller", "a"); set_dlg_profile("caller", "a"); get_profile_size("caller", "a", $var(n));'
     'xlog("$var(n)"); unset_dlg_profile("caller", "a"); is_in_profile("caller", "a"); xlog(" $rc");', "2 1"),
    ('set_dlg_profile("caller", "a"); set_dlg_profile("caller", "b", 1); is_in_profile("caller", "a"); xlog("$rc");',
     "-1"),
    ('set_dlg_profile("caller"); xlog("$rc"); set_dlg_profile("nosuch"); xlog(" $rc");', "-1 -1"),
    ('unset_dlg_profile("caller", "x"); xlog("$rc");', "-1"),
    ('set_dlg_flag("A"); is_dlg_flag_set("A"); xlog("$rc"); is_dlg_flag_set("B"); xlog(" $rc $DLG_flags");',
     "1 -1 A"),
    ('test_and_set_dlg_flag("A", 1); xlog("$rc"); test_and_set_dlg_flag("A", 0); xlog(" $rc");'
     'test_and_set_dlg_flag("A", 0); xlog(" $rc"); test_and_set_dlg_flag("A", 5); xlog(" $rc");', "-1 1 -1 -1"),
    ('$DLG_flags = "A B"; xlog("$DLG_flags"); reset_dlg_flag("A"); xlog(" $DLG_flags"); $DLG_flags = NULL;'
     'xlog("[$DLG_flags]"); $DLG_flags = 5; xlog("$rc");', "A B B[]-1"),
    ('store_dlg_value("k", $rm); fetch_dlg_value("k", $var(o)); xlog("$rc $var(o)");'
     'fetch_dlg_value("zz", $var(o)); xlog(" $rc");', "1 INVITE -1"),
    ('$dlg_val(x) = 5; xlog("$dlg_val(x)"); $dlg_val(x) = NULL; xlog("$dlg_val(x)"); $var(n) = "dyn";'
     '$dlg_val($var(n)) = ""; xlog("[$dlg_val(dyn)]");', "5<null>[]"),
    ('xlog("$DLG_timeout"); $DLG_timeout = 50; xlog(" $DLG_timeout"); $DLG_timeout = -5; xlog(" $rc");'
     '$DLG_timeout = "60"; xlog(" $DLG_timeout"); $DLG_timeout = "abc"; xlog(" $rc $DLG_timeout");',
     "43200 50 -1 60 -1 60"),
    ('$DLG_del_delay = 3; xlog("$DLG_del_delay"); $DLG_del_delay = NULL; xlog(" $rc");', "3 -1"),
    ('xlog("$DLG_options_ping_interval"); $DLG_options_ping_interval = 30; xlog(" $rc");', "<null> -1"),
    ('xlog("$DLG_status $DLG_dir $DLG_lifetime $DLG_count $DLG_end_reason");', "1 downstream 0 0 <null>"),
    ('$dlg_val(t) = "x"; $var(v) = "x"; get_dialog_info("t", $avp(o), "t", $var(v), $var(n));'
     'xlog("$rc $avp(o) $var(n)"); get_dialog_info("zz", $avp(o), "t", $var(v), $var(n)); xlog(" $rc");', "1 x 1 -1"),
    ('$dlg_val(a) = 1; $dlg_val(b) = "2"; get_dialog_vals($avp(n), $avp(v), $ci);'
     'xlog("$rc $(avp(n)[*]) $(avp(v)[*])"); get_dialog_vals($avp(n), $avp(v), "no"); xlog(" $rc");',
     "1 a, b 1, 2 -1"),
    ('$dlg_val(t) = "x"; $var(v) = "x"; get_dialogs_by_val("t", $var(v), $avp(d), $var(n)); xlog("$rc $var(n)");'
     '$var(v) = "y"; get_dialogs_by_val("t", $var(v), $avp(d), $var(n)); xlog(" $rc");', "1 1 -1"),
    ('set_dlg_profile("inbound"); get_dialogs_by_profile("inbound", , $avp(d), $var(n)); xlog("$rc $var(n)");'
     'get_dialogs_by_profile("caller", "x", $avp(d), $var(n)); xlog(" $rc");', "1 1 -1"),
    ('load_dialog_ctx("nosuch"); xlog("$rc"); load_dialog_ctx($ci); xlog(" $rc $DLG_dir"); load_dialog_ctx($ci);'
     'xlog(" $rc"); unload_dialog_ctx(); xlog(" $rc $DLG_dir"); unload_dialog_ctx(); xlog(" $rc");',
     "-1 1 <null> -1 1 downstream -1"),
    ('$var(d) = $DLG_did; load_dialog_ctx($var(d), "did"); xlog("$rc"); unload_dialog_ctx();'
     'load_dialog_ctx($ci, "did"); xlog(" $rc");', "1 -1"),
    ('dlg_send_sequential("INFO", "caller"); xlog("$rc"); validate_dialog(); xlog(" $rc");', "-1 -4"),
]  # fmt: skip


@pytest.mark.parametrize(("statements", "printed"), IN_SCRIPT)
def test_a_script_sees_its_dialog(calls: list[Call], statements: str, printed: str):
    one = begin(calls, initial=statements)
    one.request("INVITE")
    assert one.script.take() == printed


WITHOUT_DIALOG = [
    ("create_dialog()", -1), ("match_dialog()", -1), ("validate_dialog()", -4), ("fix_route_dialog()", -1),
    ('set_dlg_profile("inbound")', -1), ('is_in_profile("inbound")', -1), ('unset_dlg_profile("inbound")', -1),
    ('set_dlg_flag("A")', -1), ('reset_dlg_flag("A")', -1), ('is_dlg_flag_set("A")', -1),
    ('test_and_set_dlg_flag("A", 0)', -2), ('store_dlg_value("k", $rm)', -1), ('fetch_dlg_value("k", $var(o))', -1),
    ("dlg_inc_cseq()", -2), ('dlg_on_answer("initial")', -1), ("unload_dialog_ctx()", -1),
    ('dlg_send_sequential("INFO", "caller")', -1), ('match_dialog("nonsense")', -1),
]  # fmt: skip


@pytest.mark.parametrize(("function", "code"), WITHOUT_DIALOG)
def test_without_a_dialog_functions_say_so(calls: list[Call], function: str, code: int):
    one = begin(
        calls,
        more=f'route[without] {{ {function}; xlog("$rc [$DLG_did$DLG_status$DLG_json]"); $dlg_val(a) = 1;'
        ' xlog(" $rc $dlg_val(a)"); }',
    )
    options = f"OPTIONS sip:x@y SIP/2.0\nVia: SIP/2.0/UDP {ALICE}\nFrom: <sip:a@b>;tag=1\nTo: <sip:c@d>\nCall-ID: c\n\n"
    assert one.script.route("without", message=options).output == f"{code} [<null><null><null>] -1 <null>"


def test_values_of_a_dialog_are_bounded(calls: list[Call]):
    one = begin(
        calls,
        initial='$var(i) = 0; while ($var(i) < 1100) { $dlg_val($var(i)) = 1; set_dlg_profile("inbound");'
        ' $var(i) = $var(i) + 1; } get_profile_size("inbound", , $var(n)); xlog("$var(n)");',
        parameters="max_while_loops=2000",
    )
    one.request("INVITE")
    assert one.script.take() == "1024"
    assert len(one.listed["context"]["values"]) == 1024


# -- parameters -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hash_size", "100"),
        ("dlg_match_mode", "3"),
        ("dialog_replication_cluster", "1"),
        ("cachedb_url", '"redis://x"'),
        ("default_timeout", "0"),
        ("profiles_no_value", '"caller"'),
    ],
)
def test_parameters_that_cannot_work_refuse_to_start(name: str, value: str):
    with pytest.raises(ScriptError, match=f"module 'dialog': '{name}'"):
        call(parameters=f'modparam("dialog", "{name}", {value})')


def test_extra_headers_go_with_our_requests(calls: list[Call]):
    one = begin(calls, parameters='modparam("dialog", "dlg_extra_hdrs", "Hint: credit\\r\\n")')
    one.established()
    one.script.mi("dlg_end_dlg", "call-1")
    one.script.settle()
    assert one.bob.only("BYE").header("Hint") == "credit"
