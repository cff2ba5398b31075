"""Notifications, and routes that wait until something happens elsewhere."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.event_routing import Filter
from sip_phones import answer, phone, request, running, send, told

HEAD = 'loadmodule "event_routing.so"\n'


def script(text, head=""):
    return running(text, HEAD + head)


def raise_event(host, who):
    async def raising():
        host.host.services.events.raise_event("E_MINE", [("who", who), ("count", 7)])

    host.wait(raising())
    host.settle()


# -- filters ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "attributes", "takes"),
    [
        ("who=bob", [("who", "bob")], True),
        ("WHO=bob", [("who", "bob")], True),
        ("who=Bob", [("who", "bob")], False),
        ("who=b*@?.org", [("who", "bob@x.org")], True),
        ("who=[ab]ob", [("who", "bob")], True),
        ("who=[!ab]ob", [("who", "bob")], False),
        ("n=7", [("n", 7)], True),
        ("n=7", [("n", 8)], False),
        ("n=", [("n", "")], True),
        ("a=b=c", [("a", "b=c")], True),
        ("other=x", [("who", "bob")], True),
        ("who=*", [("who", None)], False),
        ("who=a*", [("who", "a\nb")], True),
    ],
)
def test_a_filter_is_a_name_and_a_wildcard(text, attributes, takes):
    assert Filter.parse(text).takes(attributes) is takes


@given(st.text(), st.text())
def test_any_text_is_a_filter_or_none(text, value):
    try:
        found = Filter.parse(text)
    except ValueError:
        assert not text.partition("=")[0].strip() or "=" not in text
        return
    assert found.takes([(found.name, value)]) in (True, False)


@pytest.mark.parametrize("text", ["", "x", "=x", " =x"])
def test_what_is_no_filter_is_refused(text):
    with pytest.raises(ValueError, match="expected name=pattern"):
        Filter.parse(text)


# -- notifications ------------------------------------------------------------------------------------------------

NOTIFY = """
route { $avp(filter) = "who=b*"; $avp(other) = 1; notify_on_event("E_MINE", $avp(filter), "seen", 10); xlog("$rc\\n"); }
route[seen] { xlog("$avp(who) $avp(count) $avp(other) $rm\\n"); }
"""


def test_a_route_runs_for_each_event_that_matches_until_its_time_is_over():
    with script(NOTIFY) as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        for who in ("bob", "alice", "bill"):
            raise_event(host, who)
        assert host.take().splitlines() == ["1", "bob 7 <null> DUMMY", "bill 7 <null> DUMMY"]
        host.advance(9)
        raise_event(host, "ben")
        assert host.take().splitlines() == ["ben 7 <null> DUMMY"]
        host.advance(1.5)
        raise_event(host, "ben")
        assert host.take() == ""


def test_each_subscription_runs_its_route():
    with script(NOTIFY) as host:
        for number in range(3):
            send(host, phone(host, f"10.0.1.{number}"), request("MESSAGE", branch=f"z9hG4bK{number}"))
        host.take()
        raise_event(host, "bob")
        assert host.take().count("bob") == 3


def test_without_a_filter_every_event_is_told():
    text = 'route { notify_on_event("E_MINE", $avp(nothing), "seen", 10); } route[seen] { xlog("$avp(who)\\n"); }'
    with script(text) as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        raise_event(host, "anybody")
        assert host.take() == "anybody\n"


def test_several_filters_must_all_match():
    text = NOTIFY.replace("$avp(other) = 1;", '$avp(filter) = "count=8";')
    with script(text) as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        raise_event(host, "bob")
        assert host.take() == "1\n"


@pytest.mark.parametrize(
    "call",
    [
        'notify_on_event("E_MINE", $avp(f), "seen", 0)',
        '$avp(f) = "nonsense"; $var(r) = notify_on_event("E_MINE", $avp(f), "seen", 10)',
    ],
)
def test_what_cannot_be_waited_for_is_told(call):
    text = f'route {{ {"" if "$var(r)" in call else "$var(r) = "}{call}; xlog("$var(r)"); }} route[seen] {{ exit; }}'
    with script(text) as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        assert host.output == "-1"


def test_mi_raises_an_event_that_a_notification_waits_for():
    with script(NOTIFY) as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        host.take()
        assert host.mi("raise_event", event="E_MINE", params='{"who": "bob"}') == "OK"
        host.settle()
        assert host.take() == "bob <null> <null> DUMMY\n"


# -- waiting ------------------------------------------------------------------------------------------------------

WAIT = """
route { $avp(filter) = "who=b*"; %s }
route[later] { xlog("later $rc $avp(who) $avp(filter) $rm\\n"); }
"""


def test_a_route_waits_for_the_first_event_and_nothing_else_does():
    with script(WAIT % 'wait_for_event("E_MINE", $avp(filter), 5); xlog("$rc $avp(who)\\n");') as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        raise_event(host, "alice")
        assert host.take() == ""
        raise_event(host, "bob")
        raise_event(host, "bill")
        assert host.take() == "1 bob\n"


def test_a_wait_has_an_end():
    with script(WAIT % 'wait_for_event("E_MINE", $avp(filter), 5); xlog("$rc $avp(who)\\n");') as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        host.advance(5.1)
        assert host.take() == "-2 <null>\n"


@pytest.mark.parametrize(
    ("who", "line"), [("bob", "later 1 bob who=b* INVITE\n"), (None, "later -2 <null> who=b* INVITE\n")]
)
def test_an_asynchronous_wait_resumes_with_the_request(who, line):
    with script(WAIT % 'async(wait_for_event("E_MINE", $avp(filter), 5), later);') as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, request())
        assert told(alice) == [100], "the transaction is there"
        send(host, alice, request())
        if who:
            raise_event(host, who)
        else:
            host.advance(5.1)
        assert host.take() == line


def test_a_launched_wait_leaves_its_route():
    text = WAIT % 'launch(wait_for_event("E_MINE", $avp(filter), 5), later); xlog("on\\n");'
    with script(text) as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        assert host.take() == "on\n"
        raise_event(host, "bob")
        assert host.take() == "later 1 bob <null> DUMMY\n"


@pytest.mark.parametrize(
    "call",
    ['$avp(filter) = "x"; wait_for_event("E_MINE", $avp(filter), 5)', 'wait_for_event("E_MINE", $avp(filter), 0)'],
)
def test_a_wait_that_cannot_be_is_told(call):
    with script(WAIT % f'{call}; xlog("$rc");') as host:
        send(host, phone(host, "10.0.0.1"), request("MESSAGE"))
        assert host.output == "-1"


def test_no_more_than_so_many_wait(monkeypatch):
    monkeypatch.setattr("miscript.modules.event_routing.MAX_WAITING", 2)
    with script(NOTIFY) as host:
        for number in range(3):
            send(host, phone(host, f"10.0.1.{number}"), request("MESSAGE", branch=f"z9hG4bK{number}"))
        assert host.take().split() == ["1", "1", "-1"]
        host.advance(12)
        send(host, phone(host, "10.0.1.9"), request("MESSAGE", branch="z9hG4bKlast"))
        assert host.take().split() == ["1"], "their time is over"


# -- the examples of the manual -----------------------------------------------------------------------------------

USERS = 'loadmodule "usrloc.so"\nloadmodule "registrar.so"\nmodparam("tm", "fr_inv_timeout", 30)\n'
PUSH = """
route {
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("CANCEL|ACK")) { t_relay(); exit; }
    t_newtran();
    t_wait_for_new_branches();
    $avp(filter) = "aor=" + $rU + "@" + $rd;
    notify_on_event("E_UL_CONTACT_INSERT", $avp(filter), "fork_call", 20);
    t_on_branch("each");
    if (lookup("location")) t_relay();
    exit;
}
branch_route[each] { if (isbflagset("NAT")) xlog("behind a NAT: $ru $du\\n"); }
route[fork_call] {
    xlog("user $avp(aor) registered a new contact $avp(uri), injecting\\n");
    t_inject_branches("event");
}
"""


def register(address, contact, user="bob", branch="r"):
    return (
        f"REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/UDP {address}:5060;branch=z9hG4bK{branch}\n"
        f"From: <sip:{user}@example.com>;tag=r\nTo: <sip:{user}@example.com>\nCall-ID: {branch}\nCSeq: 1 REGISTER\n"
        f"Contact: {contact}\nContent-Length: 0\n\n"
    )


@pytest.mark.parametrize("awake", [True, False])
def test_a_phone_that_registers_during_a_call_rings_too(awake):
    with script(PUSH, USERS) as host:
        alice, old, new = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        if awake:
            send(host, old, register("10.0.0.2", "<sip:bob@10.0.0.2>", branch="r1"))
            old.take()
        send(host, alice, request(uri="sip:bob@example.com"))
        if awake:
            answer(host, old, old.take()[0], 486)
        assert told(alice) == [100]
        send(host, new, register("10.0.0.3", "<sip:bob@10.0.0.3>;q=0.5", branch="r2"))
        (ok, invite) = sorted(new.take(), key=lambda m: m.status is None)
        assert ok.status == 200
        assert (invite.method, invite.uri, invite.call_id) == ("INVITE", "sip:bob@10.0.0.3", "one")
        answer(host, new, invite, 200)
        assert told(alice) == [200]
        assert host.take() == "user bob@example.com registered a new contact sip:bob@10.0.0.3, injecting\n"


def test_what_a_contact_knows_of_its_way_goes_into_the_injected_branch():
    text = PUSH.replace('save("location");', 'setbflag("NAT"); fix_received(); save("location", "path-lazy");')
    text = text.replace("fix_received();", '$avp(rcv) = "sip:10.0.0.4:5060";')
    head = USERS + 'modparam("registrar", "received_avp", "$avp(rcv)")\n'
    with script(text, head) as host:
        alice, new, seen = (phone(host, f"10.0.0.{n}") for n in (1, 3, 4))
        send(host, alice, request(uri="sip:bob@example.com"))
        send(host, new, register("10.0.0.3", "<sip:bob@192.168.0.1>"))
        (invite,) = seen.take()
        assert invite.uri == "sip:bob@192.168.0.1"
        assert "behind a NAT: sip:bob@192.168.0.1 sip:10.0.0.4:5060\n" in host.take()


def test_a_path_goes_into_the_injected_branch():
    text = PUSH.replace('save("location");', 'save("location", "path-lazy");')
    with script(text, USERS) as host:
        alice, new, edge = (phone(host, f"10.0.0.{n}") for n in (1, 3, 5))
        send(host, alice, request(uri="sip:bob@example.com"))
        path = "Path: <sip:10.0.0.5;lr>\nSupported: path\nContact:"
        send(host, new, register("10.0.0.3", "<sip:bob@10.0.0.3>").replace("Contact:", path))
        (invite,) = edge.take()
        assert (invite.uri, invite.header("Route")) == ("sip:bob@10.0.0.3", "<sip:10.0.0.5;lr>")


PICKUP = """
route {
    if (is_method("REGISTER")) { save("location"); exit; }
    if (is_method("CANCEL|ACK")) { t_relay(); exit; }
    if ($rU == "33") {
        t_newtran();
        send_reply(480, "Gone");
        $avp(attr-name) = "group";
        $avp(attr-val) = "1";
        $avp(attr-name) = "picker";
        $avp(attr-val) = $fu;
        raise_event("E_CALL_PICKUP", $avp(attr-name), $avp(attr-val));
        exit;
    }
    if (!lookup("location", "method-filtering")) { send_reply(404, "Not Found"); exit; }
    t_newtran();
    $avp(filter) = "group=1";
    notify_on_event("E_CALL_PICKUP", $avp(filter), "handle_pickup", 20);
    t_relay();
    exit;
}
route[handle_pickup] {
    xlog("call picked by $avp(picker), fetching its contacts\\n");
    if (lookup("location", "", $avp(picker))) t_inject_branches("msg", "cancel");
}
"""


def test_a_ringing_call_is_picked_up_by_a_colleague():
    with script(PICKUP, USERS) as host:
        alice, bob, charlie = (phone(host, f"10.0.0.{n}") for n in (1, 2, 3))
        send(host, bob, register("10.0.0.2", "<sip:bob@10.0.0.2>", branch="r1"))
        send(host, charlie, register("10.0.0.3", "<sip:charlie@10.0.0.3>", "charlie", branch="r2"))
        bob.take(), charlie.take()
        send(host, alice, request(uri="sip:bob@example.com"))
        (invite,) = bob.take()
        answer(host, bob, invite, 180)
        pickup = request(uri="sip:33@example.com", branch="z9hG4bKpick", call_id="pick").replace(
            "10.0.0.1:", "10.0.0.3:"
        )
        send(host, charlie, pickup.replace("sip:alice@10.0.0.1", "sip:charlie@example.com", 1))
        came = charlie.take()
        assert sorted(str(m.method or m.status) for m in came) == ["100", "480", "INVITE"]
        assert told(bob) == ["CANCEL"]
        answer(host, bob, invite, 487)
        answer(host, charlie, next(m for m in came if m.method), 200)
        assert told(alice) == [100, 180, 200]
        assert host.take() == "call picked by sip:charlie@example.com, fetching its contacts\n"
