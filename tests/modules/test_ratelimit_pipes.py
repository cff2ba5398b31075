"""The algorithms of ratelimit."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from miscript.modules.ratelimit.machine import network_backlog, processor_times, waiting_bytes
from miscript.modules.ratelimit.pipes import Algorithm, Controller, Load, Pipe, Settings, Window

NOTHING = Load()


def pipe(algorithm: Algorithm, **settings: object) -> Pipe:
    return Pipe("p", algorithm, 0, Settings(**settings))


def test_taildrop_lets_the_limit_of_an_interval_through_and_starts_again_with_the_next():
    dropped = pipe(Algorithm.TAILDROP, interval=2)
    assert [dropped.check(2, 0, NOTHING) for _ in range(6)] == [True] * 4 + [False] * 2
    dropped.tick()
    assert dropped.check(2, 2, NOTHING) and (dropped.counter, dropped.last_counter) == (1, 6)
    per_interval = pipe(Algorithm.TAILDROP, interval=2, per_interval=True)
    assert [per_interval.check(2, 0, NOTHING) for _ in range(3)] == [True, True, False]


def test_red_spreads_what_the_last_interval_had_too_much():
    red = pipe(Algorithm.RED, interval=1)
    assert all(red.check(5, 0, NOTHING) for _ in range(20))
    red.tick()
    passed = [red.check(5, 1, NOTHING) for _ in range(20)]
    assert passed == ([False] * 3 + [True]) * 5


@given(st.integers(1, 50), st.integers(1, 200))
def test_red_lets_exactly_the_limit_through_when_the_load_stays(limit: int, load: int) -> None:
    red = pipe(Algorithm.RED, interval=1)
    for _ in range(load):
        red.check(limit, 0, NOTHING)
    red.tick()
    assert sum(red.check(limit, 1, NOTHING) for _ in range(load)) == min(limit, load)


def test_sbt_counts_what_a_moving_window_holds():
    window = pipe(Algorithm.SBT, slots=4, slot_seconds=0.5)
    assert [window.check(2, 10.0, NOTHING), window.check(2, 10.6, NOTHING), window.check(2, 11.9, NOTHING)] == [
        True, True, False
    ]  # fmt: skip
    assert window.count(12.0) == 2  # the first has fallen out
    assert not window.check(2, 12.4, NOTHING)
    assert window.count(20.0) == 0
    window.check(2, 20.0, NOTHING)
    window.take_back(20.1)
    assert window.count(20.2) == 0


@given(st.lists(st.floats(0, 5), max_size=60), st.integers(1, 6))
def test_a_window_holds_what_came_in_its_slots(waits: list[float], slots: int) -> None:
    window, now, seen = Window(slots, 0.5), 100.0, list[int]()
    for wait in waits:
        now += wait
        window.add(now)
        seen.append(int(now / 0.5))
        assert window.total == sum(1 for slot in seen if slot > seen[-1] - slots)


def test_dynamic_algorithms_go_by_the_load():
    network = pipe(Algorithm.NETWORK)
    assert network.check(100, 0, Load(waiting_bytes=100)) and not network.check(100, 0, Load(waiting_bytes=101))
    feedback = pipe(Algorithm.FEEDBACK)
    assert sum(feedback.check(50, 0, Load(drop_rate=30)) for _ in range(100)) == 70


def test_counts_can_be_taken_back_but_not_below_nothing():
    counted = pipe(Algorithm.TAILDROP)
    counted.check(1, 0, NOTHING)
    counted.take_back(0)
    counted.take_back(0)
    assert counted.count(0) == 0


def test_the_controller_drops_more_while_the_processor_is_too_busy_and_less_again():
    controller = Controller()
    rising = [controller.drop_rate(0.5, 0.9) for _ in range(20)]
    assert rising == sorted(rising) and rising[0] == 10 and rising[-1] == 100
    falling = [controller.drop_rate(0.5, 0.1) for _ in range(20)]
    assert falling == sorted(falling, reverse=True) and falling[-1] == 0
    assert controller.drop_rate(0.5, 0.9) == 10  # idle hours have not been saved up


@given(st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1))), st.floats(-1e6, 1e6), st.floats(-1e6, 1e6))
def test_a_drop_rate_is_a_percentage(loads: list[tuple[float, float]], ki: float, kp: float) -> None:
    controller = Controller(ki, kp, kp)
    assert all(0 <= controller.drop_rate(wanted, busy) <= 100 for wanted, busy in loads)


UDP = """  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
 1: 0100007F:13C4 00000000:0000 07 00000000:00000300 00:00000000 00000000     0        0 1 2 0000 0
 2: 0100007F:13C5 00000000:0000 07 00000001:0000000F 00:00000000 00000000     0        0 1 2 0000 0
"""


def test_the_machine_tells_its_load():
    assert processor_times("cpu  10 0 20 70 5 0 0 0 0 0\ncpu0 1") == (105, 75)
    assert processor_times("") is None and processor_times("cpu a b") is None
    assert waiting_bytes([UDP, "", "x\n1 2 3 4 zz:yy"]) == 0x300 + 15
    assert network_backlog() >= 0


@given(st.text())
def test_any_text_has_a_number_of_waiting_bytes(text: str) -> None:
    assert waiting_bytes([text]) >= 0
    processor_times(text)
