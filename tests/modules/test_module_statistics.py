"""The module statistics: counters of the script, series over time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from miscript.errors import ConfigurationError
from miscript.modules import statistics
from miscript.modules.statistics import StatisticAccess, StatisticsModule
from miscript.modules.statistics.series import MAX_SLOTS, Profile, Series, read_profile
from miscript.script.runtime import Run
from miscript.script.signatures import Argument
from miscript.testing import run_script
from miscript.values import Value
from module_services import MovedClock, module_services, new_run, var


def made(**parameters: list[str]) -> StatisticsModule:
    module = StatisticsModule(module_services())
    for name, values in parameters.items():
        for value in values:
            module.set_parameter(name, value)
    module.init()
    return module


def constant(value: Value) -> Argument:
    return Argument(lambda run: value, True, value)


def update(module: StatisticsModule, run: Run, name: str, amount: int) -> int:
    bound = module.update_stat(constant(name), constant(amount))  # type: ignore[operator]  # a method on an instance
    return int(bound(run))


def read(module: StatisticsModule, run: Run, name: str) -> Value:
    return StatisticAccess(module, name).get(run)


def test_counting_makes_a_statistic_and_resetting_sets_it_back() -> None:
    module, run = made(), new_run()
    assert read(module, run, "calls") is None
    assert update(module, run, "calls", 5) == 1
    assert update(module, run, "calls", -2) == 1
    assert (read(module, run, "calls"), read(module, run, "dynamic:calls")) == (3, 3)
    assert module.reset_stat(run, "calls") == 1
    assert read(module, run, "calls") == 0


def test_declared_statistics_are_listed_last_first_and_keep_their_colons() -> None:
    module, run = made(variable=["first", "grp:second"]), new_run()
    assert [counter.name for counter in module.services.statistics.group("script")] == ["grp:second", "first"]
    update(module, run, "third", 1)
    assert [counter.name for counter in module.services.statistics.group("dynamic")] == ["third"]


def test_a_declared_name_with_a_colon_is_read_as_written_and_counted_in_its_group() -> None:
    head = 'modparam("statistics", "stat_groups", "ga")\nmodparam("statistics", "variable", "ga:x")\n'
    body = 'update_stat("ga:x", 4); $var(n) = "ga:x"; update_stat($var(n), 5); xlog("$stat(ga:x) $stat($var(n))");'
    ran = run_script(f'loadmodule "statistics.so"\n{head}startup_route {{ {body} }}')
    assert ran.output == "0 9"


def test_what_is_declared_no_reset_counts_but_is_not_reset() -> None:
    module, run = made(variable=["keep/no_reset"]), new_run()
    update(module, run, "keep", 5)
    assert module.reset_stat(run, "keep") == 1
    assert StatisticAccess(module, "keep").set(run, 0)
    assert read(module, run, "keep") == 5


def test_any_assignment_sets_a_statistic_to_0() -> None:
    module, run = made(), new_run()
    for value in (0, 3, "text", None):
        update(module, run, "calls", 7)
        assert StatisticAccess(module, lambda run: "calls").set(run, value)
        assert read(module, run, "calls") == 0


def test_groups_must_be_declared() -> None:
    module, run = made(stat_groups=["method, packet"]), new_run()
    assert update(module, run, "packet:in", 5) == 1
    assert (read(module, run, "packet:in"), read(module, run, "in")) == (5, 5)
    assert update(module, run, "other:in", 5) == -1
    assert module.reset_stat(run, "other:in") == -1
    module.services.statistics.register("core", "rcv_requests")
    assert update(module, run, "core:rcv_requests", 1) == 1


def test_a_script_cannot_make_statistics_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statistics, "MAX_STATISTICS", 2)
    module, run = made(), new_run()
    assert [update(module, run, name, 1) for name in ("a", "b", "c", "a")] == [1, 1, -1, 1]


def test_iterators_walk_through_a_group() -> None:
    module, run = made(stat_groups=["grp"]), new_run()
    update(module, run, "grp:x", 5)
    update(module, run, "grp:y", 1)
    assert module.stat_iter_init(run, "grp", "it") == 1
    found = []
    while module.stat_iter_next(run, var(0), var(1), "it") > 0:
        found.append(tuple(run.vars))
    assert found == [("x", 5), ("y", 1)]
    assert module.stat_iter_next(run, var(0), var(1), "never begun") == -1
    assert module.stat_iter_init(run, "nogroup", "it") == -1


@pytest.mark.parametrize("declared", ["", "x/foo", "x/no_reset/y"])
def test_wrong_declarations_are_refused(declared: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        made(variable=[declared])
    assert caught.value.parameter == "variable"


# -- series ---------------------------------------------------------------------------------------------------------


def test_a_series_forgets_what_left_its_window() -> None:
    module, run = made(stat_series_profile=["avg: algorithm=average window=3 slots=3"]), new_run()
    clock = module.services.clock
    assert isinstance(clock, MovedClock)
    seen = []
    for value in (10, 20, None, None, None):
        if value is not None:
            assert module.update_stat_series(run, "avg", "delay", value) == 1
        seen.append(read(module, run, "avg:delay"))
        clock.now += 1
    assert seen == [10, 15, 15, 20, 0]


def test_series_sum_and_tell_percentages() -> None:
    module, run = made(stat_series_profile=["acc:", "perc: algorithm=percentage percentage_factor=1000"]), new_run()
    for value in (10, -3):
        module.update_stat_series(run, "acc", "sum", value)
    for value in (1, -2, 0):
        module.update_stat_series(run, "perc", "rate", value)
    assert (read(module, run, "acc:sum"), read(module, run, "perc:rate")) == (7, 333)
    assert module.update_stat_series(run, "nosuch", "sum", 1) == -1
    assert module.reset_stat(run, "acc:sum") == 1
    assert update(module, run, "acc:sum", 5) == 1
    assert read(module, run, "acc:sum") == 7


def test_an_average_is_cut_towards_0() -> None:
    series = Series(Profile("avg", "avg", "average", 60, 60))
    series.add(-7, 0.0)
    series.add(-8, 0.0)
    assert series.value(0.0) == -7


def test_profiles_take_what_they_understand() -> None:
    profile = read_profile("asr:  window=600   slots=10 algorithm=percentage group=calls hash_size=4 foo=1 window=x")
    assert profile == Profile("asr", "calls", "percentage", 600, 10)
    assert read_profile("plain") == Profile("plain", "plain", "accumulate", 60, 60)


@pytest.mark.parametrize("text", ["", ":", "a: window=0", f"a: slots={MAX_SLOTS + 1}"])
def test_profiles_that_cannot_work_are_refused(text: str) -> None:
    with pytest.raises(ConfigurationError):
        read_profile(text)


@given(st.text(max_size=60))
def test_any_profile_is_read_or_refused(text: str) -> None:
    try:
        profile = read_profile(text)
    except ConfigurationError:
        return
    assert profile.window > 0 and 0 < profile.slots <= MAX_SLOTS


@given(st.lists(st.tuples(st.integers(-1000, 1000), st.floats(0, 5)), max_size=50))
def test_a_series_is_the_sum_of_the_values_in_its_slots(steps: list[tuple[int, float]]) -> None:
    series, now = Series(Profile("a", "a", "accumulate", 10, 10)), 0.0
    kept: list[tuple[int, float]] = []
    for value, wait in steps:
        now += wait
        series.add(value, now)
        kept.append((value, now))
        assert series.value(now) == sum(v for v, at in kept if int(at) > int(now) - 10)
