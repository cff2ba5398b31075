"""Blacklists where requests are sent: in every route, by every way, and for requests of our own."""

import pytest

from miscript.blacklist_service import blacklist_service
from miscript.errors import MIError
from miscript.sip.sockets import Target
from miscript.testing import MemoryNetwork, RunningScript

US = "10.0.0.9"
HEAD = (
    'socket=udp:10.0.0.9:5060\nsocket=tcp:10.0.0.9:5060\nloadmodule "proto_tcp.so"\n'
    'loadmodule "tm.so"\nmodparam("tm", "fr_timeout", 2)\nmodparam("tm", "fr_inv_timeout", 4)\n'
    'loadmodule "sl.so"\nloadmodule "mi_script.so"\nloadmodule "cfgutils.so"\n'
)
CLOSED = 'dst_blacklist = closed: {( udp, 10.0.0.2, 5060, "")}\n'
CLOSED_BY_DEFAULT = CLOSED.replace("closed:", "closed/default:")
LEARNING = "disable_dns_blacklist=no\n"


class World:
    """A host that runs `text`, a caller (10.0.0.1), and those who are called, by the end of their address."""

    def __init__(self, text):
        network = MemoryNetwork()
        network.names["two.test"] = ["10.0.0.2", "10.0.0.3"]
        network.names["three.test"] = ["10.0.0.2", "10.0.0.3", "10.0.0.4"]
        network.names["one.test"] = ["10.0.0.2"]
        self.script = RunningScript(HEAD + text, network=network)
        self.caller = network.peer("udp:10.0.0.1:5060")
        self.called = {number: network.peer(f"udp:10.0.0.{number}:5060") for number in (2, 3, 4)}
        self.network = network
        self.count = 0

    def __enter__(self):
        return self

    def __exit__(self, *problem):
        self.script.close()

    def send(self, to, method="MESSAGE"):
        """Let the caller send a request."""
        self.count += 1
        self.caller.send(
            f"{method} sip:{to} SIP/2.0\nVia: SIP/2.0/UDP 10.0.0.1:5060;branch=z9hG4bK{self.count}\nMax-Forwards: 9\n"
            f"From: <sip:alice@10.0.0.1>;tag=a\nTo: <sip:{to}>\nCall-ID: c{self.count}\nCSeq: 1 {method}\n"
            "Contact: <sip:alice@10.0.0.1>\nContent-Length: 0\n\n",
            US,
            5060,
        )
        self.script.settle()

    def answers(self):
        """The statuses that the caller got."""
        self.script.settle()
        return [message.status for message in self.caller.take()]

    def got(self):
        """Who was sent something, by method: {2: ["MESSAGE"]}."""
        self.script.settle()
        taken = {number: [message.method for message in peer.take()] for number, peer in self.called.items()}
        return {number: list(dict.fromkeys(methods)) for number, methods in taken.items() if methods}

    def answer(self, number, status, text="Here"):
        """Let somebody answer what came last."""
        peer = self.called[number]
        request = peer.received[-1]
        fields = ("Via", "From", "To", "Call-ID", "CSeq")
        lines = [
            f"SIP/2.0 {status} {text}",
            *(f"{name}: {value}" for name in fields for value in request.headers(name)),
        ]
        peer.send("\n".join([*lines, "Content-Length: 0", "", ""]), US, 5060)
        self.script.settle()

    def statistic(self, name):
        return self.script.host.services.statistics.find(name).value

    def learnt(self):
        """The places in the list `dns`, with the seconds they have left there."""
        rules = self.script.mi("list_blacklists", "dns")["Rules"]
        return [(rule["IP"], rule["Port"], rule["Proto"], rule["Expire"]) for rule in rules]


# -- routes --------------------------------------------------------------------------------------------------


def test_forward_leaves_out_a_place_that_is_forbidden_and_takes_the_next_address():
    with World(CLOSED + 'route { use_blacklist("closed"); forward(); xlog("$rc "); }') as world:
        world.send("bob@10.0.0.2")
        assert (world.got(), world.script.take(), world.statistic("core:drop_requests")) == ({}, "-1 ", 1)
        world.send("bob@two.test")
        assert (world.got(), world.script.take()) == ({3: ["MESSAGE"]}, "1 ")
        world.send("bob@10.0.0.4")
        assert (world.got(), world.script.take()) == ({4: ["MESSAGE"]}, "1 ")


def test_forward_to_a_place_that_the_script_names_is_forbidden_too():
    text = CLOSED + 'route { use_blacklist("closed"); forward("udp:10.0.0.2:5060"); xlog("$rc "); }'
    with World(text) as world:
        world.send("bob@10.0.0.4")
        assert (world.got(), world.script.take()) == ({}, "-1 ")


def test_one_branch_that_is_forbidden_keeps_no_other_from_being_sent():
    text = CLOSED + 'route { use_blacklist("closed"); append_msg_branch("sip:x@10.0.0.3"); t_relay(); xlog("$rc"); }'
    with World(text) as world:
        world.send("bob@10.0.0.2")
        assert (world.got(), world.script.take()) == ({3: ["MESSAGE"]}, "1")


def test_when_all_branches_are_forbidden_the_caller_is_told():
    text = (
        CLOSED
        + 'route { use_blacklist("closed"); append_msg_branch("sip:x@one.test"); t_relay("no-auto-477"); xlog("$rc"); }'
    )
    with World(text) as world:
        world.send("bob@10.0.0.2", "INVITE")
        assert (world.got(), world.script.take()) == ({}, "-5")


@pytest.mark.parametrize("call", ["t_relay();", "route(inner);", "async(sleep(1), inner);"])
def test_the_choice_of_a_route_holds_for_those_that_go_on_with_its_message(call):
    text = f'{CLOSED}route {{ use_blacklist("closed"); {call} }} route[inner] {{ t_relay(); xlog("$rc"); }}'
    with World(text) as world:
        world.send("bob@10.0.0.2")
        world.script.advance(2)
        assert world.got() == {}
        if "async" in call:
            assert world.script.take() == "-5"  # there is a transaction: to answer is the script's
        else:
            assert world.answers() == [473]


def test_the_choice_of_one_message_is_not_that_of_the_next():
    text = CLOSED + 'route { if ($rU == "shut") use_blacklist("closed"); t_relay(); }'
    with World(text) as world:
        world.send("shut@10.0.0.2")
        assert world.got() == {}
        world.send("bob@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}


@pytest.mark.parametrize(
    ("chosen", "sent"),
    [("", {2: ["MESSAGE"]}), ('use_blacklist("closed");', {})],
    ids=["the choice of the request is not its own", "it chooses for itself"],
)
def test_a_failure_route_sends_by_its_own_choice(chosen, sent):
    text = (
        CLOSED + 'route { use_blacklist("closed"); t_on_failure("again"); t_relay(); }\n'
        f'failure_route[again] {{ {chosen} $ru = "sip:bob@10.0.0.2"; t_relay(); xlog("$rc"); }}'
    )
    with World(text) as world:
        world.send("bob@10.0.0.4")
        world.answer(4, 486, "Busy")
        assert world.answers() == ([] if sent else [486])
        world.called[4].take()
        assert (world.got(), world.script.take()) == (sent, "1" if sent else "-5")


def test_a_failure_route_obeys_a_list_that_counts_by_default():
    text = CLOSED_BY_DEFAULT + (
        'route { t_on_failure("again"); t_relay(); }\n'
        'failure_route[again] { append_msg_branch("sip:x@10.0.0.3"); $ru = "sip:bob@10.0.0.2"; t_relay(); }'
    )
    with World(text) as world:
        world.send("bob@10.0.0.4")
        world.answer(4, 486, "Busy")
        world.called[4].take()
        assert world.got() == {3: ["MESSAGE"]}


def test_a_branch_route_chooses_for_its_branch_and_those_behind_it():
    text = CLOSED + (
        'route { append_msg_branch("sip:x@one.test"); append_msg_branch("sip:y@10.0.0.3"); t_on_branch("b");'
        ' t_relay(); xlog("$rc"); }\n'
        'branch_route[b] { if ($rU == "bob") use_blacklist("closed"); }'
    )
    with World(text) as world:
        world.send("bob@10.0.0.4")
        assert (world.got(), world.script.take()) == ({3: ["MESSAGE"], 4: ["MESSAGE"]}, "1")


def test_a_branch_route_takes_a_list_back_for_its_branch():
    text = CLOSED_BY_DEFAULT + (
        'route { t_on_branch("b"); t_relay(); }\nbranch_route[b] { if ($rU == "free") unuse_blacklist("closed"); }'
    )
    with World(text) as world:
        world.send("free@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}
        world.send("bob@10.0.0.2")
        assert (world.got(), world.answers()) == ({}, [473])


def test_the_ack_of_a_2xx_is_sent_by_the_lists_too():
    with World(CLOSED_BY_DEFAULT + "route { t_relay(); }") as world:
        world.send("bob@10.0.0.2", "ACK")
        assert world.got() == {}
        world.send("bob@10.0.0.4", "ACK")
        assert world.got() == {4: ["ACK"]}


# -- rules that come and go ------------------------------------------------------------------------------------


def test_a_rule_of_a_command_forbids_until_its_time_is_over():
    text = 'dst_blacklist = moving/expire,default\nroute { t_relay("no-auto-477"); xlog("$rc "); }'
    with World(text) as world:
        world.send("bob@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}
        world.script.mi("blacklists:add_rule", "moving", "udp,10.0.0.0/30,5060", 30)
        world.send("bob@10.0.0.2")
        world.send("bob@10.0.0.4")
        assert (world.got(), world.script.take()) == ({4: ["MESSAGE"]}, "1 -5 1 ")
        world.script.advance(28)
        world.got()  # what was sent again
        world.send("bob@10.0.0.2")
        assert world.got() == {}
        world.script.advance(3)
        world.send("bob@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}


def test_a_rule_that_a_command_removes_forbids_no_more():
    with World("dst_blacklist = moving/default\nroute { t_relay(); }") as world:
        world.script.mi("add_blacklist_rule", "moving", "udp,10.0.0.2,5060")
        world.send("bob@10.0.0.2")
        assert world.got() == {}
        world.script.mi("del_blacklist_rule", "moving", "udp,10.0.0.2,5060")
        world.send("bob@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}


def test_a_rule_that_the_script_adds_forbids_from_then_on():
    text = (
        "dst_blacklist = moving/expire,default\n"
        'route { t_on_failure("f"); t_relay(); }\n'
        'failure_route[f] { if ($T_reply_code == 500) add_blacklist_rule("moving", "10.0.0.2", 5060, "udp", , 10); }'
    )
    with World(text) as world:
        world.send("bob@10.0.0.2")
        world.answer(2, 500, "Broken")
        assert (world.got(), world.answers()) == ({2: ["MESSAGE"]}, [500])
        world.send("bob@10.0.0.2")
        assert (world.got(), world.answers()) == ({}, [473])
        world.script.advance(11)
        world.send("bob@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}


# -- what is learnt ---------------------------------------------------------------------------------------------

RELAYING = LEARNING + "route { t_relay(); }"


def test_a_place_that_does_not_answer_is_learnt_and_left_out_for_four_minutes():
    with World(RELAYING) as world:
        world.send("bob@two.test")
        assert world.got() == {2: ["MESSAGE"]}
        world.script.advance(3)
        assert world.got()[3] == ["MESSAGE"]
        (place,) = world.learnt()
        assert place[:3] == ("10.0.0.2", 5060, "udp")
        assert 236 <= place[3] <= 240
        world.send("bob@two.test")
        assert world.got() == {3: ["MESSAGE"]}
        world.script.advance(241)
        world.got()
        world.send("bob@one.test")
        assert world.got() == {2: ["MESSAGE"]}


@pytest.mark.parametrize("first", [503, 408])
def test_address_after_address_is_tried_and_the_last_reply_counts(first):
    with World(RELAYING) as world:
        world.send("bob@three.test")
        if first == 503:
            world.answer(2, 503, "Overloaded")
        else:
            world.script.advance(3)
        world.answer(3, 503, "Overloaded")
        assert world.got() == {2: ["MESSAGE"], 3: ["MESSAGE"], 4: ["MESSAGE"]}
        assert [place[0] for place in world.learnt()] == ["10.0.0.2", "10.0.0.3"]
        world.send("bob@three.test")
        world.answer(4, 404, "Not here")
        assert world.got() == {4: ["MESSAGE"]}
        assert world.answers() == [404]


def test_a_place_that_is_overloaded_is_learnt_and_one_that_refuses_is_not():
    with World(RELAYING) as world:
        world.send("bob@two.test")
        world.answer(2, 503, "Overloaded")
        assert world.got() == {2: ["MESSAGE"], 3: ["MESSAGE"]}
        assert [place[0] for place in world.learnt()] == ["10.0.0.2"]
        world.send("bob@10.0.0.4")
        world.answer(4, 500, "Broken")
        assert [place[0] for place in world.learnt()] == ["10.0.0.2"]


def test_a_call_to_the_only_place_that_is_learnt_is_refused_at_once():
    with World(RELAYING) as world:
        world.send("bob@10.0.0.2")
        world.answer(2, 503, "Overloaded")
        assert world.answers()[-1] in (500, 503)
        world.got()
        world.send("bob@10.0.0.2")
        assert (world.got(), world.answers()) == ({}, [473])


def test_what_is_learnt_counts_for_one_port_and_transport():
    with World(RELAYING) as world:
        other = world.network.peer("udp:10.0.0.2:5070")
        world.send("bob@10.0.0.2")
        world.answer(2, 503, "Overloaded")
        world.send("bob@10.0.0.2:5070")
        assert [message.method for message in other.take()] == ["MESSAGE"]


@pytest.mark.parametrize("call", ["t_relay()", "forward()"])
def test_a_connection_that_is_refused_is_learnt(call):
    with World(f'{LEARNING}route {{ $ru = $ru + ";transport=tcp"; {call}; xlog("$rc "); }}') as world:
        second = world.network.peer("tcp:10.0.0.3:5060")
        world.send("bob@two.test")
        assert [message.method for message in second.take()] == ["MESSAGE"]
        assert [place[:3] for place in world.learnt()] == [("10.0.0.2", 5060, "tcp")]
        first = world.network.peer("tcp:10.0.0.2:5060")
        world.send("bob@two.test")
        assert (first.take(), len(second.take())) == ([], 1)
        world.script.advance(241)
        second.take()
        world.send("bob@two.test")
        assert (len(first.take()), second.take()) == (1, [])


def test_nothing_is_learnt_where_the_script_wants_no_failover_or_no_list():
    with World(LEARNING + 'route { t_relay("no-dns-failover"); }') as world:
        world.send("bob@two.test")
        world.answer(2, 503, "Overloaded")
        assert (world.learnt(), world.got()) == ([], {2: ["MESSAGE"]})
    with World("route { t_relay(); }") as world:
        world.send("bob@two.test")
        world.answer(2, 503, "Overloaded")
        with pytest.raises(MIError, match="Unknown name"):
            world.learnt()


def test_a_script_that_takes_the_list_back_calls_a_place_that_is_learnt():
    with World(LEARNING + 'route { if ($rU == "anyway") unuse_blacklist("dns"); t_relay(); }') as world:
        world.send("bob@10.0.0.2")
        world.answer(2, 503, "Overloaded")
        world.got()
        world.send("anyway@10.0.0.2")
        assert world.got() == {2: ["MESSAGE"]}


# -- requests of our own ----------------------------------------------------------------------------------------


def ask(world, uri, **more):
    """The status of a request of our own, and who got it."""
    values = {"method": "OPTIONS", "ruri": uri, "headers": f"From: <sip:us@{US}>\r\nTo: <{uri}>\r\n"}
    try:
        answered = world.script.mi("t_uac_dlg", **values | more)["Status"]
    except MIError as error:
        answered = f"{error.code} {error.message}"
    return answered, world.got()


def test_a_request_of_our_own_to_a_forbidden_place_is_not_sent():
    with World(CLOSED_BY_DEFAULT + "route { exit; }") as world:
        assert ask(world, "sip:bob@10.0.0.2") == ("473 Filtered destination (473/MI/UAC)", {})
        assert ask(world, "sip:bob@two.test") == ("408 Request Timeout", {3: ["OPTIONS"]})


def test_a_local_route_chooses_for_requests_of_our_own():
    text = CLOSED + 'route { exit; }\nlocal_route { if ($rU == "shut") use_blacklist("closed"); }'
    with World(text) as world:
        assert ask(world, "sip:shut@10.0.0.2")[1] == {}
        assert ask(world, "sip:bob@10.0.0.2")[1] == {2: ["OPTIONS"]}
    text = CLOSED_BY_DEFAULT + 'route { exit; }\nlocal_route { if ($rU == "free") unuse_blacklist("closed"); }'
    with World(text) as world:
        assert ask(world, "sip:free@10.0.0.2")[1] == {2: ["OPTIONS"]}
        assert ask(world, "sip:bob@10.0.0.2")[1] == {}


def test_the_choice_of_a_script_holds_for_the_requests_that_it_makes():
    new = 't_new_request("MESSAGE", "sip:bob@10.0.0.2", "sip:a@10.0.0.9", "sip:b@10.0.0.9", "text/plain hello");'
    new += ' xlog("$rc ");'
    with World(CLOSED + f'route {{ {new} use_blacklist("closed"); {new} exit; }}') as world:
        world.send("bob@10.0.0.4")
        assert world.script.take() == "1 -1 "
        assert world.got() == {2: ["MESSAGE"]}


def test_a_request_of_our_own_tries_the_next_address_and_what_failed_is_learnt():
    with World(LEARNING + "route { exit; }") as world:
        status, got = ask(world, "sip:bob@two.test")
        assert (status, got) == ("408 Request Timeout", {2: ["OPTIONS"], 3: ["OPTIONS"]})
        assert [place[0] for place in world.learnt()] == ["10.0.0.2", "10.0.0.3"]


def test_a_connection_that_is_refused_to_a_request_of_our_own_is_learnt():
    with World(LEARNING + "route { exit; }") as world:
        second = world.network.peer("tcp:10.0.0.3:5060")
        ask(world, "sip:bob@two.test;transport=tcp")
        assert [message.method for message in second.take()] == ["OPTIONS"]
        assert ("10.0.0.2", 5060, "tcp") in [place[:3] for place in world.learnt()]


def test_a_request_of_our_own_asks_a_place_that_is_learnt_only_where_there_is_no_other():
    """So that who probes finds out that somebody is there again."""
    with World(LEARNING + "route { exit; }") as world:
        world.script.wait(learn(world, "10.0.0.2"))
        assert ask(world, "sip:bob@two.test")[1] == {3: ["OPTIONS"]}
        assert ask(world, "sip:bob@one.test")[1] == {2: ["OPTIONS"]}
        world.script.advance(241)
        assert ask(world, "sip:bob@two.test")[1] == {2: ["OPTIONS"], 3: ["OPTIONS"]}


async def learn(world, address):
    blacklist_service(world.script.host.services).unreachable(Target("udp", address, 5060))


@pytest.mark.parametrize(
    "text", ["route { exit; }", 'route { exit; } local_route { $du = "sip:two.test;transport=tcp"; }']
)
def test_a_request_of_our_own_that_goes_another_way_says_so_in_its_via(text):
    with World(text) as world:
        second = world.network.peer("tcp:10.0.0.3:5060")
        ask(world, "sip:bob@two.test;transport=tcp" if "local" not in text else "sip:bob@10.0.0.4")
        (request,) = second.take()
        assert request.header("Via").startswith("SIP/2.0/TCP 10.0.0.9:5060;branch=z9hG4bK")
