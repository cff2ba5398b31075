"""Scripts and commands in another program: check, run_once, running, call_command."""

import asyncio

import pytest

import miscript
from miscript.mi.command import Later


def source(body, head=""):
    return miscript.Source("test.cfg", f'loadmodule "mi_script.so"\n{head}\n{body}')


def test_a_clean_script_has_no_mistakes_also_for_a_run():
    clean = source('startup_route { mi("uptime", $var(r)); xlog("$rc\\n"); }')
    assert miscript.check(clean) == ()
    assert miscript.check(clean, run=True) == ()


def test_what_is_not_available_yet_is_a_mistake_only_for_a_run():
    modules = "".join(f'loadmodule "{name}.so"\n' for name in ("signaling", "sl", "tm", "usrloc", "registrar"))
    later = source('route { async(pn_process_purr("location"), on); } route[on] { exit; }', modules)
    assert miscript.check(later) == ()
    assert [found.code for found in miscript.check(later, run=True)] == ["E309"]


def test_a_path_is_read_as_a_file(tmp_path):
    path = tmp_path / "own.cfg"
    path.write_text("startup_route { nothing(); }")
    assert [found.code for found in miscript.check(path)] == ["E301"]
    assert miscript.check(str(path)) == miscript.check(path)


async def test_run_once_gives_what_was_printed_by_launched_work_too():
    body = """
    startup_route { launch(mi("pwd", $var(r)), later); xlog("first "); }
    route[later] { xlog("last $rc"); }
    """
    assert await miscript.run_once(source(body)) == "first last 1"


async def test_run_once_raises_what_the_check_finds():
    with pytest.raises(miscript.ScriptError, match="E310"):
        await miscript.run_once(source("startup_route { route(nowhere); }"))


async def test_a_budget_ends_an_endless_script():
    body = 'startup_route { while (1) { $var(i) = 1; } xlog("never"); }'
    head = "max_while_loops = 2000000000"
    assert await miscript.run_once(source(body, head), budget=miscript.Budget(steps=1000)) == ""


async def test_a_running_host_is_stopped_also_when_the_block_fails():
    with pytest.raises(ZeroDivisionError):
        async with miscript.running(source("startup_route { exit; }"), print) as host:
            work = host.tasks.spawn(asyncio.Event().wait(), "a service")
            raise ZeroDivisionError
    assert work.cancelled()


def registry_with(handler, *recipes):
    registry = miscript.Registry()
    registry.register(miscript.Command("own", "do", ("old_do",), recipes or ((),), handler))
    return registry


async def test_a_command_is_called_by_its_short_full_and_old_name():
    registry = registry_with(lambda: "done")
    assert [await miscript.call_command(registry, name) for name in ("do", "own:do", "old_do")] == ["done"] * 3


async def test_a_command_that_waits_is_awaited():
    async def wait(word: str):
        await asyncio.sleep(0)
        return word

    assert await miscript.call_command(registry_with(wait, ("word",)), "do", {"word": "late"}) == "late"


async def test_a_command_that_waits_this_time_is_awaited():
    async def word():
        return "late"

    assert await miscript.call_command(registry_with(lambda: Later(word())), "do") == "late"


@pytest.mark.parametrize(("name", "params", "code"), [("nothing", None, -32601), ("do", ["too", "many"], -32602)])
async def test_a_call_that_fits_no_command_is_an_mi_error(name, params, code):
    with pytest.raises(miscript.MIError) as caught:
        await miscript.call_command(registry_with(lambda: 1), name, params)
    assert caught.value.code == code


async def test_a_modules_commands_are_listed_in_the_servers_order_and_have_no_help_text_like_there():
    body = """
    startup_route {
      mi("which cfgutils:", $var(r)); xlog("$var(r) ");
      mi("help shv_get", $var(r)); xlog("$var(r)");
    }
    """
    printed = await miscript.run_once(source(body, 'loadmodule "cfgutils.so"'))
    assert '"cfgutils:check_config_hash","cfgutils:shv_get","cfgutils:shv_set"] ' in printed
    assert printed.endswith('{"Help":"not available for this command","Exported by":"cfgutils"}')


async def test_ids_of_events_follow_the_servers_order_of_publishing():
    body = """
    startup_route { mi("events_list", $var(r)); xlog("$var(r)"); raise_event("E_RAISED"); }
    event_route[E_ROUTE] { exit; }
    """
    printed = await miscript.run_once(source(body, 'loadmodule "event_routing.so"'))
    assert '"E_CORE_TCP_DISCONNECT","id":5},{"name":"E_ROUTE","id":6},{"name":"E_PROFILING_SCRIPT","id":7}' in printed
    assert printed.endswith('{"name":"E_RAISED","id":9},{"name":"E_CORE_LOG","id":10}]}')
