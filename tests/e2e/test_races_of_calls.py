"""Replies that come late, twice or against one another, over real sockets."""

from __future__ import annotations

import pytest

from played_calls import phone, play


async def test_a_2xx_behind_our_own_negative_reply_goes_to_the_caller():
    script = 'route { $du = "sip:127.0.0.1:@bob@"; t_relay(); t_reply(480, "Gone"); }'
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask()
        to_bob = await bob.next()
        assert await now.alice.told(2) == [100, 480]
        now.answer(bob, to_bob, 200)
        assert await now.alice.told(1) == [200]


async def test_a_2xx_to_another_request_stays_behind_a_negative_reply():
    script = 'route { $du = "sip:127.0.0.1:@bob@"; t_relay(); t_reply(480, "Gone"); }'
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask("MESSAGE")
        to_bob = await bob.next()
        now.answer(bob, to_bob, 200)
        now.ask("MESSAGE", number=2)
        await bob.next()
        assert await now.alice.told(2) == [480, 480]


async def test_the_reply_route_of_a_branch_that_drops_hides_the_reply_from_the_other_one():
    script = """route { t_on_branch("b"); t_on_reply("all"); $du = "sip:127.0.0.1:@bob@"; t_relay(); }
    branch_route[b] { t_on_reply("one"); }
    onreply_route[one] { xlog("one $rs "); if ($rs == 180) drop; }
    onreply_route[all] { xlog("all $rs "); }"""
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask()
        to_bob = await bob.next()
        now.answer(bob, to_bob, 180)
        now.answer(bob, to_bob, 183)
        assert await now.alice.told(2) == [100, 183]
        await now.printed("one 180 one 183 all 183 ")


@pytest.mark.parametrize("method", ["INVITE", "MESSAGE"])
async def test_t_relay_of_a_request_that_comes_again_is_1_and_the_script_goes_on(method):
    async with phone() as bob, play('route { t_relay(); xlog("$rc "); }', bob=bob.port) as now:
        uri = f"sip:bob@127.0.0.1:{bob.port}"
        now.ask(method, uri=uri)
        to_bob = await bob.next()
        now.answer(bob, to_bob, 180)
        await now.alice.told(2 if method == "INVITE" else 1)
        now.ask(method, uri=uri)
        await now.printed("1 1 ")
        assert bob.is_quiet


async def test_the_reply_code_of_a_failure_route_stays_that_of_the_winner():
    script = """route { t_on_failure("f"); $du = "sip:127.0.0.1:@bob@"; t_relay(); }
    failure_route[f] { t_reply(200, "OK"); xlog("$T_reply_code"); if (t_check_status("486")) xlog(" yes"); }"""
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask()
        now.answer(bob, await bob.next(), 486)
        assert await now.alice.told(2) == [100, 200]
        await now.printed("486 yes")


async def test_t_cancel_branch_with_a_flag_that_there_is_not_cancels_nothing():
    script = """route { t_on_reply("r"); $du = "sip:127.0.0.1:@bob@"; t_relay(); }
    onreply_route[r] { $var(flag) = "z"; t_cancel_branch($var(flag)); xlog("$rc "); }"""
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask()
        to_bob = await bob.next()
        now.answer(bob, to_bob, 180)
        now.answer(bob, to_bob, 200)
        assert await now.alice.told(3) == [100, 180, 200]
        await now.printed("-1 -1 ")
        assert bob.is_quiet


async def test_a_cancel_that_comes_again_is_answered_again_and_relayed_once():
    script = 'route { if (is_method("INVITE")) $du = "sip:127.0.0.1:@bob@"; t_relay(); xlog("$rc "); }'
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask()
        to_bob = await bob.next()
        now.answer(bob, to_bob, 180)
        assert await now.alice.told(2) == [100, 180]
        now.ask("CANCEL")
        assert await now.alice.told(1) == [200]
        now.ask("CANCEL")
        await now.printed("1 1 1 ")
        assert await bob.told(1) == ["CANCEL"]
        now.answer(bob, to_bob, 487)
        assert await bob.told(1) == ["ACK"]


async def test_each_reply_to_us_is_counted_also_those_that_come_again():
    script = 'route { if (is_method("INVITE")) $du = "sip:127.0.0.1:@bob@"; t_relay(); }'
    async with phone() as bob, play(script, bob=bob.port) as now:
        now.ask()
        to_bob = await bob.next()
        now.answer(bob, to_bob, 180)
        assert await now.alice.told(2) == [100, 180]
        now.ask("CANCEL")
        now.answer(bob, await bob.next(), 200)
        for _ in range(3):
            now.answer(bob, to_bob, 487)
        received = now.host.services.statistics.find("tm:received_replies")
        await now.until_true(lambda: received.value == 5)
