"""Modules sl, signaling, rr and maxfwd, and the core's SIP functions and variables, on a network in memory."""

import pytest

from miscript.errors import ScriptError
from sip_phones import acknowledge, answer, phone, request, running, send, told

# -- sl and signaling ---------------------------------------------------------------------------------------------


def test_a_stateless_reply_is_made_anew_each_time_and_its_ack_ends_before_the_script():
    with running('route { xlog("$rm "); sl_send_reply(404, "No"); }') as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request())
        send(script, alice, request())
        first, second = alice.take()
        assert first.to.tag == second.to.tag
        acknowledge(script, alice, request(), first)
        assert script.output == "INVITE INVITE "
        send(script, alice, request("ACK", to_tag="other"))
        assert script.output == "INVITE INVITE ACK "
        assert told(alice) == [], "an ACK is never answered"
        found = script.mi("get_statistics", ["sl:"])
        assert (found["sl:4xx_replies"], found["sl:sent_replies"], found["sl:received_ACKs"]) == (2, 2, 1)


def test_sl_reply_error_is_a_500():
    with running("route { sl_reply_error(); }") as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request("OPTIONS"))
        assert [(m.status, m.reason) for m in alice.take()] == [(500, "Server error occurred (1/SL)")]


@pytest.mark.parametrize(("first", "tags"), [("t_newtran();", 1), ("", 1)])
def test_send_reply_uses_the_transaction_where_there_is_one(first, tags):
    with running(f'route {{ {first} xlog("$sig_local_totag"); send_reply(200, "OK"); }}') as script:
        alice = phone(script, "10.0.0.1")
        send(script, alice, request("OPTIONS"))
        (reply,) = alice.take()
        assert reply.to.tag == script.output
        assert script.mi("get_statistics", ["UAS_transactions"])["tm:UAS_transactions"] == (1 if first else 0)


# -- maxfwd -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("field", "code", "lower", "sent"),
    [
        ("", 2, -1, "10"),
        ("Max-Forwards: 5\n", 1, 1, "4"),
        ("Max-Forwards: 0\n", -1, 1, None),
        ("Max-Forwards: x\n", -2, -3, None),
        ("Max-Forwards: 255\n", 1, -1, "50"),
    ],
)
def test_hops_are_counted_down(field, code, lower, sent):
    script = """route { $var(r) = mf_process_maxfwd_header(10); $var(l) = is_maxfwd_lt(5); xlog("$var(r) $var(l)");
    if ($var(r) > 0) t_relay(); }"""
    with running(script, 'modparam("maxfwd", "max_limit", 50)') as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request("OPTIONS", more=field))
        assert host.output == f"{code} {lower}"
        assert [m.header("Max-Forwards") for m in bob.take()] == ([sent] if sent else [])


@pytest.mark.parametrize("value", [0, 257])
def test_a_limit_that_no_header_can_have_is_refused(value):
    with pytest.raises(ScriptError, match="max_limit"):
        running("route { exit; }", f'modparam("maxfwd", "max_limit", {value})')


# -- rr -----------------------------------------------------------------------------------------------------------

IN_DIALOG = """
route { if (has_totag()) { $var(r) = loose_route(); xlog("$var(r) $du $ru [$rr_params]");
        if (is_direction("downstream")) xlog(" down"); if (check_route_param("z=1")) xlog(" z"); t_relay(); exit; }
        add_rr_param(";z=1"); record_route(";foo=1"); t_relay(); }
"""


def test_a_dialog_stays_on_the_way_that_was_recorded():
    with running(IN_DIALOG) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        (invite,) = bob.take()
        assert invite.header("Record-Route") == "<sip:10.0.0.9:5060;lr;ftag=a;foo=1;z=1>"
        answer(script, bob, invite, 200)
        assert alice.take()[-1].header("Record-Route") == invite.header("Record-Route")
        route = f"Route: {invite.header('Record-Route')}\n"
        send(script, alice, request("BYE", branch="z9hG4bKbye", to_tag="b", cseq=2, more=route))
        (bye,) = bob.take()
        assert bye.header("Route") is None
        assert script.take() == "1 <null> sip:bob@10.0.0.2 [lr;ftag=a;foo=1;z=1] down z"
        back = f"Route: {invite.header('Record-Route')}\n"
        upstream = (
            request("INFO", "sip:alice@10.0.0.1", branch="z9hG4bKup", more=back, to_tag="a")
            .replace("tag=a\nTo", "tag=b\nTo")
            .replace("10.0.0.1:5060;branch", "10.0.0.2:5060;branch")
        )
        send(script, bob, upstream)
        assert told(alice) == ["INFO"]
        assert script.take().endswith("] z")


@pytest.mark.parametrize(
    ("uri", "routes", "code", "to", "left", "new_uri"),
    [
        ("sip:bob@10.0.0.2", ["<sip:10.0.0.9;lr>", "<sip:10.0.0.3;lr>"], 1, "10.0.0.3", ["<sip:10.0.0.3;lr>"], None),
        ("sip:bob@10.0.0.2", ["<sip:10.0.0.9;lr>, <sip:10.0.0.3;lr>"], 1, "10.0.0.3", ["<sip:10.0.0.3;lr>"], None),
        ("sip:bob@10.0.0.2", ["<sip:10.0.0.3;lr>"], 1, "10.0.0.3", ["<sip:10.0.0.3;lr>"], None),
        # the next hop is a strict router: the Request-URI goes to the end of the route
        (
            "sip:bob@10.0.0.2",
            ["<sip:10.0.0.9;lr>", "<sip:strict@10.0.0.3>"],
            1,
            "10.0.0.3",
            ["<sip:bob@10.0.0.2>"],
            "sip:strict@10.0.0.3",
        ),
        # the previous hop was one: our own URI is the Request-URI
        ("sip:10.0.0.9;lr", ["<sip:bob@10.0.0.2>"], 1, "10.0.0.2", [], "sip:bob@10.0.0.2"),
        # two fields of ours, of two sockets
        ("sip:bob@10.0.0.2", ["<sip:10.0.0.9;r2=on;lr>", "<sip:10.0.0.9;r2=on;lr>"], 1, "10.0.0.2", [], None),
        ("sip:bob@10.0.0.2", ["nonsense<"], -1, "10.0.0.2", ["nonsense<"], None),
    ],
)
def test_routes_of_loose_and_strict_routers(uri, routes, code, to, left, new_uri):
    with running('route { $var(r) = loose_route(); xlog("$var(r)"); t_relay(); }') as script:
        alice, other = phone(script, "10.0.0.1"), phone(script, to)
        more = "".join(f"Route: {route}\n" for route in routes)
        send(script, alice, request("INFO", uri, to_tag="b", more=more))
        assert script.output == str(code)
        (sent,) = other.take()
        assert sent.headers("Route") == left
        assert sent.uri == (new_uri or uri)


def test_an_initial_request_with_only_our_route_is_not_driven_by_it():
    with running('route { $var(r) = loose_route(); xlog("$var(r)"); t_relay(); }') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request(more="Route: <sip:10.0.0.9;lr>\n"))
        assert script.output == "-1"
        assert bob.take()[0].header("Route") is None


def test_a_recorded_route_cannot_be_broken_or_doubled():
    script = """route { $var(a) = record_route(";x>"); $var(b) = record_route(); $var(c) = record_route();
    $var(d) = add_rr_param("<"); xlog("$var(a) $var(b) $var(c) $var(d)"); t_relay(); }"""
    with running(script) as host:
        alice, bob = phone(host, "10.0.0.1"), phone(host, "10.0.0.2")
        send(host, alice, request())
        assert host.output == "-1 1 -1 -1"
        assert len(bob.take()[0].headers("Record-Route")) == 1


def test_a_preset_route_has_the_hosts_of_the_script():
    with running('route { record_route_preset("1.1.1.1:5060", "2.2.2.2"); t_relay(); }') as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        send(script, alice, request())
        assert bob.take()[0].headers("Record-Route") == [
            "<sip:1.1.1.1:5060;r2=on;lr;ftag=a>",
            "<sip:2.2.2.2;r2=on;lr;ftag=a>",
        ]


# -- the core -----------------------------------------------------------------------------------------------------


def run_on(script, body, message=None, head=""):
    """What a script prints for one request."""
    with running(f"route {{ {body} }}", head) as host:
        alice = phone(host, "10.0.0.1")
        send(host, alice, message or request("OPTIONS"))
        return host.output


BRANCHES = 'append_msg_branch("sip:b1@x", "0.5"); append_msg_branch("sip:b2@x"); append_msg_branch("sip:b3@x");'


@pytest.mark.parametrize(
    ("body", "printed"),
    [
        ('xlog("$msg.branch.last_idx $ds")', "3 Contact: <sip:b1@x>;q=0.5, <sip:b2@x>, <sip:b3@x>"),
        ('xlog("$(msg.branch.uri[0]) $(msg.branch.uri[-1]) $msg.branch.uri")', "sip:bob@10.0.0.2 sip:b3@x sip:b3@x"),
        ('xlog("$(branch(uri)[0]) $(branch(q)[0]) [$(msg.branch.q[2])]")', "sip:b1@x 0.5 []"),
        ('$(msg.branch.uri[2]) = "sip:new@y"; xlog("$(msg.branch.uri[*])")',
         "sip:bob@10.0.0.2, sip:b1@x, sip:new@y, sip:b3@x"),
        ('$msg.branch = "sip:b4@x"; xlog("$(msg.branch.uri[4])")', "sip:b4@x"),
        ('$(msg.branch.flag(F)[1]) = 1; xlog("$(msg.branch.flag(F)[1]) $(msg.branch.flag(F)[2])")',
         "true false"),
        ('$(msg.branch.attr(a)[1]) = 7; xlog("$(msg.branch.attr(a)[1]) $(msg.branch.attr(a)[2])")', "7 <null>"),
        ('$(msg.branch.socket[1]) = "udp:10.0.0.9:5060"; xlog("$(msg.branch.socket[1]) $(msg.branch.socket[2])")',
         "udp:10.0.0.9:5060 <null>"),
        ('$var(r) = remove_msg_branch(1); xlog("$var(r) $(msg.branch.uri[*])")',
         "1 sip:bob@10.0.0.2, sip:b1@x, sip:b3@x"),
        ('$var(r) = remove_msg_branch(9); xlog("$var(r)")', "-1"),
        ('swap_msg_branches(0, 2); xlog("$(msg.branch.uri[*])")', "sip:bob@10.0.0.2, sip:b3@x, sip:b2@x, sip:b1@x"),
        ('swap_msg_branches(, 0); xlog("$ru $(msg.branch.uri[1])")', "sip:b1@x sip:bob@10.0.0.2"),
        ('move_msg_branch(2, 0); xlog("$(msg.branch.uri[*])")', "sip:bob@10.0.0.2, sip:b3@x, sip:b2@x"),
        ('move_msg_branch(0, -1); xlog("$ru $(msg.branch.uri[*])")', "sip:b1@x sip:b1@x, sip:b2@x, sip:b3@x"),
        ('swap_msg_branches(-1, 0); xlog("$ru $(msg.branch.uri[1])")', "sip:b1@x sip:bob@10.0.0.2"),
        ('move_msg_branch(0, , "keep"); xlog("$ru $msg.branch.last_idx")', "sip:b1@x 3"),
        ('$du = "sip:9.9.9.9"; append_msg_branch("sip:b4@x", , "inherit"); xlog("$(msg.branch.duri[4])")',
         "sip:9.9.9.9"),
        ('$var(r) = append_msg_branch("sip:b4@x", "$var(none)"); xlog("$var(r)")', "-1"),
        ('setbflag("F", 2); if (isbflagset("F", 2) && !isbflagset("F", 1)) xlog("set")', "set"),
    ],
)  # fmt: skip
def test_branches_of_a_message(body, printed):
    assert run_on(None, f"{BRANCHES} {body};") == printed


def test_branches_are_ordered_by_preference_for_one_try_after_the_other():
    body = """$ru_q = 100; append_msg_branch("sip:b1@x", "0.9"); append_msg_branch("sip:b2@x", "0.9");
    append_msg_branch("sip:b3@x", "0.5"); serialize_branches(1); xlog("$(msg.branch.uri[*])\n");
    while (next_branches()) xlog("$(msg.branch.uri[*])\n"); $var(r) = next_branches(); xlog("$var(r)");"""
    assert run_on(None, body) == (
        "sip:bob@10.0.0.2\nsip:b1@x, sip:b2@x\nsip:b3@x, sip:b2@x\nsip:bob@10.0.0.2, sip:b2@x\n-1"
    )


def test_the_last_group_of_branches_is_told():
    body = """$ru_q = 900; append_msg_branch("sip:b1@x", "0.5"); serialize_branches(1); xlog("$ru ");
    next_branches(); xlog("$rc "); next_branches(); xlog("$rc ");  next_branches(); xlog("$rc");"""
    assert run_on(None, body) == "sip:bob@10.0.0.2 1 2 -1"


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("", "sip:bob@10.0.0.2"),
        ('$ru_q = 500; append_msg_branch("sip:b1@x", "0.5");', "sip:bob@10.0.0.2, sip:b1@x"),
        ('append_msg_branch("sip:b1@x");', "sip:bob@10.0.0.2, sip:b1@x"),
    ],
)  # fmt: skip
def test_branches_of_one_preference_stay_for_parallel_forking(before, left):
    body = f'{before} serialize_branches(1); xlog("$(msg.branch.uri[*])"); if (next_branches()) xlog(" more");'
    assert run_on(None, body) == left


@pytest.mark.parametrize(
    ("body", "contact"),
    [
        ("", "<null>"),
        ("$ru_q = 500;", "<null>"),
        ('$rU = "x"; $ru_q = 500;', "Contact: <sip:x@10.0.0.2>;q=0.5"),
        ('append_msg_branch("sip:b1@x", "1");', "Contact: <sip:b1@x>;q=1"),
        ('$ru = "sip:a@x"; append_msg_branch("sip:b1@x");', "Contact: <sip:a@x>, <sip:b1@x>"),
    ],
)  # fmt: skip
def test_where_a_redirect_points_to(body, contact):
    assert run_on(None, f'{body} xlog("$ds");') == contact


@pytest.mark.parametrize(
    ("call", "code"),
    [
        ('is_myself("10.0.0.9")', 1),
        ('is_myself("10.0.0.9", 5060)', 1),
        ('is_myself("10.0.0.9", 9)', -1),
        ('is_myself("proxy.example")', 1),
        ('is_myself("PROXY.example", 5070)', 1),
        ('is_myself("other.example")', -1),
        ('is_myself("a.wide.example")', 1),
        ('force_send_socket("udp:10.0.0.9:5060")', 1),
        ('force_send_socket("udp:9.9.9.9:5060")', -1),
        ('set_advertised_address("1.2.3.4")', 1),
        ('set_advertised_address("1.2.3.4 x")', -1),
        ('set_advertised_port("x")', -1),
    ],
)
def test_what_is_ours(call, code):
    head = "alias=udp:proxy.example:5070\nalias=wide.example accept_subdomain\n"
    assert run_on(None, f'$var(r) = {call}; xlog("$var(r)");', head=head) == str(code)


def test_sockets_can_be_read_and_chosen():
    body = """xlog("$socket_in $socket_in(ip) $socket_in(port) $socket_in(proto) $socket_in(af) $socket_in(tag) ");
    xlog("$socket_out(forced) "); $socket_out = "udp:10.0.0.9:5060"; xlog("$socket_out(forced)");"""
    printed = "udp:10.0.0.9:5060 10.0.0.9 5060 udp INET <null> <null> udp:10.0.0.9:5060"
    assert run_on(None, body) == printed


def test_requests_are_forwarded_without_a_transaction_and_replies_find_their_way():
    with running('route { add_local_rport(); force_rport(); forward("10.0.0.3:5060"); }') as script:
        alice, other = phone(script, "10.0.0.1"), phone(script, "10.0.0.3")
        send(script, alice, request("OPTIONS"))
        send(script, alice, request("OPTIONS"))
        first, second = other.take()
        assert first.first_via == second.first_via, "a retransmission has the same branch"
        assert first.first_via.rport == ""
        assert first.vias[1].rport == "5060"
        answer(script, other, first, 200)
        assert [via.host for via in alice.take()[0].vias] == ["10.0.0.1"]
        found = script.mi("get_statistics", ["core:"])
        assert (found["core:fwd_requests"], found["core:fwd_replies"], found["core:rcv_requests"]) == (2, 1, 2)


def test_a_reply_that_nobody_asked_for_is_dropped_and_counted():
    with running('onreply_route { xlog("$rs"); } route { t_relay(); }') as script:
        alice, other = phone(script, "10.0.0.1"), phone(script, "10.0.0.3")
        text = (
            "SIP/2.0 200 OK\nVia: SIP/2.0/UDP 10.0.0.9:5060;branch=z9hG4bKx\nVia: SIP/2.0/UDP 10.0.0.1\nCSeq: 1 BYE\n"
        )
        send(script, other, text)
        assert script.output == "200"
        assert told(alice) == []
        assert script.mi("get_statistics", ["drop_replies"]) == {"core:drop_replies": 1}


def test_a_message_is_sent_as_it_is():
    with running('route { send("udp:10.0.0.3:5060", "X-More: 1\\r\\n"); }') as script:
        alice, other = phone(script, "10.0.0.1"), phone(script, "10.0.0.3")
        send(script, alice, request("OPTIONS"))
        (copy,) = other.take()
        assert [via.host for via in copy.vias] == ["10.0.0.1"]
        assert copy.header("X-More") == "1"
