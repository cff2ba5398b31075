"""Module tracer in calls: which messages are traced, with which ends, and how MI switches it."""

import os
import socket
import stat

import pytest

from miscript.errors import MIError, ScriptError
from miscript.testing import MemoryNetwork, RunningScript
from sip_phones import phone, request
from traced_calls import ALICE, MODULES, TracedCall, lines_of

TO_BOB = ["alice > proxy INVITE", "proxy > alice 100 INVITE", "proxy > bob INVITE"]
RINGING = [*TO_BOB, "bob > proxy 180 INVITE", "proxy > alice 180 INVITE"]
ANSWERED = [*RINGING, "bob > proxy 200 INVITE", "proxy > alice 200 INVITE"]
OPTIONS = "sip:10.0.0.9"


@pytest.fixture
def traced(tmp_path):
    """Makes calls through a script of such parts."""
    made = []

    def make(**parts):
        made.append(TracedCall(tmp_path, **parts))
        return made[-1]

    yield make
    for call in made:
        call.close()


def ring(call, call_id="one"):
    invite = call.invite(call_id)
    call.answer(invite, 180)
    return invite


# -- scopes ---------------------------------------------------------------------------------------------------------


def test_a_message_is_traced_alone_with_scope_m(traced):
    call = traced(initial='trace("tid", "m");')
    ring(call)
    assert call.traced == ["alice > proxy INVITE"]


def test_a_reply_can_be_traced_where_it_comes(traced):
    call = traced(reply='trace("tid", "m");')
    ring(call)
    assert call.traced == ["bob > proxy 180 INVITE"]


def test_a_transaction_is_traced_with_all_that_comes_and_goes_for_it(traced):
    call = traced(initial='trace("tid", "t");')
    call.establish()
    assert call.traced == [*TO_BOB, *ANSWERED[5:]]


def test_what_is_not_asked_for_is_not_traced(traced):
    call = traced(initial='if ($ci == "this") trace("tid", "t");')
    ring(call, "other")
    ring(call, "this")
    assert call.traced == RINGING


def test_a_busy_call_is_traced_with_its_acks_and_retransmissions(traced):
    call = traced(initial='trace("tid", "t");')
    invite = ring(call)
    call.answer(invite, 486)
    call.answer(invite, 486)
    call.acknowledge_failure()
    assert call.traced == [
        *RINGING,
        "bob > proxy 486 INVITE",
        "proxy > bob ACK",
        "proxy > alice 486 INVITE",
        "bob > proxy 486 INVITE",
        "proxy > bob ACK",
        "alice > proxy ACK",
    ]


def test_what_we_send_again_is_traced_again(traced):
    call = traced(initial='trace("tid", "t");')
    call.invite()
    call.script.advance(0.6)
    assert call.traced == [*TO_BOB, "proxy > bob INVITE"]


def test_a_dialog_is_traced_to_its_end_whoever_sends(traced):
    call = traced(initial='trace("tid", "d");')
    call.establish()
    call.in_dialog("BYE", by="bob", cseq=7)
    assert call.traced == [
        *TO_BOB,
        *ANSWERED[5:],
        "alice > proxy ACK",
        "proxy > bob ACK",
        "bob > proxy BYE",
        "proxy > alice BYE",
    ]


def test_without_a_scope_an_invite_is_traced_with_its_dialog_and_the_rest_with_its_transaction(traced):
    call = traced(initial='trace("tid");')
    call.establish()
    assert call.traced[-2:] == ["alice > proxy ACK", "proxy > bob ACK"]
    call.send(call.alice, request("OPTIONS", OPTIONS, branch="z9hG4bKo", call_id="two"))
    assert call.traced[-2:] == ["alice > proxy OPTIONS", "proxy > alice 200 OPTIONS"]


@pytest.mark.parametrize(("scope", "incoming"), [("t", False), ("d", True)])
def test_a_cancel_of_the_caller_belongs_to_the_dialog_not_to_the_transaction(traced, scope, incoming):
    call = traced(initial=f'trace("tid", "{scope}");')
    ring(call)
    call.send(call.alice, request("CANCEL", branch="z9hG4bKone"))
    from_alice = ["alice > proxy CANCEL", "proxy > alice 200 CANCEL"]
    assert call.traced == [*RINGING, *(from_alice if incoming else []), "proxy > bob CANCEL"]


def test_a_cancel_can_be_traced_by_itself(traced):
    call = traced(cancel='trace("tid", "t");')
    ring(call)
    call.send(call.alice, request("CANCEL", branch="z9hG4bKone"))
    assert call.traced == ["alice > proxy CANCEL", "proxy > alice 200 CANCEL"]


def test_the_byes_of_a_dialog_that_we_end_are_traced(traced):
    call = traced(initial='trace("tid", "d");')
    call.establish()
    before = len(call.traced)
    call.script.mi("dlg_end_dlg", dialog_id="one")
    call.script.settle()
    assert sorted(call.traced[before:]) == ["proxy > alice BYE", "proxy > bob BYE"]


def test_a_reply_without_a_transaction_is_traced(traced):
    call = traced(initial='trace("tid", "t");', modules="sl sipmsgops tm rr tracer")
    call.send(call.alice, request("OPTIONS", OPTIONS))
    assert call.traced == ["alice > proxy OPTIONS", "proxy > alice 200 OPTIONS"]


def test_a_request_of_our_own_is_traced_when_it_is_sent(traced):
    call = traced(local='trace("tid", "m");')
    sent = [("method", "OPTIONS"), ("ruri", "sip:bob@10.0.0.2"), ("headers", "From: <sip:x@y>\r\nTo: <sip:b@y>\r\n")]
    call.script.mi("t_uac_dlg", **dict(sent))
    assert call.traced == ["proxy > bob OPTIONS"]


@pytest.mark.parametrize(
    ("flag", "expected"),
    [
        ("C", ["alice > proxy INVITE", "proxy > alice 100 INVITE", "proxy > alice 180 INVITE"]),
        ("c", ["proxy > bob INVITE", "bob > proxy 180 INVITE"]),
        ("Cc", RINGING),
    ],
)
def test_flags_choose_the_side_of_the_call(traced, flag, expected):
    call = traced(initial=f'trace("tid", "t", "sip",, "{flag}");')
    ring(call)
    assert call.traced == expected


def test_the_sides_of_a_request_from_the_callee_are_turned_round(traced):
    call = traced(initial='trace("tid", "d", "sip",, "c");')
    call.establish()
    before = len(call.traced)
    call.in_dialog("BYE", by="bob", cseq=7)
    assert call.traced[before:] == ["bob > proxy BYE"]


def test_two_traces_of_one_call_both_get_everything(traced, tmp_path):
    other = tmp_path / "other"
    call = traced(
        parameters=f'modparam("tracer", "trace_id", "[second]uri=file:{other}")',
        initial='trace("tid", "t"); trace("second", "t");',
    )
    ring(call)
    assert call.traced == [str(line) for line in lines_of(other)] == RINGING


def test_a_name_that_is_not_known_only_at_run_time_fails_the_call(traced):
    call = traced(initial='$var(id) = "nobody"; if (!trace("$var(id)", "m")) xlog("refused\n");')
    call.invite()
    assert (call.traced, call.script.take()) == ([], "refused\n")


def test_nobody_watches_messages_once_what_was_traced_is_over(traced):
    call = traced(initial='trace("tid", "t");')
    call.answer(call.invite(), 200)
    sip = call.script.host.services.find("sip")
    assert len(sip.hooks.traffic) == 1
    call.script.advance(300)
    assert sip.hooks.traffic == []


# -- ends -----------------------------------------------------------------------------------------------------------


def test_trace_local_ip_stands_for_us_in_what_we_send_and_in_its_replies(traced):
    call = traced(
        parameters='modparam("tracer", "trace_local_ip", "tcp:192.0.2.1:5064")',
        initial='trace("tid", "t");',
    )
    ring(call)
    ends = [(line.transport, line.source, line.destination) for line in lines_of(call.file)]
    assert ends == [
        ("udp", "10.0.0.1:5060", "10.0.0.9:5060"),
        ("tcp", "192.0.2.1:5064", "10.0.0.1:5060"),
        ("tcp", "192.0.2.1:5064", "10.0.0.2:5060"),
        ("udp", "10.0.0.2:5060", "192.0.2.1:5064"),
        ("tcp", "192.0.2.1:5064", "10.0.0.1:5060"),
    ]


# -- MI -------------------------------------------------------------------------------------------------------------


def test_tracing_is_switched_off_and_on_for_all_and_for_one(traced):
    call = traced(initial='trace("tid", "m");')
    for named in ({"mode": "off"}, {"id": "tid", "mode": "off"}):
        assert call.script.mi("tracer:trace", **named) == "OK"
        call.invite("c" + "".join(named))
        assert call.traced == []
        call.script.mi("tracer:trace", **{**named, "mode": "ON"})
    call.invite("on")
    assert call.traced == ["alice > proxy INVITE"]


def test_the_old_name_of_the_command_shows_what_there_is(traced):
    call = traced(parameters='modparam("tracer", "trace_on", 0)')
    assert call.script.mi("sip_trace") == {
        "global": "off",
        "trace destinations": [{"name": "tid", "type": "File", "uri": str(call.file), "state": "off"}],
    }


def test_mi_begins_a_trace_with_filters_and_ends_it(traced, tmp_path):
    call = traced()
    other = tmp_path / "dynamic"
    other.touch()
    filters = ["caller=alice", "callee=bob@10.0.0.2", f"ip={ALICE}"]
    assert call.script.mi("trace_start", id="dyn", uri=f"file:{other}", filter=filters) == "OK"
    ring(call)
    call.send(call.alice, request(uri="sip:carol@10.0.0.2", branch="z9hG4bKcarol", call_id="carol"))
    call.send(call.alice, request("OPTIONS", OPTIONS, branch="z9hG4bKo", call_id="o"))
    shown = call.script.mi("tracer:trace", id="dyn")
    assert shown["trace destinations"][0]["state"] == "dynamic"
    assert shown["trace destinations"][0]["filters"] == [
        {"ip": ALICE},
        {"callee": "bob@10.0.0.2"},
        {"caller": "alice"},
    ]
    assert [str(line) for line in lines_of(other)] == RINGING
    assert call.script.mi("trace_stop", "dyn") == "OK"
    ring(call, "later")
    assert len(lines_of(other)) == len(RINGING)


def test_mi_traces_all_requests_with_scope_t(traced, tmp_path):
    call = traced()
    other = tmp_path / "dynamic"
    other.touch()
    call.script.mi("tracer:start", "dyn", f"file:{other}", [f"ip={ALICE}"], "t", "sip")
    call.send(call.alice, request("OPTIONS", OPTIONS))
    assert [str(line) for line in lines_of(other)] == ["alice > proxy OPTIONS", "proxy > alice 200 OPTIONS"]


@pytest.mark.parametrize(
    ("named", "error"),
    [
        ({"uri": "mysql://localhost/db"}, (406, "dynamic DB tracing is not yet available")),
        ({"uri": "hep:127.0.0.1:9060"}, (500, "HEP module was not loaded")),
        ({"uri": "file:/nowhere/at/all"}, (500, "the file '/nowhere/at/all' cannot be opened: No such file")),
        ({"uri": "sip:127.0.0.1", "filter": ["ip=x"]}, (500, "the filter 'ip=x' has no IP address")),
        ({"uri": "sip:127.0.0.1", "filter": ["ip=::1"], "scope": "q", "type": "sip"}, (500, "the scope 'q' has")),
    ],
)
def test_mi_refuses_a_trace_that_cannot_be(traced, named, error):
    call = traced()
    with pytest.raises(MIError) as caught:
        call.script.mi("tracer:start", id="dyn", **named)
    assert (caught.value.code, caught.value.data[: len(error[1])]) == error


def test_mi_refuses_one_trace_twice(traced):
    call = traced()
    call.script.mi("tracer:start", id="dyn", uri="sip:127.0.0.1")
    with pytest.raises(MIError) as caught:
        call.script.mi("tracer:start", id="dyn", uri="sip:127.0.0.1")
    assert caught.value.data == "dynamic trace id already used"
    with pytest.raises(MIError) as caught:
        call.script.mi("tracer:start", id="tid", uri=f"file:{call.file}")
    assert caught.value.data == "trace id already used"


def test_requests_and_replies_that_were_traced_are_counted(traced):
    call = traced(initial='trace("tid", "t");')
    ring(call)
    assert call.script.mi("get_statistics", ["tracer:"]) == {
        "tracer:traced_requests": 2,
        "tracer:traced_replies": 3,
        "tracer:lost_messages": 0,
    }


# -- destinations ---------------------------------------------------------------------------------------------------


def test_a_copy_of_each_message_goes_to_a_sip_address(traced):
    call = traced(
        parameters='modparam("tracer", "trace_id", "[copy]uri=sip:10.0.0.50")',
        initial='trace("copy", "t");',
    )
    watcher = phone(call.script, "10.0.0.50")
    ring(call)
    assert [m.method or m.status for m in watcher.take()] == ["INVITE", 100, "INVITE", 180, 180]


def test_a_sip_address_may_be_a_name(traced):
    call = traced(
        parameters='modparam("tracer", "trace_id", "[copy]uri=sip:watcher.test:5060")',
        initial='trace("copy", "t");',
    )
    call.script.network.names["watcher.test"] = ["10.0.0.50"]
    watcher = phone(call.script, "10.0.0.50")
    ring(call)
    assert [m.method or m.status for m in watcher.take()] == ["INVITE", 100, "INVITE", 180, 180]


def test_trace_files_are_private_and_appended_to(traced):
    call = traced(initial='trace("tid", "m");')
    assert stat.S_IMODE(os.stat(call.file).st_mode) == 0o600
    call.invite()
    call.close()
    again = traced(initial='trace("tid", "m");')
    again.invite("two")
    assert again.traced == ["alice > proxy INVITE"] * 2


def test_syslog_gets_a_line_with_the_message(traced, tmp_path, monkeypatch):
    path = str(tmp_path / "log")
    monkeypatch.setattr("miscript.modules.tracer.destinations.Syslog.__init__.__kwdefaults__", {"path": path})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as daemon:
        daemon.bind(path)
        daemon.settimeout(5)
        call = traced(
            parameters='modparam("tracer", "trace_id", "[log]uri=syslog:local3:-1")',
            initial='trace("log", "m");',
        )
        call.invite()
        text = daemon.recv(65536).decode()
    assert text.startswith("<155>miscript[")  # local3 is 19, an error 3
    assert "in udp 10.0.0.1:5060 -> 10.0.0.9:5060\nINVITE sip:bob" in text


# -- start-ups ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("parameter", "body", "problem"),
    [
        ('modparam("tracer", "trace_id", "tid uri=sip:a")', "", "expected a name in brackets"),
        ('modparam("tracer", "trace_id", "[tid]url=sip:a")', "", "'url=sip:a' is neither"),
        ('modparam("tracer", "trace_id", "[tid]table=x")', "", "there is no 'uri='"),
        ('modparam("tracer", "trace_id", "[tid]uri=hep:x")', "", "the module proto_hep is not loaded"),
        ('modparam("tracer", "trace_id", "[tid]uri=mysql://x/y")', "", "no module is loaded for 'mysql:' databases"),
        ('modparam("tracer", "trace_id", "[tid]uri=file:/no/such/folder/x")', "", "cannot be opened"),
        ('modparam("tracer", "trace_id", "[tid]uri=syslog:nobody")', "", "'nobody' is no syslog facility"),
        ('modparam("tracer", "trace_local_ip", "udp:nobody")', "", "'nobody' is no IP address"),
        ('modparam("tracer", "syslog_default_facility", "nobody")', "", "'nobody' is no syslog facility"),
        ("", 'trace("tid");', "there is no trace_id 'tid'"),
        ('modparam("tracer", "trace_id", "[tid]uri=sip:a")', 'trace("tid", "x");', "has the letter 'x'"),
        ('modparam("tracer", "trace_id", "[tid]uri=sip:a")', 'trace("tid", "d");', "needs the module dialog"),
        ('modparam("tracer", "trace_id", "[tid]uri=sip:a")', 'trace("tid", "b");', "needs the module b2b_logic"),
    ],
)
def test_a_script_that_cannot_trace_so_does_not_start(parameter, body, problem):
    text = f'log_level=-3\nsocket=udp:10.0.0.9:5060\nloadmodule "tracer.so"\n{parameter}\nroute {{ {body} exit; }}\n'
    with pytest.raises(ScriptError, match=problem):
        RunningScript(text, network=MemoryNetwork())


def test_the_module_is_in_the_usual_order(traced):
    assert traced(modules=" ".join(reversed(MODULES.split()))).traced == []
