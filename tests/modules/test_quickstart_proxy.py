"""The second script of the quickstart, as `make proxy` runs it: it relays calls, lists them and ends the long ones."""

from pathlib import Path

import pytest

from miscript.sip.replies import make_reply
from miscript.testing import MemoryNetwork, RunningScript
from sip_phones import request, told

FILE = Path(__file__).parents[2] / "examples" / "quickstart" / "proxy.cfg"
PROXY = ("127.0.0.1", 5060)


@pytest.fixture
def script():
    with RunningScript(FILE.read_text(), network=MemoryNetwork()) as running:
        running.alice = running.network.peer("udp:127.0.0.1:5090")
        running.bob = running.network.peer("udp:127.0.0.1:5080")
        yield running


def send(script, peer, message):
    peer.send(message, *PROXY)
    script.settle()


def from_alice(method, branch, to_tag=""):
    """A request of a phone that does not follow Record-Route."""
    made = request(method, "sip:bob@127.0.0.1:5060", branch=branch, to_tag=to_tag)
    return made.replace("10.0.0.1:5060", "127.0.0.1:5090").replace("<sip:alice@10.0.0.1>", "<sip:alice@127.0.0.1:5090>")


def called(script):
    """A call that is up."""
    send(script, script.alice, from_alice("INVITE", "z9hG4bK1"))
    [invite] = script.bob.take()
    contact = "Contact: <sip:bob@127.0.0.1:5080>\r\n"
    send(script, script.bob, make_reply(invite, 200, "OK", to_tag="b", headers=[contact]))
    send(script, script.alice, from_alice("ACK", "z9hG4bK2", to_tag="b"))
    assert told(script.bob) == ["ACK"]
    assert told(script.alice) == [100, 200]


def test_it_answers_options(script):
    send(script, script.alice, from_alice("OPTIONS", "z9hG4bK1"))
    assert told(script.alice) == [200]


def test_it_relays_calls_and_their_end_and_counts_them(script):
    called(script)
    script.advance(5)
    assert script.take() == "bob is called by alice\ncalls: 1\n"
    send(script, script.alice, from_alice("BYE", "z9hG4bK3", to_tag="b").replace("CSeq: 1", "CSeq: 2"))
    [bye] = script.bob.take()
    send(script, script.bob, make_reply(bye, 200, "OK"))
    assert told(script.alice) == [200]
    script.advance(5)
    assert script.take() == "calls: 0\n"


def test_it_ends_a_call_after_fifteen_seconds(script):
    called(script)
    script.advance(20)
    assert "one was ended after" in script.take()
    assert "BYE" in told(script.alice)
    assert "BYE" in told(script.bob)


def test_a_request_of_no_call_is_refused(script):
    send(script, script.alice, from_alice("BYE", "z9hG4bK3", to_tag="nobody"))
    assert told(script.alice) == [481]
