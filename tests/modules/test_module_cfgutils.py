"""The module cfgutils: chance, locks, pauses, shared variables, MI commands."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from miscript.errors import ConfigurationError, MIError
from miscript.modules.cfgutils import CfgUtils
from miscript.modules.cfgutils.locks import AlreadyHeld, Locks
from miscript.modules.cfgutils.shared_variables import SharedVariables
from miscript.script.access import AvpAccess
from miscript.script.runtime import Run, Stop
from module_services import MovedClock, end, module_services, new_run, var


def made(**parameters: int | str | list[str]) -> CfgUtils:
    module = CfgUtils(module_services())
    for name, value in parameters.items():
        for one in value if isinstance(value, list) else [value]:
            module.set_parameter(name, one)
    module.init()
    return module


# -- locks ----------------------------------------------------------------------------------------------------------


async def turn() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


def test_a_lock_goes_to_those_who_wait_in_their_order() -> None:
    async def scenario() -> list[str]:
        locks, order = Locks(), list[str]()

        async def work(name: str, run: Run) -> None:
            await locks.acquire("zone", run)
            order.append(name)

        first, second, third = new_run(), new_run(), new_run()
        await work("first", first)
        waiting = [asyncio.ensure_future(work("second", second)), asyncio.ensure_future(work("third", third))]
        await turn()
        assert order == ["first"]
        locks.release("zone", first)
        await turn()
        assert order == ["first", "second"]
        locks.release("zone", second)
        await asyncio.gather(*waiting)
        return order

    assert asyncio.run(scenario()) == ["first", "second", "third"]


def test_the_end_of_a_run_gives_its_locks_back() -> None:
    async def scenario() -> None:
        locks, first, second = Locks(), new_run(), new_run()
        await locks.acquire("zone", first)
        waiting = asyncio.ensure_future(locks.acquire("zone", second))
        await turn()
        assert not waiting.done()
        end(first)
        await waiting
        assert locks.owner("zone") is second
        end(second)
        assert locks.owner("zone") is None

    asyncio.run(scenario())


def test_who_stops_waiting_is_passed_over() -> None:
    async def scenario() -> None:
        locks, first, second, third = Locks(), new_run(), new_run(), new_run()
        await locks.acquire("zone", first)
        leaves = asyncio.ensure_future(locks.acquire("zone", second))
        stays = asyncio.ensure_future(locks.acquire("zone", third))
        await turn()
        leaves.cancel()
        await turn()
        locks.release("zone", first)
        await stays
        assert locks.owner("zone") is third

    asyncio.run(scenario())


@pytest.mark.parametrize("others", [0, 1])
def test_who_is_cancelled_while_the_lock_comes_does_not_keep_it(others: int) -> None:
    async def scenario() -> None:
        locks, first, second, third = Locks(), new_run(), new_run(), new_run()
        await locks.acquire("zone", first)
        leaves = asyncio.ensure_future(locks.acquire("zone", second))
        stays = [asyncio.ensure_future(locks.acquire("zone", third)) for _ in range(others)]
        await turn()
        locks.release("zone", first)
        leaves.cancel()
        await turn()
        assert leaves.cancelled()
        await asyncio.gather(*stays)
        assert locks.owner("zone") is (third if others else None)

    asyncio.run(scenario())


def test_a_lock_taken_twice_is_refused_where_the_server_hangs() -> None:
    async def scenario() -> None:
        module, run = made(), new_run()
        assert await module.get_static_lock(run, "zone") == 1
        assert await module.get_static_lock(run, "zone") == -1
        assert await module.get_dynamic_lock(run, "zone") == 1
        with pytest.raises(AlreadyHeld):
            await module.static_locks.acquire("zone", run)

    asyncio.run(scenario())


def test_nobody_gives_back_the_lock_of_another() -> None:
    async def scenario() -> None:
        module, owner, other = made(), new_run(), new_run()
        assert module.release_dynamic_lock(owner, "zone") == 1
        await module.get_dynamic_lock(owner, "zone")
        assert module.release_dynamic_lock(other, "zone") == -1
        assert module.dynamic_locks.owner("zone") is owner
        assert module.release_dynamic_lock(owner, "zone") == 1
        assert module.dynamic_locks.owner("zone") is None

    asyncio.run(scenario())


def test_only_equal_names_share_a_lock() -> None:
    module, run = made(), new_run()
    assert module.strings_share_lock(run, "a", "a") == 1
    assert module.strings_share_lock(run, "a", "b") == -1
    assert module.strings_share_lock(run, "a") == -1


# -- chance and pauses ------------------------------------------------------------------------------------------------


def test_events_of_probability_0_never_and_of_100_always_happen() -> None:
    module, run = made(initial_probability=0), new_run()
    assert {module.rand_event(run) for _ in range(200)} == {-1}
    assert {module.rand_event(run, 100) for _ in range(200)} == {1}
    module.rand_set_prob(run, 50)
    module.chance.seed(1)
    assert {module.rand_event(run) for _ in range(200)} == {1, -1}


def test_pauses_are_the_clocks_and_negative_ones_are_refused() -> None:
    module, run = made(), new_run()
    clock = module.services.clock
    assert isinstance(clock, MovedClock)
    assert asyncio.run(module.sleep(run, 2)) == 1
    assert asyncio.run(module.usleep_beside(run, 250_000)) == 1
    assert asyncio.run(module.sleep(run, -1)) == -1
    assert clock.slept == [2, 0.25]


def test_weights_decide_which_index_is_drawn() -> None:
    module, run = made(), new_run()
    run.avps["w"] = [10, 0, 0]
    assert module.set_select_weight(run, AvpAccess("w", None)) == 2
    run.avps["w"] = [0, 0]
    assert module.set_select_weight(run, AvpAccess("w", None)) == -1
    run.avps["w"] = [1, "text"]
    assert module.set_select_weight(run, AvpAccess("w", None)) == -1


def test_values_are_counted_also_where_the_server_hangs() -> None:
    module, run = made(), new_run()
    run.avps["x"] = ["a", "b"]
    assert module.set_count(run, AvpAccess("x", None), var(0)) == 1
    assert run.vars == [2]
    assert module.set_count(run, var(0), var(1)) == 1
    assert module.set_count(run, var(7), var(2)) == 1
    assert run.vars[1:] == [1, 0]


def test_abort_ends_the_run_and_only_the_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.CRITICAL), pytest.raises(Stop):
        made().abort(new_run())
    assert "the run ends here" in caplog.text


# -- time -----------------------------------------------------------------------------------------------------------


def test_the_accurate_time_has_six_digits_behind_the_point() -> None:
    module, run = made(), new_run()
    assert module.get_accurate_time(run, var(0), var(1), var(2)) == 1
    assert run.vars == [1_600_000_000, 250_000, "1600000000.250000"]


def test_a_difference_too_large_for_a_number_is_still_there_as_text() -> None:
    module, run = made(), new_run()
    assert module.ts_usec_delta(run, 102, 250_000, 100, 500_000, var(0), var(1)) == 1
    assert run.vars == ["1750000", 1_750_000]
    assert module.ts_usec_delta(run, 1, 2, 30_000, 4, var(0), var(1)) == -1
    assert run.vars == ["29999000002", 1_750_000]


def test_time_recurrences_give_1_and_negative_codes() -> None:
    module, run = made(), new_run()
    assert module.check_time_rec(run, "UTC|20200101T000000|20210101T000000") == 1
    assert module.check_time_rec(run, "UTC|20200101T000000|20200102T000000") == -1
    assert module.check_time_rec(run, "UTC|20200101T000000|20200102T000000", 1_577_836_900) == 1
    assert module.check_time_rec(run, "bad") == -2
    assert module.check_time_rec(run, "") == -1


# -- parameters and shared variables --------------------------------------------------------------------------------


def test_presets_set_variables_before_the_script_starts() -> None:
    module = made(shvset=["debug=i:1", "mode=s:a=b:c"], varset=["start=i:-7", "name=s:"])
    assert module.mi_shared_get("debug") == {"VAR": {"type": "integer", "value": 1}}
    assert module.mi_shared_get("mode") == {"VAR": {"type": "string", "value": "a=b:c"}}
    assert module.services.find("preset:var") == {"start": -7, "name": ""}


@pytest.mark.parametrize(
    ("parameter", "value"),
    [
        ("shvset", "debug"),
        ("shvset", "debug=1"),
        ("shvset", "=i:1"),
        ("shvset", "debug=i:x"),
        ("varset", "a=q:1"),
        ("lock_pool_size", 0),
        ("shv_hash_size", -1),
        ("hash_file", "/nonexistent/file"),
        ("hash_file", ""),
        ("initial_probability", 101),
    ],
)
def test_wrong_parameters_are_named(parameter: str, value: int | str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(**{parameter: value})
    assert caught.value.parameter == parameter


def test_shared_variables_are_0_until_written_and_after_null() -> None:
    shared, run = SharedVariables(), new_run()
    access, same = shared.access("calls"), shared.access(lambda run: "calls")
    assert access.get(run) == 0
    same.set(run, "")
    assert access.get(run) == ""
    access.set(run, None)
    assert same.get(run) == 0


def test_shared_variables_are_listed_in_the_servers_order() -> None:
    shared = SharedVariables()
    for name in ("x1", "x3", "x2", "x5", "x4", "x7", "x6", "color", "size"):
        shared.variable(name)
    assert [v.name for v in shared] == ["x6", "x7", "x4", "x5", "x2", "x3", "x1", "size", "color"]


def test_the_type_of_shv_set_is_read_by_its_first_letter() -> None:
    module = made()
    module.mi_shared_set("a", "String", 6)
    module.mi_shared_set("b", "nonsense", "6")
    assert module.mi_shared_get() == [
        [{"name": "a", "type": "string", "value": "6"}, {"name": "b", "type": "integer", "value": 6}]
    ]
    with pytest.raises(MIError, match="type not found"):
        module.mi_shared_set("a", "", "x")
    with pytest.raises(MIError, match="Bad type for parameter 'value'"):
        module.mi_shared_set("a", "int", "x")
    with pytest.raises(MIError, match="404 Not found"):
        module.mi_shared_get("nosuch")


def test_a_changed_file_is_found_by_its_hash(tmp_path: Path) -> None:
    file = tmp_path / "opensips.cfg"
    file.write_text("abc\n")
    module = made(hash_file=str(file))
    assert module.mi_get_hash() == "0bee89b07a248e27c83fc3d5951213c1"
    assert module.mi_check_hash() == "The actual config file hash is identical to the stored one."
    file.write_text("abcd\n")
    with pytest.raises(MIError, match="not identical"):
        module.mi_check_hash()
    file.unlink()
    with pytest.raises(MIError, match="not identical"):
        module.mi_check_hash()
    with pytest.raises(MIError, match="Functionality disabled"):
        made().mi_check_hash()
