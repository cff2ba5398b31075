"""Path header fields."""

from __future__ import annotations

import pytest

from miscript.errors import ScriptError
from miscript.sip import Message
from sip_scripts import HOST, Phone, sip_script

FORWARD = '$du = "sip:10.0.0.7:5080"; forward();'


def forwarded(call: str, *headers: str, parameters: str = "", modules: str = "path") -> list[str]:
    """The Path fields of a REGISTER that is passed on after `call`."""
    body = f"route {{ {call} {FORWARD} }}"
    with sip_script(modules, body, parameters=parameters) as script:
        registrar = script.network.peer("udp:10.0.0.7:5080")
        phone = Phone(script)
        phone.send(phone.text("REGISTER", *headers))
        (message,) = registrar.take()
        return message.headers("Path")


@pytest.mark.parametrize(
    ("call", "path"),
    [
        ("add_path();", "<sip:10.0.0.1;lr>"),
        ('add_path("lb");', "<sip:lb@10.0.0.1;lr>"),
        ("add_path_received();", "<sip:10.0.0.1;lr;received=sip:10.0.0.9:5070>"),
        ('add_path_received("me");', "<sip:me@10.0.0.1;lr;received=sip:10.0.0.9:5070>"),
    ],
)
def test_a_path_leads_through_us(call: str, path: str):
    assert forwarded(call) == [path]


def test_it_stands_before_the_paths_of_others():
    assert forwarded("add_path();", "Path: <sip:older@10.0.0.5;lr>") == ["<sip:10.0.0.1;lr>", "<sip:older@10.0.0.5;lr>"]


def test_a_user_that_is_none_adds_nothing():
    assert forwarded('if (!add_path("a b>")) xlog("no\\n");') == []


def test_a_request_goes_where_its_registration_came_from():
    body = 'route { loose_route(); xlog("$du\\n"); }'
    with sip_script("rr path", body, parameters='modparam("path", "use_received", 1)') as script:
        route = f"<sip:me@{HOST[0]};lr;received=sip:9.9.9.9:99%3btransport%3dtcp>"
        text = Phone(script).text("INVITE", f"Route: {route}", "Route: <sip:next@10.0.0.6;lr>", uri="sip:a@10.0.0.5")
        script.route(message=Message.parse(text.encode()))
        assert script.take() == "sip:9.9.9.9:99;transport=tcp\n"


def test_use_received_needs_rr():
    with pytest.raises(ScriptError, match="use_received"):
        sip_script("path", "route { exit; }", parameters='modparam("path", "use_received", 1)')
