"""Variables of workers: they stay from one run to the next, and no two runs under way share them."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from miscript.host.host import Host
from miscript.host.loading import Source
from miscript.host.workers import Workers
from miscript.script.runtime import Symbols

SCRIPT = """
loadmodule "cfgutils.so"
route { exit; }
startup_route { $var(seen) = "startup"; }
route[count] { if ($var(n) == NULL) $var(n) = 0; $var(n) += 1; xlog("$var(n)\\n"); }
route[slow] {
    $var(mine) = $param(1); $avp(mine) = $param(1);
    usleep(2000);
    xlog("$param(1)=$var(mine)=$avp(mine)\\n");
}
route[look] { xlog("[$var(seen)]"); }
event_route[E_LOOK] { xlog("event [$var(seen)]"); }
"""


async def started():
    printed: list[str] = []
    host = Host(Source("workers.cfg", SCRIPT), printed.append)
    host.load()
    await host.start()
    return host, printed


async def test_a_variable_keeps_its_value_from_one_run_to_the_next():
    host, printed = await started()
    for _ in range(3):
        await host.run_route("route", "count")
    assert printed == ["1\n", "2\n", "3\n"]
    await host.stop()


async def test_a_thousand_runs_under_way_never_see_each_others_variables():
    host, printed = await started()
    await asyncio.gather(*(host.run_route("route", "slow", text=str(n)) for n in range(1000)))
    assert sorted(printed) == sorted(f"{n}={n}={n}\n" for n in range(1000))
    await host.stop()


async def test_requests_see_what_startup_left_and_events_do_not():
    host, printed = await started()
    await host.run_route("route", "look")
    host.start_event("E_LOOK", [])
    assert await host.tasks.idle(5)
    assert printed == ["[startup]", "event [<null>]"]
    await host.stop()


@given(st.lists(st.sampled_from(["take", "give"]), max_size=50))
def test_a_pool_never_lends_a_space_twice_and_gives_the_last_one_first(steps):
    workers = Workers("requests", Symbols(), {"preset": 7})
    lent, returned = [], []
    for step in steps:
        if step == "take":
            space = workers.take()
            assert space not in lent
            assert not returned or space is returned.pop()
            assert space.slots == [7]
            lent.append(space)
        elif lent:
            returned.append(lent.pop(0))
            workers.give_back(returned[-1])
