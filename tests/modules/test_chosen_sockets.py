"""The socket that a script, or a Route of ours, has chosen decides the transport where a URI leaves it open."""

from __future__ import annotations

import pytest

from sip_phones import phone, request, running, send, told

HEAD = 'loadmodule "proto_tcp.so"\nsocket=tcp:10.0.0.9:5060\n'


@pytest.mark.parametrize("relay", ["t_relay()", "forward()"])
@pytest.mark.parametrize(("uri", "by_tcp"), [("sip:bob@10.0.0.2", True), ("sip:bob@10.0.0.2;transport=udp", False)])
def test_a_forced_socket_decides_the_transport(relay, uri, by_tcp):
    with running(f'route {{ force_send_socket("tcp:10.0.0.9:5060"); {relay}; }}', HEAD) as script:
        alice, udp, tcp = phone(script, "10.0.0.1"), phone(script, "10.0.0.2"), script.network.peer("tcp:10.0.0.2:5060")
        send(script, alice, request(uri=uri))
        assert (told(tcp), told(udp)) == ((["INVITE"], []) if by_tcp else ([], ["INVITE"]))


def test_the_second_of_two_routes_of_ours_decides_the_transport():
    with running("route { loose_route(); t_relay(); }", HEAD) as script:
        alice, tcp = phone(script, "10.0.0.1"), script.network.peer("tcp:10.0.0.2:5060")
        routes = "Route: <sip:10.0.0.9;r2=on;lr>, <sip:10.0.0.9;transport=tcp;r2=on;lr>\n"
        send(script, alice, request("BYE", to_tag="b", more=routes))
        assert told(tcp) == ["BYE"]
