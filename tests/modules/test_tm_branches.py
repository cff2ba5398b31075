"""Branches that come later, are not waited for, are looked up, or go to somebody else as well."""

import os
import socket
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError, ScriptError
from miscript.modules.tm.writing import appends_of
from miscript.sip import Message
from miscript.sip.requests import make_request, whole_headers
from miscript.sip.syntax import SipSyntaxError
from sip_phones import acknowledge, answer, phone, request, running, send, told
from test_module_tm import stat as statistic

ROUTING = 'loadmodule "event_routing.so"\nmodparam("tm", "fr_inv_timeout", 20)\n'
WAITING = """
route {
    if (is_method("CANCEL")) { t_relay(); exit; }
    if (is_method("MESSAGE")) {
        $avp(names) = "to"; $avp(values) = $rU; raise_event("E_MORE", $avp(names), $avp(values)); exit;
    }
    t_newtran();
    %s
    t_on_failure("failed"); t_on_branch("each"); t_on_reply("came");
    $avp(kept) = "kept";
    $avp(filter) = "to=*";
    notify_on_event("E_MORE", $avp(filter), "more", 15);
    %s
    exit;
}
route[more] {
    $ru = "sip:" + $avp(to) + "@10.0.0.3";
    $var(r) = t_inject_branches("msg"%s);
    xlog("injected $var(r) $T_id $avp(kept)\\n");
}
branch_route[each] { xlog("branch $T_branch_idx $ru $avp(kept)\\n"); }
onreply_route[came] { xlog("came $rs\\n"); %s }
failure_route[failed] { xlog("failed $T_reply_code $T_branch_idx $(tm.branch.type[0]) $(tm.branch.uri[0])\\n"); }
"""


def waiting(wait="t_wait_for_new_branches();", relay="t_relay();", flags="", reply=""):
    return running(WAITING % (wait, relay, flags, reply), ROUTING)


def more(script, peer, user="carol", number=1):
    """Raise the event that brings one more branch."""
    send(script, peer, request("MESSAGE", f"sip:{user}@x", branch=f"z9hG4bKm{number}", call_id=f"m{number}"))


def test_an_open_transaction_outlives_its_branches_and_takes_a_new_one():
    with waiting() as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 486)
        assert told(alice) == [100], "the 486 waits"
        more(script, alice)
        (second,) = carol.take()
        assert (second.uri, second.call_id) == ("sip:carol@10.0.0.3", "one")
        answer(script, carol, second, 200)
        assert told(alice) == [200]
        lines = script.output.splitlines()
        assert lines[0] == "branch 1 sip:bob@10.0.0.2 kept"
        assert lines[1] == "came 486"
        assert lines[2] == "branch 2 sip:carol@10.0.0.3 kept", "the transaction's own AVPs"
        assert lines[3] == "injected 1 <null> <null>", "the notification has nothing of the transaction but its id"
        script.advance(30)
        assert statistic(script, "inuse_transactions") == 0


def test_the_wait_ends_with_its_time_and_the_best_reply_goes_back():
    with waiting() as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        answer(script, bob, bob.take()[0], 486)
        script.advance(19)
        assert told(alice) == [100]
        script.advance(1.1)
        assert told(alice) == [486]
        assert script.output.splitlines()[-1] == "failed 486 0 phony <null>", "the wait has ended last"


def test_a_wait_without_any_branch_ends_with_a_408():
    with waiting(relay="") as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request())
        script.advance(20.1)
        assert told(alice) == [100, 408]
        assert statistic(script, "timeout_finalresponse") == statistic(script, "timeout_finalresponse_inv") == 0


def test_a_wait_for_so_many_branches_ends_with_the_last_of_them():
    with waiting("t_wait_for_new_branches(2);") as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        answer(script, bob, bob.take()[0], 486)
        more(script, alice)
        answer(script, carol, carol.take()[0], 480)
        assert told(alice) == [100, 480], "the relayed one counts, as in the server"


@pytest.mark.parametrize("at_once", [True, False])
def test_the_script_may_end_the_wait(at_once):
    wait = "t_wait_for_new_branches();" + (" t_wait_no_more_branches();" if at_once else "")
    with waiting(wait, reply="" if at_once else 't_wait_no_more_branches(); xlog("no more $rc\\n");') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        answer(script, bob, bob.take()[0], 486)
        assert told(alice) == [100, 486]


def test_the_last_injected_branch_ends_the_wait():
    with waiting(flags=', "l"') as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        answer(script, bob, bob.take()[0], 486)
        more(script, alice)
        answer(script, carol, carol.take()[0], 404)
        assert told(alice) == [100, 404]


def test_an_injection_may_cancel_what_rings():
    with waiting("", flags=', "cancel"') as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 180)
        more(script, alice)
        (cancel,) = bob.take()
        assert (cancel.method, cancel.header("Reason")) == (
            "CANCEL",
            'SIP ;cause=200 ;text="Call completed elsewhere"',
        )
        answer(script, bob, invite, 487)
        assert told(alice) == [100, 180]
        answer(script, carol, carol.take()[0], 200)
        assert told(alice) == [200]


def test_nothing_is_injected_into_a_transaction_that_has_its_answer():
    with waiting() as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        answer(script, bob, bob.take()[0], 200)
        more(script, alice)
        assert script.output.splitlines()[-1] == "injected -2 <null> <null>"
        script.advance(14)
        more(script, alice, number=2)
        assert script.output.splitlines()[-1] == "injected -1 <null> <null>", "and into none that is forgotten"


def test_a_cancel_ends_the_wait():
    with waiting(relay="") as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request())
        send(script, alice, request("CANCEL"))
        assert told(alice) == [100, 200, 487]
        more(script, alice)
        assert script.output.splitlines() == ["failed 487 0 phony <null>", "injected -2 <null> <null>"]


def test_a_cancelled_transaction_does_not_wait_when_its_branches_have_ended():
    with waiting() as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        (invite,) = bob.take()
        answer(script, bob, invite, 180)
        send(script, alice, request("CANCEL"))
        answer(script, bob, invite, 487)
        assert told(alice) == [100, 180, 200, 487]


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ("t_wait_for_new_branches()", -1),
        ("t_wait_no_more_branches()", -1),
        ('t_inject_branches("msg")', -1),
        ('t_add_hdrs("X: 1\\r\\n")', -1),
        ('t_newtran(); $var(r) = t_inject_branches("event")', -1),
        ('t_newtran(); $var(r) = t_inject_branches("nowhere")', -1),
        ('t_newtran(); $var(r) = t_add_hdrs("no header")', -1),
        ("t_newtran(); $var(r) = t_wait_for_new_branches(-2)", -1),
    ],
)
def test_without_what_they_need_the_functions_fail(call, code):
    with running(f'route {{ $var(r) = {call}; xlog("$var(r)"); }}') as script:
        send(script, phone(script, "10.0.0.1"), request())
        assert script.output == str(code)


def test_header_fields_of_a_transaction_are_in_all_its_requests():
    script = 'route { t_newtran(); t_add_hdrs("X-One: 1\\r\\nX-Two: 2\\r\\n"); t_relay(); exit; }'
    late = f'route {{ if (is_method("CANCEL")) {{ t_relay(); exit; }} {script[8:]}'
    with running(late) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        (invite,) = bob.take()
        answer(host, bob, invite, 180)
        send(host, alice, request("CANCEL"))
        (cancel,) = bob.take()
        answer(host, bob, invite, 487)
        (ack,) = bob.take()
        assert ack.method == "ACK"
        for sent in (invite, cancel, ack):
            assert (sent.header("X-One"), sent.header("X-Two")) == ("1", "2")


def test_nobody_waits_for_a_minor_branch():
    script = """route { append_msg_branch("sip:carol@10.0.0.3"); $(msg.branch.flag(MINOR)[1]) = 1; t_relay(); }"""
    with running(script, 'modparam("tm", "minor_branch_flag", "MINOR")') as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request())
        (first,), (minor,) = bob.take(), carol.take()
        answer(host, carol, minor, 183)
        answer(host, bob, first, 486)
        assert told(alice) == [100, 183, 486]
        assert told(carol) == ["CANCEL"]


def test_a_minor_branch_alone_decides():
    script = 'route { setbflag("MINOR"); t_relay(); }'
    with running(script, 'modparam("tm", "minor_branch_flag", "MINOR")') as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 404)
        assert told(alice) == [100, 404]


def test_branches_are_found_by_their_attributes():
    script = """route {
        $msg.branch.attr(name) = "sip"; append_msg_branch("sip:carol@10.0.0.3"); $(msg.branch.attr(name)[1]) = 7;
        t_on_reply("r"); t_relay();
    }
    onreply_route[r] {
        t_get_branch_idx_by_attr("name", "sip", , $var(a)); $var(c) = $rc;
        t_get_branch_idx_by_attr("name", , 7, $var(b)); $var(d) = $rc;
        t_get_branch_idx_by_attr("name", , , $var(e), 1); $var(f) = $rc;
        t_get_branch_idx_by_attr("name", "7"); $var(g) = $rc;
        xlog("$var(a) $var(c) $var(b) $var(d) $var(e) $var(f) $var(g)\\n");
    }"""
    with running(script) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        phone(host, "10.0.0.3")
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 180)
        assert host.output == "0 1 1 1 1 1 -1\n"


def test_a_branch_route_sees_attributes_and_flags_of_its_branch():
    script = """route { $msg.branch.attr(name) = "x"; setbflag("F"); t_on_branch("b"); t_relay(); }
    branch_route[b] { xlog("$tm.branch.attr(name) $tm.branch.flag(F) $tm.branch.uri\\n"); $tm.branch.attr(name) = "y"; }
    """
    with running(script) as host:
        alice = phone(host, "10.0.0.1")
        phone(host, "10.0.0.2")
        send(host, alice, request())
        assert host.output == "x true <null>\n"


# -- copies -------------------------------------------------------------------------------------------------------


def test_a_copy_goes_elsewhere_and_its_replies_interest_nobody():
    script = 'route { t_newtran(); t_reply(200, "OK"); $var(r) = t_replicate("sip:10.0.0.3"); xlog("$var(r)"); }'
    with running(script) as host:
        alice, other = phone(host, "10.0.0.1"), phone(host, "10.0.0.3")
        send(host, alice, request("REGISTER", "sip:example.com"))
        (copy,) = other.take()
        assert (copy.method, copy.uri) == ("REGISTER", "sip:example.com")
        assert [via.host for via in copy.vias] == ["10.0.0.9", "10.0.0.1"]
        answer(host, other, copy, 500)
        assert told(alice) == [200]
        assert host.output == "1"
        host.advance(40)
        assert statistic(host, "inuse_transactions") == 0


def test_a_copy_that_nobody_takes_is_repeated_and_forgotten():
    with running('route { t_replicate("sip:10.0.0.3"); }', 'modparam("tm", "fr_timeout", 4)') as host:
        alice, other = phone(host, "10.0.0.1"), phone(host, "10.0.0.3")
        send(host, alice, request("REGISTER", "sip:example.com"))
        host.advance(12)
        assert told(other) == ["REGISTER"] * 4
        assert told(alice) == []
        assert statistic(host, "inuse_transactions") == 0


@pytest.mark.parametrize(("uri", "code"), [("nonsense", -1), ("sip:10.0.0.3;transport=tls", -6), ("sip:no.such", -4)])
def test_a_copy_that_cannot_be_sent_is_told(uri, code):
    with running(f'route {{ $var(r) = t_replicate("{uri}"); xlog("$var(r)"); }}') as host:
        send(host, phone(host, "10.0.0.1"), request("REGISTER", "sip:example.com"))
        assert host.output == str(code)
        assert statistic(host, "inuse_transactions") == 0


# -- local routes -------------------------------------------------------------------------------------------------


def test_requests_of_ours_have_reply_and_failure_routes():
    script = """route { t_new_request("OPTIONS", "sip:x@10.0.0.2", "sip:me@here", "sip:x@there"); }
    local_route { t_on_reply("r"); t_on_failure("f"); $avp(a) = "kept"; }
    onreply_route[r] { xlog("reply $rs $T_branch_idx\\n"); }
    failure_route[f] { xlog("failed $T_reply_code $avp(a)\\n"); if ($T_reply_code == 503) {
        $ru = "sip:y@10.0.0.3"; t_relay(); } }"""
    with running(script) as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request("MESSAGE"))
        answer(host, bob, bob.take()[0], 503)
        (again,) = carol.take()
        assert again.uri == "sip:y@10.0.0.3"
        assert [via.host for via in again.vias] == ["10.0.0.9"]
        answer(host, carol, again, 200)
        assert host.output == "reply 503 0\nfailed 503 kept\nreply 200 1\n"


def test_routes_look_at_requests_and_replies_of_ours():
    script = """route { t_newtran(); t_reply(480, "Gone");
    t_new_request("OPTIONS", "sip:x@10.0.0.2", "sip:me@here", "sip:x@x"); }
    local_route { append_hf("X-Local: yes\\r\\n"); }
    route[asked] { xlog("asked $rm $hdr(X-Local) $T_id\\n"); }
    route[told] { xlog("told $rs $rr\\n"); }"""
    head = 'modparam("tm", "local_request_route", "asked")\nmodparam("tm", "local_reply_route", "told")'
    with running(script, head) as host:
        phone(host, "10.0.0.2")
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        assert sorted(host.output.splitlines()) == ["asked OPTIONS yes <null>", "told 480 Gone"]


def test_a_route_that_is_to_look_must_be_there():
    with pytest.raises((ConfigurationError, ScriptError), match="nowhere"):
        running("route { exit; }", 'modparam("tm", "local_reply_route", "nowhere")').close()


# -- telling programs ---------------------------------------------------------------------------------------------

TELL = """route { t_newtran(); $avp(mail) = "bob@example.com"; $var(r) = %s; xlog("$var(r)"); }"""
APPEND = 'modparam("tm", "tw_append", "voice: Email=$avp(mail) ;UA=$hdr(User-Agent);$rb; Caller = $fU")'


def test_a_program_at_a_socket_is_told_of_a_request_and_answers_it(tmp_path):
    path = tmp_path / "program"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
        program.bind(str(path))
        with running(TELL % f't_write_unix("mailbox/voice", "{path}")', APPEND) as host:
            alice = phone(host, "10.0.0.1")
            route = "Record-Route: <sip:10.0.0.7;lr>, <sip:10.0.0.8;lr>\n"
            send(host, alice, request(more=route))
            assert host.output == "1"
            parts = program.recv(65536).decode().split("\n")
            assert parts[:15] == [
                "0.3", "sip_request.mailbox", "INVITE", "bob", "10.0.0.2", "10.0.0.9", ".", "sip:bob@10.0.0.2",
                "sip:alice@10.0.0.1", "<sip:alice@10.0.0.1>;tag=a", "<sip:bob@example.com>", "one", "a", "", "1",
            ]  # fmt: skip
            assert parts[16:] == [
                "<sip:10.0.0.7;lr>,<sip:10.0.0.8;lr>", "sip:10.0.0.7;lr",
                "P-MsgFlags: 0", "Email: bob@example.com", "Caller: alice", ".", "", "",
            ]  # fmt: skip
            named = {"code": 486, "reason": "Busy", "trans_id": parts[15], "to_tag": "t"}
            host.mi("t_reply", **named)
            assert told(alice) == [100, 486]


def test_a_program_at_a_fifo_is_told_of_a_request(tmp_path):
    path = tmp_path / "fifo"
    os.mkfifo(path)
    reader = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with running(TELL % f't_write_req("mailbox", "{path}")') as host:
            send(host, phone(host, "10.0.0.1"), request())
            assert host.output == "1"
            assert os.read(reader, 65536).startswith(b"0.3\nsip_request.mailbox\nINVITE\n")
    finally:
        os.close(reader)


def test_what_is_no_fifo_is_left_alone(tmp_path):
    path = tmp_path / "file"
    path.write_text("precious")
    with running(TELL % f't_write_req("mailbox", "{path}")') as host:
        send(host, phone(host, "10.0.0.1"), request())
        assert host.output == "-1"
    assert path.read_text() == "precious"
    assert stat.S_ISREG(path.stat().st_mode)


def test_a_reader_that_takes_nothing_is_given_up(tmp_path):
    path = tmp_path / "program"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as program:
        program.bind(str(path))
        with running(TELL % f't_write_unix("mailbox", "{path}")') as host:
            alice = phone(host, "10.0.0.1")
            for number in range(2000):
                send(host, alice, request(branch=f"z9hG4bK{number}", call_id=str(number)))
                if host.output.count("1") <= number:
                    break
            assert number < 1999, "the socket takes only so many"
            host.take()
            host.advance(2.1)
            assert host.take() == "-1"


def test_a_wrong_tw_append_does_not_start():
    with pytest.raises((ConfigurationError, ScriptError), match=r"only \$rb"):
        running("route { exit; }", 'modparam("tm", "tw_append", "voice: $ua")').close()


def test_an_acknowledged_failure_after_injection_is_forgotten():
    with waiting(flags=', "l"') as script:
        alice, bob, carol = (phone(script, f"10.0.0.{n}") for n in (1, 2, 3))
        send(script, alice, request())
        answer(script, bob, bob.take()[0], 486)
        more(script, alice)
        answer(script, carol, carol.take()[0], 404)
        acknowledge(script, alice, request(), alice.take()[-1])
        script.advance(60)
        assert statistic(script, "inuse_transactions") == 0


def test_an_index_may_count_the_branches_of_the_last_relaying_alone():
    script = """route { $ru = "sip:one@10.0.0.2"; append_msg_branch("sip:two@10.0.0.3"); t_on_failure("f"); t_relay(); }
    failure_route[f] { $ru = "sip:three@10.0.0.2"; t_on_failure("g"); t_relay(); }
    failure_route[g] {
        $var(i) = 0;
        xlog("$(tm.branch.uri[0/active]) $(tm.branch.uri[$var(i)/ACTIVE]) $(tm.branch.uri[-1/active]) ");
        xlog("$(tm.branch.uri[1/active]) $(tm.branch.uri[1/all]) $(tm.branch.uri[$var(i)/all]) $(tm.branch.uri[2])");
    }"""
    with running(script) as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request())
        answer(host, bob, bob.take()[0], 486)
        answer(host, carol, carol.take()[0], 486)
        answer(host, bob, next(m for m in bob.take() if m.method == "INVITE"), 486)
        assert host.output.split() == [f"sip:{who}" for who in (
            "three@10.0.0.2", "three@10.0.0.2", "three@10.0.0.2")] + [
            "<null>", "sip:two@10.0.0.3", "sip:one@10.0.0.2", "sip:three@10.0.0.2"]  # fmt: skip


@pytest.mark.parametrize("index", ["0/", "0/none", "/active", "x/active", "*/active"])
def test_other_words_behind_an_index_are_refused(index):
    with pytest.raises(ScriptError, match="is not an index"):
        running(f'onreply_route[r] {{ xlog("$(tm.branch.uri[{index}])"); }} route {{ t_on_reply("r"); }}').close()


def test_other_variables_take_no_such_index():
    with pytest.raises(ScriptError, match="is not an index"):
        running('route { xlog("$(avp(x)[0/active])"); }').close()


@pytest.mark.parametrize(("flag", "asked", "cancelled"), [
    ("allow-no-cancel", "no-cancel", False), ("allow-no-cancel", "parallel", True), ("", "no-cancel", True),
])  # fmt: skip
def test_a_caller_may_wish_that_a_2xx_cancels_nobody(flag, asked, cancelled):
    with running(f'route {{ append_msg_branch("sip:carol@10.0.0.3"); t_relay("{flag}"); }}') as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request(more=f"Request-Disposition: proxy, {asked}\n"))
        (invite,), (other,) = bob.take(), carol.take()
        answer(host, carol, other, 180)
        answer(host, bob, invite, 200)
        assert told(carol) == ["CANCEL"] * cancelled
        answer(host, carol, other, 200)
        assert told(alice) == [100, 180, 200, 200]


@given(st.text())
def test_any_text_is_header_fields_or_none(text):
    try:
        headers = whole_headers(text)
    except SipSyntaxError:
        return
    made = make_request(
        "OPTIONS", "sip:x", via="SIP/2.0/UDP h;branch=z9hG4bK1", from_="<sip:a@b>;tag=1", to="<sip:c@d>", call_id="c",
        headers=headers, body=b"the body",
    )  # fmt: skip
    parsed = Message.parse(made)
    assert parsed.data.endswith(b"\r\n\r\nthe body"), "nothing ends the header before its end"
    assert parsed.header("To") == "<sip:c@d>"


@given(st.lists(st.text(alphabet="ab:;=$rb(va) x", max_size=30), max_size=3))
def test_any_tw_append_is_read_or_refused(texts):
    try:
        found = appends_of(texts)
    except ConfigurationError as error:
        assert error.parameter == "tw_append"
        return
    assert len(found) == len(texts)


NAMES = {"two.example": ["10.0.0.2", "10.0.0.3"]}


def named(script, head=""):
    """A script on a network where `two.example` has two addresses."""
    host = running(script, head)
    host.network.names.update(NAMES)
    return host


@pytest.mark.parametrize("silent", [True, False])
def test_the_next_address_is_tried_when_one_is_silent_or_overloaded(silent):
    script = """route { t_on_reply("r"); t_on_failure("f"); t_relay(); }
    onreply_route[r] { xlog("$rs $T_branch_idx|"); }
    failure_route[f] { xlog("failed"); }"""
    with named(script, 'modparam("tm", "fr_timeout", 2)') as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request(uri="sip:x@two.example"))
        (first,) = bob.take()
        if silent:
            host.advance(2.1)
        else:
            answer(host, bob, first, 503)
        assert told(alice) == [100]
        (second,) = carol.take()
        assert second.uri == "sip:x@two.example"
        answer(host, carol, second, 200)
        assert told(alice) == [200]
        assert host.output == ("" if silent else "503 0|") + "200 1|"


@pytest.mark.parametrize(("flag", "status", "tried"), [("", 486, 0), ("", 503, 1), ("no-dns-failover", 503, 0)])
def test_a_refusal_is_no_reason_to_try_another_address(flag, status, tried):
    with named(f'route {{ t_relay("{flag}"); }}') as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request(uri="sip:x@two.example"))
        answer(host, bob, bob.take()[0], status)
        assert told(carol) == ["INVITE"] * tried
        assert len(alice.take()) == 2 - tried


def test_no_address_is_tried_behind_a_cancel():
    with named('route { if (is_method("CANCEL")) { t_relay(); exit; } t_relay(); }') as host:
        alice, bob, carol = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, alice, request(uri="sip:x@two.example"))
        (invite,) = bob.take()
        answer(host, bob, invite, 180)
        send(host, alice, request("CANCEL", uri="sip:x@two.example"))
        answer(host, bob, invite, 503)
        assert told(carol) == []
        assert told(alice) == [100, 180, 200, 500]
