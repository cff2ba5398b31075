"""`reload_routes`: the new script comes into force as a whole, or not at all."""

import asyncio

import pytest

from miscript.errors import MIError, ScriptError
from miscript.host.host import Host
from miscript.host.loading import Source

HEAD = 'loadmodule "cfgutils.so"\nroute { exit; }\n'


async def started(path, text):
    printed: list[str] = []
    path.write_text(HEAD + text)
    host = Host(Source(str(path)), printed.append)
    host.load()
    await host.start()
    return host, printed


async def test_the_new_routes_serve_and_variables_keep_their_values(tmp_path):
    path = tmp_path / "reloaded.cfg"
    host, printed = await started(path, 'route[say] { $var(n) = 5; xlog("old $var(n)\\n"); }')
    await host.run_route("route", "say")
    path.write_text(HEAD + 'route[say] { xlog("new $var(added) $var(n)\\n"); }')
    await host.reload()
    await host.run_route("route", "say")
    assert "".join(printed) == "old 5\nnew <null> 5\n"
    await host.stop()


async def test_a_script_that_does_not_check_leaves_the_old_one_in_force_and_says_where_it_fails(tmp_path):
    path = tmp_path / "broken.cfg"
    host, printed = await started(path, 'route[say] { xlog("old\\n"); }')
    path.write_text(HEAD + "route[say] { nothing(); }")
    with pytest.raises(MIError, match="reload failed") as failed:
        await host.services.mi.bind("reload_routes").run()
    assert failed.value.code == 500
    assert "broken.cfg:3:14: error[E301]: there is no function 'nothing'" in failed.value.data
    await host.run_route("route", "say")
    assert printed == ["old\n"]
    await host.stop()


async def test_a_run_under_way_ends_on_the_script_it_began_with(tmp_path):
    path = tmp_path / "under_way.cfg"
    host, printed = await started(
        path, 'route[slow] { xlog("old begins\\n"); usleep(50000); route(end); }\nroute[end] { xlog("old ends\\n"); }'
    )
    slow = asyncio.ensure_future(host.run_route("route", "slow"))
    await asyncio.sleep(0)  # one turn of the loop: the run waits in usleep now
    assert printed == ["old begins\n"]
    path.write_text(HEAD + 'route[end] { xlog("new ends\\n"); }')
    await host.reload()
    await slow
    assert printed == ["old begins\n", "old ends\n"]
    await host.stop()


async def test_a_reload_cannot_bring_new_modules(tmp_path):
    path = tmp_path / "modules.cfg"
    host, _ = await started(path, 'route[say] { xlog("old\\n"); }')
    path.write_text(HEAD + 'loadmodule "json.so"\n')
    with pytest.raises(ScriptError, match="module 'json' was not loaded when the host started"):
        await host.reload()
    assert "json" not in host.catalog.modules
    await host.stop()


async def test_event_and_timer_routes_follow_the_script(tmp_path):
    path = tmp_path / "events.cfg"
    host, printed = await started(path, 'event_route[E_ONE] { xlog("one\\n"); }')
    path.write_text(HEAD + 'event_route[E_TWO] { xlog("two\\n"); }')
    await host.reload()
    host.services.events.raise_event("E_ONE", [])
    host.services.events.raise_event("E_TWO", [])
    assert await host.tasks.idle(5)
    assert printed == ["two\n"]
    await host.stop()
