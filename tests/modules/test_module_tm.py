"""Transactions of a script: relaying, forking, cancelling, failure routes, timers, retransmissions, MI."""

import pytest

from miscript.errors import MIError
from miscript.sip import Message
from miscript.sip.replies import make_reply
from miscript.testing import run_script
from miscript.transaction_service import Moment, transaction_service
from sip_phones import HEAD, acknowledge, answer, phone, request, running, send, told

RELAY = "route { t_relay(); exit; }"
LATE = 'route { if (is_method("CANCEL")) { if (t_check_trans()) t_relay(); exit; } %s t_relay(); exit; }'


def stat(script, name):
    return script.mi("get_statistics", [f"{name}"])[f"tm:{name}"]


# -- relaying -----------------------------------------------------------------------------------------------------


def test_a_call_is_relayed_and_its_replies_come_back_without_our_via():
    with running(RELAY) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        trying = alice.take()
        assert [(m.status, m.reason) for m in trying] == [(100, "Giving it a try")]
        (invite,) = bob.take()
        assert [via.host for via in invite.vias] == ["10.0.0.9", "10.0.0.1"]
        answer(script, bob, invite, 180)
        answer(script, bob, invite, 200)
        replies = alice.take()
        assert [m.status for m in replies] == [180, 200]
        assert all([via.host for via in m.vias] == ["10.0.0.1"] for m in replies)
        answer(script, bob, invite, 200)
        assert told(alice) == [200], "each 2xx goes on"
        send(script, alice, request("ACK", branch="z9hG4bKack", to_tag="b"))
        assert told(bob) == ["ACK"]
        assert stat(script, "2xx_transactions") == 1
        assert stat(script, "inuse_transactions") == 1
        script.advance(6)
        assert stat(script, "inuse_transactions") == 0, "a transaction that is over is forgotten after wt_timer"


def test_a_100_of_the_next_hop_is_not_passed_on():
    with running(RELAY, 'modparam("tm", "auto_100trying", 0)') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 100)
        assert told(alice) == []


def test_a_request_that_comes_again_gets_the_last_reply_and_is_not_sent_on():
    with running('route { xlog("asked\\n"); t_relay(); xlog("behind\\n"); }') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        alice.take()
        (invite,) = bob.take()
        answer(script, bob, invite, 180)
        assert told(alice) == [180]
        send(script, alice, request())
        assert told(alice) == [180]
        assert told(bob) == []
        assert script.output == "asked\nbehind\n" * 2


def test_an_unanswered_request_is_repeated_then_408():
    with running(RELAY, 'modparam("tm", "fr_timeout", 10)') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        assert told(alice) == [100]
        script.advance(9.9)
        assert told(bob) == ["INVITE"] * 5, "at 0, 0.5, 1.5, 3.5 and 7.5 seconds"
        assert told(alice) == []
        script.advance(0.2)
        assert told(alice) == [408]
        assert stat(script, "timeout_finalresponse") == 1
        assert stat(script, "retransmission_req_T1_1") == stat(script, "retransmission_req_T1_2") == 1


def test_a_call_that_rings_too_long_is_cancelled_and_times_out():
    with running(RELAY, 'modparam("tm", "fr_inv_timeout", 20)') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 180)
        alice.take()
        script.advance(20.1)
        cancel = bob.take()[0]
        assert (cancel.method, cancel.cseq) == ("CANCEL", (1, "CANCEL"))
        assert cancel.first_via == invite.first_via
        assert told(alice) == [408]
        answer(script, bob, cancel, 200)
        answer(script, bob, invite, 487)
        assert told(bob) == ["ACK"]


def test_times_can_be_set_for_one_transaction():
    with running("route { $T_fr_timeout = 2; t_relay(); }") as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request("OPTIONS"))
        script.advance(2.1)
        assert told(alice) == [408]


def test_a_negative_reply_is_repeated_until_its_ack_comes():
    with running(RELAY) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 486, "Busy")
        assert told(bob) == ["ACK"], "each hop acknowledges for itself"
        _, busy = alice.take()
        script.advance(0.6)
        assert told(alice) == [486]
        acknowledge(script, alice, request(), busy)
        script.advance(4)
        assert told(alice) == []
        assert told(bob) == []


def test_a_2xx_of_the_script_is_repeated_until_its_ack_comes():
    with running('route { if (is_method("INVITE")) t_reply(200, "OK"); }') as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request())
        (ok,) = alice.take()
        for seconds in (0.6, 1.0, 2.0):
            script.advance(seconds)
            assert told(alice) == [200]
        tag = ok.to.tag
        send(script, alice, request("ACK", to_tag=tag, branch="z9hG4bKack"))
        script.advance(40)
        assert told(alice) == []


def test_a_2xx_that_nobody_acknowledges_is_given_up():
    with running('route { if (is_method("INVITE")) t_reply(200, "OK"); }') as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request())
        for _ in range(70):
            script.advance(1)
        assert told(alice) == [200] * 11, "RFC 3261 13.3.1.4: T1 doubles up to T2, for 64 T1"


@pytest.mark.parametrize(
    ("uri", "code", "answered"),
    [
        ("sip:x@nosuch.example", 1, [476]),
        ("sip:x@10.0.0.2;transport=tls", 1, [477]),
        ("nonsense", -2, []),
    ],
)
def test_what_cannot_be_sent_is_answered_or_told_to_the_script(uri, code, answered):
    script = f'route {{ $ru = "{uri}"; $var(r) = t_relay(); xlog("$var(r)"); }}'
    with running(script) as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, request("OPTIONS"))
        assert host.output == str(code)
        assert told(alice) == answered


def test_the_script_can_answer_itself_when_nothing_was_sent():
    script = """route { $ru = "sip:x@nosuch.example"; $var(r) = t_relay("no-auto-477");
    if ($var(r) == -4) send_reply(503, "Sorry"); }"""
    with running(script) as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, request("OPTIONS"))
        assert told(alice) == [503]


def test_an_outbound_proxy_gets_what_has_no_destination():
    with running('route { t_relay(, "10.0.0.3:5060"); }') as script:
        alice, other = phone(script, "10.0.0.1"), phone(script, "10.0.0.3")
        send(script, alice, request())
        (invite,) = other.take()
        assert invite.uri == "sip:bob@10.0.0.2"


# -- answering ----------------------------------------------------------------------------------------------------


def test_replies_of_the_script_have_one_tag_and_end_with_a_final_one():
    script = """route { t_newtran(); t_reply(180, "Ringing"); t_reply(200, "OK"); $var(r) = t_reply(300, "More");
    xlog("$var(r) $T_reply_code"); }"""
    with running(script) as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, request())
        replies = alice.take()
        assert [m.status for m in replies] == [100, 180, 200]
        assert replies[0].to.tag is None
        assert replies[1].to.tag == replies[2].to.tag
        assert host.output == "-1 200"


def test_a_503_is_passed_on_as_500():
    with running(RELAY) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request("OPTIONS"))
        answer(script, bob, bob.take()[0], 503, "Down")
        assert [(m.status, m.reason) for m in alice.take()] == [(500, "Down")]


def test_a_transaction_that_nobody_answers_ends_with_a_408():
    with running("route { t_newtran(); }") as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request("OPTIONS"))
        script.advance(31)
        assert told(alice) == [408]
        script.advance(6)
        assert stat(script, "inuse_transactions") == 0


# -- forking ------------------------------------------------------------------------------------------------------

FORK = LATE % 'append_msg_branch("sip:carol@10.0.0.3");'


def test_the_first_2xx_wins_and_the_others_are_cancelled():
    with running(FORK) as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        to_bob, to_carol = bob.take()[0], carol.take()[0]
        assert to_bob.first_via.branch != to_carol.first_via.branch
        answer(script, bob, to_bob, 180)
        answer(script, carol, to_carol, 180)
        answer(script, carol, to_carol, 200)
        assert told(alice) == [100, 180, 180, 200]
        (cancel,) = bob.take()
        assert cancel.method == "CANCEL"
        answer(script, bob, cancel, 200)
        answer(script, bob, to_bob, 487)
        assert told(bob) == ["ACK"]
        assert told(alice) == []


@pytest.mark.parametrize(
    ("first", "second", "best"),
    [(404, 486, 404), (486, 404, 404), (500, 404, 404), (302, 404, 302), (404, 407, 407), (603, 404, 603)],
)
def test_the_best_negative_reply_goes_back_when_all_have_failed(first, second, best):
    with running(FORK) as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        to_bob, to_carol = bob.take()[0], carol.take()[0]
        answer(script, bob, to_bob, first)
        assert told(alice) == [100]
        answer(script, carol, to_carol, second)
        assert told(alice) == [best]


def test_a_branch_without_any_reply_is_cancelled_with_its_first_one():
    with running(FORK) as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        to_bob, to_carol = bob.take()[0], carol.take()[0]
        answer(script, carol, to_carol, 200)
        assert told(bob) == [], "RFC 3261 9.1: not before a provisional reply"
        answer(script, bob, to_bob, 180)
        assert told(bob) == ["CANCEL"]


def test_branches_are_tried_one_after_the_other():
    script = """
    route { append_msg_branch("sip:carol@10.0.0.3", "0.5"); $ru_q = 900; serialize_branches(1); next_branches();
            t_on_failure("next"); t_relay(); }
    failure_route[next] { if (next_branches()) { t_on_failure("next"); t_relay(); } else t_reply(480, "All tried"); }
    """
    with running(script) as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request())
        assert told(carol) == []
        answer(host, bob, bob.take()[0], 486)
        assert told(alice) == [100]
        answer(host, carol, carol.take()[0], 486)
        assert told(alice) == [480]


@pytest.mark.parametrize(
    "send_it", ['sl_send_reply(302, "Moved")', 't_reply(302, "Moved")', 'send_reply(302, "Moved")']
)
def test_a_redirect_tells_where_to_go_instead(send_it):
    script = f"""route {{ $ru = "sip:b@10.0.0.2"; append_msg_branch("sip:c@10.0.0.3", "0.3"); {send_it}; }}"""
    with running(script) as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, request())
        assert alice.take()[-1].headers("Contact") == ["<sip:b@10.0.0.2>, <sip:c@10.0.0.3>;q=0.3"]


def test_other_replies_do_not_tell_branches():
    script = """route { $ru = "sip:b@10.0.0.2"; append_msg_branch("sip:c@10.0.0.3"); t_reply(404, "No"); }"""
    with running(script) as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, request())
        assert alice.take()[-1].headers("Contact") == []


def test_flags_set_behind_t_relay_are_not_those_of_the_transaction():
    script = """route { setflag("a"); t_on_reply("r"); t_on_branch("b"); t_relay(); resetflag("a"); setflag("c"); }
    branch_route[b] { setflag("b"); }
    onreply_route[r] { xlog("$mf"); }"""
    with running(script) as host:
        alice, bob = (phone(host, f"10.0.0.{n}") for n in (1, 2))
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 180)
        assert set(host.output.split()) == {"a", "b"}


def test_a_failure_route_says_anew_where_the_request_goes():
    script = """route { $du = "sip:10.0.0.2"; t_on_failure("f"); t_relay(); }
    failure_route[f] { xlog("$du"); $ru = "sip:carol@10.0.0.3"; t_relay(); }"""
    with running(script) as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 486)
        assert told(carol) == ["INVITE"]
        assert host.output == "<null>"


def test_nothing_is_tried_behind_a_6xx_unless_the_script_says_so():
    script = """route { t_on_failure("f"); t_relay(); }
    failure_route[f] { $ru = "sip:carol@10.0.0.3"; xlog("$T_reply_code "); $var(r) = t_relay(); xlog("$var(r)"); }"""
    for head, code, asked in (("", "-3", []), ('modparam("tm", "disable_6xx_block", 1)', "1", ["INVITE"])):
        with running(script, head) as host:
            alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
            send(host, alice, request())
            answer(host, bob, bob.take()[0], 603)
            assert host.output == f"603 {code}"
            assert told(carol) == asked


# -- cancelling ---------------------------------------------------------------------------------------------------


def test_a_cancel_is_answered_and_sent_to_what_rings():
    script = (
        LATE % 't_on_failure("f"); t_on_reply("r");'
        + """
    onreply_route[r] { if (t_was_cancelled()) xlog("cancelled $rs\\n"); }
    failure_route[f] { if (t_was_cancelled()) xlog("end $T_reply_code\\n"); }"""
    )
    with running(script) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        (invite,) = bob.take()
        answer(host, bob, invite, 180)
        alice.take()
        send(host, alice, request("CANCEL", more="Reason: SIP;cause=480\n"))
        (ok,) = alice.take()
        assert (ok.status, ok.cseq) == (200, (1, "CANCEL"))
        (cancel,) = bob.take()
        own = 'SIP;cause=487;text="ORIGINATOR_CANCEL"'
        assert cancel.header("Reason") == own, "that of the caller is passed on only when the script trusts it"
        send(host, alice, request("CANCEL"))
        assert told(alice) == [200]
        assert told(bob) == []
        answer(host, bob, cancel, 200)
        answer(host, bob, invite, 487)
        assert told(alice) == [487]
        assert host.output == "cancelled 487\nend 487\n"


def test_a_reason_is_passed_on_when_the_script_says_so():
    script = 'route { if (is_method("CANCEL")) t_relay("pass-reason-hdr"); else t_relay(); }'
    with running(script) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 180)
        send(host, alice, request("CANCEL", more="Reason: SIP;cause=480\n"))
        assert bob.take()[0].header("Reason") == "SIP;cause=480"


def test_a_cancel_without_its_invite_finds_nothing():
    with running('route { xlog("$(rc)"); if (!t_check_trans()) send_reply(481, "No"); }') as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request("CANCEL"))
        assert told(alice) == [481]


def test_a_reply_route_can_cancel_the_other_branches():
    script = (
        FORK.replace("t_relay(); exit; }", 't_on_reply("r"); t_relay(); exit; }')
        + """
    onreply_route[r] { if ($rs == 183) t_cancel_branch("o"); }"""
    )
    with running(script) as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request())
        to_bob, to_carol = bob.take()[0], carol.take()[0]
        answer(host, bob, to_bob, 180)
        answer(host, carol, to_carol, 183)
        assert told(bob) == ["CANCEL"]
        assert told(carol) == []


# -- routes -------------------------------------------------------------------------------------------------------


def test_each_branch_has_its_own_route_edits_flags_and_reply_route():
    script = """
    route { setbflag("B"); append_msg_branch("sip:carol@10.0.0.3"); append_hf("X-All: 1\\r\\n"); t_on_branch("b");
            t_relay(); }
    branch_route[b] { append_hf("X-Branch: $T_branch_idx\\r\\n"); $bavp(n) = $rU; xlog("[$bf]");
                      if ($rU == "carol") t_on_reply("carol"); }
    onreply_route[carol] { xlog("carol $rs $bavp(n) $T_branch_idx"); }
    """
    with running(script) as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request())
        to_bob, to_carol = bob.take()[0], carol.take()[0]
        assert (to_bob.header("X-All"), to_bob.headers("X-Branch")) == ("1", ["0"])
        assert (to_carol.header("X-All"), to_carol.headers("X-Branch")) == ("1", ["1"])
        assert host.take() == "[B][]"
        answer(host, bob, to_bob, 180)
        answer(host, carol, to_carol, 180)
        assert host.take() == "carol 180 carol 1"


@pytest.mark.parametrize(
    ("flags", "code", "heard"), [("", "1", [100, 500]), ("no-auto-477", "-1", [100])]
)  # fmt: skip
def test_a_branch_route_can_drop_its_branch(flags, code, heard):
    with running(
        f'route {{ t_on_branch("b"); t_relay("{flags}"); xlog("$rc"); }} branch_route[b] {{ drop; }}'
    ) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        assert told(bob) == []
        assert told(alice) == heard
        assert script.output == code


def test_a_reply_route_can_drop_provisional_replies_only():
    script = 'route { t_on_reply("r"); t_relay(); } onreply_route[r] { drop; }'
    with running(script) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        (invite,) = bob.take()
        answer(host, bob, invite, 183)
        answer(host, bob, invite, 404)
        assert told(alice) == [100, 404]


@pytest.mark.parametrize(("mode", "seen"), [(0, "<null>"), (1, "set")])
def test_avps_belong_to_the_transaction(mode, seen):
    script = """route { $avp(x) = "set"; setflag("F"); t_on_reply("r"); t_on_failure("f"); t_relay(); }
    onreply_route[r] { xlog("reply $avp(x) $msg.flag(F)\\n"); $avp(y) = "from reply"; }
    failure_route[f] { xlog("failure $avp(x) $avp(y) $msg.flag(F) $ru\\n"); }"""
    with running(script, f'modparam("tm", "onreply_avp_mode", {mode})') as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 404)
        other = "from reply" if mode else "<null>"
        assert host.output == f"reply {seen} true\nfailure set {other} true sip:bob@10.0.0.2\n"


def test_an_asynchronous_route_holds_its_transaction():
    script = """route { $avp(x) = "kept"; xlog("asked\\n"); async(sleep(2), done); }
    route[done] { xlog("done $avp(x) $rU\\n"); t_relay(); }"""
    with running(script, 'loadmodule "cfgutils.so"') as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        assert told(alice) == [100]
        send(host, alice, request())
        assert told(alice) == [100], "the retransmission is absorbed"
        host.advance(2.1)
        assert host.output == "asked\nasked\ndone kept bob\n"
        assert told(bob) == ["INVITE"]


def test_a_call_cancelled_while_its_route_waits_is_not_sent():
    script = """route { if (is_method("CANCEL")) { t_relay(); exit; } async(sleep(2), done); }
    route[done] { $var(r) = t_relay(); xlog("$var(r)"); }"""
    with running(script, 'loadmodule "cfgutils.so"') as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        send(host, alice, request("CANCEL"))
        host.advance(2.1)
        assert told(alice) == [100, 200, 487]
        assert told(bob) == []
        assert host.output == "-3"


# -- requests of our own ------------------------------------------------------------------------------------------


def uac_dlg(script, **more):
    values = {
        "method": "OPTIONS",
        "ruri": "sip:bob@10.0.0.2",
        "headers": "From: <sip:me@here>\r\nTo: <sip:bob@there>\r\n",
    }
    return script.mi("t_uac_dlg", **values | more)


def test_a_command_of_mi_sends_a_request_and_waits_for_its_end():
    script = 'local_route { append_hf("X-Local: $rm\\r\\n"); } onreply_route { xlog("reply $rs"); } route { exit; }'
    with running(script) as host:
        bob = phone(host, "10.0.0.2")
        seen = []

        def reply(data, source):
            seen.append(Message.parse(data))
            bob.send(make_reply(seen[-1], 202, "Fine", to_tag="b"), "10.0.0.9", 5060)

        host.network.leave_place(bob.place)
        host.network.take_place(bob.place, reply)
        result = uac_dlg(host)
        assert result["Status"] == "202 Fine"
        assert result["Message"].startswith("Via: ")
        assert seen[0].from_.tag
        assert seen[0].header("X-Local") == "OPTIONS"
        assert host.output == "reply 202"


def test_a_request_of_our_own_comes_from_its_socket():
    script = """local_route { xlog("$si $sp $socket_in $socket_out $du"); }  route { exit; }"""
    with running(script, 'modparam("tm", "fr_timeout", 1)') as host:
        phone(host, "10.0.0.2")
        uac_dlg(host)
        assert host.output == "10.0.0.9 5060 udp:10.0.0.9:5060 udp:10.0.0.9:5060 sip:bob@10.0.0.2"


@pytest.mark.parametrize("where", ['$ru = "sip:carol@10.0.0.3"', '$du = "sip:10.0.0.3"'])
def test_a_local_route_says_where_a_request_of_our_own_goes(where):
    with running(f"local_route {{ {where}; }}  route {{ exit; }}", 'modparam("tm", "fr_timeout", 1)') as host:
        bob, carol = (phone(host, f"10.0.0.{n}") for n in (2, 3))
        uac_dlg(host)
        assert (told(bob), set(told(carol))) == ([], {"OPTIONS"})


@pytest.mark.parametrize("line_end", ["\r\n", "\n", "\\r\\n", "\\n"], ids=["CR LF", "LF", "letters", "letter n"])
def test_header_fields_of_a_command_may_have_any_line_end_and_stop_at_an_empty_line(line_end):
    lines = ["From: <sip:a@b>", "To: <sip:c@d>", "X-One: 1", "", "X-Two: 2", ""]
    with running("route { exit; }", 'modparam("tm", "fr_timeout", 1)') as host:
        bob = phone(host, "10.0.0.2")
        uac_dlg(host, headers=line_end.join(lines))
        received = bob.take()[0]
        assert (received.header("X-One"), received.header("X-Two")) == ("1", None)


def test_a_command_whose_request_gets_no_answer_ends_with_a_408():
    with running("route { exit; }", 'modparam("tm", "fr_timeout", 3)') as script:
        phone(script, "10.0.0.2")
        assert uac_dlg(script) == {"Status": "408 Request Timeout"}


@pytest.mark.parametrize(
    ("wrong", "code", "message"),
    [
        ({"ruri": ":::"}, 400, "Invalid ruri"),
        ({"headers": "To: <sip:a@b>\r\n"}, 400, "From missing"),
        ({"headers": "From: <sip:a@b>\r\n"}, 400, "To missing"),
        ({"headers": "nonsense"}, 400, "Bad headers"),
        ({"headers": "From: <sip:a@b>\r\nTo: <sip:a@b>\r\nCSeq: x\r\n"}, 400, "Bad headers"),
        ({"next_hop": "nonsense"}, 400, "Invalid next_hop"),
        ({"socket": "udp:9.9.9.9:9"}, 404, "Local socket not found"),
        ({"body": "x"}, 400, "Content-Type missing"),
        ({"ruri": "sip:a@nosuch.example"}, 476, "Unresolvable destination (476/MI/UAC)"),
    ],
)
def test_a_command_that_cannot_be_sent_says_why(wrong, code, message):
    with running("route { exit; }") as script, pytest.raises(MIError) as caught:
        uac_dlg(script, **wrong)
    assert (caught.value.code, caught.value.message) == (code, message)


def test_a_parked_call_is_answered_over_mi():
    with running('route { t_newtran(); xlog("$T_id"); }') as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request())
        number, hash_ = (int(part, 16) for part in script.output.split("."))
        values = {"code": 486, "reason": "Busy", "trans_id": f"{hash_}:{number}", "to_tag": "mine"}
        assert script.mi("t_reply", **values, new_headers="X-Why: none\r\n") == "OK"
        busy = alice.take()[-1]
        assert (busy.status, busy.to.tag, busy.header("X-Why")) == (486, "mine", "none")
        with pytest.raises(MIError, match="Transaction not found"):
            script.mi("t_reply", **values | {"trans_id": "1:1"})


def test_a_reply_over_mi_by_the_id_that_the_script_tells_cancels_who_rings():
    with running('route { $du = "sip:10.0.0.2"; t_relay(); xlog("$T_id"); }') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        answer(script, bob, bob.take()[-1], 180)
        values = {"code": 502, "reason": "Bad", "trans_id": script.output, "to_tag": "mine"}
        assert script.mi("t_reply", **values) == "OK"
        script.settle()
        assert alice.take()[-1].status == 502
        assert [message.method for message in bob.take()] == ["CANCEL"]


def test_a_script_sends_a_request_and_goes_on():
    script = """route { $var(r) = t_new_request("MESSAGE", "sip:bob@10.0.0.2", "Me sip:me@here", "sip:bob@there",
        "text/plain hello there", "ctx"); xlog("$var(r)\\n"); send_reply(200, "OK"); }
    local_route { xlog("local $rm $avp(uac_ctx)\\n"); }"""
    with running(script) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request("OPTIONS"))
        assert host.output == "local MESSAGE ctx\n1\n"
        (message,) = bob.take()
        assert message.header("From").startswith("Me <sip:me@here>;tag=")
        assert (message.header("Content-Type"), message.body) == ("text/plain", b"hello there")
        assert told(alice) == [200]


def test_an_invite_of_ours_is_acknowledged_and_can_be_cancelled():
    with running('route { t_new_request("INVITE", "sip:bob@10.0.0.2", "sip:me@here", "sip:bob@there"); }') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request("OPTIONS"))
        (invite,) = bob.take()
        answer(script, bob, invite, 180)
        assert script.mi("t_uac_cancel", invite.call_id, "10 INVITE") == "OK"
        (cancel,) = bob.take()
        answer(script, bob, cancel, 200)
        answer(script, bob, invite, 200, headers=["Contact: <sip:bob@10.0.0.2;x=y>\r\n"])
        (ack,) = bob.take()
        assert (ack.method, ack.uri, ack.cseq) == ("ACK", "sip:bob@10.0.0.2;x=y", (10, "ACK"))


# -- for other modules --------------------------------------------------------------------------------------------


def test_others_watch_transactions_from_beginning_to_end():
    with running('route { t_on_failure("f"); t_relay(); } failure_route[f] { exit; }') as script:
        service = transaction_service(script.host.services)
        seen = []
        for moment in Moment:
            service.watch(moment, lambda happening: seen.append(happening.moment.name))
        service.watch(Moment.CREATED, lambda happening: 1 / 0)
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 404)
        acknowledge(script, alice, request(), alice.take()[-1])
        script.advance(10)
        assert seen == ["CREATED", "REPLY_OUT", "BRANCH", "REPLY_IN", "FAILURE", "REPLY_OUT", "ACK", "ENDED"]


def test_the_module_loads_without_sockets_too():
    assert run_script(HEAD.replace("socket=udp:10.0.0.9:5060", "") + 'startup_route { xlog("up"); }').output == "up"


def test_a_route_waits_for_a_request_of_its_own_and_others_run_meanwhile():
    script = """
    startup_route { $avp(p) = "method"; $avp(v) = "OPTIONS"; $avp(p) = "ruri"; $avp(v) = "sip:me@10.0.0.9";
        $avp(p) = "headers"; $avp(v) = "From: <sip:me@here>\\r\\nTo: <sip:you@there>\\r\\n";
        mi("t_uac_dlg", $var(r), $avp(p), $avp(v)); xlog("startup $rc\\n");
        launch(mi("t_uac_dlg", $var(r), $avp(p), $avp(v)), done); }
    route[done] { xlog("done $rc $(var(r){s.substr,0,18})\\n"); }
    route { xlog("request $rm\\n"); send_reply(486, "Busy"); }
    """
    with running(script) as host:
        host.settle()
        assert host.output == 'request OPTIONS\nstartup 1\nrequest OPTIONS\ndone 1 {"Status":"486 Bus\n'


@pytest.mark.parametrize(("answers", "line"), [(True, "later 1 200 OK"), (False, "later -4 timeout")])
def test_a_call_goes_on_when_a_request_of_its_own_has_its_answer(answers, line):
    script = """
    route {
        if (is_method("MESSAGE")) { send_reply(202, "Taken"); exit; }
        $avp(p) = "method"; $avp(v) = "OPTIONS"; $avp(p) = "ruri"; $avp(v) = "sip:bob@10.0.0.2";
        $avp(p) = "headers"; $avp(v) = "From: <sip:me@here>\\r\\nTo: <sip:you@there>\\r\\n";
        async(mi("t_uac_dlg", $avp(r), $avp(p), $avp(v)), later, 5);
    }
    route[later] {
        $var(c) = $rc;
        $var(s) = $avp(r);
        if ($var(c) > 0) { $json(reply) := $avp(r); $var(s) = $json(reply/Status); }
        xlog("later $var(c) $var(s)\\n");
        t_reply(480, "Done");
    }"""
    with running(script, 'loadmodule "json.so"\n') as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        (question,) = bob.take()
        send(host, alice, request("MESSAGE", branch="z9hG4bKtwo", call_id="two"))
        assert told(alice) == [100, 202], "others run meanwhile"
        send(host, alice, request())
        assert told(alice) == [100], "the INVITE that comes again is absorbed"
        if answers:
            answer(host, bob, question, 200, "OK")
        else:
            host.advance(5.1)
        assert host.take().startswith(f"{line}")
        assert told(alice) == [480]
