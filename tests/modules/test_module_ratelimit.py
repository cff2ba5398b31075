"""The functions and commands of ratelimit."""

from __future__ import annotations

from typing import Any, cast

import pytest

from miscript.errors import ConfigurationError, MIError
from miscript.modules.ratelimit import MAX_PIPES, RateLimit
from miscript.modules.ratelimit.pipes import Algorithm
from miscript.script.access import AvpAccess
from miscript.script.posix_regex import compile_pattern
from module_services import MovedClock, module_services, new_run


def ratelimit(**parameters: int | str) -> RateLimit:
    module = RateLimit(module_services(MovedClock()))
    for name, value in parameters.items():
        module.set_parameter(name, value)
    module.init()
    return module


def listed(answer: dict[str, object]) -> list[str]:
    return [pipe["id"] for pipe in cast(list[dict[str, Any]], answer["Pipes"])]


def test_calls_beyond_the_limit_fail_until_the_next_interval():
    module, run = ratelimit(timer_interval=2), new_run()
    assert [module.rl_check(run, "a", 1) for _ in range(3)] == [1, 1, -1]
    assert module.rl_count(run, "a") == 3 and module.rl_count(run, "b") is None
    module._tick()
    assert module.rl_check(run, "a", 1) == 1
    assert module.mi_list(pipe="a") == {
        "Pipe": {"id": "a", "algorithm": "TAILDROP", "limit": 1, "counter": 3},
        "drop_rate": 0,
    }


def test_counts_are_taken_back_and_reset():
    module, run = ratelimit(), new_run()
    module.rl_check(run, "a", 10)
    module.rl_check(run, "a", 10)
    assert module.rl_dec_count(run, "a") == 1 and module.rl_count(run, "a") == 1
    assert module.rl_reset_count(run, "a") == 1 and module.rl_count(run, "a") == 0
    assert module.rl_dec_count(run, "b") == module.rl_reset_count(run, "b") == -1


def test_a_pipe_keeps_its_algorithm_and_unknown_ones_are_the_default():
    module, run = ratelimit(default_algorithm="red"), new_run()
    module.rl_check(run, "a", 1, "sbt")
    module.rl_check(run, "a", 1, "TAILDROP")
    module.rl_check(run, "b", 1, "JUNK")
    module.rl_check(run, "c/b", 1)
    assert {name: pipe.algorithm for name, pipe in module.pipes.items()} == {
        "a": Algorithm.SBT, "b": Algorithm.RED, "c": Algorithm.RED
    }  # fmt: skip


def test_names_are_listed_and_chosen_by_patterns():
    module, run = ratelimit(), new_run()
    for name in ("gw_1", "gw_2", "user"):
        module.rl_check(run, name, 1)
    assert listed(module.mi_list()) == ["gw_1", "gw_2", "user"]
    assert listed(module.mi_list(filter="gw_*")) == ["gw_1", "gw_2"]
    assert listed(module.mi_list(filter_out="gw_?")) == ["user"]
    avp = AvpAccess("found", None)
    assert module.rl_values(run, avp, compile_pattern("^gw", True)) == 1
    assert run.avps["found"] == ["gw_1", "gw_2"]


def test_a_window_is_dumped_with_its_slots():
    module, run = ratelimit(window_size=2, slot_period=500), new_run()
    module.rl_check(run, "a", 5, "SBT")
    assert module.mi_dump_pipe("a") == {
        "Window": {
            "Buckets": [{"Index": 0, "Count": 1}, *({"Index": n, "Count": 0} for n in (1, 2, 3))],
            "Window Size": 4,
            "Status": "OK",
            "Bucket Total": 1,
        },
        "Pipe": "a", "Algorithm": "SBT", "Counter": 1, "Replication Nodes": [], "Total": 1,
    }  # fmt: skip
    assert module.mi_reset_pipe("a") == "OK"
    assert module.rl_count(run, "a") == 0


def test_pipes_that_nobody_uses_go():
    module, run = ratelimit(expire_time=100), new_run()
    module.rl_check(run, "a", 1)
    cast(MovedClock, module.services.clock).now = 90
    module.rl_check(run, "b", 1)
    cast(MovedClock, module.services.clock).now = 110
    module._tick()
    assert list(module.pipes) == ["b"]


def test_there_are_only_so_many_pipes():
    module, run = ratelimit(), new_run()
    module.rl_check(run, "a", 1)
    module.pipes.update({str(n): module.pipes["a"] for n in range(MAX_PIPES)})
    assert module.rl_check(run, "new", 1) == -1 and module.rl_check(run, "a", 1) == 1
    assert ratelimit().rl_check(run, "x" * 513, 1) == -1


def test_feedback_measures_the_processor_each_interval():
    module, run = ratelimit(), new_run()
    assert module.rl_check(run, "a", 80, "FEEDBACK") == 1
    module._tick()
    assert 0 <= module.load.drop_rate <= 100


def test_the_controller_is_set_with_numbers():
    module = ratelimit()
    assert module.mi_get_pid() == {"PID": {"ki": "-25.000", "kp": "0.000", "kd": "0.000"}}
    assert module.mi_set_pid("0.5", "1", "-2.25") == "OK"
    assert module.mi_get_pid() == {"PID": {"ki": "0.500", "kp": "1.000", "kd": "-2.250"}}
    for wrong in ("x", "nan", "inf", ""):
        with pytest.raises(MIError, match="Bad parameter value"):
            module.mi_set_pid(wrong, "0", "0")


def test_unknown_pipes_are_told_as_the_server_does():
    module = ratelimit()
    for call, code, message in (
        (lambda: module.mi_list(pipe="x"), 404, "Pipe Not Found"),
        (lambda: module.mi_dump_pipe("x"), 404, "Pipe not found"),
        (lambda: module.mi_reset_pipe("x"), 500, "Internal error"),
    ):
        with pytest.raises(MIError) as raised:
            call()
        assert (raised.value.code, raised.value.message) == (code, message)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("timer_interval", 0), ("slot_period", 0), ("slot_period", 20_000), ("default_algorithm", "JUNK"),
        ("pipe_replication_cluster", 1), ("cachedb_url", "redis://x"),
    ],
)  # fmt: skip
def test_parameters_that_cannot_be_are_refused_by_name(name: str, value: int | str):
    with pytest.raises(ConfigurationError) as raised:
        ratelimit(**{name: value})
    assert raised.value.parameter == name
