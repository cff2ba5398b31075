"""`$(<request>…)` and `$(<reply>…)`: variables of the other message of a transaction."""

from __future__ import annotations

from sip_phones import acknowledge, answer, phone, request, running, send

SCRIPT = """
route {
    t_on_failure("failed"); t_on_reply("replied");
    xlog("main $(<request>ru) $(<reply>rs)\\n");
    t_relay();
}
onreply_route[replied] {
    xlog("reply $ru $(<request>ru) $(<request>hdr(X-Mine){s.len}) $(<reply>rs)\\n");
}
failure_route[failed] {
    $(<reply>ru) = "sip:nobody@example.com";
    xlog("failure $rs $(<reply>rs) $(<reply>hdr(X-Why)) $(<request>ru) $(<reply>challenge.realm)\\n");
}
"""


def test_a_reply_route_sees_the_request_and_a_failure_route_the_reply():
    with running(SCRIPT) as script:
        alice, bob = phone(script, "10.0.0.1"), phone(script, "10.0.0.2")
        invite = request(more="X-Mine: abc\n")
        send(script, alice, invite)
        (came,) = bob.take()
        headers = ["X-Why: because\r\n", 'WWW-Authenticate: Digest realm="here", nonce="n"\r\n']
        answer(script, bob, came, 401, headers=headers)
        acknowledge(script, alice, invite, alice.take()[-1])
        assert script.output.splitlines()[:3] == [
            "main sip:bob@10.0.0.2 <null>",
            "reply <null> sip:bob@10.0.0.2 3 401",
            "failure <null> 401 because sip:bob@10.0.0.2 here",
        ]


def test_a_time_that_is_over_has_no_reply():
    with running(SCRIPT) as script:
        alice = phone(script, "10.0.0.1")
        phone(script, "10.0.0.2")
        send(script, alice, request())
        script.advance(60)
        assert script.output.splitlines()[-1] == "failure <null> <null> <null> sip:bob@10.0.0.2 <null>"
